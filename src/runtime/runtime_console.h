/* SPDX-License-Identifier: MIT */
/*
 * runtime_console.h - what standard input is; the platform's part is runtime_console_posix.c or
 * _win32.c
 */
#ifndef RUNTIME_CONSOLE_H
#define RUNTIME_CONSOLE_H

#include <asyncrt/async_runtime.h>

/* What standard input is now.  Any thread; keeps errno. */
async_console_type_t runtime_console_detect(void);

/* Whether nothing is left to read from a standard input that is always ready.  Loop thread. */
bool runtime_console_at_end(void);

/* The descriptor that is registered for standard input. */
async_fd_t runtime_console_fd(void);

/* Loop thread: the event of a standard input that is always ready, when its turn has come. */
int runtime_console_take(async_runtime_t *runtime, async_event_t *events, int max);

#endif /* RUNTIME_CONSOLE_H */

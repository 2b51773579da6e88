/* SPDX-License-Identifier: MIT */
/*
 * console_terminal_win32.h - a console of Windows as input
 */
#ifndef CONSOLE_TERMINAL_WIN32_H
#define CONSOLE_TERMINAL_WIN32_H

#include <stddef.h>

#include <stdint.h>

#include <windows.h>

typedef struct console_terminal console_terminal_t;

/* source: standard input.  Returns 0, ENOMEM or ENOTTY. */
int console_terminal_open(HANDLE source, console_terminal_t **out);
void console_terminal_close(console_terminal_t *terminal);

/* Returns the count of UTF-8 bytes, CONSOLE_READ_END or CONSOLE_READ_STOPPED (stop is signalled).
 * The reader's thread. */
int console_terminal_read(console_terminal_t *terminal, HANDLE stop, char *buffer, size_t size);

/* Makes a read that is under way look at what has changed.  Any thread. */
void console_terminal_wake(console_terminal_t *terminal);

/* As console_input_set_mode and console_input_restore. */
int console_terminal_set_mode(console_terminal_t *terminal, uint32_t mode);
void console_terminal_restore(console_terminal_t *terminal);

#endif /* CONSOLE_TERMINAL_WIN32_H */

/* SPDX-License-Identifier: MIT */
/*
 * console_terminal_posix.h - terminal modes that do not outlive the console
 *
 * The modes that the terminal had at console_terminal_open() come back by
 * console_terminal_restore(), by exit(), and when a fatal signal ends the process whose disposition
 * was the default when the modes were changed.  While the process is stopped by SIGTSTP they are
 * back too.
 */
#ifndef CONSOLE_TERMINAL_POSIX_H
#define CONSOLE_TERMINAL_POSIX_H

#include <stdbool.h>

#include <stdint.h>

/* Remembers the modes of fd, a terminal, which stays open until after restore.  Returns 0, ENOMEM,
 * or ENOTTY when it is no terminal any more. */
int console_terminal_open(int fd);

/* Returns 0 or ENOTTY.  Not from two threads at once, nor beside restore. */
int console_terminal_set_mode(uint32_t mode);

/* Nothing when the modes were not changed. */
void console_terminal_restore(void);

/* Sets the chosen modes once more: somebody else may have changed them while the process was
 * stopped or in the background.  Any thread; async-signal-safe. */
void console_terminal_reapply(void);

/* Whether fd is the controlling terminal and another process group has it.  Async-signal-safe. */
bool console_terminal_in_background(int fd);

#endif /* CONSOLE_TERMINAL_POSIX_H */

/* SPDX-License-Identifier: MIT */
/*
 * console_platform.h - what the console needs of the system; one file implements it for each
 *
 * There is at most one open input in a process (the caller sees to it).
 */
#ifndef CONSOLE_PLATFORM_H
#define CONSOLE_PLATFORM_H

#include <asyncrt/async_console.h>

#include <stddef.h>

#include <stdint.h>

typedef struct console_input console_input_t;

#define CONSOLE_READ_END 0        /* end of file, a hang-up, an error: nothing will come any more */
#define CONSOLE_READ_STOPPED (-1) /* console_input_stop() was called */

/* Takes hold of standard input as it is now.  Returns 0, ENOMEM, EMFILE or ENFILE. */
int console_input_open(console_input_t **out);

/*
 * Nobody is inside a call any more; the terminal has been restored.  Keeps errno.  The child of a
 * fork may close what it inherited: that leaves the parent's alone.
 */
void console_input_close(console_input_t *input);

/* Constant. */
async_console_type_t console_input_type(const console_input_t *input);

/* Blocks until there is something.  Returns the count of bytes, at most size, or CONSOLE_READ_*.
 * The reader's thread only. */
int console_input_read(console_input_t *input, char *buffer, size_t size);

/* Makes the current and all later reads and pauses return, at once.  Any thread. */
void console_input_stop(console_input_t *input);

/* Sleeps for about ms milliseconds, less when stopped.  The reader's thread only. */
void console_input_pause(console_input_t *input, int ms);

/*
 * Gives back what was read last and not delivered, so that whoever reads standard input next gets
 * it. rest: size bytes from port_alloc(), handed over; NULL when there was no memory.  After the
 * last read.
 */
void console_input_unread(console_input_t *input, char *rest, size_t size);

/* mode: ASYNC_CONSOLE_* bits.  One thread at a time; restore may be repeated.  Returns 0 or ENOTTY.
 */
int console_input_set_mode(console_input_t *input, uint32_t mode);
void console_input_restore(console_input_t *input);

#endif /* CONSOLE_PLATFORM_H */

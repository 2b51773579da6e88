/* SPDX-License-Identifier: MIT */
/*
 * async_console.h - lines from the terminal, a pipe or a file, without blocking the loop
 *
 * A worker reads standard input.  Each line is one message of the queue, as fgets() would give it:
 * the '\n' kept (CRLF becomes '\n'), a NUL at the end that the message's size counts, UTF-8.
 */
#ifndef ASYNCRT_ASYNC_CONSOLE_H
#define ASYNCRT_ASYNC_CONSOLE_H

#include <asyncrt/async_queue.h>

#include <asyncrt/async_runtime.h>

#include <asyncrt/async_types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct async_console async_console_t;

#define ASYNC_CONSOLE_LINE 0x01u /* whole lines with the system's editing; without it: every key at once */
#define ASYNC_CONSOLE_ECHO 0x02u /* what is typed is shown */

/*
 * Starts reading standard input into lines.  One console at a time in a process.
 *
 * runtime: gets a completion with completion_key and data 0 when lines have come (merged as
 * async_runtime_bind_queue() says), and one with data 1 at the end of input, after the last line.
 * lines: the caller's, max_msg_size at least 2, not yet bound; must live until
 * async_console_destroy().  A full queue makes the reader wait; a DROP_OLDEST queue drops.
 * The caller owns the console and ends it with async_console_destroy().
 * Loop thread.  Does not block; allocates, starts a thread.
 * Returns the console, or NULL: EINVAL, EEXIST (there is one already, or lines is bound), ENOMEM,
 * EAGAIN (no more threads), EMFILE, ENFILE.
 * Since 1.0.
 */
ASYNC_API async_console_t *async_console_create(async_runtime_t *runtime, async_queue_t *lines,
                                                uintptr_t completion_key);

/*
 * Stops the reader, also in the middle of a blocked read, and restores the terminal.  What it had read
 * ahead of a full queue is there for the next console, and a file's offset is moved back.  May be
 * called again.
 *
 * timeout_ms: milliseconds; 0 does not wait, -1 waits for ever.
 * Any thread.  Blocks.
 * Returns true, or false: EINVAL, ETIMEDOUT.
 * Since 1.0.
 */
ASYNC_API bool async_console_shutdown(async_console_t *console, int timeout_ms);

/*
 * Shuts down and frees the console; lines that are in the queue stay there, and no completion of the
 * console comes any more.  NULL is ignored.
 *
 * Loop thread.  Blocks for the milliseconds that the reader needs to end.
 * Since 1.0.
 */
ASYNC_API void async_console_destroy(async_console_t *console);

/*
 * Tells whether the input has ended.
 *
 * Any thread.  Never blocks, never allocates.
 * Returns true or false; false with EINVAL for NULL.
 * Since 1.0.
 */
ASYNC_API bool async_console_is_eof(const async_console_t *console);

/*
 * Chooses what a terminal does with what is typed.
 *
 * mode: ASYNC_CONSOLE_LINE and ASYNC_CONSOLE_ECHO bits.  Without LINE each key, a character or an
 * escape sequence, is a message of its own.
 * Loop thread.  Does not block or allocate.
 * Returns 0, or -1: EINVAL (other bits, or shut down), ENOTTY (standard input is not a terminal).
 * Since 1.0.
 */
ASYNC_API int async_console_set_mode(async_console_t *console, uint32_t mode);

/*
 * What standard input was when the console was created.
 *
 * Any thread.  Never blocks, never allocates.
 * Returns the type; NONE with EINVAL for NULL.
 * Since 1.0.
 */
ASYNC_API async_console_type_t async_console_get_type(const async_console_t *console);

/*
 * What standard input is now: a terminal, a pipe (FIFO, socket), a file, or NONE (closed, null device).
 *
 * Any thread.  Never blocks, never allocates.
 * Since 1.0.
 */
ASYNC_API async_console_type_t async_console_detect(void);

/*
 * "NONE", "REAL", "PIPE" or "FILE".  The string is the library's and static.
 *
 * Any thread.  Never blocks, never allocates, async-signal-safe.
 * Returns the name, or NULL: EINVAL (no such type).
 * Since 1.0.
 */
ASYNC_API const char *async_console_type_name(async_console_type_t type);

#ifdef __cplusplus
}
#endif

#endif /* ASYNCRT_ASYNC_CONSOLE_H */

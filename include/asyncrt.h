/* SPDX-License-Identifier: MIT */
/*
 * asyncrt.h - the whole of libasyncrt, and its version
 *
 * One thread (the loop thread) owns a program's state and never blocks.  Blocking work goes to
 * workers; results come back through bounded queues and completions; and one call,
 * async_runtime_wait(), hands the loop thread everything that has happened.
 *
 * Conventions of all headers:
 *  - Failure is NULL, false, 0 (for ids) or -1, with errno set; async_last_error() returns the same
 *    value.  Success leaves both alone.
 *  - Timeouts are in milliseconds: -1 waits for ever, 0 does not wait, less than -1 is EINVAL.
 *    All clocks are monotonic.
 *  - NULL and out-of-range arguments give EINVAL.  Functions without a result ignore NULL.
 */
#ifndef ASYNCRT_H
#define ASYNCRT_H

#include <asyncrt/async_types.h>

#include <asyncrt/async_queue.h>

#include <asyncrt/async_worker.h>

#include <asyncrt/async_runtime.h>

#include <asyncrt/async_pool.h>

#include <asyncrt/async_console.h>

#include <asyncrt/async_resolver.h>

#define ASYNCRT_VERSION_MAJOR 1
#define ASYNCRT_VERSION_MINOR 0
#define ASYNCRT_VERSION_PATCH 0

/* The version of these headers as text, and as a number that compares: 0xMMmmpp. */
#define ASYNCRT_VERSION_STRING "1.0.0"
#define ASYNCRT_VERSION_NUMBER \
    ((ASYNCRT_VERSION_MAJOR << 16) | (ASYNCRT_VERSION_MINOR << 8) | ASYNCRT_VERSION_PATCH)

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The version of the library in use, as text ("1.0.0").  The string is the library's and static.
 *
 * Any thread.  Never blocks, never allocates, async-signal-safe.
 * Since 1.0.
 */
ASYNC_API const char *asyncrt_version(void);

/*
 * The version of the library in use as a number, 0xMMmmpp, to compare with ASYNCRT_VERSION_NUMBER.
 *
 * Any thread.  Never blocks, never allocates, async-signal-safe.
 * Since 1.0.
 */
ASYNC_API uint32_t asyncrt_version_number(void);

/*
 * The error of the calling thread's last failed call into this library, an errno value; 0 when none
 * has failed yet.  It is the value that the call left in errno, for callers whose C runtime has
 * another errno than the library's (another CRT on Windows, a foreign-function interface).
 *
 * Any thread; each has its own.  Never blocks, never allocates, async-signal-safe.
 * Since 1.0.
 */
ASYNC_API int async_last_error(void);

#ifdef __cplusplus
}
#endif

#endif /* ASYNCRT_H */

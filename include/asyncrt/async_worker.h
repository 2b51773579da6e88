/* SPDX-License-Identifier: MIT */
/*
 * async_worker.h - managed threads with a graceful stop and a timed join
 */
#ifndef ASYNCRT_ASYNC_WORKER_H
#define ASYNCRT_ASYNC_WORKER_H

#include <asyncrt/async_types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct async_runtime;

typedef struct async_worker async_worker_t;
typedef void *(*async_worker_proc_t)(void *context);

typedef enum {
    ASYNC_WORKER_STOPPED = 0, /* the procedure has returned */
    ASYNC_WORKER_RUNNING = 1, /* from a successful create */
    ASYNC_WORKER_STOPPING = 2 /* from async_worker_signal_stop() until the procedure returns */
} async_worker_state_t;

/* Set `size` by ASYNC_WORKER_OPTIONS_INIT. */
typedef struct async_worker_options {
    size_t size;                   /* sizeof(async_worker_options_t) of the caller */
    size_t stack_size;             /* bytes; 0: the platform's default */
    const char *name;              /* shown by debuggers and ps -L; copied, cut to 15 bytes; NULL: none */
    struct async_runtime *runtime; /* gets a completion when the worker has ended; NULL: none */
    uintptr_t completion_key;      /* its key; its context is the worker, its data the result */
} async_worker_options_t;

/* clang-format off */
#define ASYNC_WORKER_OPTIONS_INIT { sizeof(async_worker_options_t), 0, NULL, NULL, 0 }
/* clang-format on */

/*
 * Starts a thread that runs proc(context).
 *
 * stack_size: bytes; 0 is the platform's default; too small a size is raised to the minimum.
 * The caller owns the worker and ends it with async_worker_destroy(); context stays the caller's.
 * Any thread.  Does not block; allocates.
 * Returns the worker, or NULL: EINVAL, ENOMEM, EAGAIN (no more threads, or no room for the stack).
 * Since 1.0.
 */
ASYNC_API async_worker_t *async_worker_create(async_worker_proc_t proc, void *context,
                                              size_t stack_size);

/*
 * As async_worker_create(), with options.
 *
 * options: NULL for the defaults; read during the call only.  options->runtime must live until the
 * worker has ended or the runtime's async_runtime_deinit(), whichever is first.
 * Any thread.  Does not block; allocates.
 * Returns the worker, or NULL: EINVAL, ENOMEM, EAGAIN (no more threads, or no room for the stack),
 * EPERM (a runtime of the process that this one was forked from).
 * Since 1.0.
 */
ASYNC_API async_worker_t *async_worker_create_with(async_worker_proc_t proc, void *context,
                                                   const async_worker_options_t *options);

/*
 * Lets go of the worker.  If it still runs, its stop is requested and the thread frees the handle
 * when it ends; its completion, if it was to post one, still comes, and its context then only
 * identifies the worker.  NULL is ignored.
 *
 * Any thread, the worker's own included; not while another is inside async_worker_join() on it.
 * Does not block.
 * Since 1.0.
 */
ASYNC_API void async_worker_destroy(async_worker_t *worker);

/*
 * Requests the stop: should_stop becomes true, wait_stop returns, the stop handle is signalled.
 * Idempotent.
 *
 * Any thread.  Does not block or allocate.
 * Since 1.0.
 */
ASYNC_API void async_worker_signal_stop(async_worker_t *worker);

/*
 * Waits for the thread's end.  May be called again, also after the end.
 *
 * timeout_ms: milliseconds; 0 does not wait, -1 waits for ever.
 * Any thread.  Blocks; woken by the thread's end itself.  Never allocates.
 * Returns true, or false: EINVAL, ETIMEDOUT, EDEADLK (called by the worker itself), EPERM (in the
 * child of a fork, where a thread that had not ended is not there).
 * Since 1.0.
 */
ASYNC_API bool async_worker_join(async_worker_t *worker, int timeout_ms);

/*
 * The worker whose thread is calling.
 *
 * Any thread.  Never blocks, never allocates.
 * Returns the worker, or NULL in a thread that is not a worker's (errno is left alone).
 * Since 1.0.
 */
ASYNC_API async_worker_t *async_worker_current(void);

/*
 * Tells whether the stop has been requested: one relaxed load.
 *
 * worker: NULL stands for the calling thread's own worker.
 * Any thread.  Never blocks, never allocates, async-signal-safe.
 * Returns true or false; false with EINVAL for NULL in a thread that is not a worker's.
 * Since 1.0.
 */
ASYNC_API bool async_worker_should_stop(const async_worker_t *worker);

/*
 * Sleeps until the stop is requested: the interruptible sleep.
 *
 * worker: as above.  timeout_ms: milliseconds; -1 sleeps until the stop.
 * Any thread.  Blocks.  Never allocates.
 * Returns true (stop requested), or false: EINVAL, ETIMEDOUT.
 * Since 1.0.
 */
ASYNC_API bool async_worker_wait_stop(async_worker_t *worker, int timeout_ms);

/*
 * A descriptor that becomes readable (Windows: a HANDLE that becomes signalled) when the stop is
 * requested, to poll beside others.  It is made when first asked for, stays the library's, and is
 * valid until async_worker_destroy(); do not read from or close it.
 *
 * Any thread.  Does not block; makes a descriptor.
 * Returns the handle, or (async_handle_t)-1: EINVAL, EMFILE, ENFILE, ENOMEM.
 * Since 1.0.
 */
ASYNC_API async_handle_t async_worker_get_stop_handle(async_worker_t *worker);

/*
 * RUNNING, STOPPING or STOPPED.
 *
 * Any thread.  Never blocks, never allocates.
 * Returns the state; STOPPED with EINVAL for NULL.
 * Since 1.0.
 */
ASYNC_API async_worker_state_t async_worker_get_state(const async_worker_t *worker);

/*
 * What the procedure returned.
 *
 * Any thread.  Never blocks, never allocates.
 * Returns the result; NULL with EINVAL for NULL, NULL with EBUSY while the procedure runs.
 * Since 1.0.
 */
ASYNC_API void *async_worker_get_result(const async_worker_t *worker);

#ifdef __cplusplus
}
#endif

#endif /* ASYNCRT_ASYNC_WORKER_H */

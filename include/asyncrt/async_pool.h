/* SPDX-License-Identifier: MIT */
/*
 * async_pool.h - a pool of threads for short blocking jobs, each ending in one completion
 */
#ifndef ASYNCRT_ASYNC_POOL_H
#define ASYNCRT_ASYNC_POOL_H

#include <asyncrt/async_runtime.h>

#include <asyncrt/async_types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct async_pool async_pool_t;
typedef void *(*async_pool_proc_t)(void *arg);

/* Set `size` by ASYNC_POOL_OPTIONS_INIT. */
typedef struct async_pool_options {
    size_t size;        /* sizeof(async_pool_options_t) of the caller */
    size_t threads;     /* most threads; 0: the processors, at least 2, at most 64 */
    size_t queue_limit; /* most jobs that wait and no thread is coming for; 0: no limit */
    size_t stack_size;  /* bytes of each thread; 0: the platform's default */
    uint64_t idle_ms;   /* a thread without work ends after it */
    const char *name;   /* of the threads; copied, cut to 15 bytes; NULL: "async_pool" */
} async_pool_options_t;

/* clang-format off */
#define ASYNC_POOL_OPTIONS_INIT { sizeof(async_pool_options_t), 0, 0, 0, 10000, NULL }
/* clang-format on */

/* Filled by async_pool_get_stats().  submitted = waiting + running + completed + cancelled. */
typedef struct async_pool_stats {
    size_t threads;       /* alive now */
    size_t idle;          /* of these, without a job */
    size_t waiting;       /* jobs not yet started */
    size_t running;       /* jobs started and not ended */
    uint64_t submitted;   /* jobs accepted */
    uint64_t completed;   /* jobs whose procedure has returned */
    uint64_t cancelled;   /* jobs that never started */
    uint64_t rejected;    /* jobs refused */
    uint64_t reserved[4]; /* zero */
} async_pool_stats_t;

/*
 * Makes a pool that posts the ends of its jobs to runtime.  No thread is started yet.
 *
 * options: NULL for the defaults; read during the call only.  The caller owns the pool and ends it
 * with async_pool_destroy().
 * Any thread.  Does not block; allocates.
 * Returns the pool, or NULL: EINVAL, ENOMEM.
 * Since 1.0.
 */
ASYNC_API async_pool_t *async_pool_create(async_runtime_t *runtime,
                                          const async_pool_options_t *options);

/*
 * Queues proc(arg) to be run by one of the pool's threads; jobs start in the order of submission.
 * It ends in exactly one completion: the key, context = arg, data = proc's result, error 0; or
 * ECANCELED when it was cancelled before it started.
 *
 * arg stays the caller's.
 * Any thread, also from inside a job.  Does not block; may allocate and start a thread.
 * Returns the job's id (never reused), or 0: EINVAL, EAGAIN (queue_limit; or no thread could be
 * started and the pool has none), EPIPE (shut down), ENOMEM.
 * Since 1.0.
 */
ASYNC_API uint64_t async_pool_submit(async_pool_t *pool, async_pool_proc_t proc, void *arg,
                                     uintptr_t completion_key);

/*
 * Cancels a job that has not started; its completion comes with ECANCELED.
 *
 * Any thread.  Does not block or allocate.
 * Returns 0, or -1: EINVAL, EALREADY (running), ENOENT (ended, cancelled or unknown).
 * Since 1.0.
 */
ASYNC_API int async_pool_cancel(async_pool_t *pool, uint64_t job_id);

/*
 * Refuses new jobs, cancels the waiting ones and waits for the running ones.  May be called again.
 *
 * timeout_ms: milliseconds; 0 does not wait, -1 waits for ever.
 * Any thread but the pool's own.  Blocks.  Does not allocate.
 * Returns true (no job runs any more), or false: EINVAL, ETIMEDOUT, EDEADLK (called from a job).
 * Since 1.0.
 */
ASYNC_API bool async_pool_shutdown(async_pool_t *pool, int timeout_ms);

/*
 * async_pool_shutdown(pool, -1), then frees the pool.  Completions that are posted still arrive.
 * NULL is ignored.  From inside a job the pool is freed when its last job has ended.
 *
 * One thread.  Blocks until the running jobs have ended.
 * Since 1.0.
 */
ASYNC_API void async_pool_destroy(async_pool_t *pool);

/*
 * Fills stats.
 *
 * Any thread.  Does not block or allocate.
 * Since 1.0.
 */
ASYNC_API void async_pool_get_stats(const async_pool_t *pool, async_pool_stats_t *stats);

#ifdef __cplusplus
}
#endif

#endif /* ASYNCRT_ASYNC_POOL_H */

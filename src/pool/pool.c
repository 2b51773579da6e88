/* SPDX-License-Identifier: MIT */
/*
 * pool.c - the public functions of async_pool.h
 *
 * The pool's memory has an owner until destroy, and stays for the threads and for the jobs whose
 * completions have not been handed out; it holds the runtime, whose memory it posts to.
 */
#include "pool/pool.h"

#include "port/port_clock.h"
#include "port/port_compiler.h"
#include "port/port_error.h"
#include "port/port_fork.h"
#include "port/port_memory.h"

#include <string.h>

#define DEFAULT_NAME "async_pool"
#define DEFAULT_CAP_MIN 2u
#define DEFAULT_CAP_MAX 64u

/* Tries before a thread sleeps for the lock: it is held for some tens of nanoseconds. */
#define LOCK_TRIES 20

void pool_lock(async_pool_t *pool)
{
    if (pool->may_spin)
        for (int i = 0; i < LOCK_TRIES; i++) {
            if (port_mutex_trylock(&pool->lock))
                return;
            port_cpu_relax();
        }
    port_mutex_lock(&pool->lock);
}

void pool_drop(async_pool_t *pool)
{
    /* acq_rel: all that others did with the pool comes before the free */
    if (atomic_fetch_sub_explicit(&pool->refs, 1, memory_order_acq_rel) != 1)
        return;
    pool_free_jobs(pool);
    port_mutex_destroy(&pool->lock);
    runtime_drop(pool->runtime);
    port_free_aligned(pool);
}

static bool is_inherited(const async_pool_t *pool)
{
    return pool->fork_generation != port_fork_generation();
}

/* ---- create ---- */

static void set_options(async_pool_t *pool, const async_pool_options_t *options)
{
    const char *name = options->name != NULL ? options->name : DEFAULT_NAME;
    unsigned cpus = port_cpu_count();

    pool->cap = options->threads;
    if (pool->cap == 0)
        pool->cap = cpus < DEFAULT_CAP_MIN   ? DEFAULT_CAP_MIN
                    : cpus > DEFAULT_CAP_MAX ? DEFAULT_CAP_MAX
                                             : cpus;
    pool->queue_limit = options->queue_limit;
    pool->stack_size = options->stack_size;
    pool->idle_ns = options->idle_ms > UINT64_MAX / PORT_NS_PER_MS
                        ? UINT64_MAX
                        : options->idle_ms * PORT_NS_PER_MS;
    pool->may_spin = cpus > 1;
    memcpy(pool->name, name, strnlen(name, PORT_THREAD_NAME_MAX));
}

async_pool_t *async_pool_create(async_runtime_t *runtime, const async_pool_options_t *given)
{
    async_pool_options_t options = ASYNC_POOL_OPTIONS_INIT;
    int saved = errno, err;
    async_pool_t *pool;

    if (runtime == NULL || (given != NULL && given->size < sizeof(given->size)))
        return port_fail_null(EINVAL);
    if (given != NULL)
        memcpy(&options, given, given->size < sizeof(options) ? given->size : sizeof(options));
    if (port_fork_watch() != 0)
        return port_fail_null(ENOMEM);
    if (runtime_is_inherited(runtime))
        return port_fail_null(EPERM);
    pool = port_alloc_aligned(sizeof(*pool), PORT_CACHE_LINE);
    if (pool == NULL)
        return port_fail_null(ENOMEM);
    memset(pool, 0, sizeof(*pool));
    err = port_mutex_init(&pool->lock);
    if (err != 0) {
        port_free_aligned(pool);
        return port_fail_null(err);
    }
    set_options(pool, &options);
    atomic_init(&pool->returned, NULL);
    atomic_init(&pool->refs, 1);
    atomic_init(&pool->spinner, 0);
    port_eventcount_init(&pool->quiet);
    pool->fork_generation = port_fork_generation();
    pool->runtime = runtime;
    runtime_hold(runtime);
    errno = saved;
    return pool;
}

/* ---- jobs ---- */

/* Under the lock.  A job that a thread is on its way to does not count as waiting. */
static bool is_full(const async_pool_t *pool)
{
    return pool->queue_limit != 0 && pool->waiting >= pool->coming &&
           pool->waiting - pool->coming >= pool->queue_limit;
}

uint64_t async_pool_submit(async_pool_t *pool, async_pool_proc_t proc, void *arg,
                           uintptr_t completion_key)
{
    int saved = errno, err;
    _Atomic uint32_t *woken = NULL;
    uint64_t id = 0;

    if (pool == NULL || proc == NULL)
        err = EINVAL;
    else if (is_inherited(pool))
        err = EPERM;
    else {
        pool_lock(pool);
        err = pool->shut ? EPIPE : is_full(pool) ? EAGAIN : pool_reserve(pool);
        if (err == 0)
            err = pool_call_thread(pool, &woken);
        if (err == 0)
            id = pool_push(pool, proc, arg, completion_key);
        else
            pool->rejected++;
        port_mutex_unlock(&pool->lock);
    }
    if (err != 0) {
        port_error_set(err);
        return 0;
    }
    /* the thread may have come and gone: the word is only a name here, and another's sleep on it
     * ends with a look for nothing at worst */
    if (woken != NULL)
        port_futex_wake(woken, 1);
    errno = saved;
    return id;
}

/* Under the lock. */
static bool is_running(const async_pool_t *pool, uint64_t id)
{
    const pool_thread_t *thread = pool->threads;

    while (thread != NULL && thread->job_id != id)
        thread = thread->next;
    return thread != NULL && id != 0;
}

int async_pool_cancel(async_pool_t *pool, uint64_t job_id)
{
    int saved = errno, err = 0;
    pool_job_t *job;

    if (pool == NULL)
        return port_fail(EINVAL);
    if (is_inherited(pool))
        return port_fail(EPERM);
    pool_lock(pool);
    job = pool_take_id(pool, job_id);
    if (job != NULL)
        pool->cancelled++;
    else
        err = is_running(pool, job_id) ? EALREADY : ENOENT;
    port_mutex_unlock(&pool->lock);
    if (job != NULL) {
        job->node.data = 0;
        job->node.error = ECANCELED;
        pool_post(pool, job);
    }
    return port_result(err, saved);
}

/* ---- the end ---- */

/* Refuses new jobs and cancels those that wait. */
static void close_pool(async_pool_t *pool, bool orphan)
{
    runtime_node_t *first = NULL, **link = &first;
    pool_job_t *job;
    uint64_t id;

    pool_lock(pool);
    pool->shut = true;
    if (orphan)
        pool->orphan = true;
    while ((job = pool_take(pool, &id)) != NULL) {
        pool->cancelled++;
        *link = &job->node;
        link = &job->node.next;
    }
    *link = NULL;
    pool->busy++; /* while they are posted */
    pool_dismiss_idle(pool);
    port_mutex_unlock(&pool->lock);
    while (first != NULL) {
        job = (pool_job_t *)first;
        first = first->next;
        job->node.data = 0;
        job->node.error = ECANCELED;
        pool_post(pool, job);
    }
    pool_lock(pool);
    pool->busy--;
    if (pool->busy == 0)
        port_eventcount_notify(&pool->quiet, PORT_FUTEX_ALL);
    port_mutex_unlock(&pool->lock);
}

/* Waits until no job runs and all completions are posted; with threads, until they have left. */
static int wait_quiet(async_pool_t *pool, bool threads, uint64_t deadline)
{
    int err = 0;

    for (;;) {
        uint32_t key = port_eventcount_prepare(&pool->quiet);
        bool running, quiet;

        pool_lock(pool);
        running = pool->running != 0;
        quiet = pool->busy == 0 && (!threads || pool->live == 0);
        port_mutex_unlock(&pool->lock);
        if (quiet || (running && (err != 0 || deadline == 0))) {
            port_eventcount_cancel(&pool->quiet);
            return quiet ? 0 : ETIMEDOUT;
        }
        /* what is left to do when no job runs is only a moment's work: no timeout for it */
        err = port_eventcount_wait(&pool->quiet, key, running ? deadline : PORT_DEADLINE_NEVER);
    }
}

bool async_pool_shutdown(async_pool_t *pool, int timeout_ms)
{
    int saved = errno, err;

    if (pool == NULL || timeout_ms < -1)
        return port_fail_false(EINVAL);
    if (is_inherited(pool))
        return port_fail_false(EPERM);
    if (pool_is_own_thread(pool))
        return port_fail_false(EDEADLK);
    close_pool(pool, false);
    err = wait_quiet(pool, false, port_deadline(timeout_ms));
    if (err != 0)
        return port_fail_false(err);
    errno = saved;
    return true;
}

void async_pool_destroy(async_pool_t *pool)
{
    int saved = errno;
    pool_thread_t *ended;

    /* in the child of a fork the threads are not there, and one may have held the lock: the memory
     * is left to the child's end */
    if (pool == NULL || is_inherited(pool))
        return;
    if (pool_is_own_thread(pool)) {
        close_pool(pool, true);
        errno = saved;
        return;
    }
    close_pool(pool, false);
    wait_quiet(pool, true, PORT_DEADLINE_NEVER);
    pool_lock(pool);
    ended = pool->ended;
    pool->ended = NULL;
    port_mutex_unlock(&pool->lock);
    if (ended != NULL) {
        port_thread_join(&ended->thread);
        port_free_aligned(ended);
    }
    pool_drop(pool);
    errno = saved;
}

void async_pool_get_stats(const async_pool_t *given, async_pool_stats_t *stats)
{
    /* the lock is all that is changed */
    async_pool_t *pool = (async_pool_t *)given;

    if (stats == NULL)
        return;
    memset(stats, 0, sizeof(*stats));
    if (pool == NULL || is_inherited(pool))
        return;
    pool_lock(pool);
    stats->threads = pool->live;
    stats->idle = pool->live - pool->running;
    stats->waiting = pool->waiting;
    stats->running = pool->running;
    stats->completed = pool->completed;
    stats->cancelled = pool->cancelled;
    stats->rejected = pool->rejected;
    stats->submitted = pool->waiting + pool->running + pool->completed + pool->cancelled;
    port_mutex_unlock(&pool->lock);
}

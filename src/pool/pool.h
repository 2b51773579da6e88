/* SPDX-License-Identifier: MIT */
/*
 * pool.h - the inside of a pool, shared by its files
 *
 * pool.c has the public functions, pool_jobs.c the jobs (their memory, the queue of those that
 * wait), pool_thread.c the threads.
 *
 * Everything in a pool is under its lock unless its comment says otherwise.  A completion is posted
 * without the lock, after the job has been counted as ended: who sees the completion sees the
 * counts.
 */
#ifndef POOL_H
#define POOL_H

#include <asyncrt/async_pool.h>

#include "port/port_compiler.h"
#include "port/port_eventcount.h"
#include "port/port_mutex.h"
#include "port/port_thread.h"
#include "runtime/runtime_node.h"

#include <stdalign.h>

#include <stdatomic.h>

typedef struct pool_job pool_job_t;
typedef struct pool_chunk pool_chunk_t;
typedef struct pool_entry pool_entry_t;
typedef struct pool_thread pool_thread_t;

/*
 * A job, from submit until its completion has been handed out.  It is its node and nothing else,
 * which is one cache line: context is the argument, data the procedure until it has returned and
 * then its result, next links the jobs of a list while they are not the runtime's, and the pool is
 * found through the chunk.
 */
struct pool_job {
    alignas(PORT_CACHE_LINE) runtime_node_t node;
};

/* A waiting job's place in the queue. */
struct pool_entry {
    uint64_t id;
    pool_job_t *job; /* NULL: cancelled */
};

/* What an idle thread is doing (pool_thread.park). */
#define PARK_SPINNING 0u /* looking at park for a moment */
#define PARK_SLEEPING 1u /* asleep on park */
#define PARK_WOKEN 2u    /* called for, or about to leave */

struct pool_thread {
    async_pool_t *pool;
    port_thread_t thread;
    pool_job_t *job;       /* the thread's own: the one whose procedure runs */
    uint64_t job_id;       /* its id, 0: none */
    bool busy;             /* counted in the pool's busy */
    bool idle;             /* in the pool's list of idle threads */
    _Atomic uint32_t park; /* SPINNING to SLEEPING by the thread; to WOKEN by others, under lock */
    pool_thread_t *idle_prev, *idle_next;
    pool_thread_t *prev, *next; /* of all that are alive */
};

struct async_pool {
    /* not changed after create */
    async_runtime_t *runtime; /* held */
    size_t cap;
    size_t queue_limit; /* 0: none */
    size_t stack_size;
    uint64_t idle_ns;
    uint32_t fork_generation;
    bool may_spin; /* there is another processor to do what is waited for */
    char name[PORT_THREAD_NAME_MAX + 1];

    alignas(PORT_CACHE_LINE) port_mutex_t lock;
    bool shut;   /* no jobs are accepted any more */
    bool orphan; /* destroyed from inside a job: the last thread drops the owner's reference */

    /* the queue: entries at positions head to tail - 1, by rising id; size: 0 or a power of two */
    pool_entry_t *entries;
    size_t size;
    uint64_t head, tail;
    size_t waiting; /* those of them that are not cancelled */
    uint64_t last_id;

    size_t live;    /* threads */
    size_t coming;  /* of these, without a job and on the way to the lock: they will take one */
    size_t running; /* jobs whose procedure runs */
    size_t busy;    /* threads with a job or a completion to post, and calls with some to post */
    uint64_t completed, cancelled, rejected;
    pool_thread_t *idle;    /* the one that became idle last comes first, for its caches are warm */
    pool_thread_t *threads; /* all */
    pool_thread_t *ended;   /* the last that left, to be joined by the next or by destroy */
    pool_job_t *free_jobs;
    pool_chunk_t *chunks;

    /* pushed by done, all taken at once by submit */
    alignas(PORT_CACHE_LINE) _Atomic(pool_job_t *) returned;
    /* one for the owner, one for each live thread, one for each job not yet returned */
    _Atomic size_t refs;
    port_eventcount_t quiet;                           /* once shut: busy or live has become 0 */
    alignas(PORT_CACHE_LINE) _Atomic uint32_t spinner; /* an idle thread spins */
};

void pool_lock(async_pool_t *pool);

/* Drops a reference, and frees the pool with the last one.  Without the lock. */
void pool_drop(async_pool_t *pool);

/* ---- pool_jobs.c; under the lock */

/* Makes sure that pool_push has a place and a record.  Returns 0 or ENOMEM. */
int pool_reserve(async_pool_t *pool);

/* Queues a job; returns its id. */
uint64_t pool_push(async_pool_t *pool, async_pool_proc_t proc, void *arg, uintptr_t key);

/* Takes the oldest job that waits; NULL: none. */
pool_job_t *pool_take(async_pool_t *pool, uint64_t *id);

/* Takes a job out, wherever it is; NULL: it does not wait. */
pool_job_t *pool_take_id(async_pool_t *pool, uint64_t id);

/* Posts a job's completion; the job is the runtime's from here on.  Without the lock. */
void pool_post(async_pool_t *pool, pool_job_t *job);

/* Frees what the jobs had; none is left. */
void pool_free_jobs(async_pool_t *pool);

/* ---- pool_thread.c */

/* Sees to it that a thread comes for one more job.  Under the lock.  *woken: NULL, or what is to be
 * woken by port_futex_wake when the lock has been given up.  Returns 0, or EAGAIN or ENOMEM when
 * the pool has no thread and gets none. */
int pool_call_thread(async_pool_t *pool, _Atomic uint32_t **woken);

/* Lets all idle threads leave.  Under the lock; shut is set. */
void pool_dismiss_idle(async_pool_t *pool);

/* Whether the caller is one of the pool's threads, and so inside a job. */
bool pool_is_own_thread(const async_pool_t *pool);

#endif /* POOL_H */

/* SPDX-License-Identifier: MIT */
/*
 * pool_thread.c - the threads of a pool
 *
 * A thread takes one job at a time, so jobs start in order and a short one never waits behind a
 * long one while another thread is free.  It comes to the lock once a job: to count the one that
 * has ended and to take the next; the completion is posted in between.
 *
 * For each job that is submitted a thread comes: one that is on its way and has no job to come for
 * yet, else an idle one, else a new one up to the cap; else all are busy and will look when they
 * are done. An idle thread looks at its park word for some microseconds before it sleeps on it, so
 * that in a stream of jobs nobody has to wake it by a system call; only one thread at a time does.
 *
 * Threads join each other: each one that leaves joins the one that left before it, and destroy
 * joins the last.  So no more than one thread that has ended is ever left over, and none after
 * destroy.
 */
#include "pool/pool.h"

#include "port/port_clock.h"
#include "port/port_compiler.h"
#include "port/port_memory.h"

#include <errno.h>
#include <string.h>

/* Looks at the park word before sleeping: some microseconds.  More gained nothing and cost a busy
 * machine its processors. */
#define SPINS 100

/* The pool thread that is calling. */
static PORT_THREAD_LOCAL pool_thread_t *current_thread;

bool pool_is_own_thread(const async_pool_t *pool)
{
    return current_thread != NULL && current_thread->pool == pool;
}

/* ---- idle threads; under the lock unless said otherwise ---- */

static void idle_remove(pool_thread_t *thread)
{
    if (thread->idle_prev != NULL)
        thread->idle_prev->idle_next = thread->idle_next;
    else
        thread->pool->idle = thread->idle_next;
    if (thread->idle_next != NULL)
        thread->idle_next->idle_prev = thread->idle_prev;
    thread->idle = false;
}

static void idle_add(pool_thread_t *thread)
{
    async_pool_t *pool = thread->pool;

    thread->idle_prev = NULL;
    thread->idle_next = pool->idle;
    if (pool->idle != NULL)
        pool->idle->idle_prev = thread;
    pool->idle = thread;
    thread->idle = true;
    atomic_store_explicit(&thread->park, PARK_SPINNING, memory_order_relaxed);
}

/* Calls the thread that became idle last.  Returns what to wake, or NULL when it is awake. */
static _Atomic uint32_t *call_idle(async_pool_t *pool)
{
    pool_thread_t *thread = pool->idle;

    idle_remove(thread);
    pool->coming++;
    /* what the thread is called for is under the lock, which it takes; so relaxed would do */
    if (atomic_exchange_explicit(&thread->park, PARK_WOKEN, memory_order_acq_rel) == PARK_SLEEPING)
        return &thread->park;
    return NULL;
}

void pool_dismiss_idle(async_pool_t *pool)
{
    while (pool->idle != NULL) {
        _Atomic uint32_t *woken = call_idle(pool);

        /* under the lock the thread cannot have left */
        if (woken != NULL)
            port_futex_wake(woken, 1);
    }
}

/* Waits to be called.  Without the lock. */
static void park(pool_thread_t *self)
{
    async_pool_t *pool = self->pool;
    uint32_t state = PARK_SPINNING;
    uint64_t deadline;

    if (pool->may_spin && atomic_exchange_explicit(&pool->spinner, 1, memory_order_relaxed) == 0) {
        for (int i = 0; i < SPINS && state == PARK_SPINNING; i++) {
            port_cpu_relax();
            state = atomic_load_explicit(&self->park, memory_order_relaxed);
        }
        atomic_store_explicit(&pool->spinner, 0, memory_order_relaxed);
    }
    /* pairs with the exchange in call_idle: whoever calls sees SLEEPING and wakes, or this fails */
    if (state != PARK_SPINNING ||
        !atomic_compare_exchange_strong_explicit(&self->park, &state, PARK_SLEEPING,
                                                 memory_order_acq_rel, memory_order_acquire))
        return;
    deadline = port_clock_after(port_clock_now(), pool->idle_ns);
    while (atomic_load_explicit(&self->park, memory_order_acquire) == PARK_SLEEPING)
        if (port_futex_wait(&self->park, PARK_SLEEPING, deadline) == ETIMEDOUT)
            return;
}

/* Nothing is to be done.  True: look again; false: leave. */
static bool wait_for_job(pool_thread_t *self)
{
    async_pool_t *pool = self->pool;

    if (pool->shut || pool->idle_ns == 0)
        return false;
    idle_add(self);
    port_mutex_unlock(&pool->lock);
    park(self);
    pool_lock(pool);
    if (!self->idle) {
        pool->coming--;
        return true;
    }
    idle_remove(self);
    return pool->waiting != 0;
}

/* ---- the thread ---- */

static void set_busy(pool_thread_t *self, bool busy)
{
    async_pool_t *pool = self->pool;

    if (self->busy == busy)
        return;
    self->busy = busy;
    if (busy) {
        pool->busy++;
    } else {
        pool->busy--;
        if (pool->shut && pool->busy == 0)
            port_eventcount_notify(&pool->quiet, PORT_FUTEX_ALL);
    }
}

/* The lock is held, and given up. */
static void leave(pool_thread_t *self)
{
    async_pool_t *pool = self->pool;
    pool_thread_t *before = pool->ended;
    bool last;

    current_thread = NULL;
    if (self->prev != NULL)
        self->prev->next = self->next;
    else
        pool->threads = self->next;
    if (self->next != NULL)
        self->next->prev = self->prev;
    pool->live--;
    last = pool->orphan && pool->live == 0;
    pool->ended = last ? NULL : self;
    if (pool->shut && pool->live == 0)
        port_eventcount_notify(&pool->quiet, PORT_FUTEX_ALL);
    port_mutex_unlock(&pool->lock);
    if (before != NULL) {
        port_thread_join(&before->thread);
        port_free_aligned(before);
    }
    if (last) {
        /* nobody is left to join this one, nor to drop the owner's reference */
        port_thread_detach(&self->thread);
        port_free_aligned(self);
        pool_drop(pool);
    }
    pool_drop(pool);
}

static void run(pool_thread_t *self, pool_job_t *job)
{
    async_pool_proc_t proc = (async_pool_proc_t)job->node.data;

    self->job = job;
    job->node.data = (uintptr_t)proc(job->node.context);
    self->job = NULL;
}

/* Under the lock: the job's procedure has returned. */
static void count_end(pool_thread_t *self)
{
    self->job_id = 0;
    self->pool->running--;
    self->pool->completed++;
}

/* Serves until there has been nothing to do for long enough.  ended: NULL, or a job to begin with
 * whose procedure has returned.  The lock is held, and given up. */
static void serve(pool_thread_t *self, pool_job_t *ended)
{
    async_pool_t *pool = self->pool;

    for (;;) {
        pool_job_t *job = pool_take(pool, &self->job_id);

        if (job != NULL) {
            pool->running++;
            set_busy(self, true);
        } else if (ended == NULL) {
            set_busy(self, false);
            if (!wait_for_job(self))
                break;
            continue;
        } else {
            /* back in a moment: who sees the completion need call no other thread */
            pool->coming++;
        }
        port_mutex_unlock(&pool->lock);
        if (ended != NULL)
            pool_post(pool, ended);
        if (job != NULL)
            run(self, job);
        pool_lock(pool);
        if (job != NULL)
            count_end(self);
        else
            pool->coming--;
        ended = job;
    }
    leave(self);
}

static void thread_main(void *arg)
{
    pool_thread_t *self = arg;

    current_thread = self;
    pool_lock(self->pool);
    self->pool->coming--;
    serve(self, NULL);
}

/* A job has called pthread_exit().  That ends the job, not the service: it is still the thread. */
static void thread_exits(void *arg)
{
    pool_thread_t *self = current_thread;
    pool_job_t *job;

    if (self == NULL || self != arg || self->job == NULL)
        return;
    job = self->job;
    self->job = NULL;
    job->node.data = 0;
    pool_lock(self->pool);
    count_end(self);
    serve(self, job);
}

/* ---- threads are started under the lock: whoever joins one finds its handle stored ---- */

static int start_thread(async_pool_t *pool)
{
    pool_thread_t *thread = port_alloc_aligned(sizeof(*thread), PORT_CACHE_LINE);
    port_thread_attr_t attr = {
        .stack_size = pool->stack_size, .name = pool->name, .on_exit = thread_exits};
    int err;

    if (thread == NULL)
        return ENOMEM;
    memset(thread, 0, sizeof(*thread));
    thread->pool = pool;
    atomic_init(&thread->park, PARK_WOKEN);
    atomic_fetch_add_explicit(&pool->refs, 1, memory_order_relaxed);
    err = port_thread_create(&thread->thread, thread_main, thread, &attr);
    if (err != 0) {
        atomic_fetch_sub_explicit(&pool->refs, 1, memory_order_relaxed);
        port_free_aligned(thread);
        return err;
    }
    thread->next = pool->threads;
    if (pool->threads != NULL)
        pool->threads->prev = thread;
    pool->threads = thread;
    pool->live++;
    pool->coming++;
    return 0;
}

int pool_call_thread(async_pool_t *pool, _Atomic uint32_t **woken)
{
    int err;

    *woken = NULL;
    if (pool->coming > pool->waiting)
        return 0;
    if (pool->idle != NULL) {
        *woken = call_idle(pool);
        return 0;
    }
    if (pool->live == pool->cap)
        return 0;
    err = start_thread(pool);
    /* those that there are will do it: none leaves while a job waits */
    return pool->live != 0 ? 0 : err;
}

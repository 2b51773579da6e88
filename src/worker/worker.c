/* SPDX-License-Identifier: MIT */
/*
 * worker.c - managed threads
 *
 * A handle is shared: its owner holds one reference until destroy, the thread one until its last
 * act, a thread in create or join one for the length of the call, and a completion one while it is
 * queued in the runtime.  So destroy never waits, and whoever is last frees.
 *
 * The end of a thread: it stores the result, publishes ENDED, wakes those who join, posts the
 * completion, and drops its reference.  The system's thread is reaped by the first who joins, or
 * let go of by destroy; `reap` says which, since both may come early or at once.
 */
#include <asyncrt/async_worker.h>

#include "port/port_clock.h"
#include "port/port_compiler.h"
#include "port/port_error.h"
#include "port/port_eventcount.h"
#include "port/port_fork.h"
#include "port/port_memory.h"
#include "port/port_thread.h"
#include "runtime/runtime_node.h"
#include "worker/worker_handle.h"

#include <string.h>

/* Bits of async_worker.word. */
#define WORD_STOP 1u  /* the stop was requested */
#define WORD_ENDED 2u /* the procedure has returned */

/* Values of async_worker.reap: what becomes of the system's thread. */
#define REAP_STARTING 0u /* create has not stored the thread yet */
#define REAP_READY 1u    /* stored; nobody has reaped it */
#define REAP_BUSY 2u     /* a thread in join is reaping it */
#define REAP_DONE 3u     /* reaped */
#define REAP_LET_GO 4u   /* detached, or to be detached by create */

struct async_worker {
    _Atomic uint32_t word; /* WORD_*; bits are only ever added, by any thread */
    _Atomic uint32_t refs;
    _Atomic uint32_t reap; /* REAP_* */
    uint32_t fork_generation;
    port_eventcount_t stop_waiters; /* for WORD_STOP */
    port_eventcount_t end_waiters;  /* for WORD_ENDED and reap */
    worker_handle_t stop_handle;
    port_thread_t thread; /* written by create before REAP_READY; read by who takes it from there */
    void *result;         /* written by the thread before WORD_ENDED; read after it */
    /* written by create before the thread starts */
    async_worker_proc_t proc;
    void *context;
    async_runtime_t *runtime; /* held, or NULL */
    runtime_node_t node;      /* the thread's to post; then the runtime's, with a reference */
};

/* The worker whose thread this is. */
static PORT_THREAD_LOCAL async_worker_t *current_worker;

static void worker_drop(async_worker_t *worker)
{
    /* acq_rel: all that others did with the handle comes before the free */
    if (atomic_fetch_sub_explicit(&worker->refs, 1, memory_order_acq_rel) != 1)
        return;
    worker_handle_close(&worker->stop_handle);
    if (worker->runtime != NULL)
        runtime_drop(worker->runtime);
    port_free(worker);
}

static bool is_inherited(const async_worker_t *worker)
{
    return worker->fork_generation != port_fork_generation();
}

/* ---- the thread ---- */

static void node_done(runtime_node_t *node)
{
    worker_drop(PORT_CONTAINER(node, async_worker_t, node));
}

/* The thread's last acts. */
static void worker_end(async_worker_t *worker, void *result)
{
    current_worker = NULL;
    worker->result = result;
    /* release: pairs with the loads of word in has_ended; seq_cst as notify wants it made true */
    atomic_fetch_or_explicit(&worker->word, WORD_ENDED, memory_order_seq_cst);
    port_eventcount_notify(&worker->end_waiters, PORT_FUTEX_ALL);
    /* a worker that forked and returned from its procedure in the child owes its parent nothing */
    if (worker->runtime != NULL && !runtime_is_inherited(worker->runtime)) {
        worker->node.data = (uintptr_t)result;
        atomic_fetch_add_explicit(&worker->refs, 1, memory_order_relaxed);
        runtime_post_node(worker->runtime, &worker->node);
    }
    worker_drop(worker);
}

static void worker_main(void *arg)
{
    async_worker_t *worker = arg;

    current_worker = worker;
    worker_end(worker, worker->proc(worker->context));
}

/* The procedure has called pthread_exit(). */
static void worker_exits(void *arg)
{
    if (current_worker == arg)
        worker_end(arg, NULL);
}

/* ---- create ---- */

/* Stores the thread for those who reap it, and lets go of it when destroy has come first: the
 * worker itself may have called that. */
static void publish_thread(async_worker_t *worker, const port_thread_t *thread)
{
    uint32_t reap = REAP_STARTING;

    worker->thread = *thread;
    /* release: pairs with the compare-and-swap in try_reap and the exchange in destroy */
    if (atomic_compare_exchange_strong_explicit(&worker->reap, &reap, REAP_READY,
                                                memory_order_seq_cst, memory_order_relaxed))
        port_eventcount_notify(&worker->end_waiters, PORT_FUTEX_ALL);
    else
        port_thread_detach(&worker->thread);
}

static async_worker_t *worker_new(async_worker_proc_t proc, void *context,
                                  const async_worker_options_t *options)
{
    async_worker_t *worker = port_zalloc(1, sizeof(*worker));

    if (worker == NULL)
        return NULL;
    atomic_init(&worker->word, 0);
    atomic_init(&worker->refs, 3); /* the owner, the thread, create */
    atomic_init(&worker->reap, REAP_STARTING);
    worker->fork_generation = port_fork_generation();
    port_eventcount_init(&worker->stop_waiters);
    port_eventcount_init(&worker->end_waiters);
    worker_handle_init(&worker->stop_handle);
    worker->proc = proc;
    worker->context = context;
    worker->runtime = options->runtime;
    runtime_node_init(&worker->node, options->completion_key, worker, node_done);
    if (worker->runtime != NULL)
        runtime_hold(worker->runtime);
    return worker;
}

async_worker_t *async_worker_create_with(async_worker_proc_t proc, void *context,
                                         const async_worker_options_t *given)
{
    async_worker_options_t options = ASYNC_WORKER_OPTIONS_INIT;
    port_thread_attr_t attr = {.on_exit = worker_exits};
    int saved = errno, err;
    async_worker_t *worker;
    port_thread_t thread;

    if (proc == NULL || (given != NULL && given->size < sizeof(given->size)))
        return port_fail_null(EINVAL);
    if (given != NULL)
        memcpy(&options, given, given->size < sizeof(options) ? given->size : sizeof(options));
    if (port_fork_watch() != 0)
        return port_fail_null(ENOMEM);
    if (options.runtime != NULL && runtime_is_inherited(options.runtime))
        return port_fail_null(EPERM);
    worker = worker_new(proc, context, &options);
    if (worker == NULL)
        return port_fail_null(ENOMEM);
    attr.stack_size = options.stack_size;
    attr.name = options.name;
    err = port_thread_create(&thread, worker_main, worker, &attr);
    if (err != 0) {
        atomic_store_explicit(&worker->refs, 1, memory_order_relaxed);
        worker_drop(worker);
        return port_fail_null(err);
    }
    publish_thread(worker, &thread);
    worker_drop(worker);
    errno = saved;
    return worker;
}

async_worker_t *async_worker_create(async_worker_proc_t proc, void *context, size_t stack_size)
{
    async_worker_options_t options = ASYNC_WORKER_OPTIONS_INIT;

    options.stack_size = stack_size;
    return async_worker_create_with(proc, context, &options);
}

void async_worker_destroy(async_worker_t *worker)
{
    int saved = errno;
    uint32_t reap;

    if (worker == NULL)
        return;
    if (is_inherited(worker)) {
        /* the thread is the parent's: its reference goes with the owner's, and it goes on */
        if ((atomic_load_explicit(&worker->word, memory_order_acquire) & WORD_ENDED) == 0 &&
            current_worker != worker)
            worker_drop(worker);
    } else {
        async_worker_signal_stop(worker);
        /* acquire: pairs with the compare-and-swap in publish_thread */
        reap = atomic_exchange_explicit(&worker->reap, REAP_LET_GO, memory_order_acq_rel);
        if (reap == REAP_READY)
            port_thread_detach(&worker->thread);
    }
    worker_drop(worker);
    errno = saved;
}

/* ---- the stop ---- */

void async_worker_signal_stop(async_worker_t *worker)
{
    if (worker == NULL)
        return;
    /* seq_cst: made known before the waiters and the handle are looked for (see their headers) */
    atomic_fetch_or_explicit(&worker->word, WORD_STOP, memory_order_seq_cst);
    port_eventcount_notify(&worker->stop_waiters, PORT_FUTEX_ALL);
    /* in the child of a fork the handle is also the parent's, whose worker goes on */
    if (!is_inherited(worker))
        worker_handle_signal(&worker->stop_handle);
}

async_worker_t *async_worker_current(void)
{
    return current_worker;
}

bool async_worker_should_stop(const async_worker_t *worker)
{
    if (worker == NULL)
        worker = current_worker;
    if (worker == NULL)
        return port_fail_false(EINVAL);
    return (atomic_load_explicit(&worker->word, memory_order_relaxed) & WORD_STOP) != 0;
}

static bool stop_requested(const async_worker_t *worker)
{
    return (atomic_load_explicit(&worker->word, memory_order_acquire) & WORD_STOP) != 0;
}

bool async_worker_wait_stop(async_worker_t *worker, int timeout_ms)
{
    uint64_t deadline;
    int err = 0;

    if (timeout_ms < -1)
        return port_fail_false(EINVAL);
    if (worker == NULL)
        worker = current_worker;
    if (worker == NULL)
        return port_fail_false(EINVAL);
    deadline = port_deadline(timeout_ms);
    while (!stop_requested(worker)) {
        uint32_t key;

        if (err != 0 || timeout_ms == 0)
            return port_fail_false(ETIMEDOUT);
        key = port_eventcount_prepare(&worker->stop_waiters);
        if (stop_requested(worker))
            port_eventcount_cancel(&worker->stop_waiters);
        else
            err = port_eventcount_wait(&worker->stop_waiters, key, deadline);
    }
    return true;
}

async_handle_t async_worker_get_stop_handle(async_worker_t *worker)
{
    async_handle_t handle;
    int saved = errno, err;

    if (worker == NULL) {
        port_error_set(EINVAL);
        return (async_handle_t)-1;
    }
    err = worker_handle_get(&worker->stop_handle, &handle);
    if (err != 0) {
        port_error_set(err);
        return (async_handle_t)-1;
    }
    errno = saved;
    /* a request that came before the handle was there could not signal it; twice does no harm */
    if ((atomic_load_explicit(&worker->word, memory_order_seq_cst) & WORD_STOP) != 0 &&
        !is_inherited(worker))
        worker_handle_signal(&worker->stop_handle);
    return handle;
}

/* ---- the end ---- */

static bool has_ended(const async_worker_t *worker)
{
    /* pairs with the fetch_or in worker_end */
    return (atomic_load_explicit(&worker->word, memory_order_acquire) & WORD_ENDED) != 0;
}

/* The thread has ended.  Reaps it if that is still to be done; false: another thread is about to
 * finish that, or to store the thread. */
static bool try_reap(async_worker_t *worker)
{
    uint32_t reap = atomic_load_explicit(&worker->reap, memory_order_acquire);

    if (reap == REAP_DONE || reap == REAP_LET_GO)
        return true;
    /* acquire: pairs with the compare-and-swap in publish_thread */
    if (reap != REAP_READY ||
        !atomic_compare_exchange_strong_explicit(&worker->reap, &reap, REAP_BUSY,
                                                 memory_order_acquire, memory_order_relaxed))
        return false;
    port_thread_join(&worker->thread);
    atomic_store_explicit(&worker->reap, REAP_DONE, memory_order_seq_cst);
    port_eventcount_notify(&worker->end_waiters, PORT_FUTEX_ALL);
    return true;
}

/* 0 or ETIMEDOUT. */
static int worker_wait_end(async_worker_t *worker, uint64_t deadline)
{
    int err = 0;

    for (;;) {
        uint32_t key = port_eventcount_prepare(&worker->end_waiters);

        if (has_ended(worker)) {
            /* what is still to be done is only a moment's work: no timeout any more */
            deadline = PORT_DEADLINE_NEVER;
            err = 0;
            if (try_reap(worker)) {
                port_eventcount_cancel(&worker->end_waiters);
                return 0;
            }
        }
        if (err != 0 || deadline == 0) {
            port_eventcount_cancel(&worker->end_waiters);
            return ETIMEDOUT;
        }
        err = port_eventcount_wait(&worker->end_waiters, key, deadline);
    }
}

bool async_worker_join(async_worker_t *worker, int timeout_ms)
{
    int saved = errno, err;

    if (worker == NULL || timeout_ms < -1)
        return port_fail_false(EINVAL);
    if (worker == current_worker)
        return port_fail_false(EDEADLK);
    if (is_inherited(worker))
        return has_ended(worker) ? true : port_fail_false(EPERM);
    atomic_fetch_add_explicit(&worker->refs, 1, memory_order_relaxed);
    err = worker_wait_end(worker, port_deadline(timeout_ms));
    worker_drop(worker);
    if (err != 0)
        return port_fail_false(err);
    errno = saved;
    return true;
}

async_worker_state_t async_worker_get_state(const async_worker_t *worker)
{
    uint32_t word;

    if (worker == NULL) {
        port_error_set(EINVAL);
        return ASYNC_WORKER_STOPPED;
    }
    /* acquire: what the thread did is visible to who sees it STOPPED; pairs with worker_end */
    word = atomic_load_explicit(&worker->word, memory_order_acquire);
    if ((word & WORD_ENDED) != 0)
        return ASYNC_WORKER_STOPPED;
    return (word & WORD_STOP) != 0 ? ASYNC_WORKER_STOPPING : ASYNC_WORKER_RUNNING;
}

void *async_worker_get_result(const async_worker_t *worker)
{
    if (worker == NULL)
        return port_fail_null(EINVAL);
    if (!has_ended(worker))
        return port_fail_null(EBUSY);
    return worker->result;
}

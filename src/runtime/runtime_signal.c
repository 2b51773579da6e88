/* SPDX-License-Identifier: MIT */
/*
 * runtime_signal.c - the watchers of each signal
 *
 * Dispositions belong to the process, so their watchers are process-wide state, the only one that
 * the runtime has:
 *
 * - watchers[signum] is changed under watchers_lock and walked by handlers without it.
 * - walking counts the handlers that are inside; who has unlinked a watcher waits until it was 0,
 *   and frees it then.  A handler that interrupts the waiting thread ends before it goes on; one in
 *   another thread makes a few writes at most.
 */
#include "runtime/runtime_signal.h"
#include "port/port_error.h"
#include "port/port_memory.h"
#include "port/port_mutex.h"
#include "port/port_thread.h"
#include "runtime/runtime.h"

struct signal_watcher {
    async_runtime_t *runtime;
    signal_watcher_t *next_of_runtime; /* loop thread */
    void *context;                     /* loop thread */
    int signum;
    _Atomic uint32_t count;                     /* handlers add, the loop thread takes */
    _Atomic(signal_watcher_t *) next_of_signal; /* written under watchers_lock */
};

static port_mutex_t watchers_lock = PORT_MUTEX_INIT;
static _Atomic(signal_watcher_t *) watchers[SIGNAL_NUMBER_MAX];
static _Atomic uint32_t walking;

void runtime_signal_raised(int signum)
{
    signal_watcher_t *watcher;

    /* seq_cst: pairs with the wait for 0 in unlink_watcher; either that sees us, or we see the list
     * without the watcher */
    atomic_fetch_add_explicit(&walking, 1, memory_order_seq_cst);
    watcher = atomic_load_explicit(&watchers[signum], memory_order_seq_cst);
    while (watcher != NULL) {
        async_runtime_t *runtime = watcher->runtime;

        /* In the child of a fork the loop is the parent's, who must not notice. */
        if (!runtime_is_inherited(runtime)) {
            atomic_fetch_add_explicit(&watcher->count, 1, memory_order_relaxed);
            /* seq_cst: the count before it, and before the look at the state */
            atomic_store_explicit(&runtime->signalled, 1, memory_order_seq_cst);
            runtime_notify(runtime);
        }
        watcher = atomic_load_explicit(&watcher->next_of_signal, memory_order_acquire);
    }
    atomic_fetch_sub_explicit(&walking, 1, memory_order_release);
}

static signal_watcher_t *find(const async_runtime_t *runtime, int signum)
{
    signal_watcher_t *watcher = runtime->signals.first;

    while (watcher != NULL && watcher->signum != signum)
        watcher = watcher->next_of_runtime;
    return watcher;
}

static void link_watcher(signal_watcher_t *watcher)
{
    _Atomic(signal_watcher_t *) *head = &watchers[watcher->signum];

    atomic_store_explicit(&watcher->next_of_signal,
                          atomic_load_explicit(head, memory_order_relaxed), memory_order_relaxed);
    atomic_store_explicit(head, watcher, memory_order_release);
}

static void unlink_watcher(signal_watcher_t *watcher)
{
    _Atomic(signal_watcher_t *) *at = &watchers[watcher->signum];
    signal_watcher_t *found;

    while ((found = atomic_load_explicit(at, memory_order_relaxed)) != watcher)
        at = &found->next_of_signal;
    atomic_store_explicit(at, atomic_load_explicit(&watcher->next_of_signal, memory_order_relaxed),
                          memory_order_seq_cst);
}

static bool is_watched(int signum)
{
    return atomic_load_explicit(&watchers[signum], memory_order_relaxed) != NULL;
}

/* Lock held. */
static void drop_watcher(async_runtime_t *runtime, signal_watcher_t *watcher, bool inherited)
{
    signal_watcher_t **at = &runtime->signals.first;

    while (*at != watcher)
        at = &(*at)->next_of_runtime;
    *at = watcher->next_of_runtime;
    unlink_watcher(watcher);
    if (!is_watched(watcher->signum))
        runtime_signal_restore(watcher->signum);
    /* The other threads of the parent do not exist in the child, and count for nothing. */
    while (!inherited && atomic_load_explicit(&walking, memory_order_seq_cst) != 0)
        port_thread_yield();
    port_free(watcher);
}

void runtime_signals_close(async_runtime_t *runtime)
{
    bool inherited = runtime_is_inherited(runtime);

    if (runtime->signals.first == NULL)
        return;
    /* A thread of the parent may have held the lock at the fork; it is not here to unlock it. */
    if (!inherited)
        port_mutex_lock(&watchers_lock);
    else if (!port_mutex_trylock(&watchers_lock))
        (void)port_mutex_init(&watchers_lock);
    while (runtime->signals.first != NULL)
        drop_watcher(runtime, runtime->signals.first, inherited);
    if (inherited)
        (void)port_mutex_init(&watchers_lock);
    else
        port_mutex_unlock(&watchers_lock);
}

int runtime_signals_take(async_runtime_t *runtime, async_event_t *events, int max)
{
    signal_watcher_t *watcher;
    int n = 0;

    /* Cleared first: a handler that counts from here on sets it again.  acquire: pairs with the
     * store in runtime_signal_raised. */
    if (atomic_exchange_explicit(&runtime->signalled, 0, memory_order_seq_cst) == 0)
        return 0;
    for (watcher = runtime->signals.first; watcher != NULL; watcher = watcher->next_of_runtime) {
        uint32_t count = atomic_exchange_explicit(&watcher->count, 0, memory_order_relaxed);

        while (count != 0 && n < max) {
            events[n++] = (async_event_t){.event_type = ASYNC_EVENT_SIGNAL,
                                          .fd = ASYNC_INVALID_FD,
                                          .data = (uintptr_t)watcher->signum,
                                          .context = watcher->context};
            count--;
        }
        if (count != 0) {
            atomic_fetch_add_explicit(&watcher->count, count, memory_order_relaxed);
            atomic_store_explicit(&runtime->signalled, 1, memory_order_seq_cst);
        }
    }
    return n;
}

/* ---- Public. ---- */

static int add(async_runtime_t *runtime, int signum, void *context)
{
    signal_watcher_t *watcher;
    int err = 0;

    if (find(runtime, signum) != NULL)
        return EEXIST;
    watcher = port_zalloc(1, sizeof(*watcher));
    if (watcher == NULL)
        return ENOMEM;
    watcher->runtime = runtime;
    watcher->context = context;
    watcher->signum = signum;
    port_mutex_lock(&watchers_lock);
    if (!is_watched(signum))
        err = runtime_signal_catch(signum);
    if (err == 0)
        link_watcher(watcher);
    port_mutex_unlock(&watchers_lock);
    if (err != 0) {
        port_free(watcher);
        return err;
    }
    watcher->next_of_runtime = runtime->signals.first;
    runtime->signals.first = watcher;
    return 0;
}

int async_runtime_add_signal(async_runtime_t *runtime, int signum, void *context)
{
    int saved = errno, err = runtime_check_thread(runtime);

    if (err == 0 && (signum <= 0 || signum >= SIGNAL_NUMBER_MAX))
        err = EINVAL;
    if (err == 0)
        err = add(runtime, signum, context);
    return port_result(err, saved);
}

int async_runtime_remove_signal(async_runtime_t *runtime, int signum)
{
    int saved = errno, err = runtime_check_thread(runtime);
    signal_watcher_t *watcher = NULL;

    if (err == 0 && (signum <= 0 || signum >= SIGNAL_NUMBER_MAX))
        err = EINVAL;
    if (err == 0 && (watcher = find(runtime, signum)) == NULL)
        err = ENOENT;
    if (err == 0) {
        port_mutex_lock(&watchers_lock);
        drop_watcher(runtime, watcher, false);
        port_mutex_unlock(&watchers_lock);
    }
    return port_result(err, saved);
}

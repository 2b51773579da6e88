/* SPDX-License-Identifier: MIT */
/*
 * runtime.h - the runtime's own structure
 *
 * Who touches what: a group of fields says it.  "Loop thread" fields have no lock: the contract of
 * the public functions, and in_wait, keep a second thread out.
 */
#ifndef RUNTIME_H
#define RUNTIME_H

#include "port/port_compiler.h"
#include "port/port_fork.h"
#include "port/port_thread.h"
#include "runtime/backend.h"
#include "runtime/runtime_bind.h"
#include "runtime/runtime_completion.h"
#include "runtime/runtime_operation.h"
#include "runtime/runtime_signal.h"
#include "runtime/runtime_table.h"
#include "runtime/runtime_timer.h"

#include <errno.h>

/* Values of async_runtime.state. */
enum {
    STATE_AWAKE,    /* the loop thread looks at everything before it sleeps again */
    STATE_SLEEPING, /* it sleeps, or is about to: who posts wakes it */
    STATE_NOTIFIED, /* somebody has taken it on himself to wake it */
    STATE_CLOSED,   /* deinit: what is posted is discarded by its poster */
};

/* The sources of events; the order is that in which they get their turns. */
enum {
    KIND_IO,
    KIND_COMPLETION,
    KIND_TIMER,
    KIND_SIGNAL,
    KIND_OPERATION,
    KIND_CONSOLE,
    KIND_COUNT,
};

struct async_runtime {
    /* Constant after init; backend_state until deinit. */
    const backend_t *backend;
    void *backend_state;
    uint32_t fork_generation;
    uint64_t owner; /* ASYNC_RUNTIME_SINGLE_THREAD: the loop thread's token; else 0 */
    uint64_t spin_ns;

    /* Any thread. */
    _Alignas(PORT_CACHE_LINE) _Atomic uint32_t state;
    _Atomic uint32_t refs;      /* runtime_hold() */
    _Atomic uint32_t wakers;    /* threads inside backend->wake, for deinit to wait out */
    _Atomic uint32_t wakeup;    /* async_runtime_wakeup() was called; wait clears it */
    _Atomic uint32_t signalled; /* signal handlers have counted something; wait clears it */
    _Atomic uint64_t wakeups_sent;

    runtime_completions_t completions; /* says itself */
    runtime_bindings_t bindings;       /* under its lock */

    /* A thread is inside wait: any thread may try.  On a line of the loop thread's, which writes it
     * with each wait: posters read the one of `state` with each post. */
    _Alignas(PORT_CACHE_LINE) _Atomic uint32_t in_wait;

    /* Loop thread. */
    runtime_table_t table;
    runtime_timers_t timers;
    runtime_signals_t signals;
    runtime_operations_t operations;
    bool nested;        /* get_fd was called: the runtime is left armed outside of wait */
    bool console_ready; /* standard input is registered, reports, and always ready */
    async_console_type_t console_type;
    uint32_t turn;    /* KIND_*: who is first when there is not room for all */
    uint32_t crowded; /* waits in a row with room for two, and more kinds pending */
    uint64_t waits;
    uint64_t io_events;

    /* Loop thread, within wait: where backend_report_ready puts its events. */
    async_event_t *ready;
    int ready_count;
    bool unwanted; /* the backend has reported what the program does not want to hear */
};

/* Any thread, also in a signal handler: wakes the loop if it sleeps.  What it is to find has been
 * published before, or at least claimed, sequentially consistent. */
void runtime_notify(async_runtime_t *runtime);

/* runtime_is_inherited(), inline. */
static inline bool runtime_of_parent(const async_runtime_t *runtime)
{
    return runtime->fork_generation != port_fork_generation();
}

/* The ladder's first steps of the functions that any thread may call.  0, EINVAL or EPERM. */
static inline int runtime_check(const async_runtime_t *runtime)
{
    if (runtime == NULL)
        return EINVAL;
    return runtime_of_parent(runtime) ? EPERM : 0;
}

/* Whether another thread than the calling one owns the runtime. */
static inline bool runtime_of_other_thread(const async_runtime_t *runtime)
{
    return PORT_UNLIKELY(runtime->owner != 0) && runtime->owner != port_thread_token();
}

/* The same of those that are the loop thread's. */
static inline int runtime_check_thread(const async_runtime_t *runtime)
{
    int err = runtime_check(runtime);

    return err == 0 && runtime_of_other_thread(runtime) ? EPERM : err;
}

#endif /* RUNTIME_H */

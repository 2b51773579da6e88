/* SPDX-License-Identifier: MIT */
/*
 * runtime.c - the beginning and the end of a runtime, and what it tells about itself
 */
#include "runtime/runtime.h"
#include "port/port_clock.h"
#include "port/port_error.h"
#include "port/port_fork.h"
#include "port/port_memory.h"
#include "port/port_thread.h"

#include <stdlib.h>
#include <string.h>

/* ---- init ---- */

#define FLAGS_KNOWN ASYNC_RUNTIME_SINGLE_THREAD

static int read_options(const async_runtime_options_t *given, async_runtime_options_t *options)
{
    *options = (async_runtime_options_t)ASYNC_RUNTIME_OPTIONS_INIT;
    if (given == NULL)
        return 0;
    if (given->size < sizeof(given->size))
        return EINVAL;
    memcpy(options, given, given->size < sizeof(*options) ? given->size : sizeof(*options));
    return (options->flags & ~FLAGS_KNOWN) != 0 ? EINVAL : 0;
}

static const backend_t *choose_backend(const char *name)
{
    if (name == NULL) {
        name = getenv("ASYNCRT_BACKEND");
        if (name != NULL && name[0] == '\0')
            name = NULL;
    }
    return backend_find(name);
}

static int open_parts(async_runtime_t *runtime, const async_runtime_options_t *options)
{
    int err = runtime_completion_open(&runtime->completions, options->completion_limit);

    if (err != 0)
        return err;
    err = port_mutex_init(&runtime->bindings.lock);
    if (err != 0) {
        runtime_completion_close(&runtime->completions, false);
        return err;
    }
    err = runtime->backend->open(runtime, runtime->owner != 0, &runtime->backend_state);
    if (err != 0) {
        port_mutex_destroy(&runtime->bindings.lock);
        runtime_completion_close(&runtime->completions, false);
    }
    /* no such system call, not for this process, or no more of what it makes for this user */
    return err == ENOSYS || err == EPERM || err == EACCES || err == ENOSPC ? ENOTSUP : err;
}

static int make(const async_runtime_options_t *given, async_runtime_t **made)
{
    async_runtime_options_t options;
    const backend_t *backend;
    async_runtime_t *runtime;
    int err = read_options(given, &options);

    if (err != 0)
        return err;
    backend = choose_backend(options.backend);
    if (backend == NULL)
        return ENOTSUP;
    err = port_fork_watch();
    if (err != 0)
        return err;
    runtime = port_alloc_aligned(sizeof(*runtime), PORT_CACHE_LINE);
    if (runtime == NULL)
        return ENOMEM;
    memset(runtime, 0, sizeof(*runtime));
    runtime->backend = backend;
    runtime->fork_generation = port_fork_generation();
    runtime->owner = options.flags & ASYNC_RUNTIME_SINGLE_THREAD ? port_thread_token() : 0;
    runtime->spin_ns = options.spin_us > PORT_NS_PER_S ? PORT_NS_PER_S * (uint64_t)PORT_NS_PER_US
                                                       : options.spin_us * PORT_NS_PER_US;
    runtime->console_type = ASYNC_CONSOLE_TYPE_NONE;
    atomic_init(&runtime->state, STATE_AWAKE);
    atomic_init(&runtime->refs, 1);
    err = open_parts(runtime, &options);
    if (err != 0) {
        port_free_aligned(runtime);
        return err;
    }
    *made = runtime;
    return 0;
}

async_runtime_t *async_runtime_init_with(const async_runtime_options_t *options)
{
    async_runtime_t *runtime = NULL;
    int saved = errno, err = make(options, &runtime);

    return port_result(err, saved) == 0 ? runtime : NULL;
}

async_runtime_t *async_runtime_init(void)
{
    return async_runtime_init_with(NULL);
}

/* ---- deinit ---- */

void async_runtime_deinit(async_runtime_t *runtime)
{
    int saved = errno;
    bool inherited;

    if (runtime == NULL)
        return;
    inherited = runtime_is_inherited(runtime);
    runtime_signals_close(runtime);
    runtime_bindings_close(runtime, inherited);
    /* seq_cst: pairs with the looks at state in runtime_post.c: who posts later discards his node
     * himself, and who has counted himself as a waker is waited for.  In the child of a fork they
     * are threads of the parent, which are not here. */
    atomic_store_explicit(&runtime->state, STATE_CLOSED, memory_order_seq_cst);
    while (!inherited && atomic_load_explicit(&runtime->wakers, memory_order_seq_cst) != 0)
        port_thread_yield();
    runtime->backend->close(runtime->backend_state, inherited);
    runtime->backend_state = NULL;
    runtime_table_close(runtime);
    runtime_operations_close(&runtime->operations);
    runtime_timer_close(&runtime->timers);
    runtime_completion_close(&runtime->completions, inherited);
    runtime_completion_discard(&runtime->completions);
    runtime_drop(runtime);
    errno = saved;
}

/* ---- What it is. ---- */

const char *async_runtime_get_backend(const async_runtime_t *runtime)
{
    int err = runtime_check(runtime);

    return err == 0 ? runtime->backend->name : port_fail_null(err);
}

void async_runtime_get_stats(const async_runtime_t *runtime, async_runtime_stats_t *stats)
{
    const runtime_completions_t *c;
    uint64_t tail, nodes;
    size_t untaken;

    if (stats == NULL)
        return;
    memset(stats, 0, sizeof(*stats));
    if (runtime_check(runtime) != 0)
        return;
    c = &runtime->completions;
    tail = atomic_load_explicit(&c->tail, memory_order_relaxed);
    nodes = runtime_completion_nodes_posted(c, &untaken);
    stats->registered = runtime->table.registered;
    stats->timers = runtime_timer_count(&runtime->timers);
    stats->completions_pending = (size_t)(tail - c->head) + c->waiting + untaken;
    stats->waits = runtime->waits;
    stats->io_events = runtime->io_events;
    stats->completions_posted = tail + nodes;
    stats->completions_delivered = c->delivered;
    stats->wakeups_sent = atomic_load_explicit(&runtime->wakeups_sent, memory_order_relaxed);
}

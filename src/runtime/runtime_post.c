/* SPDX-License-Identifier: MIT */
/*
 * runtime_post.c - what other threads do to a runtime
 *
 * Dekker's pair: a poster queues its node or claims its ticket and then looks at `state`; the loop
 * stores STATE_SLEEPING and then looks for nodes and claimed tickets (runtime_wait.c); all four
 * sequentially consistent, so that one of them sees the other.  Every poster looks, not only the
 * one that found nothing before it.  A ticket's publication, which comes between, is no part of
 * that order, since a second locked instruction would be a fourth of a post: a loop that sees a
 * claim without it must not count on being woken.
 */
#include "port/port_error.h"
#include "port/port_fork.h"
#include "port/port_memory.h"
#include "runtime/runtime.h"

bool runtime_is_inherited(const async_runtime_t *runtime)
{
    return runtime_of_parent(runtime);
}

void runtime_hold(async_runtime_t *runtime)
{
    atomic_fetch_add_explicit(&runtime->refs, 1, memory_order_relaxed);
}

void runtime_drop(async_runtime_t *runtime)
{
    /* acq_rel: what every holder has done comes before the free */
    if (atomic_fetch_sub_explicit(&runtime->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (!runtime_is_inherited(runtime))
        port_mutex_destroy(&runtime->bindings.lock);
    port_free_aligned(runtime);
}

static void PORT_NOINLINE wake(async_runtime_t *runtime)
{
    uint32_t expected = STATE_SLEEPING;

    if (!atomic_compare_exchange_strong_explicit(&runtime->state, &expected, STATE_NOTIFIED,
                                                 memory_order_seq_cst, memory_order_relaxed))
        return;
    /* Counted, then looked again: deinit stores STATE_CLOSED and then waits for the count to be 0,
     * so the backend is there as long as we are inside. */
    atomic_fetch_add_explicit(&runtime->wakers, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&runtime->state, memory_order_seq_cst) != STATE_CLOSED) {
        runtime->backend->wake(runtime->backend_state);
        atomic_fetch_add_explicit(&runtime->wakeups_sent, 1, memory_order_relaxed);
    }
    atomic_fetch_sub_explicit(&runtime->wakers, 1, memory_order_release);
}

void runtime_notify(async_runtime_t *runtime)
{
    if (atomic_load_explicit(&runtime->state, memory_order_seq_cst) == STATE_SLEEPING)
        wake(runtime);
}

void runtime_post_node(async_runtime_t *runtime, runtime_node_t *node)
{
    if (runtime_is_inherited(runtime)) {
        /* The loop is the parent's; here the post has nowhere to go. */
        atomic_store_explicit(&node->posted, 0, memory_order_release);
        if (node->done != NULL)
            node->done(node);
        return;
    }
    runtime_completion_push(&runtime->completions, node);
    /* The node may be gone from here on. */
    if (PORT_UNLIKELY(atomic_load_explicit(&runtime->state, memory_order_seq_cst) == STATE_CLOSED))
        runtime_completion_discard(&runtime->completions);
    else
        runtime_notify(runtime);
}

bool runtime_post_merged(async_runtime_t *runtime, runtime_node_t *node)
{
    /* acq_rel: pairs with the exchange in deliver_node; who finds the bit set has published before
     * the loop clears it */
    if (atomic_fetch_or_explicit(&node->posted, NODE_POSTED, memory_order_acq_rel) & NODE_POSTED)
        return false;
    runtime_post_node(runtime, node);
    return true;
}

int async_runtime_post_completion(async_runtime_t *runtime, uintptr_t completion_key,
                                  uintptr_t data)
{
    int err = runtime_check(runtime);

    if (err == 0)
        err = runtime_completion_post(&runtime->completions, completion_key, data);
    if (PORT_UNLIKELY(err != 0))
        return port_fail(err);
    runtime_notify(runtime);
    return 0; /* both keep errno, and one look at it would be a tenth of this call */
}

int async_runtime_wakeup(async_runtime_t *runtime)
{
    int saved = errno, err = runtime_check(runtime);

    if (err != 0)
        return port_fail(err);
    /* seq_cst: published before the look at the state */
    atomic_store_explicit(&runtime->wakeup, 1, memory_order_seq_cst);
    runtime_notify(runtime);
    errno = saved;
    return 0;
}

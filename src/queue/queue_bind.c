/* SPDX-License-Identifier: MIT */
/*
 * queue_bind.c - the hook of a bound queue: one announcement for each filling
 *
 *     producer                                   consumer that found nothing
 *     publish; fence; armed?                     armed = 1; fence; anything there?
 *     exchange(armed, 0) was 1: announce         exchange(armed, 0) was 1: announce
 *
 * Either the producer sees the hook armed or the consumer sees the message.  Producers that were
 * inside an enqueue when the queue was bound may know nothing of the hook; their claims lie before
 * bind_tail, and a consumer that still waits for one of those is told to come again.
 */
#include "queue/queue_impl.h"

#include <errno.h>

static void fire(queue_hook_t *hook)
{
    /* acquire, and seq_cst against the re-arming store: who takes the 1 announces, once */
    if (atomic_load_explicit(&hook->armed, memory_order_seq_cst) != 0 &&
        atomic_exchange_explicit(&hook->armed, 0, memory_order_seq_cst) != 0)
        hook->announce(hook);
}

void queue_announce(async_queue_t *q)
{
    queue_hook_t *hook = atomic_load_explicit(&q->hook, memory_order_seq_cst);

    if (hook != NULL)
        fire(hook);
}

/* Nothing is ready: whether something is coming from a producer that may not know of the hook. */
static bool is_coming_unannounced(const async_queue_t *q)
{
    uint64_t head = atomic_load_explicit(&q->head, memory_order_acquire);
    uint64_t old_tail = atomic_load_explicit(&q->bind_tail, memory_order_acquire);
    uint64_t claimed, tail;

    if (q->flags & ASYNC_QUEUE_DROP_OLDEST)
        head = queue_oldest(q, head, &tail);
    claimed = queue_distance(q, head, old_tail);
    return claimed != 0 && claimed <= q->capacity;
}

void queue_rearm(async_queue_t *q)
{
    queue_hook_t *hook = atomic_load_explicit(&q->hook, memory_order_seq_cst);

    if (hook == NULL)
        return;
    atomic_store_explicit(&hook->armed, 1, memory_order_seq_cst);
    /* pairs with the fence in queue_signal */
    atomic_thread_fence(memory_order_seq_cst);
    /* after a clear the consumer may hold a peeked message, which it knows */
    if (queue_ready_in_ring(q) || is_coming_unannounced(q))
        fire(hook);
}

int queue_bind(async_queue_t *queue, queue_hook_t *hook)
{
    queue_hook_t *none = NULL;

    atomic_store_explicit(&hook->armed, 1, memory_order_relaxed);
    if (!atomic_compare_exchange_strong_explicit(&queue->hook, &none, hook, memory_order_seq_cst,
                                                 memory_order_relaxed))
        return EEXIST;
    atomic_fetch_or_explicit(&queue->notify, QUEUE_NOTIFY_HOOK, memory_order_seq_cst);
    /* A producer whose load of notify came before the RMW above has claimed before this load. */
    atomic_store_explicit(
        &queue->bind_tail,
        queue_position(queue, atomic_load_explicit(&queue->tail, memory_order_seq_cst)),
        memory_order_seq_cst);
    /* pairs with the fence in queue_signal */
    atomic_thread_fence(memory_order_seq_cst);
    if (queue_ready(queue) || is_coming_unannounced(queue))
        fire(hook);
    return 0;
}

void queue_unbind(async_queue_t *queue, queue_hook_t *hook)
{
    queue_hook_t *bound = hook;
    queue_hook_t *top;

    /* the flag stays: it costs producers a fence, and a later binding need not fear late ones */
    if (!atomic_compare_exchange_strong_explicit(&queue->hook, &bound, NULL, memory_order_seq_cst,
                                                 memory_order_relaxed))
        return;
    atomic_store_explicit(&hook->armed, 0, memory_order_seq_cst);
    top = atomic_load_explicit(&queue->old_hooks, memory_order_relaxed);
    do
        hook->next = top;
    while (!atomic_compare_exchange_weak_explicit(&queue->old_hooks, &top, hook,
                                                  memory_order_release, memory_order_relaxed));
}

void queue_release_hooks(async_queue_t *q)
{
    queue_hook_t *hook = atomic_exchange_explicit(&q->hook, NULL, memory_order_acquire);

    if (hook != NULL)
        hook->release(hook);
    hook = atomic_exchange_explicit(&q->old_hooks, NULL, memory_order_acquire);
    while (hook != NULL) {
        queue_hook_t *next = hook->next;

        hook->release(hook);
        hook = next;
    }
}

/* SPDX-License-Identifier: MIT */
/*
 * queue_peek.c - the consumer's side: peek, release and clear
 */
#include "queue/queue_impl.h"
#include "port/port_error.h"
#include "queue/queue_consumer.h"

const void *async_queue_peek(async_queue_t *queue, size_t *out_size)
{
    queue_cell_t *at;
    uint64_t head, cell;
    int err = 0;

    if (queue == NULL)
        return port_fail_null(EINVAL);
    queue_set_consumer(queue);
    if (OWN(queue->held) == QUEUE_HELD_NONE && (queue->flags & ASYNC_QUEUE_DROP_OLDEST) != 0)
        err = queue_take_dropping(queue);
    queue_set_usual(queue);
    if (err != 0)
        return port_fail_null(err);
    if (OWN(queue->held) == QUEUE_HELD_DETACHED) {
        if (!queue->held_shown)
            queue_set_lost(queue);
        queue->held_shown = true;
        if (out_size != NULL)
            *out_size = queue->held_size;
        return queue_slot(queue, queue->held_slot);
    }
    head = OWN(queue->head);
    at = queue_cell(queue, head);
    /* pairs with the writer's publishing store */
    cell = atomic_load_explicit(&at->word, memory_order_acquire);
    if (queue_state(queue, cell) != (queue_lap(queue, head) | queue->readable))
        return port_fail_null(queue_take_nothing(queue));
    if (OWN(queue->held) == QUEUE_HELD_NONE)
        queue_set_lost(queue);
    SET(queue->held, QUEUE_HELD_IN_PLACE);
    queue->usual_consumer = UINT64_MAX;
    if (out_size != NULL)
        *out_size = atomic_load_explicit(&at->size, memory_order_relaxed);
    return queue_slot(queue, queue_slot_number(queue, cell));
}

void async_queue_release(async_queue_t *queue)
{
    if (queue == NULL || OWN(queue->held) == QUEUE_HELD_NONE)
        return;
    if (OWN(queue->held) == QUEUE_HELD_DETACHED) {
        if (queue->held_shown)
            queue_free_held(queue);
        queue_set_usual(queue);
        return;
    }
    SET(queue->held, QUEUE_HELD_NONE);
    queue_set_usual(queue);
    queue_free_head(queue, atomic_load_explicit(&queue_cell(queue, OWN(queue->head))->word,
                                                memory_order_relaxed));
}

/* The peeked message stays valid while its cell is freed. */
static void detach_peeked(async_queue_t *q)
{
    uint64_t head = OWN(q->head);
    queue_cell_t *at = queue_cell(q, head);
    uint64_t cell = atomic_load_explicit(&at->word, memory_order_relaxed);

    queue_hold_detached(q, queue_slot_number(q, cell),
                        atomic_load_explicit(&at->size, memory_order_relaxed), true);
    /* the spare's last reader was this thread; pairs with the producers' load */
    atomic_store_explicit(&at->word, (queue_lap(q, head) + q->lap_one) | q->spare_slot,
                          memory_order_release);
}

/* Discards a message that the consumer holds because it did not fit into a buffer. */
static void discard_held(async_queue_t *q)
{
    q->spare_slot = q->held_slot;
    q->skipped++;
    SET(q->discarded, OWN(q->discarded) + 1);
    atomic_store_explicit(&q->held, QUEUE_HELD_NONE, memory_order_release);
}

/* Discards one position before end; false: its writer is still in its copy. */
static bool clear_one(async_queue_t *q, uint64_t head)
{
    queue_cell_t *at = queue_cell(q, head);
    uint64_t cell = atomic_load_explicit(&at->word, memory_order_acquire);

    if (queue_is_to_come(q, cell, head))
        return false;
    /* with DROP_OLDEST a dropper may be faster: discarded all the same */
    if (queue_state(q, cell) == (queue_lap(q, head) | q->readable))
        atomic_compare_exchange_strong_explicit(
            &at->word, &cell, (queue_lap(q, head) + q->lap_one) | queue_slot_number(q, cell),
            memory_order_acq_rel, memory_order_acquire);
    return true;
}

void async_queue_clear(async_queue_t *queue)
{
    uint64_t tail, end, oldest;
    unsigned turn = 0;

    if (queue == NULL)
        return;
    if (OWN(queue->held) == QUEUE_HELD_IN_PLACE)
        detach_peeked(queue);
    else if (OWN(queue->held) == QUEUE_HELD_DETACHED && !queue->held_shown)
        discard_held(queue);
    tail = atomic_load_explicit(&queue->tail, memory_order_acquire);
    if (queue->flags & ASYNC_QUEUE_DROP_OLDEST) {
        oldest = queue_oldest(queue, OWN(queue->head), &tail);
        if (oldest != OWN(queue->head))
            queue_count_skipped(queue, oldest);
    }
    end = queue_position(queue, tail);
    while (OWN(queue->head) != end) {
        if (!clear_one(queue, OWN(queue->head))) {
            queue_wait_copy(queue, turn++);
            continue;
        }
        turn = 0;
        queue->skipped++;
        SET(queue->discarded, OWN(queue->discarded) + 1);
        SET(queue->head, queue_next(queue, OWN(queue->head)));
    }
    queue_set_usual(queue);
    queue_wake_writers(queue);
    if (atomic_load_explicit(&queue->notify, memory_order_relaxed) & QUEUE_NOTIFY_HOOK)
        queue_rearm(queue);
}

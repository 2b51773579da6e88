/* SPDX-License-Identifier: MIT */
/*
 * queue_stats.c - looking at a queue from any thread
 */
#include "queue/queue_impl.h"
#include "port/port_error.h"

uint64_t queue_accepted(const async_queue_t *q, uint64_t known, uint64_t *tail)
{
    /* before the tail: then the count is right or, while a producer is on its way, one behind */
    uint64_t wraps = atomic_load_explicit(&q->tail_wraps, memory_order_acquire);
    /* all positions: 2^44, or a little less when the capacity is no power of two */
    uint64_t all = (uint64_t)q->capacity << (64 - q->index_bits - QUEUE_CONTROL_BITS);
    uint64_t accepted;

    *tail = atomic_load_explicit(&q->tail, memory_order_acquire);
    accepted = wraps * all + queue_distance(q, 0, queue_position(q, *tail)) - q->start;
    return accepted - known > UINT64_MAX / 2 ? accepted + all : accepted;
}

uint64_t queue_oldest(const async_queue_t *q, uint64_t head, uint64_t *tail)
{
    for (;;) {
        uint64_t end;

        *tail = atomic_load_explicit(&q->tail, memory_order_acquire);
        end = queue_position(q, *tail);
        /* who claims position p drops p - N, if it is still there */
        if (queue_distance(q, head, end) > q->capacity)
            head = end - q->lap_one;
        while (head != end) {
            uint64_t cell = atomic_load_explicit(&queue_cell(q, head)->word, memory_order_acquire);

            if (!queue_is_ahead(q, cell, head))
                return head;
            head = queue_next(q, head);
        }
        if (queue_position(q, atomic_load_explicit(&q->tail, memory_order_acquire)) == end)
            return head;
    }
}

bool queue_ready(const async_queue_t *q)
{
    return atomic_load_explicit(&q->held, memory_order_acquire) != QUEUE_HELD_NONE ||
           queue_ready_in_ring(q);
}

bool queue_ready_in_ring(const async_queue_t *q)
{
    for (;;) {
        uint64_t head = atomic_load_explicit(&q->head, memory_order_acquire);
        uint64_t position = head, tail, cell;

        if (q->flags & ASYNC_QUEUE_DROP_OLDEST)
            position = queue_oldest(q, head, &tail);
        cell = atomic_load_explicit(&queue_cell(q, position)->word, memory_order_acquire);
        if (queue_state(q, cell) == (queue_lap(q, position) | q->readable))
            return true;
        if (queue_is_to_come(q, cell, position))
            return false;
        /* the consumer or a dropper was faster: look again */
    }
}

bool queue_finished(const async_queue_t *q)
{
    uint64_t head = atomic_load_explicit(&q->head, memory_order_acquire);
    uint64_t tail = atomic_load_explicit(&q->tail, memory_order_acquire);

    if (!queue_closed(q, tail) || queue_reserved(q, tail) != 0 ||
        atomic_load_explicit(&q->held, memory_order_acquire) != QUEUE_HELD_NONE)
        return false;
    if (q->flags & ASYNC_QUEUE_DROP_OLDEST)
        head = queue_oldest(q, head, &tail);
    return head == queue_position(q, tail);
}

/* A message or a claim in its copy keeps each place from the oldest position to the tail. */
static uint64_t in_ring(const async_queue_t *q, uint64_t tail)
{
    uint64_t head = atomic_load_explicit(&q->head, memory_order_acquire);
    uint64_t count, newer;

    if (q->flags & ASYNC_QUEUE_DROP_OLDEST)
        head = queue_oldest(q, head, &newer);
    count = queue_distance(q, head, queue_position(q, tail));
    /* at most N, or the head has passed the tail that we know */
    return count <= q->capacity ? count : 0;
}

bool async_queue_is_empty(const async_queue_t *queue)
{
    if (queue == NULL)
        return port_fail_false(EINVAL);
    return !queue_ready(queue);
}

bool async_queue_is_full(const async_queue_t *queue)
{
    uint64_t tail, now;

    if (queue == NULL)
        return port_fail_false(EINVAL);
    now = atomic_load_explicit(&queue->tail, memory_order_acquire);
    do {
        uint64_t reserved, position, cell;

        tail = now;
        reserved = queue_reserved(queue, tail);
        if (reserved >= queue->capacity)
            return true;
        position = queue_add(queue, queue_position(queue, tail), reserved);
        cell = atomic_load_explicit(&queue_cell(queue, position)->word, memory_order_acquire);
        if (queue_state(queue, cell) == queue_lap(queue, position))
            return false;
        now = atomic_load_explicit(&queue->tail, memory_order_acquire);
    } while (now != tail);
    return true;
}

void async_queue_get_stats(const async_queue_t *queue, async_queue_stats_t *stats)
{
    uint64_t ring, tail, held, known;

    if (stats == NULL)
        return;
    memset(stats, 0, sizeof(*stats));
    if (queue == NULL)
        return;
    held = atomic_load_explicit(&queue->held, memory_order_acquire) == QUEUE_HELD_DETACHED;
    stats->dequeue_count = atomic_load_explicit(&queue->delivered, memory_order_relaxed);
    known = atomic_load_explicit(&queue->discarded, memory_order_relaxed);
    stats->enqueue_count = queue_accepted(queue, stats->dequeue_count + known, &tail);
    ring = in_ring(queue, tail);
    stats->capacity = queue->capacity;
    stats->max_msg_size = queue->max_size;
    /* without drops the consumer does not count what it takes */
    if (!(queue->flags & ASYNC_QUEUE_DROP_OLDEST))
        stats->dequeue_count = stats->enqueue_count - ring - held - known;
    /* a peeked message takes no place from new ones: the one too many counts as taken */
    if (ring + held > queue->capacity)
        stats->dequeue_count++;
    else
        ring += held;
    stats->current_size = (size_t)ring;
    stats->dropped_count = stats->enqueue_count - stats->dequeue_count - ring;
    /* while others are at work the figures may not fit each other */
    if (stats->dropped_count > UINT64_MAX / 2 || stats->dropped_count < known)
        stats->dropped_count = known;
    if (!(queue->flags & ASYNC_QUEUE_DROP_OLDEST))
        stats->dropped_count = known;
    stats->rejected_count = atomic_load_explicit(&queue->rejected, memory_order_relaxed);
    stats->blocked_count = atomic_load_explicit(&queue->blocked, memory_order_relaxed);
}

uint64_t async_queue_lost(const async_queue_t *queue)
{
    if (queue == NULL) {
        port_error_set(EINVAL);
        return 0;
    }
    return queue->lost;
}

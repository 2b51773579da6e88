/* SPDX-License-Identifier: MIT */
/*
 * queue_consumer.h - what dequeue (queue_take.c) and peek, release and clear (queue_peek.c) share
 *
 * All of it is called by the consumer only.
 */
#ifndef QUEUE_CONSUMER_H
#define QUEUE_CONSUMER_H

#include "queue/queue_impl.h"

/* Fields that only the consumer writes. */
#define OWN(field) atomic_load_explicit(&(field), memory_order_relaxed)
#define SET(field, value) atomic_store_explicit(&(field), (value), memory_order_relaxed)

/* The calling thread is the consumer from now on. */
void queue_set_consumer(async_queue_t *q);

/* The consumer found nothing: why, and further messages are to be announced. */
int queue_take_nothing(async_queue_t *q);

/* DROP_OLDEST: makes the oldest message the consumer's own. */
int queue_take_dropping(async_queue_t *q);

/* The head's message is kept in a slot of the consumer's, its cell is free or about to be. */
void queue_hold_detached(async_queue_t *q, uint32_t slot, size_t size, bool shown);

/* A detached message is delivered: its slot is the new spare. */
void queue_free_held(async_queue_t *q);

/* Positions between the head and a later one were dropped. */
void queue_count_skipped(async_queue_t *q, uint64_t position);

/* After a call that may have changed held, lost, skipped or the consumer: ends wait's promise. */
void queue_set_usual(async_queue_t *q);

/* A message is shown or delivered: what was discarded before it. */
static inline void queue_set_lost(async_queue_t *q)
{
    q->lost = q->skipped;
    q->skipped = 0;
}

/* After places were freed by a release store or CAS. */
static inline void queue_places_freed(async_queue_t *q)
{
    /* the barrier that orders the two is in ask_for_wakes */
    if (PORT_UNLIKELY(atomic_load_explicit(&q->blocking, memory_order_relaxed) != 0))
        queue_place_freed(q);
}

/* Without DROP_OLDEST: frees the head's cell, its slot goes with it. */
static inline void queue_free_head(async_queue_t *q, uint64_t cell)
{
    uint64_t head = OWN(q->head);

    SET(q->head, queue_next(q, head));
    /* the bytes have been read; pairs with the producers' load of the word */
    atomic_store_explicit(&queue_cell(q, head)->word,
                          (queue_lap(q, head) + q->lap_one) | queue_slot_number(q, cell),
                          memory_order_release);
    queue_places_freed(q);
}

#endif /* QUEUE_CONSUMER_H */

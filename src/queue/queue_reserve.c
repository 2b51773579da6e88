/* SPDX-License-Identifier: MIT */
/*
 * queue_reserve.c - reserve, commit, abandon: messages that are written in place
 *
 * A reservation counts in the tail and owns a spare slot.  commit claims a cell as enqueue does,
 * puts its slot in, and the cell's old slot becomes a spare.  That spare is back before the cell is
 * published, and an abandoned one before its place is free; so of the N spares there is always one
 * for whoever has counted himself in the tail.
 */
#include "queue/queue_impl.h"
#include "port/port_error.h"
#include "port/port_memory.h"

static queue_spares_t *spares_of(async_queue_t *q)
{
    queue_spares_t *spares = atomic_load_explicit(&q->spares, memory_order_acquire);
    queue_spares_t *expected = NULL;

    if (PORT_LIKELY(spares != NULL))
        return spares;
    if (q->capacity > (SIZE_MAX - sizeof(*spares)) / sizeof(spares->spare[0]) / 2 - 1)
        return NULL;
    spares = port_zalloc(1, sizeof(*spares) + (2 * q->capacity + 1) * sizeof(spares->spare[0]));
    if (spares == NULL)
        return NULL;
    spares->slots = port_alloc_aligned(q->capacity * q->slot_size, PORT_CACHE_LINE);
    if (spares->slots == NULL) {
        port_free(spares);
        return NULL;
    }
    /* pairs with the load above and the one in queue_slot */
    if (atomic_compare_exchange_strong_explicit(&q->spares, &expected, spares, memory_order_acq_rel,
                                                memory_order_acquire))
        return spares;
    port_free_aligned(spares->slots);
    port_free(spares);
    return expected;
}

/* Takes a spare slot: there is one for each reservation that the tail counts. */
static uint32_t pop_spare(async_queue_t *q, queue_spares_t *spares)
{
    /* pairs with push_spare: the slot's former bytes have been read */
    uint64_t top = atomic_load_explicit(&spares->top, memory_order_acquire);
    uint32_t used = 0;

    for (;;) {
        uint32_t first = (uint32_t)top;

        if (first != 0) {
            /* may be out of date; then the tag has changed and the CAS fails */
            uint32_t below =
                atomic_load_explicit(&spares->spare[first - 1].next, memory_order_relaxed);
            uint64_t next = ((top >> 32) + 1) << 32 | below;

            if (atomic_compare_exchange_weak_explicit(&spares->top, &top, next,
                                                      memory_order_acq_rel, memory_order_acquire))
                return first - 1;
            continue;
        }
        used = atomic_load_explicit(&spares->used, memory_order_relaxed);
        if (used < q->capacity &&
            atomic_compare_exchange_strong_explicit(&spares->used, &used, used + 1,
                                                    memory_order_relaxed, memory_order_relaxed))
            return (uint32_t)q->capacity + 1 + used;
        top = atomic_load_explicit(&spares->top, memory_order_acquire);
    }
}

static void push_spare(queue_spares_t *spares, uint32_t number)
{
    uint64_t top = atomic_load_explicit(&spares->top, memory_order_relaxed);
    uint64_t next;

    do {
        atomic_store_explicit(&spares->spare[number].next, (uint32_t)top, memory_order_relaxed);
        next = ((top >> 32) + 1) << 32 | (number + 1);
    } while (!atomic_compare_exchange_weak_explicit(&spares->top, &top, next, memory_order_acq_rel,
                                                    memory_order_relaxed));
}

/* Which slot begins at this address; false: none. */
static bool find_slot(const async_queue_t *q, const queue_spares_t *spares, const void *address,
                      uint32_t *number)
{
    uintptr_t at = (uintptr_t)address - (uintptr_t)queue_slot_at(q, 0);
    uintptr_t base = 0;
    size_t distance = q->stride;

    /* no further: another block may begin right behind the last slot */
    if (at > q->capacity * distance) {
        at = (uintptr_t)address - (uintptr_t)spares->slots;
        base = q->capacity + 1;
        distance = q->slot_size;
        if (at >= q->capacity * distance)
            return false;
    }
    *number = (uint32_t)(base + at / distance);
    return at % distance == 0;
}

/* Ends the reservation of a slot: its number and its size + 1, or false: it is not reserved. */
static bool settle(async_queue_t *q, const void *slot, uint32_t *number, size_t *mark)
{
    queue_spares_t *spares;

    if (q == NULL || slot == NULL)
        return false;
    spares = atomic_load_explicit(&q->spares, memory_order_acquire);
    if (spares == NULL || !find_slot(q, spares, slot, number))
        return false;
    /* of two calls for one reservation the second is ignored; acquire: the bytes that another
     * thread wrote came to us with the pointer */
    *mark = atomic_exchange_explicit(&spares->spare[*number].mark, 0, memory_order_acq_rel);
    return *mark != 0;
}

/* Counts one reservation in the tail. */
static int claim_place(async_queue_t *q)
{
    uint64_t tail = atomic_load_explicit(&q->tail, memory_order_acquire);
    unsigned turn = 0;

    for (;;) {
        int err = queue_find_place(q, tail);

        if (err == 0) {
            if (queue_reserved(q, tail) == QUEUE_RESERVED_MAX)
                return ENOMEM;
            if (atomic_compare_exchange_weak_explicit(&q->tail, &tail, tail + queue_reserved_one(q),
                                                      memory_order_seq_cst, memory_order_acquire)) {
                queue_empty_place(q, tail);
                return 0;
            }
            continue;
        }
        if (err == EINPROGRESS)
            queue_wait_copy(q, turn++);
        else if (err != EBUSY)
            return err;
        tail = atomic_load_explicit(&q->tail, memory_order_acquire);
    }
}

static int claim_attempt(async_queue_t *q, void *arg)
{
    (void)arg;
    return claim_place(q);
}

void *async_queue_reserve(async_queue_t *queue, size_t size)
{
    queue_spares_t *spares;
    uint32_t number;
    int err, saved = errno;

    if (queue == NULL)
        return port_fail_null(EINVAL);
    if (size > queue->max_size) {
        queue_reject(queue, EMSGSIZE);
        return NULL;
    }
    spares = spares_of(queue);
    if (spares == NULL)
        return port_fail_null(ENOMEM);
    err = claim_place(queue);
    if (err == EAGAIN && (queue->flags & ASYNC_QUEUE_BLOCK_WRITER) != 0)
        err = queue_wait_place(queue, -1, claim_attempt, NULL);
    if (err != 0) {
        queue_reject(queue, err);
        return NULL;
    }
    number = pop_spare(queue, spares);
    /* pairs with settle */
    atomic_store_explicit(&spares->spare[number].mark, size + 1, memory_order_release);
    errno = saved;
    return queue_slot(queue, number);
}

void async_queue_commit(async_queue_t *queue, void *slot, size_t size)
{
    queue_cell_t *at;
    uint64_t tail, next, cell;
    uint32_t number, notify;
    size_t mark;

    if (!settle(queue, slot, &number, &mark))
        return;
    tail = atomic_load_explicit(&queue->tail, memory_order_acquire);
    do {
        next = queue_next(queue, tail) - queue_reserved_one(queue);
        /* acquire: all that led to this state, so the cell is seen as queue_impl.h says */
    } while (!atomic_compare_exchange_weak_explicit(&queue->tail, &tail, next, memory_order_seq_cst,
                                                    memory_order_acquire));
    queue_count_wrap(queue, next);
    at = queue_cell(queue, tail);
    /* as in queue_send.c */
    notify = atomic_load_explicit(&queue->notify, memory_order_seq_cst);
    cell = queue_own_cell(queue, at, tail);
    push_spare(atomic_load_explicit(&queue->spares, memory_order_acquire),
               queue_slot_number(queue, cell));
    atomic_store_explicit(&at->size, size < mark ? size : mark - 1, memory_order_relaxed);
    /* publishes slot and size; pairs with the consumer's load of the word */
    atomic_store_explicit(&at->word, queue_lap(queue, tail) | queue->readable | number,
                          memory_order_release);
    if (notify != 0)
        queue_signal(queue);
}

void async_queue_abandon(async_queue_t *queue, void *slot)
{
    uint64_t tail;
    uint32_t number;
    size_t mark;

    if (!settle(queue, slot, &number, &mark))
        return;
    push_spare(atomic_load_explicit(&queue->spares, memory_order_acquire), number);
    /* release: whoever counts the place sees the spare in the stack */
    tail = atomic_fetch_sub_explicit(&queue->tail, queue_reserved_one(queue), memory_order_seq_cst);
    queue_wake_writer(queue);
    /* it may have been the last thing that could still come */
    if (queue_closed(queue, tail))
        queue_signal(queue);
}

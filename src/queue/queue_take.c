/* SPDX-License-Identifier: MIT */
/*
 * queue_take.c - the consumer's side: dequeue
 *
 * Without DROP_OLDEST the consumer alone frees cells: it needs no CAS, and a peeked message may
 * stay in its cell.  With DROP_OLDEST it takes the message by the CAS that frees the cell; whoever
 * loses that race to a dropper goes on to the next one.  A small message is copied before that CAS,
 * and the copy is thrown away if the CAS fails.  A larger one, and one that is peeked, is read
 * after it: the CAS puts the consumer's own spare slot into the cell.  A queue of small messages
 * only never changes slots (see queue_impl.h): there the spare slot takes the copy of a peeked one.
 */
#include "queue/queue_impl.h"
#include "port/port_error.h"
#include "port/port_racing.h"
#include "queue/queue_consumer.h"

/* How often the processor is given to a producer whose message wait has promised: milliseconds. */
#define PROMISE_YIELDS 5000u
#define CELLS_NEAR 4u /* that are looked at before the tail: see catch_up */

/* DROP_OLDEST: how producers are to drop, from now on (see queue_impl.h). */
static inline void set_drops(async_queue_t *q, uint32_t how)
{
    if (q->max_size <= QUEUE_SMALL && OWN(q->drops) != how)
        SET(q->drops, how);
}

PORT_NOINLINE int queue_take_nothing(async_queue_t *q)
{
    if (atomic_load_explicit(&q->closing, memory_order_acquire) && queue_finished(q))
        return EPIPE;
    if (atomic_load_explicit(&q->notify, memory_order_relaxed) & QUEUE_NOTIFY_HOOK)
        queue_rearm(q);
    return EAGAIN;
}

/* Apart, so that the usual way needs no frame: it ends in a jump. */
static PORT_NOINLINE bool place_freed_taken(async_queue_t *q)
{
    queue_place_freed(q);
    return true;
}

/* The head goes on to a later position: what is between was dropped. */
static void skip(async_queue_t *q, uint64_t position, uint64_t gap)
{
    q->skipped += gap;
    SET(q->discarded, OWN(q->discarded) + gap);
    SET(q->head, position);
}

void queue_count_skipped(async_queue_t *q, uint64_t position)
{
    uint64_t gap = queue_distance(q, OWN(q->head), position);
    uint64_t held = OWN(q->held) != QUEUE_HELD_NONE;
    uint64_t before = OWN(q->delivered) + OWN(q->discarded) + held;
    uint64_t tail, whole;

    /* counted from the first position on, so that it also holds more drops than there are positions
     */
    whole = queue_accepted(q, before, &tail) - queue_distance(q, position, tail) - before;
    if (whole > gap && whole < UINT64_MAX / 2)
        gap = whole;
    skip(q, position, gap);
}

/*
 * DROP_OLDEST: the head's cell was freed by a dropper; goes on to the oldest one that was not.
 * Producers are most likely just ahead, and their tail is the line that they want most: so the next
 * cells are looked at first.
 */
static void catch_up(async_queue_t *q)
{
    uint64_t head = OWN(q->head), position = head, tail;
    /* fewer drops than there are positions, when the tail has not gone through 0 since */
    uint64_t wraps = atomic_load_explicit(&q->tail_wraps, memory_order_acquire);

    set_drops(q, QUEUE_DROPS_BY_CAS);
    for (unsigned gap = 1; gap <= CELLS_NEAR && wraps == q->wraps_seen; gap++) {
        uint64_t cell;

        position = queue_next(q, position);
        /* pairs with the writers and droppers as in queue_oldest */
        cell = atomic_load_explicit(&queue_cell(q, position)->word, memory_order_acquire);
        if (!queue_is_ahead(q, cell, position)) {
            skip(q, position, gap);
            return;
        }
    }
    q->wraps_seen = wraps;
    position = queue_oldest(q, head, &tail);
    if (position != head)
        queue_count_skipped(q, position);
}

void queue_set_usual(async_queue_t *q)
{
    bool drops = (q->flags & ASYNC_QUEUE_DROP_OLDEST) != 0;
    bool usual = OWN(q->held) == QUEUE_HELD_NONE;
    bool losses = (q->lost | q->skipped) != 0;

    q->usual_consumer = usual && !drops && !losses ? OWN(q->consumer) : UINT64_MAX;
    q->usual_dropper = usual && drops ? OWN(q->consumer) : UINT64_MAX;
    q->promised = false;
}

void queue_hold_detached(async_queue_t *q, uint32_t slot, size_t size, bool shown)
{
    q->held_slot = slot;
    q->held_size = size;
    q->held_shown = shown;
    SET(q->head, queue_next(q, OWN(q->head)));
    atomic_store_explicit(&q->held, QUEUE_HELD_DETACHED, memory_order_release);
}

/*
 * DROP_OLDEST: wait has said that a message is there, and producers have dropped it since, and all
 * others.  Then another one is about to come, which is late only if its producer is stopped; but
 * nobody has claimed the position if it was dropped for a reservation.
 */
static bool is_coming(const async_queue_t *q, unsigned turn)
{
    if (!q->promised || turn >= q->spin + PROMISE_YIELDS ||
        queue_position(q, atomic_load_explicit(&q->tail, memory_order_acquire)) == OWN(q->head))
        return false;
    if (turn < q->spin)
        port_cpu_relax();
    else
        port_thread_yield();
    return true;
}

/* The oldest message, as it was seen: its position, its cell and the word of that. */
typedef struct oldest {
    uint64_t head;
    queue_cell_t *at;
    uint64_t word;
} oldest_t;

/* DROP_OLDEST: finds the oldest message, or returns an errno value.  turn: 0 the first time. */
static int find_oldest(async_queue_t *q, oldest_t *found, unsigned *turn)
{
    for (;;) {
        uint64_t head = OWN(q->head);
        queue_cell_t *at = queue_cell(q, head);
        /* pairs with the writer's publishing store */
        uint64_t cell = atomic_load_explicit(&at->word, memory_order_acquire);

        if (queue_state(q, cell) == (queue_lap(q, head) | q->readable)) {
            *found = (oldest_t){head, at, cell};
            return 0;
        }
        if (!queue_is_to_come(q, cell, head))
            catch_up(q);
        else if (!is_coming(q, (*turn)++))
            return queue_take_nothing(q);
    }
}

int queue_take_dropping(async_queue_t *q)
{
    unsigned turn = 0;
    oldest_t oldest;

    for (;;) {
        uint32_t slot = q->spare_slot;
        uint64_t freed;
        size_t size;
        int err = find_oldest(q, &oldest, &turn);

        if (err != 0)
            return err;
        /* a later writer's size may be read here; then the cell has changed and the CAS fails */
        size = atomic_load_explicit(&oldest.at->size, memory_order_relaxed);
        if (q->max_size <= QUEUE_SMALL) {
            port_copy_racing(queue_slot_at(q, slot),
                             queue_slot(q, queue_slot_number(q, oldest.word)), size);
            freed = oldest.word + q->readable;
        } else {
            freed = (queue_lap(q, oldest.head) + q->lap_one) | slot;
            slot = queue_slot_number(q, oldest.word);
        }
        if (atomic_compare_exchange_strong_explicit(&oldest.at->word, &oldest.word, freed,
                                                    memory_order_acq_rel, memory_order_acquire)) {
            queue_hold_detached(q, slot, size, false);
            return 0;
        }
    }
}

void queue_free_held(async_queue_t *q)
{
    q->spare_slot = q->held_slot;
    if (q->flags & ASYNC_QUEUE_DROP_OLDEST)
        SET(q->delivered, OWN(q->delivered) + 1);
    atomic_store_explicit(&q->held, QUEUE_HELD_NONE, memory_order_release);
}

static inline int deliver(void *buffer, size_t buffer_size, size_t *out_size, const char *data,
                          size_t size)
{
    if (out_size != NULL)
        *out_size = size;
    if (PORT_UNLIKELY(size > buffer_size))
        return EMSGSIZE;
    queue_copy(buffer, data, size);
    return 0;
}

/* dequeue with DROP_OLDEST, or of a detached message. */
static PORT_NOINLINE int dequeue_detached(async_queue_t *q, void *buffer, size_t buffer_size,
                                          size_t *out_size)
{
    int err = 0;

    if (OWN(q->held) == QUEUE_HELD_NONE)
        err = queue_take_dropping(q);
    if (err == 0)
        err = deliver(buffer, buffer_size, out_size, queue_slot(q, q->held_slot), q->held_size);
    if (err != 0)
        return err;
    if (!q->held_shown)
        queue_set_lost(q);
    queue_free_held(q);
    return 0;
}

/* DROP_OLDEST: takes the head's message and leaves `word` in the cell; false: it was dropped. */
static PORT_ALWAYS_INLINE bool take_head(async_queue_t *q, queue_cell_t *at, uint64_t head,
                                         uint64_t cell, uint64_t word)
{
    /* release: what was read of the slot that the cell keeps or gets is behind us; pairs with the
     * droppers' CAS and the producers' loads */
    if (PORT_UNLIKELY(!atomic_compare_exchange_strong_explicit(
            &at->word, &cell, word, memory_order_acq_rel, memory_order_relaxed)))
        return false;
    SET(q->delivered, OWN(q->delivered) + 1);
    SET(q->head, queue_next(q, head));
    queue_set_lost(q);
    return true;
}

/* dequeue with DROP_OLDEST while nothing is held. */
static PORT_NOINLINE int dequeue_dropping_any(async_queue_t *q, void *buffer, size_t buffer_size,
                                              size_t *out_size)
{
    unsigned turn = 0;
    oldest_t oldest;

    for (;;) {
        int err = find_oldest(q, &oldest, &turn);
        size_t size;

        if (err != 0)
            return err;
        /* as in queue_take_dropping */
        size = atomic_load_explicit(&oldest.at->size, memory_order_relaxed);
        if (size > QUEUE_SMALL || size > buffer_size)
            return dequeue_detached(q, buffer, buffer_size, out_size);
        port_copy_racing(buffer, queue_slot(q, queue_slot_number(q, oldest.word)), size);
        if (take_head(q, oldest.at, oldest.head, oldest.word, oldest.word + q->readable)) {
            if (out_size != NULL)
                *out_size = size;
            return 0;
        }
    }
}

static PORT_NOINLINE int dequeue_in_place(async_queue_t *q, void *buffer, size_t buffer_size,
                                          size_t *out_size)
{
    uint64_t head = OWN(q->head);
    queue_cell_t *at = queue_cell(q, head);
    /* pairs with the writer's publishing store */
    uint64_t cell = atomic_load_explicit(&at->word, memory_order_acquire);
    int err;

    if (queue_state(q, cell) != (queue_lap(q, head) | q->readable))
        return queue_take_nothing(q);
    err = deliver(buffer, buffer_size, out_size, queue_slot(q, queue_slot_number(q, cell)),
                  atomic_load_explicit(&at->size, memory_order_relaxed));
    if (err != 0)
        return err;
    if (OWN(q->held) == QUEUE_HELD_NONE)
        queue_set_lost(q);
    SET(q->held, QUEUE_HELD_NONE);
    queue_free_head(q, cell);
    return 0;
}

/* The calling thread's token once it has been a consumer; 0 before. */
static PORT_THREAD_LOCAL uint64_t own_token;

void queue_set_consumer(async_queue_t *q)
{
    if (own_token == 0)
        own_token = port_thread_token();
    SET(q->consumer, own_token);
}

static PORT_NOINLINE bool dequeue_slowly(async_queue_t *q, void *buffer, size_t buffer_size,
                                         size_t *out_size)
{
    int err;

    if (q == NULL || (buffer == NULL && buffer_size != 0))
        return port_fail_false(EINVAL);
    queue_set_consumer(q);
    if (OWN(q->held) == QUEUE_HELD_DETACHED)
        err = dequeue_detached(q, buffer, buffer_size, out_size);
    else if ((q->flags & ASYNC_QUEUE_DROP_OLDEST) != 0)
        err = dequeue_dropping_any(q, buffer, buffer_size, out_size);
    else
        err = dequeue_in_place(q, buffer, buffer_size, out_size);
    queue_set_usual(q);
    return err == 0 || port_fail_false(err);
}

/* The head's cell is writable: nothing is there. */
static inline bool dequeue_nothing(async_queue_t *q)
{
    int err = EAGAIN;

    /* acquire as in queue_take_nothing, which most queues need not go through */
    if (PORT_UNLIKELY(atomic_load_explicit(&q->closing, memory_order_acquire) != 0 ||
                      atomic_load_explicit(&q->notify, memory_order_relaxed) != 0))
        err = queue_take_nothing(q);
    return port_fail_false(err);
}

/* Apart, so that the common sizes save no registers for a call. */
static PORT_NOINLINE bool copied(void *buffer, const void *from, size_t size)
{
    if (size != 0)
        memcpy(buffer, from, size);
    return true;
}

/* With DROP_OLDEST, not the usual way: most likely nothing is there. */
static inline bool dequeue_unusual(async_queue_t *q, void *buffer, size_t buffer_size,
                                   size_t *out_size, uint64_t head, uint64_t cell)
{
    if (queue_state(q, cell) == queue_lap(q, head)) {
        set_drops(q, QUEUE_DROPS_BY_STORE);
        return dequeue_nothing(q);
    }
    return dequeue_slowly(q, buffer, buffer_size, out_size);
}

/* The usual way of a message that is not small: by an exchange of slots.  cell: the head's word. */
static PORT_NOINLINE bool dequeue_exchanging(async_queue_t *q, void *buffer, size_t buffer_size,
                                             size_t *out_size, queue_cell_t *at, uint64_t cell)
{
    uint64_t head = OWN(q->head);
    size_t size = atomic_load_explicit(&at->size, memory_order_relaxed);
    /* readable in the head's lap, and a slot of the first block: then this is its number */
    uint64_t slot = cell ^ queue_lap(q, head) ^ q->readable;

    if (PORT_LIKELY(slot <= q->capacity))
        queue_ask_for_lines(q, queue_slot_at(q, slot), size);
    if (PORT_UNLIKELY(
            slot > q->capacity || size > buffer_size || size <= QUEUE_SMALL ||
            !take_head(q, at, head, cell, (queue_lap(q, head) + q->lap_one) | q->spare_slot)))
        return dequeue_unusual(q, buffer, buffer_size, out_size, head, cell);
    q->spare_slot = (uint32_t)slot;
    if (out_size != NULL)
        *out_size = size;
    return copied(buffer, queue_slot_at(q, slot), size);
}

/* The usual way of other small sizes: copied first, as below, but into the caller's buffer. */
static PORT_NOINLINE bool dequeue_copying(async_queue_t *q, void *buffer, size_t buffer_size,
                                          size_t *out_size, queue_cell_t *at, uint64_t cell)
{
    uint64_t head = OWN(q->head);
    size_t size = atomic_load_explicit(&at->size, memory_order_relaxed);

    /* readable in the head's lap, with its own slot */
    if (PORT_UNLIKELY((head ^ cell) != q->readable || size > QUEUE_SMALL || size > buffer_size))
        return dequeue_unusual(q, buffer, buffer_size, out_size, head, cell);
    port_copy_racing(buffer, queue_own_slot(at), size);
    if (PORT_UNLIKELY(!take_head(q, at, head, cell, cell + q->readable)))
        return dequeue_slowly(q, buffer, buffer_size, out_size);
    if (out_size != NULL)
        *out_size = size;
    return true;
}

/*
 * The usual way with DROP_OLDEST.  Small messages are copied first and taken then, so that each
 * cell keeps its own slot.  Slots that change places come to lie in any order, each in a line with
 * other slots and cells, which both sides then want at a time.
 */
static PORT_NOINLINE bool dequeue_dropping(async_queue_t *q, void *buffer, size_t buffer_size,
                                           size_t *out_size)
{
    uint64_t head, cell, index;
    port_block_t a, b, c, d;
    queue_cell_t *at;
    const char *from;
    size_t size;

    if (PORT_UNLIKELY(q->usual_dropper != own_token))
        return dequeue_slowly(q, buffer, buffer_size, out_size);
    head = OWN(q->head);
    index = head & q->index_mask;
    at = queue_cell_at(q, index);
    from = queue_own_slot(at);
    /* as in queue_take_dropping */
    cell = atomic_load_explicit(&at->word, memory_order_acquire);
    size = atomic_load_explicit(&at->size, memory_order_relaxed);
    if (size > QUEUE_SMALL)
        return dequeue_exchanging(q, buffer, buffer_size, out_size, at, cell);
    /* readable in the head's lap, with its own slot */
    if (PORT_UNLIKELY((head ^ cell) != q->readable || size > buffer_size))
        return dequeue_unusual(q, buffer, buffer_size, out_size, head, cell);
    if (size == 16) {
        port_read_racing(&a, from);
        if (PORT_UNLIKELY(!take_head(q, at, head, cell, cell + q->readable)))
            return dequeue_slowly(q, buffer, buffer_size, out_size);
        memcpy(buffer, &a, sizeof(a));
    } else if (size == 64) {
        port_read_racing(&a, from);
        port_read_racing(&b, from + 16);
        port_read_racing(&c, from + 32);
        port_read_racing(&d, from + 48);
        if (PORT_UNLIKELY(!take_head(q, at, head, cell, cell + q->readable)))
            return dequeue_slowly(q, buffer, buffer_size, out_size);
        memcpy(buffer, &a, sizeof(a));
        memcpy((char *)buffer + 16, &b, sizeof(b));
        memcpy((char *)buffer + 32, &c, sizeof(c));
        memcpy((char *)buffer + 48, &d, sizeof(d));
    } else {
        return dequeue_copying(q, buffer, buffer_size, out_size, at, cell);
    }
    if (out_size != NULL)
        *out_size = size;
    return true;
}

/* The other usual ways: other sizes, a cell with a slot from elsewhere. */
static PORT_NOINLINE bool dequeue_usually(async_queue_t *q, void *buffer, size_t buffer_size,
                                          size_t *out_size)
{
    uint64_t head = OWN(q->head);
    queue_cell_t *at = queue_cell(q, head);
    uint64_t cell;
    size_t size;

    /* pairs with the writer's publishing store */
    cell = atomic_load_explicit(&at->word, memory_order_acquire);
    size = atomic_load_explicit(&at->size, memory_order_relaxed);
    if (queue_state(q, cell) == queue_lap(q, head))
        return dequeue_nothing(q);
    if (queue_state(q, cell) != (queue_lap(q, head) | q->readable) || size > buffer_size)
        return dequeue_slowly(q, buffer, buffer_size, out_size);
    queue_copy(buffer, queue_slot(q, queue_slot_number(q, cell)), size);
    if (out_size != NULL)
        *out_size = size;
    queue_free_head(q, cell);
    return true;
}

/* Frees a cell of which the bytes have been read: word is its own, writable in the next lap. */
static inline bool free_taken(async_queue_t *q, queue_cell_t *at, uint64_t word)
{
    /* pairs with the producers' load */
    atomic_store_explicit(&at->word, word, memory_order_release);
    /* as in queue_places_freed */
    if (PORT_UNLIKELY(atomic_load_explicit(&q->blocking, memory_order_relaxed) != 0))
        return place_freed_taken(q);
    return true;
}

/* The rest of the most usual way for the other sizes.  Apart, so that the common ones save no
 * registers for a call. */
static PORT_NOINLINE bool take(async_queue_t *q, void *buffer, size_t buffer_size, size_t *out_size,
                               queue_cell_t *at, uint64_t cell)
{
    uint64_t head = OWN(q->head);
    uint64_t slot = cell ^ queue_lap(q, head) ^ q->readable;
    size_t size = atomic_load_explicit(&at->size, memory_order_relaxed);
    const char *from;

    if (PORT_UNLIKELY(size > buffer_size || slot > q->capacity))
        return dequeue_usually(q, buffer, buffer_size, out_size);
    /* most likely its own, so that the copy need not wait for the word to know where from */
    from = slot == (head & q->index_mask) ? queue_own_slot(at) : queue_slot_at(q, slot);
    SET(q->head, queue_next(q, head));
    if (out_size != NULL)
        *out_size = size;
    memcpy(buffer, from, size);
    return free_taken(q, at, cell + q->readable);
}

/* The most usual way, as enqueue_at_once() of queue_send.c. */
PORT_ALIGNED_CODE bool async_queue_dequeue(async_queue_t *queue, void *buffer, size_t buffer_size,
                                           size_t *out_size)
{
    uint64_t head, cell, slot;
    const char *from;
    queue_cell_t *at;
    size_t size;

    if (PORT_UNLIKELY(queue == NULL || buffer == NULL))
        return dequeue_slowly(queue, buffer, buffer_size, out_size);
    if (PORT_UNLIKELY(queue->usual_consumer != own_token))
        return dequeue_dropping(queue, buffer, buffer_size, out_size);
    head = OWN(queue->head);
    at = queue_cell(queue, head);
    /* pairs with the writer's publishing store */
    cell = atomic_load_explicit(&at->word, memory_order_acquire);
    size = atomic_load_explicit(&at->size, memory_order_relaxed);
    if (size != 64 && size != 16)
        return take(queue, buffer, buffer_size, out_size, at, cell);
    /* readable in the head's lap, and a slot of the first block: then this is its number */
    slot = cell ^ queue_lap(queue, head) ^ queue->readable;
    if (PORT_UNLIKELY(size > buffer_size || slot > queue->capacity))
        return dequeue_usually(queue, buffer, buffer_size, out_size);
    SET(queue->head, queue_next(queue, head));
    if (out_size != NULL)
        *out_size = size;
    from = queue_slot_at(queue, slot);
    if (size == 64)
        memcpy(buffer, from, 64);
    else
        memcpy(buffer, from, 16);
    return free_taken(queue, at, cell + queue->readable);
}

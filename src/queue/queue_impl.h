/* SPDX-License-Identifier: MIT */
/*
 * queue_impl.h - the queue's structure, shared by the files of src/queue and its core tests
 *
 * Words.  A position in the stream is a lap and an index into the ring of N cells; both are kept in
 * one 64-bit word, the lap in the top bits so that it wraps by itself, the index in the low bits so
 * that it needs no shift:
 *
 *     position    lap | 0                   | index       44 bits of lap and index
 *     tail        lap | closed:1 reserved:19| index       the next position to claim
 *     cell        lap | readable:1 | slot                 the cell's index is its place
 *
 * A cell goes {lap, writable, slot} -> {lap, readable, slot} -> {lap + 1, writable, slot'}: one
 * store or CAS frees a place, and swaps the slot when the reader wants to keep the bytes.  So every
 * slot is at any time in one cell, in one reservation, in the stack of spares, or the consumer's.
 *
 * Cells and slots lie in turn, slot i behind cell i, and there is one slot more, the consumer's.
 * A cell has its own slot until a peek, a reservation or, with DROP_OLDEST, a message of more than
 * QUEUE_SMALL bytes brings another.  So a message usually lies in lines that follow each other, and
 * those of its neighbours; a cell apart from its bytes would be one line more to move from
 * processor to processor for each message.
 *
 * Invariants.  A state (T, r) of the tail is reached only when the cell of position T + r - 1 was
 * seen writable, so the places of r open reservations are really there.  With DROP_OLDEST it may
 * also have been seen readable in the lap before, {lap - 1, readable, slot}: then its message is
 * the oldest, and goes.  Who changed the tail takes it out, or who claims the position if he comes
 * first, or the consumer takes it while he may.  So nothing is dropped for an enqueue that fails.
 *
 * Of a DROP_OLDEST queue for messages of at most QUEUE_SMALL bytes the consumer changes no slot: it
 * copies, and then its CAS of the cell shows whether the copy is one.  So who has claimed the cell
 * knows what it becomes, whether the consumer comes before him or not, and needs no CAS: a store,
 * before he writes the bytes.  In others the consumer may exchange the slot at any time.  A CAS
 * waits for the cell's line, and a store does not: against producers that run ahead by stores the
 * consumer loses most races for the oldest message.  So it asks for a CAS while it loses any.
 */
#ifndef QUEUE_IMPL_H
#define QUEUE_IMPL_H

#include "port/port_compiler.h"
#include "port/port_eventcount.h"
#include "port/port_thread.h"
#include "queue/queue_hook.h"

#include <asyncrt/async_queue.h>

#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

#define QUEUE_CONTROL_BITS 20u /* reserved:19 and closed:1 */
#define QUEUE_RESERVED_MAX ((UINT64_C(1) << (QUEUE_CONTROL_BITS - 1)) - 1)
#define QUEUE_INDEX_BITS_MAX 28u
#define QUEUE_CAPACITY_MAX (UINT64_C(1) << QUEUE_INDEX_BITS_MAX)
/* Bytes that a DROP_OLDEST queue's consumer copies before it takes them, which spoils the caller's
 * buffer when it loses them, and more of which would be lost too often. */
#define QUEUE_SMALL 256u
/* Bytes of a ring that is more than a processor's own caches hold; and of messages in it: see
 * queue_ask_for_lines. */
#define QUEUE_LARGE ((size_t)2 << 20)
#define QUEUE_ASK_FROM 1024u
#define QUEUE_ASK_MOST 4096u

/* queue->drops: DROP_OLDEST, and how to take the message out of a cell that was claimed. */
#define QUEUE_DROPS_NOT 0u
#define QUEUE_DROPS_BY_STORE 1u /* max_size <= QUEUE_SMALL, and the consumer loses no races */
#define QUEUE_DROPS_BY_CAS 2u

/* word: written by whoever owns the cell's next step (see above), release; read with acquire.
 * size: written by the claimer before it publishes the word; ordered by the word. */
typedef struct queue_cell {
    alignas(16) _Atomic uint64_t word;
    _Atomic size_t size;
} queue_cell_t;

/* One for each slot of the queue, once there was a reservation. */
typedef struct queue_spare {
    _Atomic uint32_t next; /* in the stack of spares: the one below, as number + 1; 0: none */
    _Atomic size_t mark;   /* size + 1 while reserved, else 0; exchanged by commit and abandon */
} queue_spare_t;

typedef struct queue_spares {
    char *slots;           /* N slots, numbered from N + 1 on */
    _Atomic uint64_t top;  /* of the stack: tag:32 | slot number + 1:32 */
    _Atomic uint32_t used; /* slots that have left the block for the first time */
    queue_spare_t spare[]; /* 2 N + 1, by slot number */
} queue_spares_t;

/* What queue->notify says a producer must do after it has published. */
#define QUEUE_NOTIFY_WAITER 1u /* SIGNAL_ON_DATA: wake async_queue_wait() */
#define QUEUE_NOTIFY_HOOK 2u   /* bound */

/* queue->asked: how the consumer learns of queue->blocking where the system has no barrier. */
#define QUEUE_ASKED_NO 0u
#define QUEUE_ASKED_YES 1u /* the consumer may not have seen it yet */
#define QUEUE_ASKED_SEEN 2u

/* queue->held: a message that the consumer has peeked. */
#define QUEUE_HELD_NONE 0u
#define QUEUE_HELD_IN_PLACE 1u /* at the head, still in its cell (never with DROP_OLDEST) */
#define QUEUE_HELD_DETACHED 2u /* in held_slot, its cell is free again */

struct async_queue {
    /* ---- Read by all; written by create, but for the atomics, which change rarely. */
    alignas(PORT_CACHE_LINE) char *cells; /* N + 1 times a cell with a slot behind it */
    size_t stride;                        /* of both together */
    size_t slot_size;
    size_t capacity; /* N */
    size_t max_size;
    uint64_t index_mask;
    uint64_t lap_mask;
    uint64_t lap_one;

    alignas(PORT_CACHE_LINE) uint64_t control_mask; /* closed and reserved, in the tail */
    uint64_t readable; /* in a cell; the same bit is closed, in the tail */
    uint16_t index_bits;
    bool is_large; /* QUEUE_LARGE */
    async_queue_flags_t flags;
    _Atomic uint32_t notify;   /* QUEUE_NOTIFY_*; bind: RMW seq_cst; producers: load seq_cst */
    _Atomic uint32_t blocking; /* writers that wait; not 0: the consumer looks for them */
    _Atomic uint32_t closing; /* a copy of closed, so that an idle consumer leaves the tail alone */
    _Atomic uint32_t drops;   /* QUEUE_DROPS_*; consumer: store; producers: load, relaxed */
    _Atomic(queue_hook_t *) hook;
    _Atomic(queue_spares_t *) spares; /* NULL until the first reserve */
    _Atomic uint64_t tail_wraps;      /* times that the lap of the tail went through 0 */

    /* ---- The consumer's; the atomics are read by get_stats, is_empty and bind too. */
    alignas(PORT_CACHE_LINE) _Atomic uint64_t head; /* position; with DROP_OLDEST a lower bound */
    uint64_t usual_consumer;    /* consumer; ~0 with DROP_OLDEST or when held, lost or skipped */
    uint64_t usual_dropper;     /* consumer; ~0 without DROP_OLDEST or when held */
    _Atomic uint64_t delivered; /* with DROP_OLDEST; else it follows from the head */
    uint64_t lost;              /* before the last message shown or delivered */
    uint64_t skipped;           /* discarded since then */
    uint32_t spare_slot;        /* the consumer's own; none while held is DETACHED */
    _Atomic uint32_t held;      /* QUEUE_HELD_* */
    _Atomic uint64_t consumer;  /* the thread that last called dequeue or peek; ~0: none */
    _Atomic uint64_t discarded; /* positions before head that were dropped or cleared */
    uint64_t wraps_seen;        /* tail_wraps when the head last caught up with drops */
    uint32_t held_slot;
    bool held_shown; /* DETACHED: by peek; else it did not fit into a dequeue's buffer */
    bool promised;   /* with DROP_OLDEST: wait has said that a message is there */
    size_t held_size;

    /* ---- Off the paths that do not wait. */
    alignas(PORT_CACHE_LINE) port_eventcount_t room; /* blocked writers */
    _Atomic uint32_t asked;                          /* QUEUE_ASKED_* */
    _Atomic uint32_t room_woken; /* a writer was woken and has not come yet: see queue_wait.c */
    _Atomic uint32_t asleep;     /* 1: async_queue_wait() sleeps or is about to */
    _Atomic uint64_t rejected;
    _Atomic uint64_t blocked;
    _Atomic uint64_t bind_tail;        /* positions claimed before the binding end here */
    _Atomic(queue_hook_t *) old_hooks; /* unbound, kept for producers on their way */
    unsigned spin;                     /* turns before a thread sleeps; 0 with one processor */

    /* ---- The producers', not in one pair of lines with the consumer's: some processors fetch two.
     */
    alignas(PORT_CACHE_LINE) _Atomic uint64_t tail;
    uint64_t start; /* the first position, as a number; constant */
};

/* ---- Positions. */

static inline queue_cell_t *queue_cell_at(const async_queue_t *q, uint64_t index)
{
    return (queue_cell_t *)(void *)(q->cells + (size_t)index * q->stride);
}

static inline queue_cell_t *queue_cell(const async_queue_t *q, uint64_t word)
{
    return queue_cell_at(q, word & q->index_mask);
}

static inline uint64_t queue_position(const async_queue_t *q, uint64_t tail)
{
    return tail & ~q->control_mask;
}

static inline uint64_t queue_lap(const async_queue_t *q, uint64_t word)
{
    return word & q->lap_mask;
}

/* One reservation, in the tail. */
static inline uint64_t queue_reserved_one(const async_queue_t *q)
{
    return q->index_mask + 1;
}

static inline uint64_t queue_reserved(const async_queue_t *q, uint64_t tail)
{
    return (tail & q->control_mask & ~q->readable) >> q->index_bits;
}

static inline bool queue_closed(const async_queue_t *q, uint64_t tail)
{
    return (tail & q->readable) != 0;
}

/* The state of a cell: lap and readable. */
static inline uint64_t queue_state(const async_queue_t *q, uint64_t cell)
{
    return cell & (q->lap_mask | q->readable);
}

static inline uint32_t queue_slot_number(const async_queue_t *q, uint64_t cell)
{
    return (uint32_t)(cell & (q->readable - 1));
}

static inline bool queue_drops(const async_queue_t *q)
{
    return (q->flags & ASYNC_QUEUE_DROP_OLDEST) != 0;
}

/* DROP_OLDEST: the state of a cell while the message of the lap before the position's is in it. */
static inline uint64_t queue_state_before(const async_queue_t *q, uint64_t position)
{
    return queue_lap(q, position) - q->readable;
}

/*
 * Whether the cell of a position was freed.  Then it is a lap ahead; more when the position is out
 * of date.  The message of the lap before may still be in the cell of a claimed position.
 */
static inline bool queue_is_ahead(const async_queue_t *q, uint64_t cell, uint64_t position)
{
    return queue_lap(q, cell) != queue_lap(q, position) &&
           queue_state(q, cell) != queue_state_before(q, position);
}

/* Nobody has published in the cell of a position so far. */
static inline bool queue_is_to_come(const async_queue_t *q, uint64_t cell, uint64_t position)
{
    return queue_state(q, cell) == queue_lap(q, position) ||
           queue_state(q, cell) == queue_state_before(q, position);
}

/* word (a position or a tail) one place further. */
static inline uint64_t queue_next(const async_queue_t *q, uint64_t word)
{
    uint64_t index = (word & q->index_mask) + 1;

    return PORT_UNLIKELY(index == q->capacity) ? word + 1 - index + q->lap_one : word + 1;
}

/* position, count <= N places further. */
static inline uint64_t queue_add(const async_queue_t *q, uint64_t position, uint64_t count)
{
    if ((position & q->index_mask) + count >= q->capacity)
        position += q->lap_one - q->capacity;
    return position + count;
}

/* Places from one position to a later one, modulo all positions. */
static inline uint64_t queue_distance(const async_queue_t *q, uint64_t from, uint64_t to)
{
    uint64_t laps = (queue_lap(q, to) - queue_lap(q, from)) >> (q->index_bits + QUEUE_CONTROL_BITS);

    return laps * q->capacity + (to & q->index_mask) - (from & q->index_mask);
}

/* ---- Slots. */

/* One of the first N + 1. */
static inline char *queue_slot_at(const async_queue_t *q, uint64_t number)
{
    return q->cells + sizeof(queue_cell_t) + (size_t)number * q->stride;
}

/* The one behind the cell, which has its number. */
static inline char *queue_own_slot(queue_cell_t *cell)
{
    return (char *)(cell + 1);
}

static inline char *queue_slot(async_queue_t *q, uint32_t number)
{
    if (PORT_LIKELY(number <= q->capacity))
        return queue_slot_at(q, number);
    /* the cell that names it was published after the block */
    return atomic_load_explicit(&q->spares, memory_order_acquire)->slots +
           (number - q->capacity - 1) * q->slot_size;
}

/*
 * Asks for the lines of a message, all of them at a time, before the copy.  Those of a large queue
 * are in no cache, and the locked instruction of a claim keeps the copy from asking for the first
 * of them, while its stores ask for a few at a time.  (To gcc a function that does only this has no
 * effect: it leaves calls of it out.)
 */
static PORT_ALWAYS_INLINE void queue_ask_for_lines(const async_queue_t *q, const char *bytes,
                                                   size_t size)
{
    if (!q->is_large || size < QUEUE_ASK_FROM)
        return;
    if (size > QUEUE_ASK_MOST)
        size = QUEUE_ASK_MOST;
    for (size_t i = 0; i < size; i += PORT_CACHE_LINE)
        PORT_PREFETCH_READ(bytes + i);
}

/* Known sizes are copied inline. */
static inline void queue_copy(void *to, const void *from, size_t size)
{
    if (size == 64)
        memcpy(to, from, 64);
    else if (size == 16)
        memcpy(to, from, 16);
    else if (size != 0)
        memcpy(to, from, size);
}

/* ---- queue.c */

/* As async_queue_create(), but the first position is `left` places before the positions wrap to 0,
 * 0 for position 0.  For tests. */
async_queue_t *queue_create_at(size_t capacity, size_t max_msg_size, async_queue_flags_t flags,
                               uint64_t left);

/* ---- queue_send.c */

/*
 * Looks whether tail leaves a place for one message or reservation more; with DROP_OLDEST the
 * oldest message may be in it.  Returns 0, EAGAIN (full), EPIPE, EBUSY (tail is out of date, load
 * it again) or EINPROGRESS (DROP_OLDEST: the oldest message is still being copied in).
 */
int queue_find_place(async_queue_t *q, uint64_t tail);

/* After that and a CAS of the tail: drops the message in the place that was found, if it is still
 * there. */
void queue_empty_place(async_queue_t *q, uint64_t tail);

/*
 * DROP_OLDEST: the cell of a position that the caller has claimed, in which the message of the lap
 * before was seen: drops it unless somebody took it out.  freed: what the cell becomes; drops: what
 * q->drops was or is.  Returns the cell's word, with the slot that is the caller's now.
 */
static PORT_ALWAYS_INLINE uint64_t queue_replace(queue_cell_t *at, uint64_t cell, uint64_t freed,
                                                 uint32_t drops)
{
    if (drops == QUEUE_DROPS_BY_STORE) {
        atomic_store_explicit(&at->word, freed, memory_order_relaxed);
        /* before the bytes: the consumer's CAS of the word fails if it has read any of them */
        atomic_thread_fence(memory_order_release);
        return freed;
    }
    /* acquire: the slot that the consumer leaves has been read */
    return atomic_compare_exchange_strong_explicit(&at->word, &cell, freed, memory_order_acq_rel,
                                                   memory_order_acquire)
               ? freed
               : cell;
}

/* The word of the cell of a position that the caller has claimed, when the cell is his. */
static inline uint64_t queue_own_cell(async_queue_t *q, queue_cell_t *at, uint64_t position)
{
    /* pairs with the stores that free a cell */
    uint64_t cell = atomic_load_explicit(&at->word, memory_order_acquire);

    if (queue_lap(q, cell) == queue_lap(q, position))
        return cell;
    return queue_replace(at, cell, cell + q->readable,
                         atomic_load_explicit(&q->drops, memory_order_relaxed));
}

/* Waits a little for another producer's copy; turn counts from 0. */
void queue_wait_copy(const async_queue_t *q, unsigned turn);

/* The end of a failed enqueue or reserve: counts it, sets errno. */
bool queue_reject(async_queue_t *q, int err);

/* To be called after a CAS of the tail to next. */
static inline void queue_count_wrap(async_queue_t *q, uint64_t next)
{
    if (PORT_UNLIKELY((next & ~q->control_mask) == 0))
        /* pairs with the load in queue_accepted: who sees the count sees the wrapped tail */
        atomic_fetch_add_explicit(&q->tail_wraps, 1, memory_order_release);
}

/* ---- queue_wait.c */

/* One attempt: 0, EAGAIN (full), or another errno value that ends the wait. */
typedef int (*queue_attempt_t)(async_queue_t *q, void *arg);

/* Attempts until it is not EAGAIN or the time is over; one attempt was made already.  Returns the
 * attempt's result, ETIMEDOUT, or EDEADLK. */
int queue_wait_place(async_queue_t *q, int timeout_ms, queue_attempt_t attempt, void *arg);

/* A place became free: wakes a blocked writer.  The caller has seen queue->blocking; who is not the
 * consumer calls the second. */
void queue_place_freed(async_queue_t *q);
void queue_wake_writer(async_queue_t *q);

/* Wakes all blocked writers. */
void queue_wake_writers(async_queue_t *q);

/* A message became visible, or the queue finished: wakes the waiter, announces to the hook. */
void queue_signal(async_queue_t *q);

/* ---- queue_bind.c */

/* The consumer found the queue empty: further messages are to be announced. */
void queue_rearm(async_queue_t *q);
void queue_announce(async_queue_t *q);
void queue_release_hooks(async_queue_t *q);

/* ---- queue_stats.c */

/* The oldest position that is not freed, from head on; the tail's when all are. */
uint64_t queue_oldest(const async_queue_t *q, uint64_t head, uint64_t *tail);

/* Whether the consumer would get a message; any thread. */
bool queue_ready(const async_queue_t *q);

/* The same without what the consumer has peeked and detached. */
bool queue_ready_in_ring(const async_queue_t *q);

/* Closed, and nothing is there or can come; any thread. */
bool queue_finished(const async_queue_t *q);

/* Messages accepted so far, at least `known`, and the tail that was read for it. */
uint64_t queue_accepted(const async_queue_t *q, uint64_t known, uint64_t *tail);

#endif /* QUEUE_IMPL_H */

/* SPDX-License-Identifier: MIT */
/*
 * queue_send.c - the producers' side: enqueue and close
 */
#include "queue/queue_impl.h"
#include "port/port_clock.h"
#include "port/port_error.h"
#include "queue/queue_interrupt.h"

typedef struct message {
    const void *data;
    size_t size;
} message_t;

bool queue_reject(async_queue_t *q, int err)
{
    atomic_fetch_add_explicit(&q->rejected, 1, memory_order_relaxed);
    return port_fail_false(err);
}

void queue_wait_copy(const async_queue_t *q, unsigned turn)
{
    if (turn < q->spin)
        port_cpu_relax();
    else if (turn < q->spin + 20)
        port_thread_yield();
    else
        port_thread_sleep(50 * PORT_NS_PER_US);
}

int queue_find_place(async_queue_t *q, uint64_t tail)
{
    uint64_t reserved = queue_reserved(q, tail);
    uint64_t position, cell, lap;

    if (queue_closed(q, tail))
        return EPIPE;
    if (reserved >= q->capacity)
        return EAGAIN;
    position = queue_add(q, queue_position(q, tail), reserved);
    lap = queue_lap(q, position);
    /* pairs with the stores that free a cell, in queue_take.c and below */
    cell = atomic_load_explicit(&queue_cell(q, position)->word, memory_order_acquire);
    if (queue_state(q, cell) == lap ||
        (queue_drops(q) && queue_state(q, cell) == queue_state_before(q, lap)))
        return 0;
    /* The place was taken while the tail was as we know it: then the queue was full.  The second
     * look must not come before the first. */
    if (atomic_load_explicit(&q->tail, memory_order_acquire) != tail)
        return EBUSY;
    return queue_drops(q) ? EINPROGRESS : EAGAIN;
}

void queue_empty_place(async_queue_t *q, uint64_t tail)
{
    uint64_t position = queue_add(q, queue_position(q, tail), queue_reserved(q, tail));
    queue_cell_t *at = queue_cell(q, position);
    uint64_t cell = atomic_load_explicit(&at->word, memory_order_acquire);

    /* else it was never there, or the consumer or the next claimer has taken it out; release hands
     * its slot to the next writer */
    if (queue_drops(q) && queue_state(q, cell) == queue_state_before(q, position))
        atomic_compare_exchange_strong_explicit(&at->word, &cell, cell + q->readable,
                                                memory_order_acq_rel, memory_order_relaxed);
}

/*
 * What a claimed cell needs.  notify is loaded after the CAS of the tail, both seq_cst: a binding
 * that this load misses sees our claim in the tail (pairs with queue_bind).
 */
static inline uint32_t notify_of(const async_queue_t *q)
{
    return atomic_load_explicit(&q->notify, memory_order_seq_cst);
}

/* Apart, so that the usual way needs no frame: it ends in a jump. */
static PORT_NOINLINE bool signal_sent(async_queue_t *q)
{
    queue_signal(q);
    return true;
}

/* Publishes the slot that was filled: word is the cell's own, with readable set. */
static inline bool publish(async_queue_t *q, queue_cell_t *at, uint64_t word)
{
    uint32_t notify = notify_of(q);

    /* pairs with the consumer's load of the word */
    atomic_store_explicit(&at->word, word, memory_order_release);
    return PORT_LIKELY(notify == 0) || signal_sent(q);
}

/* Fills a claimed cell and publishes it.  Apart, so that the way of the common sizes saves no
 * registers for a call. */
static PORT_NOINLINE bool fill(async_queue_t *q, queue_cell_t *at, uint64_t word, const void *data,
                               size_t size)
{
    char *to = queue_slot(q, queue_slot_number(q, word));

    atomic_store_explicit(&at->size, size, memory_order_relaxed);
    queue_ask_for_lines(q, to, size);
    if (PORT_LIKELY(size != 0))
        memcpy(to, data, size);
    return publish(q, at, word);
}

/* The way through open reservations, full and closed queues: claims a cell by *tail. */
static PORT_NOINLINE int claim_slowly(async_queue_t *q, uint64_t *tail)
{
    unsigned turn = 0;

    *tail = atomic_load_explicit(&q->tail, memory_order_acquire);
    for (;;) {
        int err = queue_find_place(q, *tail);

        if (err == 0) {
            /* pairs with itself: a claim sees all that led to the state of the tail before it */
            if (atomic_compare_exchange_weak_explicit(&q->tail, tail, queue_next(q, *tail),
                                                      memory_order_seq_cst, memory_order_acquire))
                return 0;
            continue;
        }
        if (err == EINPROGRESS)
            queue_wait_copy(q, turn++);
        else if (err != EBUSY)
            return err;
        *tail = atomic_load_explicit(&q->tail, memory_order_acquire);
    }
}

static int send(async_queue_t *q, const message_t *message)
{
    uint64_t tail;
    queue_cell_t *at;
    int err = claim_slowly(q, &tail);

    if (err != 0)
        return err;
    queue_count_wrap(q, queue_next(q, tail));
    queue_empty_place(q, tail);
    at = queue_cell(q, tail);
    fill(q, at, queue_own_cell(q, at, tail) + q->readable, message->data, message->size);
    return 0;
}

static int send_attempt(async_queue_t *q, void *arg)
{
    return send(q, arg);
}

/* 0, or the errno value of a call that is wrong in itself. */
static inline int check(const async_queue_t *q, const void *data, size_t size)
{
    return q == NULL || (data == NULL && size != 0) ? EINVAL : 0;
}

static PORT_NOINLINE bool enqueue_slowly(async_queue_t *q, const void *data, size_t size)
{
    message_t message = {data, size};
    int err = check(q, data, size);

    if (err != 0)
        return port_fail_false(err);
    if (size > q->max_size)
        return queue_reject(q, EMSGSIZE);
    err = send(q, &message);
    if (err == EAGAIN && (q->flags & ASYNC_QUEUE_BLOCK_WRITER) != 0)
        err = queue_wait_place(q, -1, send_attempt, &message);
    return err == 0 || queue_reject(q, err);
}

/*
 * The other usual ways: another producer was faster; a cell with a slot from elsewhere, which is
 * there after a peek or a reservation.
 */
static PORT_NOINLINE bool enqueue_usually(async_queue_t *q, const void *data, size_t size)
{
    uint64_t tail = atomic_load_explicit(&q->tail, memory_order_acquire);

    for (;;) {
        queue_cell_t *at = queue_cell(q, tail);
        uint64_t cell = atomic_load_explicit(&at->word, memory_order_acquire);
        uint64_t lap = queue_lap(q, tail);
        uint64_t next = queue_next(q, tail);

        if ((tail & q->control_mask) != 0 || next == 0)
            return enqueue_slowly(q, data, size);
        if (queue_state(q, cell) != lap) {
            if (!queue_drops(q) && (q->flags & ASYNC_QUEUE_BLOCK_WRITER) == 0 &&
                (queue_state(q, cell) | q->readable) == queue_state_before(q, lap))
                return queue_reject(q, EAGAIN); /* as in enqueue_full */
            if (!queue_drops(q) || queue_state(q, cell) != queue_state_before(q, lap))
                return enqueue_slowly(q, data, size);
        }
        /* as in enqueue_at_once */
        if (atomic_compare_exchange_strong_explicit(&q->tail, &tail, next, memory_order_seq_cst,
                                                    memory_order_acquire))
            return fill(q, at, queue_own_cell(q, at, lap) + q->readable, data, size);
    }
}

/*
 * The usual way of a full queue, as enqueue_at_once: with DROP_OLDEST the oldest message lies just
 * where the new one goes.  What was seen: the tail, and the word of its cell, which is not free.
 */
static PORT_ALWAYS_INLINE bool enqueue_full(async_queue_t *q, const void *data, size_t size,
                                            uint64_t tail, uint64_t cell, queue_cell_t *at)
{
    uint64_t index = tail & q->index_mask, next = tail + 1;
    uint64_t freed = cell + q->readable;
    /* readable in the lap before the tail's, and a slot of the first block: then its number */
    uint64_t slot = freed ^ tail ^ index;
    uint32_t drops;
    char *to;

    if (PORT_UNLIKELY(slot > q->capacity))
        return enqueue_usually(q, data, size);
    drops = atomic_load_explicit(&q->drops, memory_order_relaxed);
    if (PORT_UNLIKELY(drops != QUEUE_DROPS_BY_STORE)) {
        /* A place that is not free now was not free when the tail was loaded, nor has the tail
         * gone past it since: the queue was full then. */
        if (drops == QUEUE_DROPS_NOT && (q->flags & ASYNC_QUEUE_BLOCK_WRITER) == 0)
            return queue_reject(q, EAGAIN);
        /* the consumer takes small ones and loses races: those few steps more let it keep up */
        if (drops == QUEUE_DROPS_NOT || size <= QUEUE_SMALL)
            return enqueue_usually(q, data, size);
    }
    if (PORT_UNLIKELY(index + 1 == q->capacity)) {
        next += q->lap_one - q->capacity;
        if (PORT_UNLIKELY(next == 0))
            return enqueue_slowly(q, data, size);
    }
    to = queue_slot_at(q, slot);
    /* as in enqueue_at_once */
    if (PORT_UNLIKELY(!atomic_compare_exchange_strong_explicit(
            &q->tail, &tail, next, memory_order_seq_cst, memory_order_relaxed)))
        return enqueue_usually(q, data, size);
    cell = queue_replace(at, cell, freed, drops);
    if (PORT_UNLIKELY(cell != freed)) /* the consumer was faster, and left another slot */
        return fill(q, at, cell + q->readable, data, size);
    queue_ask_for_lines(q, to, size);
    atomic_store_explicit(&at->size, size, memory_order_relaxed);
    memcpy(to, data, size);
    return publish(q, at, freed + q->readable);
}

/* Apart, so that the usual way saves no registers for them. */
static PORT_NOINLINE bool enqueue_full_64(async_queue_t *q, const void *data, uint64_t tail,
                                          uint64_t cell, queue_cell_t *at)
{
    return enqueue_full(q, data, 64, tail, cell, at);
}

static PORT_NOINLINE bool enqueue_full_16(async_queue_t *q, const void *data, uint64_t tail,
                                          uint64_t cell, queue_cell_t *at)
{
    return enqueue_full(q, data, 16, tail, cell, at);
}

static PORT_NOINLINE bool enqueue_full_size(async_queue_t *q, const void *data, size_t size,
                                            uint64_t tail, uint64_t cell, queue_cell_t *at)
{
    return enqueue_full(q, data, size, tail, cell, at);
}

/*
 * The most usual way, a writable cell with one of the first slots; size is not too large.  No loop,
 * and with a constant size no call but the last.  own: the slot is most likely the cell's own, so
 * the copy need not wait for the cell's word to know where to.
 */
static PORT_ALWAYS_INLINE bool enqueue_at_once(async_queue_t *q, const void *data, size_t size,
                                               bool own)
{
    uint64_t tail, next, cell, slot, index;
    queue_cell_t *at;
    char *to;

    tail = atomic_load_explicit(&q->tail, memory_order_acquire);
    if (PORT_UNLIKELY((tail & q->control_mask) != 0))
        return enqueue_slowly(q, data, size);
    index = tail & q->index_mask;
    at = queue_cell_at(q, index);
    /* pairs with the stores that free a cell */
    cell = atomic_load_explicit(&at->word, memory_order_acquire);
    /* writable in the tail's lap, and a slot of the first block: then this is its number */
    slot = cell ^ tail ^ index;
    if (PORT_UNLIKELY(slot > q->capacity))
        return own          ? enqueue_full_size(q, data, size, tail, cell, at)
               : size == 64 ? enqueue_full_64(q, data, tail, cell, at)
                            : enqueue_full_16(q, data, tail, cell, at);
    next = tail + 1;
    if (PORT_UNLIKELY(index + 1 == q->capacity)) {
        next += q->lap_one - q->capacity;
        if (PORT_UNLIKELY(next == 0))
            return enqueue_slowly(q, data, size);
    }
    /* not after the CAS, which waits for all before it and makes all after it wait */
    to = own && slot == index ? queue_own_slot(at) : queue_slot_at(q, slot);
    cell += q->readable;
    /* acquire and release: a claim sees all that led to the state of the tail before it */
    if (PORT_UNLIKELY(!atomic_compare_exchange_strong_explicit(
            &q->tail, &tail, next, memory_order_seq_cst, memory_order_relaxed)))
        return enqueue_usually(q, data, size);
    queue_ask_for_lines(q, to, size);
    atomic_store_explicit(&at->size, size, memory_order_relaxed);
    memcpy(to, data, size);
    return publish(q, at, cell);
}

/* Apart, so that the common sizes save no registers for a call. */
static PORT_NOINLINE bool enqueue_size(async_queue_t *q, const void *data, size_t size)
{
    return enqueue_at_once(q, data, size, true);
}

PORT_ALIGNED_CODE bool async_queue_enqueue(async_queue_t *queue, const void *data, size_t size)
{
    if (PORT_UNLIKELY(queue == NULL || data == NULL || size > queue->max_size))
        return enqueue_slowly(queue, data, size);
    if (size == 64)
        return enqueue_at_once(queue, data, 64, false);
    if (size == 16)
        return enqueue_at_once(queue, data, 16, false);
    return enqueue_size(queue, data, size);
}

bool async_queue_enqueue_timed(async_queue_t *queue, const void *data, size_t size, int timeout_ms)
{
    message_t message = {data, size};
    int err = check(queue, data, size);

    if (PORT_UNLIKELY(err != 0 || timeout_ms < -1))
        return port_fail_false(EINVAL);
    if (PORT_UNLIKELY(size > queue->max_size))
        return queue_reject(queue, EMSGSIZE);
    err = send(queue, &message);
    if (PORT_LIKELY(err == 0))
        return true;
    /* DROP_OLDEST never waits: reservations that hold every place may never be settled */
    if (err == EAGAIN && (queue->flags & ASYNC_QUEUE_DROP_OLDEST) == 0)
        err = queue_wait_place(queue, timeout_ms, send_attempt, &message);
    return err == 0 || queue_reject(queue, err);
}

typedef struct interruptible {
    message_t message;
    const _Atomic uint32_t *stop;
} interruptible_t;

static int send_unless_stopped(async_queue_t *q, void *arg)
{
    interruptible_t *wait = arg;

    /* after wait_once's fence; pairs with the one in queue_interrupt's notify: it sees us waiting,
     * or we see the word */
    if (atomic_load_explicit(wait->stop, memory_order_relaxed) != 0)
        return EINTR;
    return send(q, &wait->message);
}

int queue_enqueue_interruptible(async_queue_t *queue, const void *data, size_t size,
                                const _Atomic uint32_t *stop)
{
    interruptible_t wait = {{data, size}, stop};
    int err = size > queue->max_size ? EMSGSIZE : send(queue, &wait.message);

    if (err == EAGAIN && (queue->flags & ASYNC_QUEUE_DROP_OLDEST) == 0)
        err = queue_wait_place(queue, -1, send_unless_stopped, &wait);
    if (err == EPIPE || err == EMSGSIZE)
        queue_reject(queue, err);
    return err;
}

void queue_interrupt(async_queue_t *queue)
{
    queue_wake_writers(queue);
}

void async_queue_close(async_queue_t *queue)
{
    if (queue == NULL)
        return;
    /* first, so that nobody learns of the end from the tail while dequeue does not look there yet
     */
    atomic_store_explicit(&queue->closing, 1, memory_order_seq_cst);
    /* a claim that comes before is accepted, one that comes after is refused */
    if (queue_closed(queue,
                     atomic_fetch_or_explicit(&queue->tail, queue->readable, memory_order_seq_cst)))
        return; /* who closed it wakes and announces */
    queue_wake_writers(queue);
    queue_signal(queue);
}

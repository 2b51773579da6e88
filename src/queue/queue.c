/* SPDX-License-Identifier: MIT */
/*
 * queue.c - making and ending a queue
 *
 * What the manual says of the queue rests on these facts:
 *
 * Progress.  Without waiting, every function is lock-free.  A producer stopped in the middle of its
 * copy stops nobody else while there is room; the consumer sees what came before that message and
 * then EAGAIN until it is finished.  A producer stopped between reserve and commit stops nobody: it
 * just holds a place.  With DROP_OLDEST a full queue whose oldest message is still being copied in
 * makes the next producer wait for that copy (it yields, then sleeps), as does clear.
 *
 * Memory.  N messages of at most M bytes take sizeof(async_queue) (384 bytes) + (N + 1) (16 + S),
 * where S is M rounded up to 16, and 16 for 0.  The first reserve adds 24 + N S + 16 (2 N + 1), for
 * good.  Nothing else is ever allocated.  At most 2^28 messages and 2^19 - 1 open
 * reservations.
 *
 * Costs.  enqueue: one CAS and one copy; on a full DROP_OLDEST queue for messages of more than
 * QUEUE_SMALL bytes two; refused: one locked addition.  dequeue and peek: one copy or none, no
 * locked instruction, but a fence while a writer waits; with DROP_OLDEST one CAS, and peek copies
 * up to QUEUE_SMALL bytes too.  reserve: two locked instructions; commit: three.
 * SIGNAL_ON_DATA or a binding add one fence to each enqueue, and nothing else while the other side
 * is awake.  System calls: only to sleep, or to wake one who sleeps.
 */
#include "queue/queue_impl.h"
#include "port/port_error.h"
#include "port/port_memory.h"

#include <stdint.h>

#define ALL_FLAGS (ASYNC_QUEUE_DROP_OLDEST | ASYNC_QUEUE_BLOCK_WRITER | ASYNC_QUEUE_SIGNAL_ON_DATA)
#define SPIN_TURNS 200u

/* The bytes of a slot, so that the next cell is aligned.  0: overflow. */
static size_t slot_size_of(size_t max_msg_size)
{
    size_t align = alignof(queue_cell_t);

    if (max_msg_size > SIZE_MAX - sizeof(queue_cell_t) - (align - 1))
        return 0;
    return max_msg_size == 0 ? align : (max_msg_size + align - 1) & ~(align - 1);
}

static void set_layout(async_queue_t *q, size_t capacity)
{
    uint32_t bits = 0;

    while ((UINT64_C(1) << bits) < capacity)
        bits++;
    q->index_bits = (uint16_t)bits;
    q->index_mask = (UINT64_C(1) << bits) - 1;
    q->lap_one = UINT64_C(1) << (bits + QUEUE_CONTROL_BITS);
    q->lap_mask = ~(q->lap_one - 1);
    q->readable = q->lap_one >> 1;
    q->control_mask = ~(q->lap_mask | q->index_mask);
}

/* All cells writable, for the positions from the first one on; nobody else sees the queue yet. */
static void set_start(async_queue_t *q, uint64_t left)
{
    size_t n = q->capacity;
    uint64_t first = 0;

    if (left != 0) {
        uint64_t laps = (left + n - 1) / n;

        first = (0 - laps * q->lap_one) | (laps * n - left);
    }
    q->start = queue_distance(q, 0, first);
    for (size_t i = 0; i < n; i++) {
        uint64_t lap = queue_lap(q, first) + (i < (first & q->index_mask) ? q->lap_one : 0);

        atomic_init(&queue_cell_at(q, i)->word, lap | i);
        atomic_init(&queue_cell_at(q, i)->size, 0);
    }
    atomic_init(&q->tail, first);
    atomic_init(&q->head, first);
    atomic_init(&q->bind_tail, first);
    atomic_init(&q->consumer, UINT64_MAX);
    q->usual_consumer = UINT64_MAX;
    q->usual_dropper = UINT64_MAX;
    q->spare_slot = (uint32_t)n;
}

async_queue_t *queue_create_at(size_t capacity, size_t max_msg_size, async_queue_flags_t flags,
                               uint64_t left)
{
    size_t slot_size = slot_size_of(max_msg_size);
    size_t stride = sizeof(queue_cell_t) + slot_size;
    async_queue_t *q;

    /* one more for the consumer; the block of reservations is smaller */
    if (slot_size == 0 || capacity >= SIZE_MAX / stride)
        return port_fail_null(EINVAL);
    if (capacity > QUEUE_CAPACITY_MAX)
        return port_fail_null(ENOMEM);
    q = port_alloc_aligned(sizeof(*q), 2 * PORT_CACHE_LINE);
    if (q == NULL)
        return port_fail_null(ENOMEM);
    memset(q, 0, sizeof(*q));
    q->cells = port_alloc_aligned((capacity + 1) * stride, PORT_CACHE_LINE);
    if (q->cells == NULL) {
        port_free_aligned(q);
        return port_fail_null(ENOMEM);
    }
    q->stride = stride;
    q->slot_size = slot_size;
    q->capacity = capacity;
    q->max_size = max_msg_size;
    q->is_large = capacity * stride > QUEUE_LARGE;
    q->flags = flags;
    if (flags & ASYNC_QUEUE_DROP_OLDEST)
        atomic_init(&q->drops,
                    max_msg_size <= QUEUE_SMALL ? QUEUE_DROPS_BY_STORE : QUEUE_DROPS_BY_CAS);
    q->spin = port_cpu_count() > 1 ? SPIN_TURNS : 0;
    set_layout(q, capacity);
    set_start(q, left);
    port_eventcount_init(&q->room);
    atomic_init(&q->notify, flags & ASYNC_QUEUE_SIGNAL_ON_DATA ? QUEUE_NOTIFY_WAITER : 0);
    return q;
}

async_queue_t *async_queue_create(size_t capacity, size_t max_msg_size, async_queue_flags_t flags)
{
    const uint32_t both = ASYNC_QUEUE_DROP_OLDEST | ASYNC_QUEUE_BLOCK_WRITER;
    async_queue_t *q;
    int saved = errno;

    if (capacity == 0 || (flags & ~ALL_FLAGS) != 0 || (flags & both) == both)
        return port_fail_null(EINVAL);
    q = queue_create_at(capacity, max_msg_size, flags, 0);
    if (q != NULL)
        errno = saved;
    return q;
}

void async_queue_destroy(async_queue_t *queue)
{
    queue_spares_t *spares;
    int saved = errno;

    if (queue == NULL)
        return;
    queue_release_hooks(queue);
    spares = atomic_load_explicit(&queue->spares, memory_order_acquire);
    if (spares != NULL) {
        port_free_aligned(spares->slots);
        port_free(spares);
    }
    port_free_aligned(queue->cells);
    port_free_aligned(queue);
    errno = saved;
}

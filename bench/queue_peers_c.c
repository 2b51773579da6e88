/* SPDX-License-Identifier: MIT */
/*
 * queue_peers_c.c - the library, a ring under a mutex, Vyukov's ring with the payload in its cells,
 * Concurrency Kit
 */
#include <asyncrt.h>

#include "bench.h"
#include "queue_peer.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

#if defined(__has_include)
#if __has_include(<ck_ring.h>)
#define HAVE_CK_RING 1
#endif
#endif

#define ALL_POLICIES (HAS_PLAIN | HAS_DROP | HAS_BLOCK)

static void *allocate(size_t size)
{
    void *p = NULL;

    bench_check(posix_memalign(&p, 64, (size + 63) & ~(size_t)63) == 0, "posix_memalign");
    memset(p, 0, size);
    return p;
}

/* ---- libasyncrt */

static void *rt_open(size_t capacity, size_t size, enum policy policy)
{
    static const uint32_t flags[] = {0, ASYNC_QUEUE_DROP_OLDEST, ASYNC_QUEUE_BLOCK_WRITER};
    void *q = async_queue_create(capacity, size, flags[policy]);

    bench_check(q != NULL, "async_queue_create");
    return q;
}

static bool rt_push(void *queue, const void *data, size_t size)
{
    return async_queue_enqueue(queue, data, size);
}

static bool rt_pop(void *queue, void *data, size_t size)
{
    return async_queue_dequeue(queue, data, size, NULL);
}

static void rt_close(void *queue)
{
    async_queue_destroy(queue);
}

static uint64_t rt_dropped(void *queue)
{
    async_queue_stats_t stats;

    async_queue_get_stats(queue, &stats);
    return stats.dropped_count;
}

static bool rt_push_in_place(void *queue, const void *data, size_t size)
{
    void *slot = async_queue_reserve(queue, size);

    if (slot == NULL)
        return false;
    /* a producer that makes its message here would write it, not copy it: a word stands for that */
    memcpy(slot, data, 16);
    async_queue_commit(queue, slot, size);
    return true;
}

static bool rt_pop_in_place(void *queue, void *data, size_t size)
{
    const void *slot = async_queue_peek(queue, NULL);

    (void)size;
    if (slot == NULL)
        return false;
    memcpy(data, slot, 16);
    async_queue_release(queue);
    return true;
}

/* ---- a ring under a mutex and a condition variable */

struct locked {
    pthread_mutex_t lock;
    pthread_cond_t room;
    size_t capacity, size, head, count;
    uint64_t dropped;
    enum policy policy;
    char *slots;
};

static void *locked_open(size_t capacity, size_t size, enum policy policy)
{
    struct locked *q = allocate(sizeof(*q));

    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->room, NULL);
    q->capacity = capacity;
    q->size = size;
    q->policy = policy;
    q->slots = allocate(capacity * size);
    return q;
}

static bool locked_push(void *queue, const void *data, size_t size)
{
    struct locked *q = queue;
    size_t at;

    pthread_mutex_lock(&q->lock);
    while (q->policy == POLICY_BLOCK && q->count == q->capacity)
        pthread_cond_wait(&q->room, &q->lock);
    if (q->count == q->capacity) {
        if (q->policy == POLICY_NONE) {
            pthread_mutex_unlock(&q->lock);
            return false;
        }
        q->head = q->head + 1 == q->capacity ? 0 : q->head + 1;
        q->count--;
        q->dropped++;
    }
    at = q->head + q->count;
    memcpy(q->slots + (at >= q->capacity ? at - q->capacity : at) * q->size, data, size);
    q->count++;
    pthread_mutex_unlock(&q->lock);
    return true;
}

static bool locked_pop(void *queue, void *data, size_t size)
{
    struct locked *q = queue;

    pthread_mutex_lock(&q->lock);
    if (q->count == 0) {
        pthread_mutex_unlock(&q->lock);
        return false;
    }
    memcpy(data, q->slots + q->head * q->size, size);
    q->head = q->head + 1 == q->capacity ? 0 : q->head + 1;
    q->count--;
    if (q->policy == POLICY_BLOCK)
        pthread_cond_signal(&q->room);
    pthread_mutex_unlock(&q->lock);
    return true;
}

static uint64_t locked_dropped(void *queue)
{
    return ((struct locked *)queue)->dropped;
}

static void locked_close(void *queue)
{
    struct locked *q = queue;

    free(q->slots);
    free(q);
}

/*
 * ---- Vyukov's bounded ring, payload in the cells.  With one consumer the head needs no CAS; with
 * several a producer that finds it full can take the oldest message out.
 */
struct vyukov {
    size_t mask, stride;
    char *cells;
    alignas(64) _Atomic size_t tail;
    alignas(64) _Atomic size_t head;
    alignas(64) _Atomic uint64_t dropped;
    alignas(64) size_t size_max; /* the rest: see checked_put() */
    uint64_t closed, consumer;
    _Atomic unsigned sleeps;
};

static void *vyukov_open(size_t capacity, size_t size, enum policy policy)
{
    struct vyukov *q = allocate(sizeof(*q));

    (void)policy;
    q->mask = capacity - 1;
    q->size_max = size;
    q->stride = (8 + size + 7) & ~(size_t)7;
    q->cells = allocate(capacity * q->stride);
    for (size_t i = 0; i < capacity; i++)
        atomic_init((_Atomic size_t *)(void *)(q->cells + i * q->stride), i);
    return q;
}

/* sized: the message's size is kept behind the sequence. */
static inline __attribute__((always_inline)) bool vyukov_put(struct vyukov *q, const void *data,
                                                             size_t size, bool sized)
{
    size_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);

    for (;;) {
        char *cell = q->cells + (tail & q->mask) * q->stride;
        _Atomic size_t *seq = (_Atomic size_t *)(void *)cell;
        ptrdiff_t d = (ptrdiff_t)(atomic_load_explicit(seq, memory_order_acquire) - tail);

        if (d == 0) {
            if (atomic_compare_exchange_weak_explicit(&q->tail, &tail, tail + 1,
                                                      memory_order_relaxed, memory_order_relaxed)) {
                if (sized)
                    memcpy(cell + 8, &size, sizeof(size));
                memcpy(cell + (sized ? 16 : 8), data, size);
                atomic_store_explicit(seq, tail + 1, memory_order_release);
                return true;
            }
        } else if (d < 0) {
            return false;
        } else {
            tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
        }
    }
}

static inline __attribute__((always_inline)) bool vyukov_get(struct vyukov *q, void *data,
                                                             size_t size, bool sized)
{
    size_t head = atomic_load_explicit(&q->head, memory_order_relaxed), room = size;
    char *cell = q->cells + (head & q->mask) * q->stride;
    _Atomic size_t *seq = (_Atomic size_t *)(void *)cell;

    if (atomic_load_explicit(seq, memory_order_acquire) != head + 1)
        return false;
    if (sized)
        memcpy(&size, cell + 8, sizeof(size));
    if (size > room)
        return false;
    memcpy(data, cell + (sized ? 16 : 8), size);
    atomic_store_explicit(seq, head + q->mask + 1, memory_order_release);
    atomic_store_explicit(&q->head, head + 1, memory_order_relaxed);
    return true;
}

static bool vyukov_push(void *queue, const void *data, size_t size)
{
    return vyukov_put(queue, data, size, false);
}

static bool vyukov_pop(void *queue, void *data, size_t size)
{
    return vyukov_get(queue, data, size, false);
}

static bool vyukov_pop_many(void *queue, void *data, size_t size)
{
    struct vyukov *q = queue;
    size_t head = atomic_load_explicit(&q->head, memory_order_relaxed);

    for (;;) {
        char *cell = q->cells + (head & q->mask) * q->stride;
        _Atomic size_t *seq = (_Atomic size_t *)(void *)cell;
        ptrdiff_t d = (ptrdiff_t)(atomic_load_explicit(seq, memory_order_acquire) - head - 1);

        if (d == 0) {
            if (atomic_compare_exchange_weak_explicit(&q->head, &head, head + 1,
                                                      memory_order_relaxed, memory_order_relaxed)) {
                if (data != NULL)
                    memcpy(data, cell + 8, size);
                atomic_store_explicit(seq, head + q->mask + 1, memory_order_release);
                return true;
            }
        } else if (d < 0) {
            return false;
        } else {
            head = atomic_load_explicit(&q->head, memory_order_relaxed);
        }
    }
}

static bool vyukov_push_dropping(void *queue, const void *data, size_t size)
{
    struct vyukov *q = queue;

    while (!vyukov_push(q, data, size))
        if (vyukov_pop_many(q, NULL, size))
            atomic_fetch_add_explicit(&q->dropped, 1, memory_order_relaxed);
    return true;
}

/*
 * The same with the message's size in the cell, since the library's messages may have any size:
 * cell {sequence, size, payload}.
 */
static void *sized_open(size_t capacity, size_t size, enum policy policy)
{
    return vyukov_open(capacity, size + 8, policy);
}

static bool sized_push(void *queue, const void *data, size_t size)
{
    return vyukov_put(queue, data, size, true);
}

static bool sized_pop(void *queue, void *data, size_t size)
{
    return vyukov_get(queue, data, size, true);
}

/*
 * The same once more, called as a function of a shared library is, and with the questions that the
 * library's calls must ask: are the arguments good, is it closed, is this the consumer that it
 * knows, does somebody sleep.  What the "vyukov sized" row is ahead of this one is what those cost.
 */
static _Thread_local uint64_t checked_thread;

static bool checked_put(void *queue, const void *data, size_t size)
{
    struct vyukov *q = queue;

    if (q == NULL || data == NULL || size > q->size_max ||
        (atomic_load_explicit(&q->tail, memory_order_relaxed) & q->closed) != 0)
        return false;
    if (!vyukov_put(q, data, size, true))
        return false;
    return atomic_load_explicit(&q->sleeps, memory_order_relaxed) == 0;
}

static bool checked_get(void *queue, void *data, size_t size)
{
    struct vyukov *q = queue;

    if (q == NULL || data == NULL || q->consumer != checked_thread)
        return false;
    if (!vyukov_get(q, data, size, true))
        return false;
    return atomic_load_explicit(&q->sleeps, memory_order_relaxed) == 0;
}

/* where a program finds a library's functions */
static bool (*volatile checked_put_entry)(void *, const void *, size_t) = checked_put;
static bool (*volatile checked_get_entry)(void *, void *, size_t) = checked_get;

static bool checked_push(void *queue, const void *data, size_t size)
{
    return checked_put_entry(queue, data, size);
}

static bool checked_pop(void *queue, void *data, size_t size)
{
    return checked_get_entry(queue, data, size);
}

static uint64_t vyukov_dropped(void *queue)
{
    return atomic_load_explicit(&((struct vyukov *)queue)->dropped, memory_order_relaxed);
}

static void vyukov_close(void *queue)
{
    struct vyukov *q = queue;

    free(q->cells);
    free(q);
}

/* ---- Concurrency Kit: rings of entries of a fixed type, one for each size */
#ifdef HAVE_CK_RING
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wnull-dereference"
#include <ck_ring.h>

#define CK_SIZE(bytes)          \
    struct ck_message_##bytes { \
        char data[bytes];       \
    };                          \
    CK_RING_PROTOTYPE(m##bytes, ck_message_##bytes)

CK_SIZE(16)
CK_SIZE(64)
CK_SIZE(256)
CK_SIZE(1024)
#pragma GCC diagnostic pop

struct ck {
    ck_ring_t ring;
    void *buffer;
};

static void *ck_open(size_t capacity, size_t size, enum policy policy)
{
    struct ck *q = allocate(sizeof(*q));

    (void)policy;
    /* it keeps one place free */
    ck_ring_init(&q->ring, (unsigned)capacity);
    q->buffer = allocate(capacity * size);
    return q;
}

#define CK_CALL(call, at)                                                                  \
    switch (size) {                                                                        \
    case 16:                                                                               \
        return CK_RING_##call(m16, &q->ring, q->buffer, (struct ck_message_16 *)(at));     \
    case 64:                                                                               \
        return CK_RING_##call(m64, &q->ring, q->buffer, (struct ck_message_64 *)(at));     \
    case 256:                                                                              \
        return CK_RING_##call(m256, &q->ring, q->buffer, (struct ck_message_256 *)(at));   \
    default:                                                                               \
        return CK_RING_##call(m1024, &q->ring, q->buffer, (struct ck_message_1024 *)(at)); \
    }

static bool ck_push_spsc(void *queue, const void *data, size_t size)
{
    struct ck *q = queue;

    CK_CALL(ENQUEUE_SPSC, (uintptr_t)data)
}

static bool ck_push_mpsc(void *queue, const void *data, size_t size)
{
    struct ck *q = queue;

    CK_CALL(ENQUEUE_MPSC, (uintptr_t)data)
}

static bool ck_pop(void *queue, void *data, size_t size)
{
    struct ck *q = queue;

    CK_CALL(DEQUEUE_SPSC, data)
}

static void ck_close(void *queue)
{
    struct ck *q = queue;

    free(q->buffer);
    free(q);
}
#endif

#ifndef HAVE_CK_RING
#define ck_open NULL
#define ck_push_spsc NULL
#define ck_push_mpsc NULL
#define ck_pop NULL
#define ck_close NULL
#endif

const struct peer c_peers[] = {
    {"asyncrt", ALL_POLICIES, MANY, rt_open, rt_push, rt_pop, rt_close, rt_dropped},
    {"asyncrt in place", ALL_POLICIES, MANY, rt_open, rt_push_in_place, rt_pop_in_place, rt_close,
     rt_dropped},
    {"mutex ring", ALL_POLICIES, MANY, locked_open, locked_push, locked_pop, locked_close,
     locked_dropped},
    {"vyukov", HAS_PLAIN, MANY, vyukov_open, vyukov_push, vyukov_pop, vyukov_close, NULL},
    {"vyukov sized", HAS_PLAIN, MANY, sized_open, sized_push, sized_pop, vyukov_close, NULL},
    {"vyukov checked", HAS_PLAIN, MANY, sized_open, checked_push, checked_pop, vyukov_close, NULL},
    {"vyukov mpmc", HAS_DROP, MANY, vyukov_open, vyukov_push_dropping, vyukov_pop_many,
     vyukov_close, vyukov_dropped},
    {"ck spsc", HAS_PLAIN, 1, ck_open, ck_push_spsc, ck_pop, ck_close, NULL},
    {"ck mpsc", HAS_PLAIN, MANY, ck_open, ck_push_mpsc, ck_pop, ck_close, NULL},
    {NULL, 0, 0, NULL, NULL, NULL, NULL, NULL},
};

/* SPDX-License-Identifier: MIT */
/*
 * queue_peers_c.c - the library and its peers in C: a ring under a mutex, the plain Vyukov ring
 * with the payload in its cells, GLib, Concurrency Kit
 */
#include <asyncrt.h>

#include "bench.h"
#include "config.h"
#include "queue_peer.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

#ifdef HAVE_GLIB
#include <glib.h>
#endif
#if defined(__has_include)
#if __has_include(<ck_ring.h>)
#define HAVE_CK_RING 1
#endif
#endif

#define ALL_POLICIES (1u << POLICY_NONE | 1u << POLICY_DROP | 1u << POLICY_BLOCK)
#define ONLY_PLAIN (1u << POLICY_NONE)
#define MANY 1000u

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

static size_t rt_bytes(size_t capacity, size_t size)
{
    size_t align = size <= 32 ? 16 : 64;

    return 512 + 16 * capacity + (capacity + 1) * ((size + align - 1) & ~(align - 1));
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

static void locked_close(void *queue)
{
    struct locked *q = queue;

    free(q->slots);
    free(q);
}

/* ---- Vyukov's bounded ring, one consumer, payload in the cells */

struct vyukov {
    size_t mask, stride;
    char *cells;
    alignas(64) _Atomic size_t tail;
    alignas(64) size_t head;
};

static void *vyukov_open(size_t capacity, size_t size, enum policy policy)
{
    struct vyukov *q = allocate(sizeof(*q));

    (void)policy;
    q->mask = capacity - 1;
    q->stride = (8 + size + 7) & ~(size_t)7;
    q->cells = allocate(capacity * q->stride);
    for (size_t i = 0; i < capacity; i++)
        atomic_init((_Atomic size_t *)(void *)(q->cells + i * q->stride), i);
    return q;
}

static bool vyukov_push(void *queue, const void *data, size_t size)
{
    struct vyukov *q = queue;
    size_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);

    for (;;) {
        char *cell = q->cells + (tail & q->mask) * q->stride;
        _Atomic size_t *seq = (_Atomic size_t *)(void *)cell;
        ptrdiff_t d = (ptrdiff_t)(atomic_load_explicit(seq, memory_order_acquire) - tail);

        if (d == 0) {
            if (atomic_compare_exchange_weak_explicit(&q->tail, &tail, tail + 1,
                                                      memory_order_relaxed, memory_order_relaxed)) {
                memcpy(cell + 8, data, size);
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

static bool vyukov_pop(void *queue, void *data, size_t size)
{
    struct vyukov *q = queue;
    char *cell = q->cells + (q->head & q->mask) * q->stride;
    _Atomic size_t *seq = (_Atomic size_t *)(void *)cell;

    if (atomic_load_explicit(seq, memory_order_acquire) != q->head + 1)
        return false;
    memcpy(data, cell + 8, size);
    atomic_store_explicit(seq, q->head + q->mask + 1, memory_order_release);
    q->head++;
    return true;
}

static void vyukov_close(void *queue)
{
    struct vyukov *q = queue;

    free(q->cells);
    free(q);
}

/* ---- GLib: pointers to allocated copies; it has no bound of its own, so one is kept beside it */
#ifdef HAVE_GLIB
struct glib_queue {
    GAsyncQueue *q;
    _Atomic size_t count;
    size_t capacity;
};

static void *glib_open(size_t capacity, size_t size, enum policy policy)
{
    struct glib_queue *q = allocate(sizeof(*q));

    (void)size;
    (void)policy;
    q->q = g_async_queue_new();
    q->capacity = capacity;
    return q;
}

static bool glib_push(void *queue, const void *data, size_t size)
{
    struct glib_queue *q = queue;

    if (atomic_load_explicit(&q->count, memory_order_relaxed) >= q->capacity)
        return false;
    atomic_fetch_add_explicit(&q->count, 1, memory_order_relaxed);
    g_async_queue_push(q->q, memcpy(malloc(size), data, size));
    return true;
}

static bool glib_pop(void *queue, void *data, size_t size)
{
    struct glib_queue *q = queue;
    void *m = g_async_queue_try_pop(q->q);

    if (m == NULL)
        return false;
    memcpy(data, m, size);
    free(m);
    atomic_fetch_sub_explicit(&q->count, 1, memory_order_relaxed);
    return true;
}

static void glib_close(void *queue)
{
    struct glib_queue *q = queue;

    g_async_queue_unref(q->q);
    free(q);
}
#endif

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

const struct peer c_peers[] = {
    {"asyncrt", ALL_POLICIES, MANY, rt_open, rt_push, rt_pop, rt_close, rt_bytes},
    {"asyncrt in place", ALL_POLICIES, MANY, rt_open, rt_push_in_place, rt_pop_in_place, rt_close,
     rt_bytes},
    {"mutex ring", ALL_POLICIES, MANY, locked_open, locked_push, locked_pop, locked_close, NULL},
    {"vyukov", ONLY_PLAIN, MANY, vyukov_open, vyukov_push, vyukov_pop, vyukov_close, NULL},
#ifdef HAVE_CK_RING
    {"ck spsc", ONLY_PLAIN, 1, ck_open, ck_push_spsc, ck_pop, ck_close, NULL},
    {"ck mpsc", ONLY_PLAIN, MANY, ck_open, ck_push_mpsc, ck_pop, ck_close, NULL},
#endif
#ifdef HAVE_GLIB
    {"GAsyncQueue", ONLY_PLAIN, MANY, glib_open, glib_push, glib_pop, glib_close, NULL},
#endif
    {NULL, 0, 0, NULL, NULL, NULL, NULL, NULL},
};

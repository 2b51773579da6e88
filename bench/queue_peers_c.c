/* SPDX-License-Identifier: MIT */
/*
 * queue_peers_c.c - the library, a ring under a mutex, Concurrency Kit
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
    struct locked *q = peer_allocate(sizeof(*q));

    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->room, NULL);
    q->capacity = capacity;
    q->size = size;
    q->policy = policy;
    q->slots = peer_allocate(capacity * size);
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
    struct ck *q = peer_allocate(sizeof(*q));

    (void)policy;
    /* it keeps one place free */
    ck_ring_init(&q->ring, (unsigned)capacity);
    q->buffer = peer_allocate(capacity * size);
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
    {"ck spsc", HAS_PLAIN, 1, ck_open, ck_push_spsc, ck_pop, ck_close, NULL},
    {"ck mpsc", HAS_PLAIN, MANY, ck_open, ck_push_mpsc, ck_pop, ck_close, NULL},
    {NULL, 0, 0, NULL, NULL, NULL, NULL, NULL},
};

/* SPDX-License-Identifier: MIT */
/*
 * queue_peers_vyukov.c - Vyukov's bounded ring, the payload in its cells
 *
 * "vyukov" and "vyukov mpmc" are the ring as programs have it: with one consumer the head needs no
 * CAS; with several a producer that finds it full can take the oldest message out.  "sized" keeps
 * the message's size in the cell, since the library's messages may have any.  "checked" also asks
 * what the library's calls must ask, and is called through a pointer, as a shared library is;
 * "telling" moreover counts what it refuses and tells each failure through errno and a copy of it.
 * What the ring is ahead of those is what these cost.
 */
#include "bench.h"
#include "queue_peer.h"

#include <errno.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

struct vyukov {
    size_t mask, stride;
    char *cells;
    alignas(64) _Atomic size_t tail;
    alignas(64) _Atomic size_t head;
    alignas(64) _Atomic uint64_t dropped;
    _Atomic uint64_t refused; /* the rest: "checked" and "telling" */
    alignas(64) size_t size_max;
    uint64_t closed, consumer;
    _Atomic unsigned sleeps;
};

void *peer_allocate(size_t size)
{
    void *p = NULL;

    bench_check(posix_memalign(&p, 64, (size + 63) & ~(size_t)63) == 0, "posix_memalign");
    memset(p, 0, size);
    return p;
}

static void *vyukov_open(size_t capacity, size_t size, enum policy policy)
{
    struct vyukov *q = peer_allocate(sizeof(*q));

    (void)policy;
    q->mask = capacity - 1;
    q->size_max = size;
    q->stride = (8 + size + 7) & ~(size_t)7;
    q->cells = peer_allocate(capacity * q->stride);
    for (size_t i = 0; i < capacity; i++)
        atomic_init((_Atomic size_t *)(void *)(q->cells + i * q->stride), i);
    return q;
}

static void *sized_open(size_t capacity, size_t size, enum policy policy)
{
    return vyukov_open(capacity, size + 8, policy);
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

/* ---- The ring. */

/* sized: the message's size is kept behind the sequence. */
INLINE bool put(struct vyukov *q, const void *data, size_t size, bool sized)
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

/* What is in a cell; false: its size is larger than the buffer's. */
INLINE bool read_cell(const char *cell, void *data, size_t room, bool sized)
{
    size_t size = room;

    if (sized)
        memcpy(&size, cell + 8, sizeof(size));
    if (size > room)
        return false;
    memcpy(data, cell + (sized ? 16 : 8), size);
    return true;
}

/* One consumer. */
INLINE bool get(struct vyukov *q, void *data, size_t size, bool sized)
{
    size_t head = atomic_load_explicit(&q->head, memory_order_relaxed);
    char *cell = q->cells + (head & q->mask) * q->stride;
    _Atomic size_t *seq = (_Atomic size_t *)(void *)cell;

    if (atomic_load_explicit(seq, memory_order_acquire) != head + 1 ||
        !read_cell(cell, data, size, sized))
        return false;
    atomic_store_explicit(seq, head + q->mask + 1, memory_order_release);
    atomic_store_explicit(&q->head, head + 1, memory_order_relaxed);
    return true;
}

/* Many consumers; data NULL: only takes it out. */
INLINE bool get_many(struct vyukov *q, void *data, size_t size, bool sized)
{
    size_t head = atomic_load_explicit(&q->head, memory_order_relaxed);

    for (;;) {
        char *cell = q->cells + (head & q->mask) * q->stride;
        _Atomic size_t *seq = (_Atomic size_t *)(void *)cell;
        ptrdiff_t d = (ptrdiff_t)(atomic_load_explicit(seq, memory_order_acquire) - head - 1);

        if (d == 0) {
            if (atomic_compare_exchange_weak_explicit(&q->head, &head, head + 1,
                                                      memory_order_relaxed, memory_order_relaxed)) {
                if (data != NULL)
                    (void)read_cell(cell, data, size, sized); /* all are as large as the buffer */
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

INLINE void put_dropping(struct vyukov *q, const void *data, size_t size, bool sized)
{
    while (!put(q, data, size, sized))
        if (get_many(q, NULL, size, sized))
            atomic_fetch_add_explicit(&q->dropped, 1, memory_order_relaxed);
}

static bool vyukov_push(void *queue, const void *data, size_t size)
{
    return put(queue, data, size, false);
}

static bool vyukov_pop(void *queue, void *data, size_t size)
{
    return get(queue, data, size, false);
}

static bool mpmc_push(void *queue, const void *data, size_t size)
{
    put_dropping(queue, data, size, false);
    return true;
}

static bool mpmc_pop(void *queue, void *data, size_t size)
{
    return get_many(queue, data, size, false);
}

static bool sized_push(void *queue, const void *data, size_t size)
{
    return put(queue, data, size, true);
}

static bool sized_pop(void *queue, void *data, size_t size)
{
    return get(queue, data, size, true);
}

/* ---- The ring as a library. */

static _Thread_local uint64_t checked_thread;
static _Thread_local int told;

/* Are the arguments good, is it closed? */
INLINE bool may_put(struct vyukov *q, const void *data, size_t size)
{
    return q != NULL && data != NULL && size <= q->size_max &&
           (atomic_load_explicit(&q->tail, memory_order_relaxed) & q->closed) == 0;
}

/* Are the arguments good, is this the consumer that it knows? */
INLINE bool may_get(const struct vyukov *q, const void *data)
{
    return q != NULL && data != NULL && q->consumer == checked_thread;
}

/* Does somebody sleep? */
INLINE bool nobody_sleeps(struct vyukov *q)
{
    return atomic_load_explicit(&q->sleeps, memory_order_relaxed) == 0;
}

INLINE bool checked_put(struct vyukov *q, const void *data, size_t size, bool telling)
{
    if (!may_put(q, data, size))
        return false;
    if (put(q, data, size, true))
        return nobody_sleeps(q);
    if (telling) {
        atomic_fetch_add_explicit(&q->refused, 1, memory_order_relaxed);
        errno = told = EAGAIN;
    }
    return false;
}

INLINE bool checked_get(struct vyukov *q, void *data, size_t size, bool telling)
{
    if (!may_get(q, data))
        return false;
    if (get(q, data, size, true))
        return nobody_sleeps(q);
    if (telling)
        errno = told = EAGAIN;
    return false;
}

static bool put_checked(void *queue, const void *data, size_t size)
{
    return checked_put(queue, data, size, false);
}

static bool get_checked(void *queue, void *data, size_t size)
{
    return checked_get(queue, data, size, false);
}

static bool put_telling(void *queue, const void *data, size_t size)
{
    return checked_put(queue, data, size, true);
}

static bool get_telling(void *queue, void *data, size_t size)
{
    return checked_get(queue, data, size, true);
}

static bool put_dropping_checked(void *queue, const void *data, size_t size)
{
    if (!may_put(queue, data, size))
        return false;
    put_dropping(queue, data, size, true);
    return nobody_sleeps(queue);
}

static bool get_many_checked(void *queue, void *data, size_t size)
{
    return may_get(queue, data) && get_many(queue, data, size, true) && nobody_sleeps(queue);
}

/* where a program finds a library's functions */
static const struct entries {
    bool (*put)(void *queue, const void *data, size_t size);
    bool (*get)(void *queue, void *data, size_t size);
} checked_entries = {put_checked, get_checked}, telling_entries = {put_telling, get_telling},
  dropping_entries = {put_dropping_checked, get_many_checked};
static const struct entries *volatile checked = &checked_entries;
static const struct entries *volatile telling = &telling_entries;
static const struct entries *volatile dropping = &dropping_entries;

static bool checked_push(void *queue, const void *data, size_t size)
{
    return checked->put(queue, data, size);
}

static bool checked_pop(void *queue, void *data, size_t size)
{
    return checked->get(queue, data, size);
}

static bool telling_push(void *queue, const void *data, size_t size)
{
    return telling->put(queue, data, size);
}

static bool telling_pop(void *queue, void *data, size_t size)
{
    return telling->get(queue, data, size);
}

static bool dropping_push(void *queue, const void *data, size_t size)
{
    return dropping->put(queue, data, size);
}

static bool dropping_pop(void *queue, void *data, size_t size)
{
    return dropping->get(queue, data, size);
}

const struct peer vyukov_peers[] = {
    {"vyukov", HAS_PLAIN, MANY, vyukov_open, vyukov_push, vyukov_pop, vyukov_close, NULL},
    {"vyukov sized", HAS_PLAIN, MANY, sized_open, sized_push, sized_pop, vyukov_close, NULL},
    {"vyukov checked", HAS_PLAIN, MANY, sized_open, checked_push, checked_pop, vyukov_close, NULL},
    {"vyukov telling", HAS_PLAIN, MANY, sized_open, telling_push, telling_pop, vyukov_close, NULL},
    {"vyukov mpmc", HAS_DROP, MANY, vyukov_open, mpmc_push, mpmc_pop, vyukov_close, vyukov_dropped},
    {"vyukov mpmc checked", HAS_DROP, MANY, sized_open, dropping_push, dropping_pop, vyukov_close,
     vyukov_dropped},
    {NULL, 0, 0, NULL, NULL, NULL, NULL, NULL},
};

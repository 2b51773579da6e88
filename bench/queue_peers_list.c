/* SPDX-License-Identifier: MIT */
/*
 * queue_peers_list.c - peers that carry pointers to allocated copies: GLib, liburcu.  They have no
 * bound of their own, so one is kept beside them.
 */
#include "bench.h"
#include "config.h"
#include "queue_peer.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

#ifdef HAVE_GLIB
#include <glib.h>
#endif

/* ---- GLib: one mutex */
#ifdef HAVE_GLIB
struct glib_queue {
    GAsyncQueue *q;
    _Atomic size_t count;
    size_t capacity;
};

static void *glib_open(size_t capacity, size_t size, enum policy policy)
{
    struct glib_queue *q = calloc(1, sizeof(*q));

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
#else
#define glib_open NULL
#define glib_push NULL
#define glib_pop NULL
#define glib_close NULL
#endif

/* ---- liburcu: a list with a wait-free enqueue (wfcqueue), its functions inline */
#ifdef HAVE_URCU
#define _LGPL_SOURCE
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wshadow"
#include <urcu/wfcqueue.h>
#pragma GCC diagnostic pop

struct urcu_message {
    struct cds_wfcq_node node;
    char data[];
};

struct urcu_queue {
    struct __cds_wfcq_head head;
    alignas(64) struct cds_wfcq_tail tail;
    alignas(64) _Atomic size_t count;
    size_t capacity;
};

static void *urcu_open(size_t capacity, size_t size, enum policy policy)
{
    struct urcu_queue *q = aligned_alloc(64, sizeof(*q));

    (void)size;
    (void)policy;
    bench_check(q != NULL, "aligned_alloc");
    __cds_wfcq_init(&q->head, &q->tail);
    atomic_init(&q->count, 0);
    q->capacity = capacity;
    return q;
}

static bool urcu_push(void *queue, const void *data, size_t size)
{
    struct urcu_queue *q = queue;
    struct urcu_message *m;

    if (atomic_load_explicit(&q->count, memory_order_relaxed) >= q->capacity)
        return false;
    atomic_fetch_add_explicit(&q->count, 1, memory_order_relaxed);
    m = malloc(sizeof(*m) + size);
    cds_wfcq_node_init(&m->node);
    memcpy(m->data, data, size);
    cds_wfcq_enqueue(&q->head, &q->tail, &m->node);
    return true;
}

static bool urcu_pop(void *queue, void *data, size_t size)
{
    struct urcu_queue *q = queue;
    struct cds_wfcq_node *node = __cds_wfcq_dequeue_nonblocking(&q->head, &q->tail);
    struct urcu_message *m = (struct urcu_message *)(void *)node;

    if (node == NULL || node == CDS_WFCQ_WOULDBLOCK)
        return false;
    memcpy(data, m->data, size);
    free(m);
    atomic_fetch_sub_explicit(&q->count, 1, memory_order_relaxed);
    return true;
}

static void urcu_close(void *queue)
{
    free(queue);
}
#else
#define urcu_open NULL
#define urcu_push NULL
#define urcu_pop NULL
#define urcu_close NULL
#endif

const struct peer list_peers[] = {
    {"GAsyncQueue", HAS_PLAIN, MANY, glib_open, glib_push, glib_pop, glib_close, NULL},
    {"urcu wfcqueue", HAS_PLAIN, MANY, urcu_open, urcu_push, urcu_pop, urcu_close, NULL},
    {NULL, 0, 0, NULL, NULL, NULL, NULL, NULL},
};

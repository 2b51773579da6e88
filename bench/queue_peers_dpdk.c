/* SPDX-License-Identifier: MIT */
/*
 * queue_peers_dpdk.c - DPDK's rte_ring with whole messages as its elements: one producer; many, who
 * wait for each other; many with relaxed tails (RTS), who wait less
 */
#include "bench.h"
#include "config.h"
#include "queue_peer.h"

#include <stdatomic.h>
#include <string.h>

#ifdef HAVE_DPDK
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#pragma GCC diagnostic ignored "-Wimplicit-fallthrough"
#ifndef asm
#define asm __asm__
#endif
#ifndef typeof
#define typeof __typeof__
#endif
#include <rte_ring.h>
#pragma GCC diagnostic pop

struct dpdk {
    struct rte_ring *ring;
    _Atomic uint64_t dropped;
};

static void *dpdk_open_with(size_t capacity, size_t size, unsigned flags)
{
    struct dpdk *q = calloc(1, sizeof(*q));
    void *memory = NULL;
    ssize_t bytes;

    /* a ring of n holds n - 1; with EXACT_SZ it takes the next power of two */
    bytes = rte_ring_get_memsize_elem((unsigned)size, (unsigned)capacity * 2);
    bench_check(bytes > 0 && posix_memalign(&memory, 128, (size_t)bytes) == 0, "rte_ring");
    memset(memory, 0, (size_t)bytes);
    q->ring = memory;
    bench_check(rte_ring_init(q->ring, "bench", (unsigned)capacity, flags | RING_F_EXACT_SZ) == 0,
                "rte_ring_init");
    return q;
}

static void *dpdk_open_spsc(size_t capacity, size_t size, enum policy policy)
{
    (void)policy;
    return dpdk_open_with(capacity, size, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

static void *dpdk_open_mpsc(size_t capacity, size_t size, enum policy policy)
{
    return dpdk_open_with(capacity, size, policy == POLICY_DROP ? 0 : RING_F_SC_DEQ);
}

static void *dpdk_open_rts(size_t capacity, size_t size, enum policy policy)
{
    (void)policy;
    return dpdk_open_with(capacity, size, RING_F_MP_RTS_ENQ | RING_F_SC_DEQ);
}

/* Element sizes are constants, as in a program that has one. */
#define DPDK_CALL(call)         \
    switch (size) {             \
    case 16:                    \
        return call(16) == 0;   \
    case 64:                    \
        return call(64) == 0;   \
    case 256:                   \
        return call(256) == 0;  \
    default:                    \
        return call(1024) == 0; \
    }

static bool dpdk_push_sp(void *queue, const void *data, size_t size)
{
    struct dpdk *q = queue;

#define PUSH(n) rte_ring_sp_enqueue_elem(q->ring, (void *)(uintptr_t)data, n)
    DPDK_CALL(PUSH)
#undef PUSH
}

static bool dpdk_push_mp(void *queue, const void *data, size_t size)
{
    struct dpdk *q = queue;

#define PUSH(n) rte_ring_mp_enqueue_elem(q->ring, (void *)(uintptr_t)data, n)
    DPDK_CALL(PUSH)
#undef PUSH
}

static bool dpdk_push_rts(void *queue, const void *data, size_t size)
{
    struct dpdk *q = queue;

#define PUSH(n) \
    (rte_ring_mp_rts_enqueue_bulk_elem(q->ring, (void *)(uintptr_t)data, n, 1, NULL) == 0)
    DPDK_CALL(PUSH)
#undef PUSH
}

static bool dpdk_pop_sc(void *queue, void *data, size_t size)
{
    struct dpdk *q = queue;

#define POP(n) rte_ring_sc_dequeue_elem(q->ring, data, n)
    DPDK_CALL(POP)
#undef POP
}

static bool dpdk_pop_mc(void *queue, void *data, size_t size)
{
    struct dpdk *q = queue;

#define POP(n) rte_ring_mc_dequeue_elem(q->ring, data, n)
    DPDK_CALL(POP)
#undef POP
}

static bool dpdk_push_dropping(void *queue, const void *data, size_t size)
{
    struct dpdk *q = queue;
    char oldest[1024];

    while (!dpdk_push_mp(q, data, size))
        if (dpdk_pop_mc(q, oldest, size))
            atomic_fetch_add_explicit(&q->dropped, 1, memory_order_relaxed);
    return true;
}

static uint64_t dpdk_dropped(void *queue)
{
    return atomic_load_explicit(&((struct dpdk *)queue)->dropped, memory_order_relaxed);
}

static void dpdk_close(void *queue)
{
    struct dpdk *q = queue;

    free(q->ring);
    free(q);
}
#else
#define dpdk_open_spsc NULL
#define dpdk_open_mpsc NULL
#define dpdk_open_rts NULL
#define dpdk_push_sp NULL
#define dpdk_push_mp NULL
#define dpdk_push_rts NULL
#define dpdk_push_dropping NULL
#define dpdk_pop_sc NULL
#define dpdk_pop_mc NULL
#define dpdk_dropped NULL
#define dpdk_close NULL
#endif

const struct peer dpdk_peers[] = {
    {"rte_ring spsc", HAS_PLAIN, 1, dpdk_open_spsc, dpdk_push_sp, dpdk_pop_sc, dpdk_close, NULL},
    {"rte_ring mpsc", HAS_PLAIN, MANY, dpdk_open_mpsc, dpdk_push_mp, dpdk_pop_sc, dpdk_close, NULL},
    {"rte_ring rts", HAS_PLAIN, MANY, dpdk_open_rts, dpdk_push_rts, dpdk_pop_sc, dpdk_close, NULL},
    {"rte_ring mpmc", HAS_DROP, MANY, dpdk_open_mpsc, dpdk_push_dropping, dpdk_pop_mc, dpdk_close,
     dpdk_dropped},
    {NULL, 0, 0, NULL, NULL, NULL, NULL, NULL},
};

/* SPDX-License-Identifier: MIT */
/*
 * The stress run on a copy of the queue that gives the processor away, now and then, before an
 * atomic step: threads stop at places where a scheduler rarely stops them.  test_queue_preempt
 * [messages]
 */
#include "queue_stress.h"
#include "port/port_thread.h"
#include "queue_atomics.h"

#include <stdlib.h>

static void step(void)
{
    static _Thread_local unsigned seed;

    if (seed == 0)
        seed = (unsigned)port_thread_token() * 2654435761u + 1;
    seed = seed * 1664525 + 1013904223;
    if (seed >> 24 == 0)
        port_thread_yield();
}

#define atomic_load_explicit(p, order) (step(), raw_load(p, order))
#define atomic_store_explicit(p, value, order) (step(), raw_store(p, value, order))
#define atomic_exchange_explicit(p, value, order) (step(), raw_exchange(p, value, order))
#define atomic_compare_exchange_strong_explicit(p, old, new, yes, no) \
    (step(), raw_compare_exchange_strong(p, old, new, yes, no))
#define atomic_compare_exchange_weak_explicit(p, old, new, yes, no) \
    (step(), raw_compare_exchange_weak(p, old, new, yes, no))
#define atomic_fetch_add_explicit(p, value, order) (step(), raw_fetch_add(p, value, order))
#define atomic_fetch_sub_explicit(p, value, order) (step(), raw_fetch_sub(p, value, order))
#define atomic_fetch_or_explicit(p, value, order) (step(), raw_fetch_or(p, value, order))

#include "queue/queue.c"
#include "queue/queue_bind.c"
#include "queue/queue_peek.c"
#include "queue/queue_reserve.c"
#include "queue/queue_send.c"
#include "queue/queue_stats.c"
#include "queue/queue_take.c"
#include "queue/queue_wait.c"

int main(int argc, char **argv)
{
    return queue_stress(argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000);
}

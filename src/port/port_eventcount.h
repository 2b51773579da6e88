/* SPDX-License-Identifier: MIT */
/*
 * port_eventcount.h - wait for a condition that other threads make true without a lock
 *
 *     waiter                                      waker
 *     key = port_eventcount_prepare(ec);          make the condition true
 *     if (condition) {                            port_eventcount_notify(ec, n);
 *         port_eventcount_cancel(ec); done
 *     }
 *     err = port_eventcount_wait(ec, key, deadline);   then look again
 *
 * No wake-up is missed: prepare counts the waiter and then looks at the condition; notify makes the
 * condition true and then looks at the count; both with a sequentially consistent fence between
 * (Dekker's pair).  A waker pays that fence and one load when nobody waits, and no system call.
 */
#ifndef PORT_EVENTCOUNT_H
#define PORT_EVENTCOUNT_H

#include "port/port_futex.h"

#include <stdbool.h>

typedef struct port_eventcount {
    _Atomic uint32_t epoch;   /* waiters sleep on it; each notify that finds waiters changes it */
    _Atomic uint32_t waiters; /* threads between prepare and the end of wait or cancel */
} port_eventcount_t;

static inline void port_eventcount_init(port_eventcount_t *ec)
{
    atomic_init(&ec->epoch, 0);
    atomic_init(&ec->waiters, 0);
}

static inline uint32_t port_eventcount_prepare(port_eventcount_t *ec)
{
    uint32_t key;

    atomic_fetch_add_explicit(&ec->waiters, 1, memory_order_seq_cst);
    key = atomic_load_explicit(&ec->epoch, memory_order_acquire);
    /* pairs with the fence in port_eventcount_has_waiters */
    atomic_thread_fence(memory_order_seq_cst);
    return key;
}

static inline void port_eventcount_cancel(port_eventcount_t *ec)
{
    atomic_fetch_sub_explicit(&ec->waiters, 1, memory_order_relaxed);
}

/* Sleeps unless there was a notify since prepare.  Returns 0 or ETIMEDOUT; ends the prepare. */
int port_eventcount_wait(port_eventcount_t *ec, uint32_t key, uint64_t deadline);

/* Whether a notify has anybody to wake; the condition must have been made true before. */
static inline bool port_eventcount_has_waiters(port_eventcount_t *ec)
{
    /* pairs with the fence in port_eventcount_prepare */
    atomic_thread_fence(memory_order_seq_cst);
    return atomic_load_explicit(&ec->waiters, memory_order_relaxed) != 0;
}

/* Wakes up to count waiters, or PORT_FUTEX_ALL; without the fence of has_waiters. */
void port_eventcount_wake(port_eventcount_t *ec, int count);

static inline void port_eventcount_notify(port_eventcount_t *ec, int count)
{
    if (port_eventcount_has_waiters(ec))
        port_eventcount_wake(ec, count);
}

#endif /* PORT_EVENTCOUNT_H */

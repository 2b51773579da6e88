/* SPDX-License-Identifier: MIT */
#include "port/port_eventcount.h"

int port_eventcount_wait(port_eventcount_t *ec, uint32_t key, uint64_t deadline)
{
    int err = 0;

    if (atomic_load_explicit(&ec->epoch, memory_order_acquire) == key)
        err = port_futex_wait(&ec->epoch, key, deadline);
    atomic_fetch_sub_explicit(&ec->waiters, 1, memory_order_relaxed);
    return err;
}

void port_eventcount_wake(port_eventcount_t *ec, int count)
{
    atomic_fetch_add_explicit(&ec->epoch, 1, memory_order_release);
    port_futex_wake(&ec->epoch, count);
}

/* SPDX-License-Identifier: MIT */
#include "port/port_clock.h"

#include <stdatomic.h>

#include <windows.h>

uint64_t port_clock_now(void)
{
    /* Fixed from the start of the system: threads that race here store the same value. */
    static _Atomic uint64_t ticks_per_second;
    uint64_t rate = atomic_load_explicit(&ticks_per_second, memory_order_relaxed), ticks;
    LARGE_INTEGER value;

    if (rate == 0) {
        QueryPerformanceFrequency(&value);
        rate = (uint64_t)value.QuadPart;
        atomic_store_explicit(&ticks_per_second, rate, memory_order_relaxed);
    }
    QueryPerformanceCounter(&value);
    ticks = (uint64_t)value.QuadPart;
    /* in two steps: ticks * 10^9 would wrap within hours */
    return ticks / rate * PORT_NS_PER_S + ticks % rate * PORT_NS_PER_S / rate;
}

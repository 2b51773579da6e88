/* SPDX-License-Identifier: MIT */
/*
 * port_clock.h - the monotonic clock, and deadlines on it
 */
#ifndef PORT_CLOCK_H
#define PORT_CLOCK_H

#include <stdint.h>

#define PORT_DEADLINE_NEVER UINT64_MAX
#define PORT_NS_PER_US 1000u
#define PORT_NS_PER_MS 1000000u
#define PORT_NS_PER_S 1000000000u

/* Nanoseconds of the monotonic clock. */
uint64_t port_clock_now(void);

/* now + add, or PORT_DEADLINE_NEVER - 1 where that would wrap: far away is not never. */
static inline uint64_t port_clock_after(uint64_t now, uint64_t add)
{
    return add >= PORT_DEADLINE_NEVER - 1 - now ? PORT_DEADLINE_NEVER - 1 : now + add;
}

/* The deadline of a timeout in milliseconds: -1 is never, 0 is 0 (always past, no clock is read).
 */
static inline uint64_t port_deadline(int timeout_ms)
{
    if (timeout_ms < 0)
        return PORT_DEADLINE_NEVER;
    if (timeout_ms == 0)
        return 0;
    return port_clock_after(port_clock_now(), (uint64_t)timeout_ms * PORT_NS_PER_MS);
}

#endif /* PORT_CLOCK_H */

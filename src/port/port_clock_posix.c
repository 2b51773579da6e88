/* SPDX-License-Identifier: MIT */
#include "port/port_clock.h"

#include <time.h>

uint64_t port_clock_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * PORT_NS_PER_S + (uint64_t)ts.tv_nsec;
}

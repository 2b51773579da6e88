/* SPDX-License-Identifier: MIT */
#include "port/port_barrier.h"

bool port_barrier_all_threads(void)
{
    return false;
}

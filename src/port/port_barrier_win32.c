/* SPDX-License-Identifier: MIT */
#include "port/port_barrier.h"

#include <windows.h>

bool port_barrier_all_threads(void)
{
    FlushProcessWriteBuffers();
    return true;
}

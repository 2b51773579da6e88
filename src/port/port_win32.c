/* SPDX-License-Identifier: MIT */
#include "port/port_win32.h"

#include <errno.h>

#ifndef CREATE_WAITABLE_TIMER_HIGH_RESOLUTION
#define CREATE_WAITABLE_TIMER_HIGH_RESOLUTION 0x00000002
#endif

HANDLE port_win32_fine_timer(void)
{
    return CreateWaitableTimerExW(NULL, NULL, CREATE_WAITABLE_TIMER_HIGH_RESOLUTION,
                                  TIMER_ALL_ACCESS);
}

int port_win32_wait(HANDLE handle, uint64_t deadline)
{
    for (;;) {
        DWORD rc = WaitForSingleObject(handle, port_win32_timeout(deadline));

        if (rc == WAIT_OBJECT_0)
            return 0;
        if (rc != WAIT_TIMEOUT)
            return EINVAL;
        if (deadline == 0 || port_clock_now() >= deadline)
            return ETIMEDOUT;
    }
}

/* SPDX-License-Identifier: MIT */
/*
 * port_win32.h - what the Windows files of this library share
 */
#ifndef PORT_WIN32_H
#define PORT_WIN32_H

#include "port/port_clock.h"

#include <winsock2.h>

#include <windows.h>

/*
 * The milliseconds that a system call may wait for a deadline, rounded up.  The system's waits end
 * by another clock and may be early by ours: the caller looks at the clock and waits again.
 */
static inline DWORD port_win32_timeout(uint64_t deadline)
{
    uint64_t now, ms;

    if (deadline == PORT_DEADLINE_NEVER)
        return INFINITE;
    if (deadline == 0 || (now = port_clock_now()) >= deadline)
        return 0;
    ms = (deadline - now - 1) / PORT_NS_PER_MS + 1;
    return ms < INFINITE - 1 ? (DWORD)ms : INFINITE - 1;
}

/* A timer that does not wait for the next interrupt of the clock, as Windows 10 has since 2018;
 * NULL: there is none. */
HANDLE port_win32_fine_timer(void);

/* Waits for a handle.  Returns 0, ETIMEDOUT when the deadline has passed, or EINVAL. */
int port_win32_wait(HANDLE handle, uint64_t deadline);

#endif /* PORT_WIN32_H */

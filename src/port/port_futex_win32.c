/* SPDX-License-Identifier: MIT */
#include "port/port_futex.h"
#include "port/port_win32.h"

#include <errno.h>

int port_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline)
{
    DWORD saved = GetLastError();
    BOOL woken = WaitOnAddress((volatile VOID *)word, &expected, sizeof(expected),
                               port_win32_timeout(deadline));

    SetLastError(saved);
    return woken || port_clock_now() < deadline ? 0 : ETIMEDOUT;
}

void port_futex_wake(_Atomic uint32_t *word, int count)
{
    /* more than asked for may wake, they look again */
    if (count == 1)
        WakeByAddressSingle((PVOID)word);
    else
        WakeByAddressAll((PVOID)word);
}

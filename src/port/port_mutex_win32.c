/* SPDX-License-Identifier: MIT */
#include "port/port_mutex.h"

#include <windows.h>

_Static_assert(sizeof(SRWLOCK) == sizeof(void *), "an SRWLOCK is one pointer");

static SRWLOCK *lock_of(port_mutex_t *mutex)
{
    return (SRWLOCK *)(void *)&mutex->lock;
}

int port_mutex_init(port_mutex_t *mutex)
{
    InitializeSRWLock(lock_of(mutex));
    return 0;
}

void port_mutex_destroy(port_mutex_t *mutex)
{
    (void)mutex; /* an SRWLOCK holds nothing */
}

void port_mutex_lock(port_mutex_t *mutex)
{
    AcquireSRWLockExclusive(lock_of(mutex));
}

bool port_mutex_trylock(port_mutex_t *mutex)
{
    return TryAcquireSRWLockExclusive(lock_of(mutex)) != 0;
}

void port_mutex_unlock(port_mutex_t *mutex)
{
    ReleaseSRWLockExclusive(lock_of(mutex));
}

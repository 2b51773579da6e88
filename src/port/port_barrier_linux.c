/* SPDX-License-Identifier: MIT */
#include "port/port_barrier.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/* <linux/membarrier.h>, which old systems lack */
#define MEMBARRIER_PRIVATE_EXPEDITED 8
#define MEMBARRIER_REGISTER_PRIVATE_EXPEDITED 16

bool port_barrier_all_threads(void)
{
    bool done = false;
#ifdef SYS_membarrier
    int saved = errno;

    done = syscall(SYS_membarrier, MEMBARRIER_PRIVATE_EXPEDITED, 0) == 0;
    /* EPERM: this process has not yet said that it uses it */
    if (!done && errno == EPERM &&
        syscall(SYS_membarrier, MEMBARRIER_REGISTER_PRIVATE_EXPEDITED, 0) == 0)
        done = syscall(SYS_membarrier, MEMBARRIER_PRIVATE_EXPEDITED, 0) == 0;
    errno = saved;
#endif
    return done;
}

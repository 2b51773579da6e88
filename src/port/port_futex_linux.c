/* SPDX-License-Identifier: MIT */
#include "port/port_futex.h"
#include "port/port_clock.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if !defined(SYS_futex) && defined(SYS_futex_time64)
#define SYS_futex SYS_futex_time64
#endif

/* What the system call takes: on 32-bit systems its times are longs whatever time_t is. */
struct futex_timespec {
    long tv_sec;
    long tv_nsec;
};

int port_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline)
{
    int saved = errno;
    struct futex_timespec ts, *limit = NULL;
    long rc;

    if (deadline != PORT_DEADLINE_NEVER) {
        uint64_t seconds = deadline / PORT_NS_PER_S;

        /* a deadline in the far future is cut; the caller looks at the clock again */
        ts.tv_sec = seconds > INT_MAX ? INT_MAX : (long)seconds;
        ts.tv_nsec = (long)(deadline % PORT_NS_PER_S);
        limit = &ts;
    }
    /* FUTEX_WAIT_BITSET takes an absolute time of the monotonic clock: it survives EINTR */
    rc = syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected, limit, NULL,
                 FUTEX_BITSET_MATCH_ANY);
    if (rc == -1 && errno == ETIMEDOUT && port_clock_now() >= deadline) {
        errno = saved;
        return ETIMEDOUT;
    }
    errno = saved;
    return 0;
}

void port_futex_wake(_Atomic uint32_t *word, int count)
{
    int saved = errno;

    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0);
    errno = saved;
}

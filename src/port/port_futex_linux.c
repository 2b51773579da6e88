/* SPDX-License-Identifier: MIT */
#include "port/port_futex.h"
#include "port/port_clock.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/posix_types.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * What the system calls take.  The old one's times are of the kernel's longs, 32 bits on 32-bit
 * systems, whatever time_t is there: 64 bits with musl, and with glibc when _TIME_BITS says so.
 * Systems without the old one, riscv32 and arc, have the new one only, whose times have 64 bits.
 */
#ifdef SYS_futex
typedef __kernel_long_t futex_time_t;
#else
#define SYS_futex SYS_futex_time64
typedef int64_t futex_time_t;
#endif
#ifndef SYS_futex_time64 /* 64-bit systems have one call */
#define SYS_futex_time64 SYS_futex
#endif

static long futex(_Atomic uint32_t *word, int operation, uint32_t value, uint64_t deadline)
{
    bool limited = deadline != PORT_DEADLINE_NEVER;
    uint64_t seconds = deadline / PORT_NS_PER_S;
    struct {
        futex_time_t sec, nsec;
    } narrow;
    struct {
        int64_t sec, nsec;
    } wide;
    long rc;

    /* a deadline in the far future is cut; the caller looks at the clock again */
    wide.sec = seconds > INT_MAX ? INT_MAX : (int64_t)seconds;
    wide.nsec = (int64_t)(deadline % PORT_NS_PER_S);
    narrow.sec = (futex_time_t)wide.sec;
    narrow.nsec = (futex_time_t)wide.nsec;
    rc = syscall(SYS_futex, word, operation, value, limited ? &narrow : NULL, NULL,
                 FUTEX_BITSET_MATCH_ANY);
    /* a 32-bit kernel that was built without times of 32 bits */
    if (rc == -1 && errno == ENOSYS)
        rc = syscall(SYS_futex_time64, word, operation, value, limited ? &wide : NULL, NULL,
                     FUTEX_BITSET_MATCH_ANY);
    return rc;
}

int port_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline)
{
    int saved = errno, err;

    /* FUTEX_WAIT_BITSET takes an absolute time of the monotonic clock: it survives EINTR */
    err = futex(word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected, deadline) == -1 ? errno : 0;
    errno = saved;
    return err == ETIMEDOUT && port_clock_now() >= deadline ? ETIMEDOUT : 0;
}

void port_futex_wake(_Atomic uint32_t *word, int count)
{
    int saved = errno;

    futex(word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, (uint32_t)count, PORT_DEADLINE_NEVER);
    errno = saved;
}

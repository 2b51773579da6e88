/* SPDX-License-Identifier: MIT */
/*
 * port_futex.h - sleep while a 32-bit word has a value; wake those who sleep on it
 *
 * The futex of Linux, WaitOnAddress of Windows, or a small table of mutexes and condition
 * variables. Neither function changes errno.
 */
#ifndef PORT_FUTEX_H
#define PORT_FUTEX_H

#include <limits.h>

#include <stdatomic.h>

#include <stdint.h>

#define PORT_FUTEX_ALL INT_MAX

/*
 * Sleeps while *word == expected, at most until deadline (nanoseconds of port_clock_now()). Returns
 * ETIMEDOUT when the deadline has passed, else 0, which may also be a wake for nothing: look again.
 */
int port_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline);

/* Wakes up to count sleepers.  The word itself is not touched, so its memory may be gone already.
 */
void port_futex_wake(_Atomic uint32_t *word, int count);

#endif /* PORT_FUTEX_H */

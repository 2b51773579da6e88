/* SPDX-License-Identifier: MIT */
/*
 * port_racing.h - reads that race with writes by design
 *
 * Their result may be anything.  It counts only when a later step shows that nobody wrote
 * meanwhile, a compare and exchange with release order that succeeds.  C11 has no words for this
 * but atomic accesses on both sides, which the writers, with memcpy() and in the callers' own code,
 * cannot make; so the thread sanitizer must not see the read.
 */
#ifndef PORT_RACING_H
#define PORT_RACING_H

#include "port/port_compiler.h"

#include <stdint.h>
#include <string.h>

/* As large as a register that the compiler copies by. */
#if defined(__GNUC__)
typedef uint64_t port_block_t __attribute__((vector_size(16)));
#else
typedef struct port_block {
    uint64_t word[2];
} port_block_t;
#endif

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PORT_TRACKS_THREADS 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define PORT_TRACKS_THREADS 1
#endif

#ifdef PORT_TRACKS_THREADS
__attribute__((noinline, no_sanitize("thread"))) static void port_read_racing(port_block_t *to,
                                                                              const void *from)
{
    *to = *(const volatile port_block_t *)from;
}
#else
static PORT_ALWAYS_INLINE void port_read_racing(port_block_t *to, const void *from)
{
    memcpy(to, from, sizeof(*to));
}
#endif

#endif /* PORT_RACING_H */

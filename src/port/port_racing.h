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

#include <stddef.h>
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
#define PORT_UNTRACKED __attribute__((noinline, no_sanitize("thread"))) static

PORT_UNTRACKED void port_read_racing(port_block_t *to, const void *from)
{
    *to = *(const volatile port_block_t *)from;
}

PORT_UNTRACKED void port_copy_racing(void *to, const void *from, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((volatile char *)to)[i] = ((const volatile char *)from)[i];
}
#else
static PORT_ALWAYS_INLINE void port_read_racing(port_block_t *to, const void *from)
{
    memcpy(to, from, sizeof(*to));
}

/* `to` may be NULL when size is 0. */
static PORT_ALWAYS_INLINE void port_copy_racing(void *to, const void *from, size_t size)
{
    if (size != 0)
        memcpy(to, from, size);
}
#endif

#endif /* PORT_RACING_H */

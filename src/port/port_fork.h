/* SPDX-License-Identifier: MIT */
/*
 * port_fork.h - notice that this process is the child of a fork
 */
#ifndef PORT_FORK_H
#define PORT_FORK_H

#include <stdatomic.h>

#include <stdint.h>

/* Written by the child of a fork only, before any of its code runs. */
extern _Atomic uint32_t port_fork_count;

/* To be called before the first use of the generation.  Returns 0 or ENOMEM. */
int port_fork_watch(void);

/* Differs between a process and each of its forked descendants: an object made with another value
 * belongs to a parent. */
static inline uint32_t port_fork_generation(void)
{
    return atomic_load_explicit(&port_fork_count, memory_order_relaxed);
}

#endif /* PORT_FORK_H */

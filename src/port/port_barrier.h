/* SPDX-License-Identifier: MIT */
/*
 * port_barrier.h - a barrier in every thread, paid by one
 *
 * The rare side of a Dekker's pair calls it, so that the frequent side needs no fence.
 */
#ifndef PORT_BARRIER_H
#define PORT_BARRIER_H

#include <stdbool.h>

/*
 * When it returns true, every other thread of the process has passed a full memory barrier since
 * the call began.  false: the system cannot do it.
 */
bool port_barrier_all_threads(void);

#endif /* PORT_BARRIER_H */

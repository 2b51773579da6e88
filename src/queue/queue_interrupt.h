/* SPDX-License-Identifier: MIT */
/*
 * queue_interrupt.h - how a part above the queue waits for a place until it is told to stop
 */
#ifndef QUEUE_INTERRUPT_H
#define QUEUE_INTERRUPT_H

#include <asyncrt/async_queue.h>

#include <stdatomic.h>

/*
 * As async_queue_enqueue(), but on a full queue waits whatever the policy (DROP_OLDEST never
 * waits). Returns 0, EINTR (*stop is not 0; only looked at when the queue is full), EPIPE (closed),
 * EAGAIN (DROP_OLDEST: open reservations hold every place), EMSGSIZE, or EDEADLK.
 */
int queue_enqueue_interruptible(async_queue_t *queue, const void *data, size_t size,
                                const _Atomic uint32_t *stop);

/* Makes those that wait for a place look at *stop, which has been set before.  Any thread. */
void queue_interrupt(async_queue_t *queue);

#endif /* QUEUE_INTERRUPT_H */

/* SPDX-License-Identifier: MIT */
/*
 * worker_handle.h - what the system's own waits (poll, WaitForMultipleObjects) see of a stop
 * request
 *
 * Made when first asked for, by whichever thread is first, without a lock: signalling it must not
 * block.
 */
#ifndef WORKER_HANDLE_H
#define WORKER_HANDLE_H

#include <asyncrt/async_types.h>

#include <stdatomic.h>

#include <stdint.h>

#define WORKER_HANDLE_NONE UINT64_MAX

typedef struct worker_handle {
    /*
     * The platform's descriptors or handle, packed; WORKER_HANDLE_NONE until made.  Set once, by a
     * sequentially consistent compare-and-swap: who asks for the handle publishes it and then looks
     * for a stop request; who requests the stop makes that known and then looks for the handle
     * (Dekker's pair), so one of them signals it.
     */
    _Atomic uint64_t made;
} worker_handle_t;

static inline void worker_handle_init(worker_handle_t *handle)
{
    atomic_init(&handle->made, WORKER_HANDLE_NONE);
}

/* Any thread.  Makes it if need be.  Returns 0, EMFILE, ENFILE or ENOMEM. */
int worker_handle_get(worker_handle_t *handle, async_handle_t *out);

/* Any thread, also a signal handler.  Signals it for good, if it was made. */
void worker_handle_signal(worker_handle_t *handle);

/* Nobody uses it any more. */
void worker_handle_close(worker_handle_t *handle);

#endif /* WORKER_HANDLE_H */

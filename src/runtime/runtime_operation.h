/* SPDX-License-Identifier: MIT */
/*
 * runtime_operation.h - posted reads and writes
 *
 * Per descriptor and direction a queue; only its head is being done.  A backend with native
 * operations does it, else it is tried here: at once, and whenever the descriptor is ready.  What
 * has ended waits in one list for wait() to hand it out.  Loop thread only.
 */
#ifndef RUNTIME_OPERATION_H
#define RUNTIME_OPERATION_H

#include "runtime/backend.h"
#include "runtime/runtime_table.h"

enum { OPERATION_READ, OPERATION_WRITE };

struct operation_queues {
    backend_operation_t *first[2];
    backend_operation_t *last[2];
    uint32_t waiting; /* READ, WRITE: the head waits for readiness */
};

typedef struct runtime_operations {
    backend_operation_t *finished; /* oldest first */
    backend_operation_t *finished_last;
    size_t finished_count;
    backend_operation_t *orphans; /* cancelled, and the backend has not reported the end yet */
    backend_operation_t *spare;   /* for later posts */
    size_t spare_count;
} runtime_operations_t;

/* The readiness that the registration's operations wait for. */
static inline uint32_t runtime_operations_interest(const registration_t *registration)
{
    return registration->queues != NULL ? registration->queues->waiting : 0;
}

/* The descriptor is ready (BACKEND_* bits): goes on with what waits for that.  Returns whether
 * anything was transferred or has ended. */
bool runtime_operations_ready(async_runtime_t *runtime, registration_t *registration,
                              uint32_t ready);

/* Cancels all operations of the registration. */
void runtime_operations_cancel(async_runtime_t *runtime, registration_t *registration);

/* Moves up to max ends into events. */
int runtime_operations_take(async_runtime_t *runtime, async_event_t *events, int max);

/* After the backend's close: frees the operations of one registration, and all others. */
void runtime_operations_free_queues(registration_t *registration);
void runtime_operations_close(runtime_operations_t *operations);

#endif /* RUNTIME_OPERATION_H */

/* SPDX-License-Identifier: MIT */
/*
 * runtime_bind.h - queues that announce their messages to a runtime
 */
#ifndef RUNTIME_BIND_H
#define RUNTIME_BIND_H

#include "port/port_mutex.h"

#include <asyncrt/async_runtime.h>

typedef struct runtime_binding runtime_binding_t;

typedef struct runtime_bindings {
    port_mutex_t lock;        /* a queue may be destroyed by any thread */
    runtime_binding_t *first; /* under lock */
} runtime_bindings_t;

/* Unbinds all queues.  The bindings go when their queues release them. */
void runtime_bindings_close(async_runtime_t *runtime, bool inherited);

#endif /* RUNTIME_BIND_H */

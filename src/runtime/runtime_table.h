/* SPDX-License-Identifier: MIT */
/*
 * runtime_table.h - the registered descriptors
 *
 * Two levels, indexed by the descriptor: registrations stay where they are, and 32 bytes each is
 * all that an idle descriptor takes here.  Loop thread only.
 */
#ifndef RUNTIME_TABLE_H
#define RUNTIME_TABLE_H

#include "runtime/runtime_fd.h"

#include <asyncrt/async_runtime.h>

#define TABLE_CHUNK 128u

/* Bits of registration_t.flags. */
#define REGISTRATION_USED 0x01u
#define REGISTRATION_FIRED 0x02u      /* its ONESHOT has been reported: silent until modify */
#define REGISTRATION_CONSOLE 0x04u    /* standard input, from add_console */
#define REGISTRATION_ALWAYS 0x08u     /* always ready, and unknown to the backend */
#define REGISTRATION_NOT_SOCKET 0x10u /* an operation has found out */
#define REGISTRATION_DRAINED 0x20u    /* the last read took all: wait for readiness first */

typedef struct operation_queues operation_queues_t;

typedef struct registration {
    void *context;
    operation_queues_t *queues; /* posted operations; NULL: none since the registration */
    uint32_t generation;        /* of this or the last registration; 0: there was none */
    uint16_t events;            /* asked for by the program: READ, WRITE, ONESHOT */
    uint8_t armed;              /* told to the backend, ARMED_* */
    uint8_t flags;
} registration_t;

/* registration_t.armed: BACKEND_INTEREST in a byte. */
#define ARMED_ONESHOT 0x80u

typedef struct runtime_table {
    registration_t **chunks;
    size_t chunk_count;
    size_t registered;
} runtime_table_t;

/* The descriptor's registration, NULL when there is none. */
static inline registration_t *runtime_table_find(const runtime_table_t *table, async_fd_t fd)
{
    size_t index = runtime_fd_index(fd), chunk = index / TABLE_CHUNK;
    registration_t *registration;

    if (chunk >= table->chunk_count || table->chunks[chunk] == NULL)
        return NULL;
    registration = &table->chunks[chunk][index % TABLE_CHUNK];
    return registration->flags & REGISTRATION_USED ? registration : NULL;
}

/* Registers fd, as async_runtime_add; flags: REGISTRATION_CONSOLE or 0.  Returns an errno value. */
int runtime_register(async_runtime_t *runtime, async_fd_t fd, uint32_t events, void *context,
                     uint8_t flags);

/*
 * Tells the backend what the registration waits for now, when that has changed.  Returns 0 or an
 * errno value; after EBADF and ENOENT the registration is dropped.
 */
int runtime_interest_update(async_runtime_t *runtime, async_fd_t fd, registration_t *registration);

/* Ends the registration; the backend has forgotten it.  Its operations end with ECANCELED. */
void runtime_registration_drop(async_runtime_t *runtime, async_fd_t fd,
                               registration_t *registration);

/* The errno of a call with a descriptor that is not registered: ENOENT, EBADF. */
int runtime_unregistered(async_fd_t fd);

/* Frees the table and the operations that it holds. */
void runtime_table_close(async_runtime_t *runtime);

#endif /* RUNTIME_TABLE_H */

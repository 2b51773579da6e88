/* SPDX-License-Identifier: MIT */
/*
 * uring.h - what the files of the io_uring backend share
 *
 * backend_uring.c has the ring, readiness and wait; uring_operation.c the operations.
 */
#ifndef URING_H
#define URING_H

#include "runtime/backend.h"

#include <liburing.h>

/* user_data of what is no operation; operations are pointers. */
#define URING_TAG_SET 1u    /* the poll request for the epoll set */
#define URING_TAG_CANCEL 2u /* a cancellation's own end */

/* The backend's part of an operation. */
typedef struct uring_operation {
    backend_operation_t *next; /* in flight */
    backend_operation_t **link;
    backend_operation_t *collected_next;
    int32_t result; /* of a collected one */
    bool polling;   /* the request in the ring is a poll, the transfer comes after it */
    bool cancelled; /* by the runtime */
    bool asked;     /* a cancellation of the request is in the ring */
    bool collected; /* no request is in the ring any more, and the end is not reported yet */
} uring_operation_t;

_Static_assert(sizeof(uring_operation_t) <= sizeof(((backend_operation_t *)0)->backend),
               "the operation has too little room for the backend");

/* Loop thread only; owner is constant. */
typedef struct uring_state {
    async_runtime_t *runtime;
    void *set; /* backend_epoll's state */
    struct io_uring ring;
    uint64_t owner; /* the thread that made the ring */
    bool deferred;  /* made with DEFER_TASKRUN: the kernel admits the owner only */
    backend_operation_t *in_flight;
    size_t requests; /* of operations, in the ring */
    /* Ends that were taken out of the ring where they could not be reported; oldest first. */
    backend_operation_t *collected;
    backend_operation_t **collected_end;
    bool set_polled; /* a poll request for the set is in the ring */
    bool set_ready;  /* it has ended: the set is to be asked */
    bool reported;   /* an operation was reported: the present wait must not sleep */
    bool reaping;    /* within uring_reap: what starts now stood behind what has ended */
    int set_fd;
    int nested_fd;       /* an epoll set of the ring and the inner set, -1: not asked for */
    uint8_t *not_socket; /* by descriptor: an operation has found out */
    size_t not_socket_size;
} uring_state_t;

/* backend_t.start and cancel. */
int uring_start(void *arg, backend_operation_t *op);
void uring_cancel(void *arg, backend_operation_t *op);

/* A place in the submission queue; what is in it goes to the kernel when it is full.  NULL: none,
 * and the kernel takes nothing. */
struct io_uring_sqe *uring_place(uring_state_t *state);

/* A foreign loop sleeps on the ring, and does not submit for us. */
void uring_submit_if_nested(uring_state_t *state);

/* Reports what has ended; no system call unless a report starts something. */
void uring_reap(uring_state_t *state);

/* Cancels all requests of operations, and waits until the kernel has let go of the buffers and
 * files; all operations in flight are collected then.  0, or why the kernel does not answer. */
int uring_let_go(uring_state_t *state);

/* After uring_let_go and in another ring: makes the requests again that it has cancelled.  Returns
 * whether an end is left to be reported. */
bool uring_remake(uring_state_t *state);

#endif /* URING_H */

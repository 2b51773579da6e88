/* SPDX-License-Identifier: MIT */
/*
 * runtime_model.h - what fuzz_runtime knows of its runtime: its descriptors, operations, timers and
 * completions, and which events may and must come of them
 */
#ifndef RUNTIME_MODEL_H
#define RUNTIME_MODEL_H

#include "fuzz.h"

#include <errno.h>

#define CHANNELS 3u
#define ENDS (2 * CHANNELS) /* end i and end i ^ 1 are connected */
#define OPERATIONS 24u
#define TIMERS 10u
#define POSTS 24u
#define ROOM 64       /* more events than can be pending */
#define STALE_MAX 64  /* numbers of descriptors are below */
#define LONG_MS 10000 /* a wait that something must end */
#define HOUR_US UINT64_C(3600000000)
#define READS ASYNC_EVENT_READ
#define WRITES ASYNC_EVENT_WRITE

/* One end of a socketpair or a pipe.  The bytes of a stream tell their places in it. */
typedef struct end {
    int fd; /* -1: closed */
    bool is_socket, can_read, can_write;
    bool shut;              /* its writing half */
    uint64_t written, read; /* bytes of its own stream, and of its peer's */
    bool registered;
    bool fired; /* ONESHOT has reported */
    uint32_t events;
    uintptr_t context; /* the last of its contexts, which only grow */
    unsigned generation;
    /* of the wait that is under way */
    uint32_t wanted; /* the bits that poll() says are to come */
    bool exact;      /* nothing else is at work on the channel */
    bool seen;
} end_t;

typedef struct operation {
    bool used, is_write, cancelled;
    unsigned end, generation, order;
    unsigned char *buffer;
    size_t length;
    uint64_t start;                /* a write's place in the stream */
    uintptr_t first, last_context; /* the registration's contexts meanwhile; last is 0: goes on */
} operation_t;

typedef struct timer {
    uint64_t id;        /* 0: unused */
    uint64_t low, high; /* the deadline is between them */
    uint64_t period;
    uint64_t count; /* expirations that were told */
} timer_model_t;

typedef struct post {
    uintptr_t key, data;
    bool is_announcement; /* of the bound queue: there is one at a time */
} post_t;

typedef enum woken { NOT_WOKEN, MAYBE_WOKEN, WOKEN } woken_t;

typedef struct model {
    async_runtime_t *runtime;
    async_fd_t nested; /* get_fd(), once it was asked for; else ASYNC_INVALID_FD */
    end_t ends[ENDS];
    bool stale[STALE_MAX]; /* numbers that were closed without remove */
    operation_t operations[OPERATIONS];
    timer_model_t timers[TIMERS];
    post_t posts[POSTS]; /* first in, first out */
    unsigned post_count;
    bool withdrawn; /* an announcement, which the runtime has not thrown away yet */
    woken_t woken;
    unsigned orders;
    uintptr_t contexts;
} model_t;

uint64_t model_now(void); /* ns */

/* The byte at a place of a stream. */
unsigned char model_byte(uint64_t place);
void model_check_bytes(const void *bytes, size_t size, uint64_t place);

/* A context that was not used before, which names the end. */
uintptr_t model_context(model_t *model, unsigned end);

void model_post(model_t *model, uintptr_t key, uintptr_t data);
void model_announce(model_t *model, uintptr_t key);

/* The queue has gone, and nobody hears of it any more. */
void model_withdraw(model_t *model);

/* Operations of an end that have not ended: bits READS and WRITES; cancelled ones, or all. */
uint32_t model_pending(const model_t *model, unsigned end, bool cancelled_only);

/* The registration has ended: its operations are to be cancelled. */
void model_cancel_operations(model_t *model, unsigned end);

/* Whether a wait must not sleep. */
bool model_certain(model_t *model);

/* One wait, and all that its events must be.  Returns how many there were. */
int model_wait(model_t *model, int max, int timeout_ms);

/* Waits until all operations that can end have ended. */
void model_settle(model_t *model);

#endif /* RUNTIME_MODEL_H */

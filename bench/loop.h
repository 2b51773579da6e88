/* SPDX-License-Identifier: MIT */
/*
 * loop.h - what bench/runtime asks of an event loop, the library's or a peer's
 *
 * One file for each peer, loop_NAME.c: the headers of libev and libevent cannot be included
 * together.  The measurements hold the watches and alarms, which are the same for all; what a peer
 * needs for one of its own it allocates in watch() and arm(), so that it counts as its memory.
 */
#ifndef LOOP_H
#define LOOP_H

#include "config.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define LOOP_READ 1u
#define LOOP_WRITE 2u

#define LOOP_EVENTS 256 /* events fetched by one call, of those who choose */

/* A descriptor that is watched. */
typedef struct watch watch_t;
struct watch {
    void (*ready)(watch_t *watch);
    void *user;
    void *handle; /* the loop's */
    int fd;
};

/* A timer. */
typedef struct loop_alarm loop_alarm_t;
struct loop_alarm {
    void (*expired)(loop_alarm_t *alarm);
    void *user;
    void *handle; /* the loop's */
    uint64_t id;  /* the loop's */
};

typedef struct loop loop_t;
typedef struct loop_kind loop_kind_t;

/* The head of each loop's own structure. */
struct loop {
    const loop_kind_t *kind;
    void (*posted)(loop_t *loop, uintptr_t data); /* called for what was posted */
    void *user;
    bool stopped;
};

/* Functions that a kind does not have are NULL, and it is left out of the rows that need them. */
struct loop_kind {
    const char *name;
    const char *backend; /* of libasyncrt */
    uint64_t spin_us;
    bool single_thread; /* made by the thread that it keeps to */
    const char *only;   /* the groups of rows that it takes part in, NULL: all */
    bool many;          /* takes part with thousands of descriptors */
    bool slow;          /* is given a tenth of the work */

    loop_t *(*open)(const loop_kind_t *kind); /* NULL: not on this system */
    void (*close)(loop_t *loop);
    void (*run)(loop_t *loop);  /* until stop() */
    void (*once)(loop_t *loop); /* takes what is ready without waiting; makes changes effective */
    void (*stop)(loop_t *loop); /* from within a callback */

    void (*post)(loop_t *loop, uintptr_t data); /* any thread */
    uint64_t (*wakes)(loop_t *loop);            /* system calls that posts have made so far */

    void (*watch)(loop_t *loop, watch_t *watch, unsigned events);
    void (*change)(loop_t *loop, watch_t *watch, unsigned events);
    void (*unwatch)(loop_t *loop, watch_t *watch);

    void (*arm)(loop_t *loop, loop_alarm_t *alarm, uint64_t us); /* anew when it is armed */
    void (*disarm)(loop_t *loop, loop_alarm_t *alarm);
    void (*forget)(loop_t *loop, loop_alarm_t *alarm); /* one that is not armed */

    void (*serve)(loop_t *loop, int listener); /* an echo server, for ever; NULL: by watches */
};

extern const loop_kind_t loop_asyncrt_epoll, loop_asyncrt_poll, loop_asyncrt_uring,
    loop_asyncrt_spin, loop_asyncrt_epoll_ops, loop_asyncrt_uring_ops, loop_asyncrt_uring_single,
    loop_epoll, loop_uring, loop_uring_multishot, loop_uring_rearmed, loop_uv, loop_event,
    loop_bufferevent, loop_ev, loop_ev_clock, loop_glib, loop_lines_cells, loop_lines_letters;

/*
 * What those without a queue of their own post through: two vectors that are swapped, under a
 * mutex.  A letter carries what a completion of libasyncrt does.
 */
typedef struct letter {
    uintptr_t key, data;
} letter_t;

typedef struct mailbox {
    pthread_mutex_t lock;
    letter_t *in, *out;
    size_t count, in_room, out_room;
} mailbox_t;

static inline void mailbox_init(mailbox_t *box)
{
    *box = (mailbox_t){.count = 0};
    pthread_mutex_init(&box->lock, NULL);
}

static inline void mailbox_free(mailbox_t *box)
{
    free(box->in);
    free(box->out);
    pthread_mutex_destroy(&box->lock);
}

/* Returns whether it was empty. */
static inline bool mailbox_put(mailbox_t *box, uintptr_t data)
{
    bool empty;

    pthread_mutex_lock(&box->lock);
    empty = box->count == 0;
    if (box->count == box->in_room) {
        box->in_room = box->in_room != 0 ? box->in_room * 2 : 1024;
        box->in = realloc(box->in, box->in_room * sizeof(*box->in));
        if (box->in == NULL)
            abort();
    }
    box->in[box->count++] = (letter_t){.key = 1, .data = data};
    pthread_mutex_unlock(&box->lock);
    return empty;
}

static inline void mailbox_deliver(mailbox_t *box, loop_t *loop)
{
    letter_t *taken;
    size_t count, room;

    pthread_mutex_lock(&box->lock);
    taken = box->in;
    room = box->in_room;
    count = box->count;
    box->in = box->out;
    box->in_room = box->out_room;
    box->count = 0;
    box->out = taken;
    box->out_room = room;
    pthread_mutex_unlock(&box->lock);
    for (size_t i = 0; i < count; i++)
        loop->posted(loop, taken[i].data);
}

/* A structure of a loop, zeroed. */
static inline void *loop_make(const loop_kind_t *kind, size_t size)
{
    loop_t *loop = calloc(1, size);

    if (loop == NULL)
        abort();
    loop->kind = kind;
    return loop;
}

#endif /* LOOP_H */

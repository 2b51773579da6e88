/* SPDX-License-Identifier: MIT */
/*
 * iocp.h - the state of the iocp backend, shared by its files
 *
 * 1. One completion port per runtime.  Every packet's key says what it is: a wake, the end of a
 * poll, a socket's finished operation, or one that was waited for by an event.
 * 2. Readiness: at most one poll of AFD in flight per watch.  A poll answers once, so a watch that
 * has reported, or has changed, is started again by the next wait (level-triggered).  One that asks
 * for more than it need is left alone; one that asks for less is cancelled, and started again when
 * its packet has come.
 * 3. A packet that was in the port before this wait began may be out of date: the program may
 *    have read since.  Such watches are asked again, all in one request, before they are reported.
 * 4. The system writes into a poll until its packet has come: a watch that goes earlier is freed
 * then.
 * 5. A socket is bound to the port when it is added.  That serves its operations; and since a
 * handle can be bound once only, a second attempt tells whether the number is still the same
 * socket.
 *
 * Loop thread only, but for the port handle and what iocp_operation.c says.
 */
#ifndef IOCP_H
#define IOCP_H

#include "port/port_win32.h"
#include "runtime/backend.h"
#include "runtime/iocp_afd.h"
#include "runtime/iocp_handle.h"

#define IOCP_BATCH 64
#define IOCP_GROUP_SIZE 32

/* Keys of packets.  Those of sockets are their numbers, which are multiples of 4, with 3 added. */
enum {
    IOCP_KEY_WAKE = 0,
    IOCP_KEY_POLL = 1,      /* lpOverlapped: the afd_poll_t of a watch */
    IOCP_KEY_OPERATION = 2, /* lpOverlapped: of an operation whose event was waited for */
    IOCP_KEY_HANDLE = 4,    /* lpOverlapped: the packet of a watch's iocp_handle_wait_t */
};

static inline ULONG_PTR iocp_key_of_socket(async_fd_t fd)
{
    return fd | 3;
}

/* Polls of so many sockets share one handle of AFD. */
typedef struct iocp_group {
    HANDLE afd;
    unsigned watches;
    struct iocp_group *next;
} iocp_group_t;

typedef struct iocp_operation iocp_operation_t;

typedef struct iocp_watch {
    afd_poll_t poll;          /* first: packets name it */
    iocp_handle_wait_t *wait; /* of a console or pipe, in place of the poll; NULL: a socket */
    async_fd_t fd;
    HANDLE base;
    uint32_t generation;
    uint32_t interest;   /* BACKEND_INTEREST */
    ULONG asked;         /* AFD_* of the poll in flight, 0: none */
    uint64_t started_in; /* the wait that has started it */
    bool cancelling;
    bool gone;      /* freed when its packet comes */
    bool queued;    /* in the list of those to be started */
    bool bound;     /* to this port */
    bool listening; /* at its add */
    bool peer_shut; /* the peer has shut its writing half; only known while READ is not asked for */
    iocp_group_t *group;
    iocp_operation_t *operations[2]; /* started: the read and the write */
    struct iocp_watch *next;         /* in that list */
} iocp_watch_t;

typedef struct iocp {
    async_runtime_t *runtime;
    HANDLE port;
    HANDLE timer; /* to end a wait in time; NULL: the system has none of high resolution */
    iocp_watch_t **watches; /* by number / 4 */
    size_t watch_count;
    iocp_watch_t *start_first; /* to be started by the next wait */
    iocp_watch_t *start_last;
    iocp_group_t *groups;
    iocp_operation_t *orphans; /* operations that outlive their watch */
    size_t in_flight;          /* watches that wait for their packet */
    size_t cancelling;         /* of these, polls whose end has been asked for */
    HANDLE probe_afd;          /* for questions that are answered at once */
    HANDLE probe_event;
    uint64_t waits;
    /* of the present wait */
    int reported;
    bool ended; /* an operation was reported, or a wake has come */
} iocp_t;

/* ---- iocp_watch.c ---- */

/* The watch of fd, NULL when it is not known. */
iocp_watch_t *iocp_watch_find(const iocp_t *iocp, async_fd_t fd);

/* Makes room in the table for fd; makes a new watch a member of a group.  Return 0 or an errno
 * value. */
int iocp_watch_reserve(iocp_t *iocp, async_fd_t fd);
int iocp_watch_join(iocp_t *iocp, iocp_watch_t *watch);

/* The watch leaves the table; its memory goes now, or with its packet. */
void iocp_watch_drop(iocp_t *iocp, iocp_watch_t *watch);
void iocp_watch_free(iocp_watch_t *watch);

/* The AFD_* that answer the watch's interest; 0: none. */
ULONG iocp_watch_wanted(const iocp_watch_t *watch);

/* Puts the watch into the list of those to be started. */
void iocp_watch_queue(iocp_t *iocp, iocp_watch_t *watch);

/* Asks the system for what the watch is interested in.  Returns an errno value: EBADF when closed.
 */
int iocp_watch_start(iocp_t *iocp, iocp_watch_t *watch);

/* ---- iocp_operation.c: posted reads and writes. ---- */

int iocp_operation_start(void *state, backend_operation_t *operation);
void iocp_operation_cancel(void *state, backend_operation_t *operation);

/* A packet of a socket or of KEY_OPERATION.  report: false in close. */
void iocp_operation_packet(iocp_t *iocp, const OVERLAPPED_ENTRY *entry, bool report);

/* The watch goes: its operations become orphans, which end by themselves or are cancelled. */
void iocp_operation_orphan(iocp_t *iocp, iocp_watch_t *watch);
void iocp_operation_cancel_orphans(iocp_t *iocp);

#endif /* IOCP_H */

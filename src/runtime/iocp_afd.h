/* SPDX-License-Identifier: MIT */
/*
 * iocp_afd.h - what the driver behind Winsock says of a socket's readiness
 *
 * Each socket of Windows is a handle of the driver AFD.  Its poll request, which select() is made
 * of too, can be sent through any handle of that driver, is level-triggered, and ends in a packet
 * of the completion port that the handle is bound to.
 */
#ifndef IOCP_AFD_H
#define IOCP_AFD_H

#include "port/port_win32.h"

#include <asyncrt/async_types.h>

#include <winternl.h>

/* What a poll asks for and answers. */
#define AFD_RECEIVE 0x001u
#define AFD_SEND 0x004u
#define AFD_DISCONNECT 0x008u  /* the peer has shut its writing half */
#define AFD_ABORT 0x010u       /* the connection was reset */
#define AFD_LOCAL_CLOSE 0x020u /* the socket's handle was closed */
#define AFD_ACCEPT 0x080u
#define AFD_CONNECT_FAIL 0x100u

typedef struct afd_poll_handle {
    HANDLE handle;
    ULONG events;
    LONG status;
} afd_poll_handle_t;

/* Request and answer; the answer holds only the handles with events. */
typedef struct afd_poll_info {
    LARGE_INTEGER timeout;
    ULONG count;
    ULONG exclusive;
    afd_poll_handle_t handles[1];
} afd_poll_info_t;

/* One request.  The driver's until its packet has come: its memory must stay. */
typedef struct afd_poll {
    IO_STATUS_BLOCK iosb;
    afd_poll_info_t info;
} afd_poll_t;

#define AFD_PROBE_MAX 64

/* A request for several sockets that answers at once. */
typedef struct afd_probe {
    LARGE_INTEGER timeout;
    ULONG count;
    ULONG exclusive;
    afd_poll_handle_t handles[AFD_PROBE_MAX];
} afd_probe_t;

/* Opens the driver; port NULL: for afd_probe only.  Returns 0 or an errno value. */
int afd_open(HANDLE port, ULONG_PTR key, HANDLE *afd);

/* The handle that the driver knows: that of the socket below all layers. */
HANDLE afd_base_handle(async_fd_t fd);

/*
 * Starts a poll of the base handle for events.  Its packet's lpOverlapped is poll.  Returns 0 (the
 * packet will come, also when the answer is there at once), or an errno value (no packet): EBADF
 * when the socket is closed.
 */
int afd_poll_start(HANDLE afd, afd_poll_t *poll, HANDLE base, ULONG events);

/* Asks the driver to end it; the packet still comes. */
void afd_poll_cancel(HANDLE afd, afd_poll_t *poll);

/* What a poll whose packet has come has found; 0: nothing, or cancelled; AFD_ABORT: it has failed.
 */
ULONG afd_poll_events(const afd_poll_t *poll);

/* Sets the events of each of probe->handles[0..count) to what is true of those now.  Returns 0 or
 * an errno value, EBADF when one of them is closed. */
int afd_probe(HANDLE afd, HANDLE event, afd_probe_t *probe);

/* The Winsock or system error of a status. */
unsigned long afd_error_of_status(LONG status);

#endif /* IOCP_AFD_H */

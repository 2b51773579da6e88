/* SPDX-License-Identifier: MIT */
/*
 * iocp_handle.h - readiness of standard input where it is a console or a pipe
 *
 * A console's handle is signalled while it holds input, so the system's thread pool can wait on it.
 * A pipe made without overlapped I/O cannot be waited on without reading it: the pool looks at it
 * some hundred times a second, while somebody waits for it only.
 */
#ifndef IOCP_HANDLE_H
#define IOCP_HANDLE_H

#include "port/port_win32.h"

#include <asyncrt/async_types.h>

#include <stdatomic.h>

typedef struct iocp_handle_wait {
    OVERLAPPED packet; /* first: names the wait in its packet */
    void *owner;       /* the watch */
    HANDLE handle;
    HANDLE port;
    ULONG_PTR key;
    bool is_console;
    bool started;          /* loop thread: the packet has not been taken yet */
    HANDLE registered;     /* loop thread: the pool's wait, of a pipe its timer; NULL: none */
    _Atomic uint32_t sent; /* by whoever exchanges it from 0: the packet is posted once per start */
} iocp_handle_wait_t;

/* Whether standard input is such a handle, and fd is it. */
bool iocp_handle_is_input(async_fd_t fd);

/* Makes the wait for one.  Returns NULL when there is no memory. */
iocp_handle_wait_t *iocp_handle_open(async_fd_t fd, HANDLE port, ULONG_PTR key);

/* The packet comes when there is input.  Returns 0 or an errno value. */
int iocp_handle_start(iocp_handle_wait_t *wait);

/* The packet has come, or iocp_handle_stop has said that none will. */
void iocp_handle_taken(iocp_handle_wait_t *wait);

/* Stops waiting.  Returns whether a packet is under way all the same. */
bool iocp_handle_stop(iocp_handle_wait_t *wait);

/* Stopped, and no packet is under way. */
void iocp_handle_close(iocp_handle_wait_t *wait);

/* What is true now: ASYNC_EVENT_READ, _CLOSE (a pipe whose writers have gone), 0. */
uint32_t iocp_handle_ready(const iocp_handle_wait_t *wait);

#endif /* IOCP_HANDLE_H */

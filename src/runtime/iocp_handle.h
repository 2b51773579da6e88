/* SPDX-License-Identifier: MIT */
/*
 * iocp_handle.h - readiness of standard input where it is a console or a pipe
 *
 * A helper thread waits for it.  A console's handle is signalled while it holds input.  A pipe made
 * without overlapped I/O has nothing to wait for but a read, and while one waits, whoever asks the
 * system anything about the pipe is held up, a child process that has inherited it included.  So
 * the helper looks at a pipe from time to time, while somebody waits for it only.
 */
#ifndef IOCP_HANDLE_H
#define IOCP_HANDLE_H

#include "port/port_thread.h"
#include "port/port_win32.h"

#include <asyncrt/async_types.h>

#include <stdatomic.h>

typedef struct iocp_handle_wait {
    OVERLAPPED packet; /* first: names the wait in its packet */
    void *owner;       /* the watch */
    HANDLE handle;     /* a duplicate: the helper may look when the program has closed its own */
    HANDLE port;
    ULONG_PTR key;
    bool is_console;
    port_thread_t thread;
    HANDLE wake; /* auto-reset: state has become WANTED, or quit */
    /* HANDLE_*.  Loop thread: to WANTED, back to IDLE, and at once to SENT.  Whoever changes it
     * from WANTED to SENT posts the packet.  Relaxed: the port and the event order the rest. */
    _Atomic int state;
    _Atomic int quit;
} iocp_handle_wait_t;

/* Whether standard input is such a handle, and fd is it. */
bool iocp_handle_is_input(async_fd_t fd);

/* Makes the wait for one, and its thread.  Returns NULL when there is no memory for them. */
iocp_handle_wait_t *iocp_handle_open(async_fd_t fd, HANDLE port, ULONG_PTR key);

/* The packet comes when there is input. */
void iocp_handle_start(iocp_handle_wait_t *wait);

/* The packet has come. */
void iocp_handle_taken(iocp_handle_wait_t *wait);

/* Started, and its packet not taken: stops waiting.  Returns whether the packet is under way. */
bool iocp_handle_stop(iocp_handle_wait_t *wait);

/* Stopped, and no packet is under way. */
void iocp_handle_close(iocp_handle_wait_t *wait);

/* What is true now: ASYNC_EVENT_READ, _CLOSE (a pipe whose writers have gone), 0. */
uint32_t iocp_handle_ready(const iocp_handle_wait_t *wait);

#endif /* IOCP_HANDLE_H */

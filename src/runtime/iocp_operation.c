/* SPDX-License-Identifier: MIT */
/*
 * iocp_operation.c - posted reads and writes as overlapped calls
 *
 * The OVERLAPPED lies in the operation itself, so there is nothing to allocate.  Of a socket that
 * is bound to our port the end comes there by itself.  One that is bound to another port, the
 * program's own or that of an earlier runtime, gets an event for the call; a wait of the system's
 * thread pool on it posts the packet.  (The event's handle with its low bit set keeps the packet
 * away from that other port.)  Loop thread only, but for operation_signalled().
 */
#include "port/port_winsock.h"
#include "runtime/iocp.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

struct iocp_operation {
    OVERLAPPED overlapped;   /* first: packets name it */
    iocp_operation_t *next;  /* an orphan: in their list */
    iocp_operation_t **link; /* what points here: the watch, or that list */
    HANDLE wait;             /* of the thread pool; NULL: the socket is bound to our port */
    HANDLE port;
};

_Static_assert(sizeof(iocp_operation_t) <= sizeof(((backend_operation_t *)0)->backend),
               "it lies in the operation");

#define EVENT_TAG ((uintptr_t)1)

static iocp_operation_t *of_operation(backend_operation_t *operation)
{
    return (iocp_operation_t *)(void *)&operation->backend;
}

static backend_operation_t *to_operation(iocp_operation_t *op)
{
    return (backend_operation_t *)(void *)((char *)op - offsetof(backend_operation_t, backend));
}

static HANDLE event_of(const iocp_operation_t *op)
{
    return (HANDLE)((uintptr_t)op->overlapped.hEvent & ~EVENT_TAG);
}

/* A thread of the pool: the call has ended. */
static VOID CALLBACK operation_signalled(PVOID context, BOOLEAN timed_out)
{
    iocp_operation_t *op = context;

    (void)timed_out;
    PostQueuedCompletionStatus(op->port, 0, IOCP_KEY_OPERATION, &op->overlapped);
}

static void forget_event(iocp_operation_t *op)
{
    if (op->overlapped.hEvent == NULL)
        return;
    /* The callback has posted the packet that brought us here: waiting for its return is short. */
    if (op->wait != NULL)
        UnregisterWaitEx(op->wait, INVALID_HANDLE_VALUE);
    CloseHandle(event_of(op));
}

/* The error of a call that could not even begin, kept where a socket's call needs nothing. */
static DWORD *failure_of(iocp_operation_t *op)
{
    return &op->overlapped.Offset;
}

static int begin(backend_operation_t *operation, iocp_operation_t *op)
{
    size_t left = operation->length - operation->transferred;
    WSABUF buffer = {.len = left < INT_MAX ? (ULONG)left : INT_MAX,
                     .buf = (char *)operation->buffer + operation->transferred};
    DWORD flags = 0;
    int rc;

    if (operation->is_write)
        rc = WSASend((SOCKET)operation->fd, &buffer, 1, NULL, 0, &op->overlapped, NULL);
    else
        rc = WSARecv((SOCKET)operation->fd, &buffer, 1, NULL, &flags, &op->overlapped, NULL);
    return rc == 0 ? 0 : WSAGetLastError();
}

static int errno_of(const backend_operation_t *operation, unsigned long error)
{
    int err = port_winsock_errno(error);

    /* A datagram larger than the buffer is cut, as recv() elsewhere does. */
    if (!operation->is_write && (err == EMSGSIZE || error == WSAEMSGSIZE))
        return 0;
    if (operation->is_write && (err == ECONNRESET || err == ECONNABORTED || err == ENOTCONN))
        return EPIPE;
    return err == ECONNABORTED ? ECONNRESET : err;
}

int iocp_operation_start(void *state, backend_operation_t *operation)
{
    iocp_t *iocp = state;
    iocp_operation_t *op = of_operation(operation);
    iocp_watch_t *watch = iocp_watch_find(iocp, operation->fd);
    int error;

    if (watch == NULL)
        return EBADF;
    if (watch->wait != NULL)
        return ENOTSUP;
    memset(op, 0, sizeof(*op));
    op->port = iocp->port;
    if (!watch->bound) {
        HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);

        if (event == NULL)
            return ENOMEM;
        op->overlapped.hEvent = (HANDLE)((uintptr_t)event | EVENT_TAG);
    }
    error = watch->listening && !operation->is_write ? WSAENOTCONN : begin(operation, op);
    if (error == WSAENOTSOCK) {
        forget_event(op);
        return EBADF;
    }
    op->link = &watch->operations[operation->is_write];
    *op->link = op;
    if (error != 0 && error != WSA_IO_PENDING) {
        /* what has failed ends as what fails later, by a packet */
        *failure_of(op) = (DWORD)error;
        PostQueuedCompletionStatus(op->port, 0, IOCP_KEY_OPERATION, &op->overlapped);
        return 0;
    }
    /* Without a wait, this thread is the one that waits: rare, and better than losing the end. */
    if (op->overlapped.hEvent != NULL &&
        !RegisterWaitForSingleObject(&op->wait, event_of(op), operation_signalled, op, INFINITE,
                                     WT_EXECUTEONLYONCE)) {
        op->wait = NULL;
        CancelIoEx((HANDLE)operation->fd, &op->overlapped);
        WaitForSingleObject(event_of(op), INFINITE);
        PostQueuedCompletionStatus(op->port, 0, IOCP_KEY_OPERATION, &op->overlapped);
    }
    return 0;
}

void iocp_operation_cancel(void *state, backend_operation_t *operation)
{
    (void)state;
    /* One that has ended already is not found, and its packet is there. */
    CancelIoEx((HANDLE)operation->fd, &of_operation(operation)->overlapped);
}

void iocp_operation_orphan(iocp_t *iocp, iocp_watch_t *watch)
{
    for (int i = 0; i < 2; i++) {
        iocp_operation_t *op = watch->operations[i];

        watch->operations[i] = NULL;
        if (op == NULL)
            continue;
        op->next = iocp->orphans;
        op->link = &iocp->orphans;
        if (op->next != NULL)
            op->next->link = &op->next;
        iocp->orphans = op;
    }
}

void iocp_operation_cancel_orphans(iocp_t *iocp)
{
    for (iocp_operation_t *op = iocp->orphans; op != NULL; op = op->next)
        iocp_operation_cancel(iocp, to_operation(op));
}

/* Whether a packet is of an operation of ours: a program may make overlapped calls of its own on a
 * socket that it has added, and their packets come here too. */
static bool is_ours(const iocp_t *iocp, const OVERLAPPED_ENTRY *entry)
{
    const iocp_operation_t *op = (const iocp_operation_t *)(const void *)entry->lpOverlapped;
    const iocp_watch_t *watch;

    if (entry->lpCompletionKey == IOCP_KEY_OPERATION)
        return true;
    watch = iocp_watch_find(iocp, (async_fd_t)entry->lpCompletionKey & ~(async_fd_t)3);
    if (watch != NULL && (watch->operations[0] == op || watch->operations[1] == op))
        return op != NULL;
    for (const iocp_operation_t *orphan = iocp->orphans; orphan != NULL; orphan = orphan->next) {
        if (orphan == op)
            return true;
    }
    return false;
}

void iocp_operation_packet(iocp_t *iocp, const OVERLAPPED_ENTRY *entry, bool report)
{
    iocp_operation_t *op = (iocp_operation_t *)(void *)entry->lpOverlapped;
    backend_operation_t *operation;
    unsigned long error;

    if (!is_ours(iocp, entry))
        return;
    *op->link = op->next;
    if (op->next != NULL)
        op->next->link = op->link;
    operation = to_operation(op);
    iocp->ended = true;
    forget_event(op);
    error = *failure_of(op);
    if (error == 0)
        error = afd_error_of_status((LONG)op->overlapped.Internal);
    if (report)
        backend_report_operation(iocp->runtime, operation, errno_of(operation, error),
                                 (size_t)op->overlapped.InternalHigh);
}

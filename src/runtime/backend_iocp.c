/* SPDX-License-Identifier: MIT */
/*
 * backend_iocp.c - completion ports; iocp.h tells how it works
 */
#include "port/port_memory.h"
#include "port/port_winsock.h"
#include "runtime/iocp.h"

#include <errno.h>

/* ---- Starting what is to be waited for. ---- */

static void drop_closed(iocp_t *iocp, iocp_watch_t *watch)
{
    async_fd_t fd = watch->fd;
    uint32_t generation = watch->generation;

    iocp_watch_drop(iocp, watch);
    backend_report_closed(iocp->runtime, fd, generation);
}

static void start_queued(iocp_t *iocp)
{
    iocp_watch_t *watch = iocp->start_first;

    /* those that cannot be started for want of memory are tried again by the next wait */
    iocp->start_first = iocp->start_last = NULL;
    while (watch != NULL) {
        iocp_watch_t *next = watch->next;
        int err;

        watch->queued = false;
        err = iocp_watch_start(iocp, watch);
        if (err == EBADF || err == ENOTSOCK)
            drop_closed(iocp, watch);
        else if (err != 0)
            iocp_watch_queue(iocp, watch);
        watch = next;
    }
}

/* ---- Reporting. ---- */

static uint32_t ready_of(ULONG events)
{
    const uint32_t both = ASYNC_EVENT_READ | ASYNC_EVENT_WRITE;
    uint32_t ready = 0;

    if (events & (AFD_RECEIVE | AFD_ACCEPT))
        ready |= ASYNC_EVENT_READ;
    if (events & AFD_SEND)
        ready |= ASYNC_EVENT_WRITE;
    if (events & AFD_DISCONNECT)
        ready |= ASYNC_EVENT_READ | BACKEND_PEER_SHUT;
    if (events & (AFD_ABORT | AFD_CONNECT_FAIL))
        ready |= both | BACKEND_PEER_SHUT | ASYNC_EVENT_CLOSE | ASYNC_EVENT_ERROR;
    return ready;
}

/* The watch, which is not being asked about, is ready. */
static void report(iocp_t *iocp, iocp_watch_t *watch, uint32_t ready)
{
    async_fd_t fd = watch->fd;
    uint32_t generation = watch->generation;

    if (watch->interest & ASYNC_EVENT_ONESHOT)
        watch->interest = 0;
    else
        iocp_watch_queue(iocp, watch);
    iocp->reported++;
    /* the watch may be gone afterwards */
    (void)backend_report_ready(iocp->runtime, fd, generation, ready);
}

/* Whether both directions are shut.  The driver tells of the peer's; that ours is shut too a send
 * of nothing tells, of which nothing goes out. */
static bool full_hangup(const iocp_watch_t *watch)
{
    return watch->peer_shut && send((SOCKET)watch->fd, "", 0, 0) == SOCKET_ERROR &&
           WSAGetLastError() == WSAESHUTDOWN;
}

/* With WRITE alone, half a hang-up is not reported, so that it must not be asked for again. */
static uint32_t ready_of_writer(iocp_watch_t *watch, ULONG events)
{
    if (events & AFD_DISCONNECT)
        watch->peer_shut = true;
    if (events & AFD_SEND && full_hangup(watch))
        return ASYNC_EVENT_WRITE | ASYNC_EVENT_CLOSE;
    return ready_of(events & ~AFD_DISCONNECT);
}

/* Events that the watch asks for and that were found; others are of an earlier interest. */
static void found(iocp_t *iocp, iocp_watch_t *watch, ULONG events)
{
    uint32_t ready;

    if (events & AFD_LOCAL_CLOSE) {
        drop_closed(iocp, watch);
        return;
    }
    events &= iocp_watch_wanted(watch);
    if (watch->interest & ASYNC_EVENT_READ)
        ready = ready_of(events);
    else
        ready = ready_of_writer(watch, events);
    if (ready != 0)
        report(iocp, watch, ready);
    else
        iocp_watch_queue(iocp, watch);
}

/* Asks again about watches whose answers may be out of date. */
static void found_before(iocp_t *iocp, iocp_watch_t **watches, ULONG count)
{
    afd_probe_t probe = {.count = count};

    if (count == 0)
        return;
    for (ULONG i = 0; i < count; i++)
        probe.handles[i] = (afd_poll_handle_t){.handle = watches[i]->base,
                                               .events = iocp_watch_wanted(watches[i])};
    if (afd_probe(iocp->probe_afd, iocp->probe_event, &probe) != 0) {
        /* One of them is closed: each is asked alone. */
        for (ULONG i = 0; i < count; i++)
            iocp_watch_queue(iocp, watches[i]);
        return;
    }
    for (ULONG i = 0; i < count; i++)
        found(iocp, watches[i], probe.handles[i].events);
}

/* A watch's packet has come.  Returns the watch, NULL when it is gone. */
static iocp_watch_t *watch_taken(iocp_t *iocp, iocp_watch_t *watch)
{
    iocp->in_flight--;
    if (watch->cancelling)
        iocp->cancelling--;
    watch->cancelling = false;
    watch->asked = 0;
    if (watch->wait != NULL)
        iocp_handle_taken(watch->wait);
    if (!watch->gone)
        return watch;
    iocp_watch_free(watch);
    return NULL;
}

static void handle_packet(iocp_t *iocp, iocp_watch_t *watch)
{
    uint32_t ready = iocp_handle_ready(watch->wait);
    DWORD flags;

    if (!GetHandleInformation((HANDLE)watch->fd, &flags)) {
        drop_closed(iocp, watch);
        return;
    }
    if (ready & ASYNC_EVENT_CLOSE)
        ready |= BACKEND_PEER_SHUT;
    if (ready != 0 && watch->interest & ASYNC_EVENT_READ)
        report(iocp, watch, ready);
    else
        iocp_watch_queue(iocp, watch);
}

/* before: they may have been in the port before this wait began. */
static void take_packets(iocp_t *iocp, const OVERLAPPED_ENTRY *entries, ULONG count, bool before)
{
    iocp_watch_t *doubtful[IOCP_BATCH];
    ULONG doubts = 0;

    for (ULONG i = 0; i < count; i++) {
        iocp_watch_t *watch = NULL;

        switch (entries[i].lpCompletionKey) {
        case IOCP_KEY_WAKE:
            iocp->ended = true;
            break;
        case IOCP_KEY_POLL:
            watch = watch_taken(iocp, (iocp_watch_t *)(void *)entries[i].lpOverlapped);
            if (watch == NULL)
                break;
            if (before && watch->started_in != iocp->waits && iocp_watch_wanted(watch) != 0)
                doubtful[doubts++] = watch;
            else
                found(iocp, watch, afd_poll_events(&watch->poll));
            break;
        case IOCP_KEY_HANDLE:
            watch = ((iocp_handle_wait_t *)(void *)entries[i].lpOverlapped)->owner;
            watch = watch_taken(iocp, watch);
            if (watch != NULL)
                handle_packet(iocp, watch);
            break;
        default:
            iocp_operation_packet(iocp, &entries[i], true);
            break;
        }
    }
    found_before(iocp, doubtful, doubts);
}

/* ---- wait ---- */

/* Fetches as many packets as may be reported.  Returns 0 with *count, ETIMEDOUT, or an errno value.
 */
static int fetch(iocp_t *iocp, OVERLAPPED_ENTRY *entries, int room, DWORD ms, ULONG *count)
{
    ULONG most = room < IOCP_BATCH ? (ULONG)room : IOCP_BATCH;
    DWORD error;

    *count = 0;
    if (GetQueuedCompletionStatusEx(iocp->port, entries, most, count, ms, FALSE))
        return 0;
    error = GetLastError();
    *count = 0;
    return error == WAIT_TIMEOUT ? ETIMEDOUT : port_winsock_errno(error);
}

static VOID CALLBACK timer_rings(LPVOID arg, DWORD low, DWORD high)
{
    (void)arg;
    (void)low;
    (void)high;
    /* it has ended the wait, which is all */
}

/* The same until a deadline.  The time-out of the system's call ends with an interrupt of the
 * clock, up to 15.6 ms late; a timer of high resolution wakes the thread when it is time. */
static int fetch_until(iocp_t *iocp, OVERLAPPED_ENTRY *entries, int room, uint64_t deadline,
                       ULONG *count)
{
    ULONG most = room < IOCP_BATCH ? (ULONG)room : IOCP_BATCH;
    uint64_t now = port_clock_now();
    LARGE_INTEGER due; /* negative: relative, in units of 100 ns */
    DWORD error = 0;

    if (iocp->timer == NULL || deadline == PORT_DEADLINE_NEVER || deadline <= now)
        return fetch(iocp, entries, room, port_win32_timeout(deadline), count);
    due.QuadPart = -(LONGLONG)((deadline - now - 1) / 100 + 1);
    if (!SetWaitableTimer(iocp->timer, &due, 0, timer_rings, NULL, FALSE))
        return fetch(iocp, entries, room, port_win32_timeout(deadline), count);
    *count = 0;
    if (!GetQueuedCompletionStatusEx(iocp->port, entries, most, count, port_win32_timeout(deadline),
                                     TRUE)) {
        error = GetLastError();
        *count = 0;
    }
    CancelWaitableTimer(iocp->timer);
    if (error == WAIT_TIMEOUT || error == WAIT_IO_COMPLETION)
        /* the latter also for a call that the program has queued to its thread */
        return error == WAIT_TIMEOUT || port_clock_now() >= deadline ? ETIMEDOUT : 0;
    return error == 0 ? 0 : port_winsock_errno(error);
}

/* What is there already.  A poll that is being cancelled answers soon, and until then nobody knows.
 */
static int look(iocp_t *iocp, int budget)
{
    OVERLAPPED_ENTRY entries[IOCP_BATCH];
    ULONG count;
    int err;

    do {
        if (iocp->reported == 0)
            start_queued(iocp);
        err = fetch(iocp, entries, budget - iocp->reported, iocp->cancelling != 0 ? 10 : 0, &count);
        if (err != 0)
            return err == ETIMEDOUT ? 0 : err;
        take_packets(iocp, entries, count, true);
        /* the end of an operation or a wake may lie ahead of a ready descriptor */
    } while (iocp->reported < budget && (iocp->reported == 0 || count == IOCP_BATCH));
    return 0;
}

static int wait_iocp(void *arg, int budget, uint64_t timeout_ns)
{
    iocp_t *iocp = arg;
    OVERLAPPED_ENTRY entries[IOCP_BATCH];
    uint64_t deadline = PORT_DEADLINE_NEVER;
    int err;

    iocp->waits++;
    iocp->reported = 0;
    iocp->ended = false;
    if (timeout_ns != 0 && timeout_ns != BACKEND_WAIT_FOREVER)
        deadline = port_clock_after(port_clock_now(), timeout_ns);
    err = look(iocp, budget);
    while (err == 0 && timeout_ns != 0 && iocp->reported == 0 && !iocp->ended) {
        ULONG count;

        start_queued(iocp);
        err = fetch_until(iocp, entries, budget, deadline, &count);
        if (err == 0)
            take_packets(iocp, entries, count, false);
        else if (err == ETIMEDOUT)
            return 0;
    }
    return iocp->reported != 0 || iocp->ended ? 0 : err;
}

static void wake(void *arg)
{
    const iocp_t *iocp = arg;
    DWORD saved = GetLastError();

    PostQueuedCompletionStatus(iocp->port, 0, IOCP_KEY_WAKE, NULL);
    SetLastError(saved);
}

/* ---- Registrations. ---- */

/* EBADF: no handle; EPERM: one that is no socket. */
static int check_socket(async_fd_t fd, bool *listening)
{
    int value = 0, size = sizeof(value);
    DWORD flags;

    *listening = false;
    if (getsockopt((SOCKET)fd, SOL_SOCKET, SO_ACCEPTCONN, (char *)&value, &size) == 0) {
        *listening = value != 0;
        return 0;
    }
    if (WSAGetLastError() != WSAENOTSOCK) /* sockets that never listen may not know the option */
        return 0;
    return GetHandleInformation((HANDLE)fd, &flags) ? EPERM : EBADF;
}

/* Binds the socket to the port, which succeeds once in a socket's life. */
static bool bind_socket(iocp_t *iocp, async_fd_t fd)
{
    return CreateIoCompletionPort((HANDLE)fd, iocp->port, iocp_key_of_socket(fd), 0) != NULL;
}

static int add(void *arg, async_fd_t fd, uint32_t generation, uint32_t interest, bool replace)
{
    iocp_t *iocp = arg;
    iocp_watch_t *old, *watch;
    bool is_input = false, bound = false, listening;
    int err = check_socket(fd, &listening);

    if (err == EPERM && iocp_handle_is_input(fd))
        is_input = true;
    else if (err != 0)
        return err;
    err = iocp_watch_reserve(iocp, fd);
    if (err != 0)
        return err;
    watch = port_zalloc(1, sizeof(*watch));
    if (watch == NULL)
        return ENOMEM;
    old = iocp_watch_find(iocp, fd);
    if (is_input) {
        if (old != NULL && replace && old->wait != NULL)
            err = EEXIST;
        else if ((watch->wait = iocp_handle_open(fd, iocp->port, IOCP_KEY_HANDLE)) == NULL)
            err = ENOMEM;
        else
            watch->wait->owner = watch;
    } else {
        /* the runtime's registration, without a watch of ours, was always ready: no socket */
        bound = bind_socket(iocp, fd);
        err = old != NULL && replace && old->wait == NULL && !bound ? EEXIST
                                                                    : iocp_watch_join(iocp, watch);
    }
    if (err != 0) {
        port_free(watch);
        return err;
    }
    if (old != NULL)
        iocp_watch_drop(iocp, old);
    watch->fd = fd;
    watch->base = is_input ? NULL : afd_base_handle(fd);
    watch->generation = generation;
    watch->interest = interest;
    watch->bound = bound;
    watch->listening = listening;
    iocp->watches[fd >> 2] = watch;
    if (interest != 0)
        iocp_watch_queue(iocp, watch);
    return 0;
}

/* Whether the number is still the watch's file; else the watch is dropped. */
static int recognise(iocp_t *iocp, async_fd_t fd, iocp_watch_t **found_watch)
{
    iocp_watch_t *watch = iocp_watch_find(iocp, fd);
    bool listening;
    int err = check_socket(fd, &listening);

    if (watch != NULL && watch->wait != NULL)
        err = err == EPERM ? 0 : err == 0 ? ENOENT : err;
    else if (err == EPERM || (err == 0 && (watch == NULL || bind_socket(iocp, fd))))
        err = ENOENT;
    if (err != 0 && watch != NULL)
        iocp_watch_drop(iocp, watch);
    *found_watch = watch;
    return err;
}

static int modify(void *arg, async_fd_t fd, uint32_t generation, uint32_t interest)
{
    iocp_t *iocp = arg;
    iocp_watch_t *watch;
    int err = recognise(iocp, fd, &watch);

    (void)generation;
    if (err != 0)
        return err;
    watch->interest = interest;
    if (interest != 0)
        iocp_watch_queue(iocp, watch);
    return 0;
}

static int remove_fd(void *arg, async_fd_t fd, uint32_t generation)
{
    iocp_t *iocp = arg;
    iocp_watch_t *watch;
    int err = recognise(iocp, fd, &watch);

    (void)generation;
    if (err == 0)
        iocp_watch_drop(iocp, watch);
    return err;
}

/* ---- The beginning and the end. ---- */

static void free_state(iocp_t *iocp)
{
    while (iocp->groups != NULL) {
        iocp_group_t *group = iocp->groups;

        iocp->groups = group->next;
        CloseHandle(group->afd);
        port_free(group);
    }
    if (iocp->timer != NULL)
        CloseHandle(iocp->timer);
    if (iocp->probe_event != NULL)
        CloseHandle(iocp->probe_event);
    if (iocp->probe_afd != NULL)
        CloseHandle(iocp->probe_afd);
    if (iocp->port != NULL)
        CloseHandle(iocp->port);
    port_free(iocp->watches);
    port_free(iocp);
}

static int open_iocp(async_runtime_t *runtime, bool single_thread, void **made)
{
    iocp_t *iocp;
    int err = port_winsock_start();

    (void)single_thread;
    if (err != 0)
        return err;
    iocp = port_zalloc(1, sizeof(*iocp));
    if (iocp == NULL)
        return ENOMEM;
    iocp->runtime = runtime;
    iocp->port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
    iocp->probe_event = CreateEventW(NULL, FALSE, FALSE, NULL);
    iocp->timer = port_win32_fine_timer();
    if (iocp->port == NULL || iocp->probe_event == NULL)
        err = ENOMEM;
    else
        err = afd_open(NULL, 0, &iocp->probe_afd);
    if (err != 0) {
        free_state(iocp);
        return err;
    }
    *made = iocp;
    return 0;
}

/* What the system writes into must stay until it has said so: the ends are waited for. */
static void close_iocp(void *arg, bool inherited)
{
    iocp_t *iocp = arg;
    OVERLAPPED_ENTRY entries[IOCP_BATCH];
    ULONG count;

    (void)inherited;
    for (size_t i = 0; i < iocp->watch_count; i++) {
        if (iocp->watches[i] != NULL)
            iocp_watch_drop(iocp, iocp->watches[i]);
    }
    iocp_operation_cancel_orphans(iocp);
    while ((iocp->in_flight != 0 || iocp->orphans != NULL) &&
           GetQueuedCompletionStatusEx(iocp->port, entries, IOCP_BATCH, &count, INFINITE, FALSE)) {
        for (ULONG i = 0; i < count; i++) {
            void *overlapped = entries[i].lpOverlapped;

            if (entries[i].lpCompletionKey == IOCP_KEY_POLL)
                (void)watch_taken(iocp, overlapped);
            else if (entries[i].lpCompletionKey == IOCP_KEY_HANDLE)
                (void)watch_taken(iocp, ((iocp_handle_wait_t *)overlapped)->owner);
            else if (entries[i].lpCompletionKey != IOCP_KEY_WAKE)
                iocp_operation_packet(iocp, &entries[i], false);
        }
    }
    free_state(iocp);
}

const backend_t backend_iocp = {
    .name = "iocp",
    .open = open_iocp,
    .close = close_iocp,
    .add = add,
    .modify = modify,
    .remove = remove_fd,
    .wait = wait_iocp,
    .wake = wake,
    .start = iocp_operation_start,
    .cancel = iocp_operation_cancel,
};

/* SPDX-License-Identifier: MIT */
/*
 * backend_epoll.c - epoll
 *
 * - A parked registration stays in the set with no events but EPOLLONESHOT: the kernel adds hang-up
 *   and error to that and reports them once at most, and the runtime drops the report.
 * - The wake descriptor is edge-triggered, so that it needs no read.
 * - Whoever closes a descriptor that has a copy elsewhere, without remove, leaves an entry that can
 *   neither be changed nor removed, and that may be ready for ever.  Its reports are recognised by
 *   their generation; when they keep coming, the set is made anew.
 */
#include "config.h"

#include "port/port_clock.h"
#include "port/port_fd.h"
#include "port/port_memory.h"
#include "runtime/backend.h"
#include "runtime/runtime_wakefd.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FIRST_ROOM 64
#define MOST_ROOM 4096
#define STALE_MANY 16u /* stale reports that make the set be built anew */

#define WAKE_TAG UINT64_MAX

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 (-1) /* ENOSYS */
#endif

typedef struct epoll_state {
    async_runtime_t *runtime;
    int fd;
    runtime_wakefd_t wakefd;
    struct epoll_event *ready;
    int room;
    unsigned stale;
    bool no_pwait2;  /* the kernel has no epoll_pwait2 */
    bool handed_out; /* a foreign loop knows fd: it cannot be replaced */
} epoll_state_t;

static uint64_t tag_of(async_fd_t fd, uint32_t generation)
{
    return (uint64_t)generation << 32 | (uint32_t)fd;
}

static uint32_t kernel_events(uint32_t interest)
{
    uint32_t events = 0;

    if (interest & ASYNC_EVENT_READ)
        events |= EPOLLIN | EPOLLRDHUP;
    if (interest & ASYNC_EVENT_WRITE)
        events |= EPOLLOUT;
    if (interest == 0 || interest & ASYNC_EVENT_ONESHOT)
        events |= EPOLLONESHOT;
    return events;
}

static int control(int set, int what, async_fd_t fd, uint32_t generation, uint32_t interest)
{
    struct epoll_event event = {.events = kernel_events(interest),
                                .data.u64 = tag_of(fd, generation)};

    return epoll_ctl(set, what, fd, &event) == 0 ? 0 : errno;
}

/* A set with the wake descriptor in it. */
static int make_set(const runtime_wakefd_t *wakefd, int *set)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = WAKE_TAG};
    int err;

    *set = epoll_create1(EPOLL_CLOEXEC);
    err = port_fd_above_standard(set);
    if (err != 0)
        return err;
    if (epoll_ctl(*set, EPOLL_CTL_ADD, wakefd->fd, &event) == 0)
        return 0;
    err = errno;
    close(*set);
    return err;
}

static int open_epoll(async_runtime_t *runtime, bool single_thread, void **made)
{
    epoll_state_t *state = port_zalloc(1, sizeof(*state));
    int err;

    (void)single_thread;
    if (state == NULL)
        return ENOMEM;
    state->runtime = runtime;
    state->room = FIRST_ROOM;
    state->ready = port_alloc(FIRST_ROOM * sizeof(*state->ready));
    if (state->ready == NULL) {
        err = ENOMEM;
        goto out_state;
    }
    err = runtime_wakefd_open(&state->wakefd);
    if (err != 0)
        goto out_ready;
    err = make_set(&state->wakefd, &state->fd);
    if (err != 0)
        goto out_wakefd;
    *made = state;
    return 0;

out_wakefd:
    runtime_wakefd_close(&state->wakefd);
out_ready:
    port_free(state->ready);
out_state:
    port_free(state);
    return err;
}

static void close_epoll(void *arg, bool inherited)
{
    epoll_state_t *state = arg;

    /* Closing changes nothing for a parent, whose descriptors are its own. */
    (void)inherited;
    close(state->fd);
    runtime_wakefd_close(&state->wakefd);
    port_free(state->ready);
    port_free(state);
}

static int add(void *arg, async_fd_t fd, uint32_t generation, uint32_t interest, bool replace)
{
    epoll_state_t *state = arg;
    int err = control(state->fd, EPOLL_CTL_ADD, fd, generation, interest);

    /* The set is keyed by number and file: an old registration of another file does not matter.  An
     * entry that the runtime does not know: closed without remove, and the same file came back. */
    if (err == EEXIST && !replace)
        err = control(state->fd, EPOLL_CTL_MOD, fd, generation, interest);
    if (err == ELOOP || err == EINVAL)
        err = EPERM; /* the runtime itself, or sets that wait for each other */
    return err;
}

static int modify(void *arg, async_fd_t fd, uint32_t generation, uint32_t interest)
{
    epoll_state_t *state = arg;

    return control(state->fd, EPOLL_CTL_MOD, fd, generation, interest);
}

static int remove_fd(void *arg, async_fd_t fd, uint32_t generation)
{
    epoll_state_t *state = arg;

    (void)generation;
    return epoll_ctl(state->fd, EPOLL_CTL_DEL, fd, NULL) == 0 ? 0 : errno;
}

/* ---- wait ---- */

typedef struct rebuild {
    int set;
    int err;
} rebuild_t;

static void add_again(void *arg, async_fd_t fd, uint32_t generation, uint32_t interest)
{
    rebuild_t *rebuild = arg;
    int err = control(rebuild->set, EPOLL_CTL_ADD, fd, generation, interest);

    if (err == ENOMEM || err == ENOSPC)
        rebuild->err = err;
}

/* Makes the set anew from what the runtime knows.  When that fails the old one stays, to be tried
 * again. */
static void rebuild_set(epoll_state_t *state)
{
    rebuild_t rebuild = {.err = 0};

    state->stale = 0;
    if (state->handed_out || make_set(&state->wakefd, &rebuild.set) != 0)
        return;
    backend_each_registration(state->runtime, add_again, &rebuild);
    if (rebuild.err != 0) {
        close(rebuild.set);
        return;
    }
    close(state->fd);
    state->fd = rebuild.set;
}

static int milliseconds(uint64_t timeout_ns)
{
    uint64_t ms;

    if (timeout_ns == BACKEND_WAIT_FOREVER)
        return -1;
    if (timeout_ns == 0)
        return 0;
    ms = (timeout_ns - 1) / PORT_NS_PER_MS + 1;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* What the system call takes: its times have 64 bits on all processors. */
struct wide_timespec {
    int64_t tv_sec;
    int64_t tv_nsec;
};

/* Not every C library has a function for it. */
static int pwait2(const epoll_state_t *state, int room, uint64_t timeout_ns)
{
    uint64_t seconds = timeout_ns / PORT_NS_PER_S;
    struct wide_timespec ts = {.tv_sec = seconds > INT_MAX ? INT_MAX : (int64_t)seconds,
                               .tv_nsec = (int64_t)(timeout_ns % PORT_NS_PER_S)};

    return (int)syscall(SYS_epoll_pwait2, state->fd, state->ready, room, &ts, NULL, 0);
}

static int kernel_wait(epoll_state_t *state, int room, uint64_t timeout_ns)
{
    if (timeout_ns != 0 && timeout_ns != BACKEND_WAIT_FOREVER && !state->no_pwait2) {
        int n = pwait2(state, room, timeout_ns);

        if (n >= 0 || (errno != ENOSYS && errno != EPERM))
            return n;
        state->no_pwait2 = true;
    }
    return epoll_wait(state->fd, state->ready, room, milliseconds(timeout_ns));
}

static uint32_t ready_of(uint32_t events)
{
    uint32_t ready = 0;

    if (events & EPOLLIN)
        ready |= ASYNC_EVENT_READ;
    if (events & EPOLLOUT)
        ready |= ASYNC_EVENT_WRITE;
    if (events & EPOLLRDHUP)
        ready |= BACKEND_PEER_SHUT;
    if (events & EPOLLHUP)
        ready |= ASYNC_EVENT_CLOSE;
    if (events & EPOLLERR)
        ready |= ASYNC_EVENT_ERROR;
    return ready;
}

/* Reports n events.  Returns whether the wake descriptor was among them. */
static bool report(epoll_state_t *state, int n)
{
    bool woken = false;

    for (int i = 0; i < n; i++) {
        uint64_t tag = state->ready[i].data.u64;

        if (tag == WAKE_TAG)
            woken = true;
        else if (!backend_report_ready(state->runtime, (async_fd_t)(uint32_t)tag,
                                       (uint32_t)(tag >> 32), ready_of(state->ready[i].events)))
            state->stale++;
    }
    return woken;
}

/* More was ready than there was room for, and the caller takes more: next time it fits. */
static void grow(epoll_state_t *state, int budget)
{
    int room = state->room * 2;
    struct epoll_event *ready;

    if (state->room >= budget || state->room >= MOST_ROOM)
        return;
    ready = port_realloc(state->ready, (size_t)room * sizeof(*ready));
    if (ready == NULL)
        return;
    state->ready = ready;
    state->room = room;
}

static int wait_epoll(void *arg, int budget, uint64_t timeout_ns)
{
    epoll_state_t *state = arg;
    int room = budget < state->room ? budget : state->room;
    int n = kernel_wait(state, room, timeout_ns);

    if (n < 0)
        return errno;
    /* The wake took the only place: look for a descriptor again.  It comes at most once an edge. */
    if (report(state, n) && room == 1) {
        n = kernel_wait(state, room, 0);
        if (n > 0)
            (void)report(state, n);
    } else if (n == state->room) {
        grow(state, budget);
    }
    if (state->stale >= STALE_MANY)
        rebuild_set(state);
    return 0;
}

static void wake(void *arg)
{
    epoll_state_t *state = arg;

    runtime_wakefd_signal(&state->wakefd);
}

static int get_fd(void *arg, async_fd_t *fd)
{
    epoll_state_t *state = arg;

    state->handed_out = true;
    *fd = state->fd;
    return 0;
}

const backend_t backend_epoll = {
    .name = "epoll",
    .open = open_epoll,
    .close = close_epoll,
    .add = add,
    .modify = modify,
    .remove = remove_fd,
    .wait = wait_epoll,
    .wake = wake,
    .get_fd = get_fd,
};

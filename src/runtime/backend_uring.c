/* SPDX-License-Identifier: MIT */
/*
 * backend_uring.c - io_uring for posted operations, an epoll set inside for readiness
 *
 * Why two: a poll request of io_uring holds the file open.  A program that closes a descriptor
 * without remove would keep its peer waiting for the end of the connection, and the registration
 * could not tell a number that is used again.  An epoll set follows the descriptor's life, is
 * level-triggered, and answers errors at once.  So readiness is backend_epoll's, and the ring waits
 * for that set by a poll request of its own: with operations under way, one io_uring_enter()
 * submits all that was posted, waits for ends, readiness and wakes alike, and fetches what has
 * ended.  Without any, it is epoll_wait() alone.
 *
 * The ring is used by whatever thread calls wait, close or start, one at a time, which need not be
 * the thread that made it: hence COOP_TASKRUN.  The kernel cancels what a thread has requested when
 * that thread has ended; the request is made again then.
 *
 * A runtime that keeps to one thread (ASYNC_RUNTIME_SINGLE_THREAD) gets SINGLE_ISSUER and
 * DEFER_TASKRUN.  Then the kernel does its part of an operation (task work: the transfer once the
 * socket is ready, its end, letting go of the file) only within an io_uring_enter() of that thread
 * that asks for events, about 20 pieces in each:
 * - A cancellation asks for events until the operation has ended (uring_cancel).
 * - Who polls the ring's descriptor is not woken by task work: a nested runtime changes over to a
 *   ring with COOP_TASKRUN (leave_deferred).
 * - After the thread's end nobody can enter: close just closes.  The task work that is pending then
 *   is never done but cancelled by the kernel, so that it touches no buffer.
 */
#include "port/port_clock.h"
#include "port/port_fd.h"
#include "port/port_memory.h"
#include "port/port_thread.h"
#include "runtime/uring.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#define SQ_ENTRIES 256u
#define CQ_ENTRIES 4096u

/* ---- open and close ---- */

static int move_ring(struct io_uring *ring)
{
    int fd = ring->ring_fd, err = port_fd_above_standard(&fd);

    ring->ring_fd = ring->enter_ring_fd = fd;
    if (err != 0)
        io_uring_queue_exit(ring);
    return err;
}

/* Flags from the best to the oldest; a kernel that does not know one says EINVAL. */
#define RING_BASIC (IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP)
static const unsigned ring_flags[] = {
    RING_BASIC | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL,
    RING_BASIC | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL, /* for any thread */
    RING_BASIC,
};

/* A sandbox may refuse the one system call and not the other.  This enters for nothing. */
static int try_ring(struct io_uring *ring)
{
    int err = -io_uring_get_events(ring);

    if (err == 0)
        err = move_ring(ring);
    else
        io_uring_queue_exit(ring);
    return err;
}

static int open_ring(struct io_uring *ring, bool deferred)
{
    int err = EINVAL;

    for (size_t i = deferred ? 0 : 1; err == EINVAL && i < sizeof(ring_flags) / sizeof(*ring_flags);
         i++) {
        struct io_uring_params params = {.flags = ring_flags[i], .cq_entries = CQ_ENTRIES};

        err = -io_uring_queue_init_params(SQ_ENTRIES, ring, &params);
    }
    if (err == 0)
        err = try_ring(ring);
    switch (err) {
    case 0:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return err;
    default:
        return ENOTSUP; /* no such system call, or not for this process */
    }
}

static int open_uring(async_runtime_t *runtime, bool single_thread, void **made)
{
    uring_state_t *state = port_zalloc(1, sizeof(*state));
    int err;

    if (state == NULL)
        return ENOMEM;
    state->runtime = runtime;
    state->nested_fd = -1;
    state->owner = port_thread_token();
    err = backend_epoll.open(runtime, single_thread, &state->set);
    if (err != 0)
        goto out_state;
    err = backend_epoll.get_fd(state->set, &state->set_fd);
    if (err == 0)
        err = open_ring(&state->ring, single_thread);
    if (err != 0)
        goto out_set;
    state->deferred = state->ring.flags & IORING_SETUP_DEFER_TASKRUN;
    *made = state;
    return 0;

out_set:
    backend_epoll.close(state->set, false);
out_state:
    port_free(state);
    return err;
}

static void close_uring(void *arg, bool inherited)
{
    uring_state_t *state = arg;

    /* No buffer is the program's again before the kernel has let go of it. */
    if (!inherited && (!state->deferred || state->owner == port_thread_token()))
        (void)uring_let_go(state);
    if (state->nested_fd >= 0)
        close(state->nested_fd);
    io_uring_queue_exit(&state->ring);
    backend_epoll.close(state->set, inherited);
    port_free(state->not_socket);
    port_free(state);
}

/* ---- Readiness: the set's. ---- */

static int add(void *arg, async_fd_t fd, uint32_t generation, uint32_t interest, bool replace)
{
    uring_state_t *state = arg;
    int err = backend_epoll.add(state->set, fd, generation, interest, replace);

    if (err == 0 && (size_t)fd < state->not_socket_size)
        state->not_socket[fd] = 0;
    return err;
}

static int modify(void *arg, async_fd_t fd, uint32_t generation, uint32_t interest)
{
    uring_state_t *state = arg;

    return backend_epoll.modify(state->set, fd, generation, interest);
}

static int remove_fd(void *arg, async_fd_t fd, uint32_t generation)
{
    uring_state_t *state = arg;

    return backend_epoll.remove(state->set, fd, generation);
}

static void wake(void *arg)
{
    uring_state_t *state = arg;

    backend_epoll.wake(state->set);
}

/* ---- wait ---- */

/* A poll request ends when the set is ready, also when it is so already: level-triggered by being
 * made anew before each sleep. */
static void poll_set(uring_state_t *state)
{
    struct io_uring_sqe *sqe;

    if (state->set_polled)
        return;
    sqe = uring_place(state);
    if (sqe == NULL)
        return;
    io_uring_prep_poll_add(sqe, state->set_fd, POLLIN);
    sqe->user_data = URING_TAG_SET;
    state->set_polled = true;
}

static int enter(uring_state_t *state, uint64_t timeout_ns)
{
    uint64_t end = PORT_DEADLINE_NEVER;
    int err;

    if (timeout_ns == 0) {
        err = io_uring_submit_and_get_events(&state->ring);
    } else if (timeout_ns == BACKEND_WAIT_FOREVER) {
        err = io_uring_submit_and_wait(&state->ring, 1);
    } else {
        uint64_t seconds = timeout_ns / PORT_NS_PER_S;
        struct __kernel_timespec ts = {.tv_sec = seconds > INT_MAX ? INT_MAX : (long long)seconds,
                                       .tv_nsec = (long long)(timeout_ns % PORT_NS_PER_S)};
        struct io_uring_cqe *cqe;

        if (io_uring_sq_ready(&state->ring) != 0)
            end = port_clock_after(port_clock_now(), timeout_ns);
        err = io_uring_submit_and_wait_timeout(&state->ring, &cqe, 1, &ts, NULL);
    }
    /* A signal handler ran: the kernel says how much was submitted instead. */
    if (err > 0 && timeout_ns != 0 && io_uring_cq_ready(&state->ring) == 0 &&
        (end == PORT_DEADLINE_NEVER || port_clock_now() < end))
        return EINTR;
    /* time over; or the completion queue is full, and is emptied next */
    if (err >= 0 || err == -ETIME || err == -EAGAIN || err == -EBUSY)
        return 0;
    return -err;
}

static int wait_uring(void *arg, int budget, uint64_t timeout_ns)
{
    uring_state_t *state = arg;
    int err;

    state->reported = false;
    uring_reap(state);
    if (state->in_flight == NULL && io_uring_sq_ready(&state->ring) == 0) {
        state->set_ready = false;
        return backend_epoll.wait(state->set, budget, state->reported ? 0 : timeout_ns);
    }
    poll_set(state);
    err = enter(state, state->reported || state->set_ready ? 0 : timeout_ns);
    uring_reap(state);
    uring_submit_if_nested(state);
    if (state->set_ready) {
        int set_err = backend_epoll.wait(state->set, budget, 0);

        state->set_ready = false;
        if (err == 0 || err == EINTR)
            err = set_err;
    }
    return state->reported ? 0 : err;
}

/* With operations under way: they begin anew in the other ring. */
static int leave_deferred(uring_state_t *state)
{
    struct io_uring ring;
    int err;

    if (!state->deferred)
        return 0;
    err = open_ring(&ring, false);
    if (err != 0)
        return err;
    err = uring_let_go(state);
    if (err != 0) {
        io_uring_queue_exit(&ring);
        return err;
    }
    io_uring_queue_exit(&state->ring);
    state->ring = ring;
    state->deferred = false;
    state->set_polled = false;
    if (uring_remake(state))
        wake(state);
    return 0;
}

/* For a foreign loop: readable when the set is ready or something has ended in the ring. */
static int get_fd(void *arg, async_fd_t *fd)
{
    uring_state_t *state = arg;
    struct epoll_event event = {.events = EPOLLIN};

    if (state->nested_fd < 0) {
        int err = leave_deferred(state), outer;

        if (err != 0)
            return err;
        outer = epoll_create1(EPOLL_CLOEXEC);
        err = port_fd_above_standard(&outer);
        if (err != 0)
            return err;
        if (epoll_ctl(outer, EPOLL_CTL_ADD, state->set_fd, &event) != 0 ||
            epoll_ctl(outer, EPOLL_CTL_ADD, state->ring.ring_fd, &event) != 0) {
            err = errno;
            close(outer);
            return err;
        }
        state->nested_fd = outer;
        uring_submit_if_nested(state);
    }
    *fd = state->nested_fd;
    return 0;
}

const backend_t backend_uring = {
    .name = "io_uring",
    .open = open_uring,
    .close = close_uring,
    .add = add,
    .modify = modify,
    .remove = remove_fd,
    .wait = wait_uring,
    .wake = wake,
    .get_fd = get_fd,
    .start = uring_start,
    .cancel = uring_cancel,
};

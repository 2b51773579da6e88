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
 * the thread that made it: hence COOP_TASKRUN, and not SINGLE_ISSUER with DEFER_TASKRUN, which bind
 * a ring to one thread for good.  The kernel cancels what a thread has requested when that thread
 * ends; the request is made again then.
 *
 * Operations are receives and sends on sockets.  On anything else (the first answer is ENOTSOCK)
 * the ring polls and the transfer is runtime_transfer's, which raises no SIGPIPE and never blocks.
 */
#include "port/port_clock.h"
#include "port/port_fd.h"
#include "port/port_memory.h"
#include "runtime/backend.h"
#include "runtime/runtime_transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define SQ_ENTRIES 256u
#define CQ_ENTRIES 4096u
#define LONGEST_TRANSFER 0x7ffff000u
#define TRANSFERS_PER_TURN 16

/* user_data of what is no operation; operations are pointers. */
#define TAG_SET 1u    /* the poll request for the epoll set */
#define TAG_CANCEL 2u /* a cancellation's own end */

/* The backend's part of an operation. */
typedef struct uring_operation {
    backend_operation_t *next; /* in flight */
    backend_operation_t **link;
    bool polling; /* the request in the ring is a poll, the transfer comes after it */
    bool cancelled;
} uring_operation_t;

_Static_assert(sizeof(uring_operation_t) <= sizeof(((backend_operation_t *)0)->backend),
               "the operation has too little room for the backend");

/* Loop thread only. */
typedef struct uring_state {
    async_runtime_t *runtime;
    void *set; /* backend_epoll's state */
    struct io_uring ring;
    backend_operation_t *in_flight;
    bool set_polled; /* a poll request for the set is in the ring */
    bool set_ready;  /* it has ended: the set is to be asked */
    bool reported;   /* an operation was reported: the present wait must not sleep */
    bool closing;
    int set_fd;
    int nested_fd;       /* an epoll set of the ring and the inner set, -1: not asked for */
    uint8_t *not_socket; /* by descriptor: an operation has found out */
    size_t not_socket_size;
} uring_state_t;

static uring_operation_t *own(backend_operation_t *op)
{
    return (uring_operation_t *)&op->backend;
}

/* ---- open and close ---- */

static int move_ring(struct io_uring *ring)
{
    int fd = ring->ring_fd, err = port_fd_above_standard(&fd);

    ring->ring_fd = ring->enter_ring_fd = fd;
    if (err != 0)
        io_uring_queue_exit(ring);
    return err;
}

static int open_ring(struct io_uring *ring)
{
    const unsigned basic = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    const unsigned flags[] = {basic | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL, basic};
    int err = EINVAL;

    /* a kernel that does not know a flag says EINVAL */
    for (size_t i = 0; err == EINVAL && i < sizeof(flags) / sizeof(flags[0]); i++) {
        struct io_uring_params params = {.flags = flags[i], .cq_entries = CQ_ENTRIES};

        err = -io_uring_queue_init_params(SQ_ENTRIES, ring, &params);
    }
    switch (err) {
    case 0:
        return move_ring(ring);
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return err;
    default:
        return ENOTSUP; /* no such system call, or not for this process */
    }
}

static int open_uring(async_runtime_t *runtime, void **made)
{
    uring_state_t *state = port_zalloc(1, sizeof(*state));
    int err;

    if (state == NULL)
        return ENOMEM;
    state->runtime = runtime;
    state->nested_fd = -1;
    err = backend_epoll.open(runtime, &state->set);
    if (err != 0)
        goto out_state;
    err = backend_epoll.get_fd(state->set, &state->set_fd);
    if (err == 0)
        err = open_ring(&state->ring);
    if (err != 0)
        goto out_set;
    *made = state;
    return 0;

out_set:
    backend_epoll.close(state->set, false);
out_state:
    port_free(state);
    return err;
}

static void reap(uring_state_t *state);

/* No buffer is the program's again before the kernel has let go of it. */
static void end_all(uring_state_t *state)
{
    state->closing = true;
    for (backend_operation_t *op = state->in_flight; op != NULL; op = own(op)->next)
        backend_uring.cancel(state, op);
    while (state->in_flight != NULL) {
        int err = io_uring_submit_and_wait(&state->ring, 1);

        if (err < 0 && err != -EINTR && err != -EAGAIN && err != -EBUSY)
            break;
        reap(state);
    }
}

static void close_uring(void *arg, bool inherited)
{
    uring_state_t *state = arg;

    if (!inherited)
        end_all(state);
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

/* ---- Operations. ---- */

/* A place in the submission queue; what is in it goes to the kernel when it is full. */
static struct io_uring_sqe *place(uring_state_t *state)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&state->ring);

    for (int turn = 0; sqe == NULL && turn < 100; turn++) {
        io_uring_submit(&state->ring);
        sqe = io_uring_get_sqe(&state->ring);
    }
    return sqe;
}

/* A foreign loop sleeps on the ring, and does not submit for us. */
static void submit_if_nested(uring_state_t *state)
{
    if (state->nested_fd >= 0)
        io_uring_submit(&state->ring);
}

static bool is_not_socket(const uring_state_t *state, async_fd_t fd)
{
    return (size_t)fd < state->not_socket_size && state->not_socket[fd] != 0;
}

/* Out of memory, the next operation finds it out again. */
static void remember_not_socket(uring_state_t *state, async_fd_t fd)
{
    if ((size_t)fd >= state->not_socket_size) {
        size_t size = state->not_socket_size != 0 ? state->not_socket_size : 64;
        uint8_t *grown;

        while (size <= (size_t)fd)
            size *= 2;
        grown = port_realloc(state->not_socket, size);
        if (grown == NULL)
            return;
        memset(grown + state->not_socket_size, 0, size - state->not_socket_size);
        state->not_socket = grown;
        state->not_socket_size = size;
    }
    state->not_socket[fd] = 1;
}

/* Whether the open file has no such direction: it would never become ready. */
static bool is_wrong_direction(const backend_operation_t *op)
{
    int flags = fcntl(op->fd, F_GETFL);

    return flags >= 0 && (flags & O_ACCMODE) == (op->is_write ? O_RDONLY : O_WRONLY);
}

/* Puts the operation's next request into the ring: a transfer or, polling, a poll. */
static int request(uring_state_t *state, backend_operation_t *op, bool polling)
{
    struct io_uring_sqe *sqe = place(state);
    size_t left = op->length - op->transferred;

    if (sqe == NULL)
        return ENOMEM;
    if (left > LONGEST_TRANSFER)
        left = LONGEST_TRANSFER;
    own(op)->polling = polling;
    if (polling && is_wrong_direction(op))
        io_uring_prep_rw(op->is_write ? IORING_OP_WRITE : IORING_OP_READ, sqe, op->fd, op->buffer,
                         (unsigned)left, 0); /* fails with EBADF */
    else if (polling)
        io_uring_prep_poll_add(sqe, op->fd, op->is_write ? POLLOUT : POLLIN);
    else if (op->is_write)
        io_uring_prep_send(sqe, op->fd, op->buffer + op->transferred, left, MSG_NOSIGNAL);
    else
        io_uring_prep_recv(sqe, op->fd, op->buffer + op->transferred, left, 0);
    io_uring_sqe_set_data(sqe, op);
    submit_if_nested(state);
    return 0;
}

static int start(void *arg, backend_operation_t *op)
{
    uring_state_t *state = arg;
    uring_operation_t *mine = own(op);
    int err;

    /* the kernel would tell at the end only, and the contract says at once */
    if (fcntl(op->fd, F_GETFD) < 0)
        return EBADF;
    memset(mine, 0, sizeof(*mine));
    err = request(state, op, is_not_socket(state, op->fd));
    if (err != 0)
        return err;
    mine->next = state->in_flight;
    mine->link = &state->in_flight;
    if (mine->next != NULL)
        own(mine->next)->link = &mine->next;
    state->in_flight = op;
    return 0;
}

/* At once: the caller is going to close the descriptor, and the request keeps its file open. */
static void cancel(void *arg, backend_operation_t *op)
{
    uring_state_t *state = arg;
    struct io_uring_sqe *sqe = place(state);

    own(op)->cancelled = true;
    if (sqe == NULL)
        return;
    io_uring_prep_cancel(sqe, op, 0);
    sqe->user_data = TAG_CANCEL;
    io_uring_submit(&state->ring);
}

static void end(uring_state_t *state, backend_operation_t *op, int error, size_t count)
{
    uring_operation_t *mine = own(op);

    *mine->link = mine->next;
    if (mine->next != NULL)
        own(mine->next)->link = mine->link;
    if (state->closing)
        return;
    state->reported = true;
    backend_report_operation(state->runtime, op, error, count);
}

/* The descriptor is ready: transfers what it takes. */
static void transfer(uring_state_t *state, backend_operation_t *op)
{
    bool not_socket = true;
    size_t total = 0;
    int err = 0;

    for (int turn = 0; err == 0 && turn < TRANSFERS_PER_TURN; turn++) {
        unsigned char *at = op->buffer + op->transferred + total;
        size_t left = op->length - op->transferred - total, count = 0;

        if (left == 0)
            break;
        if (op->is_write)
            err = runtime_transfer_write(op->fd, &not_socket, at, left, &count);
        else
            err = runtime_transfer_read(op->fd, &not_socket, at, left, &count);
        total += count;
        if (!op->is_write)
            break;
    }
    if (err != EAGAIN) {
        end(state, op, err, total);
    } else if (total != 0) {
        end(state, op, 0, total);
    } else {
        err = request(state, op, true);
        if (err != 0)
            end(state, op, err, 0);
    }
}

static void request_ended(uring_state_t *state, backend_operation_t *op, int result)
{
    uring_operation_t *mine = own(op);
    int err = 0;

    if (mine->cancelled || state->closing) {
        /* bytes that were transferred all the same are counted */
        end(state, op, result < 0 || mine->polling ? ECANCELED : 0,
            result > 0 && !mine->polling ? (size_t)result : 0);
        return;
    }
    if (mine->polling && result >= 0) {
        transfer(state, op);
        return;
    }
    if (result >= 0) {
        end(state, op, 0, (size_t)result);
        return;
    }
    if (result == -ENOTSOCK) {
        remember_not_socket(state, op->fd);
        err = request(state, op, true);
    } else if (result == -EINTR || result == -EAGAIN || result == -ECANCELED) {
        /* ECANCELED, and not by us: the thread that made the request has ended, which it may */
        err = request(state, op, mine->polling);
    } else {
        err = -result;
    }
    if (err != 0)
        end(state, op, err, 0);
}

/* Takes what has ended; no system call. */
static void reap(uring_state_t *state)
{
    struct io_uring_cqe *cqe;

    /* one at a time: a report may start the next operation, and that may submit */
    while (io_uring_peek_cqe(&state->ring, &cqe) == 0 && cqe != NULL) {
        uint64_t tag = cqe->user_data;
        int result = cqe->res;

        io_uring_cqe_seen(&state->ring, cqe);
        if (tag == TAG_SET) {
            state->set_polled = false;
            state->set_ready = true;
        } else if (tag != TAG_CANCEL) {
            request_ended(state, (backend_operation_t *)(uintptr_t)tag, result);
        }
    }
}

/* ---- wait ---- */

/* A poll request ends when the set is ready, also when it is so already: level-triggered by being
 * made anew before each sleep. */
static void poll_set(uring_state_t *state)
{
    struct io_uring_sqe *sqe;

    if (state->set_polled)
        return;
    sqe = place(state);
    if (sqe == NULL)
        return;
    io_uring_prep_poll_add(sqe, state->set_fd, POLLIN);
    sqe->user_data = TAG_SET;
    state->set_polled = true;
}

static int enter(uring_state_t *state, uint64_t timeout_ns)
{
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

        err = io_uring_submit_and_wait_timeout(&state->ring, &cqe, 1, &ts, NULL);
    }
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
    reap(state);
    if (state->in_flight == NULL && io_uring_sq_ready(&state->ring) == 0) {
        state->set_ready = false;
        return backend_epoll.wait(state->set, budget, state->reported ? 0 : timeout_ns);
    }
    poll_set(state);
    err = enter(state, state->reported || state->set_ready ? 0 : timeout_ns);
    reap(state);
    submit_if_nested(state);
    if (state->set_ready) {
        int set_err = backend_epoll.wait(state->set, budget, 0);

        state->set_ready = false;
        if (err == 0 || err == EINTR)
            err = set_err;
    }
    return state->reported ? 0 : err;
}

/* For a foreign loop: readable when the set is ready or something has ended in the ring. */
static int get_fd(void *arg, async_fd_t *fd)
{
    uring_state_t *state = arg;
    struct epoll_event event = {.events = EPOLLIN};

    if (state->nested_fd < 0) {
        int outer = epoll_create1(EPOLL_CLOEXEC), err = port_fd_above_standard(&outer);

        if (err != 0)
            return err;
        if (epoll_ctl(outer, EPOLL_CTL_ADD, state->set_fd, &event) != 0 ||
            epoll_ctl(outer, EPOLL_CTL_ADD, state->ring.ring_fd, &event) != 0) {
            err = errno;
            close(outer);
            return err;
        }
        state->nested_fd = outer;
        submit_if_nested(state);
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
    .start = start,
    .cancel = cancel,
};

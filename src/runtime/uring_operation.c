/* SPDX-License-Identifier: MIT */
/*
 * uring_operation.c - posted operations as requests of the ring
 *
 * Operations are receives and sends on sockets.  On anything else (the first answer is ENOTSOCK)
 * the ring polls and the transfer is runtime_transfer's, which raises no SIGPIPE and never blocks.
 *
 * An operation in flight has one request in the ring, or is collected: its end was taken out of the
 * ring outside of wait, and the next wait reports it.
 */
#include "port/port_memory.h"
#include "runtime/runtime_transfer.h"
#include "runtime/uring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define LONGEST_TRANSFER 0x7ffff000u
#define TRANSFERS_PER_TURN 16
/* Calls in a row that bring nothing before a cancelled operation is left to end by itself. */
#define IDLE_TURNS 8

static uring_operation_t *own(backend_operation_t *op)
{
    return (uring_operation_t *)&op->backend;
}

/* ---- What has ended. ---- */

/* The next operation whose request has ended, or NULL; no system call. */
static backend_operation_t *next_end(uring_state_t *state, int *result)
{
    struct io_uring_cqe *cqe;

    while (io_uring_peek_cqe(&state->ring, &cqe) == 0 && cqe != NULL) {
        uint64_t tag = cqe->user_data;

        *result = cqe->res;
        io_uring_cqe_seen(&state->ring, cqe);
        if (tag == URING_TAG_SET) {
            state->set_polled = false;
            state->set_ready = true;
        } else if (tag != URING_TAG_CANCEL) {
            state->requests--;
            return (backend_operation_t *)(uintptr_t)tag;
        }
    }
    return NULL;
}

/* Takes what has ended out of the ring, to be reported by the next wait.  Returns how much. */
static size_t collect(uring_state_t *state)
{
    backend_operation_t *op;
    size_t count = 0;
    int result;

    for (; (op = next_end(state, &result)) != NULL; count++) {
        uring_operation_t *mine = own(op);

        mine->result = result;
        mine->collected = true;
        mine->collected_next = NULL;
        if (state->collected == NULL)
            state->collected_end = &state->collected;
        *state->collected_end = op;
        state->collected_end = &mine->collected_next;
    }
    return count;
}

static backend_operation_t *take_collected(uring_state_t *state, int *result)
{
    backend_operation_t *op = state->collected;

    if (op == NULL)
        return NULL;
    state->collected = own(op)->collected_next;
    own(op)->collected = false;
    *result = own(op)->result;
    return op;
}

/* ---- Requests. ---- */

struct io_uring_sqe *uring_place(uring_state_t *state)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&state->ring);

    for (int turn = 0; sqe == NULL && turn < 100; turn++) {
        io_uring_submit(&state->ring);
        sqe = io_uring_get_sqe(&state->ring);
    }
    return sqe;
}

void uring_submit_if_nested(uring_state_t *state)
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
    struct io_uring_sqe *sqe = uring_place(state);
    size_t left = op->length - op->transferred;

    if (sqe == NULL)
        return ENOMEM;
    if (left > LONGEST_TRANSFER)
        left = LONGEST_TRANSFER;
    own(op)->polling = polling;
    own(op)->asked = false;
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
    state->requests++;
    uring_submit_if_nested(state);
    return 0;
}

int uring_start(void *arg, backend_operation_t *op)
{
    uring_state_t *state = arg;
    uring_operation_t *mine = own(op);
    int err;

    /* The contract says at once, the kernel would tell at the end only; which is soon enough behind
     * another operation.  Of the calls that tell whether a number is open this does the least. */
    if (!state->reaping && dup2(op->fd, op->fd) < 0 && errno == EBADF)
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

/* ---- Cancelling. ---- */

/* Returns whether the request is going to end. */
static bool ask(uring_state_t *state, backend_operation_t *op)
{
    uring_operation_t *mine = own(op);
    struct io_uring_sqe *sqe;

    if (mine->asked || mine->collected)
        return true;
    sqe = uring_place(state);
    if (sqe == NULL)
        return false;
    io_uring_prep_cancel(sqe, op, 0);
    sqe->user_data = URING_TAG_CANCEL;
    mine->asked = true;
    return true;
}

/* At once: the caller is going to close the descriptor, and the request keeps its file open. */
void uring_cancel(void *arg, backend_operation_t *op)
{
    uring_state_t *state = arg;

    own(op)->cancelled = true;
    if (own(op)->collected || !ask(state, op))
        return;
    if (!state->deferred) {
        io_uring_submit(&state->ring);
        return;
    }
    /* The request ends in task work, which the kernel does for us when we ask for events only, the
     * oldest first and not all of it in one call. */
    for (int idle = 0; idle < IDLE_TURNS && !own(op)->collected; idle++) {
        io_uring_submit_and_get_events(&state->ring);
        if (collect(state) != 0)
            idle = 0;
    }
}

static bool ask_all(uring_state_t *state)
{
    bool asked = true;

    for (backend_operation_t *op = state->in_flight; op != NULL; op = own(op)->next)
        asked &= ask(state, op);
    return asked;
}

int uring_let_go(uring_state_t *state)
{
    bool asked = false;

    while (state->requests != 0) {
        int err;

        asked = asked || ask_all(state);
        err = io_uring_submit_and_wait(&state->ring, 1);
        if (err < 0 && err != -EINTR && err != -EAGAIN && err != -EBUSY)
            return -err;
        (void)collect(state);
    }
    return 0;
}

/* ---- Ends. ---- */

static void end(uring_state_t *state, backend_operation_t *op, int error, size_t count)
{
    uring_operation_t *mine = own(op);

    *mine->link = mine->next;
    if (mine->next != NULL)
        own(mine->next)->link = mine->link;
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

static bool is_to_be_made_again(const backend_operation_t *op, int result)
{
    const uring_operation_t *mine = (const uring_operation_t *)&op->backend;

    /* ECANCELED, and not by the runtime: the thread that made the request has ended, which it may,
     * or it was taken out of another ring */
    return !mine->cancelled && (result == -EINTR || result == -EAGAIN || result == -ECANCELED);
}

/* The number may be another file's by now, if the program has closed it without remove. */
static int make_again(uring_state_t *state, backend_operation_t *op)
{
    int err = backend_epoll.add(state->set, op->fd, op->generation, 0, true);

    if (err == 0)
        (void)backend_epoll.remove(state->set, op->fd, op->generation);
    return err == EEXIST ? request(state, op, own(op)->polling) : EBADF;
}

static void request_ended(uring_state_t *state, backend_operation_t *op, int result)
{
    uring_operation_t *mine = own(op);
    int err = 0;

    if (mine->cancelled) {
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
    } else if (is_to_be_made_again(op, result)) {
        err = make_again(state, op);
    } else {
        err = -result;
    }
    if (err != 0)
        end(state, op, err, 0);
}

void uring_reap(uring_state_t *state)
{
    state->reaping = true;
    /* one at a time: a report may start the next operation, and that may submit */
    for (;;) {
        int result;
        backend_operation_t *op = take_collected(state, &result);

        if (op == NULL)
            op = next_end(state, &result);
        if (op == NULL)
            break;
        request_ended(state, op, result);
    }
    state->reaping = false;
}

bool uring_remake(uring_state_t *state)
{
    backend_operation_t **at = &state->collected;

    state->collected_end = at;
    while (*at != NULL) {
        backend_operation_t *op = *at;
        uring_operation_t *mine = own(op);

        if (is_to_be_made_again(op, mine->result)) {
            int err = make_again(state, op);

            mine->result = -err;
            mine->collected = err != 0;
        }
        if (mine->collected) {
            at = &mine->collected_next;
            state->collected_end = at;
        } else {
            *at = mine->collected_next;
        }
    }
    return state->collected != NULL;
}

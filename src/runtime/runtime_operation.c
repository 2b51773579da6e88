/* SPDX-License-Identifier: MIT */
#include "runtime/runtime_operation.h"
#include "port/port_error.h"
#include "port/port_memory.h"
#include "runtime/runtime.h"
#include "runtime/runtime_transfer.h"

#define SPARE_MAX 256u
/* Transfers for one descriptor and direction before the others get their turn. */
#define TRANSFERS_PER_TURN 16

static const uint32_t direction_bit[2] = {ASYNC_EVENT_READ, ASYNC_EVENT_WRITE};

static backend_operation_t *operation_make(runtime_operations_t *ops)
{
    backend_operation_t *op = ops->spare;

    if (op == NULL)
        return port_zalloc(1, sizeof(*op));
    ops->spare = op->next;
    ops->spare_count--;
    *op = (backend_operation_t){.next = NULL};
    return op;
}

static void operation_free(runtime_operations_t *ops, backend_operation_t *op)
{
    if (ops->spare_count >= SPARE_MAX) {
        port_free(op);
        return;
    }
    op->next = ops->spare;
    ops->spare = op;
    ops->spare_count++;
}

static void finish(async_runtime_t *runtime, backend_operation_t *op, int error, void *context)
{
    runtime_operations_t *ops = &runtime->operations;

    /* A peer that closes without reading all resets the connection; which of the two a write hears
     * of depends on the system, and on whether it was waiting then. */
    op->error = op->is_write && error == ECONNRESET ? EPIPE : error;
    op->context = context;
    op->next = NULL;
    if (ops->finished == NULL)
        ops->finished = op;
    else
        ops->finished_last->next = op;
    ops->finished_last = op;
    ops->finished_count++;
}

static void append(operation_queues_t *queues, int direction, backend_operation_t *op)
{
    if (queues->first[direction] == NULL)
        queues->first[direction] = op;
    else
        queues->last[direction]->next = op;
    queues->last[direction] = op;
}

static backend_operation_t *pop(operation_queues_t *queues, int direction)
{
    backend_operation_t *op = queues->first[direction];

    queues->first[direction] = op->next;
    return op;
}

/* ---- On readiness. ---- */

/* One transfer.  Returns 0: some bytes, or the end; EAGAIN; or how the operation ends. */
static int transfer(registration_t *registration, backend_operation_t *op)
{
    bool not_socket = registration->flags & REGISTRATION_NOT_SOCKET;
    unsigned char *at = op->buffer != NULL ? op->buffer + op->transferred : NULL;
    size_t left = op->length - op->transferred, count = 0;
    int err;

    if (left == 0)
        return 0;
    if (op->is_write)
        err = runtime_transfer_write(op->fd, &not_socket, at, left, &count);
    else
        err = runtime_transfer_read(op->fd, &not_socket, at, left, &count);
    if (not_socket)
        registration->flags |= REGISTRATION_NOT_SOCKET;
    if (err != 0)
        return err;
    op->transferred += count;
    if (!op->is_write) {
        op->end_of_file = count == 0 && runtime_transfer_zero_is_end(op->fd);
        if (count < left && !op->end_of_file && !(registration->flags & REGISTRATION_ALWAYS))
            registration->flags |= REGISTRATION_DRAINED;
    }
    return 0;
}

static bool is_complete(const backend_operation_t *op)
{
    return !op->is_write || op->transferred == op->length;
}

/*
 * Does what can be done of one queue now.  Returns whether anything has moved.
 *
 * shut: nothing will come any more.  A stream says so itself; a datagram socket whose reading half
 * the program has shut has nothing, and would be called readable for ever.
 */
static bool run_queue(async_runtime_t *runtime, registration_t *registration, int direction,
                      bool shut)
{
    operation_queues_t *queues = registration->queues;
    bool moved = false;

    for (int turn = 0; turn < TRANSFERS_PER_TURN && queues->first[direction] != NULL; turn++) {
        backend_operation_t *op = queues->first[direction];
        int err = transfer(registration, op);

        if (err == EAGAIN && shut) {
            op->end_of_file = true;
            err = 0;
        }
        if (err == EAGAIN)
            break;
        moved = true;
        if (err != 0 || is_complete(op)) {
            pop(queues, direction);
            finish(runtime, op, err, registration->context);
        }
        if (direction == OPERATION_READ && registration->flags & REGISTRATION_DRAINED)
            break;
    }
    if (queues->first[direction] == NULL)
        queues->waiting &= ~direction_bit[direction];
    return moved;
}

bool runtime_operations_ready(async_runtime_t *runtime, registration_t *registration,
                              uint32_t ready)
{
    const uint32_t trouble = ASYNC_EVENT_CLOSE | ASYNC_EVENT_ERROR;
    uint32_t waiting = registration->queues->waiting;
    bool moved = false;

    if (ready & (ASYNC_EVENT_READ | BACKEND_PEER_SHUT | trouble)) {
        registration->flags &= (uint8_t)~REGISTRATION_DRAINED;
        if (waiting & ASYNC_EVENT_READ)
            moved |= run_queue(runtime, registration, OPERATION_READ, ready & BACKEND_PEER_SHUT);
    }
    if (waiting & ASYNC_EVENT_WRITE && ready & (ASYNC_EVENT_WRITE | trouble))
        moved |= run_queue(runtime, registration, OPERATION_WRITE, false);
    return moved;
}

/* Tries op at once when it is the first, else or if it cannot be ended queues it. */
static int post_emulated(async_runtime_t *runtime, registration_t *registration, int direction,
                         backend_operation_t *op)
{
    operation_queues_t *queues = registration->queues;
    bool wait = queues->first[direction] != NULL ||
                (direction == OPERATION_READ && registration->flags & REGISTRATION_DRAINED);
    int err;

    for (int turn = 0; !wait && turn < TRANSFERS_PER_TURN; turn++) {
        err = transfer(registration, op);
        if (err == EAGAIN)
            break;
        if (err == EBADF && !runtime_fd_is_open(op->fd)) {
            async_fd_t fd = op->fd;

            (void)runtime->backend->remove(runtime->backend_state, fd, registration->generation);
            runtime_registration_drop(runtime, fd, registration);
            return err;
        }
        if (err != 0 || is_complete(op)) {
            finish(runtime, op, err, registration->context);
            return 0;
        }
    }
    if (queues->first[direction] == NULL) {
        queues->waiting |= direction_bit[direction];
        err = runtime_interest_update(runtime, op->fd, registration);
        if (err != 0) {
            if (registration->flags & REGISTRATION_USED)
                queues->waiting &= ~direction_bit[direction];
            if (op->transferred == 0)
                return err;
            finish(runtime, op, err, registration->context);
            return 0;
        }
    }
    append(queues, direction, op);
    return 0;
}

/* ---- Native. ---- */

static int start(async_runtime_t *runtime, backend_operation_t *op)
{
    int err = runtime->backend->start(runtime->backend_state, op);

    op->started = err == 0;
    return err;
}

static int post_native(async_runtime_t *runtime, registration_t *registration, int direction,
                       backend_operation_t *op)
{
    operation_queues_t *queues = registration->queues;
    int err;

    if (queues->first[direction] == NULL) {
        if (op->length == 0) {
            finish(runtime, op, 0, registration->context);
            return 0;
        }
        err = start(runtime, op);
        if (err != 0)
            return err;
    }
    append(queues, direction, op);
    return 0;
}

static void start_next(async_runtime_t *runtime, registration_t *registration, int direction)
{
    operation_queues_t *queues = registration->queues;

    while (queues->first[direction] != NULL) {
        backend_operation_t *op = queues->first[direction];
        int err = 0;

        if (op->length != 0) {
            err = start(runtime, op);
            if (err == 0)
                return;
        }
        pop(queues, direction);
        finish(runtime, op, err, registration->context);
    }
}

/* Ends op, and those that were queued behind it, as cancelled. */
static void finish_cancelled(async_runtime_t *runtime, backend_operation_t *op)
{
    while (op != NULL) {
        backend_operation_t *next = op->next;

        finish(runtime, op, ECANCELED, op->context);
        op = next;
    }
}

/* The cancellation may have come too late: what was read, or wholly written, is not lost. */
static void finish_orphan(async_runtime_t *runtime, backend_operation_t *op, int error,
                          size_t count)
{
    backend_operation_t *behind = op->next;
    bool done = op->is_write ? op->transferred == op->length : error == 0 && count != 0;

    finish(runtime, op, done ? 0 : ECANCELED, op->context);
    finish_cancelled(runtime, behind);
}

void backend_report_operation(async_runtime_t *runtime, backend_operation_t *op, int error,
                              size_t count)
{
    int direction = op->is_write ? OPERATION_WRITE : OPERATION_READ;
    registration_t *registration;

    op->started = false;
    op->transferred += count;
    if (op->cancelled) {
        *op->orphan_link = op->orphan_next;
        if (op->orphan_next != NULL)
            op->orphan_next->orphan_link = op->orphan_link;
        finish_orphan(runtime, op, error, count);
        return;
    }
    registration = runtime_table_find(&runtime->table, op->fd);
    if (registration == NULL)
        return; /* cannot be: an operation whose registration has gone is cancelled */
    if (error == 0 && op->is_write && op->transferred < op->length) {
        error = count != 0 ? start(runtime, op) : EIO;
        if (error == 0)
            return;
    }
    op->end_of_file =
        !op->is_write && error == 0 && count == 0 && runtime_transfer_zero_is_end(op->fd);
    pop(registration->queues, direction);
    finish(runtime, op, error, registration->context);
    start_next(runtime, registration, direction);
}

/* ---- Both. ---- */

void runtime_operations_cancel(async_runtime_t *runtime, registration_t *registration)
{
    operation_queues_t *queues = registration->queues;
    runtime_operations_t *ops = &runtime->operations;

    if (queues == NULL)
        return;
    for (int direction = 0; direction < 2; direction++) {
        backend_operation_t *first = queues->first[direction];

        for (backend_operation_t *op = first; op != NULL; op = op->next) {
            op->context = registration->context;
            op->cancelled = true;
        }
        if (first != NULL && first->started) {
            /* Its buffer is the system's until the end is reported; those behind it follow then. */
            first->orphan_next = ops->orphans;
            first->orphan_link = &ops->orphans;
            if (ops->orphans != NULL)
                ops->orphans->orphan_link = &first->orphan_next;
            ops->orphans = first;
            runtime->backend->cancel(runtime->backend_state, first);
        } else {
            finish_cancelled(runtime, first);
        }
    }
    port_free(queues);
    registration->queues = NULL;
    if (ops->finished != NULL)
        runtime_notify(runtime);
}

static int post(async_runtime_t *runtime, async_fd_t fd, void *buffer, size_t length, bool is_write)
{
    registration_t *registration = runtime_table_find(&runtime->table, fd);
    int direction = is_write ? OPERATION_WRITE : OPERATION_READ, err;
    backend_operation_t *op;

    if (registration == NULL)
        return runtime_unregistered(fd);
    if (registration->queues == NULL) {
        registration->queues = port_zalloc(1, sizeof(operation_queues_t));
        if (registration->queues == NULL)
            return ENOMEM;
    }
    op = operation_make(&runtime->operations);
    if (op == NULL)
        return ENOMEM;
    op->buffer = buffer;
    op->length = length;
    op->fd = fd;
    op->generation = registration->generation;
    op->is_write = is_write;
    if (runtime->backend->start != NULL && !(registration->flags & REGISTRATION_ALWAYS))
        err = post_native(runtime, registration, direction, op);
    else
        err = post_emulated(runtime, registration, direction, op);
    if (err != 0)
        operation_free(&runtime->operations, op);
    else if (runtime->operations.finished != NULL)
        runtime_notify(runtime); /* nested: the foreign loop sleeps */
    return err;
}

int async_runtime_post_read(async_runtime_t *runtime, async_fd_t fd, void *buffer, size_t len)
{
    int saved = errno, err = runtime_check_thread(runtime);

    if (err == 0 && (buffer == NULL || len == 0))
        err = EINVAL;
    if (err == 0 && !runtime_fd_possible(fd))
        err = EBADF;
    if (err == 0)
        err = post(runtime, fd, buffer, len, false);
    return port_result(err, saved);
}

int async_runtime_post_write(async_runtime_t *runtime, async_fd_t fd, const void *buffer,
                             size_t len)
{
    int saved = errno, err = runtime_check_thread(runtime);

    if (err == 0 && buffer == NULL && len != 0)
        err = EINVAL;
    if (err == 0 && !runtime_fd_possible(fd))
        err = EBADF;
    if (err == 0) /* the bytes are only read */
        err = post(runtime, fd, (void *)(uintptr_t)buffer, len, true);
    return port_result(err, saved);
}

int runtime_operations_take(async_runtime_t *runtime, async_event_t *events, int max)
{
    runtime_operations_t *ops = &runtime->operations;
    int n = 0;

    while (n < max && ops->finished != NULL) {
        backend_operation_t *op = ops->finished;
        uint32_t type = op->is_write ? ASYNC_EVENT_WRITE : ASYNC_EVENT_READ;

        ops->finished = op->next;
        ops->finished_count--;
        events[n++] = (async_event_t){.event_type = ASYNC_EVENT_COMPLETION | type |
                                                    (op->end_of_file ? ASYNC_EVENT_CLOSE : 0),
                                      .error = op->error,
                                      .fd = op->fd,
                                      .context = op->context,
                                      .buffer = op->buffer,
                                      .bytes_transferred = op->transferred};
        operation_free(ops, op);
    }
    runtime->io_events += (uint64_t)n;
    return n;
}

static void free_list(backend_operation_t *op)
{
    while (op != NULL) {
        backend_operation_t *next = op->next;

        port_free(op);
        op = next;
    }
}

void runtime_operations_free_queues(registration_t *registration)
{
    operation_queues_t *queues = registration->queues;

    if (queues == NULL)
        return;
    free_list(queues->first[OPERATION_READ]);
    free_list(queues->first[OPERATION_WRITE]);
    port_free(queues);
    registration->queues = NULL;
}

void runtime_operations_close(runtime_operations_t *ops)
{
    free_list(ops->finished);
    free_list(ops->spare);
    while (ops->orphans != NULL) {
        backend_operation_t *op = ops->orphans;

        ops->orphans = op->orphan_next;
        free_list(op);
    }
    *ops = (runtime_operations_t){.finished = NULL};
}

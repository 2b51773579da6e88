/* SPDX-License-Identifier: MIT */
/* The calls of fuzz_runtime about descriptors: registrations, their bytes, operations. */
#include "fuzz_runtime.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SMALL 48u
#define LARGE 20000u

/* ---- descriptors */

end_t *fuzz_draw_end(test_t *t, unsigned *number)
{
    *number = fuzz_below(t->input, ENDS);
    return &t->model.ends[*number];
}

static bool is_stale(const test_t *t, const end_t *end)
{
    return t->model.stale[end->fd];
}

void fuzz_open_channel(test_t *t, unsigned first)
{
    bool is_pipe = fuzz_below(t->input, 3) == 0;
    int fds[2], small = 1;

    if (is_pipe ? pipe(fds) : socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
        abort();
    for (unsigned i = 0; i < 2; i++) {
        end_t *end = &t->model.ends[first + i];

        FUZZ_CHECK(fds[i] < STALE_MAX, "descriptors are not closed, there is %d", fds[i]);
        memset(end, 0, sizeof(*end));
        end->fd = fds[i];
        end->is_socket = !is_pipe;
        end->can_read = !is_pipe || i == 0;
        end->can_write = !is_pipe || i == 1;
        /* a large write must meet a full buffer */
        if (!is_pipe)
            setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
        if (is_pipe || fuzz_below(t->input, 2) == 0)
            fcntl(fds[i], F_SETFL, O_NONBLOCK);
    }
#if defined(F_SETPIPE_SZ)
    if (is_pipe)
        fcntl(fds[1], F_SETPIPE_SZ, 4096);
#endif
    fuzz_trace("ends %u and %u are %ss %d and %d", first, first + 1, is_pipe ? "pipe" : "socket",
               fds[0], fds[1]);
}

static void remove_end(test_t *t, unsigned number)
{
    end_t *end = &t->model.ends[number];

    if (end->fd == -1 || is_stale(t, end))
        return;
    fuzz_trace("remove end %u", number);
    RESULT_IS(async_runtime_remove(t->model.runtime, end->fd), end->registered ? 0 : ENOENT);
    if (end->registered)
        model_cancel_operations(&t->model, number);
    end->registered = false;
}

void fuzz_remove(test_t *t)
{
    unsigned number;

    fuzz_draw_end(t, &number);
    remove_end(t, number);
}

/* Cancelled operations may still have the file. */
static void close_end(test_t *t, unsigned number, bool removes)
{
    end_t *end = &t->model.ends[number];

    if (end->fd == -1)
        return;
    if (end->registered && (removes || model_pending(&t->model, number, false) != 0))
        remove_end(t, number);
    for (unsigned turn = 0; model_pending(&t->model, number, false) != 0; turn++) {
        FUZZ_CHECK(turn < 100, "a cancelled operation does not end");
        model_wait(&t->model, ROOM, turn < 3 ? 0 : 10);
    }
    fuzz_trace("close end %u%s", number, end->registered ? ", which is registered" : "");
    if (end->registered)
        t->model.stale[end->fd] = true;
    end->registered = false;
    close(end->fd);
    end->fd = -1;
}

void fuzz_close(test_t *t)
{
    unsigned number, how;

    fuzz_draw_end(t, &number);
    how = fuzz_below(t->input, 8);
    if (how < 4) {
        close_end(t, number, how != 0);
        return;
    }
    close_end(t, number, how != 4);
    close_end(t, number ^ 1, how != 4);
    if (fuzz_below(t->input, 2) == 0)
        model_wait(&t->model, ROOM, 0);
    fuzz_open_channel(t, number & ~1u);
}

static uint32_t draw_events(test_t *t)
{
    static const uint32_t events[] = {READS,
                                      READS | WRITES,
                                      0,
                                      WRITES,
                                      READS | ASYNC_EVENT_ONESHOT,
                                      READS | WRITES | ASYNC_EVENT_ONESHOT,
                                      READS | ASYNC_EVENT_ERROR | ASYNC_EVENT_CLOSE,
                                      ASYNC_EVENT_ONESHOT};

    return events[fuzz_below(t->input, sizeof(events) / sizeof(events[0]))];
}

static void registered(test_t *t, unsigned number, uint32_t events, uintptr_t context)
{
    end_t *end = &t->model.ends[number];

    if (!end->registered)
        end->generation++;
    end->registered = true;
    end->fired = false;
    end->events = events;
    end->context = context;
    t->model.stale[end->fd] = false;
}

void fuzz_add(test_t *t)
{
    unsigned number;
    end_t *end = fuzz_draw_end(t, &number);
    uint32_t events = draw_events(t);
    uintptr_t context = model_context(&t->model, number);

    if (end->fd == -1)
        return;
    fuzz_trace("add end %u for %#x", number, (unsigned)events);
    RESULT_IS(async_runtime_add(t->model.runtime, end->fd, events, (void *)context),
              end->registered ? EEXIST : 0);
    if (!end->registered)
        registered(t, number, events, context);
}

void fuzz_modify(test_t *t)
{
    unsigned number;
    end_t *end = fuzz_draw_end(t, &number);
    uint32_t events = draw_events(t);
    uintptr_t context = model_context(&t->model, number);

    if (end->fd == -1 || is_stale(t, end))
        return;
    fuzz_trace("modify end %u for %#x", number, (unsigned)events);
    RESULT_IS(async_runtime_modify(t->model.runtime, end->fd, events, (void *)context),
              end->registered ? 0 : ENOENT);
    if (end->registered)
        registered(t, number, events, context);
}

/* ---- bytes */

static size_t draw_size(test_t *t)
{
    unsigned size = fuzz_below(t->input, SMALL + 8);

    return size < SMALL ? size + 1 : LARGE;
}

static unsigned char *stream_bytes(size_t size, uint64_t place)
{
    unsigned char *bytes = malloc(size);

    if (bytes == NULL)
        abort();
    for (size_t i = 0; i < size; i++)
        bytes[i] = model_byte(place + i);
    return bytes;
}

void fuzz_send(test_t *t)
{
    unsigned number;
    end_t *end = fuzz_draw_end(t, &number);
    size_t size = draw_size(t);
    unsigned char *bytes;
    ssize_t n;

    if (end->fd == -1 || !end->can_write || end->shut ||
        model_pending(&t->model, number, false) & WRITES)
        return;
    bytes = stream_bytes(size, end->written);
    n = end->is_socket ? send(end->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL)
                       : write(end->fd, bytes, size);
    fuzz_trace("send %zu bytes from end %u: %d", size, number, (int)n);
    if (n > 0)
        end->written += (uint64_t)n;
    free(bytes);
}

/* Returns whether anything came. */
static bool receive(test_t *t, unsigned number, size_t size)
{
    static unsigned char bytes[LARGE];
    end_t *end = &t->model.ends[number];
    ssize_t n;

    if (end->fd == -1 || !end->can_read || model_pending(&t->model, number, false) & READS)
        return false;
    n = end->is_socket ? recv(end->fd, bytes, size, MSG_DONTWAIT) : read(end->fd, bytes, size);
    fuzz_trace("receive %zu bytes at end %u: %d", size, number, (int)n);
    if (n <= 0)
        return false;
    model_check_bytes(bytes, (size_t)n, end->read);
    end->read += (uint64_t)n;
    return true;
}

void fuzz_receive(test_t *t)
{
    unsigned number;

    fuzz_draw_end(t, &number);
    receive(t, number, draw_size(t));
}

void fuzz_drain(test_t *t)
{
    bool more;

    do {
        model_settle(&t->model);
        more = false;
        for (unsigned i = 0; i < ENDS; i++)
            more |= receive(t, i, LARGE);
    } while (more);
}

void fuzz_shutdown(test_t *t)
{
    unsigned number;
    end_t *end = fuzz_draw_end(t, &number);

    if (end->fd == -1 || !end->is_socket || fuzz_below(t->input, 4) != 0)
        return;
    fuzz_trace("shut end %u", number);
    end->shut = true;
    shutdown(end->fd, SHUT_WR);
}

static operation_t *unused_operation(model_t *model)
{
    for (unsigned i = 0; i < OPERATIONS; i++) {
        if (!model->operations[i].used)
            return &model->operations[i];
    }
    return NULL;
}

void fuzz_operation(test_t *t, bool is_write)
{
    unsigned number;
    end_t *end = fuzz_draw_end(t, &number);
    operation_t *op = unused_operation(&t->model);
    size_t size = draw_size(t);
    unsigned char *bytes;
    int err;

    if (end->fd == -1 || op == NULL || is_stale(t, end) ||
        !(is_write ? end->can_write : end->can_read) ||
        model_pending(&t->model, number, true) & (is_write ? WRITES : READS))
        return;
    bytes = stream_bytes(size, end->written);
    if (!is_write)
        memset(bytes, 0xee, size);
    err = end->registered ? 0 : ENOENT;
    fuzz_trace("%s %u of %zu bytes at end %u", is_write ? "write" : "read", t->model.orders, size,
               number);
    if (is_write)
        RESULT_IS(async_runtime_post_write(t->model.runtime, end->fd, bytes, size), err);
    else
        RESULT_IS(async_runtime_post_read(t->model.runtime, end->fd, bytes, size), err);
    if (err != 0) {
        free(bytes);
        return;
    }
    *op = (operation_t){.used = true,
                        .is_write = is_write,
                        .end = number,
                        .generation = end->generation,
                        .order = t->model.orders++,
                        .buffer = bytes,
                        .length = size,
                        .start = end->written,
                        .first = end->context};
    if (is_write)
        end->written += size;
}

/* SPDX-License-Identifier: MIT */
/*
 * loop_uring_poll.c - io_uring by hand for readiness: a poll request for each descriptor
 *
 * Multishot: one request says every change, and nothing more of what it has said once
 * (edge-triggered), so a program must read until there is nothing.  Re-armed: a request says one
 * thing, and is made anew with the next call after each; that is level-triggered.  Posts go through
 * a mailbox with an eventfd, as in loop_epoll.c.
 */
#include "loop.h"

#ifdef BACKEND_URING
#include "bench.h"

#include <liburing.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A request's user_data; freed with the request's end. */
typedef struct request {
    watch_t *watch; /* NULL: no longer watched */
    unsigned events;
} request_t;

typedef struct polls {
    loop_t loop;
    mailbox_t box;
    watch_t wake;
    struct io_uring uring;
    bool rearmed;
    _Atomic uint64_t wakes;
} polls_t;

static polls_t *of(loop_t *loop)
{
    return (polls_t *)loop;
}

static struct io_uring_sqe *place(polls_t *polls)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&polls->uring);

    if (sqe == NULL) {
        io_uring_submit(&polls->uring);
        sqe = io_uring_get_sqe(&polls->uring);
    }
    bench_check(sqe != NULL, "io_uring_submit");
    return sqe;
}

static unsigned mask_of(unsigned events)
{
    return (events & LOOP_READ ? POLLIN | POLLRDHUP : 0) | (events & LOOP_WRITE ? POLLOUT : 0);
}

static void arm_request(polls_t *polls, request_t *request)
{
    struct io_uring_sqe *sqe = place(polls);

    io_uring_prep_poll_add(sqe, request->watch->fd, mask_of(request->events));
    if (!polls->rearmed)
        sqe->len |= IORING_POLL_ADD_MULTI;
    io_uring_sqe_set_data(sqe, request);
}

static void polls_watch(loop_t *loop, watch_t *watch, unsigned events)
{
    request_t *request = malloc(sizeof(*request));

    bench_check(request != NULL, "malloc");
    *request = (request_t){.watch = watch, .events = events};
    watch->handle = request;
    arm_request(of(loop), request);
}

static void polls_change(loop_t *loop, watch_t *watch, unsigned events)
{
    request_t *request = watch->handle;
    struct io_uring_sqe *sqe = place(of(loop));
    unsigned multishot = of(loop)->rearmed ? 0 : IORING_POLL_ADD_MULTI;

    request->events = events;
    io_uring_prep_poll_update(sqe, (uintptr_t)request, 0, mask_of(events),
                              IORING_POLL_UPDATE_EVENTS | multishot);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data(sqe, NULL);
}

static void polls_unwatch(loop_t *loop, watch_t *watch)
{
    request_t *request = watch->handle;
    struct io_uring_sqe *sqe = place(of(loop));

    request->watch = NULL;
    io_uring_prep_poll_remove(sqe, (uintptr_t)request);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data(sqe, NULL);
}

static void woken(watch_t *watch)
{
    polls_t *polls = watch->user;

    mailbox_deliver(&polls->box, &polls->loop);
}

static loop_t *polls_open(bool rearmed, const loop_kind_t *kind)
{
    polls_t *polls = loop_make(kind, sizeof(*polls));
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
                                     .cq_entries = 16384};

    if (io_uring_queue_init_params(1024, &polls->uring, &params) != 0) {
        free(polls);
        return NULL;
    }
    mailbox_init(&polls->box);
    polls->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    polls->wake.ready = woken;
    polls->wake.user = polls;
    bench_check(polls->wake.fd >= 0, "eventfd");
    polls_watch(&polls->loop, &polls->wake, LOOP_READ); /* multishot: it needs no read */
    polls->rearmed = rearmed;
    return &polls->loop;
}

static loop_t *multishot_open(const loop_kind_t *kind)
{
    return polls_open(false, kind);
}

static loop_t *rearmed_open(const loop_kind_t *kind)
{
    return polls_open(true, kind);
}

static void polls_close(loop_t *loop)
{
    polls_t *polls = of(loop);

    io_uring_queue_exit(&polls->uring);
    close(polls->wake.fd);
    free(polls->wake.handle);
    mailbox_free(&polls->box);
    free(polls);
}

static void take(polls_t *polls)
{
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;

    io_uring_for_each_cqe(&polls->uring, head, cqe)
    {
        request_t *request = io_uring_cqe_get_data(cqe);

        count++;
        if (request == NULL)
            continue;
        if (request->watch == NULL) {
            if (!(cqe->flags & IORING_CQE_F_MORE))
                free(request);
            continue;
        }
        bench_check(cqe->res >= 0, "poll");
        request->watch->ready(request->watch);
        if (!(cqe->flags & IORING_CQE_F_MORE)) {
            if (request->watch != NULL)
                arm_request(polls, request);
            else
                free(request);
        }
    }
    io_uring_cq_advance(&polls->uring, count);
}

static void polls_run(loop_t *loop)
{
    polls_t *polls = of(loop);

    for (loop->stopped = false; !loop->stopped;) {
        io_uring_submit_and_wait(&polls->uring, 1);
        take(polls);
    }
}

static void polls_once(loop_t *loop)
{
    io_uring_submit_and_get_events(&of(loop)->uring);
    take(of(loop));
}

static void polls_stop(loop_t *loop)
{
    loop->stopped = true;
}

static void polls_post(loop_t *loop, uintptr_t data)
{
    polls_t *polls = of(loop);
    uint64_t one = 1;

    if (!mailbox_put(&polls->box, data))
        return;
    atomic_fetch_add_explicit(&polls->wakes, 1, memory_order_relaxed);
    bench_check(write(polls->wake.fd, &one, sizeof(one)) == sizeof(one), "write");
}

static uint64_t polls_wakes(loop_t *loop)
{
    return atomic_load_explicit(&of(loop)->wakes, memory_order_relaxed);
}

#define POLLS                                                                                     \
    .many = true, .close = polls_close, .run = polls_run, .once = polls_once, .stop = polls_stop, \
    .post = polls_post, .wakes = polls_wakes, .watch = polls_watch, .change = polls_change,       \
    .unwatch = polls_unwatch

const loop_kind_t loop_uring_multishot = {
    .name = "raw io_uring, multishot", .open = multishot_open, POLLS};
const loop_kind_t loop_uring_rearmed = {
    .name = "raw io_uring, re-armed", .open = rearmed_open, POLLS};
#else
const loop_kind_t loop_uring_multishot = {.name = "raw io_uring, multishot"};
const loop_kind_t loop_uring_rearmed = {.name = "raw io_uring, re-armed"};
#endif

/* SPDX-License-Identifier: MIT */
/* loop_asyncrt.c - libasyncrt, by readiness on each backend, and by posted operations */
#include "loop.h"

#include <asyncrt.h>

#include "bench.h"
#include "echo.h"

#include <unistd.h>

typedef struct rt {
    loop_t loop;
    async_runtime_t *runtime;
} rt_t;

static async_runtime_t *of(loop_t *loop)
{
    return ((rt_t *)loop)->runtime;
}

static loop_t *rt_open(const loop_kind_t *kind)
{
    async_runtime_options_t options = ASYNC_RUNTIME_OPTIONS_INIT;
    rt_t *rt = loop_make(kind, sizeof(*rt));

    options.backend = kind->backend;
    options.spin_us = kind->spin_us;
    options.flags = kind->single_thread ? ASYNC_RUNTIME_SINGLE_THREAD : 0;
    rt->runtime = async_runtime_init_with(&options);
    if (rt->runtime != NULL)
        return &rt->loop;
    free(rt);
    return NULL;
}

static void rt_close(loop_t *loop)
{
    async_runtime_deinit(of(loop));
    free(loop);
}

static void turn(loop_t *loop, int timeout_ms)
{
    async_event_t events[LOOP_EVENTS];
    int n = async_runtime_wait(of(loop), events, LOOP_EVENTS, timeout_ms);

    for (int i = 0; i < n; i++) {
        if (events[i].event_type & ASYNC_EVENT_COMPLETION) {
            loop->posted(loop, events[i].data);
        } else if (events[i].event_type & ASYNC_EVENT_TIMER) {
            loop_alarm_t *alarm = events[i].context;

            alarm->expired(alarm);
        } else {
            watch_t *watch = events[i].context;

            watch->ready(watch);
        }
    }
}

static void rt_run(loop_t *loop)
{
    for (loop->stopped = false; !loop->stopped;)
        turn(loop, -1);
}

static void rt_once(loop_t *loop)
{
    turn(loop, 0);
}

static void rt_stop(loop_t *loop)
{
    loop->stopped = true;
}

static void rt_post(loop_t *loop, uintptr_t data)
{
    bench_check(async_runtime_post_completion(of(loop), 1, data) == 0, "post_completion");
}

static uint64_t rt_wakes(loop_t *loop)
{
    async_runtime_stats_t stats;

    async_runtime_get_stats(of(loop), &stats);
    return stats.wakeups_sent;
}

static uint32_t interest(unsigned events)
{
    return (events & LOOP_READ ? ASYNC_EVENT_READ : 0) |
           (events & LOOP_WRITE ? ASYNC_EVENT_WRITE : 0);
}

static void rt_watch(loop_t *loop, watch_t *watch, unsigned events)
{
    bench_check(async_runtime_add(of(loop), watch->fd, interest(events), watch) == 0, "add");
}

static void rt_change(loop_t *loop, watch_t *watch, unsigned events)
{
    bench_check(async_runtime_modify(of(loop), watch->fd, interest(events), watch) == 0, "modify");
}

static void rt_unwatch(loop_t *loop, watch_t *watch)
{
    async_runtime_remove(of(loop), watch->fd);
}

static void rt_arm(loop_t *loop, loop_alarm_t *alarm, uint64_t us)
{
    if (alarm->id != 0)
        async_runtime_cancel_timer(of(loop), alarm->id);
    alarm->id = async_runtime_add_timer(of(loop), us, 0, alarm);
    bench_check(alarm->id != 0, "add_timer");
}

static void rt_disarm(loop_t *loop, loop_alarm_t *alarm)
{
    async_runtime_cancel_timer(of(loop), alarm->id);
    alarm->id = 0;
}

static void rt_forget(loop_t *loop, loop_alarm_t *alarm)
{
    (void)loop;
    alarm->id = 0;
}

/* ---- An echo server by posted operations. ---- */

typedef struct connection {
    async_fd_t fd;
    char buffer[ECHO_BUFFER];
} connection_t;

static void start_connection(async_runtime_t *runtime, int fd)
{
    connection_t *connection = malloc(sizeof(*connection));

    bench_check(connection != NULL, "malloc");
    connection->fd = fd;
    bench_check(async_runtime_add(runtime, fd, 0, connection) == 0, "add");
    bench_check(async_runtime_post_read(runtime, fd, connection->buffer, ECHO_BUFFER) == 0, "read");
}

static void operation_ended(async_runtime_t *runtime, const async_event_t *event)
{
    connection_t *connection = event->context;

    if (event->error != 0 || event->bytes_transferred == 0) {
        async_runtime_remove(runtime, connection->fd);
        close(connection->fd);
        free(connection);
    } else if (event->event_type & ASYNC_EVENT_READ) {
        async_runtime_post_write(runtime, connection->fd, connection->buffer,
                                 event->bytes_transferred);
    } else {
        async_runtime_post_read(runtime, connection->fd, connection->buffer, ECHO_BUFFER);
    }
}

static void rt_serve(loop_t *loop, int listener)
{
    async_runtime_t *runtime = of(loop);
    async_event_t events[LOOP_EVENTS];

    bench_check(async_runtime_add(runtime, listener, ASYNC_EVENT_READ, NULL) == 0, "add");
    for (;;) {
        int n = async_runtime_wait(runtime, events, LOOP_EVENTS, -1), fd;

        for (int i = 0; i < n; i++) {
            if (events[i].event_type & ASYNC_EVENT_COMPLETION) {
                operation_ended(runtime, &events[i]);
                continue;
            }
            while ((fd = echo_accept(listener)) >= 0)
                start_connection(runtime, fd);
        }
    }
}

#define RT                                                                               \
    .open = rt_open, .close = rt_close, .run = rt_run, .once = rt_once, .stop = rt_stop, \
    .post = rt_post, .wakes = rt_wakes, .watch = rt_watch, .change = rt_change,          \
    .unwatch = rt_unwatch, .arm = rt_arm, .disarm = rt_disarm, .forget = rt_forget

const loop_kind_t loop_asyncrt_epoll = {
    .name = "asyncrt epoll", .backend = "epoll", .many = true, RT};
const loop_kind_t loop_asyncrt_poll = {.name = "asyncrt poll", .backend = "poll", RT};
const loop_kind_t loop_asyncrt_uring = {
    .name = "asyncrt io_uring", .backend = "io_uring", .many = true, RT};
const loop_kind_t loop_asyncrt_spin = {
    .name = "asyncrt spin_us=200", .backend = "epoll", .spin_us = 200, .only = "wake", RT};
const loop_kind_t loop_asyncrt_epoll_ops = {.name = "asyncrt epoll, ops",
                                            .backend = "epoll",
                                            .many = true,
                                            .only = "echo",
                                            .serve = rt_serve,
                                            RT};
const loop_kind_t loop_asyncrt_uring_single = {.name = "asyncrt io_uring, single",
                                               .backend = "io_uring",
                                               .single_thread = true,
                                               .many = true,
                                               .only = "echo",
                                               .serve = rt_serve,
                                               RT};
const loop_kind_t loop_asyncrt_uring_ops = {.name = "asyncrt io_uring, ops",
                                            .backend = "io_uring",
                                            .many = true,
                                            .only = "echo",
                                            .serve = rt_serve,
                                            RT};

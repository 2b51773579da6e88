/* SPDX-License-Identifier: MIT */
/* loop_event.c - libevent: events, a mailbox with event_active() after each post; bufferevents to
 * echo */
#include "loop.h"

#ifdef HAVE_LIBEVENT
#include "bench.h"
#include "echo.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/thread.h>

typedef struct evl {
    loop_t loop;
    mailbox_t box;
    struct event_base *base;
    struct event *wake;
} evl_t;

static evl_t *of(loop_t *loop)
{
    return (evl_t *)loop;
}

static void woken(evutil_socket_t fd, short what, void *arg)
{
    evl_t *evl = arg;

    (void)fd;
    (void)what;
    mailbox_deliver(&evl->box, &evl->loop);
}

static loop_t *evl_open(const loop_kind_t *kind)
{
    evl_t *evl = loop_make(kind, sizeof(*evl));

    evthread_use_pthreads();
    mailbox_init(&evl->box);
    evl->base = event_base_new();
    bench_check(evl->base != NULL, "event_base_new");
    evl->wake = event_new(evl->base, -1, EV_PERSIST, woken, evl);
    return &evl->loop;
}

static void evl_close(loop_t *loop)
{
    evl_t *evl = of(loop);

    event_free(evl->wake);
    event_base_free(evl->base);
    mailbox_free(&evl->box);
    free(evl);
}

static void evl_run(loop_t *loop)
{
    event_base_loop(of(loop)->base, EVLOOP_NO_EXIT_ON_EMPTY);
}

static void evl_once(loop_t *loop)
{
    event_base_loop(of(loop)->base, EVLOOP_NONBLOCK);
}

static void evl_stop(loop_t *loop)
{
    event_base_loopbreak(of(loop)->base);
}

static void evl_post(loop_t *loop, uintptr_t data)
{
    mailbox_put(&of(loop)->box, data);
    event_active(of(loop)->wake, EV_READ, 1);
}

static void ready(evutil_socket_t fd, short what, void *arg)
{
    watch_t *watch = arg;

    (void)fd;
    (void)what;
    watch->ready(watch);
}

static short interest(unsigned events)
{
    return (short)(EV_PERSIST | (events & LOOP_READ ? EV_READ : 0) |
                   (events & LOOP_WRITE ? EV_WRITE : 0));
}

static void evl_watch(loop_t *loop, watch_t *watch, unsigned events)
{
    watch->handle = event_new(of(loop)->base, watch->fd, interest(events), ready, watch);
    bench_check(watch->handle != NULL && event_add(watch->handle, NULL) == 0, "event_add");
}

static void evl_change(loop_t *loop, watch_t *watch, unsigned events)
{
    event_del(watch->handle);
    event_assign(watch->handle, of(loop)->base, watch->fd, interest(events), ready, watch);
    bench_check(event_add(watch->handle, NULL) == 0, "event_add");
}

static void evl_unwatch(loop_t *loop, watch_t *watch)
{
    (void)loop;
    event_free(watch->handle);
}

static void timed(evutil_socket_t fd, short what, void *arg)
{
    loop_alarm_t *alarm = arg;

    (void)fd;
    (void)what;
    alarm->expired(alarm);
}

static void evl_arm(loop_t *loop, loop_alarm_t *alarm, uint64_t us)
{
    struct timeval tv = {.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};

    if (alarm->handle == NULL)
        alarm->handle = event_new(of(loop)->base, -1, 0, timed, alarm);
    bench_check(alarm->handle != NULL && event_add(alarm->handle, &tv) == 0, "event_add");
}

static void evl_disarm(loop_t *loop, loop_alarm_t *alarm)
{
    (void)loop;
    event_del(alarm->handle);
}

static void evl_forget(loop_t *loop, loop_alarm_t *alarm)
{
    (void)loop;
    event_free(alarm->handle);
    alarm->handle = NULL;
}

const loop_kind_t loop_event = {
    .name = "libevent",
    .many = true,
    .open = evl_open,
    .close = evl_close,
    .run = evl_run,
    .once = evl_once,
    .stop = evl_stop,
    .post = evl_post,
    .watch = evl_watch,
    .change = evl_change,
    .unwatch = evl_unwatch,
    .arm = evl_arm,
    .disarm = evl_disarm,
    .forget = evl_forget,
};

/* ---- An echo server of bufferevents. ---- */

static void have_read(struct bufferevent *bev, void *arg)
{
    (void)arg;
    bufferevent_write_buffer(bev, bufferevent_get_input(bev));
}

static void have_ended(struct bufferevent *bev, short what, void *arg)
{
    (void)what;
    (void)arg;
    bufferevent_free(bev);
}

static void have_connection(evutil_socket_t listener, short what, void *arg)
{
    evl_t *evl = arg;
    int fd;

    (void)what;
    while ((fd = echo_accept(listener)) >= 0) {
        struct bufferevent *bev = bufferevent_socket_new(evl->base, fd, BEV_OPT_CLOSE_ON_FREE);

        bench_check(bev != NULL, "bufferevent_socket_new");
        bufferevent_setcb(bev, have_read, NULL, have_ended, NULL);
        bufferevent_enable(bev, EV_READ | EV_WRITE);
    }
}

static void evl_serve(loop_t *loop, int listener)
{
    event_add(event_new(of(loop)->base, listener, EV_READ | EV_PERSIST, have_connection, loop),
              NULL);
    event_base_dispatch(of(loop)->base);
}

const loop_kind_t loop_bufferevent = {
    .name = "libevent bufferevent",
    .many = true,
    .only = "echo",
    .open = evl_open,
    .close = evl_close,
    .serve = evl_serve,
};
#else
const loop_kind_t loop_event = {.name = "libevent"};
const loop_kind_t loop_bufferevent = {.name = "libevent bufferevent"};
#endif

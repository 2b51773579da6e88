/* SPDX-License-Identifier: MIT */
/*
 * loop_ev.c - libev: ev_io, ev_timer, a mailbox with ev_async_send() after each post
 *
 * Its timers count from the start of the loop's turn.  "exact clock" counts from the call, as
 * libasyncrt does: ev_now_update() before each ev_timer_start() or ev_timer_again().
 */
#include "loop.h"

#ifdef HAVE_LIBEV
#include "bench.h"

#include <ev.h>

/* The macros of its header look into watchers by the type of their common head. */
#pragma GCC diagnostic ignored "-Wstrict-aliasing"

typedef struct evl {
    loop_t loop;
    mailbox_t box;
    struct ev_loop *ev;
    ev_async async;
} evl_t;

static evl_t *of(loop_t *loop)
{
    return (evl_t *)loop;
}

static void woken(struct ev_loop *ev, ev_async *async, int what)
{
    evl_t *evl = async->data;

    (void)ev;
    (void)what;
    mailbox_deliver(&evl->box, &evl->loop);
}

static loop_t *evl_open(const loop_kind_t *kind)
{
    evl_t *evl = loop_make(kind, sizeof(*evl));

    mailbox_init(&evl->box);
    evl->ev = ev_loop_new(EVBACKEND_EPOLL);
    bench_check(evl->ev != NULL, "ev_loop_new");
    ev_async_init(&evl->async, woken);
    evl->async.data = evl;
    ev_async_start(evl->ev, &evl->async);
    return &evl->loop;
}

static void evl_close(loop_t *loop)
{
    evl_t *evl = of(loop);

    ev_async_stop(evl->ev, &evl->async);
    ev_loop_destroy(evl->ev);
    mailbox_free(&evl->box);
    free(evl);
}

static void evl_run(loop_t *loop)
{
    ev_run(of(loop)->ev, 0);
}

static void evl_once(loop_t *loop)
{
    ev_run(of(loop)->ev, EVRUN_NOWAIT);
}

static void evl_stop(loop_t *loop)
{
    ev_break(of(loop)->ev, EVBREAK_ALL);
}

static void evl_post(loop_t *loop, uintptr_t data)
{
    mailbox_put(&of(loop)->box, data);
    ev_async_send(of(loop)->ev, &of(loop)->async);
}

static void ready(struct ev_loop *ev, ev_io *io, int what)
{
    watch_t *watch = io->data;

    (void)ev;
    (void)what;
    watch->ready(watch);
}

static int interest(unsigned events)
{
    return (events & LOOP_READ ? EV_READ : 0) | (events & LOOP_WRITE ? EV_WRITE : 0);
}

static void evl_watch(loop_t *loop, watch_t *watch, unsigned events)
{
    ev_io *io = malloc(sizeof(*io));

    bench_check(io != NULL, "malloc");
    ev_io_init(io, ready, watch->fd, interest(events));
    io->data = watch;
    watch->handle = io;
    ev_io_start(of(loop)->ev, io);
}

static void evl_change(loop_t *loop, watch_t *watch, unsigned events)
{
    ev_io *io = watch->handle;

    ev_io_stop(of(loop)->ev, io);
    ev_io_set(io, watch->fd, interest(events));
    ev_io_start(of(loop)->ev, io);
}

static void evl_unwatch(loop_t *loop, watch_t *watch)
{
    ev_io_stop(of(loop)->ev, watch->handle);
    free(watch->handle);
}

static void timed(struct ev_loop *ev, ev_timer *timer, int what)
{
    loop_alarm_t *alarm = timer->data;

    (void)ev;
    (void)what;
    alarm->expired(alarm);
}

static void evl_arm(loop_t *loop, loop_alarm_t *alarm, uint64_t us)
{
    ev_timer *timer = alarm->handle;

    if (timer == NULL) {
        timer = malloc(sizeof(*timer));
        bench_check(timer != NULL, "malloc");
        ev_init(timer, timed);
        timer->data = alarm;
        alarm->handle = timer;
    }
    if (ev_is_active(timer)) {
        timer->repeat = (double)us * 1e-6;
        ev_timer_again(of(loop)->ev, timer); /* its fastest way */
    } else {
        ev_timer_set(timer, (double)us * 1e-6, 0);
        ev_timer_start(of(loop)->ev, timer);
    }
}

static void evl_arm_now(loop_t *loop, loop_alarm_t *alarm, uint64_t us)
{
    ev_now_update(of(loop)->ev);
    evl_arm(loop, alarm, us);
}

static void evl_disarm(loop_t *loop, loop_alarm_t *alarm)
{
    ev_timer_stop(of(loop)->ev, alarm->handle);
}

static void evl_forget(loop_t *loop, loop_alarm_t *alarm)
{
    ev_timer_stop(of(loop)->ev, alarm->handle);
    free(alarm->handle);
    alarm->handle = NULL;
}

#define EV                                                                                \
    .many = true, .open = evl_open, .close = evl_close, .run = evl_run, .once = evl_once, \
    .stop = evl_stop, .post = evl_post, .watch = evl_watch, .change = evl_change,         \
    .unwatch = evl_unwatch, .disarm = evl_disarm, .forget = evl_forget

const loop_kind_t loop_ev = {.name = "libev", .arm = evl_arm, EV};
const loop_kind_t loop_ev_clock = {
    .name = "libev, exact clock", .only = "timers", .arm = evl_arm_now, EV};
#else
const loop_kind_t loop_ev = {.name = "libev"};
const loop_kind_t loop_ev_clock = {.name = "libev, exact clock"};
#endif

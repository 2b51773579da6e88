/* SPDX-License-Identifier: MIT */
/* loop_epoll.c - epoll by hand; posts go through a mailbox with an eventfd, written when it was
 * empty */
#include "loop.h"

#include "bench.h"

#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

typedef struct ep {
    loop_t loop;
    mailbox_t box;
    watch_t wake;
    int set;
    _Atomic uint64_t wakes;
} ep_t;

static ep_t *of(loop_t *loop)
{
    return (ep_t *)loop;
}

static uint32_t interest(unsigned events)
{
    return (events & LOOP_READ ? EPOLLIN : 0) | (events & LOOP_WRITE ? EPOLLOUT : 0);
}

static void ep_watch(loop_t *loop, watch_t *watch, unsigned events)
{
    struct epoll_event event = {.events = interest(events), .data.ptr = watch};

    bench_check(epoll_ctl(of(loop)->set, EPOLL_CTL_ADD, watch->fd, &event) == 0, "epoll_ctl");
}

static void ep_change(loop_t *loop, watch_t *watch, unsigned events)
{
    struct epoll_event event = {.events = interest(events), .data.ptr = watch};

    bench_check(epoll_ctl(of(loop)->set, EPOLL_CTL_MOD, watch->fd, &event) == 0, "epoll_ctl");
}

static void ep_unwatch(loop_t *loop, watch_t *watch)
{
    epoll_ctl(of(loop)->set, EPOLL_CTL_DEL, watch->fd, NULL);
}

static void woken(watch_t *watch)
{
    ep_t *ep = watch->user;

    mailbox_deliver(&ep->box, &ep->loop);
}

static loop_t *ep_open(const loop_kind_t *kind)
{
    ep_t *ep = loop_make(kind, sizeof(*ep));
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = &ep->wake};

    mailbox_init(&ep->box);
    ep->set = epoll_create1(EPOLL_CLOEXEC);
    ep->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ep->wake.ready = woken;
    ep->wake.user = ep;
    bench_check(ep->set >= 0 && ep->wake.fd >= 0, "epoll_create1");
    bench_check(epoll_ctl(ep->set, EPOLL_CTL_ADD, ep->wake.fd, &event) == 0, "epoll_ctl");
    return &ep->loop;
}

static void ep_close(loop_t *loop)
{
    ep_t *ep = of(loop);

    close(ep->set);
    close(ep->wake.fd);
    mailbox_free(&ep->box);
    free(ep);
}

static void turn(ep_t *ep, int timeout_ms)
{
    struct epoll_event events[LOOP_EVENTS];
    int n = epoll_wait(ep->set, events, LOOP_EVENTS, timeout_ms);

    for (int i = 0; i < n; i++) {
        watch_t *watch = events[i].data.ptr;

        watch->ready(watch);
    }
}

static void ep_run(loop_t *loop)
{
    for (loop->stopped = false; !loop->stopped;)
        turn(of(loop), -1);
}

static void ep_once(loop_t *loop)
{
    turn(of(loop), 0);
}

static void ep_stop(loop_t *loop)
{
    loop->stopped = true;
}

static void ep_post(loop_t *loop, uintptr_t data)
{
    ep_t *ep = of(loop);
    uint64_t one = 1;

    if (!mailbox_put(&ep->box, data))
        return;
    atomic_fetch_add_explicit(&ep->wakes, 1, memory_order_relaxed);
    bench_check(write(ep->wake.fd, &one, sizeof(one)) == sizeof(one), "write");
}

static uint64_t ep_wakes(loop_t *loop)
{
    return atomic_load_explicit(&of(loop)->wakes, memory_order_relaxed);
}

const loop_kind_t loop_epoll = {
    .name = "raw epoll",
    .many = true,
    .open = ep_open,
    .close = ep_close,
    .run = ep_run,
    .once = ep_once,
    .stop = ep_stop,
    .post = ep_post,
    .wakes = ep_wakes,
    .watch = ep_watch,
    .change = ep_change,
    .unwatch = ep_unwatch,
};

/* SPDX-License-Identifier: MIT */
/*
 * The deadlines have a thread of their own: all of the engine's may be stuck, and the loop's is not
 * to be relied upon.  It starts with the first request that has a deadline.  All requests of a
 * resolver have the same timeout, so their deadlines come in the order of admission: the thread
 * sleeps until the earliest one, and a later request wakes it only if it sleeps beyond that.
 */
#include "port/port_compiler.h"
#include "resolver/resolver_core.h"
#include "resolver/resolver_engine.h"

#include <errno.h>

static resolver_request_t *earliest(const async_resolver_t *resolver)
{
    resolver_link_t *link = resolver_list_first(&resolver->open);

    return link == NULL ? NULL : PORT_CONTAINER(link, resolver_request_t, place);
}

/* Ends what is due.  Returns whether there was any. */
static bool expire(async_resolver_t *resolver, uint64_t now)
{
    resolver_request_t *request;
    bool any = false;

    while ((request = earliest(resolver)) != NULL && request->deadline <= now) {
        resolver_request_abandon(resolver, request, ETIMEDOUT);
        any = true;
    }
    return any;
}

/* Sleeps until the earliest deadline, or for a while if there is none.  Lock held before and after.
 * Returns whether to go on. */
static bool sleep_once(async_resolver_t *resolver, uint64_t now)
{
    resolver_request_t *next = earliest(resolver);
    uint64_t until = next != NULL ? next->deadline : port_clock_after(now, RESOLVER_LINGER_NS);
    bool had_work = next != NULL;
    uint32_t key;
    int err;

    resolver->timer_wakes = until;
    key = port_eventcount_prepare(&resolver->timer_sleep);
    port_mutex_unlock(&resolver->lock);
    err = port_eventcount_wait(&resolver->timer_sleep, key, until);
    port_mutex_lock(&resolver->lock);
    return err == 0 || had_work || earliest(resolver) != NULL;
}

static void timer_main(void *arg)
{
    async_resolver_t *resolver = arg;

    port_mutex_lock(&resolver->lock);
    while (!resolver->closed) {
        uint64_t now = port_clock_now();

        if (expire(resolver, now)) {
            port_mutex_unlock(&resolver->lock);
            resolver_announce(resolver);
            port_mutex_lock(&resolver->lock);
        } else if (!sleep_once(resolver, now)) {
            break;
        }
    }
    resolver->timer_running = false;
    port_mutex_unlock(&resolver->lock);
    resolver_drop(resolver);
}

int resolver_timer_arm(async_resolver_t *resolver, uint64_t deadline)
{
    int err;

    if (deadline == PORT_DEADLINE_NEVER)
        return 0;
    if (resolver->timer_running) {
        if (deadline < resolver->timer_wakes) {
            resolver->timer_wakes = deadline;
            port_eventcount_notify(&resolver->timer_sleep, 1);
        }
        return 0;
    }
    err = resolver_start_thread(resolver, timer_main, "async-dns-timer");
    if (err != 0)
        return err;
    resolver->timer_running = true;
    resolver->timer_wakes = 0;
    return 0;
}

void resolver_timer_close(async_resolver_t *resolver)
{
    port_eventcount_notify(&resolver->timer_sleep, PORT_FUTEX_ALL);
}

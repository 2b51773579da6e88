/* SPDX-License-Identifier: MIT */
#include "port/port_event.h"
#include "port/port_clock.h"

#include <errno.h>
#include <time.h>

int port_event_init(port_event_t *event, bool manual_reset, bool initial)
{
    pthread_condattr_t attr;
    int err = pthread_mutex_init(&event->lock, NULL);

    if (err != 0)
        return err;
    err = pthread_condattr_init(&attr);
    if (err == 0) {
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        err = pthread_cond_init(&event->cond, &attr);
        pthread_condattr_destroy(&attr);
    }
    if (err != 0) {
        pthread_mutex_destroy(&event->lock);
        return err;
    }
    event->pulses = 0;
    event->waiting = 0;
    event->granted = 0;
    event->manual_reset = manual_reset;
    event->signalled = initial;
    return 0;
}

void port_event_destroy(port_event_t *event)
{
    pthread_cond_destroy(&event->cond);
    pthread_mutex_destroy(&event->lock);
}

void port_event_set(port_event_t *event)
{
    pthread_mutex_lock(&event->lock);
    if (event->manual_reset) {
        event->signalled = true;
        event->pulses++;
        pthread_cond_broadcast(&event->cond);
    } else if (event->waiting > event->granted) {
        event->granted++;
        event->pulses++;
        pthread_cond_signal(&event->cond);
    } else {
        event->signalled = true;
    }
    pthread_mutex_unlock(&event->lock);
}

void port_event_reset(port_event_t *event)
{
    pthread_mutex_lock(&event->lock);
    event->signalled = false;
    pthread_mutex_unlock(&event->lock);
}

/* Sleeps once, lock held.  0: woken, perhaps for nothing. */
static int sleep_until(port_event_t *event, uint64_t deadline)
{
    struct timespec ts;

    if (deadline == PORT_DEADLINE_NEVER)
        return pthread_cond_wait(&event->cond, &event->lock);
    ts.tv_sec = (time_t)(deadline / PORT_NS_PER_S);
    ts.tv_nsec = (long)(deadline % PORT_NS_PER_S);
    return pthread_cond_timedwait(&event->cond, &event->lock, &ts);
}

static int wait_manual(port_event_t *event, uint64_t deadline)
{
    uint64_t seen = event->pulses;
    int err = 0;

    while (!event->signalled && event->pulses == seen && err == 0)
        err = sleep_until(event, deadline);
    return event->signalled || event->pulses != seen ? 0 : ETIMEDOUT;
}

/* A grant is for those who slept at its set: a late comer must not take it from them. */
static bool may_take_grant(const port_event_t *event, uint64_t seen)
{
    return event->granted != 0 && event->pulses != seen;
}

static int wait_auto(port_event_t *event, uint64_t deadline)
{
    uint64_t seen = event->pulses;
    int err = 0;

    if (event->signalled) {
        event->signalled = false;
        return 0;
    }
    event->waiting++;
    while (!may_take_grant(event, seen) && err == 0)
        err = sleep_until(event, deadline);
    event->waiting--;
    if (!may_take_grant(event, seen))
        return ETIMEDOUT;
    event->granted--;
    return 0;
}

int port_event_wait(port_event_t *event, int timeout_ms)
{
    uint64_t deadline;
    int err;

    if (timeout_ms < -1)
        return EINVAL;
    deadline = port_deadline(timeout_ms);
    pthread_mutex_lock(&event->lock);
    err = event->manual_reset ? wait_manual(event, deadline) : wait_auto(event, deadline);
    pthread_mutex_unlock(&event->lock);
    return err;
}

/* SPDX-License-Identifier: MIT */
/*
 * port_event.h - events as a Windows programmer knows them
 *
 * An auto-reset event frees one waiter per set, or the next one to come when nobody waits; a
 * manual-reset event frees all until reset, and all that wait at the time of a set even when a
 * reset follows at once.
 */
#ifndef PORT_EVENT_H
#define PORT_EVENT_H

#include <stdbool.h>

#include <stdint.h>

#ifdef _WIN32
typedef struct port_event {
    void *handle; /* HANDLE */
} port_event_t;
#else
#include <pthread.h>
/* Every field is read and written under lock. */
typedef struct port_event {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    uint64_t pulses;  /* sets that freed sleepers; a waiter is not freed by those before its wait */
    uint32_t waiting; /* auto-reset: waiters asleep */
    uint32_t granted; /* auto-reset: sets meant for them and not yet taken; at most waiting */
    bool manual_reset;
    bool signalled;
} port_event_t;
#endif

int port_event_init(port_event_t *event, bool manual_reset, bool initial); /* 0 or an errno value */
void port_event_destroy(port_event_t *event);                              /* nobody waits */
void port_event_set(port_event_t *event);
void port_event_reset(port_event_t *event);

/* timeout_ms: -1 for ever.  Returns 0, ETIMEDOUT, or EINVAL for less than -1. */
int port_event_wait(port_event_t *event, int timeout_ms);

#endif /* PORT_EVENT_H */

/* SPDX-License-Identifier: MIT */
#include "port/port_fork.h"

#include <errno.h>
#include <pthread.h>

_Atomic uint32_t port_fork_count;

static pthread_mutex_t watch_lock = PTHREAD_MUTEX_INITIALIZER;
static int watching; /* under watch_lock */

static void count_fork(void)
{
    atomic_fetch_add_explicit(&port_fork_count, 1, memory_order_relaxed);
}

int port_fork_watch(void)
{
    int err = 0;

    pthread_mutex_lock(&watch_lock);
    if (!watching) {
        err = pthread_atfork(NULL, NULL, count_fork);
        watching = err == 0;
    }
    pthread_mutex_unlock(&watch_lock);
    return err == 0 ? 0 : ENOMEM;
}

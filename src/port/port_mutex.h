/* SPDX-License-Identifier: MIT */
/*
 * port_mutex.h - mutual exclusion between the threads of this process
 *
 * Not recursive: locking twice in one thread does not return.  Unlock in the thread that locked.
 */
#ifndef PORT_MUTEX_H
#define PORT_MUTEX_H

#include <stdbool.h>

#ifdef _WIN32
typedef struct port_mutex {
    void *lock; /* an SRWLOCK, which is one pointer */
} port_mutex_t;
#define PORT_MUTEX_INIT \
    {                   \
        NULL            \
    }
#else
#include <pthread.h>
typedef struct port_mutex {
    pthread_mutex_t lock;
} port_mutex_t;
#define PORT_MUTEX_INIT           \
    {                             \
        PTHREAD_MUTEX_INITIALIZER \
    }
#endif

int port_mutex_init(port_mutex_t *mutex);     /* 0 or an errno value */
void port_mutex_destroy(port_mutex_t *mutex); /* unlocked */
void port_mutex_lock(port_mutex_t *mutex);
bool port_mutex_trylock(port_mutex_t *mutex); /* true: locked */
void port_mutex_unlock(port_mutex_t *mutex);

#endif /* PORT_MUTEX_H */

/* SPDX-License-Identifier: MIT */
#include "port/port_mutex.h"

int port_mutex_init(port_mutex_t *mutex)
{
    return pthread_mutex_init(&mutex->lock, NULL);
}

void port_mutex_destroy(port_mutex_t *mutex)
{
    pthread_mutex_destroy(&mutex->lock);
}

void port_mutex_lock(port_mutex_t *mutex)
{
    pthread_mutex_lock(&mutex->lock);
}

bool port_mutex_trylock(port_mutex_t *mutex)
{
    return pthread_mutex_trylock(&mutex->lock) == 0;
}

void port_mutex_unlock(port_mutex_t *mutex)
{
    pthread_mutex_unlock(&mutex->lock);
}

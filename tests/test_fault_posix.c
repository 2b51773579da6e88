/* SPDX-License-Identifier: MIT */
/* Linked with -Wl,--wrap=pthread_create. */
#include "test_fault.h"

#include <errno.h>
#include <pthread.h>

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*proc)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*proc)(void *),
                          void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*proc)(void *),
                          void *arg)
{
    return test_take(&test_threads_left) ? __real_pthread_create(thread, attr, proc, arg) : EAGAIN;
}

/* SPDX-License-Identifier: MIT */
/*
 * test_fault.h - refuse allocations and threads; for test programs that are linked with
 * -Wl,--wrap=pthread_create and the library's objects
 */
#ifndef TEST_FAULT_H
#define TEST_FAULT_H

#include "port/port_memory.h"

#include <errno.h>

#include <pthread.h>

#include <stdatomic.h>

/* What is left before the next one is refused; below 0: never.  Then `refused` counts. */
static _Atomic int test_allocations_left = -1;
static _Atomic int test_threads_left = -1;
static _Atomic int test_refused;
static _Atomic int test_refuse_for_good;

static inline bool test_take(_Atomic int *left)
{
    int before = atomic_load(left);

    if (before < 0)
        return true;
    if (before == 0) {
        atomic_fetch_add(&test_refused, 1);
        if (!atomic_load(&test_refuse_for_good))
            atomic_store(left, -1);
        return false;
    }
    atomic_store(left, before - 1);
    return true;
}

static inline bool test_memory_hook(size_t size)
{
    (void)size;
    return test_take(&test_allocations_left);
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*proc)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*proc)(void *),
                          void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*proc)(void *),
                          void *arg)
{
    return test_take(&test_threads_left) ? __real_pthread_create(thread, attr, proc, arg) : EAGAIN;
}

#endif /* TEST_FAULT_H */

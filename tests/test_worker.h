/* SPDX-License-Identifier: MIT */
/*
 * test_worker.h - what the tests of workers share
 */
#ifndef TEST_WORKER_H
#define TEST_WORKER_H

#include "testlib.h"

#define LONG_MS 20000 /* how long what must come is waited for */

static inline void *until_stop(void *context)
{
    ck_assert(async_worker_wait_stop(NULL, -1));
    return context;
}

static inline async_worker_t *start(async_worker_proc_t proc, void *context)
{
    async_worker_t *worker = async_worker_create(proc, context, 0);

    ck_assert_ptr_nonnull(worker);
    return worker;
}

static inline void stop(async_worker_t *worker)
{
    async_worker_signal_stop(worker);
    ck_assert(async_worker_join(worker, LONG_MS));
    async_worker_destroy(worker);
}

#endif /* TEST_WORKER_H */

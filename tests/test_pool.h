/* SPDX-License-Identifier: MIT */
/*
 * test_pool.h - what the tests of pools share: one runtime, one pool, a gate that holds jobs
 */
#ifndef TEST_POOL_H
#define TEST_POOL_H

#include "testlib.h"

#include <stdatomic.h>

#define LONG_MS 20000

#define ck_fails(call, err)                          \
    do {                                             \
        errno = 0;                                   \
        ck_assert(!(call));                          \
        ck_assert_int_eq(errno, (err));              \
        ck_assert_int_eq(async_last_error(), (err)); \
    } while (0)

static async_runtime_t *runtime;
static async_pool_t *pool;
static _Atomic int gate_entered, gate_open, ran;

/* Which backend a loop test has; false: there is none of this number, or not here. */
static inline bool open_runtime(int number)
{
    async_runtime_options_t options = ASYNC_RUNTIME_OPTIONS_INIT;

    options.backend = async_runtime_backends()[number];
    runtime = async_runtime_init_with(&options);
    ck_assert(runtime != NULL || errno == ENOTSUP);
    return runtime != NULL;
}

static inline async_pool_t *new_pool(size_t threads)
{
    async_pool_options_t options = ASYNC_POOL_OPTIONS_INIT;
    async_pool_t *made;

    options.threads = threads;
    made = async_pool_create(runtime, &options);
    ck_assert_ptr_nonnull(made);
    return made;
}

static inline bool open_pool(int number, size_t threads)
{
    if (!open_runtime(number))
        return false;
    pool = new_pool(threads);
    return true;
}

static inline void close_pool(void)
{
    async_pool_destroy(pool);
    async_runtime_deinit(runtime);
}

static inline void *count_run(void *arg)
{
    atomic_fetch_add(&ran, 1);
    return arg;
}

static inline void *pass_gate(void *arg)
{
    atomic_fetch_add(&gate_entered, 1);
    while (!atomic_load(&gate_open))
        tl_sleep_ms(1);
    return arg;
}

static inline void until(_Atomic int *count, int wanted)
{
    while (atomic_load(count) < wanted)
        tl_sleep_ms(1);
}

static inline uint64_t submit(async_pool_proc_t proc, void *arg, uintptr_t key)
{
    uint64_t id = async_pool_submit(pool, proc, arg, key);

    ck_assert_uint_ne(id, 0);
    return id;
}

static inline async_event_t next(void)
{
    async_event_t event;

    ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, LONG_MS), 1);
    ck_assert_uint_eq(event.event_type, ASYNC_EVENT_COMPLETION);
    return event;
}

static inline void nothing_comes(void)
{
    async_event_t event;

    ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, 20), 0);
}

static inline async_pool_stats_t stats(void)
{
    async_pool_stats_t got;

    memset(&got, 0xff, sizeof(got));
    async_pool_get_stats(pool, &got);
    ck_assert_uint_eq(got.submitted, got.waiting + got.running + got.completed + got.cancelled);
    for (int i = 0; i < 4; i++)
        ck_assert_uint_eq(got.reserved[i], 0);
    return got;
}

/* For a fixture: where there is no fork, an earlier test has had them. */
static inline void reset_pool(void)
{
    atomic_store(&gate_entered, 0);
    atomic_store(&gate_open, 0);
    atomic_store(&ran, 0);
}

static inline int count_backends(void)
{
    int count = 0;

    while (async_runtime_backends()[count] != NULL)
        count++;
    return count;
}

#endif /* TEST_POOL_H */

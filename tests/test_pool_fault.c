/* SPDX-License-Identifier: MIT */
/*
 * Pools without memory and without threads; no allocation and no system call in a stream of jobs.
 */
#include "test_fault.h"
#include "testlib.h"

#define LONG_MS 20000

static async_runtime_t *runtime;
static async_pool_t *pool;
static _Atomic int gate_entered, gate_open;

static void open_pool(size_t threads)
{
    async_pool_options_t options = ASYNC_POOL_OPTIONS_INIT;

    options.threads = threads;
    runtime = async_runtime_init();
    ck_assert_ptr_nonnull(runtime);
    pool = async_pool_create(runtime, &options);
    ck_assert_ptr_nonnull(pool);
}

static void *return_arg(void *arg)
{
    return arg;
}

static void *pass_gate(void *arg)
{
    atomic_fetch_add(&gate_entered, 1);
    while (!atomic_load(&gate_open))
        tl_sleep_ms(1);
    return arg;
}

static int drain(int timeout_ms)
{
    async_event_t events[64];
    int got = 0, n;

    while ((n = async_runtime_wait(runtime, events, 64, timeout_ms)) > 0)
        got += n;
    return got;
}

static async_pool_stats_t stats(void)
{
    async_pool_stats_t got;

    async_pool_get_stats(pool, &got);
    return got;
}

/* ---- memory ---- */

START_TEST(create_without_memory)
{
    runtime = async_runtime_init();
    port_memory_set_hook(test_memory_hook);
    for (int n = 0;; n++) {
        atomic_store(&test_allocations_left, n);
        errno = 0;
        pool = async_pool_create(runtime, NULL);
        atomic_store(&test_allocations_left, -1);
        if (pool != NULL) {
            ck_assert_int_gt(n, 0);
            break;
        }
        ck_assert_int_eq(errno, ENOMEM);
    }
    async_pool_destroy(pool);
    async_runtime_deinit(runtime);
}
END_TEST

/* The first, second, ... allocation of 200 submits is refused: each job is accepted and completes,
 * or is refused and does not. */
static void submit_without_memory(int for_good)
{
    int refused = 0;

    port_memory_set_hook(test_memory_hook);
    atomic_store(&test_refuse_for_good, for_good);
    for (int n = 0; n < 20; n++) {
        int accepted = 0;

        open_pool(2);
        atomic_store(&gate_open, 0);
        atomic_store(&gate_entered, 0);
        atomic_store(&test_allocations_left, n);
        for (int i = 0; i < 200; i++) {
            errno = 0;
            if (async_pool_submit(pool, i < 2 ? pass_gate : return_arg, NULL, 0) != 0) {
                accepted++;
            } else {
                ck_assert_int_eq(errno, ENOMEM);
                refused++;
            }
        }
        /* what was accepted needs no memory any more */
        atomic_store(&test_allocations_left, 0);
        atomic_store(&test_refuse_for_good, 1);
        atomic_store(&gate_open, 1);
        for (int got = 0; got < accepted;) {
            async_event_t event;

            ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, LONG_MS), 1);
            got++;
        }
        atomic_store(&test_allocations_left, -1);
        atomic_store(&test_refuse_for_good, for_good);
        ck_assert_int_eq(drain(5), 0);
        ck_assert_uint_eq(stats().completed, (uint64_t)accepted);
        ck_assert_uint_eq(stats().rejected, (uint64_t)(200 - accepted));
        async_pool_destroy(pool);
        async_runtime_deinit(runtime);
    }
    ck_assert_int_gt(refused, 0);
}

START_TEST(submit_without_memory_once)
{
    submit_without_memory(0);
}
END_TEST

START_TEST(submit_without_memory_for_good)
{
    submit_without_memory(1);
}
END_TEST

/* Cancel, shutdown and destroy work when nothing can be allocated. */
START_TEST(end_without_memory)
{
    uint64_t id;

    open_pool(1);
    ck_assert_uint_ne(async_pool_submit(pool, pass_gate, NULL, 0), 0);
    while (atomic_load(&gate_entered) == 0)
        tl_sleep_ms(1);
    id = async_pool_submit(pool, return_arg, NULL, 0);
    ck_assert_uint_ne(async_pool_submit(pool, return_arg, NULL, 0), 0);
    port_memory_set_hook(test_memory_hook);
    atomic_store(&test_refuse_for_good, 1);
    atomic_store(&test_allocations_left, 0);
    ck_assert_int_eq(async_pool_cancel(pool, id), 0);
    ck_assert(!async_pool_shutdown(pool, 0));
    atomic_store(&gate_open, 1);
    async_pool_destroy(pool);
    ck_assert_int_eq(drain(0), 3);
    ck_assert_int_eq(atomic_load(&test_refused), 0);
    async_runtime_deinit(runtime);
}
END_TEST

static _Atomic int allocations;

static bool count_allocation(size_t size)
{
    (void)size;
    atomic_fetch_add(&allocations, 1);
    return true;
}

static void pump(int jobs)
{
    for (int i = 0; i < jobs; i++) {
        async_event_t event;

        ck_assert_uint_ne(async_pool_submit(pool, return_arg, NULL, 0), 0);
        ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, LONG_MS), 1);
    }
}

/* Records are used again: a stream of jobs allocates nothing. */
START_TEST(stream_without_allocation)
{
    open_pool(1);
    pump(100);
    port_memory_set_hook(count_allocation);
    pump(2000);
    port_memory_set_hook(NULL);
    ck_assert_int_eq(atomic_load(&allocations), 0);
    async_pool_destroy(pool);
    async_runtime_deinit(runtime);
}
END_TEST

/* ---- threads ---- */

START_TEST(no_thread_at_all)
{
    open_pool(2);
    atomic_store(&test_refuse_for_good, 1);
    atomic_store(&test_threads_left, 0);
    for (int i = 0; i < 50; i++) {
        errno = 0;
        ck_assert_uint_eq(async_pool_submit(pool, return_arg, NULL, 0), 0);
        ck_assert_int_eq(errno, EAGAIN);
        ck_assert_int_eq(async_last_error(), EAGAIN);
    }
    ck_assert_uint_eq(stats().threads, 0);
    ck_assert_uint_eq(stats().rejected, 50);
    ck_assert_uint_eq(stats().submitted, 0);
    ck_assert_int_eq(drain(5), 0);
    /* it works as soon as there is one */
    atomic_store(&test_threads_left, -1);
    pump(10);
    async_pool_destroy(pool);
    async_runtime_deinit(runtime);
}
END_TEST

START_TEST(one_thread_is_enough)
{
    open_pool(4);
    atomic_store(&test_refuse_for_good, 1);
    atomic_store(&test_threads_left, 1);
    ck_assert_uint_ne(async_pool_submit(pool, pass_gate, NULL, 0), 0);
    for (int i = 0; i < 50; i++)
        ck_assert_uint_ne(async_pool_submit(pool, return_arg, NULL, 0), 0);
    ck_assert_uint_eq(stats().threads, 1);
    ck_assert_int_gt(atomic_load(&test_refused), 0);
    atomic_store(&gate_open, 1);
    for (int got = 0; got < 51; got++) {
        async_event_t event;

        ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, LONG_MS), 1);
    }
    async_pool_destroy(pool);
    async_runtime_deinit(runtime);
}
END_TEST

static void reset(void)
{
    test_fault_reset();
    atomic_store(&gate_entered, 0);
    atomic_store(&gate_open, 0);
    atomic_store(&allocations, 0);
}

static void add_case(Suite *suite)
{
    TCase *tcase = tl_case(suite, "pool_fault");

    tcase_add_checked_fixture(tcase, reset, test_fault_reset);
    tcase_add_test(tcase, create_without_memory);
    tcase_add_test(tcase, submit_without_memory_once);
    tcase_add_test(tcase, submit_without_memory_for_good);
    tcase_add_test(tcase, end_without_memory);
    tcase_add_test(tcase, stream_without_allocation);
    tcase_add_test(tcase, no_thread_at_all);
    tcase_add_test(tcase, one_thread_is_enough);
}

int main(void)
{
    return tl_main("pool_fault", add_case);
}

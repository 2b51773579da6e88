/* SPDX-License-Identifier: MIT */
/*
 * What async_pool.h promises of the end of pools: shutdown, destroy, either one outliving the
 * other; on each backend.
 */
#include "test_pool.h"

/* ---- shutdown, destroy ---- */

START_TEST(shutdown_cancels_and_waits)
{
    if (!open_pool(_i, 1))
        return;
    submit(pass_gate, NULL, 1);
    until(&gate_entered, 1);
    for (int i = 0; i < 10; i++)
        submit(count_run, NULL, (uintptr_t)(10 + i));
    ck_fails(async_pool_shutdown(pool, 0), ETIMEDOUT);
    for (int i = 0; i < 10; i++) {
        async_event_t event = next();

        ck_assert_uint_eq(event.completion_key, (uintptr_t)(10 + i));
        ck_assert_int_eq(event.error, ECANCELED);
    }
    ck_fails(async_pool_submit(pool, count_run, NULL, 0), EPIPE);
    ck_fails(async_pool_shutdown(pool, 20), ETIMEDOUT);
    ck_assert_uint_eq(stats().running, 1);
    atomic_store(&gate_open, 1);
    errno = 77;
    ck_assert(async_pool_shutdown(pool, -1));
    ck_assert_int_eq(errno, 77);
    /* what ran has been posted by now */
    ck_assert_uint_eq(next().completion_key, 1);
    ck_assert(async_pool_shutdown(pool, 0));
    ck_fails(async_pool_submit(pool, count_run, NULL, 0), EPIPE);
    ck_assert_uint_eq(stats().rejected, 2);
    ck_assert_int_eq(atomic_load(&ran), 0);
    nothing_comes();
    close_pool();
}
END_TEST

/* After a shutdown the loop finds every completion without waiting. */
START_TEST(shutdown_leaves_all_posted)
{
    if (!open_runtime(_i))
        return;
    for (int round = 0; round < 100; round++) {
        async_event_t events[64];
        int got = 0, n;

        pool = new_pool(3);
        for (int i = 0; i < 40; i++)
            submit(count_run, NULL, 0);
        ck_assert(async_pool_shutdown(pool, -1));
        while ((n = async_runtime_wait(runtime, events, 64, 0)) > 0)
            got += n;
        ck_assert_int_eq(got, 40);
        async_pool_destroy(pool);
    }
    async_runtime_deinit(runtime);
}
END_TEST

START_TEST(completions_outlive_the_pool)
{
    if (!open_pool(_i, 2))
        return;
    for (int i = 0; i < 200; i++)
        submit(count_run, NULL, (uintptr_t)i);
    async_pool_destroy(pool);
    for (int i = 0; i < 200; i++)
        next();
    nothing_comes();
    async_runtime_deinit(runtime);
}
END_TEST

START_TEST(pool_outlives_the_runtime)
{
    if (!open_pool(_i, 2))
        return;
    for (int i = 0; i < 100; i++)
        submit(count_run, NULL, 0);
    submit(pass_gate, NULL, 0);
    for (int i = 0; i < 10; i++)
        submit(count_run, NULL, 0);
    until(&gate_entered, 1);
    async_runtime_deinit(runtime);
    submit(count_run, NULL, 0);
    atomic_store(&gate_open, 1);
    until(&ran, 111);
    async_pool_cancel(pool, submit(count_run, NULL, 0));
    async_pool_destroy(pool);
}
END_TEST

/* Completions are still queued in a runtime that ends after the pool. */
START_TEST(both_end_with_completions_queued)
{
    if (!open_pool(_i, 2))
        return;
    for (int i = 0; i < 100; i++)
        submit(count_run, NULL, 0);
    close_pool();
}
END_TEST

static void *shutdown_from_job(void *arg)
{
    errno = 0;
    return !async_pool_shutdown(pool, -1) && errno == EDEADLK ? arg : NULL;
}

START_TEST(shutdown_from_a_job)
{
    int thing;

    if (!open_pool(_i, 1))
        return;
    submit(shutdown_from_job, &thing, 0);
    ck_assert_uint_eq(next().data, (uintptr_t)&thing);
    /* it changed nothing */
    submit(count_run, NULL, 0);
    next();
    close_pool();
}
END_TEST

static void *destroy_from_job(void *arg)
{
    until(&ran, 1); /* all is submitted */
    async_pool_destroy(pool);
    atomic_store(&gate_open, 1);
    return arg;
}

START_TEST(destroy_from_a_job)
{
    int threads;

    if (!open_pool(_i, 2))
        return;
    submit(count_run, NULL, 0);
    next();
    async_pool_destroy(pool);
    threads = tl_thread_count();
    for (int round = 0; round < 50; round++) {
        int waiting = round % 3;

        atomic_store(&gate_open, 0);
        atomic_store(&gate_entered, 0);
        atomic_store(&ran, 0);
        pool = new_pool(2);
        submit(pass_gate, NULL, 0);
        until(&gate_entered, 1);
        submit(destroy_from_job, NULL, 0);
        for (int i = 0; i < waiting; i++)
            submit(count_run, NULL, 7);
        atomic_store(&ran, 1);
        for (int i = 0; i < 2 + waiting; i++) {
            async_event_t event = next();

            ck_assert_int_eq(event.error, event.completion_key == 7 ? ECANCELED : 0);
        }
    }
    ck_assert_int_le(tl_settle_threads(threads), threads);
    nothing_comes();
    async_runtime_deinit(runtime);
}
END_TEST

static void add_case(Suite *suite)
{
    TCase *tcase = tl_case(suite, "pool_end");
    int backends = count_backends();

    tcase_add_checked_fixture(tcase, reset_pool, NULL);
    tcase_add_loop_test(tcase, shutdown_cancels_and_waits, 0, backends);
    tcase_add_loop_test(tcase, shutdown_leaves_all_posted, 0, backends);
    tcase_add_loop_test(tcase, completions_outlive_the_pool, 0, backends);
    tcase_add_loop_test(tcase, pool_outlives_the_runtime, 0, backends);
    tcase_add_loop_test(tcase, both_end_with_completions_queued, 0, backends);
    tcase_add_loop_test(tcase, shutdown_from_a_job, 0, backends);
    tcase_add_loop_test(tcase, destroy_from_a_job, 0, backends);
}

int main(void)
{
    return tl_main("pool_end", add_case);
}

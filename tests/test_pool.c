/* SPDX-License-Identifier: MIT */
/*
 * What async_pool.h promises of jobs and threads, on each backend.
 */
#include "test_pool.h"

/* ---- jobs and completions ---- */

START_TEST(job_ends_in_one_completion)
{
    async_event_t event;
    uint64_t id;
    int thing;

    if (!open_pool(_i, 0))
        return;
    ck_assert_uint_eq(stats().threads, 0);
    errno = 77;
    id = submit(count_run, &thing, UINTPTR_MAX);
    ck_assert_int_eq(errno, 77);
    event = next();
    ck_assert_uint_eq(event.completion_key, UINTPTR_MAX);
    ck_assert_ptr_eq(event.context, &thing);
    ck_assert_uint_eq(event.data, (uintptr_t)&thing);
    ck_assert_int_eq(event.error, 0);
    ck_assert(event.fd == ASYNC_INVALID_FD);
    /* the counts are there when the completion is */
    ck_assert_uint_eq(stats().completed, 1);
    ck_assert_uint_eq(stats().running, 0);
    ck_fails(async_pool_cancel(pool, id) == 0, ENOENT);
    /* and nothing is left to wait for */
    ck_assert(async_pool_shutdown(pool, 0));
    nothing_comes();
    close_pool();
}
END_TEST

START_TEST(bad_arguments)
{
    async_pool_options_t options = ASYNC_POOL_OPTIONS_INIT;

    if (!open_pool(_i, 1))
        return;
    ck_fails(async_pool_create(NULL, NULL), EINVAL);
    options.size = 0;
    ck_fails(async_pool_create(runtime, &options), EINVAL);
    options.size = sizeof(size_t) - 1;
    ck_fails(async_pool_create(runtime, &options), EINVAL);
    ck_fails(async_pool_submit(NULL, count_run, NULL, 0), EINVAL);
    ck_fails(async_pool_submit(pool, NULL, NULL, 0), EINVAL);
    ck_fails(async_pool_cancel(NULL, 1) == 0, EINVAL);
    ck_fails(async_pool_cancel(pool, 0) == 0, ENOENT);
    ck_fails(async_pool_cancel(pool, 1) == 0, ENOENT);
    ck_fails(async_pool_cancel(pool, UINT64_MAX) == 0, ENOENT);
    ck_fails(async_pool_shutdown(NULL, 0), EINVAL);
    ck_fails(async_pool_shutdown(pool, -2), EINVAL);
    async_pool_destroy(NULL);
    async_pool_get_stats(pool, NULL);
    async_pool_get_stats(NULL, &(async_pool_stats_t){0});
    close_pool();
}
END_TEST

static char name[32];

/* Returns NULL when the system does not tell the name. */
static void *take_name(void *arg)
{
    return tl_thread_name(name, sizeof(name)) ? arg : NULL;
}

static void check_name(const char *expected)
{
    submit(take_name, name, 0);
    if (next().data != 0)
        ck_assert_str_eq(name, expected);
}

START_TEST(pool_options)
{
    async_pool_options_t options = ASYNC_POOL_OPTIONS_INIT;

    if (!open_pool(_i, 0))
        return;
    check_name("async_pool");
    async_pool_destroy(pool);
    options.name = "jobs-with-a-long-name";
    options.stack_size = 1;
    options.idle_ms = UINT64_MAX;
    options.threads = SIZE_MAX;
    pool = async_pool_create(runtime, &options);
    check_name("jobs-with-a-lon");
    async_pool_destroy(pool);
    /* of an earlier version: what it does not have is not read */
    options.size = sizeof(size_t);
    options.name = (const char *)1;
    pool = async_pool_create(runtime, &options);
    check_name("async_pool");
    close_pool();
}
END_TEST

static int order[300];

static void *note_order(void *arg)
{
    order[atomic_fetch_add(&ran, 1)] = *(int *)arg;
    return NULL;
}

START_TEST(jobs_start_in_order)
{
    int numbers[300];

    if (!open_pool(_i, 1))
        return;
    submit(pass_gate, NULL, 1000);
    for (int i = 0; i < 300; i++) {
        numbers[i] = i;
        submit(note_order, &numbers[i], (uintptr_t)i);
    }
    atomic_store(&gate_open, 1);
    ck_assert_uint_eq(next().completion_key, 1000);
    for (int i = 0; i < 300; i++) {
        ck_assert_uint_eq(next().completion_key, (uintptr_t)i);
        ck_assert_int_eq(order[i], i);
    }
    close_pool();
}
END_TEST

/* A short job never waits behind a long one while another thread is free. */
START_TEST(long_job_holds_up_nobody)
{
    if (!open_pool(_i, 2))
        return;
    submit(pass_gate, NULL, 1);
    for (int i = 0; i < 100; i++)
        submit(count_run, NULL, 2);
    for (int i = 0; i < 100; i++)
        ck_assert_uint_eq(next().completion_key, 2);
    atomic_store(&gate_open, 1);
    ck_assert_uint_eq(next().completion_key, 1);
    close_pool();
}
END_TEST

START_TEST(many_jobs_each_complete_once)
{
    enum { JOBS = 20000 };
    unsigned char *seen = calloc(JOBS, 1);
    uint64_t last_id = 0;
    int got = 0;

    if (!open_pool(_i, 3)) {
        free(seen);
        return;
    }
    for (int i = 0; i < JOBS; i++) {
        uint64_t id = submit(count_run, seen + i, (uintptr_t)i);
        async_event_t events[16];
        int n = async_runtime_wait(runtime, events, 16, 0);

        ck_assert_uint_gt(id, last_id);
        last_id = id;
        for (int j = 0; j < n; j++, got++)
            seen[events[j].completion_key]++;
        if (i % 1000 == 0)
            stats();
    }
    for (; got < JOBS; got++)
        seen[next().completion_key]++;
    nothing_comes();
    for (int i = 0; i < JOBS; i++)
        ck_assert_int_eq(seen[i], 1);
    ck_assert_uint_eq(stats().completed, JOBS);
    close_pool();
    free(seen);
}
END_TEST

static void *submit_more(void *arg)
{
    uintptr_t left = (uintptr_t)arg;

    if (left > 0) {
        submit(submit_more, (void *)(left - 1), 1);
        submit(submit_more, (void *)(left - 1), 1);
    }
    return NULL;
}

START_TEST(jobs_submit_jobs)
{
    if (!open_pool(_i, 2))
        return;
    submit(submit_more, (void *)10, 1);
    for (int i = 0; i < 2047; i++)
        next();
    nothing_comes();
    close_pool();
}
END_TEST

/* ---- threads ---- */

START_TEST(threads_start_when_needed)
{
    int threads = tl_thread_count();

    if (!open_pool(_i, 3))
        return;
    ck_assert_int_le(tl_settle_threads(threads), threads);
    /* one after the other: each time an idle thread is there */
    for (int i = 0; i < 50; i++) {
        submit(count_run, NULL, 0);
        next();
        ck_assert_uint_eq(stats().threads, 1);
        ck_assert_uint_eq(stats().idle, 1);
    }
    for (int i = 1; i <= 5; i++) {
        submit(pass_gate, NULL, 0);
        ck_assert_uint_eq(stats().threads, i < 3 ? (size_t)i : 3);
    }
    until(&gate_entered, 3);
    ck_assert_uint_eq(stats().running, 3);
    ck_assert_uint_eq(stats().idle, 0);
    ck_assert_uint_eq(stats().waiting, 2);
    atomic_store(&gate_open, 1);
    for (int i = 0; i < 5; i++)
        next();
    close_pool();
}
END_TEST

START_TEST(idle_threads_end)
{
    async_pool_options_t options = ASYNC_POOL_OPTIONS_INIT;

    if (!open_runtime(_i))
        return;
    options.threads = 3;
    for (options.idle_ms = 0; options.idle_ms <= 20; options.idle_ms += 10) {
        pool = async_pool_create(runtime, &options);
        for (int round = 0; round < 20; round++) {
            for (int i = 0; i < 3; i++)
                submit(count_run, NULL, 0);
            for (int i = 0; i < 3; i++)
                next();
            if (round % 5 == 0)
                while (stats().threads != 0)
                    tl_sleep_ms(1);
            else /* about the time at which they end */
                tl_sleep_ms((unsigned)options.idle_ms);
        }
        async_pool_destroy(pool);
    }
    async_runtime_deinit(runtime);
}
END_TEST

START_TEST(no_thread_is_left_after_destroy)
{
    int threads, fds;

    if (!open_pool(_i, 4))
        return;
    submit(count_run, NULL, 0);
    next();
    async_pool_destroy(pool);
    /* after a first thread: a sanitizer's own thread comes with that */
    threads = tl_thread_count();
    fds = tl_fd_count();
    for (int round = 0; round < 100; round++) {
        pool = new_pool(4);
        for (int i = 0; i < 8; i++)
            submit(count_run, NULL, 0);
        async_pool_destroy(pool);
        /* the system's list of threads lags behind a join by a moment */
        ck_assert_int_le(tl_settle_threads(threads), threads);
    }
    ck_assert_int_eq(tl_fd_count(), fds);
    for (int i = 0; i < 800; i++)
        next();
    nothing_comes();
    async_runtime_deinit(runtime);
}
END_TEST

/* ---- cancel, limit ---- */

START_TEST(cancel_a_waiting_job)
{
    uint64_t gate, waiting[40];
    int thing;

    if (!open_pool(_i, 1))
        return;
    gate = submit(pass_gate, NULL, 100);
    until(&gate_entered, 1);
    ck_fails(async_pool_cancel(pool, gate) == 0, EALREADY);
    for (int i = 0; i < 40; i++)
        waiting[i] = submit(count_run, &thing, (uintptr_t)i);
    ck_fails(async_pool_cancel(pool, waiting[39] + 1) == 0, ENOENT);
    for (int i = 0; i < 40; i += 2) {
        async_event_t event;

        errno = 77;
        ck_assert_int_eq(async_pool_cancel(pool, waiting[i]), 0);
        ck_assert_int_eq(errno, 77);
        ck_fails(async_pool_cancel(pool, waiting[i]) == 0, ENOENT);
        event = next();
        ck_assert_uint_eq(event.completion_key, (uintptr_t)i);
        ck_assert_int_eq(event.error, ECANCELED);
        ck_assert_ptr_eq(event.context, &thing);
        ck_assert_uint_eq(event.data, 0);
    }
    ck_assert_uint_eq(stats().cancelled, 20);
    ck_assert_uint_eq(stats().waiting, 20);
    atomic_store(&gate_open, 1);
    ck_assert_uint_eq(next().completion_key, 100);
    for (int i = 1; i < 40; i += 2)
        ck_assert_uint_eq(next().completion_key, (uintptr_t)i);
    ck_assert_int_eq(atomic_load(&ran), 20);
    nothing_comes();
    close_pool();
}
END_TEST

/* Most jobs are cancelled behind a stuck one: the queue is squeezed, and ids are still found. */
START_TEST(cancel_very_many)
{
    enum { KEPT = 50, ROUNDS = 200 };
    uint64_t kept[KEPT];

    if (!open_pool(_i, 1))
        return;
    submit(pass_gate, NULL, 1);
    until(&gate_entered, 1);
    for (int i = 0; i < KEPT; i++) {
        kept[i] = submit(count_run, NULL, (uintptr_t)(1000 + i));
        for (int j = 0; j < ROUNDS; j++)
            ck_assert_int_eq(async_pool_cancel(pool, submit(count_run, NULL, 2)), 0);
    }
    for (int i = 0; i < KEPT * ROUNDS; i++)
        ck_assert_uint_eq(next().completion_key, 2);
    for (int i = 0; i < KEPT; i += 2) {
        ck_fails(async_pool_cancel(pool, kept[i] + 1) == 0, ENOENT);
        ck_assert_int_eq(async_pool_cancel(pool, kept[i]), 0);
        ck_assert_int_eq(next().error, ECANCELED);
    }
    atomic_store(&gate_open, 1);
    ck_assert_uint_eq(next().completion_key, 1);
    for (int i = 1; i < KEPT; i += 2)
        ck_assert_uint_eq(next().completion_key, (uintptr_t)(1000 + i));
    ck_assert_int_eq(atomic_load(&ran), KEPT / 2);
    close_pool();
}
END_TEST

/* Those that a thread is on its way to do not count, from the first submit on. */
START_TEST(queue_limit)
{
    async_pool_options_t options = ASYNC_POOL_OPTIONS_INIT;

    if (!open_runtime(_i))
        return;
    options.threads = 2;
    options.queue_limit = 3;
    pool = async_pool_create(runtime, &options);
    for (int i = 0; i < 5; i++)
        submit(pass_gate, NULL, 0);
    ck_fails(async_pool_submit(pool, count_run, NULL, 0), EAGAIN);
    until(&gate_entered, 2);
    ck_fails(async_pool_submit(pool, count_run, NULL, 0), EAGAIN);
    ck_assert_uint_eq(stats().rejected, 2);
    ck_assert_uint_eq(stats().waiting, 3);
    ck_assert_uint_eq(stats().submitted, 5);
    atomic_store(&gate_open, 1);
    for (int i = 0; i < 5; i++)
        next();
    submit(count_run, NULL, 0);
    next();
    nothing_comes();
    close_pool();
}
END_TEST

/* ---- all at once ---- */

enum { SUBMITTERS = 3, STRESS_JOBS = 4000 };

static _Atomic int cancels;

/* Submits, and tries to cancel every third job a little later. */
static void submit_and_cancel(void *context)
{
    uint64_t recent[8] = {0};
    uintptr_t base = (uintptr_t)context * STRESS_JOBS;

    for (unsigned i = 0; i < STRESS_JOBS; i++) {
        uint64_t *slot = &recent[i % 8];

        if (i % 3 == 0 && *slot != 0 && async_pool_cancel(pool, *slot) == 0)
            atomic_fetch_add(&cancels, 1);
        *slot = submit(count_run, NULL, base + i);
        if (i % 512 == 511)
            tl_sleep_ms(1); /* idle threads end, or go to sleep */
    }
}

START_TEST(stress)
{
    async_pool_options_t options = ASYNC_POOL_OPTIONS_INIT;
    unsigned char *seen = calloc(SUBMITTERS, STRESS_JOBS);
    tl_thread_t *threads[SUBMITTERS];
    int ended_cancelled = 0;

    if (!open_runtime(_i)) {
        free(seen);
        return;
    }
    for (int round = 0; round < 2; round++) {
        options.threads = 3;
        options.idle_ms = round == 0 ? 0 : 1;
        pool = async_pool_create(runtime, &options);
        for (uintptr_t i = 0; i < SUBMITTERS; i++)
            threads[i] = tl_thread_start(submit_and_cancel, (void *)i);
        for (int i = 0; i < SUBMITTERS * STRESS_JOBS; i++) {
            async_event_t event = next();

            seen[event.completion_key]++;
            ended_cancelled += event.error == ECANCELED;
            if (i % 1000 == 0)
                stats();
        }
        for (int i = 0; i < SUBMITTERS; i++)
            tl_thread_join(threads[i]);
        ck_assert_uint_eq(stats().submitted, SUBMITTERS * STRESS_JOBS);
        async_pool_destroy(pool);
        for (int i = 0; i < SUBMITTERS * STRESS_JOBS; i++)
            ck_assert_int_eq(seen[i], round + 1);
    }
    nothing_comes();
    ck_assert_int_eq(ended_cancelled, atomic_load(&cancels));
    ck_assert_int_eq(atomic_load(&ran) + ended_cancelled, 2 * SUBMITTERS * STRESS_JOBS);
    async_runtime_deinit(runtime);
    free(seen);
}
END_TEST

static void reset(void)
{
    reset_pool();
    atomic_store(&cancels, 0);
}

static void add_case(Suite *suite)
{
    TCase *tcase = tl_case(suite, "pool");
    int backends = count_backends();

    tcase_add_checked_fixture(tcase, reset, NULL);
    tcase_add_loop_test(tcase, job_ends_in_one_completion, 0, backends);
    tcase_add_loop_test(tcase, bad_arguments, 0, backends);
    tcase_add_loop_test(tcase, pool_options, 0, backends);
    tcase_add_loop_test(tcase, jobs_start_in_order, 0, backends);
    tcase_add_loop_test(tcase, long_job_holds_up_nobody, 0, backends);
    tcase_add_loop_test(tcase, many_jobs_each_complete_once, 0, backends);
    tcase_add_loop_test(tcase, jobs_submit_jobs, 0, backends);
    tcase_add_loop_test(tcase, threads_start_when_needed, 0, backends);
    tcase_add_loop_test(tcase, idle_threads_end, 0, backends);
    tcase_add_loop_test(tcase, no_thread_is_left_after_destroy, 0, backends);
    tcase_add_loop_test(tcase, cancel_a_waiting_job, 0, backends);
    tcase_add_loop_test(tcase, cancel_very_many, 0, backends);
    tcase_add_loop_test(tcase, queue_limit, 0, backends);
    tcase_add_loop_test(tcase, stress, 0, backends);
}

int main(void)
{
    return tl_main("pool", add_case);
}

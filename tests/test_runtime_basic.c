/* SPDX-License-Identifier: MIT */
/*
 * test_runtime_basic.c - choosing a backend, options, bad arguments, wait and wakeup, statistics
 */
#include "testlib.h"

#include <limits.h>
#include <stdatomic.h>

/* ---- the backend and the options */

/* "those built in, NULL at the end"; "the platform's default first" */
START_TEST(test_backends_and_default)
{
    const char *const *names = async_runtime_backends();
    async_runtime_t *runtime;
    size_t count = 0;

    ck_assert_ptr_nonnull(names);
    while (names[count] != NULL) {
        for (size_t i = 0; i < count; i++)
            ck_assert_str_ne(names[i], names[count]);
        count++;
    }
    ck_assert_uint_ge(count, 1);
    ck_assert_str_ne(names[0], "io_uring");
    tl_setenv("ASYNCRT_BACKEND", NULL);
    runtime = async_runtime_init();
    ck_assert_ptr_nonnull(runtime);
    ck_assert_str_eq(async_runtime_get_backend(runtime), names[0]);
    async_runtime_deinit(runtime);
}
END_TEST

/* "options.backend, else the environment variable ASYNCRT_BACKEND" */
START_TEST(test_backend_by_option)
{
    for (const char *const *name = async_runtime_backends(); *name != NULL; name++) {
        async_runtime_options_t options = ASYNC_RUNTIME_OPTIONS_INIT;
        async_runtime_t *runtime;

        tl_setenv("ASYNCRT_BACKEND", "no-such-backend");
        options.backend = *name;
        runtime = async_runtime_init_with(&options);
        if (runtime == NULL) {
            ck_assert_str_eq(*name, "io_uring"); /* the one that a system may refuse */
            ck_assert_int_eq(errno, ENOTSUP);
        } else {
            ck_assert_str_eq(async_runtime_get_backend(runtime), *name);
        }
        async_runtime_deinit(runtime);
        tl_setenv("ASYNCRT_BACKEND", *name);
        if (runtime != NULL)
            async_runtime_deinit(tl_runtime());
    }
}
END_TEST

/* "One that is not built in or that the system refuses: NULL, ENOTSUP." */
START_TEST(test_unknown_backend)
{
    async_runtime_options_t options = ASYNC_RUNTIME_OPTIONS_INIT;

    options.backend = "no-such-backend";
    TL_FAILS_WITH(async_runtime_init_with(&options), NULL, ENOTSUP);
    options.backend = "epol"; /* no prefix of a name either */
    TL_FAILS_WITH(async_runtime_init_with(&options), NULL, ENOTSUP);
    tl_setenv("ASYNCRT_BACKEND", "epoll2");
    TL_FAILS_WITH(async_runtime_init(), NULL, ENOTSUP);
    TL_FAILS_WITH(async_runtime_init_with(NULL), NULL, ENOTSUP);
}
END_TEST

/* "NULL means the defaults; size 0 is EINVAL"; "a library that knows more fields than the caller
 * uses defaults for the rest" */
START_TEST(test_options_sizes)
{
    struct {
        async_runtime_options_t options;
        unsigned char future[64];
    } wide;
    async_runtime_options_t options = ASYNC_RUNTIME_OPTIONS_INIT;
    async_runtime_t *runtime;

    ck_assert_uint_eq(options.size, sizeof options);
    ck_assert_ptr_null(options.backend);
    ck_assert_uint_eq(options.completion_limit, 0);

    options.size = 0;
    TL_FAILS_WITH(async_runtime_init_with(&options), NULL, EINVAL);
    options.size = sizeof(size_t) - 1;
    TL_FAILS_WITH(async_runtime_init_with(&options), NULL, EINVAL);

    /* An old caller, whose structure ends after its size: what lies behind is not read. */
    memset(&options, 0x5a, sizeof options);
    options.size = sizeof(size_t);
    runtime = async_runtime_init_with(&options);
    ck_assert_ptr_nonnull(runtime);
    for (int i = 0; i < 1000; i++)
        TL_OK(async_runtime_post_completion(runtime, 1, 1));
    async_runtime_deinit(runtime);

    /* One that knows the backend only. */
    options.backend = NULL;
    options.completion_limit = 1;
    options.size = offsetof(async_runtime_options_t, completion_limit);
    runtime = async_runtime_init_with(&options);
    ck_assert_ptr_nonnull(runtime);
    TL_OK(async_runtime_post_completion(runtime, 1, 1));
    TL_OK(async_runtime_post_completion(runtime, 1, 2));
    async_runtime_deinit(runtime);

    /* A caller of a later release. */
    memset(&wide, 0x5a, sizeof wide);
    wide.options = (async_runtime_options_t)ASYNC_RUNTIME_OPTIONS_INIT;
    wide.options.size = sizeof wide;
    wide.options.completion_limit = 1;
    runtime = async_runtime_init_with(&wide.options);
    ck_assert_ptr_nonnull(runtime);
    TL_OK(async_runtime_post_completion(runtime, 1, 1));
    TL_FAILS(async_runtime_post_completion(runtime, 1, 2), EAGAIN);
    async_runtime_deinit(runtime);
}
END_TEST

/* ---- bad arguments */

/* "NULL and out-of-range arguments give EINVAL"; "Every deinit takes NULL; functions without a
 * result ignore NULL" */
START_TEST(test_null_runtime)
{
    async_queue_t *queue = async_queue_create(1, 1, 0);
    async_runtime_stats_t stats;
    async_event_t event;
    char byte = 0;

    TL_FAILS_WITH(async_runtime_get_backend(NULL), NULL, EINVAL);
    TL_FAILS(async_runtime_add(NULL, 0, ASYNC_EVENT_READ, NULL), EINVAL);
    TL_FAILS(async_runtime_modify(NULL, 0, ASYNC_EVENT_READ, NULL), EINVAL);
    TL_FAILS(async_runtime_remove(NULL, 0), EINVAL);
    TL_FAILS(async_runtime_wait(NULL, &event, 1, 0), EINVAL);
    TL_FAILS(async_runtime_wakeup(NULL), EINVAL);
    TL_FAILS(async_runtime_post_completion(NULL, 0, 0), EINVAL);
    TL_FAILS(async_runtime_bind_queue(NULL, queue, 0), EINVAL);
    TL_FAILS(async_runtime_post_read(NULL, 0, &byte, 1), EINVAL);
    TL_FAILS(async_runtime_post_write(NULL, 0, &byte, 1), EINVAL);
    TL_FAILS_WITH(async_runtime_add_timer(NULL, 0, 0, NULL), 0, EINVAL);
    TL_FAILS(async_runtime_cancel_timer(NULL, 1), EINVAL);
    TL_FAILS(async_runtime_add_signal(NULL, 2, NULL), EINVAL);
    TL_FAILS(async_runtime_remove_signal(NULL, 2), EINVAL);
    TL_FAILS(async_runtime_add_console(NULL, NULL), EINVAL);
    TL_FAILS_WITH(async_runtime_get_console_type(NULL), ASYNC_CONSOLE_TYPE_NONE, EINVAL);
    TL_FAILS_WITH(async_runtime_get_fd(NULL), ASYNC_INVALID_FD, EINVAL);
    TL_FAILS(async_runtime_get_timeout(NULL), EINVAL);
    async_runtime_deinit(NULL);
    async_runtime_get_stats(NULL, NULL);
    memset(&stats, 0x11, sizeof stats);
    async_runtime_get_stats(NULL, &stats);
    async_queue_destroy(queue);
}
END_TEST

START_TEST(test_bad_arguments)
{
    async_runtime_t *runtime = tl_runtime();
    async_event_t event;

    async_runtime_get_stats(runtime, NULL);
    TL_FAILS(async_runtime_wait(runtime, NULL, 1, 0), EINVAL);
    TL_FAILS(async_runtime_wait(runtime, &event, 0, 0), EINVAL);
    TL_FAILS(async_runtime_wait(runtime, &event, -1, 0), EINVAL);
    TL_FAILS(async_runtime_wait(runtime, &event, INT_MIN, 0), EINVAL);
    TL_FAILS(async_runtime_wait(runtime, &event, 1, -2), EINVAL);
    TL_FAILS(async_runtime_wait(runtime, &event, 1, INT_MIN), EINVAL);
    TL_FAILS(async_runtime_bind_queue(runtime, NULL, 7), EINVAL);
    /* None of them has used up anything. */
    TL_OK(async_runtime_post_completion(runtime, 3, 4));
    TL_FAILS(async_runtime_wait(runtime, NULL, 1, 0), EINVAL);
    TL_FAILS(async_runtime_wait(runtime, &event, 0, -1), EINVAL);
    tl_expect_completion(runtime, 3, 4);
    async_runtime_deinit(runtime);
}
END_TEST

/* ---- wait */

/* "0: time over"; "Success leaves both alone" */
START_TEST(test_wait_timeouts)
{
    async_runtime_t *runtime = tl_runtime();
    async_event_t events[4];
    static const int timeouts[] = {0, 1, 2, 15, 40};

    for (size_t i = 0; i < sizeof timeouts / sizeof timeouts[0]; i++) {
        uint64_t start = tl_now_ns();

        TL_OK(async_runtime_wait(runtime, events, 4, timeouts[i]));
        ck_assert_uint_ge(tl_now_ns() - start, (uint64_t)timeouts[i] * TL_NS_PER_MS);
    }
    async_runtime_deinit(runtime);
}
END_TEST

/* A count of events that no memory could hold is no reason to look for more than there is. */
START_TEST(test_wait_huge_max_events)
{
    async_runtime_t *runtime = tl_runtime();
    async_event_t *events = calloc(8, sizeof *events);

    ck_assert_ptr_nonnull(events);
    TL_OK(async_runtime_post_completion(runtime, 1, 2));
    ck_assert_int_eq(async_runtime_wait(runtime, events, INT_MAX, 0), 1);
    ck_assert_uint_eq(events[0].data, 2);
    free(events);
    async_runtime_deinit(runtime);
}
END_TEST

/* ---- threads */

struct waiter {
    async_runtime_t *runtime;
    async_event_t event;
    int count;
    int error;
    _Atomic bool inside;
};

static void waiter_main(void *arg)
{
    struct waiter *waiter = arg;

    atomic_store(&waiter->inside, true);
    do {
        errno = 0;
        waiter->count = async_runtime_wait(waiter->runtime, &waiter->event, 1, -1);
        waiter->error = errno;
    } while (waiter->error == EBUSY);
}

static tl_thread_t *start_waiter(struct waiter *waiter, async_runtime_t *runtime)
{
    tl_thread_t *thread;

    memset(waiter, 0, sizeof *waiter);
    waiter->runtime = runtime;
    thread = tl_thread_start(waiter_main, waiter);
    while (!atomic_load(&waiter->inside))
        tl_yield();
    return thread;
}

/* "A second concurrent wait fails with EBUSY instead of corrupting anything." */
START_TEST(test_concurrent_wait)
{
    async_runtime_t *runtime = tl_shared_runtime();
    struct waiter waiter;
    async_event_t event;
    tl_thread_t *thread = start_waiter(&waiter, runtime);
    uint64_t end = tl_now_ns() + (uint64_t)TL_WAIT_MS * TL_NS_PER_MS;
    int busy = 0;

    /* The other thread insists until it is inside; then this one is refused each time. */
    while (busy < 20 && tl_now_ns() < end) {
        errno = 0;
        if (async_runtime_wait(runtime, &event, 1, 0) == -1) {
            ck_assert_int_eq(errno, EBUSY);
            ck_assert_int_eq(async_last_error(), EBUSY);
            busy++;
        } else {
            tl_sleep_ms(1);
        }
    }
    ck_assert_int_eq(busy, 20);
    TL_FAILS(async_runtime_wait(runtime, &event, 1, -1), EBUSY);
    TL_OK(async_runtime_post_completion(runtime, 5, 6));
    tl_thread_join(thread);
    ck_assert_int_eq(waiter.count, 1);
    ck_assert_uint_eq(waiter.event.completion_key, 5);
    ck_assert_uint_eq(waiter.event.data, 6);
    /* Nobody waits now: this thread may. */
    TL_OK(async_runtime_post_completion(runtime, 7, 8));
    tl_expect_completion(runtime, 7, 8);
    async_runtime_deinit(runtime);
}
END_TEST

/* "wakeup: Makes the current or the next wait return"; "wait returns 0: wakeup" */
START_TEST(test_wakeup_before_wait)
{
    async_runtime_t *runtime = tl_runtime();
    async_event_t event;

    for (int i = 0; i < 3; i++) {
        TL_OK(async_runtime_wakeup(runtime));
        TL_OK(async_runtime_wait(runtime, &event, 1, -1));
    }
    /* Many are as one: they are no events, and must not be left over. */
    for (int i = 0; i < 1000; i++)
        TL_OK(async_runtime_wakeup(runtime));
    TL_OK(async_runtime_wait(runtime, &event, 1, -1));
    for (int i = 0; i < 2; i++) {
        uint64_t start = tl_now_ns();

        TL_OK(async_runtime_wait(runtime, &event, 1, 10));
        /* The first may still be ended by the last of the wakeups, the second not. */
        if (i == 1)
            ck_assert_uint_ge(tl_now_ns() - start, 10 * TL_NS_PER_MS);
    }
    async_runtime_deinit(runtime);
}
END_TEST

START_TEST(test_wakeup_of_a_sleeper)
{
    async_runtime_t *runtime = tl_shared_runtime();
    struct waiter waiter;

    for (unsigned i = 0; i < tl_scaled(200); i++) {
        tl_thread_t *thread = start_waiter(&waiter, runtime);

        if (i % 4 == 0)
            tl_sleep_ms(1);
        TL_OK(async_runtime_wakeup(runtime));
        tl_thread_join(thread);
        ck_assert_int_eq(waiter.count, 0);
        ck_assert_int_eq(waiter.error, 0);
    }
    async_runtime_deinit(runtime);
}
END_TEST

/* A wakeup takes nothing away: what is pending is returned by the same wait or the next one. */
START_TEST(test_wakeup_keeps_events)
{
    async_runtime_t *runtime = tl_runtime();
    async_fd_t fds[2];
    bool io = false;
    bool completion = false;

    tl_pair(fds);
    TL_OK(async_runtime_add(runtime, fds[0], ASYNC_EVENT_READ, NULL));
    tl_send_text(fds[1], "x");
    TL_OK(async_runtime_post_completion(runtime, 1, 2));
    TL_OK(async_runtime_wakeup(runtime));
    for (int i = 0; i < 4; i++) {
        async_event_t events[4];
        int count = async_runtime_wait(runtime, events, 4, 0);

        for (int k = 0; k < count; k++) {
            io = io || events[k].fd == fds[0];
            completion = completion || events[k].event_type == ASYNC_EVENT_COMPLETION;
        }
    }
    ck_assert(io);
    ck_assert(completion);
    async_runtime_deinit(runtime);
    tl_close_pair(fds);
}
END_TEST

/* "async_last_error returns the same value for the calling thread" */
static void fail_in_another_thread(void *arg)
{
    int *last = arg;

    last[0] = async_last_error();
    (void)async_runtime_wakeup(NULL);
    last[1] = async_last_error();
}

START_TEST(test_last_error_of_each_thread)
{
    async_runtime_t *runtime = tl_runtime();
    int last[2] = {-1, -1};

    TL_FAILS(async_runtime_cancel_timer(runtime, 12345), ENOENT);
    tl_thread_join(tl_thread_start(fail_in_another_thread, last));
    ck_assert_int_eq(last[0], 0);
    ck_assert_int_eq(last[1], EINVAL);
    ck_assert_int_eq(async_last_error(), ENOENT);
    TL_OK(async_runtime_wakeup(runtime));
    ck_assert_int_eq(async_last_error(), ENOENT);
    async_runtime_deinit(runtime);
}
END_TEST

/* ---- several runtimes, the end of one */

/* "no global state": two runtimes in one thread know nothing of each other */
START_TEST(test_two_runtimes)
{
    async_runtime_t *one = tl_runtime();
    async_runtime_t *two = tl_runtime();
    async_fd_t fds[2];
    async_event_t event;

    tl_pair(fds);
    TL_OK(async_runtime_add(one, fds[0], ASYNC_EVENT_READ, tl_context(1)));
    TL_OK(async_runtime_add(two, fds[0], ASYNC_EVENT_READ, tl_context(2)));
    TL_OK(async_runtime_post_completion(one, 1, 1));
    tl_quiet(two);
    tl_expect_completion(one, 1, 1);
    ck_assert_uint_ne(async_runtime_add_timer(two, 0, 0, NULL), 0);
    tl_quiet(one);
    tl_one(two, &event);
    ck_assert_uint_eq(event.event_type, ASYNC_EVENT_TIMER);
    tl_send_text(fds[1], "x");
    tl_expect_io(one, fds[0], ASYNC_EVENT_READ, tl_context(1));
    tl_expect_io(two, fds[0], ASYNC_EVENT_READ, tl_context(2));
    TL_OK(async_runtime_remove(one, fds[0]));
    tl_quiet(one);
    tl_expect_io(two, fds[0], ASYNC_EVENT_READ, tl_context(2));
    async_runtime_deinit(one);
    tl_expect_io(two, fds[0], ASYNC_EVENT_READ, tl_context(2));
    async_runtime_deinit(two);
    tl_close_pair(fds);
}
END_TEST

/* "Registered descriptors stay open and the caller's"; "discards what is pending" */
START_TEST(test_deinit_with_everything_pending)
{
    async_runtime_t *runtime = tl_runtime();
    async_fd_t fds[2];
    async_event_t event;
    char byte;

    tl_pair(fds);
    TL_OK(async_runtime_add(runtime, fds[0], ASYNC_EVENT_READ, NULL));
    TL_OK(async_runtime_add(runtime, fds[1], ASYNC_EVENT_WRITE, NULL));
    tl_send_text(fds[1], "ab");
    for (unsigned i = 0; i < 1000; i++) {
        TL_OK(async_runtime_post_completion(runtime, i, i));
        ck_assert_uint_ne(async_runtime_add_timer(runtime, i * 1000, 0, NULL), 0);
    }
    TL_OK(async_runtime_post_read(runtime, fds[1], &byte, 1));
    TL_OK(async_runtime_wakeup(runtime));
    tl_one(runtime, &event); /* so that the rest has been fetched */
    async_runtime_deinit(runtime);
    tl_recv_text(fds[0], "ab");
    tl_send_text(fds[0], "cd");
    tl_recv_text(fds[1], "cd");
    tl_close_pair(fds);
}
END_TEST

/* "no thread, descriptor or allocation that was not asked for" */
START_TEST(test_no_thread)
{
    int threads = tl_thread_count();
    async_runtime_t *runtime = tl_runtime();

    TL_OK(async_runtime_post_completion(runtime, 1, 2));
    tl_expect_completion(runtime, 1, 2);
    ck_assert_int_le(tl_settle_threads(threads), threads);
    async_runtime_deinit(runtime);
}
END_TEST

START_TEST(test_many_runtimes_one_after_another)
{
    for (unsigned i = 0; i < tl_scaled(300); i++) {
        async_runtime_t *runtime = tl_runtime();

        if (i % 2 == 0)
            TL_OK(async_runtime_post_completion(runtime, i, i));
        async_runtime_deinit(runtime);
    }
}
END_TEST

/* ---- statistics, spinning */

/* "registered, timers, completions_pending; waits, io_events, completions_posted,
 * completions_delivered, wakeups_sent" */
START_TEST(test_stats)
{
    async_runtime_t *runtime = tl_runtime();
    async_runtime_stats_t stats = tl_stats(runtime);
    async_event_t event;
    async_fd_t fds[2];
    uint64_t timer;

    ck_assert_uint_eq(stats.registered, 0);
    ck_assert_uint_eq(stats.timers, 0);
    ck_assert_uint_eq(stats.completions_pending, 0);
    ck_assert_uint_eq(stats.waits, 0);
    ck_assert_uint_eq(stats.io_events, 0);
    ck_assert_uint_eq(stats.completions_posted, 0);
    ck_assert_uint_eq(stats.completions_delivered, 0);
    ck_assert_uint_eq(stats.wakeups_sent, 0);

    tl_pair(fds);
    TL_OK(async_runtime_add(runtime, fds[0], ASYNC_EVENT_READ, NULL));
    TL_OK(async_runtime_add(runtime, fds[1], 0, NULL));
    TL_FAILS(async_runtime_add(runtime, fds[1], 0, NULL), EEXIST);
    timer = async_runtime_add_timer(runtime, 1000000000, 0, NULL);
    for (int i = 0; i < 5; i++)
        TL_OK(async_runtime_post_completion(runtime, 1, 1));
    stats = tl_stats(runtime);
    ck_assert_uint_eq(stats.registered, 2);
    ck_assert_uint_eq(stats.timers, 1);
    ck_assert_uint_eq(stats.completions_pending, 5);
    ck_assert_uint_eq(stats.completions_posted, 5);
    ck_assert_uint_eq(stats.completions_delivered, 0);

    /* What the runtime has fetched and not handed out is pending still. */
    for (size_t left = 5; left > 0; left--) {
        tl_expect_completion(runtime, 1, 1);
        stats = tl_stats(runtime);
        ck_assert_uint_eq(stats.completions_pending, left - 1);
        ck_assert_uint_eq(stats.completions_delivered, 6 - left);
    }
    tl_send_text(fds[1], "x");
    ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, TL_WAIT_MS), 1);
    ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, TL_WAIT_MS), 1);
    TL_OK(async_runtime_cancel_timer(runtime, timer));
    TL_OK(async_runtime_remove(runtime, fds[0]));
    stats = tl_stats(runtime);
    ck_assert_uint_eq(stats.registered, 1);
    ck_assert_uint_eq(stats.timers, 0);
    ck_assert_uint_eq(stats.io_events, 2);
    ck_assert_uint_ge(stats.waits, 7);
    ck_assert_uint_eq(stats.completions_posted, 5);
    ck_assert_uint_eq(stats.wakeups_sent, 0); /* the loop never slept with anybody to wake it */
    async_runtime_deinit(runtime);
    tl_close_pair(fds);
}
END_TEST

struct echo {
    async_runtime_t *runtime;
    async_runtime_t *back;
    unsigned rounds;
};

static void echo_main(void *arg)
{
    struct echo *echo = arg;
    async_event_t event;

    for (unsigned i = 0; i < echo->rounds; i++) {
        while (async_runtime_wait(echo->runtime, &event, 1, -1) != 1)
            continue;
        (void)async_runtime_post_completion(echo->back, event.completion_key, event.data);
    }
}

/* spin_us: "to look for completions before sleeping": nothing else changes */
START_TEST(test_spinning)
{
    async_runtime_options_t options = ASYNC_RUNTIME_OPTIONS_INIT;
    struct echo echo = {NULL, NULL, tl_scaled(2000)};
    tl_thread_t *thread;
    async_event_t event;

    options.spin_us = 200;
    echo.runtime = async_runtime_init_with(&options);
    options.flags = tl_runtime_flags();
    echo.back = async_runtime_init_with(&options);
    ck_assert_ptr_nonnull(echo.runtime);
    ck_assert_ptr_nonnull(echo.back);
    TL_OK(async_runtime_wait(echo.runtime, &event, 1, 5));
    thread = tl_thread_start(echo_main, &echo);
    for (unsigned i = 0; i < echo.rounds; i++) {
        TL_OK(async_runtime_post_completion(echo.runtime, i, ~(uintptr_t)i));
        tl_expect_completion(echo.back, i, ~(uintptr_t)i);
    }
    tl_thread_join(thread);
    ck_assert_uint_ne(async_runtime_add_timer(echo.back, 1000, 0, NULL), 0);
    tl_one(echo.back, &event);
    ck_assert_uint_eq(event.event_type, ASYNC_EVENT_TIMER);
    async_runtime_deinit(echo.runtime);
    async_runtime_deinit(echo.back);
}
END_TEST

static void add_cases(Suite *suite)
{
    TCase *tcase = tl_case(suite, "backend and options");

    tcase_add_test(tcase, test_backends_and_default);
    tcase_add_test(tcase, test_backend_by_option);
    tcase_add_test(tcase, test_unknown_backend);
    tcase_add_test(tcase, test_options_sizes);

    tcase = tl_case(suite, "arguments");
    tcase_add_test(tcase, test_null_runtime);
    tcase_add_test(tcase, test_bad_arguments);

    tcase = tl_case(suite, "wait");
    tcase_add_test(tcase, test_wait_timeouts);
    tcase_add_test(tcase, test_wait_huge_max_events);
    tcase_add_test(tcase, test_concurrent_wait);
    tcase_add_test(tcase, test_wakeup_before_wait);
    tcase_add_test(tcase, test_wakeup_of_a_sleeper);
    tcase_add_test(tcase, test_wakeup_keeps_events);
    tcase_add_test(tcase, test_last_error_of_each_thread);

    tcase = tl_case(suite, "life");
    tcase_add_test(tcase, test_two_runtimes);
    tcase_add_test(tcase, test_deinit_with_everything_pending);
    tcase_add_test(tcase, test_no_thread);
    tcase_add_test(tcase, test_many_runtimes_one_after_another);
    tcase_add_test(tcase, test_stats);
    tcase_add_test(tcase, test_spinning);
}

int main(void)
{
    return tl_main("runtime_basic", add_cases);
}

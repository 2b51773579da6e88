/* SPDX-License-Identifier: MIT */
/*
 * test_runtime_single.c - ASYNC_RUNTIME_SINGLE_THREAD: what other threads may do, and what not
 */
#include "testlib.h"

#include <stdatomic.h>

#define READ ASYNC_EVENT_READ
#define WRITE ASYNC_EVENT_WRITE
#define DONE ASYNC_EVENT_COMPLETION
#define SINGLE ASYNC_RUNTIME_SINGLE_THREAD

static async_runtime_t *runtime;
static async_fd_t fds[2];
static async_fd_t other[2];

static async_runtime_t *with_flags(uint32_t flags)
{
    async_runtime_options_t options = ASYNC_RUNTIME_OPTIONS_INIT;

    options.flags = flags;
    return async_runtime_init_with(&options);
}

static void setup(void)
{
    runtime = with_flags(SINGLE);
    ck_assert_ptr_nonnull(runtime);
    tl_pair(fds);
    tl_pair(other);
}

static void teardown(void)
{
    async_runtime_deinit(runtime);
    tl_close_pair(fds);
    tl_close_pair(other);
}

static void in_another_thread(void (*proc)(void *arg), void *arg)
{
    tl_thread_join(tl_thread_start(proc, arg));
}

/* ---- options */

START_TEST(test_unknown_flags)
{
    for (int bit = 1; bit < 32; bit++)
        TL_FAILS_WITH(with_flags((uint32_t)1 << bit), NULL, EINVAL);
    TL_FAILS_WITH(with_flags(SINGLE | 0x80000000u), NULL, EINVAL);
}
END_TEST

/* A program that was built before there were flags. */
START_TEST(test_older_options)
{
    async_runtime_options_t options = ASYNC_RUNTIME_OPTIONS_INIT;

    options.size = offsetof(async_runtime_options_t, flags);
    options.flags = UINT32_MAX;
    runtime = async_runtime_init_with(&options);
    ck_assert_ptr_nonnull(runtime);
    async_runtime_deinit(runtime);
}
END_TEST

/* ---- what only the loop thread may */

static uint64_t timer;
static async_queue_t *queue;

static void every_call(void *arg)
{
    async_event_t event = {.event_type = 4711};
    char byte = 0;

    (void)arg;
    TL_FAILS(async_runtime_add(runtime, other[0], READ, NULL), EPERM);
    TL_FAILS(async_runtime_add(runtime, fds[0], READ, NULL), EPERM);
    TL_FAILS(async_runtime_add(runtime, ASYNC_INVALID_FD, 0x2000, NULL), EPERM);
    TL_FAILS(async_runtime_modify(runtime, fds[0], WRITE, NULL), EPERM);
    TL_FAILS(async_runtime_remove(runtime, fds[0]), EPERM);
    TL_FAILS(async_runtime_wait(runtime, &event, 1, 0), EPERM);
    TL_FAILS(async_runtime_wait(runtime, &event, 1, -1), EPERM);
    TL_FAILS(async_runtime_post_read(runtime, fds[0], &byte, 1), EPERM);
    TL_FAILS(async_runtime_post_write(runtime, fds[0], &byte, 1), EPERM);
    TL_FAILS_WITH(async_runtime_add_timer(runtime, 0, 0, NULL), 0, EPERM);
    TL_FAILS(async_runtime_cancel_timer(runtime, timer), EPERM);
    TL_FAILS(async_runtime_add_signal(runtime, tl_signal(), NULL), EPERM);
    TL_FAILS(async_runtime_remove_signal(runtime, tl_signal()), EPERM);
    TL_FAILS(async_runtime_add_console(runtime, NULL), EPERM);
    TL_FAILS_WITH(async_runtime_get_console_type(runtime), ASYNC_CONSOLE_TYPE_NONE, EPERM);
    TL_FAILS(async_runtime_bind_queue(runtime, queue, 1), EPERM);
    TL_FAILS_WITH(async_runtime_get_fd(runtime), ASYNC_INVALID_FD, EPERM);
    TL_FAILS(async_runtime_get_timeout(runtime), EPERM);
    /* what is no runtime, or no event, is nobody's */
    TL_FAILS(async_runtime_add(NULL, other[0], READ, NULL), EINVAL);
    TL_FAILS(async_runtime_wait(runtime, NULL, 1, 0), EINVAL);
    ck_assert_uint_eq(event.event_type, 4711);
}

/* "fails with EPERM, at once and without effect" */
START_TEST(test_every_call)
{
    async_runtime_stats_t before, after;
    async_event_t event;

    queue = async_queue_create(1, 1, 0);
    TL_OK(async_runtime_add(runtime, fds[0], READ, tl_context(1)));
    timer = async_runtime_add_timer(runtime, 3600000000u, 0, NULL);
    ck_assert_uint_ne(timer, 0);
    before = tl_stats(runtime);
    in_another_thread(every_call, NULL);
    after = tl_stats(runtime);
    ck_assert_mem_eq(&before, &after, sizeof before);
    tl_quiet(runtime);
    ck_assert(async_queue_enqueue(queue, "x", 1));
    tl_quiet(runtime); /* not bound */
    tl_send_text(fds[1], "x");
    tl_expect_io(runtime, fds[0], READ, tl_context(1));
    TL_OK(async_runtime_modify(runtime, fds[0], 0, NULL));
    TL_OK(async_runtime_cancel_timer(runtime, timer));
    TL_FAILS(async_runtime_remove_signal(runtime, tl_signal()), ENOENT);
    TL_OK(async_runtime_add(runtime, other[0], WRITE, tl_context(2)));
    tl_one(runtime, &event);
    ck_assert_uint_eq(event.event_type, WRITE);
    async_queue_destroy(queue);
}
END_TEST

static atomic_bool stop;

static void insist(void *arg)
{
    async_event_t event;

    (void)arg;
    while (!atomic_load(&stop)) {
        TL_FAILS(async_runtime_wait(runtime, &event, 1, -1), EPERM);
        TL_FAILS(async_runtime_remove(runtime, fds[0]), EPERM);
    }
}

/* The loop does not notice: not even by EBUSY. */
START_TEST(test_while_the_loop_works)
{
    tl_thread_t *thread;
    char buffer[4];

    TL_OK(async_runtime_add(runtime, fds[0], 0, NULL));
    atomic_store(&stop, false);
    thread = tl_thread_start(insist, NULL);
    for (unsigned i = 0; i < tl_scaled(2000); i++) {
        async_event_t event;

        TL_OK(async_runtime_post_read(runtime, fds[0], buffer, sizeof buffer));
        tl_send_text(fds[1], "abcd");
        tl_one(runtime, &event);
        ck_assert_uint_eq(event.event_type, DONE | READ);
        ck_assert_uint_eq(event.bytes_transferred, 4);
    }
    atomic_store(&stop, true);
    tl_thread_join(thread);
}
END_TEST

static void use_as_own(void *arg)
{
    (void)arg;
    TL_OK(async_runtime_add(runtime, fds[0], READ, tl_context(1)));
    tl_send_text(fds[1], "x");
    tl_expect_io(runtime, fds[0], READ, tl_context(1));
}

/* The thread that makes it, whichever that is. */
static void make_and_use(void *arg)
{
    async_event_t event;

    (void)arg;
    runtime = with_flags(SINGLE);
    ck_assert_ptr_nonnull(runtime);
    TL_OK(async_runtime_wait(runtime, &event, 1, 0));
}

START_TEST(test_the_thread_that_makes_it)
{
    async_event_t event;

    async_runtime_deinit(runtime);
    in_another_thread(make_and_use, NULL);
    TL_FAILS(async_runtime_wait(runtime, &event, 1, 0), EPERM);
    /* "for good": a thread whose number the system may give out again is not that one */
    for (int i = 0; i < 10; i++)
        in_another_thread(every_call, NULL);
    async_runtime_deinit(runtime);
    runtime = with_flags(0);
    ck_assert_ptr_nonnull(runtime);
    in_another_thread(use_as_own, NULL);
    TL_OK(async_runtime_remove(runtime, fds[0]));
}
END_TEST

/* ---- what any thread may */

static void *nothing(void *arg)
{
    return arg;
}

static void allowed_calls(void *arg)
{
    async_runtime_stats_t stats;

    (void)arg;
    ck_assert_ptr_nonnull(async_runtime_get_backend(runtime));
    async_runtime_get_stats(runtime, &stats);
    ck_assert_uint_eq(stats.registered, 1);
    TL_OK(async_runtime_wakeup(runtime));
    TL_OK(async_runtime_post_completion(runtime, 1, 2));
    ck_assert(async_queue_enqueue(queue, "m", 1));
    ck_assert(async_queue_dequeue(queue, &(char){0}, 1, NULL));
    async_queue_destroy(queue); /* unbinds it, and takes its announcement back */
}

START_TEST(test_allowed_calls)
{
    async_event_t event;

    queue = async_queue_create(1, 1, 0);
    TL_OK(async_runtime_add(runtime, fds[0], READ, NULL));
    TL_OK(async_runtime_bind_queue(runtime, queue, 9));
    in_another_thread(allowed_calls, NULL);
    tl_one(runtime, &event);
    ck_assert_uint_eq(event.completion_key, 1);
    ck_assert_uint_eq(event.data, 2);
    tl_quiet(runtime);
}
END_TEST

struct parts {
    async_worker_t *worker;
    async_pool_t *pool;
    async_console_t *console;
    async_resolver_t *resolver;
};

/* What posts to the runtime does not belong to it. */
static void make_parts(void *arg)
{
    async_worker_options_t options = ASYNC_WORKER_OPTIONS_INIT;
    struct parts *parts = arg;

    options.runtime = runtime;
    options.completion_key = 1;
    parts->worker = async_worker_create_with(nothing, NULL, &options);
    ck_assert_ptr_nonnull(parts->worker);
    parts->pool = async_pool_create(runtime, NULL);
    ck_assert_ptr_nonnull(parts->pool);
    ck_assert_uint_ne(async_pool_submit(parts->pool, nothing, NULL, 2), 0);
    parts->resolver = async_resolver_create(runtime, 3, NULL);
    ck_assert_ptr_nonnull(parts->resolver);
    ck_assert_uint_ne(async_resolver_lookup(parts->resolver, "127.0.0.1", NULL, NULL, NULL), 0);
    parts->console = async_console_create(runtime, queue, 4);
    ck_assert_ptr_nonnull(parts->console);
}

START_TEST(test_parts)
{
    struct parts parts;
    unsigned seen = 0;

    memset(&parts, 0, sizeof parts);
    queue = async_queue_create(4, 80, 0);
    in_another_thread(make_parts, &parts);
    while (seen != 0x1e) {
        async_event_t event;

        tl_one(runtime, &event);
        ck_assert_uint_eq(event.event_type, DONE);
        seen |= 1u << event.completion_key;
    }
    ck_assert(async_worker_join(parts.worker, -1));
    async_worker_destroy(parts.worker);
    async_pool_destroy(parts.pool);
    async_resolver_destroy(parts.resolver);
    async_console_destroy(parts.console);
    async_queue_destroy(queue);
}
END_TEST

/* ---- deinit */

static void start_operations(void *arg)
{
    static char block[8 << 20];
    async_event_t event;

    runtime = with_flags(SINGLE);
    ck_assert_ptr_nonnull(runtime);
    TL_OK(async_runtime_add(runtime, fds[0], READ, NULL));
    TL_OK(async_runtime_add(runtime, other[0], 0, NULL));
    TL_OK(async_runtime_post_read(runtime, fds[0], arg, 8));
    TL_OK(async_runtime_post_write(runtime, fds[0], block, sizeof block));
    (void)async_runtime_wait(runtime, &event, 1, 0);
    /* the system may not even have heard of this one when the thread ends */
    TL_OK(async_runtime_post_read(runtime, other[0], (char *)arg + 8, 8));
}

/* By another thread after the owner's end, with operations under way: "the buffers are the
 * caller's again", and the data is still in the socket. */
START_TEST(test_deinit_after_the_end)
{
    char *buffer = malloc(16), byte;
    uint64_t end;

    ck_assert_ptr_nonnull(buffer);
    memset(buffer, 'u', 16);
    async_runtime_deinit(runtime);
    in_another_thread(start_operations, buffer);
    if (_i == 1) {
        /* it could have been done, had the thread lived */
        tl_send_text(fds[1], "data");
        tl_send_text(other[1], "data");
        tl_sleep_ms(5);
    }
    async_runtime_deinit(runtime);
    runtime = NULL;
    if (_i == 0) {
        tl_send_text(fds[1], "data");
        tl_send_text(other[1], "data");
        tl_sleep_ms(5);
    }
    if (_i == 0 || tl_writes_wait_for_reader()) { /* a read that iocp had started has taken it */
        for (int i = 0; i < 16; i++)
            ck_assert_int_eq(buffer[i], 'u');
        tl_recv_text(fds[0], "data");
        tl_recv_text(other[0], "data");
    }
    free(buffer);
    /* the system lets go of the descriptors, too */
    tl_close(other[0]);
    other[0] = ASYNC_INVALID_FD;
    end = tl_now_ns() + (uint64_t)TL_WAIT_MS * TL_NS_PER_MS;
    while (tl_recv(other[1], &byte, 1) == -1 && errno == EAGAIN && tl_now_ns() < end)
        tl_sleep_ms(1);
    ck_assert_uint_lt(tl_now_ns(), end);
}
END_TEST

static void make_only(void *arg)
{
    (void)arg;
    runtime = with_flags(SINGLE);
    ck_assert_ptr_nonnull(runtime);
    TL_OK(async_runtime_post_completion(runtime, 1, 2));
}

START_TEST(test_deinit_of_an_idle_one)
{
    async_runtime_deinit(runtime);
    in_another_thread(make_only, NULL);
    TL_OK(async_runtime_post_completion(runtime, 1, 2));
    async_runtime_deinit(runtime);
    runtime = NULL;
}
END_TEST

static void add_cases(Suite *suite)
{
    TCase *tcase = tl_case(suite, "options");

    tcase_add_test(tcase, test_unknown_flags);
    tcase_add_test(tcase, test_older_options);

    tcase = tl_case(suite, "other threads");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_every_call);
    tcase_add_test(tcase, test_while_the_loop_works);
    tcase_add_test(tcase, test_the_thread_that_makes_it);
    tcase_add_test(tcase, test_allowed_calls);

    tcase = tl_case_after(suite, "parts", tl_input_null);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_parts);

    tcase = tl_case(suite, "deinit");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, test_deinit_after_the_end, 0, 2);
    tcase_add_test(tcase, test_deinit_of_an_idle_one);
}

int main(void)
{
    return tl_main("runtime_single", add_cases);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_runtime_nested.c - a runtime inside of a foreign loop: get_fd and get_timeout; POSIX
 */
#include "testlib.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#define READ ASYNC_EVENT_READ
#define WRITE ASYNC_EVENT_WRITE
#define ONESHOT ASYNC_EVENT_ONESHOT

static async_runtime_t *runtime;
static async_fd_t inner = ASYNC_INVALID_FD; /* the runtime's descriptor */
static int fds[2];

static void setup(void)
{
    runtime = tl_runtime();
    tl_pair(fds);
    inner = async_runtime_get_fd(runtime);
    ck_assert_int_ge(inner, 0);
}

static void teardown(void)
{
    async_runtime_deinit(runtime);
    tl_close_pair(fds);
}

static bool is_readable(void)
{
    struct pollfd pollfd = {.fd = inner, .events = POLLIN};
    int count = poll(&pollfd, 1, 0);

    ck_assert_int_ge(count, 0);
    return count == 1 && (pollfd.revents & POLLIN) != 0;
}

static void becomes_readable(void)
{
    struct pollfd pollfd = {.fd = inner, .events = POLLIN};

    ck_assert_int_eq(poll(&pollfd, 1, TL_WAIT_MS), 1);
    ck_assert_int_eq(pollfd.revents & POLLIN, POLLIN);
}

/* A foreign loop that finds it readable for nothing would turn for ever. */
static void is_quiet(void)
{
    async_event_t event;

    for (int i = 0; i < 3 && is_readable(); i++)
        ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, 0), 0);
    ck_assert(!is_readable());
    ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, 0), 0);
    ck_assert(!is_readable());
}

/* ---- which backends */

/* "A backend without such a descriptor (poll, iocp): ASYNC_INVALID_FD, ENOTSUP." */
START_TEST(test_backends)
{
    async_runtime_t *any = tl_runtime();

    if (tl_backend_is(any, "poll") || tl_backend_is(any, "iocp")) {
        TL_FAILS_WITH(async_runtime_get_fd(any), ASYNC_INVALID_FD, ENOTSUP);
    } else {
        async_fd_t fd = async_runtime_get_fd(any);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(async_runtime_get_fd(any), fd); /* always the same */
        ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    }
    async_runtime_deinit(any);
}
END_TEST

/* ---- "get_fd is readable whenever wait(0) would return something other than a timer" */

START_TEST(test_completions)
{
    is_quiet();
    for (uintptr_t i = 0; i < 5; i++) {
        TL_OK(async_runtime_post_completion(runtime, i, i));
        ck_assert(is_readable());
        ck_assert(is_readable()); /* looking takes nothing away */
        tl_expect_completion(runtime, i, i);
        is_quiet();
    }
}
END_TEST

/* What was posted before anybody asked for the descriptor counts as well. */
START_TEST(test_posted_before)
{
    async_runtime_t *other = tl_runtime();
    struct pollfd pollfd = {.events = POLLIN};

    TL_OK(async_runtime_post_completion(other, 1, 2));
    pollfd.fd = async_runtime_get_fd(other);
    ck_assert_int_eq(poll(&pollfd, 1, 0), 1);
    tl_expect_completion(other, 1, 2);
    async_runtime_deinit(other);
}
END_TEST

START_TEST(test_descriptors)
{
    TL_OK(async_runtime_add(runtime, fds[0], READ, NULL));
    is_quiet();
    tl_send_text(fds[1], "x");
    becomes_readable();
    tl_expect_io(runtime, fds[0], READ, NULL);
    ck_assert(is_readable()); /* level */
    tl_expect_io(runtime, fds[0], READ, NULL);
    (void)tl_drain(fds[0]);
    is_quiet();
    TL_OK(async_runtime_modify(runtime, fds[0], WRITE | ONESHOT, NULL));
    becomes_readable();
    tl_expect_io(runtime, fds[0], WRITE, NULL);
    is_quiet();
    TL_OK(async_runtime_modify(runtime, fds[0], READ | WRITE, NULL));
    becomes_readable();
    TL_OK(async_runtime_remove(runtime, fds[0]));
    is_quiet();
}
END_TEST

/* A paused descriptor whose peer is gone: epoll tells of the hang-up unasked. */
START_TEST(test_paused_descriptor)
{
    TL_OK(async_runtime_add(runtime, fds[0], 0, NULL));
    tl_close(fds[1]);
    fds[1] = ASYNC_INVALID_FD;
    is_quiet();
    TL_OK(async_runtime_modify(runtime, fds[0], READ | ONESHOT, NULL));
    becomes_readable();
    tl_expect_io(runtime, fds[0], READ | ASYNC_EVENT_CLOSE, NULL);
    is_quiet();
    TL_OK(async_runtime_modify(runtime, fds[0], 0, NULL));
    is_quiet();
}
END_TEST

START_TEST(test_operations)
{
    static const char text[] = "x";
    static char block[4 << 20];
    char buffer[8];
    async_event_t event;

    TL_OK(async_runtime_add(runtime, fds[0], 0, NULL));
    TL_OK(async_runtime_post_write(runtime, fds[0], text, 1));
    becomes_readable(); /* it may have ended at once */
    tl_one(runtime, &event);
    ck_assert_uint_eq(event.event_type, ASYNC_EVENT_COMPLETION | WRITE);
    is_quiet();
    TL_OK(async_runtime_post_read(runtime, fds[0], buffer, 8));
    is_quiet();
    tl_send_text(fds[1], "data");
    becomes_readable();
    tl_one(runtime, &event);
    ck_assert_uint_eq(event.bytes_transferred, 4);
    is_quiet();
    TL_OK(async_runtime_post_write(runtime, fds[0], block, sizeof block));
    for (size_t received = 0; received <= sizeof block;) {
        received += tl_drain(fds[1]);
        if (!is_readable())
            continue;
        if (async_runtime_wait(runtime, &event, 1, 0) == 1)
            break;
    }
    ck_assert_uint_eq(event.bytes_transferred, sizeof block);
    (void)tl_drain(fds[1]);
    is_quiet();
    TL_OK(async_runtime_post_read(runtime, fds[0], buffer, 8));
    TL_OK(async_runtime_remove(runtime, fds[0]));
    becomes_readable(); /* the end that was cancelled */
    tl_one(runtime, &event);
    ck_assert_int_eq(event.error, ECANCELED);
    is_quiet();
}
END_TEST

START_TEST(test_signals)
{
    async_event_t event;

    TL_OK(async_runtime_add_signal(runtime, SIGUSR1, NULL));
    is_quiet();
    ck_assert_int_eq(raise(SIGUSR1), 0);
    becomes_readable();
    tl_one(runtime, &event);
    ck_assert_uint_eq(event.event_type, ASYNC_EVENT_SIGNAL);
    is_quiet();
}
END_TEST

START_TEST(test_queue)
{
    async_queue_t *queue = async_queue_create(2, 2, 0);
    char buffer[2];

    ck_assert_ptr_nonnull(queue);
    TL_OK(async_runtime_bind_queue(runtime, queue, 3));
    is_quiet();
    ck_assert(async_queue_enqueue(queue, "a", 1));
    ck_assert(is_readable());
    tl_expect_completion(runtime, 3, 0);
    is_quiet();
    ck_assert(async_queue_dequeue(queue, buffer, 2, NULL));
    ck_assert(!async_queue_dequeue(queue, buffer, 2, NULL));
    ck_assert(async_queue_enqueue(queue, "b", 1));
    ck_assert(is_readable());
    tl_expect_completion(runtime, 3, 0);
    is_quiet();
    async_queue_destroy(queue);
}
END_TEST

/* "wakeup makes it readable too" */
START_TEST(test_wakeup)
{
    for (int i = 0; i < 3; i++) {
        TL_OK(async_runtime_wakeup(runtime));
        ck_assert(is_readable());
        TL_OK(async_runtime_wait(runtime, &(async_event_t){0}, 1, 0));
        is_quiet();
    }
}
END_TEST

/* ---- "when wait filled max_events and more is there, the descriptor stays readable" */

START_TEST(test_more_completions)
{
    async_event_t events[3];

    for (uintptr_t i = 0; i < 10; i++)
        TL_OK(async_runtime_post_completion(runtime, i, i));
    for (int left = 10; left > 0;) {
        int count;

        ck_assert(is_readable());
        count = async_runtime_wait(runtime, events, 3, 0);
        ck_assert_int_ge(count, 1);
        left -= count;
    }
    is_quiet();
}
END_TEST

/* ONESHOT descriptors that were fetched are not ready for the kernel any more. */
START_TEST(test_more_descriptors)
{
    enum { COUNT = 10 };
    int pairs[COUNT][2];
    async_event_t events[3];

    for (size_t i = 0; i < COUNT; i++) {
        tl_pair(pairs[i]);
        tl_send_text(pairs[i][1], "x");
        TL_OK(async_runtime_add(runtime, pairs[i][0], READ | ONESHOT, NULL));
    }
    for (int left = COUNT; left > 0;) {
        int count;

        ck_assert(is_readable());
        count = async_runtime_wait(runtime, events, 3, 0);
        ck_assert_int_ge(count, 1);
        left -= count;
    }
    is_quiet();
    for (size_t i = 0; i < COUNT; i++) {
        TL_OK(async_runtime_remove(runtime, pairs[i][0]));
        tl_close_pair(pairs[i]);
    }
}
END_TEST

START_TEST(test_more_of_all_kinds)
{
    int seen[4] = {0};
    char byte;
    async_event_t event;

    TL_OK(async_runtime_add_signal(runtime, SIGUSR1, NULL));
    TL_OK(async_runtime_add_signal(runtime, SIGUSR2, NULL));
    TL_OK(async_runtime_add(runtime, fds[0], READ | ONESHOT, NULL));
    TL_OK(async_runtime_add(runtime, fds[1], 0, NULL));
    TL_OK(async_runtime_post_read(runtime, fds[1], &byte, 1));
    tl_send_text(fds[0], "x");
    tl_send_text(fds[1], "x");
    ck_assert_int_eq(raise(SIGUSR1), 0);
    ck_assert_int_eq(raise(SIGUSR2), 0);
    TL_OK(async_runtime_post_completion(runtime, 1, 1));
    TL_OK(async_runtime_post_completion(runtime, 1, 2));
    ck_assert_uint_ne(async_runtime_add_timer(runtime, 0, 0, NULL), 0);
    for (int i = 0; i < 6; i++) {
        becomes_readable();
        if (async_runtime_wait(runtime, &event, 1, 0) != 1)
            continue;
        if (event.event_type == ASYNC_EVENT_TIMER)
            i--; /* it comes whenever its turn is, readable or not */
        seen[0] += event.event_type == ASYNC_EVENT_SIGNAL;
        seen[1] += event.event_type == READ;
        seen[2] += event.event_type == (ASYNC_EVENT_COMPLETION | READ);
        seen[3] += event.event_type == ASYNC_EVENT_COMPLETION;
    }
    ck_assert_int_eq(seen[0], 2);
    ck_assert_int_eq(seen[1], 1);
    ck_assert_int_eq(seen[2], 1);
    ck_assert_int_eq(seen[3], 2);
}
END_TEST

/* ---- foreign loops */

static _Atomic uint64_t delivered;

static void post_slowly(void *arg)
{
    uint64_t count = *(uint64_t *)arg;

    for (uint64_t i = 0; i < count; i++) {
        uint64_t spins = 0;

        (void)async_runtime_post_completion(runtime, 1, (uintptr_t)i);
        /* Each post finds another moment of the loop; every other one waits for it. */
        while (i % 2 == 0 && atomic_load(&delivered) <= i && spins++ < 1000000000)
            tl_yield();
    }
}

/*
 * The foreign loop sleeps in poll() without end and looks into the runtime only when the descriptor
 * is readable: no post may be left without it.
 */
static void check_foreign_loop(int max_events, bool until_empty)
{
    uint64_t count = tl_scaled(10000);
    uint64_t next = 0;
    tl_thread_t *thread;

    atomic_store(&delivered, 0);
    thread = tl_thread_start(post_slowly, &count);
    while (next < count) {
        async_event_t events[8];
        int got;

        becomes_readable();
        do {
            got = async_runtime_wait(runtime, events, max_events, 0);
            ck_assert_int_ge(got, 0);
            for (int k = 0; k < got; k++)
                if (events[k].data != next++)
                    ck_abort_msg("completion %lu", (unsigned long)events[k].data);
            atomic_store(&delivered, next);
        } while (until_empty && got > 0);
    }
    tl_thread_join(thread);
    is_quiet();
}

START_TEST(test_foreign_loop)
{
    check_foreign_loop(8, true);
}
END_TEST

START_TEST(test_foreign_loop_one_wait)
{
    check_foreign_loop(8, false);
}
END_TEST

START_TEST(test_foreign_loop_one_event)
{
    check_foreign_loop(1, false);
}
END_TEST

/* A wait that sleeps itself, between two visits by the foreign loop. */
START_TEST(test_own_wait_in_between)
{
    for (uintptr_t i = 0; i < 10; i++) {
        TL_OK(async_runtime_wait(runtime, &(async_event_t){0}, 1, 1));
        is_quiet();
        TL_OK(async_runtime_post_completion(runtime, i, i));
        ck_assert(is_readable());
        tl_expect_completion(runtime, i, i);
    }
}
END_TEST

/* A runtime in a runtime. */
START_TEST(test_runtime_in_a_runtime)
{
    async_runtime_t *outer = tl_runtime();
    async_event_t event;

    TL_OK(async_runtime_add(outer, inner, READ, tl_context(1)));
    tl_quiet(outer);
    for (uintptr_t i = 0; i < 3; i++) {
        TL_OK(async_runtime_post_completion(runtime, i, i));
        tl_expect_io(outer, inner, READ, tl_context(1));
        tl_expect_completion(runtime, i, i);
        while (async_runtime_wait(runtime, &event, 1, 0) > 0)
            continue;
        tl_quiet(outer);
    }
    TL_OK(async_runtime_remove(outer, inner));
    async_runtime_deinit(outer);
}
END_TEST

/* "Timers: the foreign loop sleeps at most get_timeout (rounded up; 0 when one is due)." */
START_TEST(test_timers_in_a_foreign_loop)
{
    uint64_t start = tl_now_ns();
    async_event_t event;
    int sleeps = 0;
    int got;

    ck_assert_uint_ne(async_runtime_add_timer(runtime, 20500, 0, NULL), 0);
    do {
        struct pollfd pollfd = {.fd = inner, .events = POLLIN};

        ck_assert_int_eq(poll(&pollfd, 1, async_runtime_get_timeout(runtime)), 0);
        got = async_runtime_wait(runtime, &event, 1, 0);
        ck_assert_int_ge(got, 0);
    } while (got == 0 && ++sleeps < 100);
    ck_assert_int_eq(got, 1);
    ck_assert_uint_eq(event.event_type, ASYNC_EVENT_TIMER);
    ck_assert_uint_ge(tl_now_ns() - start, 20500 * TL_NS_PER_US);
    ck_assert_int_le(sleeps, 1); /* rounded down, it would turn until the rest has passed */
    is_quiet();
}
END_TEST

static bool has_descriptor(void)
{
    async_runtime_t *any = async_runtime_init();
    bool has = any != NULL && async_runtime_get_fd(any) != ASYNC_INVALID_FD;

    async_runtime_deinit(any);
    return has;
}

static void add_cases(Suite *suite)
{
    TCase *tcase = tl_case(suite, "backends");

    tcase_add_test(tcase, test_backends);
    if (!has_descriptor())
        return;

    tcase = tl_case(suite, "readable");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_completions);
    tcase_add_test(tcase, test_posted_before);
    tcase_add_test(tcase, test_descriptors);
    tcase_add_test(tcase, test_paused_descriptor);
    tcase_add_test(tcase, test_operations);
    tcase_add_test(tcase, test_signals);
    tcase_add_test(tcase, test_queue);
    tcase_add_test(tcase, test_wakeup);
    tcase_add_test(tcase, test_more_completions);
    tcase_add_test(tcase, test_more_descriptors);
    tcase_add_test(tcase, test_more_of_all_kinds);

    tcase = tl_case(suite, "loops");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_foreign_loop);
    tcase_add_test(tcase, test_foreign_loop_one_wait);
    tcase_add_test(tcase, test_foreign_loop_one_event);
    tcase_add_test(tcase, test_own_wait_in_between);
    tcase_add_test(tcase, test_runtime_in_a_runtime);
    tcase_add_test(tcase, test_timers_in_a_foreign_loop);
}

int main(void)
{
    return tl_main("runtime_nested", add_cases);
}

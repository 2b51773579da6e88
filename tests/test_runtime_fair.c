/* SPDX-License-Identifier: MIT */
/*
 * test_runtime_fair.c - small arrays of events: nothing is dropped, nothing starves
 */
#include "testlib.h"

#include <stdatomic.h>
#include <string.h>

#define READ ASYNC_EVENT_READ
#define WRITE ASYNC_EVENT_WRITE
#define COUNT 100

static async_runtime_t *runtime;
static async_fd_t pairs[COUNT][2];
static size_t pair_count;

static void setup(void)
{
    runtime = tl_runtime();
    pair_count = 0;
}

static void teardown(void)
{
    async_runtime_deinit(runtime);
    for (size_t i = 0; i < pair_count; i++)
        tl_close_pair(pairs[i]);
}

/* count descriptors that stay ready. */
static void make_ready(size_t count)
{
    for (size_t i = pair_count; i < count; i++) {
        tl_pair(pairs[i]);
        tl_send_text(pairs[i][1], "x");
        TL_OK(async_runtime_add(runtime, pairs[i][0], READ, tl_context(i)));
    }
    pair_count = count;
}

/* ---- descriptors among themselves */

/* "no descriptor starves another": all stay ready, and the array is small */
static void check_turns(int max_events)
{
    int seen[COUNT] = {0};
    size_t missing = COUNT;

    make_ready(COUNT);
    for (int i = 0; i < 3 * COUNT && missing > 0; i++) {
        async_event_t events[8];
        int count = tl_some(runtime, events, max_events);

        for (int k = 0; k < count; k++) {
            ck_assert_uint_eq(events[k].event_type, READ);
            missing -= seen[(uintptr_t)events[k].context]++ == 0;
        }
    }
    ck_assert_uint_eq(missing, 0);
}

START_TEST(test_turns_of_one)
{
    check_turns(1);
}
END_TEST

START_TEST(test_turns_of_seven)
{
    check_turns(7);
}
END_TEST

/* A late one among busy ones: those that were there first do not keep it out. */
START_TEST(test_late_comer)
{
    async_event_t event;
    async_fd_t late[2];
    bool seen = false;

    make_ready(COUNT);
    for (int i = 0; i < COUNT / 2; i++)
        tl_one(runtime, &event);
    tl_pair(late);
    TL_OK(async_runtime_add(runtime, late[0], WRITE, NULL));
    for (int i = 0; i < 3 * COUNT && !seen; i++) {
        tl_one(runtime, &event);
        seen = event.fd == late[0];
    }
    ck_assert(seen);
    TL_OK(async_runtime_remove(runtime, late[0]));
    tl_close_pair(late);
}
END_TEST

/* ---- the kinds among each other */

/* "With both kinds pending and max_events >= 2, one call brings at least one I/O event and one
 * completion" */
static void check_both(int max_events, size_t descriptors, unsigned completions)
{
    make_ready(descriptors);
    for (unsigned i = 0; i < completions; i++)
        TL_OK(async_runtime_post_completion(runtime, 1, i));
    for (uintptr_t next = 0; next < completions;) {
        async_event_t events[8];
        int count = tl_some(runtime, events, max_events);
        int io = 0;
        uintptr_t first = next;

        for (int k = 0; k < count; k++) {
            if (events[k].event_type == READ) {
                io++;
            } else {
                ck_assert_uint_eq(events[k].event_type, ASYNC_EVENT_COMPLETION);
                ck_assert_uint_eq(events[k].data, next);
                next++;
            }
        }
        ck_assert_msg(io > 0, "no I/O event at completion %u", (unsigned)next);
        ck_assert_msg(next > first, "no completion after %u", (unsigned)next);
    }
}

START_TEST(test_both_kinds)
{
    check_both(2, 1, 50);
}
END_TEST

START_TEST(test_both_kinds_many_descriptors)
{
    check_both(2, COUNT, 50);
}
END_TEST

START_TEST(test_both_kinds_array_of_eight)
{
    check_both(8, COUNT, 1000);
}
END_TEST

/* The same with more kinds pending than there is room for: a timer that is always due, and ends of
 * operations, which get their turns too. */
static void check_both_of_four(int max_events)
{
    int timers = 0;
    int ends = 0;
    async_event_t event;
    async_fd_t fds[2];
    char bytes[300];

    make_ready(3);
    tl_one(runtime, &event); /* the system has seen that they are */
    tl_pair(fds);
    TL_OK(async_runtime_add(runtime, fds[0], 0, NULL));
    ck_assert_uint_ne(async_runtime_add_timer(runtime, 0, 1, NULL), 0);
    memset(bytes, 'y', sizeof bytes);
    ck_assert_int_eq(tl_send(fds[1], bytes, sizeof bytes), sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        TL_OK(async_runtime_post_read(runtime, fds[0], &bytes[i], 1));
    for (int i = 0; i < 100; i++) {
        async_event_t events[4];
        int io = 0;
        int completions = 0;
        int count;

        TL_OK(async_runtime_post_completion(runtime, 1, 1));
        count = tl_some(runtime, events, max_events);
        for (int k = 0; k < count; k++) {
            io += events[k].event_type == READ;
            completions += events[k].event_type == ASYNC_EVENT_COMPLETION;
            timers += events[k].event_type == ASYNC_EVENT_TIMER;
            ends += events[k].event_type == (ASYNC_EVENT_COMPLETION | READ);
        }
        ck_assert_msg(io > 0, "no I/O event at wait %d", i);
        ck_assert_msg(completions > 0, "no completion at wait %d", i);
    }
    ck_assert_int_ge(timers, 5);
    ck_assert_int_ge(ends, 5);
    TL_OK(async_runtime_remove(runtime, fds[0]));
    tl_close_pair(fds);
}

START_TEST(test_both_of_four_kinds)
{
    check_both_of_four(3);
}
END_TEST

START_TEST(test_both_of_four_kinds_array_of_four)
{
    check_both_of_four(4);
}
END_TEST

/* Room for two, and timers due or a finished operation as well: still one of each, many times; and
 * the timer is not kept out for ever. */
START_TEST(test_both_kinds_and_a_timer)
{
    bool timer = false;

    make_ready(3);
    ck_assert_uint_ne(async_runtime_add_timer(runtime, 0, 1, NULL), 0);
    for (int i = 0; i < 500 && !timer; i++) {
        async_event_t events[2];

        TL_OK(async_runtime_post_completion(runtime, 1, 1));
        TL_OK(async_runtime_post_completion(runtime, 1, 1));
        tl_sleep_ms(i < 5 ? 1 : 0); /* due */
        ck_assert_int_eq(tl_some(runtime, events, 2), 2);
        if (i < 50)
            ck_assert_uint_eq(events[0].event_type | events[1].event_type,
                              READ | ASYNC_EVENT_COMPLETION);
        for (int k = 0; k < 2; k++)
            timer |= events[k].event_type == ASYNC_EVENT_TIMER;
    }
    ck_assert(timer);
}
END_TEST

START_TEST(test_both_kinds_and_an_operation)
{
    char bytes[8];
    int ends = 0;

    /* There the ends of operations come from the system, in its time. */
    if (tl_backend_is(runtime, "iocp"))
        return;
    make_ready(1);
    tl_send_text(pairs[0][1], "12345678");
    for (size_t i = 0; i < sizeof bytes; i++)
        TL_OK(async_runtime_post_read(runtime, pairs[0][0], &bytes[i], 1));
    for (int i = 0; i < 40; i++)
        TL_OK(async_runtime_post_completion(runtime, 1, 1));
    for (int i = 0; i < 40; i++) {
        async_event_t events[2];
        int completions = 0;

        ck_assert_int_eq(tl_some(runtime, events, 2), 2);
        for (int k = 0; k < 2; k++) {
            completions += events[k].event_type == ASYNC_EVENT_COMPLETION;
            ends += events[k].event_type == (READ | ASYNC_EVENT_COMPLETION);
        }
        ck_assert_msg(completions == 1, "%d completions in wait %d", completions, i);
    }
    ck_assert_int_eq(ends, sizeof bytes);
}
END_TEST

/* A finished operation is an I/O event as well as a completion: it must not be kept out by either.
 */
START_TEST(test_operations_get_through)
{
    async_event_t event;
    async_fd_t fds[2];
    bool seen = false;
    char byte;

    make_ready(COUNT);
    tl_pair(fds);
    tl_send_text(fds[1], "y");
    TL_OK(async_runtime_add(runtime, fds[0], 0, NULL));
    TL_OK(async_runtime_post_read(runtime, fds[0], &byte, 1));
    for (int i = 0; i < 6 * COUNT && !seen; i++) {
        TL_OK(async_runtime_post_completion(runtime, 1, 1));
        tl_one(runtime, &event);
        seen = event.fd == fds[0];
    }
    ck_assert(seen);
    ck_assert_uint_eq(event.event_type, ASYNC_EVENT_COMPLETION | READ);
    TL_OK(async_runtime_remove(runtime, fds[0]));
    tl_close_pair(fds);
}
END_TEST

/* "with 1 every kind gets its turn": each is renewed as soon as it has come */
START_TEST(test_turns_of_kinds)
{
    int io = 0;
    int completions = 0;
    int timers = 0;

    make_ready(10);
    for (int i = 0; i < 10; i++) {
        TL_OK(async_runtime_post_completion(runtime, 1, 1));
        ck_assert_uint_ne(async_runtime_add_timer(runtime, 0, 0, NULL), 0);
    }
    for (int i = 0; i < 60; i++) {
        async_event_t event;

        tl_one(runtime, &event);
        if (event.event_type == READ) {
            io++;
        } else if (event.event_type == ASYNC_EVENT_COMPLETION) {
            completions++;
            TL_OK(async_runtime_post_completion(runtime, 1, 1));
        } else {
            ck_assert_uint_eq(event.event_type, ASYNC_EVENT_TIMER);
            timers++;
            ck_assert_uint_ne(async_runtime_add_timer(runtime, 0, 0, NULL), 0);
        }
    }
    ck_assert_msg(io >= 5 && completions >= 5 && timers >= 5,
                  "%d I/O events, %d completions, %d timers", io, completions, timers);
}
END_TEST

/* A timer that is due at each wait keeps nothing else from coming. */
START_TEST(test_fast_timer)
{
    int io = 0;
    int completions = 0;

    make_ready(1);
    ck_assert_uint_ne(async_runtime_add_timer(runtime, 0, 1, NULL), 0);
    TL_OK(async_runtime_post_completion(runtime, 1, 1));
    for (int i = 0; i < 30; i++) {
        async_event_t event;

        tl_one(runtime, &event);
        io += event.event_type == READ;
        completions += event.event_type == ASYNC_EVENT_COMPLETION;
    }
    ck_assert_int_ge(io, 1);
    ck_assert_int_eq(completions, 1);
}
END_TEST

/* Without others, one kind gets the whole array. */
START_TEST(test_no_kind_is_cut_short)
{
    async_event_t events[50];

    for (unsigned i = 0; i < 50; i++)
        TL_OK(async_runtime_post_completion(runtime, 1, i));
    ck_assert_int_eq(async_runtime_wait(runtime, events, 50, 0), 50);
    for (unsigned i = 0; i < 50; i++)
        ck_assert_uint_eq(events[i].data, i);
    make_ready(COUNT);
    ck_assert_int_eq(tl_some(runtime, events, 50), 50);
}
END_TEST

/* ---- "It never drops an event because max_events is small: what does not fit comes next time." */

START_TEST(test_nothing_is_dropped)
{
    for (int max_events = 1; max_events <= 5; max_events++) {
        unsigned completions = 0;
        unsigned timers = 0;
        unsigned reads = 0;

        make_ready(20);
        for (unsigned i = 0; i < 30; i++) {
            TL_OK(async_runtime_post_completion(runtime, 1, i));
            ck_assert_uint_ne(async_runtime_add_timer(runtime, i % 3, 0, NULL), 0);
        }
        tl_sleep_ms(1);
        while (completions < 30 || timers < 30 || reads < 20) {
            async_event_t events[5];
            int count = tl_some(runtime, events, max_events);

            for (int k = 0; k < count; k++) {
                if (events[k].event_type == READ) {
                    (void)tl_drain(events[k].fd);
                    reads++;
                } else if (events[k].event_type == ASYNC_EVENT_COMPLETION) {
                    ck_assert_uint_eq(events[k].data, completions);
                    completions++;
                } else {
                    timers++;
                }
            }
        }
        ck_assert_uint_eq(completions, 30);
        ck_assert_uint_eq(timers, 30);
        ck_assert_uint_eq(reads, 20);
        tl_quiet(runtime);
        for (size_t i = 0; i < pair_count; i++)
            tl_send_text(pairs[i][1], "x");
    }
}
END_TEST

/* ---- under a flood */

static _Atomic bool flood_ends;

static void flood_main(void *arg)
{
    unsigned posted = 0;

    while (!atomic_load(&flood_ends)) {
        if (async_runtime_post_completion(arg, 1, 1) == 0 && ++posted % 64 == 0)
            tl_yield();
    }
}

/* Completions that come faster than they are taken keep neither descriptors nor timers out. */
START_TEST(test_flood_of_completions)
{
    tl_thread_t *thread;
    int io = 0;
    int timers = 0;
    async_event_t events[4];

    make_ready(3);
    ck_assert_uint_ne(async_runtime_add_timer(runtime, 0, 2000, NULL), 0);
    atomic_store(&flood_ends, false);
    thread = tl_thread_start(flood_main, runtime);
    for (int i = 0; i < 200; i++) {
        int count = tl_some(runtime, events, i % 4 + 1);

        for (int k = 0; k < count; k++) {
            io += events[k].event_type == READ;
            timers += events[k].event_type == ASYNC_EVENT_TIMER;
        }
    }
    atomic_store(&flood_ends, true);
    tl_thread_join(thread);
    ck_assert_int_ge(io, 50);
    ck_assert_int_ge(timers, 1);
}
END_TEST

static void add_cases(Suite *suite)
{
    TCase *tcase = tl_case(suite, "descriptors");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_turns_of_one);
    tcase_add_test(tcase, test_turns_of_seven);
    tcase_add_test(tcase, test_late_comer);

    tcase = tl_case(suite, "kinds");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_both_kinds);
    tcase_add_test(tcase, test_both_kinds_many_descriptors);
    tcase_add_test(tcase, test_both_kinds_array_of_eight);
    tcase_add_test(tcase, test_both_of_four_kinds);
    tcase_add_test(tcase, test_both_of_four_kinds_array_of_four);
    tcase_add_test(tcase, test_both_kinds_and_a_timer);
    tcase_add_test(tcase, test_both_kinds_and_an_operation);
    tcase_add_test(tcase, test_operations_get_through);
    tcase_add_test(tcase, test_turns_of_kinds);
    tcase_add_test(tcase, test_fast_timer);
    tcase_add_test(tcase, test_no_kind_is_cut_short);
    tcase_add_test(tcase, test_nothing_is_dropped);
    tcase_add_test(tcase, test_flood_of_completions);
}

int main(void)
{
    return tl_main("runtime_fair", add_cases);
}

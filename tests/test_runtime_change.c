/* SPDX-License-Identifier: MIT */
/*
 * test_runtime_change.c - add, modify, remove: their errors, and what may still come afterwards
 */
#include "testlib.h"

#include <limits.h>

#define READ ASYNC_EVENT_READ
#define WRITE ASYNC_EVENT_WRITE

static async_runtime_t *runtime;
static async_fd_t fds[2];

static void setup(void)
{
    runtime = tl_runtime();
    tl_pair(fds);
}

static void teardown(void)
{
    async_runtime_deinit(runtime);
    tl_close_pair(fds);
}

/* A number that was a descriptor's a moment ago. */
static async_fd_t closed_fd(void)
{
    async_fd_t pair[2];

    tl_pair(pair);
    tl_close_pair((async_fd_t[2]){pair[0], pair[1]});
    return pair[1];
}

/* ---- errors */

/* "Unknown bits are EINVAL" */
START_TEST(test_unknown_bits)
{
    static const uint32_t bits[] = {
        ASYNC_EVENT_COMPLETION,
        ASYNC_EVENT_TIMER,
        ASYNC_EVENT_SIGNAL,
        ASYNC_EVENT_CONSOLE,
        0x100,
        0x800,
        0x2000,
        0x80000000u,
        UINT32_MAX,
    };

    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++) {
        TL_FAILS(async_runtime_add(runtime, fds[0], bits[i], NULL), EINVAL);
        TL_FAILS(async_runtime_add(runtime, fds[0], READ | bits[i], NULL), EINVAL);
    }
    TL_FAILS(async_runtime_remove(runtime, fds[0]), ENOENT); /* none of them has registered it */
    TL_OK(async_runtime_add(runtime, fds[0], READ, tl_context(1)));
    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++)
        TL_FAILS(async_runtime_modify(runtime, fds[0], bits[i], tl_context(2)), EINVAL);
    tl_send_text(fds[1], "x");
    tl_expect_io(runtime, fds[0], READ, tl_context(1)); /* and none has changed it */
}
END_TEST

/* "add twice: EEXIST"; the first registration stays as it was */
START_TEST(test_add_twice)
{
    TL_OK(async_runtime_add(runtime, fds[0], READ, tl_context(1)));
    TL_FAILS(async_runtime_add(runtime, fds[0], READ, tl_context(2)), EEXIST);
    TL_FAILS(async_runtime_add(runtime, fds[0], WRITE, tl_context(3)), EEXIST);
    TL_FAILS(async_runtime_add(runtime, fds[0], 0, tl_context(4)), EEXIST);
    tl_quiet(runtime);
    tl_send_text(fds[1], "x");
    tl_expect_io(runtime, fds[0], READ, tl_context(1));
    TL_OK(async_runtime_remove(runtime, fds[0]));
    TL_OK(async_runtime_add(runtime, fds[0], 0, NULL));
    TL_FAILS(async_runtime_add(runtime, fds[0], READ, NULL), EEXIST); /* a silent one too */
    tl_quiet(runtime);
}
END_TEST

/* "modify/remove of an unknown one: ENOENT" */
START_TEST(test_unknown_descriptor)
{
    char byte = 0;

    TL_FAILS(async_runtime_modify(runtime, fds[0], READ, NULL), ENOENT);
    TL_FAILS(async_runtime_modify(runtime, fds[0], 0, NULL), ENOENT);
    TL_FAILS(async_runtime_remove(runtime, fds[0]), ENOENT);
    TL_FAILS(async_runtime_post_read(runtime, fds[0], &byte, 1), ENOENT);
    TL_FAILS(async_runtime_post_write(runtime, fds[0], &byte, 1), ENOENT);
    TL_OK(async_runtime_add(runtime, fds[1], READ, NULL));
    TL_FAILS(async_runtime_modify(runtime, fds[0], READ, NULL), ENOENT);
    TL_OK(async_runtime_add(runtime, fds[0], READ, NULL));
    TL_OK(async_runtime_remove(runtime, fds[0]));
    TL_FAILS(async_runtime_remove(runtime, fds[0]), ENOENT); /* once */
    TL_FAILS(async_runtime_modify(runtime, fds[0], READ, NULL), ENOENT);
}
END_TEST

/* "a closed one: EBADF" */
START_TEST(test_closed_descriptor)
{
    async_fd_t closed = closed_fd();

    TL_FAILS(async_runtime_add(runtime, closed, READ, NULL), EBADF);
    TL_FAILS(async_runtime_add(runtime, closed, 0, NULL), EBADF);
    TL_OK(async_runtime_add(runtime, fds[0], READ, NULL));
    closed = fds[0];
    tl_close(fds[0]);
    fds[0] = ASYNC_INVALID_FD;
    TL_FAILS(async_runtime_modify(runtime, closed, WRITE, NULL), EBADF);
    TL_FAILS(async_runtime_remove(runtime, closed), EBADF);
    tl_quiet(runtime);
}
END_TEST

START_TEST(test_closed_descriptor_operations)
{
    async_fd_t closed = fds[0];
    char byte = 0;

    TL_OK(async_runtime_add(runtime, fds[0], 0, NULL));
    tl_close(fds[0]);
    fds[0] = ASYNC_INVALID_FD;
    TL_FAILS(async_runtime_post_read(runtime, closed, &byte, 1), EBADF);
    TL_FAILS(async_runtime_post_write(runtime, closed, &byte, 1), EBADF);
    TL_FAILS(async_runtime_remove(runtime, closed), EBADF);
    tl_quiet(runtime);
}
END_TEST

/* Numbers that never were descriptors: an error, and no table of that size. */
START_TEST(test_impossible_descriptors)
{
    const async_fd_t numbers[] = {ASYNC_INVALID_FD, (async_fd_t)-2, (async_fd_t)INT_MIN,
                                  (async_fd_t)INT_MAX, (async_fd_t)INT_MAX - 3};

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        async_fd_t fd = numbers[i];
        char byte = 0;

        ck_assert_int_eq(async_runtime_add(runtime, fd, READ, NULL), -1);
        ck_assert_msg(errno == EBADF || errno == EINVAL, "errno %d", errno);
        ck_assert_int_eq(async_runtime_modify(runtime, fd, READ, NULL), -1);
        ck_assert_msg(errno == EBADF || errno == EINVAL || errno == ENOENT, "errno %d", errno);
        ck_assert_int_eq(async_runtime_remove(runtime, fd), -1);
        ck_assert_msg(errno == EBADF || errno == EINVAL || errno == ENOENT, "errno %d", errno);
        ck_assert_int_eq(async_runtime_post_read(runtime, fd, &byte, 1), -1);
        ck_assert_int_eq(async_runtime_post_write(runtime, fd, &byte, 1), -1);
    }
    ck_assert_uint_eq(tl_stats(runtime).registered, 0);
}
END_TEST

/* ---- modify */

START_TEST(test_modify_context_only)
{
    tl_send_text(fds[1], "x");
    TL_OK(async_runtime_add(runtime, fds[0], READ, tl_context(1)));
    tl_expect_io(runtime, fds[0], READ, tl_context(1));
    TL_OK(async_runtime_modify(runtime, fds[0], READ, tl_context(2)));
    tl_expect_io(runtime, fds[0], READ, tl_context(2));
    TL_OK(async_runtime_modify(runtime, fds[0], READ, NULL));
    tl_expect_io(runtime, fds[0], READ, NULL);
}
END_TEST

/* An event that is fetched and not handed out yet follows the modify. */
START_TEST(test_modify_of_a_fetched_event)
{
    async_fd_t other[2];
    async_event_t event;
    async_fd_t waiting;

    tl_pair(other);
    tl_send_text(fds[1], "x");
    tl_send_text(other[1], "x");
    TL_OK(async_runtime_add(runtime, fds[0], READ, tl_context(1)));
    TL_OK(async_runtime_add(runtime, other[0], READ, tl_context(1)));
    tl_one(runtime, &event);
    waiting = event.fd == fds[0] ? other[0] : fds[0];
    TL_OK(async_runtime_remove(runtime, event.fd));
    TL_OK(async_runtime_modify(runtime, waiting, WRITE, tl_context(2)));
    for (int i = 0; i < 3; i++)
        tl_expect_io(runtime, waiting, WRITE, tl_context(2));
    TL_OK(async_runtime_remove(runtime, waiting));
    tl_close_pair(other);
}
END_TEST

/* ---- remove */

/* "After remove(fd) no event of that registration ... appears in any later wait" */
START_TEST(test_remove)
{
    tl_send_text(fds[1], "x");
    TL_OK(async_runtime_add(runtime, fds[0], READ | WRITE, NULL));
    tl_expect_io(runtime, fds[0], READ | WRITE, NULL);
    TL_OK(async_runtime_remove(runtime, fds[0]));
    tl_quiet(runtime);
    TL_OK(async_runtime_add(runtime, fds[0], WRITE, tl_context(5)));
    tl_expect_io(runtime, fds[0], WRITE, tl_context(5));
}
END_TEST

/* All are ready and fetched; the program removes those that it has not seen yet. */
START_TEST(test_remove_in_a_batch)
{
    enum { COUNT = 10 };
    async_fd_t pairs[COUNT][2];
    async_event_t event;
    size_t kept;

    for (size_t i = 0; i < COUNT; i++) {
        tl_pair(pairs[i]);
        tl_send_text(pairs[i][1], "x");
        TL_OK(async_runtime_add(runtime, pairs[i][0], READ | WRITE, tl_context(i)));
    }
    tl_one(runtime, &event);
    kept = (uintptr_t)event.context;
    for (size_t i = 0; i < COUNT; i++) {
        if (i != kept) {
            TL_OK(async_runtime_remove(runtime, pairs[i][0]));
            if (i % 2 == 0)
                tl_close_pair(pairs[i]);
        }
    }
    for (int i = 0; i < 2 * COUNT; i++)
        tl_expect_io(runtime, pairs[kept][0], READ | WRITE, tl_context(kept));
    TL_OK(async_runtime_remove(runtime, pairs[kept][0]));
    tl_quiet(runtime);
    for (size_t i = 0; i < COUNT; i++)
        if (i == kept || i % 2 != 0)
            tl_close_pair(pairs[i]);
}
END_TEST

/* "also when the number is reused at once" */
static void reuse_in_a_batch(bool remove_first)
{
    async_fd_t other[2];
    async_fd_t fresh[2];
    async_event_t event;
    async_fd_t(*waiting)[2];

    tl_pair(other);
    tl_send_text(fds[1], "x");
    tl_send_text(other[1], "x");
    TL_OK(async_runtime_add(runtime, fds[0], READ, tl_context(1)));
    TL_OK(async_runtime_add(runtime, other[0], READ, tl_context(2)));
    tl_one(runtime, &event); /* the other one may be fetched already */
    waiting = event.fd == fds[0] ? &other : &fds;
    TL_OK(async_runtime_remove(runtime, event.fd));
    if (remove_first)
        TL_OK(async_runtime_remove(runtime, (*waiting)[0]));
    tl_close_pair(*waiting);
    tl_pair(fresh); /* on POSIX it has the same numbers */
    TL_OK(async_runtime_add(runtime, fresh[0], READ, tl_context(3)));
    TL_OK(async_runtime_add(runtime, fresh[1], READ, tl_context(4)));
    tl_quiet(runtime);
    tl_send_text(fresh[1], "y");
    tl_expect_io(runtime, fresh[0], READ, tl_context(3));
    TL_OK(async_runtime_remove(runtime, fresh[0]));
    tl_send_text(fresh[0], "z");
    tl_expect_io(runtime, fresh[1], READ, tl_context(4));
    TL_OK(async_runtime_remove(runtime, fresh[1]));
    tl_close_pair(fresh);
    tl_close_pair(other);
}

START_TEST(test_reuse_after_remove)
{
    reuse_in_a_batch(true);
}
END_TEST

/* "closing a descriptor without remove, then adding its reused number, works" */
START_TEST(test_reuse_without_remove)
{
    reuse_in_a_batch(false);
}
END_TEST

START_TEST(test_reuse_many_times)
{
    for (unsigned i = 0; i < 200; i++) {
        async_fd_t pair[2];

        tl_pair(pair);
        TL_OK(async_runtime_add(runtime, pair[0], i % 3 == 0 ? 0 : READ, tl_context(i)));
        TL_OK(async_runtime_add(runtime, pair[1], WRITE, tl_context(1000 + i)));
        tl_expect_io(runtime, pair[1], WRITE, tl_context(1000 + i));
        if (i % 2 == 0)
            TL_OK(async_runtime_remove(runtime, pair[0]));
        if (i % 4 < 2)
            TL_OK(async_runtime_remove(runtime, pair[1]));
        tl_close_pair(pair);
    }
}
END_TEST

/* Closed, and the number taken by something else that is not registered: silent, no error. */
START_TEST(test_close_without_remove)
{
    async_event_t event;

    TL_OK(async_runtime_add(runtime, fds[0], READ, tl_context(1)));
    TL_OK(async_runtime_add(runtime, fds[1], READ, tl_context(2)));
    tl_send_text(fds[1], "x");
    tl_close(fds[0]);
    fds[0] = ASYNC_INVALID_FD;
    /* The other end is told; the closed one may not be any more. */
    for (int i = 0; i < 3; i++) {
        tl_one(runtime, &event);
        ck_assert(event.fd == fds[1]);
        ck_assert_uint_ne(event.event_type & ASYNC_EVENT_CLOSE, 0);
    }
}
END_TEST

/* A registration does not touch what the descriptor is for the program. */
START_TEST(test_descriptor_stays_usable)
{
    TL_OK(async_runtime_add(runtime, fds[0], READ | WRITE, NULL));
    tl_send_text(fds[0], "one");
    tl_recv_text(fds[1], "one");
    TL_OK(async_runtime_remove(runtime, fds[0]));
    tl_send_text(fds[0], "two");
    tl_recv_text(fds[1], "two");
    tl_send_text(fds[1], "three");
    tl_recv_text(fds[0], "three");
}
END_TEST

/* Many changes in random order; what is reported must be what a plain table says. */
START_TEST(test_random_changes)
{
    enum { COUNT = 12 };
    async_fd_t pairs[COUNT][2];
    uint32_t want[COUNT];
    bool added[COUNT] = {false};
    uint32_t state = 7;

    for (size_t i = 0; i < COUNT; i++) {
        tl_pair(pairs[i]);
        if (i % 2 == 0)
            tl_send_text(pairs[i][1], "x");
        want[i] = 0;
    }
    for (unsigned step = 0; step < tl_scaled(600); step++) {
        size_t i = tl_random(&state) % COUNT;
        uint32_t events = tl_random(&state) % 4 & (READ | WRITE);
        async_event_t got[2 * COUNT];
        bool seen[COUNT] = {false};
        int count;

        switch (tl_random(&state) % 3) {
        case 0:
            ck_assert_int_eq(async_runtime_add(runtime, pairs[i][0], events, tl_context(step)),
                             added[i] ? -1 : 0);
            want[i] = added[i] ? want[i] : events;
            added[i] = true;
            break;
        case 1:
            ck_assert_int_eq(async_runtime_modify(runtime, pairs[i][0], events, NULL),
                             added[i] ? 0 : -1);
            want[i] = added[i] ? events : 0;
            break;
        default:
            ck_assert_int_eq(async_runtime_remove(runtime, pairs[i][0]), added[i] ? 0 : -1);
            added[i] = false;
            want[i] = 0;
            break;
        }
        tl_sleep_ms(tl_backend_is(runtime, "iocp") ? 1 : 0);
        count = async_runtime_wait(runtime, got, 2 * COUNT, 0);
        ck_assert_int_ge(count, 0);
        for (int k = 0; k < count; k++) {
            for (i = 0; i < COUNT && pairs[i][0] != got[k].fd; i++)
                continue;
            ck_assert_uint_lt(i, COUNT);
            ck_assert(!seen[i]);
            seen[i] = true;
            ck_assert_uint_eq(got[k].event_type, want[i] & (i % 2 == 0 ? READ | WRITE : WRITE));
        }
        for (i = 0; i < COUNT; i++)
            ck_assert(seen[i] == ((want[i] & (i % 2 == 0 ? READ | WRITE : WRITE)) != 0));
    }
    async_runtime_deinit(runtime);
    runtime = NULL;
    for (size_t i = 0; i < COUNT; i++)
        tl_close_pair(pairs[i]);
}
END_TEST

static void add_cases(Suite *suite)
{
    TCase *tcase = tl_case(suite, "errors");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_unknown_bits);
    tcase_add_test(tcase, test_add_twice);
    tcase_add_test(tcase, test_unknown_descriptor);
    tcase_add_test(tcase, test_closed_descriptor);
    tcase_add_test(tcase, test_closed_descriptor_operations);
    tcase_add_test(tcase, test_impossible_descriptors);

    tcase = tl_case(suite, "changes");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_modify_context_only);
    tcase_add_test(tcase, test_modify_of_a_fetched_event);
    tcase_add_test(tcase, test_remove);
    tcase_add_test(tcase, test_remove_in_a_batch);
    tcase_add_test(tcase, test_reuse_after_remove);
    tcase_add_test(tcase, test_reuse_without_remove);
    tcase_add_test(tcase, test_reuse_many_times);
    tcase_add_test(tcase, test_close_without_remove);
    tcase_add_test(tcase, test_descriptor_stays_usable);
    tcase_add_test(tcase, test_random_changes);
}

int main(void)
{
    return tl_main("runtime_change", add_cases);
}

/* SPDX-License-Identifier: MIT */
/*
 * The futex and the event-count upon it.  Built with the platform's own futex, with the table of
 * condition variables that systems without one use, and with the call that has 64-bit times only.
 */
#include "port/port_clock.h"
#include "port/port_eventcount.h"
#include "port/port_futex.h"
#include "port/port_thread.h"
#include "testcheck.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#define MS PORT_NS_PER_MS
#define SLEEPERS 4
#define ROUNDS 4000

static const port_thread_attr_t no_attr;

static _Atomic uint32_t word;
static _Atomic int done;

static void reset(void)
{
    atomic_store(&word, 0);
    atomic_store(&done, 0);
}

static void sleep_on_word(void *arg)
{
    (void)arg;
    while (atomic_load(&word) == 0)
        port_futex_wait(&word, 0, PORT_DEADLINE_NEVER);
    atomic_fetch_add(&done, 1);
}

START_TEST(wake_frees_all_sleepers)
{
    port_thread_t threads[SLEEPERS];

    for (int i = 0; i < SLEEPERS; i++)
        ck_assert_int_eq(port_thread_create(&threads[i], sleep_on_word, NULL, &no_attr), 0);
    port_thread_sleep(50 * MS);
    ck_assert_int_eq(atomic_load(&done), 0);
    errno = 55;
    atomic_store(&word, 1);
    port_futex_wake(&word, PORT_FUTEX_ALL);
    ck_assert_int_eq(errno, 55);
    for (int i = 0; i < SLEEPERS; i++)
        port_thread_join(&threads[i]);
    ck_assert_int_eq(atomic_load(&done), SLEEPERS);
}
END_TEST

START_TEST(wait_returns_at_once_when_the_word_differs)
{
    atomic_store(&word, 5);
    ck_assert_int_eq(port_futex_wait(&word, 4, PORT_DEADLINE_NEVER), 0);
    port_futex_wake(&word, 1);
}
END_TEST

START_TEST(wait_ends_at_the_deadline)
{
    uint64_t before = port_clock_now();
    int err;

    errno = 55;
    do {
        err = port_futex_wait(&word, 0, before + 30 * MS);
    } while (err == 0);
    ck_assert_int_eq(err, ETIMEDOUT);
    ck_assert_int_eq(errno, 55);
    ck_assert_uint_ge(port_clock_now() - before, 30 * MS);
    /* one in the past, and the oldest of all */
    ck_assert_int_eq(port_futex_wait(&word, 0, before), ETIMEDOUT);
    ck_assert_int_eq(port_futex_wait(&word, 0, 0), ETIMEDOUT);
}
END_TEST

static void wake_later(void *arg)
{
    (void)arg;
    port_thread_sleep(30 * MS);
    atomic_store(&word, 1);
    port_futex_wake(&word, 1);
}

START_TEST(far_deadlines_do_not_end_early)
{
    static const uint64_t deadlines[] = {PORT_DEADLINE_NEVER, PORT_DEADLINE_NEVER - 1,
                                         UINT64_MAX / 2, (uint64_t)INT_MAX * PORT_NS_PER_S};

    for (size_t i = 0; i < sizeof(deadlines) / sizeof(deadlines[0]); i++) {
        port_thread_t thread;

        atomic_store(&word, 0);
        ck_assert_int_eq(port_thread_create(&thread, wake_later, NULL, &no_attr), 0);
        while (atomic_load(&word) == 0)
            ck_assert_int_eq(port_futex_wait(&word, 0, deadlines[i]), 0);
        port_thread_join(&thread);
    }
}
END_TEST

/* ---- the event-count: a counter of tokens that threads wait for ---- */

static port_eventcount_t tokens_changed;
static _Atomic int tokens;

static bool take_token(void)
{
    int have = atomic_load(&tokens);

    while (have > 0)
        if (atomic_compare_exchange_weak(&tokens, &have, have - 1))
            return true;
    return false;
}

static void take_tokens(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++)
        while (!take_token()) {
            uint32_t key = port_eventcount_prepare(&tokens_changed);

            if (take_token()) {
                port_eventcount_cancel(&tokens_changed);
                break;
            }
            /* a wake-up that was lost ends the test by its timeout */
            port_eventcount_wait(&tokens_changed, key, PORT_DEADLINE_NEVER);
        }
    atomic_fetch_add(&done, 1);
}

static void give_tokens(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        atomic_fetch_add(&tokens, 1);
        port_eventcount_notify(&tokens_changed, 1);
        if (i % 64 == 0)
            port_thread_yield();
    }
}

START_TEST(eventcount_loses_no_wakeup)
{
    port_thread_t takers[3], givers[3];

    port_eventcount_init(&tokens_changed);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(port_thread_create(&takers[i], take_tokens, NULL, &no_attr), 0);
        ck_assert_int_eq(port_thread_create(&givers[i], give_tokens, NULL, &no_attr), 0);
    }
    for (int i = 0; i < 3; i++) {
        port_thread_join(&givers[i]);
        port_thread_join(&takers[i]);
    }
    ck_assert_int_eq(atomic_load(&tokens), 0);
    ck_assert_int_eq(atomic_load(&done), 3);
    ck_assert_uint_eq(atomic_load(&tokens_changed.waiters), 0);
}
END_TEST

START_TEST(eventcount_notify_after_prepare_is_seen)
{
    uint32_t key;

    port_eventcount_init(&tokens_changed);
    ck_assert(!port_eventcount_has_waiters(&tokens_changed));
    key = port_eventcount_prepare(&tokens_changed);
    ck_assert(port_eventcount_has_waiters(&tokens_changed));
    port_eventcount_notify(&tokens_changed, 1);
    ck_assert_int_eq(port_eventcount_wait(&tokens_changed, key, PORT_DEADLINE_NEVER), 0);
    ck_assert(!port_eventcount_has_waiters(&tokens_changed));
    key = port_eventcount_prepare(&tokens_changed);
    ck_assert_int_eq(port_eventcount_wait(&tokens_changed, key, port_clock_now() + 20 * MS),
                     ETIMEDOUT);
    key = port_eventcount_prepare(&tokens_changed);
    port_eventcount_cancel(&tokens_changed);
    ck_assert(!port_eventcount_has_waiters(&tokens_changed));
    (void)key;
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("port_futex");
    TCase *tcase = tcase_create("port_futex");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, reset, NULL);
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, wake_frees_all_sleepers);
    tcase_add_test(tcase, wait_returns_at_once_when_the_word_differs);
    tcase_add_test(tcase, wait_ends_at_the_deadline);
    tcase_add_test(tcase, far_deadlines_do_not_end_early);
    tcase_add_test(tcase, eventcount_loses_no_wakeup);
    tcase_add_test(tcase, eventcount_notify_after_prepare_is_seen);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

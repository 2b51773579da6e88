/* SPDX-License-Identifier: MIT */
/*
 * test_runtime_completion.c - completions: all bits, exactly once, in order, at any rate
 */
#include "testlib.h"

#include <stdatomic.h>

static async_runtime_t *runtime;

static void setup(void)
{
    runtime = tl_runtime();
}

static void teardown(void)
{
    async_runtime_deinit(runtime);
}

static async_runtime_t *limited_runtime(size_t limit)
{
    async_runtime_options_t options = ASYNC_RUNTIME_OPTIONS_INIT;
    async_runtime_t *limited;

    options.completion_limit = limit;
    options.flags = tl_runtime_flags();
    limited = async_runtime_init_with(&options);
    ck_assert_ptr_nonnull(limited);
    return limited;
}

/* ---- what arrives */

/* "all 64 bits of key and data arrive" */
START_TEST(test_all_bits)
{
    static const uintptr_t values[] = {
        0,
        1,
        UINTPTR_MAX,
        UINTPTR_MAX - 1,
        UINTPTR_MAX / 2 + 1,
        UINTPTR_MAX / 3,
        (uintptr_t)UINT64_C(0xdeadbeefcafebabe),
        (uintptr_t)UINT64_C(0x0123456789abcdef),
        (uintptr_t)UINT64_C(0xffffffff),
        (uintptr_t)UINT64_C(0x100000000),
    };
    enum { VALUES = sizeof values / sizeof values[0] };

    for (size_t i = 0; i < VALUES; i++) {
        for (size_t k = 0; k < VALUES; k++) {
            TL_OK(async_runtime_post_completion(runtime, values[i], values[k]));
            tl_expect_completion(runtime, values[i], values[k]);
        }
    }
    for (unsigned bit = 0; bit < sizeof(uintptr_t) * 8; bit++)
        TL_OK(async_runtime_post_completion(runtime, (uintptr_t)1 << bit, ~((uintptr_t)1 << bit)));
    for (unsigned bit = 0; bit < sizeof(uintptr_t) * 8; bit++)
        tl_expect_completion(runtime, (uintptr_t)1 << bit, ~((uintptr_t)1 << bit));
}
END_TEST

/* "none is lost or merged": two posts before one wait are two, also when they are equal */
START_TEST(test_two_before_a_wait)
{
    async_event_t events[8];

    TL_OK(async_runtime_post_completion(runtime, 7, 1));
    TL_OK(async_runtime_post_completion(runtime, 7, 1));
    TL_OK(async_runtime_post_completion(runtime, 0, 0));
    TL_OK(async_runtime_post_completion(runtime, 0, 0));
    ck_assert_int_eq(async_runtime_wait(runtime, events, 8, -1), 4);
    ck_assert_uint_eq(events[0].completion_key, 7);
    ck_assert_uint_eq(events[1].completion_key, 7);
    ck_assert_uint_eq(events[1].data, 1);
    ck_assert_uint_eq(events[2].completion_key, 0);
    ck_assert_uint_eq(events[3].data, 0);
    tl_quiet(runtime);
}
END_TEST

/* "never drops an event because max_events is small" */
START_TEST(test_many_before_a_wait)
{
    unsigned count = tl_scaled(200000);
    static async_event_t events[97];
    uintptr_t next = 0;

    for (unsigned i = 0; i < count; i++)
        if (async_runtime_post_completion(runtime, ~(uintptr_t)i, i) != 0)
            ck_abort_msg("post %u: errno %d", i, errno);
    ck_assert_uint_eq(tl_stats(runtime).completions_pending, count);
    for (int size = 1; next < count; size = size % 97 + 1) {
        int got = async_runtime_wait(runtime, events, size, -1);

        if (got < 1 || got > size)
            ck_abort_msg("wait: %d", got);
        for (int k = 0; k < got; k++, next++)
            if (events[k].event_type != ASYNC_EVENT_COMPLETION || events[k].data != next ||
                events[k].completion_key != ~next)
                ck_abort_msg("event %lu: data %lu", (unsigned long)next,
                             (unsigned long)events[k].data);
    }
    ck_assert_uint_eq(next, count);
    ck_assert_uint_eq(tl_stats(runtime).completions_pending, 0);
    tl_quiet(runtime);
}
END_TEST

/* ---- many threads */

#define POSTERS 4

struct poster {
    async_runtime_t *runtime;
    uintptr_t key;
    unsigned count;
    unsigned accepted;
    unsigned pause; /* 0, or after how many posts it gives way */
};

static void poster_main(void *arg)
{
    struct poster *poster = arg;

    for (unsigned i = 0; i < poster->count; i++) {
        if (async_runtime_post_completion(poster->runtime, poster->key, i) == 0)
            poster->accepted++;
        if (poster->pause != 0 && i % poster->pause == 0)
            tl_yield();
    }
}

/* "each post exactly once, FIFO per posting thread" */
static void check_posters(unsigned each, unsigned pause, int first_size, int last_size)
{
    struct poster posters[POSTERS];
    tl_thread_t *threads[POSTERS];
    uintptr_t next[POSTERS] = {0};
    unsigned total = 0;
    int size = first_size;
    async_runtime_stats_t stats;

    for (uintptr_t i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){runtime, i, each, 0, pause};
        threads[i] = tl_thread_start(poster_main, &posters[i]);
    }
    while (total < POSTERS * each) {
        async_event_t events[64];
        int got = async_runtime_wait(runtime, events, size, -1);

        if (got < 0 || got > size)
            ck_abort_msg("wait: %d", got);
        for (int k = 0; k < got; k++, total++) {
            uintptr_t key = events[k].completion_key;

            if (key >= POSTERS || events[k].data != next[key]++)
                ck_abort_msg("key %lu, data %lu", (unsigned long)key,
                             (unsigned long)events[k].data);
        }
        size = size == last_size ? first_size : size + 1;
    }
    for (size_t i = 0; i < POSTERS; i++) {
        tl_thread_join(threads[i]);
        ck_assert_uint_eq(posters[i].accepted, each);
        ck_assert_uint_eq(next[i], each);
    }
    tl_quiet(runtime);
    stats = tl_stats(runtime);
    ck_assert_uint_eq(stats.completions_posted, POSTERS * each);
    ck_assert_uint_eq(stats.completions_delivered, POSTERS * each);
    ck_assert_uint_eq(stats.completions_pending, 0);
    ck_assert_uint_le(stats.wakeups_sent, stats.waits);
}

START_TEST(test_posters)
{
    check_posters(tl_scaled(50000), 0, 1, 7);
}
END_TEST

START_TEST(test_posters_one_event_a_wait)
{
    check_posters(tl_scaled(10000), 1, 1, 1);
}
END_TEST

START_TEST(test_posters_large_array)
{
    check_posters(tl_scaled(50000), 100, 64, 64);
}
END_TEST

/* The loop thread is a posting thread like any other. */
START_TEST(test_loop_thread_posts)
{
    struct poster poster = {runtime, 1, tl_scaled(20000), 0, 10};
    tl_thread_t *thread = tl_thread_start(poster_main, &poster);
    uintptr_t next[2] = {0, 0};
    uintptr_t posted = 0;

    while (next[0] < poster.count || next[1] < poster.count) {
        async_event_t events[3];
        int got;

        if (posted < poster.count)
            TL_OK(async_runtime_post_completion(runtime, 0, posted++));
        got = async_runtime_wait(runtime, events, 3, posted < poster.count ? 0 : -1);
        for (int k = 0; k < got; k++)
            ck_assert_uint_eq(events[k].data, next[events[k].completion_key]++);
    }
    tl_thread_join(thread);
    tl_quiet(runtime);
}
END_TEST

/* ---- waking */

struct echo {
    async_runtime_t *here;
    async_runtime_t *there;
    unsigned rounds;
};

static void echo_main(void *arg)
{
    struct echo *echo = arg;

    for (unsigned i = 0; i < echo->rounds; i++) {
        async_event_t event;

        while (async_runtime_wait(echo->here, &event, 1, -1) != 1)
            continue;
        (void)async_runtime_post_completion(echo->there, event.completion_key, event.data + 1);
    }
}

/* No wake-up is missed: if one were, both would sleep for ever. */
START_TEST(test_ping_pong)
{
    struct echo echo = {tl_shared_runtime(), runtime, tl_scaled(20000)};
    tl_thread_t *thread = tl_thread_start(echo_main, &echo);
    async_runtime_stats_t stats;

    for (unsigned i = 0; i < echo.rounds; i++) {
        async_event_t event;
        int got;

        if (async_runtime_post_completion(echo.here, i, i) != 0)
            ck_abort_msg("post: errno %d", errno);
        while ((got = async_runtime_wait(runtime, &event, 1, -1)) == 0)
            continue;
        if (got != 1 || event.completion_key != i || event.data != i + 1)
            ck_abort_msg("round %u: %d events", i, got);
    }
    tl_thread_join(thread);
    /* "a sleeping loop is woken by at most one" */
    stats = tl_stats(runtime);
    ck_assert_uint_le(stats.wakeups_sent, echo.rounds);
    async_runtime_deinit(echo.here);
}
END_TEST

/* "While the loop is busy a post makes no system call": not one of them is a wake-up */
START_TEST(test_busy_loop_is_not_woken)
{
    struct poster poster = {runtime, 1, tl_scaled(50000), 0, 0};
    uint64_t before;
    async_event_t event;

    TL_OK(async_runtime_wait(runtime, &event, 1, 1)); /* it has slept, and is awake again */
    before = tl_stats(runtime).wakeups_sent;
    tl_thread_join(tl_thread_start(poster_main, &poster));
    poster_main(&poster);
    ck_assert_uint_eq(tl_stats(runtime).wakeups_sent, before);
    ck_assert_uint_eq(tl_stats(runtime).completions_pending, 2 * poster.count);
    /* Nor while it takes them one by one. */
    for (unsigned i = 0; i < 100; i++) {
        tl_one(runtime, &event);
        TL_OK(async_runtime_post_completion(runtime, 1, 1));
    }
    ck_assert_uint_eq(tl_stats(runtime).wakeups_sent, before);
}
END_TEST

/* Posts that come between two waits are taken by a wait without end at once. */
START_TEST(test_wait_without_end)
{
    async_event_t event;

    for (unsigned i = 0; i < 100; i++) {
        TL_OK(async_runtime_post_completion(runtime, 1, i));
        ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, -1), 1);
        ck_assert_uint_eq(event.data, i);
    }
}
END_TEST

/* ---- the limit */

/* "Unbounded unless options.completion_limit is set (then EAGAIN)"; the limit: "most completions
 * posted and not yet delivered" */
START_TEST(test_limit)
{
    async_runtime_t *limited = limited_runtime(10);
    uintptr_t next = 0;

    for (uintptr_t i = 0; i < 10; i++)
        TL_OK(async_runtime_post_completion(limited, 1, i));
    for (uintptr_t i = 10; i < 40; i++) {
        TL_FAILS(async_runtime_post_completion(limited, 2, 99), EAGAIN);
        TL_FAILS(async_runtime_post_completion(limited, 2, 99), EAGAIN);
        ck_assert_uint_eq(tl_stats(limited).completions_pending, 10);
        /* One delivered is one place, although the runtime has fetched them all. */
        tl_expect_completion(limited, 1, next++);
        TL_OK(async_runtime_post_completion(limited, 1, i));
    }
    while (next < 40)
        tl_expect_completion(limited, 1, next++);
    tl_quiet(limited);
    ck_assert_uint_eq(tl_stats(limited).completions_posted, 40);
    async_runtime_deinit(limited);
}
END_TEST

START_TEST(test_limit_of_one)
{
    async_runtime_t *limited = limited_runtime(1);

    for (uintptr_t i = 0; i < 100; i++) {
        TL_OK(async_runtime_post_completion(limited, i, i));
        TL_FAILS(async_runtime_post_completion(limited, i, i), EAGAIN);
        tl_expect_completion(limited, i, i);
    }
    async_runtime_deinit(limited);
}
END_TEST

START_TEST(test_limit_huge)
{
    async_runtime_t *limited = limited_runtime(SIZE_MAX);

    for (uintptr_t i = 0; i < 1000; i++)
        TL_OK(async_runtime_post_completion(limited, i, i));
    for (uintptr_t i = 0; i < 1000; i++)
        tl_expect_completion(limited, i, i);
    async_runtime_deinit(limited);
}
END_TEST

/* With several threads at the limit: what was accepted comes, what was refused does not. */
START_TEST(test_limit_with_posters)
{
    async_runtime_t *limited = limited_runtime(50);
    struct poster posters[POSTERS];
    tl_thread_t *threads[POSTERS];
    unsigned taken[POSTERS] = {0};
    uintptr_t last[POSTERS];
    unsigned accepted = 0;
    unsigned total = 0;

    for (uintptr_t i = 0; i < POSTERS; i++) {
        last[i] = UINTPTR_MAX;
        posters[i] = (struct poster){limited, i, tl_scaled(20000), 0, 20};
        threads[i] = tl_thread_start(poster_main, &posters[i]);
    }
    for (bool ended = false;;) {
        async_event_t events[8];
        int got = async_runtime_wait(limited, events, 8, ended ? 0 : 1);

        if (got == 0 && ended)
            break;
        for (int k = 0; k < got; k++, total++) {
            uintptr_t key = events[k].completion_key;

            ck_assert(last[key] == UINTPTR_MAX || events[k].data > last[key]);
            last[key] = events[k].data;
            taken[key]++;
        }
        ck_assert_uint_le(tl_stats(limited).completions_pending, 50);
        if (got == 0) {
            for (size_t i = 0; i < POSTERS; i++)
                tl_thread_join(threads[i]);
            ended = true;
        }
    }
    for (size_t i = 0; i < POSTERS; i++) {
        ck_assert_uint_eq(taken[i], posters[i].accepted);
        accepted += posters[i].accepted;
    }
    ck_assert_uint_eq(total, accepted);
    ck_assert_uint_eq(tl_stats(limited).completions_pending, 0);
    async_runtime_deinit(limited);
}
END_TEST

static void add_cases(Suite *suite)
{
    TCase *tcase = tl_case(suite, "what arrives");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_all_bits);
    tcase_add_test(tcase, test_two_before_a_wait);
    tcase_add_test(tcase, test_many_before_a_wait);
    tcase_add_test(tcase, test_wait_without_end);

    tcase = tl_case(suite, "threads");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_posters);
    tcase_add_test(tcase, test_posters_one_event_a_wait);
    tcase_add_test(tcase, test_posters_large_array);
    tcase_add_test(tcase, test_loop_thread_posts);
    tcase_add_test(tcase, test_ping_pong);
    tcase_add_test(tcase, test_busy_loop_is_not_woken);

    tcase = tl_case(suite, "limit");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_limit);
    tcase_add_test(tcase, test_limit_of_one);
    tcase_add_test(tcase, test_limit_huge);
    tcase_add_test(tcase, test_limit_with_posters);
}

int main(void)
{
    return tl_main("runtime_completion", add_cases);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_runtime_timer.c - timers: order, exactness, counting, cancellation, very many
 *
 * Nothing here is wrong under load: a timer may be late by any time, but never early.
 */
#include "testlib.h"

#include <limits.h>
#include <stdlib.h>

#define TIMER ASYNC_EVENT_TIMER

static async_runtime_t *runtime;

static void setup(void)
{
    runtime = tl_runtime();
}

static void teardown(void)
{
    async_runtime_deinit(runtime);
}

static uint64_t add(uint64_t delay_us, uint64_t period_us, uintptr_t context)
{
    uint64_t id;

    errno = TL_ERRNO;
    id = async_runtime_add_timer(runtime, delay_us, period_us, tl_context(context));
    ck_assert_msg(id != 0, "add_timer: errno %d", errno);
    ck_assert_int_eq(errno, TL_ERRNO);
    return id;
}

static uintptr_t next_timer(uintptr_t *expirations)
{
    async_event_t event;

    tl_one(runtime, &event);
    ck_assert_uint_eq(event.event_type, TIMER);
    ck_assert(event.fd == ASYNC_INVALID_FD);
    ck_assert_int_eq(event.error, 0);
    ck_assert_uint_eq(event.completion_key, 0);
    ck_assert_ptr_null(event.buffer);
    ck_assert_uint_eq(event.bytes_transferred, 0);
    ck_assert_uint_ge(event.data, 1);
    if (expirations != NULL)
        *expirations = event.data;
    return (uintptr_t)event.context;
}

/* ---- when */

/* "(0: at the next wait)": also one that does not wait */
START_TEST(test_no_delay)
{
    async_event_t event;

    for (uintptr_t i = 0; i < 3; i++) {
        (void)add(0, 0, i);
        ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, i == 1 ? -1 : 0), 1);
        ck_assert_uint_eq(event.event_type, TIMER);
        ck_assert_ptr_eq(event.context, tl_context(i));
        ck_assert_uint_eq(event.data, 1);
        tl_quiet(runtime);
    }
}
END_TEST

/* "never early": to the microsecond */
START_TEST(test_never_early)
{
    static const uint64_t delays[] = {1, 50, 100, 500, 999, 1000, 1001, 1500, 2999, 10000, 25001};

    for (size_t i = 0; i < sizeof delays / sizeof delays[0]; i++) {
        uint64_t start = tl_now_ns();
        async_event_t event;

        (void)add(delays[i], 0, i);
        while (async_runtime_wait(runtime, &event, 1, i % 2 == 0 ? -1 : 1) == 0)
            continue;
        ck_assert_uint_ge(tl_now_ns() - start, delays[i] * TL_NS_PER_US);
        ck_assert_uint_eq(event.data, 1);
    }
}
END_TEST

/* A wait whose time is over first brings no timer, and a timer ends a longer wait. */
START_TEST(test_timer_and_timeout)
{
    async_event_t event;
    uint64_t start = tl_now_ns();

    (void)add(60 * 1000000ull, 0, 1);
    TL_OK(async_runtime_wait(runtime, &event, 1, 5));
    ck_assert_uint_ge(tl_now_ns() - start, 5 * TL_NS_PER_MS);
    (void)add(2000, 0, 2);
    ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, 600000), 1);
    ck_assert_ptr_eq(event.context, tl_context(2));
}
END_TEST

struct entry {
    uint64_t earliest; /* the deadline lies between these two */
    uint64_t latest;
};

static void add_measured(struct entry *entry, uint64_t delay_us, uintptr_t context)
{
    entry->earliest = tl_now_ns() + delay_us * TL_NS_PER_US;
    (void)add(delay_us, 0, context);
    entry->latest = tl_now_ns() + delay_us * TL_NS_PER_US;
}

/* "delivered in the order of their deadlines": across waits and inside one array, whatever the
 * order of the calls */
static void check_order(int max_events, unsigned spread_us, unsigned late_ms)
{
    enum { COUNT = 500 };
    static struct entry entries[COUNT];
    static bool seen[COUNT];
    uint32_t state = 99;
    uint64_t latest_earliest = 0; /* of the deadlines so far */

    for (size_t i = 0; i < COUNT; i++) {
        seen[i] = false;
        add_measured(&entries[i], tl_random(&state) % spread_us, i);
    }
    tl_sleep_ms(late_ms);
    for (int total = 0; total < COUNT;) {
        async_event_t events[64];
        int count = tl_some(runtime, events, max_events);
        uint64_t now = tl_now_ns();

        for (int k = 0; k < count; k++) {
            size_t i = (uintptr_t)events[k].context;

            ck_assert_uint_eq(events[k].event_type, TIMER);
            ck_assert_uint_eq(events[k].data, 1);
            ck_assert(!seen[i]);
            seen[i] = true;
            ck_assert_uint_ge(now, entries[i].earliest);
            ck_assert_uint_ge(entries[i].latest, latest_earliest);
            if (entries[i].earliest > latest_earliest)
                latest_earliest = entries[i].earliest;
        }
        total += count;
    }
    ck_assert_uint_eq(tl_stats(runtime).timers, 0);
    tl_quiet(runtime);
}

START_TEST(test_order)
{
    check_order(8, 50000, 0);
}
END_TEST

START_TEST(test_order_one_a_wait)
{
    check_order(1, 20000, 0);
}
END_TEST

START_TEST(test_order_all_late)
{
    check_order(64, 20000, 25);
}
END_TEST

START_TEST(test_order_all_late_one_a_wait)
{
    check_order(1, 20000, 25);
}
END_TEST

/* ---- periodic */

/*
 * "a late periodic timer gives one event whose data counts the expirations since its last event (1
 * if on time)": after each event the sum of what was counted is what the clock says, so that no
 * expiration is lost, counted twice or drifts.
 */
static void check_periodic(uint64_t delay_us, uint64_t period_us, unsigned events, unsigned late_ms)
{
    uint64_t period = period_us * TL_NS_PER_US;
    uint64_t earliest = tl_now_ns() + delay_us * TL_NS_PER_US; /* the first deadline: between */
    uint64_t id = add(delay_us, period_us, 5);
    uint64_t latest = tl_now_ns() + delay_us * TL_NS_PER_US;
    uint64_t sum = 0;

    for (unsigned i = 0; i < events; i++) {
        uint64_t before;
        uint64_t after;
        uintptr_t expirations;

        tl_sleep_ms(i % 3 == 0 ? late_ms : 0);
        before = tl_now_ns();
        ck_assert_uint_eq(next_timer(&expirations), 5);
        after = tl_now_ns();
        sum += expirations;
        ck_assert_uint_ge(after, earliest + (sum - 1) * period);
        if (before >= latest)
            ck_assert_uint_ge(sum, (before - latest) / period + 1);
    }
    ck_assert_uint_eq(tl_stats(runtime).timers, 1);
    TL_OK(async_runtime_cancel_timer(runtime, id));
    tl_quiet(runtime);
}

START_TEST(test_periodic)
{
    check_periodic(2000, 2000, 20, 0);
}
END_TEST

START_TEST(test_periodic_late)
{
    check_periodic(0, 1000, 20, 9);
}
END_TEST

START_TEST(test_periodic_other_delay)
{
    check_periodic(7000, 1500, 10, 4);
}
END_TEST

/* Faster than anybody can take it: each wait brings one event, with all the counts. */
START_TEST(test_periodic_too_fast)
{
    check_periodic(0, 1, 100, 1);
}
END_TEST

/* One event, not one for each expiration that was missed. */
START_TEST(test_late_is_one_event)
{
    async_event_t events[8];
    uint64_t start = tl_now_ns();

    (void)add(1000, 20 * 1000000ull, 1);
    (void)add(0, 500, 2);
    tl_sleep_ms(20);
    ck_assert_int_eq(async_runtime_wait(runtime, events, 8, 0), 2);
    for (int i = 0; i < 2; i++) {
        uint64_t passed = tl_now_ns() - start;

        ck_assert_uint_ge(events[i].data, events[i].context == tl_context(1) ? 1 : 40);
        ck_assert_uint_le(events[i].data, passed / (500 * TL_NS_PER_US) + 1);
    }
}
END_TEST

/* ---- cancel */

START_TEST(test_cancel_errors)
{
    uint64_t id = add(0, 0, 1);

    TL_FAILS(async_runtime_cancel_timer(runtime, id + 1000), ENOENT);
    TL_FAILS(async_runtime_cancel_timer(runtime, UINT64_MAX), ENOENT);
    ck_assert_int_eq(async_runtime_cancel_timer(runtime, 0), -1);
    ck_assert_uint_eq(next_timer(NULL), 1);
    TL_FAILS(async_runtime_cancel_timer(runtime, id), ENOENT); /* expired */
    id = add(1000000, 0, 2);
    TL_OK(async_runtime_cancel_timer(runtime, id));
    TL_FAILS(async_runtime_cancel_timer(runtime, id), ENOENT); /* cancelled */
    ck_assert_uint_eq(tl_stats(runtime).timers, 0);
}
END_TEST

/* "After cancel_timer no event of it appears": also when it has expired and was fetched */
START_TEST(test_cancel_in_a_batch)
{
    enum { COUNT = 10 };
    uint64_t ids[COUNT];
    uintptr_t kept;

    for (uintptr_t i = 0; i < COUNT; i++)
        ids[i] = add(0, i % 2 == 0 ? 0 : 1000, i);
    tl_sleep_ms(1);
    kept = next_timer(NULL);
    for (uintptr_t i = 0; i < COUNT; i++)
        if (i != kept || i % 2 != 0)
            (void)async_runtime_cancel_timer(runtime, ids[i]);
    tl_quiet(runtime);
    tl_quiet(runtime);
}
END_TEST

/* A periodic timer that is cancelled when its event has just come. */
START_TEST(test_cancel_periodic)
{
    uint64_t id = add(0, 1000, 1);

    for (int i = 0; i < 3; i++)
        ck_assert_uint_eq(next_timer(NULL), 1);
    tl_sleep_ms(3);
    TL_OK(async_runtime_cancel_timer(runtime, id));
    tl_quiet(runtime);
    TL_FAILS(async_runtime_cancel_timer(runtime, id), ENOENT);
}
END_TEST

/* The next one to come is cancelled: the loop sleeps until the one after it. */
START_TEST(test_cancel_the_first)
{
    uint64_t start = tl_now_ns();
    uint64_t first = add(1000, 0, 1);

    (void)add(15000, 0, 2);
    TL_OK(async_runtime_cancel_timer(runtime, first));
    ck_assert_uint_eq(next_timer(NULL), 2);
    ck_assert_uint_ge(tl_now_ns() - start, 15 * TL_NS_PER_MS);
}
END_TEST

static int compare(const void *a, const void *b)
{
    const uint64_t *left = a;
    const uint64_t *right = b;

    return (*left > *right) - (*left < *right);
}

/* "Ids are never reused." An old id does no harm to whoever has its place now. */
START_TEST(test_ids)
{
    enum { COUNT = 20000 };
    static uint64_t ids[COUNT];
    uint64_t living;

    for (size_t i = 0; i < COUNT; i++) {
        ids[i] = add(i % 3 == 0 ? 0 : 1000000, 0, i);
        if (i % 3 == 0)
            ck_assert_uint_eq(next_timer(NULL), i);
        else
            TL_OK(async_runtime_cancel_timer(runtime, ids[i]));
    }
    living = add(1000, 0, 77);
    for (size_t i = 0; i < COUNT; i++)
        if (async_runtime_cancel_timer(runtime, ids[i]) != -1 || errno != ENOENT)
            ck_abort_msg("an id was used again");
    ck_assert_uint_eq(next_timer(NULL), 77);
    qsort(ids, COUNT, sizeof ids[0], compare);
    for (size_t i = 1; i < COUNT; i++)
        ck_assert_uint_ne(ids[i - 1], ids[i]);
    ck_assert_ptr_null(bsearch(&living, ids, COUNT, sizeof ids[0], compare));
}
END_TEST

/* ---- extremes */

/* Delays beyond what a clock counts are far away, not at once. */
START_TEST(test_huge_values)
{
    static const uint64_t huge[] = {
        UINT64_MAX,
        UINT64_MAX - 1,
        UINT64_MAX / 1000,
        UINT64_MAX / 1000 + 1,
        UINT64_MAX / 2,
        (uint64_t)INT64_MAX / 1000 + 1,
        (uint64_t)INT_MAX * 1000 + 1000,
        UINT64_C(1) << 32,
    };
    uint64_t ids[2 * sizeof huge / sizeof huge[0]];
    size_t count = 0;
    uintptr_t expirations;

    for (size_t i = 0; i < sizeof huge / sizeof huge[0]; i++) {
        ids[count++] = add(huge[i], 0, 1);
        ids[count++] = add(huge[i], huge[i], 1);
        ck_assert_int_gt(async_runtime_get_timeout(runtime), 1000000);
        tl_quiet(runtime);
    }
    for (size_t i = 0; i < count; i++)
        TL_OK(async_runtime_cancel_timer(runtime, ids[i]));
    for (size_t i = 0; i < sizeof huge / sizeof huge[0]; i++) {
        uint64_t id = add(0, huge[i], i);

        ck_assert_uint_eq(next_timer(&expirations), i);
        ck_assert_uint_eq(expirations, 1);
        tl_quiet(runtime);
        TL_OK(async_runtime_cancel_timer(runtime, id));
    }
}
END_TEST

/* "A million timers cost O(log n) or better each": in an order that is the worst for a list,
 * cancelled from where a list would find them last.  (Quadratic, this takes longer than the test
 * may.) */
START_TEST(test_very_many)
{
    size_t count = tl_scaled(300000);
    uint64_t *ids = calloc(count, sizeof *ids);
    uintptr_t last = 0;
    size_t taken = 0;

    ck_assert_ptr_nonnull(ids);
    for (size_t i = 0; i < count; i++)
        ids[i] = async_runtime_add_timer(runtime, 5000000 - i % 4000000, 0, tl_context(i));
    ck_assert_uint_eq(tl_stats(runtime).timers, count);
    for (size_t i = count; i-- > 0;)
        if (ids[i] == 0 || async_runtime_cancel_timer(runtime, ids[i]) != 0)
            ck_abort_msg("timer %lu", (unsigned long)i);
    ck_assert_uint_eq(tl_stats(runtime).timers, 0);
    tl_quiet(runtime);

    /* Expired in their thousands, half of them cancelled before. */
    for (size_t i = 0; i < count; i++)
        ids[i] = async_runtime_add_timer(runtime, i * 7919 % count / 1000, 0, tl_context(i));
    for (size_t i = 0; i < count; i += 2)
        if (async_runtime_cancel_timer(runtime, ids[i]) != 0)
            ck_abort_msg("timer %lu", (unsigned long)i);
    while (taken < count / 2) {
        static async_event_t events[1000];
        int got = tl_some(runtime, events, 1000);

        for (int k = 0; k < got; k++) {
            last = (uintptr_t)events[k].context;
            if (last >= count || last % 2 == 0 || ids[last] == 0)
                ck_abort_msg("timer %lu", (unsigned long)last);
            ids[last] = 0;
        }
        taken += (size_t)got;
    }
    ck_assert_uint_eq(taken, count / 2);
    tl_quiet(runtime);
    free(ids);
}
END_TEST

/* Adding, cancelling, expiring in random order; each timer ends in exactly one of two ways. */
START_TEST(test_random)
{
    enum { COUNT = 2000 };
    static uint64_t ids[COUNT];
    static int ended[COUNT];
    uint32_t state = 5;
    size_t living = 0;
    size_t next = 0;

    memset(ended, 0, sizeof ended);
    while (next < COUNT || living > 0) {
        async_event_t events[5];
        size_t i;
        int got;

        if (next < COUNT) {
            ids[next] = add(tl_random(&state) % 3000, 0, next);
            next++;
            living++;
        }
        i = tl_random(&state) % next;
        if (tl_random(&state) % 3 == 0) {
            bool cancelled = async_runtime_cancel_timer(runtime, ids[i]) == 0;

            ck_assert(cancelled == (ended[i] == 0));
            ended[i] += cancelled;
            living -= cancelled;
        }
        got = async_runtime_wait(runtime, events, 5, 0);
        ck_assert_int_ge(got, 0);
        for (int k = 0; k < got; k++)
            ck_assert_int_eq(ended[(uintptr_t)events[k].context]++, 0);
        living -= (size_t)got;
        ck_assert_uint_eq(tl_stats(runtime).timers, living);
    }
    for (size_t i = 0; i < COUNT; i++)
        ck_assert_int_eq(ended[i], 1);
}
END_TEST

/* ---- get_timeout: "(rounded up; 0 when one is due)", -1 if none */

START_TEST(test_get_timeout)
{
    uint64_t id;

    ck_assert_int_eq(async_runtime_get_timeout(runtime), -1);
    for (uint64_t extra = 0; extra < 1000; extra += 37) {
        uint64_t delay = 50000 + extra;
        uint64_t earliest = tl_now_ns() + delay * TL_NS_PER_US;
        uint64_t latest;
        uint64_t before;
        int timeout;

        id = add(delay, 0, 1);
        latest = tl_now_ns() + delay * TL_NS_PER_US;
        before = tl_now_ns();
        timeout = async_runtime_get_timeout(runtime);
        ck_assert_int_ge(timeout, 0);
        /* Who sleeps that long has slept long enough, and less than a millisecond too long. */
        ck_assert_uint_ge((uint64_t)timeout * TL_NS_PER_MS + tl_now_ns(), earliest);
        ck_assert_uint_lt((uint64_t)timeout * TL_NS_PER_MS + before, latest + TL_NS_PER_MS);
        TL_OK(async_runtime_cancel_timer(runtime, id));
    }
    ck_assert_int_eq(async_runtime_get_timeout(runtime), -1);
    (void)add(1000, 0, 1);
    tl_sleep_ms(2);
    TL_OK(async_runtime_get_timeout(runtime)); /* due */
    ck_assert_uint_eq(next_timer(NULL), 1);
    ck_assert_int_eq(async_runtime_get_timeout(runtime), -1);
    (void)add(0, 0, 2);
    (void)add(0, 0, 3);
    ck_assert_uint_ge(next_timer(NULL), 2);
    TL_OK(async_runtime_get_timeout(runtime)); /* the other one is due, fetched or not */
    ck_assert_uint_ge(next_timer(NULL), 2);
    (void)add(UINT64_MAX, 0, 1);
    ck_assert_int_gt(async_runtime_get_timeout(runtime), 0);
}
END_TEST

static TCase *fixture_case(Suite *suite, const char *name)
{
    TCase *tcase = tl_case(suite, name);

    tcase_add_checked_fixture(tcase, setup, teardown);
    return tcase;
}

static void add_cases(Suite *suite)
{
    TCase *tcase = fixture_case(suite, "when");

    tcase_add_test(tcase, test_no_delay);
    tcase_add_test(tcase, test_never_early);
    tcase_add_test(tcase, test_timer_and_timeout);
    tcase_add_test(tcase, test_order);
    tcase_add_test(tcase, test_order_one_a_wait);
    tcase_add_test(tcase, test_order_all_late);
    tcase_add_test(tcase, test_order_all_late_one_a_wait);

    tcase = fixture_case(suite, "periodic");
    tcase_add_test(tcase, test_periodic);
    tcase_add_test(tcase, test_periodic_late);
    tcase_add_test(tcase, test_periodic_other_delay);
    tcase_add_test(tcase, test_periodic_too_fast);
    tcase_add_test(tcase, test_late_is_one_event);

    tcase = fixture_case(suite, "cancel");
    tcase_add_test(tcase, test_cancel_errors);
    tcase_add_test(tcase, test_cancel_in_a_batch);
    tcase_add_test(tcase, test_cancel_periodic);
    tcase_add_test(tcase, test_cancel_the_first);
    tcase_add_test(tcase, test_ids);

    tcase = fixture_case(suite, "extremes");
    tcase_add_test(tcase, test_huge_values);
    tcase_add_test(tcase, test_very_many);
    tcase_add_test(tcase, test_random);
    tcase_add_test(tcase, test_get_timeout);
}

int main(void)
{
    return tl_main("runtime_timer", add_cases);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_runtime_queue.c - queues bound to a runtime: every message is announced, none twice
 */
#include "testlib.h"

#include <stdatomic.h>

static async_runtime_t *runtime;
static async_queue_t *queue;

static void setup(void)
{
    runtime = tl_runtime();
    queue = async_queue_create(64, sizeof(unsigned), 0);
    ck_assert_ptr_nonnull(queue);
}

static void teardown(void)
{
    async_runtime_deinit(runtime);
    async_queue_destroy(queue);
}

static void put(async_queue_t *to, unsigned value)
{
    ck_assert_msg(async_queue_enqueue(to, &value, sizeof value), "enqueue: errno %d", errno);
}

static void take(async_queue_t *from, unsigned value)
{
    unsigned got = ~value;
    size_t size = 0;

    ck_assert(async_queue_dequeue(from, &got, sizeof got, &size));
    ck_assert_uint_eq(size, sizeof got);
    ck_assert_uint_eq(got, value);
}

static void take_nothing(async_queue_t *from)
{
    unsigned value;

    TL_FAILS_WITH(async_queue_dequeue(from, &value, sizeof value, NULL), false, EAGAIN);
}

static void expect_announcement(uintptr_t key)
{
    async_event_t event;

    tl_one(runtime, &event);
    ck_assert_uint_eq(event.event_type, ASYNC_EVENT_COMPLETION);
    ck_assert_uint_eq(event.completion_key, key);
    ck_assert(event.fd == ASYNC_INVALID_FD);
    ck_assert_int_eq(event.error, 0);
}

/* ---- one queue, one thread */

/* "bind_queue(runtime, NULL, ...) is EINVAL"; a second binding: EEXIST */
START_TEST(test_arguments)
{
    async_runtime_t *other = tl_runtime();

    TL_FAILS(async_runtime_bind_queue(runtime, NULL, 1), EINVAL);
    TL_OK(async_runtime_bind_queue(runtime, queue, 1));
    TL_FAILS(async_runtime_bind_queue(runtime, queue, 2), EEXIST);
    TL_FAILS(async_runtime_bind_queue(other, queue, 3), EEXIST);
    put(queue, 9);
    expect_announcement(1);
    tl_quiet(other);
    async_runtime_deinit(other);
    take(queue, 9);
    take_nothing(queue);
    put(queue, 10);
    expect_announcement(1);
}
END_TEST

/* "an enqueue into an empty queue posts one completion with the key; more come only after the
 * consumer has drained it, that is, has got EAGAIN from dequeue" */
START_TEST(test_one_completion_a_filling)
{
    TL_OK(async_runtime_bind_queue(runtime, queue, 17));
    tl_quiet(runtime);
    for (unsigned round = 0; round < 5; round++) {
        put(queue, 1);
        put(queue, 2);
        expect_announcement(17);
        tl_quiet(runtime);
        put(queue, 3);
        take(queue, 1);
        take(queue, 2);
        take(queue, 3);
        put(queue, 4); /* into an empty queue, but the consumer has not seen it empty */
        tl_quiet(runtime);
        take(queue, 4);
        take_nothing(queue);
        tl_quiet(runtime);
    }
}
END_TEST

/* "... or peek"; a buffer that is too small is no draining */
START_TEST(test_drained_by_peek)
{
    size_t size;
    char byte;

    TL_OK(async_runtime_bind_queue(runtime, queue, 3));
    for (unsigned round = 0; round < 3; round++) {
        put(queue, 1);
        expect_announcement(3);
        TL_FAILS_WITH(async_queue_dequeue(queue, &byte, 1, &size), false, EMSGSIZE);
        ck_assert_ptr_nonnull(async_queue_peek(queue, &size));
        put(queue, 2);
        tl_quiet(runtime);
        async_queue_release(queue);
        ck_assert_ptr_nonnull(async_queue_peek(queue, NULL));
        async_queue_release(queue);
        put(queue, 3);
        tl_quiet(runtime);
        take(queue, 3);
        TL_FAILS_WITH(async_queue_peek(queue, &size), NULL, EAGAIN);
        TL_FAILS_WITH(async_queue_peek(queue, &size), NULL, EAGAIN); /* twice is as once */
        tl_quiet(runtime);
    }
}
END_TEST

/* Drained before the announcement was taken: a later message must be announced all the same. */
START_TEST(test_drained_before_the_wait)
{
    TL_OK(async_runtime_bind_queue(runtime, queue, 3));
    for (unsigned round = 0; round < 3; round++) {
        async_event_t event;

        put(queue, 1);
        take(queue, 1);
        take_nothing(queue);
        put(queue, 2);
        expect_announcement(3);
        /* A second one for nothing is allowed here; after the draining there is none. */
        take(queue, 2);
        take_nothing(queue);
        while (async_runtime_wait(runtime, &event, 1, 0) > 0)
            ck_assert_uint_eq(event.completion_key, 3);
        tl_quiet(runtime);
    }
}
END_TEST

/* "Messages already there at the binding are announced." */
START_TEST(test_bound_with_messages)
{
    put(queue, 1);
    put(queue, 2);
    TL_OK(async_runtime_bind_queue(runtime, queue, 8));
    expect_announcement(8);
    tl_quiet(runtime);
    take(queue, 1);
    put(queue, 3);
    take(queue, 2);
    take(queue, 3);
    take_nothing(queue);
    put(queue, 4);
    expect_announcement(8);
}
END_TEST

/* "Any key is legal." Two queues may have the same one. */
START_TEST(test_any_key)
{
    static const uintptr_t keys[] = {0, UINTPTR_MAX, 1, UINTPTR_MAX / 2 + 1, 0};
    async_queue_t *queues[5];

    for (size_t i = 0; i < 5; i++) {
        queues[i] = async_queue_create(2, sizeof(unsigned), 0);
        ck_assert_ptr_nonnull(queues[i]);
        TL_OK(async_runtime_bind_queue(runtime, queues[i], keys[i]));
        put(queues[i], 1);
    }
    for (size_t i = 0; i < 5; i++)
        expect_announcement(keys[i]);
    tl_quiet(runtime);
    for (size_t i = 0; i < 5; i++)
        async_queue_destroy(queues[i]);
}
END_TEST

/* A message appears with its commit; what is abandoned is none. */
START_TEST(test_reservations)
{
    unsigned *slot;
    unsigned *other;

    TL_OK(async_runtime_bind_queue(runtime, queue, 5));
    slot = async_queue_reserve(queue, sizeof *slot);
    other = async_queue_reserve(queue, sizeof *other);
    ck_assert_ptr_nonnull(slot);
    ck_assert_ptr_nonnull(other);
    tl_quiet(runtime);
    async_queue_abandon(queue, slot);
    tl_quiet(runtime);
    *other = 7;
    async_queue_commit(queue, other, sizeof *other);
    expect_announcement(5);
    take(queue, 7);
    take_nothing(queue);
}
END_TEST

/* A queue that drops its oldest messages announces like any other. */
START_TEST(test_drop_oldest)
{
    async_queue_t *dropping = async_queue_create(2, sizeof(unsigned), ASYNC_QUEUE_DROP_OLDEST);

    ck_assert_ptr_nonnull(dropping);
    TL_OK(async_runtime_bind_queue(runtime, dropping, 5));
    for (unsigned i = 0; i < 10; i++)
        put(dropping, i);
    expect_announcement(5);
    tl_quiet(runtime);
    take(dropping, 8);
    take(dropping, 9);
    take_nothing(dropping);
    put(dropping, 10);
    expect_announcement(5);
    async_queue_destroy(dropping);
}
END_TEST

/* An announcement is the library's own: the limit of completions does not keep it out. */
START_TEST(test_announced_at_the_limit)
{
    async_runtime_options_t options = ASYNC_RUNTIME_OPTIONS_INIT;
    async_runtime_t *limited;
    bool announced = false;

    options.completion_limit = 1;
    options.flags = tl_runtime_flags();
    limited = async_runtime_init_with(&options);
    ck_assert_ptr_nonnull(limited);
    TL_OK(async_runtime_bind_queue(limited, queue, 2));
    TL_OK(async_runtime_post_completion(limited, 1, 1));
    TL_FAILS(async_runtime_post_completion(limited, 1, 1), EAGAIN);
    put(queue, 1);
    for (int i = 0; i < 2; i++) {
        async_event_t event;

        tl_one(limited, &event);
        announced = announced || event.completion_key == 2;
    }
    ck_assert(announced);
    async_runtime_deinit(limited);
}
END_TEST

/* In order with the posts of the same thread. */
START_TEST(test_order_with_posts)
{
    TL_OK(async_runtime_bind_queue(runtime, queue, 2));
    TL_OK(async_runtime_post_completion(runtime, 1, 0));
    put(queue, 1);
    TL_OK(async_runtime_post_completion(runtime, 3, 0));
    expect_announcement(1);
    expect_announcement(2);
    expect_announcement(3);
}
END_TEST

/* What was sent before the close is announced and can be taken. */
START_TEST(test_closed_queue)
{
    unsigned value;

    TL_OK(async_runtime_bind_queue(runtime, queue, 2));
    put(queue, 1);
    async_queue_close(queue);
    expect_announcement(2);
    take(queue, 1);
    TL_FAILS_WITH(async_queue_dequeue(queue, &value, sizeof value, NULL), false, EPIPE);
    async_queue_clear(queue);
    async_queue_close(queue);
    tl_quiet(runtime);
}
END_TEST

/* The message that the consumer holds is not announced to it once more; what comes then is. */
START_TEST(test_clear_with_a_peek)
{
    static const async_queue_flags_t flags[] = {0, ASYNC_QUEUE_DROP_OLDEST,
                                                ASYNC_QUEUE_BLOCK_WRITER};
    async_queue_t *other = async_queue_create(2, sizeof(unsigned), flags[_i]);
    const void *peeked;

    TL_OK(async_runtime_bind_queue(runtime, other, 9));
    put(other, 1);
    put(other, 2);
    expect_announcement(9);
    peeked = async_queue_peek(other, NULL);
    ck_assert_ptr_nonnull(peeked);
    async_queue_clear(other);
    tl_quiet(runtime);
    ck_assert_ptr_eq(async_queue_peek(other, NULL), peeked);
    async_queue_release(other);
    tl_quiet(runtime);
    put(other, 3);
    expect_announcement(9);
    take(other, 3);
    async_queue_destroy(other);
}
END_TEST

/* ---- the end of either */

/* "a bound queue is unbound by its destroy or the runtime's deinit, whichever comes first" */
START_TEST(test_queue_goes_first)
{
    for (int announced = 0; announced < 3; announced++) {
        async_event_t event;
        async_queue_t *gone = async_queue_create(4, sizeof(unsigned), 0);

        ck_assert_ptr_nonnull(gone);
        TL_OK(async_runtime_bind_queue(runtime, gone, 6));
        if (announced > 0)
            put(gone, 1);
        if (announced > 1)
            expect_announcement(6);
        async_queue_destroy(gone);
        /* What was posted already may come, and is about no memory. */
        while (async_runtime_wait(runtime, &event, 1, 0) > 0)
            ck_assert_uint_eq(event.completion_key, 6);
        tl_quiet(runtime);
    }
}
END_TEST

START_TEST(test_runtime_goes_first)
{
    for (int announced = 0; announced < 3; announced++) {
        async_runtime_t *gone = tl_runtime();
        unsigned value;

        TL_OK(async_runtime_bind_queue(gone, queue, 6));
        if (announced > 0)
            put(queue, 1);
        if (announced > 1)
            tl_expect_completion(gone, 6, 0);
        async_runtime_deinit(gone);
        /* The queue works on, and tells nobody. */
        put(queue, 2);
        while (async_queue_dequeue(queue, &value, sizeof value, NULL))
            continue;
        put(queue, 3);
        take(queue, 3);
        take_nothing(queue);
    }
}
END_TEST

/* After the runtime's end the queue can be bound to another one. */
START_TEST(test_bound_again)
{
    for (unsigned i = 0; i < 20; i++) {
        async_runtime_t *next = tl_runtime();

        if (i % 2 == 0)
            put(queue, i);
        TL_OK(async_runtime_bind_queue(next, queue, i));
        if (i % 2 != 0)
            put(queue, i);
        tl_expect_completion(next, i, 0);
        take(queue, i);
        if (i % 3 == 0)
            take_nothing(queue);
        async_runtime_deinit(next);
    }
}
END_TEST

/* Whatever was bound and destroyed, the rest goes on. */
START_TEST(test_many_queues)
{
    enum { COUNT = 40 };
    async_queue_t *queues[COUNT] = {NULL};

    for (unsigned i = 0; i < 400; i++) {
        size_t k = i * 7 % COUNT;

        async_queue_destroy(queues[k]);
        queues[k] = async_queue_create(3, sizeof(unsigned), 0);
        ck_assert_ptr_nonnull(queues[k]);
        TL_OK(async_runtime_bind_queue(runtime, queues[k], k));
        put(queues[k], i);
        expect_announcement(k);
    }
    tl_quiet(runtime);
    for (size_t k = 0; k < COUNT / 2; k++)
        async_queue_destroy(queues[k]);
    async_runtime_deinit(runtime);
    runtime = NULL;
    for (size_t k = COUNT / 2; k < COUNT; k++)
        async_queue_destroy(queues[k]);
}
END_TEST

/* ---- producers that race with the consumer's draining */

#define PRODUCERS 3
#define RACE_NS 3000000000u /* however slow the machine is */

struct producer {
    async_queue_t *queue;
    unsigned number;
    unsigned count;
    unsigned pause;
    unsigned sent;
    uint64_t enough;            /* stop then; 0: never */
    _Atomic unsigned *expected; /* less by what it has not sent then */
};

static void producer_main(void *arg)
{
    struct producer *producer = arg;

    for (unsigned i = 0; i < producer->count;) {
        unsigned value = producer->number << 24 | i;

        if (async_queue_enqueue(producer->queue, &value, sizeof value)) {
            producer->sent++;
            i++;
        } else {
            tl_yield();
        }
        if (i % producer->pause == 0)
            tl_yield();
        if (producer->enough != 0 && i < producer->count && tl_now_ns() > producer->enough) {
            atomic_fetch_sub(producer->expected, producer->count - i);
            TL_OK(async_runtime_wakeup(runtime));
            break;
        }
    }
}

/*
 * "No enqueue into a bound queue is ever left unannounced": the loop sleeps without end and takes
 * messages only when it is told to.  capacity 1 makes each message a filling of its own.
 */
static void check_race(size_t capacity, async_queue_flags_t flags, unsigned pause, bool by_peek)
{
    async_queue_t *raced = async_queue_create(capacity, sizeof(unsigned), flags);
    struct producer producers[PRODUCERS];
    tl_thread_t *threads[PRODUCERS];
    unsigned next[PRODUCERS] = {0};
    uint64_t total = 0;
    uint64_t lost = 0;
    uint64_t announcements = 0;
    unsigned each = tl_scaled(20000);
    _Atomic unsigned expected = PRODUCERS * each;
    uint64_t enough = tl_now_ns() + RACE_NS;

    ck_assert_ptr_nonnull(raced);
    TL_OK(async_runtime_bind_queue(runtime, raced, 1));
    for (unsigned i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){raced, i, each, pause, 0, enough, &expected};
        threads[i] = tl_thread_start(producer_main, &producers[i]);
    }
    while (total + lost < atomic_load(&expected)) {
        async_event_t event;
        unsigned value;
        const unsigned *seen;

        if (async_runtime_wait(runtime, &event, 1, -1) != 1)
            continue;
        announcements++;
        for (;;) {
            if (by_peek) {
                seen = async_queue_peek(raced, NULL);
                if (seen == NULL)
                    break;
                value = *seen;
                async_queue_release(raced);
            } else if (!async_queue_dequeue(raced, &value, sizeof value, NULL)) {
                break;
            }
            if ((value & 0xffffff) < next[value >> 24])
                ck_abort_msg("message %#x after %u", value, next[value >> 24]);
            next[value >> 24] = (value & 0xffffff) + 1;
            lost += async_queue_lost(raced);
            total++;
        }
        if (errno != EAGAIN)
            ck_abort_msg("errno %d", errno);
    }
    for (size_t i = 0; i < PRODUCERS; i++)
        tl_thread_join(threads[i]);
    ck_assert_uint_eq(total + lost, atomic_load(&expected));
    /* A message may be announced again by a producer that was late to look. */
    ck_assert_uint_le(announcements, 2 * (total + lost));
    if ((flags & ASYNC_QUEUE_DROP_OLDEST) == 0)
        ck_assert_uint_eq(lost, 0);
    async_queue_destroy(raced);
}

START_TEST(test_race)
{
    check_race(1000, 0, 50, false);
}
END_TEST

START_TEST(test_race_capacity_one)
{
    check_race(1, 0, 1, false);
}
END_TEST

START_TEST(test_race_by_peek)
{
    check_race(3, 0, 1, true);
}
END_TEST

START_TEST(test_race_block_writer)
{
    check_race(4, ASYNC_QUEUE_BLOCK_WRITER, 1, false);
}
END_TEST

START_TEST(test_race_drop_oldest)
{
    check_race(4, ASYNC_QUEUE_DROP_OLDEST | ASYNC_QUEUE_SIGNAL_ON_DATA, 1, false);
}
END_TEST

/* Runtimes come and go while producers are at work: each message is announced to the one that is
 * bound, and none of the others is touched. */
START_TEST(test_race_with_rebinding)
{
    async_queue_t *raced = async_queue_create(8, sizeof(unsigned), ASYNC_QUEUE_BLOCK_WRITER);
    struct producer producers[PRODUCERS];
    tl_thread_t *threads[PRODUCERS];
    unsigned each = tl_scaled(3000);
    unsigned total = 0;

    ck_assert_ptr_nonnull(raced);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){raced, i, each, 3, 0, 0, NULL};
        threads[i] = tl_thread_start(producer_main, &producers[i]);
    }
    while (total < PRODUCERS * each) {
        async_runtime_t *short_lived = tl_runtime();

        TL_OK(async_runtime_bind_queue(short_lived, raced, 1));
        for (int i = 0; i < 20 && total < PRODUCERS * each; i++) {
            async_event_t event;
            unsigned value;

            if (async_runtime_wait(short_lived, &event, 1, -1) != 1)
                continue;
            while (async_queue_dequeue(raced, &value, sizeof value, NULL))
                total++;
        }
        async_runtime_deinit(short_lived);
    }
    for (size_t i = 0; i < PRODUCERS; i++)
        tl_thread_join(threads[i]);
    ck_assert_uint_eq(total, PRODUCERS * each);
    async_queue_destroy(raced);
}
END_TEST

static void add_cases(Suite *suite)
{
    TCase *tcase = tl_case(suite, "announcements");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_arguments);
    tcase_add_test(tcase, test_one_completion_a_filling);
    tcase_add_test(tcase, test_drained_by_peek);
    tcase_add_test(tcase, test_drained_before_the_wait);
    tcase_add_test(tcase, test_bound_with_messages);
    tcase_add_test(tcase, test_any_key);
    tcase_add_test(tcase, test_reservations);
    tcase_add_test(tcase, test_drop_oldest);
    tcase_add_test(tcase, test_announced_at_the_limit);
    tcase_add_test(tcase, test_order_with_posts);
    tcase_add_test(tcase, test_closed_queue);
    tcase_add_loop_test(tcase, test_clear_with_a_peek, 0, 3);

    tcase = tl_case(suite, "the end of either");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_queue_goes_first);
    tcase_add_test(tcase, test_runtime_goes_first);
    tcase_add_test(tcase, test_bound_again);
    tcase_add_test(tcase, test_many_queues);

    tcase = tl_case(suite, "races");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_race);
    tcase_add_test(tcase, test_race_capacity_one);
    tcase_add_test(tcase, test_race_by_peek);
    tcase_add_test(tcase, test_race_block_writer);
    tcase_add_test(tcase, test_race_drop_oldest);
    tcase_add_test(tcase, test_race_with_rebinding);
}

int main(void)
{
    return tl_main("runtime_queue", add_cases);
}

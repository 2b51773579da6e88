/* SPDX-License-Identifier: MIT */
/* The queue's contract as one thread sees it, all three policies. */
#include "testcheck.h"

#include <asyncrt.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DROP ASYNC_QUEUE_DROP_OLDEST
#define BLOCK ASYNC_QUEUE_BLOCK_WRITER
#define SIGNAL ASYNC_QUEUE_SIGNAL_ON_DATA

/* With these the sanitizers let sizes_that_overflow see NULL, as a program without them does. */
#if defined(__GNUC__)
#define SEEN __attribute__((visibility("default")))
#else
#define SEEN
#endif
SEEN const char *__asan_default_options(void);
SEEN const char *__tsan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}
const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

/* The call fails with this errno, and async_last_error() agrees. */
#define FAILS(call, err)                                             \
    do {                                                             \
        errno = 0;                                                   \
        ck_assert_msg(!(call), "%s succeeds", #call);                \
        ck_assert_msg(errno == (err), "%s: errno %d", #call, errno); \
        ck_assert_int_eq(async_last_error(), (err));                 \
    } while (0)

/* The call succeeds and leaves errno alone. */
#define WORKS(call)                                                \
    do {                                                           \
        errno = 12345;                                             \
        ck_assert_msg((call), "%s fails, errno %d", #call, errno); \
        ck_assert_int_eq(errno, 12345);                            \
    } while (0)

static bool put(async_queue_t *q, int value)
{
    return async_queue_enqueue(q, &value, sizeof(value));
}

static int get(async_queue_t *q)
{
    int value = -1;
    size_t size = 0;

    if (!async_queue_dequeue(q, &value, sizeof(value), &size))
        return -1;
    ck_assert_uint_eq(size, sizeof(value));
    return value;
}

static void check_stats(async_queue_t *q, uint64_t enq, uint64_t deq, uint64_t drop, size_t now)
{
    async_queue_stats_t st;

    memset(&st, 0xff, sizeof(st));
    async_queue_get_stats(q, &st);
    ck_assert_uint_eq(st.enqueue_count, enq);
    ck_assert_uint_eq(st.dequeue_count, deq);
    ck_assert_uint_eq(st.dropped_count, drop);
    ck_assert_uint_eq(st.current_size, now);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_uint_eq(st.reserved[i], 0);
}

START_TEST(bad_arguments)
{
    async_queue_t *q;
    async_queue_stats_t st;
    char byte;
    size_t size;

    FAILS(async_queue_create(0, 8, 0), EINVAL);
    FAILS(async_queue_create(4, 8, DROP | BLOCK), EINVAL);
    FAILS(async_queue_create(4, 8, 8), EINVAL);
    FAILS(async_queue_create(4, 8, 0x80000000u), EINVAL);
    async_queue_destroy(NULL);
    async_queue_close(NULL);
    async_queue_clear(NULL);
    async_queue_release(NULL);
    async_queue_commit(NULL, &byte, 1);
    async_queue_abandon(NULL, &byte);
    async_queue_get_stats(NULL, &st);
    ck_assert_uint_eq(st.capacity, 0);
    FAILS(async_queue_enqueue(NULL, &byte, 1), EINVAL);
    FAILS(async_queue_enqueue_timed(NULL, &byte, 1, 0), EINVAL);
    FAILS(async_queue_dequeue(NULL, &byte, 1, &size), EINVAL);
    FAILS(async_queue_wait(NULL, 0), EINVAL);
    FAILS(async_queue_reserve(NULL, 1), EINVAL);
    FAILS(async_queue_peek(NULL, &size), EINVAL);
    FAILS(async_queue_is_empty(NULL), EINVAL);
    FAILS(async_queue_is_full(NULL), EINVAL);
    FAILS(async_queue_lost(NULL), EINVAL);

    q = async_queue_create(1, 8, 0);
    ck_assert_ptr_nonnull(q);
    async_queue_get_stats(q, NULL);
    FAILS(async_queue_enqueue(q, NULL, 1), EINVAL);
    FAILS(async_queue_enqueue_timed(q, &byte, 1, -2), EINVAL);
    FAILS(async_queue_dequeue(q, NULL, 1, NULL), EINVAL);
    FAILS(async_queue_wait(q, 0), EINVAL);
    async_queue_release(q);
    async_queue_destroy(q);
    q = async_queue_create(1, 8, SIGNAL);
    FAILS(async_queue_wait(q, -2), EINVAL);
    FAILS(async_queue_wait(q, 0), ETIMEDOUT);
    FAILS(async_queue_wait(q, 5), ETIMEDOUT);
    async_queue_destroy(q);
}
END_TEST

START_TEST(sizes_that_overflow)
{
    static const size_t large[] = {SIZE_MAX,       SIZE_MAX - 1,   SIZE_MAX - 63,     SIZE_MAX / 2,
                                   SIZE_MAX / 8,   SIZE_MAX / 16,  SIZE_MAX / 16 + 1, SIZE_MAX / 64,
                                   SIZE_MAX / 256, SIZE_MAX / 1024};
    /* with 32 bits there is memory for the smaller ones */
    unsigned count = sizeof(size_t) == 4 ? 4 : sizeof(large) / sizeof(large[0]);

    for (unsigned i = 0; i < count; i++)
        for (size_t size = 0; size < 3000; size = size * 3 + 1)
            for (unsigned swap = 0; swap < 2; swap++) {
                async_queue_t *q;

                if (swap && size == 0)
                    continue;
                errno = 0;
                q = swap ? async_queue_create(size, large[i], 0)
                         : async_queue_create(large[i], size, 0);
                ck_assert_ptr_null(q);
                ck_assert(errno == EINVAL || errno == ENOMEM);
            }
}
END_TEST

START_TEST(capacity_is_exact)
{
    static const uint32_t flags[] = {0, DROP, BLOCK, SIGNAL};

    for (size_t n = 1; n <= 70; n++)
        for (unsigned f = 0; f < 4; f++) {
            async_queue_t *q = async_queue_create(n, sizeof(int), flags[f]);
            int next = 0, want = 0;

            ck_assert_ptr_nonnull(q);
            for (unsigned round = 0; round < 5; round++) {
                ck_assert(async_queue_is_empty(q));
                FAILS(async_queue_dequeue(q, NULL, 0, NULL), EAGAIN);
                for (size_t i = 0; i < n; i++) {
                    ck_assert(!async_queue_is_full(q));
                    WORKS(put(q, next++));
                    ck_assert(!async_queue_is_empty(q));
                }
                ck_assert(async_queue_is_full(q));
                if (flags[f] == DROP) {
                    ck_assert(put(q, next++));
                    want++;
                } else if (flags[f] == BLOCK) {
                    FAILS(async_queue_enqueue_timed(q, &next, sizeof(next), 0), ETIMEDOUT);
                } else {
                    FAILS(put(q, next), EAGAIN);
                }
                for (size_t i = 0; i < n; i++)
                    ck_assert_int_eq(get(q), want++);
                ck_assert_uint_eq(async_queue_lost(q), flags[f] == DROP && n == 1 ? 1 : 0);
                /* begin the next round at another index */
                ck_assert(put(q, next++));
                ck_assert_int_eq(get(q), want++);
            }
            async_queue_destroy(q);
        }
}
END_TEST

START_TEST(every_size)
{
    static const uint32_t flags[] = {0, DROP, BLOCK};
    unsigned char in[300], out[301];

    for (size_t max = 0; max < sizeof(in); max += max < 70 ? 1 : 31)
        for (unsigned f = 0; f < 3; f++) {
            async_queue_t *q = async_queue_create(3, max, flags[f]);
            size_t got;

            ck_assert_ptr_nonnull(q);
            for (size_t size = 0; size <= max; size++) {
                for (size_t i = 0; i < size; i++)
                    in[i] = (unsigned char)(size * 7 + i);
                memset(out, 0xee, sizeof(out));
                WORKS(async_queue_enqueue(q, size != 0 ? in : NULL, size));
                if (size > 0) {
                    got = 0;
                    FAILS(async_queue_dequeue(q, out, size - 1, &got), EMSGSIZE);
                    ck_assert_uint_eq(got, size);
                    FAILS(async_queue_dequeue(q, NULL, 0, NULL), EMSGSIZE);
                }
                WORKS(async_queue_dequeue(q, out, sizeof(out), &got));
                ck_assert_uint_eq(got, size);
                ck_assert_mem_eq(in, out, size);
                ck_assert_uint_eq(out[size], 0xee);
            }
            FAILS(async_queue_enqueue(q, in, max + 1), EMSGSIZE);
            FAILS(async_queue_enqueue_timed(q, in, max + 1, 0), EMSGSIZE);
            FAILS(async_queue_reserve(q, max + 1), EMSGSIZE);
            FAILS(async_queue_reserve(q, SIZE_MAX), EMSGSIZE);
            async_queue_destroy(q);
        }
}
END_TEST

START_TEST(emsgsize_keeps_the_message)
{
    async_queue_t *q = async_queue_create(2, 8, DROP);
    char out[8];

    /* the consumer's message is not dropped and takes no place from new ones */
    ck_assert(async_queue_enqueue(q, "first", 6));
    FAILS(async_queue_dequeue(q, out, 2, NULL), EMSGSIZE);
    check_stats(q, 1, 0, 0, 1);
    for (int i = 0; i < 5; i++)
        ck_assert(async_queue_enqueue(q, "other", 6));
    WORKS(async_queue_dequeue(q, out, 8, NULL));
    ck_assert_str_eq(out, "first");
    check_stats(q, 6, 1, 3, 2);
    ck_assert(async_queue_dequeue(q, out, 8, NULL));
    ck_assert_uint_eq(async_queue_lost(q), 3);
    async_queue_destroy(q);
}
END_TEST

START_TEST(dropping_is_counted)
{
    for (size_t n = 1; n <= 9; n++)
        for (int drops = 0; drops < 40; drops++) {
            async_queue_t *q = async_queue_create(n, sizeof(int), DROP);
            int i = 0;

            ck_assert(put(q, i++));
            ck_assert_int_eq(get(q), 0);
            for (int k = 0; k < (int)n + drops; k++)
                WORKS(put(q, i++));
            check_stats(q, 1 + n + (unsigned)drops, 1, (unsigned)drops, n);
            ck_assert_int_eq(get(q), 1 + drops);
            ck_assert_uint_eq(async_queue_lost(q), (unsigned)drops);
            check_stats(q, 1 + n + (unsigned)drops, 2, (unsigned)drops, n - 1);
            if (n > 1) {
                ck_assert_int_eq(get(q), 2 + drops);
                ck_assert_uint_eq(async_queue_lost(q), 0);
            }
            async_queue_clear(q);
            check_stats(q, 1 + n + (unsigned)drops, n > 1 ? 3 : 2,
                        n - 1 + (unsigned)drops - (n > 1), 0);
            async_queue_destroy(q);
        }
}
END_TEST

START_TEST(clear_counts_as_lost)
{
    static const uint32_t flags[] = {0, DROP, BLOCK};

    for (unsigned f = 0; f < 3; f++) {
        async_queue_t *q = async_queue_create(5, sizeof(int), flags[f]);

        ck_assert(put(q, 1));
        ck_assert_int_eq(get(q), 1);
        for (int i = 0; i < 4; i++)
            ck_assert(put(q, i));
        async_queue_clear(q);
        ck_assert(async_queue_is_empty(q));
        ck_assert_uint_eq(async_queue_lost(q), 0);
        ck_assert(put(q, 5));
        async_queue_clear(q);
        ck_assert(put(q, 6));
        check_stats(q, 7, 1, 5, 1);
        ck_assert_int_eq(get(q), 6);
        ck_assert_uint_eq(async_queue_lost(q), 5);
        ck_assert(put(q, 7));
        ck_assert_int_eq(get(q), 7);
        ck_assert_uint_eq(async_queue_lost(q), 0);
        check_stats(q, 8, 3, 5, 0);
        async_queue_destroy(q);
    }
}
END_TEST

START_TEST(peek_and_release)
{
    static const uint32_t flags[] = {0, DROP, BLOCK};

    for (unsigned f = 0; f < 3; f++) {
        async_queue_t *q = async_queue_create(3, 16, flags[f]);
        const void *seen;
        size_t size = 9;
        int value;

        FAILS(async_queue_peek(q, &size), EAGAIN);
        ck_assert(async_queue_enqueue(q, NULL, 0));
        WORKS(async_queue_peek(q, &size) != NULL);
        ck_assert_uint_eq(size, 0);
        async_queue_release(q);
        async_queue_release(q); /* nothing is peeked: ignored */
        for (int i = 1; i <= 3; i++)
            ck_assert(put(q, i));
        seen = async_queue_peek(q, &size);
        ck_assert_uint_eq(size, sizeof(int));
        ck_assert_ptr_eq(async_queue_peek(q, NULL), seen);
        ck_assert_int_eq(*(const int *)seen, 1);
        ck_assert(!async_queue_is_empty(q));
        check_stats(q, 4, 1, 0, 3);
        if (flags[f] == DROP) {
            ck_assert(put(q, 4)); /* takes the peeked message's place */
            ck_assert(put(q, 5)); /* drops 2 */
            check_stats(q, 6, 2, 1, 3);
        } else {
            FAILS(async_queue_enqueue_timed(q, &size, 4, 0), ETIMEDOUT);
        }
        ck_assert_int_eq(*(const int *)seen, 1);
        /* a dequeue takes the same message */
        FAILS(async_queue_dequeue(q, &value, 1, &size), EMSGSIZE);
        ck_assert_ptr_eq(async_queue_peek(q, NULL), seen);
        ck_assert_int_eq(get(q), 1);
        async_queue_release(q); /* ignored */
        ck_assert_int_eq(get(q), flags[f] == DROP ? 3 : 2);
        ck_assert_uint_eq(async_queue_lost(q), flags[f] == DROP);
        async_queue_destroy(q);
    }
}
END_TEST

START_TEST(clear_keeps_the_peeked_message)
{
    static const uint32_t flags[] = {0, DROP, BLOCK};

    for (size_t n = 1; n < 5; n++)
        for (unsigned f = 0; f < 3; f++) {
            async_queue_t *q = async_queue_create(n, 16, flags[f]);
            const int *seen;
            int in = 0;

            for (size_t i = 0; i < n; i++)
                ck_assert(put(q, in++));
            seen = async_queue_peek(q, NULL);
            async_queue_clear(q);
            check_stats(q, n, 0, n - 1, 1);
            for (size_t i = 0; i < n; i++)
                ck_assert(put(q, in++));
            ck_assert_int_eq(*seen, 0);
            ck_assert_ptr_eq(async_queue_peek(q, NULL), seen);
            check_stats(q, 2 * n, 1, n - 1, n);
            async_queue_release(q);
            check_stats(q, 2 * n, 1, n - 1, n);
            for (size_t i = 0; i < n; i++) {
                ck_assert_int_eq(get(q), (int)(n + i));
                ck_assert_uint_eq(async_queue_lost(q), i == 0 ? n - 1 : 0);
            }
            FAILS(async_queue_peek(q, NULL), EAGAIN);
            async_queue_destroy(q);
        }
}
END_TEST

START_TEST(what_did_not_fit_is_not_peeked)
{
    static const uint32_t flags[] = {0, DROP, BLOCK};

    for (unsigned f = 0; f < 3; f++) {
        async_queue_t *q = async_queue_create(3, 16, flags[f]);

        ck_assert(put(q, 1));
        async_queue_clear(q);
        ck_assert(put(q, 2));
        ck_assert(put(q, 3));
        FAILS(async_queue_dequeue(q, NULL, 0, NULL), EMSGSIZE);
        /* it was not taken: nothing to release, nothing lost before it yet */
        async_queue_release(q);
        ck_assert_uint_eq(async_queue_lost(q), 0);
        check_stats(q, 3, 0, 1, 2);
        ck_assert_int_eq(get(q), 2);
        ck_assert_uint_eq(async_queue_lost(q), 1);
        FAILS(async_queue_dequeue(q, NULL, 0, NULL), EMSGSIZE);
        async_queue_clear(q);
        check_stats(q, 3, 1, 2, 0);
        ck_assert(async_queue_is_empty(q));
        ck_assert(put(q, 4));
        ck_assert_int_eq(get(q), 4);
        ck_assert_uint_eq(async_queue_lost(q), 1);
        async_queue_destroy(q);
    }
}
END_TEST

START_TEST(clear_after_drops_beside_a_peeked_message)
{
    async_queue_t *q = async_queue_create(2, 16, DROP);

    ck_assert(put(q, 1));
    ck_assert_ptr_nonnull(async_queue_peek(q, NULL));
    for (int i = 2; i < 6; i++)
        ck_assert(put(q, i));
    async_queue_clear(q);
    check_stats(q, 5, 0, 4, 1);
    async_queue_release(q);
    ck_assert(put(q, 6));
    ck_assert_int_eq(get(q), 6);
    ck_assert_uint_eq(async_queue_lost(q), 4);
    check_stats(q, 6, 2, 4, 0);
    async_queue_destroy(q);
}
END_TEST

START_TEST(reservations)
{
    static const uint32_t flags[] = {0, DROP, BLOCK};

    for (size_t n = 1; n < 9; n++)
        for (unsigned f = 0; f < 3; f++) {
            async_queue_t *q = async_queue_create(n, 40, flags[f]);
            int *slots[9];

            for (unsigned round = 0; round < 4; round++) {
                for (size_t i = 0; i < n; i++) {
                    WORKS((slots[i] = async_queue_reserve(q, 40)) != NULL);
                    ck_assert_uint_eq((uintptr_t)slots[i] % 16, 0);
                    memset(slots[i], (int)i, 40);
                    *slots[i] = (int)i;
                }
                ck_assert(async_queue_is_full(q));
                ck_assert(async_queue_is_empty(q));
                if (flags[f] != BLOCK) {
                    FAILS(async_queue_reserve(q, 1), EAGAIN);
                    FAILS(put(q, 1), EAGAIN);
                }
                FAILS(async_queue_enqueue_timed(q, "", 1, 0),
                      flags[f] == DROP ? EAGAIN : ETIMEDOUT);
                if (flags[f] == DROP)
                    FAILS(async_queue_enqueue_timed(q, "", 1, -1), EAGAIN);
                FAILS(async_queue_dequeue(q, NULL, 0, NULL), EAGAIN);
                /* one given back makes a place at once */
                async_queue_abandon(q, slots[n - 1]);
                ck_assert(!async_queue_is_full(q));
                async_queue_abandon(q, slots[n - 1]); /* ignored */
                async_queue_commit(q, slots[n - 1], 4);
                ck_assert(put(q, 77));
                if (flags[f] != DROP)
                    FAILS(async_queue_enqueue_timed(q, "", 1, 0), ETIMEDOUT);
                ck_assert_int_eq(get(q), 77);
                /* visible in the order of their commits */
                for (size_t i = n - 1; i-- > 0;)
                    async_queue_commit(q, slots[i], sizeof(int));
                for (size_t i = n - 1; i-- > 0;)
                    ck_assert_int_eq(get(q), (int)i);
                ck_assert(async_queue_is_empty(q) && !async_queue_is_full(q));
            }
            async_queue_destroy(q);
        }
}
END_TEST

START_TEST(foreign_slots)
{
    async_queue_t *q = async_queue_create(4, 100, 0), *other = async_queue_create(4, 100, 0);
    char local[256], out[100];
    char *slot, *foreign;
    size_t size;

    async_queue_commit(q, local, 1); /* before any reservation */
    async_queue_abandon(q, local);
    slot = async_queue_reserve(q, 10);
    foreign = async_queue_reserve(other, 10);
    async_queue_commit(q, NULL, 1);
    async_queue_abandon(q, NULL);
    async_queue_commit(q, local, 1);
    async_queue_commit(q, foreign, 1);
    async_queue_abandon(q, foreign);
    for (int d = -300; d < 300; d++)
        if (d != 0)
            async_queue_commit(q, slot + d, 1);
    ck_assert(async_queue_is_empty(q));
    check_stats(q, 0, 0, 0, 0);
    memset(slot, 'x', 10);
    async_queue_commit(q, slot, 5000); /* cut to what was reserved */
    async_queue_commit(q, slot, 5);    /* ignored */
    ck_assert(async_queue_dequeue(q, out, sizeof(out), &size));
    ck_assert_uint_eq(size, 10);
    FAILS(async_queue_dequeue(q, out, sizeof(out), &size), EAGAIN);
    /* a message's slot is no reservation */
    ck_assert(async_queue_enqueue(q, "abc", 4));
    async_queue_commit(q, (void *)(uintptr_t)async_queue_peek(q, NULL), 4);
    async_queue_abandon(q, (void *)(uintptr_t)async_queue_peek(q, NULL));
    check_stats(q, 2, 1, 0, 1);
    async_queue_destroy(q);
    async_queue_destroy(other);
}
END_TEST

START_TEST(reservation_and_drop)
{
    async_queue_t *q = async_queue_create(3, sizeof(int), DROP);
    int *a, *b;

    for (int i = 0; i < 3; i++)
        ck_assert(put(q, i));
    a = async_queue_reserve(q, 4); /* drops 0 */
    check_stats(q, 3, 0, 1, 2);
    ck_assert(put(q, 3)); /* drops 1 */
    b = async_queue_reserve(q, 4);
    check_stats(q, 4, 0, 3, 1);
    *a = 10;
    *b = 11;
    async_queue_commit(q, b, 4);
    ck_assert_int_eq(get(q), 3);
    ck_assert_uint_eq(async_queue_lost(q), 3);
    ck_assert_int_eq(get(q), 11);
    ck_assert_int_eq(get(q), -1);
    async_queue_abandon(q, a);
    for (int i = 20; i < 24; i++)
        ck_assert(put(q, i));
    ck_assert_int_eq(get(q), 21);
    ck_assert_uint_eq(async_queue_lost(q), 1);
    check_stats(q, 9, 3, 4, 2);
    async_queue_destroy(q);
}
END_TEST

START_TEST(closing)
{
    static const uint32_t flags[] = {0, DROP, BLOCK, SIGNAL};

    for (unsigned f = 0; f < 4; f++) {
        async_queue_t *q = async_queue_create(2, sizeof(int), flags[f]);
        async_queue_stats_t st;
        int *slot;

        ck_assert(put(q, 1));
        slot = async_queue_reserve(q, 4);
        async_queue_close(q);
        async_queue_close(q);
        FAILS(put(q, 2), EPIPE);
        FAILS(async_queue_enqueue_timed(q, "", 1, 5), EPIPE);
        FAILS(async_queue_enqueue_timed(q, "", 1, -1), EPIPE);
        FAILS(async_queue_reserve(q, 1), EPIPE);
        if (flags[f] == SIGNAL)
            WORKS(async_queue_wait(q, -1));
        ck_assert_int_eq(get(q), 1);
        FAILS(async_queue_dequeue(q, NULL, 0, NULL), EAGAIN); /* the reservation is open */
        FAILS(async_queue_peek(q, NULL), EAGAIN);
        if (flags[f] == SIGNAL)
            FAILS(async_queue_wait(q, 1), ETIMEDOUT);
        *slot = 5;
        async_queue_commit(q, slot, 4);
        ck_assert_ptr_nonnull(async_queue_peek(q, NULL));
        ck_assert_int_eq(get(q), 5);
        FAILS(async_queue_dequeue(q, NULL, 0, NULL), EPIPE);
        FAILS(async_queue_peek(q, NULL), EPIPE);
        if (flags[f] == SIGNAL)
            FAILS(async_queue_wait(q, -1), EPIPE);
        async_queue_get_stats(q, &st);
        ck_assert_uint_eq(st.rejected_count, 4);
        async_queue_destroy(q);

        q = async_queue_create(1, sizeof(int), flags[f]);
        slot = async_queue_reserve(q, 4);
        async_queue_close(q);
        FAILS(async_queue_peek(q, NULL), EAGAIN);
        async_queue_abandon(q, slot);
        FAILS(async_queue_peek(q, NULL), EPIPE);
        async_queue_destroy(q);
    }
}
END_TEST

START_TEST(deadlock_is_refused)
{
    async_queue_t *q = async_queue_create(1, sizeof(int), BLOCK);

    ck_assert_int_eq(get(q), -1);
    ck_assert(put(q, 1));
    FAILS(put(q, 2), EDEADLK);
    FAILS(async_queue_reserve(q, 1), EDEADLK);
    FAILS(async_queue_enqueue_timed(q, "", 1, -1), EDEADLK);
    FAILS(async_queue_enqueue_timed(q, "", 1, 2), ETIMEDOUT);
    FAILS(async_queue_enqueue_timed(q, "", 1, 0), ETIMEDOUT);
    ck_assert_int_eq(get(q), 1);
    async_queue_destroy(q);

    q = async_queue_create(1, sizeof(int), 0);
    ck_assert_ptr_null(async_queue_peek(q, NULL));
    ck_assert(put(q, 1));
    FAILS(put(q, 2), EAGAIN);
    FAILS(async_queue_reserve(q, 1), EAGAIN);
    FAILS(async_queue_enqueue_timed(q, "", 1, -1), EDEADLK);
    FAILS(async_queue_enqueue_timed(q, "", 1, 2), ETIMEDOUT);
    async_queue_destroy(q);
}
END_TEST

START_TEST(rejections_are_counted)
{
    async_queue_t *q = async_queue_create(1, 4, 0);
    async_queue_stats_t st;
    unsigned refused = 4;
    int timeout = 1;

    ck_assert(put(q, 1));
    ck_assert(!put(q, 2));
    ck_assert(!async_queue_enqueue(q, "12345", 5));
    ck_assert_ptr_null(async_queue_reserve(q, 1));
    ck_assert_ptr_null(async_queue_reserve(q, 9));
    /* on a busy machine a short timeout is over before there was time to sleep */
    do {
        ck_assert(!async_queue_enqueue_timed(q, "1", 1, timeout));
        refused++;
        timeout *= 2;
        async_queue_get_stats(q, &st);
    } while (st.blocked_count == 0 && timeout < 10000);
    ck_assert_uint_eq(st.rejected_count, refused);
    ck_assert_uint_eq(st.blocked_count, 1);
    ck_assert_uint_eq(st.capacity, 1);
    ck_assert_uint_eq(st.max_msg_size, 4);
    async_queue_destroy(q);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue");
    TCase *tc = tcase_create("contract");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, bad_arguments);
    tcase_add_test(tc, sizes_that_overflow);
    tcase_add_test(tc, every_size);
    tcase_add_test(tc, emsgsize_keeps_the_message);
    tcase_add_test(tc, dropping_is_counted);
    tcase_add_test(tc, clear_counts_as_lost);
    tcase_add_test(tc, peek_and_release);
    tcase_add_test(tc, clear_keeps_the_peeked_message);
    tcase_add_test(tc, what_did_not_fit_is_not_peeked);
    tcase_add_test(tc, clear_after_drops_beside_a_peeked_message);
    tcase_add_test(tc, reservations);
    tcase_add_test(tc, foreign_slots);
    tcase_add_test(tc, reservation_and_drop);
    tcase_add_test(tc, closing);
    tcase_add_test(tc, deadlock_is_refused);
    tcase_add_test(tc, rejections_are_counted);
    suite_add_tcase(suite, tc);
    tc = tcase_create("every capacity");
    tcase_set_tags(tc, "long");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, capacity_is_exact);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

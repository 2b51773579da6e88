/* SPDX-License-Identifier: MIT */
/* What is inside the queue: positions that wrap, memory that ends, the hook of a binding. */
#include "port/port_memory.h"
#include "port/port_thread.h"
#include "queue/queue_impl.h"
#include "testcheck.h"

#include <errno.h>
#include <stdlib.h>

#define DROP ASYNC_QUEUE_DROP_OLDEST
#define BLOCK ASYNC_QUEUE_BLOCK_WRITER

static bool put(async_queue_t *q, int value)
{
    return async_queue_enqueue(q, &value, sizeof(value));
}

static int get(async_queue_t *q)
{
    int value = -1;

    return async_queue_dequeue(q, &value, sizeof(value), NULL) ? value : -1;
}

static async_queue_stats_t stats(async_queue_t *q)
{
    async_queue_stats_t st;

    async_queue_get_stats(q, &st);
    ck_assert_uint_eq(st.enqueue_count, st.dequeue_count + st.dropped_count + st.current_size);
    return st;
}

/* A model of the queue beside the real one, random steps, across the wrap of the positions. */
static void wrap_around(size_t n, uint32_t flags, uint64_t left, unsigned seed)
{
    async_queue_t *q = queue_create_at(n, sizeof(int), flags, left);
    int first = 0, next = 0, shown = -1; /* messages first..next are in the queue */
    uint64_t lost = 0, skipped = 0, dropped = 0, taken = 0;
    int *open[8] = {0};
    size_t reserved = 0, held = 0;

    ck_assert_ptr_nonnull(q);
    for (unsigned step = 0; step < 400; step++) {
        size_t ring;
        bool room;

        seed = seed * 1664525 + 1013904223;
        /* with DROP_OLDEST a peeked message takes no place */
        ring = (size_t)(next - first) + ((flags & DROP) ? 0 : held);
        room = ring + reserved < n || ((flags & DROP) && reserved < n);
        switch ((seed >> 24) % 8) {
        case 0:
        case 1:
        case 2:
            ck_assert_int_eq(put(q, next), room);
            if (!room)
                break;
            next++;
            if (ring + reserved >= n)
                first++, skipped++, dropped++;
            break;
        case 3:
            if (reserved == 8)
                break;
            open[reserved] = async_queue_reserve(q, sizeof(int));
            ck_assert_int_eq(open[reserved] != NULL, room);
            if (!room)
                break;
            if (ring + reserved >= n)
                first++, skipped++, dropped++;
            reserved++;
            break;
        case 4:
            if (reserved == 0)
                break;
            reserved--;
            if (seed & 0x800000) {
                async_queue_abandon(q, open[reserved]);
                break;
            }
            *open[reserved] = next++;
            async_queue_commit(q, open[reserved], sizeof(int));
            break;
        case 5:
            if (held == 0 && (seed & 0x800000)) {
                const int *seen = async_queue_peek(q, NULL);

                ck_assert_int_eq(seen != NULL, first != next);
                if (seen != NULL) {
                    shown = first++;
                    ck_assert_int_eq(*seen, shown);
                    held = 1;
                    lost = skipped;
                    skipped = 0;
                }
                break;
            }
            if (held && (seed & 0x400000)) {
                async_queue_release(q);
                held = 0;
                taken++;
                break;
            }
            __attribute__((fallthrough));
        default:
            if (held == 0 && first == next) {
                ck_assert_int_eq(get(q), -1);
                break;
            }
            ck_assert_int_eq(get(q), held ? shown : first);
            if (held == 0) {
                first++;
                lost = skipped;
                skipped = 0;
            }
            held = 0;
            taken++;
        }
        ck_assert_uint_eq(async_queue_lost(q), lost);
        ck_assert_uint_eq(stats(q).dropped_count, dropped);
        ck_assert_uint_eq(stats(q).enqueue_count, (unsigned)next);
        ck_assert_int_eq(async_queue_is_empty(q), first == next && held == 0);
        ring = (size_t)(next - first) + ((flags & DROP) ? 0 : held);
        ck_assert_int_eq(async_queue_is_full(q), ring + reserved >= n);
    }
    ck_assert_uint_ge(stats(q).dequeue_count, taken);
    async_queue_destroy(q);
}

START_TEST(positions_wrap)
{
    static const uint64_t lefts[] = {0, 1, 2, 3, 5, 8, 13, 30, 100, 150};

    for (size_t n = 1; n < 10; n++)
        for (unsigned i = 0; i < sizeof(lefts) / sizeof(lefts[0]); i++)
            for (unsigned seed = 1; seed < 3; seed++) {
                wrap_around(n, 0, lefts[i], seed * 7919 + i);
                wrap_around(n, DROP, lefts[i], seed * 104729 + i);
            }
}
END_TEST

START_TEST(drops_beyond_the_wrap)
{
    for (size_t n = 1; n < 6; n++)
        for (uint64_t left = 1; left < 20; left++) {
            async_queue_t *q = queue_create_at(n, sizeof(int), DROP, left);

            for (int i = 0; i < 40; i++)
                ck_assert(put(q, i));
            ck_assert_uint_eq(stats(q).dropped_count, 40 - n);
            ck_assert_int_eq(get(q), 40 - (int)n);
            ck_assert_uint_eq(async_queue_lost(q), 40 - n);
            ck_assert_uint_eq(stats(q).enqueue_count, 40);
            async_queue_destroy(q);
        }
}
END_TEST

static unsigned allowed, refused;

static bool refuse(size_t size)
{
    (void)size;
    if (allowed != 0) {
        allowed--;
        return true;
    }
    refused++;
    return false;
}

START_TEST(memory_ends)
{
    for (unsigned n = 0; n < 6; n++) {
        async_queue_t *q;
        void *slot = NULL;

        allowed = n;
        refused = 0;
        port_memory_set_hook(refuse);
        errno = 0;
        q = async_queue_create(4, 100, 0);
        if (q == NULL) {
            ck_assert_int_eq(errno, ENOMEM);
            port_memory_set_hook(NULL);
            continue;
        }
        slot = async_queue_reserve(q, 5);
        if (slot == NULL) {
            ck_assert_int_eq(errno, ENOMEM);
            ck_assert(!async_queue_is_full(q));
            /* enqueue needs no memory, and a later reserve works */
            for (int i = 0; i < 9; i++) {
                ck_assert(put(q, i));
                ck_assert_int_eq(get(q), i);
            }
            allowed = 10;
            slot = async_queue_reserve(q, 5);
            ck_assert_ptr_nonnull(slot);
        }
        allowed = 0;
        for (int i = 0; i < 20; i++) {
            async_queue_commit(q, slot, 4);
            ck_assert(put(q, i));
            ck_assert_ptr_nonnull(async_queue_peek(q, NULL));
            async_queue_clear(q);
            async_queue_release(q);
            slot = async_queue_reserve(q, 5);
            ck_assert_ptr_nonnull(slot);
        }
        port_memory_set_hook(NULL);
        async_queue_destroy(q);
    }
    ck_assert_uint_eq(refused, 0);
}
END_TEST

START_TEST(reservations_at_the_limit)
{
    size_t n = QUEUE_RESERVED_MAX + 2;
    async_queue_t *q = async_queue_create(n, 0, 0);
    void **slots = calloc(n, sizeof(*slots));

    for (size_t i = 0; i < QUEUE_RESERVED_MAX; i++) {
        slots[i] = async_queue_reserve(q, 0);
        ck_assert_ptr_nonnull(slots[i]);
    }
    errno = 0;
    ck_assert_ptr_null(async_queue_reserve(q, 0));
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert(async_queue_enqueue(q, NULL, 0));
    ck_assert(async_queue_enqueue(q, NULL, 0));
    ck_assert(!async_queue_enqueue(q, NULL, 0));
    ck_assert_int_eq(errno, EAGAIN);
    async_queue_close(q);
    for (size_t i = 0; i < QUEUE_RESERVED_MAX; i++)
        async_queue_commit(q, slots[i], 0);
    for (size_t i = 0; i < n; i++)
        ck_assert(async_queue_dequeue(q, NULL, 0, NULL));
    ck_assert(!async_queue_dequeue(q, NULL, 0, NULL));
    ck_assert_int_eq(errno, EPIPE);
    free(slots);
    async_queue_destroy(q);
}
END_TEST

typedef struct counted_hook {
    queue_hook_t hook;
    _Atomic unsigned announced;
    unsigned released;
} counted_hook_t;

static void on_announce(queue_hook_t *hook)
{
    atomic_fetch_add(&PORT_CONTAINER(hook, counted_hook_t, hook)->announced, 1);
}

static void on_release(queue_hook_t *hook)
{
    PORT_CONTAINER(hook, counted_hook_t, hook)->released++;
}

static const counted_hook_t new_hook = {.hook = {.announce = on_announce, .release = on_release}};

START_TEST(one_announcement_for_each_filling)
{
    static const uint32_t flags[] = {0, DROP, BLOCK};

    for (unsigned f = 0; f < 3; f++) {
        async_queue_t *q = async_queue_create(4, sizeof(int), flags[f]);
        counted_hook_t a = new_hook, b = new_hook;
        void *slot;

        ck_assert_int_eq(queue_bind(q, &a.hook), 0);
        ck_assert_int_eq(queue_bind(q, &b.hook), EEXIST);
        ck_assert_uint_eq(a.announced, 0);
        for (unsigned round = 1; round < 4; round++) {
            ck_assert(put(q, 1));
            ck_assert(put(q, 2));
            ck_assert_uint_eq(a.announced, 2 * round - 1);
            ck_assert_int_eq(get(q), 1);
            ck_assert_int_eq(get(q), 2);
            ck_assert(put(q, 3)); /* not drained yet: the consumer has not got EAGAIN */
            ck_assert_uint_eq(a.announced, 2 * round - 1);
            ck_assert_int_eq(get(q), 3);
            ck_assert_int_eq(get(q), -1);
            slot = async_queue_reserve(q, 4);
            ck_assert_uint_eq(a.announced, 2 * round - 1);
            async_queue_commit(q, slot, 4);
            ck_assert_uint_eq(a.announced, 2 * round);
            async_queue_clear(q); /* arms as EAGAIN does */
        }
        /* unbound: silent; what is there is announced to the next one */
        queue_unbind(q, &a.hook);
        queue_unbind(q, &a.hook);
        queue_unbind(q, &b.hook);
        ck_assert(put(q, 1));
        ck_assert_uint_eq(a.announced, 6);
        ck_assert_int_eq(queue_bind(q, &b.hook), 0);
        ck_assert_uint_eq(b.announced, 1);
        ck_assert_int_eq(get(q), 1);
        ck_assert_ptr_null(async_queue_peek(q, NULL));
        ck_assert(put(q, 1));
        ck_assert_uint_eq(b.announced, 2);
        ck_assert_uint_eq(a.released + b.released, 0);
        async_queue_destroy(q);
        ck_assert_uint_eq(a.released, 1);
        ck_assert_uint_eq(b.released, 1);
        ck_assert_uint_eq(a.announced, 6);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue inside");
    TCase *tc = tcase_create("core");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, drops_beyond_the_wrap);
    tcase_add_test(tc, memory_ends);
    tcase_add_test(tc, one_announcement_for_each_filling);
    suite_add_tcase(suite, tc);
    tc = tcase_create("limits");
    tcase_set_tags(tc, "long");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, positions_wrap);
    tcase_add_test(tc, reservations_at_the_limit);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

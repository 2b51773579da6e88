/* SPDX-License-Identifier: MIT */
/*
 * What is inside the runtime: the completion ring, and memory that runs out at every allocation;
 * and a first look at the whole on every backend.
 */
#include "port/port_clock.h"
#include "port/port_memory.h"
#include "port/port_thread.h"
#include "runtime/runtime.h"
#include "testlib.h"

#include <signal.h>

#define MANY 30000u

static async_runtime_t *make_or_fail(int n)
{
    async_runtime_options_t options = ASYNC_RUNTIME_OPTIONS_INIT;

    options.backend = async_runtime_backends()[n];
    return async_runtime_init_with(&options);
}

/* A runtime on the n-th backend; NULL when the system refuses that. */
static async_runtime_t *make(int n)
{
    async_runtime_t *rt = make_or_fail(n);

    ck_assert(rt != NULL || errno == ENOTSUP);
    return rt;
}

/* ---- The whole. ---- */

START_TEST(smoke)
{
    int before = tl_fd_count();
    async_fd_t sv[2];
    async_runtime_t *rt = make(_i);
    async_event_t ev[8];
    char context, text[8] = "";
    async_runtime_stats_t stats;

    if (rt == NULL)
        return;
    tl_pair(sv);
    ck_assert_int_eq(async_runtime_add(rt, sv[0], ASYNC_EVENT_READ, &context), 0);
    ck_assert_int_eq(async_runtime_wait(rt, ev, 8, 0), 0);
    tl_send_text(sv[1], "x");
    ck_assert_int_eq(async_runtime_post_completion(rt, 7, UINTPTR_MAX), 0);
    ck_assert_int_eq(async_runtime_wait(rt, ev, 8, -1), 2);
    ck_assert_uint_eq(ev[0].event_type, ASYNC_EVENT_READ);
    ck_assert(ev[0].fd == sv[0]);
    ck_assert_ptr_eq(ev[0].context, &context);
    ck_assert_uint_eq(ev[1].event_type, ASYNC_EVENT_COMPLETION);
    ck_assert_uint_eq(ev[1].completion_key, 7);
    ck_assert_uint_eq(ev[1].data, UINTPTR_MAX);
    ck_assert(ev[1].fd == ASYNC_INVALID_FD);
    ck_assert_int_eq(async_runtime_modify(rt, sv[0], 0, &context), 0);
    ck_assert_int_eq(async_runtime_wait(rt, ev, 8, 0), 0);
    ck_assert_int_eq(async_runtime_post_read(rt, sv[0], text, sizeof(text)), 0);
    ck_assert_int_eq(async_runtime_wait(rt, ev, 8, -1), 1);
    ck_assert_uint_eq(ev[0].event_type, ASYNC_EVENT_COMPLETION | ASYNC_EVENT_READ);
    ck_assert_uint_eq(ev[0].bytes_transferred, 1);
    ck_assert_int_eq(async_runtime_post_read(rt, sv[0], text, sizeof(text)), 0);
    ck_assert_int_eq(async_runtime_wait(rt, ev, 8, 10), 0);
    tl_send_text(sv[1], "yz");
    ck_assert_int_eq(async_runtime_wait(rt, ev, 8, -1), 1);
    ck_assert_uint_eq(ev[0].bytes_transferred, 2);
    ck_assert_uint_ne(async_runtime_add_timer(rt, 1000, 0, &context), 0);
    ck_assert_int_eq(async_runtime_wait(rt, ev, 8, -1), 1);
    ck_assert_uint_eq(ev[0].event_type, ASYNC_EVENT_TIMER);
    ck_assert_uint_eq(ev[0].data, 1);
    ck_assert_int_eq(async_runtime_add_signal(rt, tl_signal(), &context), 0);
    raise(tl_signal());
    ck_assert_int_eq(async_runtime_wait(rt, ev, 8, -1), 1);
    ck_assert_uint_eq(ev[0].event_type, ASYNC_EVENT_SIGNAL);
    ck_assert_uint_eq(ev[0].data, (uintptr_t)tl_signal());
    ck_assert_int_eq(async_runtime_wakeup(rt), 0);
    ck_assert_int_eq(async_runtime_wait(rt, ev, 8, -1), 0);
    async_runtime_get_stats(rt, &stats);
    ck_assert_uint_eq(stats.registered, 1);
    ck_assert_uint_eq(stats.completions_delivered, 1);
    ck_assert_int_eq(async_runtime_remove(rt, sv[0]), 0);
    async_runtime_deinit(rt);
    tl_close_pair(sv);
    ck_assert_int_eq(tl_fd_count(), before);
}
END_TEST

static void poster(void *arg)
{
    async_runtime_t *rt = arg;

    for (uintptr_t i = 0; i < MANY; i++)
        ck_assert_int_eq(async_runtime_post_completion(rt, port_thread_token(), i), 0);
}

/* Every post arrives once, in its thread's order. */
START_TEST(posters)
{
    async_runtime_t *rt = make(_i);
    port_thread_attr_t attr = {.name = "poster"};
    uintptr_t keys[3] = {0}, next[3] = {0};
    port_thread_t threads[3];
    async_event_t ev[64];
    size_t left = 3 * MANY;

    if (rt == NULL)
        return;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(port_thread_create(&threads[i], poster, rt, &attr), 0);
    while (left > 0) {
        int n = async_runtime_wait(rt, ev, 64, 10000);

        ck_assert_int_gt(n, 0);
        for (int i = 0; i < n; i++) {
            int k = 0;

            while (keys[k] != ev[i].completion_key && keys[k] != 0)
                k++;
            keys[k] = ev[i].completion_key;
            ck_assert_uint_eq(ev[i].data, next[k]);
            next[k]++;
        }
        left -= (size_t)n;
    }
    for (int i = 0; i < 3; i++)
        port_thread_join(&threads[i]);
    ck_assert_int_eq(async_runtime_wait(rt, ev, 64, 0), 0);
    async_runtime_deinit(rt);
}
END_TEST

/* ---- The ring and the nodes. ---- */

typedef struct item {
    runtime_node_t node;
    _Atomic int done;
} item_t;

static void item_done(runtime_node_t *node)
{
    item_t *item = (item_t *)(void *)node;

    atomic_fetch_add(&item->done, 1);
}

static runtime_completions_t *ring_make(size_t limit)
{
    runtime_completions_t *c = port_alloc_aligned(sizeof(*c), PORT_CACHE_LINE);

    ck_assert_ptr_nonnull(c);
    memset(c, 0, sizeof(*c));
    ck_assert_int_eq(runtime_completion_open(c, limit), 0);
    return c;
}

static void ring_free(runtime_completions_t *c)
{
    runtime_completion_close(c, false);
    runtime_completion_discard(c);
    port_free_aligned(c);
}

/* Nodes and completions of one thread come in the order of their posts, whatever the batches. */
START_TEST(ring_merges)
{
    runtime_completions_t *c = ring_make(0);
    item_t *items = port_zalloc(3000, sizeof(*items));
    async_event_t ev[7];
    uintptr_t next = 0;
    int n;

    for (uintptr_t i = 0; i < 3000; i++) {
        if (i % 3 == 1 || i % 70 > 50) {
            runtime_node_init(&items[i].node, i, NULL, item_done);
            runtime_completion_push(c, &items[i].node);
        } else {
            ck_assert_int_eq(runtime_completion_post(c, i, ~i), 0);
        }
        if (i % 11 == 0) {
            n = runtime_completion_take(c, ev, (int)(i % 7) + 1);
            for (int k = 0; k < n; k++)
                ck_assert_uint_eq(ev[k].completion_key, next++);
        }
    }
    ck_assert(runtime_completion_ready(c));
    while ((n = runtime_completion_take(c, ev, 7)) > 0) {
        for (int k = 0; k < n; k++)
            ck_assert_uint_eq(ev[k].completion_key, next++);
    }
    ck_assert_uint_eq(next, 3000);
    ck_assert(!runtime_completion_ready(c));
    for (int i = 0; i < 3000; i++)
        ck_assert_int_eq(atomic_load(&items[i].done), i % 3 == 1 || i % 70 > 50);
    ring_free(c);
    port_free(items);
}
END_TEST

/* A poster that was stopped between reading its stamp and pushing: nobody's order suffers. */
START_TEST(ring_late_stamp)
{
    runtime_completions_t *c = ring_make(0);
    item_t late, other;
    async_event_t ev[8];

    for (uintptr_t i = 0; i < 4; i++)
        ck_assert_int_eq(runtime_completion_post(c, i, 0), 0);
    runtime_node_init(&other.node, 100, NULL, NULL);
    runtime_completion_push(c, &other.node); /* stamp 4 */
    ck_assert_int_eq(runtime_completion_take(c, ev, 1), 1);
    runtime_node_init(&late.node, 200, NULL, NULL);
    runtime_completion_push(c, &late.node);
    late.node.stamp = 2; /* its poster's own completions are 0, 1 and then 2 and 3 */
    ck_assert_int_eq(runtime_completion_take(c, ev, 8), 5);
    ck_assert_uint_eq(ev[0].completion_key, 1);
    ck_assert_uint_eq(ev[1].completion_key, 200);
    ck_assert_uint_eq(ev[2].completion_key, 2);
    ck_assert_uint_eq(ev[3].completion_key, 3);
    ck_assert_uint_eq(ev[4].completion_key, 100);
    ring_free(c);
}
END_TEST

/* Whether there are enough is always known; how many there are only when somebody asks for more. */
START_TEST(ring_backlog)
{
    runtime_completions_t *c = ring_make(0);
    async_event_t ev[32];

    ck_assert_uint_eq(runtime_completion_backlog(c, 1), 0);
    for (uintptr_t i = 0; i < 10; i++)
        ck_assert_int_eq(runtime_completion_post(c, i, 0), 0);
    ck_assert_uint_eq(runtime_completion_backlog(c, 5), 10);
    for (uintptr_t i = 0; i < 10; i++)
        ck_assert_int_eq(runtime_completion_post(c, i, 0), 0);
    ck_assert_uint_ge(runtime_completion_backlog(c, 5), 5);
    ck_assert_uint_eq(runtime_completion_backlog(c, 16), 20);
    ck_assert_int_eq(runtime_completion_take(c, ev, 18), 18);
    ck_assert_uint_eq(runtime_completion_backlog(c, 16), 2);
    ck_assert_int_eq(runtime_completion_take(c, ev, 32), 2);
    ck_assert_uint_eq(runtime_completion_backlog(c, 16), 0);
    ring_free(c);
}
END_TEST

/* A ticket that is claimed and not yet published holds up those behind it, not the nodes before. */
START_TEST(ring_unpublished)
{
    runtime_completions_t *c = ring_make(0);
    item_t before, behind;
    async_event_t ev[8];
    uint64_t ticket;

    ck_assert_int_eq(runtime_completion_post(c, 1, 0), 0);
    runtime_node_init(&before.node, 2, NULL, NULL);
    runtime_completion_push(c, &before.node);
    ticket = atomic_fetch_add(&c->tail, 1); /* claimed */
    runtime_node_init(&behind.node, 4, NULL, NULL);
    runtime_completion_push(c, &behind.node);
    ck_assert_int_eq(runtime_completion_post(c, 5, 0), 0);
    ck_assert_int_eq(runtime_completion_take(c, ev, 8), 2);
    ck_assert_uint_eq(ev[1].completion_key, 2);
    ck_assert(!runtime_completion_ready(c));
    c->chunk->cells[ticket].key = 3;
    atomic_store(&c->chunk->cells[ticket].published, ticket + 1);
    ck_assert(runtime_completion_ready(c));
    ck_assert_int_eq(runtime_completion_take(c, ev, 8), 3);
    for (int i = 0; i < 3; i++)
        ck_assert_uint_eq(ev[i].completion_key, (uintptr_t)i + 3);
    ring_free(c);
}
END_TEST

static const port_thread_attr_t no_attr;
static const backend_t *counted;
static int sleeps;

static int count_wait(void *state, int budget, uint64_t timeout_ns)
{
    sleeps++;
    return counted->wait(state, budget, timeout_ns);
}

static void publish(void *arg)
{
    runtime_completions_t *c = arg;

    port_thread_sleep(50 * PORT_NS_PER_MS);
    c->chunk->cells[1].key = 3;
    atomic_store(&c->chunk->cells[1].published, 2);
}

/* A poster that is stopped between claim and publication may have seen the loop awake, and does not
 * wake it: the loop comes, and does not spin. */
START_TEST(stopped_poster)
{
    async_runtime_t *rt = make(_i);
    port_thread_t thread;
    async_event_t ev[8];
    backend_t backend;
    uint64_t start;

    if (rt == NULL)
        return;
    counted = rt->backend;
    backend = *counted;
    backend.wait = count_wait;
    rt->backend = &backend;
    ck_assert_int_eq(async_runtime_post_completion(rt, 1, 0), 0);
    ck_assert_int_eq(async_runtime_wait(rt, ev, 8, -1), 1);
    atomic_fetch_add(&rt->completions.tail, 1); /* claimed */
    start = port_clock_now();
    ck_assert_int_eq(port_thread_create(&thread, publish, &rt->completions, &no_attr), 0);
    ck_assert_int_eq(async_runtime_wait(rt, ev, 8, -1), 1);
    ck_assert_uint_eq(ev[0].completion_key, 3);
    /* one for each millisecond, however long the poster was stopped, and some that end at once */
    ck_assert_uint_le((uint64_t)sleeps, (port_clock_now() - start) / PORT_NS_PER_MS + 10);
    port_thread_join(&thread);
    async_runtime_deinit(rt);
}
END_TEST

/* The same where the loop is a foreign one's guest: that one hears of it. */
START_TEST(stopped_poster_nested)
{
    async_runtime_t *rt = make(_i);
    async_event_t ev[8];

    if (rt == NULL || async_runtime_get_fd(rt) == ASYNC_INVALID_FD) {
        async_runtime_deinit(rt);
        return;
    }
    ck_assert_int_eq(async_runtime_post_completion(rt, 1, 0), 0);
    ck_assert_int_eq(async_runtime_wait(rt, ev, 8, 0), 1);
    ck_assert_uint_eq(atomic_load(&rt->state), STATE_SLEEPING);
    atomic_fetch_add(&rt->completions.tail, 1); /* claimed */
    ck_assert_int_eq(async_runtime_wait(rt, ev, 8, 0), 0);
    /* it has woken itself: the descriptor is readable */
    ck_assert_uint_eq(atomic_load(&rt->state), STATE_NOTIFIED);
    rt->completions.chunk->cells[1].key = 3;
    atomic_store(&rt->completions.chunk->cells[1].published, 2);
    ck_assert_int_eq(async_runtime_wait(rt, ev, 8, 0), 1);
    ck_assert_uint_eq(ev[0].completion_key, 3);
    ck_assert_uint_eq(atomic_load(&rt->state), STATE_SLEEPING);
    async_runtime_deinit(rt);
}
END_TEST

START_TEST(ring_limit)
{
    runtime_completions_t *c = ring_make(130);
    async_event_t ev[8];

    for (int round = 0; round < 300; round++) {
        int posted = 0, taken = 0, n;

        while (runtime_completion_post(c, 0, 0) == 0)
            posted++;
        ck_assert_int_eq(posted, 130);
        ck_assert_int_eq(runtime_completion_post(c, 0, 0), EAGAIN);
        ck_assert_int_eq(runtime_completion_take(c, ev, 1), 1);
        ck_assert_int_eq(runtime_completion_post(c, 0, 0), 0);
        ck_assert_int_eq(runtime_completion_post(c, 0, 0), EAGAIN);
        while ((n = runtime_completion_take(c, ev, 8)) > 0)
            taken += n;
        ck_assert_int_eq(taken, 130);
    }
    ring_free(c);
}
END_TEST

static _Atomic int allocations, allocations_left;

static bool count_down(size_t size)
{
    (void)size;
    atomic_fetch_add(&allocations, 1);
    return atomic_fetch_sub(&allocations_left, 1) > 0;
}

static bool count_only(size_t size)
{
    (void)size;
    atomic_fetch_add(&allocations, 1);
    return true;
}

/* Without memory a post fails and takes no place; what is queued comes all the same. */
START_TEST(ring_memory)
{
    runtime_completions_t *c = ring_make(0);
    async_event_t ev[64];
    uintptr_t next = 0, key = 0;
    int n, refused = 0;

    port_memory_set_hook(count_down);
    for (int i = 0; i < 20000; i++) {
        atomic_store(&allocations_left, i % 3 == 0);
        n = runtime_completion_post(c, key, 0);
        ck_assert(n == 0 || n == ENOMEM);
        key += n == 0;
        refused += n != 0;
    }
    ck_assert_int_gt(refused, 0);
    while ((n = runtime_completion_take(c, ev, 64)) > 0) {
        for (int i = 0; i < n; i++)
            ck_assert_uint_eq(ev[i].completion_key, next++);
    }
    ck_assert_uint_eq(next, key);
    port_memory_set_hook(NULL);
    ring_free(c);
}
END_TEST

/* The steady state allocates nothing; a huge backlog is given back. */
START_TEST(ring_recycles)
{
    runtime_completions_t *c = ring_make(0);
    async_event_t ev[64];
    int n, before, refused = 0;

    for (int i = 0; i < 10000; i++)
        refused += runtime_completion_post(c, 0, 0) != 0;
    while (runtime_completion_take(c, ev, 64) > 0)
        continue;
    port_memory_set_hook(count_only);
    before = atomic_load(&allocations);
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 9000; i++)
            refused += runtime_completion_post(c, 0, 0) != 0;
        while (runtime_completion_take(c, ev, 64) > 0)
            continue;
    }
    ck_assert_int_eq(atomic_load(&allocations), before);
    for (int i = 0; i < 300000; i++)
        refused += runtime_completion_post(c, 0, 0) != 0;
    ck_assert_int_eq(refused, 0);
    for (int left = 300000; left > 0; left -= n) {
        n = runtime_completion_take(c, ev, 64);
        ck_assert_int_gt(n, 0);
    }
    ck_assert_uint_lt(atomic_load(&c->end) - c->head, 100000);
    port_memory_set_hook(NULL);
    ring_free(c);
}
END_TEST

/* ---- The ring grows while a chunk is emptied. ---- */

typedef struct contest {
    runtime_completions_t *ring;
    size_t posts;
} contest_t;

static void post_on(void *arg)
{
    contest_t *contest = arg;

    for (size_t i = 0; i < 2; i++)
        ck_assert_int_eq(runtime_completion_post(contest->ring, contest->posts + i, 0), 0);
}

static void take_chunk(void *arg)
{
    contest_t *contest = arg;
    async_event_t ev[COMPLETION_CHUNK];

    ck_assert_int_eq(runtime_completion_take(contest->ring, ev, COMPLETION_CHUNK),
                     COMPLETION_CHUNK);
    ck_assert_uint_eq(ev[0].completion_key, 0);
}

/* The directory is full.  A poster needs a chunk, and the loop thread gives one back, at the same
 * time: there is one place, that which the emptied chunk has left. */
START_TEST(ring_grows_beside_taker)
{
    size_t posts = COMPLETION_CHUNK << _i, next = COMPLETION_CHUNK;
    contest_t contest = {.ring = ring_make(0), .posts = posts};
    port_thread_attr_t attr = {.name = "contest"};
    port_thread_t poster_thread, taker;
    async_event_t ev[64];
    int n;

    for (size_t i = 0; i < posts; i++)
        ck_assert_int_eq(runtime_completion_post(contest.ring, i, 0), 0);
    /* Both come to the lock before either has it, the poster first. */
    port_mutex_lock(&contest.ring->lock);
    ck_assert_int_eq(port_thread_create(&poster_thread, post_on, &contest, &attr), 0);
    tl_sleep_ms(20);
    ck_assert_int_eq(port_thread_create(&taker, take_chunk, &contest, &attr), 0);
    tl_sleep_ms(20);
    port_mutex_unlock(&contest.ring->lock);
    port_thread_join(&poster_thread);
    port_thread_join(&taker);
    while ((n = runtime_completion_take(contest.ring, ev, 64)) > 0) {
        for (int i = 0; i < n; i++)
            ck_assert_uint_eq(ev[i].completion_key, next++);
    }
    ck_assert_uint_eq(next, posts + 2);
    ring_free(contest.ring);
}
END_TEST

/* ---- Memory that runs out, at every allocation of a little program. ---- */

static int story(async_runtime_t *rt, async_queue_t *queue, const async_fd_t *sv)
{
    static char text[4];

    if (async_runtime_add(rt, sv[0], ASYNC_EVENT_READ, NULL) != 0 ||
        async_runtime_post_read(rt, sv[0], text, sizeof(text)) != 0 ||
        async_runtime_post_write(rt, sv[0], text, sizeof(text)) != 0 ||
        async_runtime_post_completion(rt, 1, 2) != 0 ||
        async_runtime_add_timer(rt, 0, 0, NULL) == 0 ||
        async_runtime_add_signal(rt, tl_signal(), NULL) != 0 ||
        async_runtime_bind_queue(rt, queue, 3) != 0 || async_runtime_remove(rt, sv[0]) != 0)
        return errno;
    return 0;
}

START_TEST(memory)
{
    int before = tl_fd_count(), fails = 0;
    async_fd_t sv[2];

    tl_pair(sv);
    for (int at = 0;; at++) {
        async_queue_t *queue = async_queue_create(4, 4, 0);
        async_runtime_stats_t stats;
        async_runtime_t *rt;
        async_event_t ev[16];
        int err;

        port_memory_set_hook(count_down);
        atomic_store(&allocations_left, at);
        rt = make_or_fail(_i);
        err = rt != NULL ? story(rt, queue, sv) : errno;
        port_memory_set_hook(NULL);
        if (rt != NULL) {
            async_runtime_get_stats(rt, &stats);
            ck_assert(err != 0 || stats.completions_pending == 1);
            /* What failed can be tried again. */
            if (err != 0 && stats.registered == 0) {
                ck_assert_int_eq(async_runtime_add(rt, sv[0], ASYNC_EVENT_READ, NULL), 0);
                ck_assert_int_eq(async_runtime_post_completion(rt, 1, 2), 0);
                ck_assert_int_gt(async_runtime_wait(rt, ev, 16, 0), 0);
            }
            async_runtime_deinit(rt);
        }
        async_queue_destroy(queue);
        if (err == 0 || err == ENOTSUP)
            break;
        ck_assert_int_eq(err, ENOMEM);
        fails++;
    }
    ck_assert(fails > 5 || _i != 0);
    tl_close_pair(sv);
    ck_assert_int_eq(tl_fd_count(), before);
}
END_TEST

static void reset(void)
{
    port_memory_set_hook(NULL);
    atomic_store(&allocations, 0);
    atomic_store(&allocations_left, 0);
}

static void add_cases(Suite *suite)
{
    TCase *tcase = tl_case(suite, "core");
    int backends = 0;

    while (async_runtime_backends()[backends] != NULL)
        backends++;
    tcase_add_checked_fixture(tcase, reset, reset);
    tcase_add_loop_test(tcase, smoke, 0, backends);
    tcase_add_loop_test(tcase, posters, 0, backends);
    tcase_add_loop_test(tcase, memory, 0, backends);
    tcase_add_loop_test(tcase, stopped_poster, 0, backends);
    tcase_add_loop_test(tcase, stopped_poster_nested, 0, backends);
    tcase_add_test(tcase, ring_merges);
    tcase_add_test(tcase, ring_late_stamp);
    tcase_add_test(tcase, ring_unpublished);
    tcase_add_test(tcase, ring_backlog);
    tcase_add_test(tcase, ring_limit);
    tcase_add_test(tcase, ring_memory);
    tcase_add_test(tcase, ring_recycles);
    tcase_add_loop_test(tcase, ring_grows_beside_taker, 1, 6);
}

int main(void)
{
    return tl_main("runtime_core", add_cases);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_runtime_memory.c - a runtime that gets no memory, and how much it asks for
 *
 * Links the inside of the library for the hook of its allocations.
 */
#include "testlib.h"
#include "port/port_memory.h"

#include <signal.h>
#include <stdatomic.h>

#define READ ASYNC_EVENT_READ
#define WRITE ASYNC_EVENT_WRITE
#define ONESHOT ASYNC_EVENT_ONESHOT
#define DONE ASYNC_EVENT_COMPLETION

/* ---- the hook: refuses the allocation number fail_at, or that and all later ones */

static _Atomic long asked;
static _Atomic long refused;
static long fail_at;
static bool for_good;

static bool hook(size_t size)
{
    long number = atomic_fetch_add(&asked, 1) + 1;

    (void)size;
    if (fail_at == 0 || number < fail_at || (number > fail_at && !for_good))
        return true;
    atomic_fetch_add(&refused, 1);
    return false;
}

static void start_hook(long number, bool good)
{
    fail_at = number;
    for_good = good;
    atomic_store(&asked, 0);
    atomic_store(&refused, 0);
    port_memory_set_hook(hook);
}

/* ---- one scenario with all that may allocate */

enum { PAIRS = 40, TIMERS = 100, POSTS = 600 };

struct scenario {
    async_runtime_t *runtime;
    async_queue_t *queue;
    async_fd_t pairs[PAIRS][2];
    bool added[PAIRS];
    bool reading[PAIRS]; /* has a post_read */
    bool writing[PAIRS];
    char buffers[PAIRS][4];
    uint64_t timers[TIMERS];
    int timers_pending;
    int posts_pending;
    int operations_pending;
    int signals_pending;
    int announcements_pending;
};

static struct scenario scenario;

/*
 * A call that failed must have been refused memory, and says so; what is refused once works when it
 * is tried again.  Returns whether the call is to be tried again.
 */
static bool again(bool failed, long refused_before, const char *call)
{
    if (!failed)
        return false;
    ck_assert_msg(errno == ENOMEM, "%s: errno %d at allocation %ld", call, errno, fail_at);
    ck_assert_msg(atomic_load(&refused) > refused_before, "%s: ENOMEM without a reason", call);
    return !for_good;
}

/* Evaluates to whether the call has succeeded. */
#define TRY(done, call)                             \
    do {                                            \
        long tl_before;                             \
        do {                                        \
            tl_before = atomic_load(&refused);      \
            (done) = (call);                        \
        } while (again(!(done), tl_before, #call)); \
    } while (0)

static void register_all(struct scenario *s)
{
    bool done;

    for (size_t i = 0; i < PAIRS; i++) {
        TRY(s->added[i], async_runtime_add(s->runtime, s->pairs[i][0], 0, tl_context(i)) == 0);
        if (!s->added[i])
            continue;
        if (i % 2 == 0) {
            TRY(s->reading[i], async_runtime_post_read(s->runtime, s->pairs[i][0], s->buffers[i],
                                                       sizeof s->buffers[i]) == 0);
            s->operations_pending += s->reading[i];
            TRY(s->writing[i], async_runtime_post_write(s->runtime, s->pairs[i][0], "w", 1) == 0);
            s->operations_pending += s->writing[i];
        } else {
            TRY(done, async_runtime_modify(s->runtime, s->pairs[i][0], READ | ONESHOT,
                                           tl_context(i)) == 0);
            s->reading[i] = done;
        }
    }
}

static void start_all(struct scenario *s)
{
    bool done;

    TRY(done, async_runtime_bind_queue(s->runtime, s->queue, 99) == 0);
    s->announcements_pending = done;
    for (size_t i = 0; i < TIMERS; i++) {
        TRY(done, (s->timers[i] = async_runtime_add_timer(s->runtime, i * 10, 0, NULL)) != 0);
        s->timers_pending += done;
    }
    TRY(done, async_runtime_add_signal(s->runtime, tl_signal(), NULL) == 0);
    s->signals_pending = done;
    for (int i = 0; i < POSTS; i++) {
        TRY(done, async_runtime_post_completion(s->runtime, 1, (uintptr_t)s->posts_pending) == 0);
        s->posts_pending += done;
    }
    if (async_runtime_get_fd(s->runtime) == ASYNC_INVALID_FD)
        ck_assert(errno == ENOTSUP || errno == ENOMEM);
}

/* Each accepted thing comes, whatever was refused. */
static void take_all(struct scenario *s)
{
    bool ready[PAIRS] = {false};
    int ready_pending = 0;
    int next_post = 0;

    for (size_t i = 0; i < PAIRS; i++) {
        tl_send_text(s->pairs[i][1], "data");
        ready_pending += i % 2 == 1 && s->reading[i];
    }
    if (s->signals_pending > 0)
        ck_assert_int_eq(raise(tl_signal()), 0);
    ck_assert(async_queue_enqueue(s->queue, "q", 1));
    while (s->timers_pending > 0 || next_post < s->posts_pending || s->operations_pending > 0 ||
           s->signals_pending > 0 || s->announcements_pending > 0 || ready_pending > 0) {
        async_event_t events[16];
        int count = tl_some(s->runtime, events, 16);

        for (int k = 0; k < count; k++) {
            async_event_t *event = &events[k];

            if (event->event_type == ASYNC_EVENT_TIMER) {
                s->timers_pending--;
            } else if (event->event_type == ASYNC_EVENT_SIGNAL) {
                s->signals_pending--;
            } else if (event->event_type == READ) {
                ready_pending -= !ready[(uintptr_t)event->context];
                ready[(uintptr_t)event->context] = true;
            } else if (event->fd != ASYNC_INVALID_FD) {
                ck_assert_int_eq(event->error, 0);
                ck_assert_uint_eq(event->bytes_transferred, event->event_type & WRITE ? 1 : 4);
                s->operations_pending--;
            } else if (event->completion_key == 99) {
                s->announcements_pending--;
            } else {
                ck_assert_uint_eq(event->data, (uintptr_t)next_post);
                next_post++;
            }
        }
    }
    TL_OK(async_runtime_wait(s->runtime, &(async_event_t){0}, 1, 0));
}

/* Returns how often memory was refused. */
static long run_scenario(long number, bool good)
{
    async_runtime_options_t options = ASYNC_RUNTIME_OPTIONS_INIT;
    struct scenario *s = &scenario;
    int fds = tl_fd_count();
    bool done;

    memset(s, 0, sizeof *s);
    s->queue = async_queue_create(4, 4, 0);
    for (size_t i = 0; i < PAIRS; i++)
        tl_pair(s->pairs[i]);
    start_hook(number, good);
    options.flags = tl_runtime_flags();
    TRY(done, (s->runtime = async_runtime_init_with(&options)) != NULL);
    if (done) {
        register_all(s);
        start_all(s);
        take_all(s);
        for (size_t i = 0; i < PAIRS; i++)
            if (s->added[i])
                TL_OK(async_runtime_remove(s->runtime, s->pairs[i][0]));
        async_runtime_deinit(s->runtime);
    }
    port_memory_set_hook(NULL);
    async_queue_destroy(s->queue);
    for (size_t i = 0; i < PAIRS; i++)
        tl_close_pair(s->pairs[i]);
    ck_assert_int_eq(tl_fd_count(), fds);
    return atomic_load(&refused);
}

/* "out of memory: ENOMEM, and the caller still owns its data": every allocation fails, once and for
 * good; nothing that was accepted is lost, nothing leaks, and wait never needs memory */
START_TEST(test_every_allocation)
{
    long number = 1;

    while (run_scenario(number, false) > 0)
        number++;
    ck_assert_int_gt(number, 5); /* it has allocated something, else this is no test */
    for (long last = number, next = 1; next < last; next++)
        ck_assert_int_gt(run_scenario(next, true), 0);
}
END_TEST

/* ---- what is asked for */

static long allocations(void)
{
    return atomic_load(&asked);
}

/* "no hidden allocation per event": in the steady state neither posts nor waits allocate */
START_TEST(test_steady_state)
{
    async_runtime_t *runtime = tl_runtime();
    async_queue_t *queue = async_queue_create(4, 4, 0);
    async_event_t events[32];
    async_fd_t fds[2];
    long before = 0;

    tl_pair(fds);
    TL_OK(async_runtime_add(runtime, fds[0], READ, NULL));
    TL_OK(async_runtime_bind_queue(runtime, queue, 5));
    start_hook(0, false);
    for (int round = 0; round < 200; round++) {
        char buffer[4];
        int pending = 102;

        if (round == 2)
            before = allocations(); /* all has had its largest size by now */
        for (uintptr_t i = 0; i < 100; i++)
            TL_OK(async_runtime_post_completion(runtime, i, i));
        ck_assert(async_queue_enqueue(queue, "x", 1));
        tl_send_text(fds[1], "x");
        while (pending > 0) {
            int count = tl_some(runtime, events, 32);

            for (int k = 0; k < count; k++)
                if (events[k].fd == fds[0])
                    pending -= tl_recv(fds[0], buffer, 1) == 1;
                else
                    pending--;
        }
        ck_assert(async_queue_dequeue(queue, buffer, sizeof buffer, NULL));
        ck_assert(!async_queue_dequeue(queue, buffer, sizeof buffer, NULL));
        TL_OK(async_runtime_wakeup(runtime));
        TL_OK(async_runtime_wait(runtime, events, 1, -1));
        TL_OK(async_runtime_modify(runtime, fds[0], round % 2 == 0 ? READ : READ | WRITE, NULL));
        TL_OK(async_runtime_modify(runtime, fds[0], READ, NULL));
    }
    ck_assert_int_eq(allocations(), before);
    port_memory_set_hook(NULL);
    async_runtime_deinit(runtime);
    async_queue_destroy(queue);
    tl_close_pair(fds);
}
END_TEST

static void post_many(void *arg)
{
    for (unsigned i = 0; i < tl_scaled(20000); i++)
        while (async_runtime_post_completion(arg, 1, i) != 0)
            tl_yield();
}

/* The same when another thread posts and the backlog has a bound. */
START_TEST(test_steady_state_with_a_poster)
{
    async_runtime_options_t options = ASYNC_RUNTIME_OPTIONS_INIT;
    async_runtime_t *runtime;
    long first = 0;

    options.completion_limit = 100;
    options.flags = tl_runtime_flags();
    runtime = async_runtime_init_with(&options);
    ck_assert_ptr_nonnull(runtime);
    for (uintptr_t i = 0; i < 100; i++)
        TL_OK(async_runtime_post_completion(runtime, i, i));
    for (uintptr_t i = 0; i < 100; i++)
        tl_expect_completion(runtime, i, i);
    start_hook(0, false);
    for (int round = 0; round < 3; round++) {
        tl_thread_t *thread = tl_thread_start(post_many, runtime);
        unsigned taken = 0;

        while (taken < tl_scaled(20000)) {
            async_event_t events[8];

            taken += (unsigned)tl_some(runtime, events, 8);
        }
        tl_thread_join(thread);
        /* Threads may keep spares of their own at first. */
        if (round == 0)
            first = allocations();
        else
            ck_assert_int_le(allocations() - first, 8 * round);
    }
    port_memory_set_hook(NULL);
    async_runtime_deinit(runtime);
}
END_TEST

/* Timers that are added again and again, as those of idle connections are. */
START_TEST(test_steady_timers)
{
    async_runtime_t *runtime = tl_runtime();
    uint64_t ids[100];
    long before = 0;

    for (size_t i = 0; i < 100; i++)
        ids[i] = async_runtime_add_timer(runtime, 60000000, 0, NULL);
    start_hook(0, false);
    for (int round = 0; round < 100; round++) {
        if (round == 1)
            before = allocations();
        for (size_t i = 0; i < 100; i++) {
            TL_OK(async_runtime_cancel_timer(runtime, ids[i]));
            ids[i] = async_runtime_add_timer(runtime, 60000000, 0, NULL);
            ck_assert_uint_ne(ids[i], 0);
        }
    }
    ck_assert_int_eq(allocations(), before);
    port_memory_set_hook(NULL);
    async_runtime_deinit(runtime);
}
END_TEST

static void add_cases(Suite *suite)
{
    TCase *tcase = tl_case(suite, "none left");

    tcase_add_test(tcase, test_every_allocation);

    tcase = tl_case(suite, "steady state");
    tcase_add_test(tcase, test_steady_state);
    tcase_add_test(tcase, test_steady_state_with_a_poster);
    tcase_add_test(tcase, test_steady_timers);
}

int main(void)
{
    return tl_main("runtime_memory", add_cases);
}

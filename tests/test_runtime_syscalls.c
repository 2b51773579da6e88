/* SPDX-License-Identifier: MIT */
/*
 * test_runtime_syscalls.c - which system calls a runtime makes, and which it does not; Linux
 *
 * Where the system does not let a process trace its child, these tests have nothing to say.
 */
#include "testlib.h"
#include "tracelib.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define READ ASYNC_EVENT_READ
#define WRITE ASYNC_EVENT_WRITE
#define ONESHOT ASYNC_EVENT_ONESHOT
#define MANY 2000
#define SOME 50

#ifdef SYS_epoll_pwait2
#define CALL_EPOLL_PWAIT2 SYS_epoll_pwait2
#else
#define CALL_EPOLL_PWAIT2 441
#endif

static struct trace_counts counts[TRACE_SECTIONS];

static async_runtime_t *make_runtime(void)
{
    async_runtime_options_t options = ASYNC_RUNTIME_OPTIONS_INIT;
    async_runtime_t *runtime;

    options.flags = tl_runtime_flags();
    runtime = async_runtime_init_with(&options);
    trace_claim(runtime != NULL);
    return runtime;
}

static bool backend_is(const char *name)
{
    const char *backend = getenv("ASYNCRT_BACKEND");

    return strcmp(backend != NULL ? backend : async_runtime_backends()[0], name) == 0;
}

static void at_most(unsigned section, unsigned limit)
{
    ck_assert_msg(counts[section].total <= limit, "section %u: %u calls, not %u: %s", section,
                  counts[section].total, limit, trace_text(&counts[section]));
}

static void take(async_runtime_t *runtime, int number)
{
    async_event_t events[64];

    while (number > 0) {
        int count = async_runtime_wait(runtime, events, 64, TL_WAIT_MS);

        trace_claim(count > 0);
        number -= count;
    }
}

/* ---- posts: "While the loop is busy a post makes no system call" */

enum { BY_LOOP = 1, BY_THREAD, INTO_QUEUE, TIMERS };

static void post_in_section(void *arg)
{
    trace_section(BY_THREAD);
    for (uintptr_t i = 0; i < MANY; i++)
        if (async_runtime_post_completion(arg, i, i) != 0)
            _exit(2);
    trace_section(0);
}

static void busy_scenario(void)
{
    async_runtime_t *runtime = make_runtime();
    async_queue_t *queue = async_queue_create(MANY, sizeof(int), 0);
    uint64_t ids[SOME];
    int value = 0;

    trace_claim(queue != NULL);
    trace_claim(async_runtime_bind_queue(runtime, queue, 1) == 0);
    /* Once to make room; the loop has slept and is awake. */
    for (int round = 0; round < 2; round++) {
        trace_section(round == 0 ? 0 : BY_LOOP);
        for (uintptr_t i = 0; i < MANY; i++)
            if (async_runtime_post_completion(runtime, i, i) != 0)
                _exit(2);
        trace_section(0);
        tl_thread_join(tl_thread_start(post_in_section, runtime));
        take(runtime, 2 * MANY);
        trace_section(round == 0 ? 0 : INTO_QUEUE);
        for (int i = 0; i < SOME; i++)
            if (!async_queue_enqueue(queue, &value, sizeof value))
                _exit(2);
        trace_section(0);
        if (round == 0) {
            take(runtime, 1);
            while (async_queue_dequeue(queue, &value, sizeof value, NULL))
                continue;
        }
        trace_section(round == 0 ? 0 : TIMERS);
        for (int i = 0; i < SOME; i++)
            ids[i] = async_runtime_add_timer(runtime, 1000000, 0, NULL);
        for (int i = 0; i < SOME; i++)
            (void)async_runtime_cancel_timer(runtime, ids[i]);
        trace_section(0);
        trace_claim(async_runtime_get_timeout(runtime) == -1);
    }
    async_runtime_deinit(runtime);
    async_queue_destroy(queue);
}

START_TEST(test_busy_loop)
{
    if (!trace_run(busy_scenario, counts))
        return;
    at_most(BY_LOOP, 0);
    /* The first of two rounds counts as well: memory may be asked for. */
    ck_assert_uint_eq(counts[BY_THREAD].calls[SYS_write], 0);
    at_most(INTO_QUEUE, 0);
    at_most(TIMERS, 0);
}
END_TEST

/* ---- changes of registrations */

enum { ADD = 1, SAME, CHANGE, REMOVE };

static void change_scenario(void)
{
    async_runtime_t *runtime = make_runtime();
    int pairs[SOME][2];

    for (int i = 0; i < SOME; i++)
        tl_pair(pairs[i]);
    for (int round = 0; round < 2; round++) {
        trace_section(round == 0 ? 0 : ADD);
        for (int i = 0; i < SOME; i++)
            trace_claim(async_runtime_add(runtime, pairs[i][0], READ, NULL) == 0);
        trace_section(round == 0 ? 0 : SAME);
        for (int i = 0; i < SOME; i++)
            trace_claim(async_runtime_modify(runtime, pairs[i][0], READ, NULL) == 0);
        trace_section(round == 0 ? 0 : CHANGE);
        for (int i = 0; i < SOME; i++)
            trace_claim(async_runtime_modify(runtime, pairs[i][0], READ | WRITE, NULL) == 0);
        trace_section(round == 0 ? 0 : REMOVE);
        for (int i = 0; i < SOME; i++)
            trace_claim(async_runtime_remove(runtime, pairs[i][0]) == 0);
        trace_section(0);
    }
    async_runtime_deinit(runtime);
    for (int i = 0; i < SOME; i++)
        tl_close_pair(pairs[i]);
}

/* modify: "A call that changes nothing makes no system call"; epoll: one epoll_ctl per change */
START_TEST(test_changes)
{
    if (!trace_run(change_scenario, counts))
        return;
    at_most(SAME, 0);
    at_most(ADD, 2 * SOME);
    at_most(CHANGE, SOME);
    at_most(REMOVE, 2 * SOME);
    if (backend_is("epoll")) {
        at_most(ADD, SOME);
        at_most(REMOVE, SOME);
        ck_assert_uint_eq(counts[ADD].calls[SYS_epoll_ctl], SOME);
        ck_assert_uint_eq(counts[CHANGE].calls[SYS_epoll_ctl], SOME);
        ck_assert_uint_eq(counts[REMOVE].calls[SYS_epoll_ctl], SOME);
    }
}
END_TEST

/* ---- waits */

enum { EMPTY = 1, COMPLETIONS, DESCRIPTORS, BOTH };

static void wait_scenario(void)
{
    async_runtime_t *runtime = make_runtime();
    async_event_t events[8];
    int fds[2];

    tl_pair(fds);
    trace_claim(async_runtime_add(runtime, fds[0], READ, NULL) == 0);
    for (int round = 0; round < 2; round++) {
        trace_section(round == 0 ? 0 : EMPTY);
        trace_claim(async_runtime_wait(runtime, events, 8, 0) == 0);
        trace_section(0);
        for (uintptr_t i = 0; i < 3; i++)
            trace_claim(async_runtime_post_completion(runtime, i, i) == 0);
        trace_section(round == 0 ? 0 : COMPLETIONS);
        trace_claim(async_runtime_wait(runtime, events, 8, -1) == 3);
        trace_section(0);
        trace_claim(write(fds[1], "x", 1) == 1);
        trace_section(round == 0 ? 0 : DESCRIPTORS);
        trace_claim(async_runtime_wait(runtime, events, 8, -1) == 1);
        trace_section(0);
        trace_claim(async_runtime_post_completion(runtime, 1, 1) == 0);
        trace_section(round == 0 ? 0 : BOTH);
        trace_claim(async_runtime_wait(runtime, events, 8, -1) == 2);
        trace_section(0);
        trace_claim(read(fds[0], events, 1) == 1);
    }
    async_runtime_deinit(runtime);
    tl_close_pair(fds);
}

/* A wait that finds something is one look at the descriptors.  poll() speaks of numbers: whether
 * one that is ready is still the file that was added is another call. */
START_TEST(test_waits)
{
    unsigned look = backend_is("poll") ? 2 : 1;

    if (!trace_run(wait_scenario, counts))
        return;
    at_most(EMPTY, 1);
    at_most(COMPLETIONS, 1);
    at_most(DESCRIPTORS, look);
    at_most(BOTH, look);
}
END_TEST

enum { IDLE = 1, TIMED, PAUSED, SPENT, LONG_TIMER };

static void idle_scenario(void)
{
    async_runtime_t *runtime = make_runtime();
    async_event_t event;
    int fds[2];
    int other[2];
    uint64_t id;

    tl_pair(fds);
    tl_pair(other);
    trace_claim(async_runtime_add(runtime, fds[0], READ, NULL) == 0);
    trace_claim(async_runtime_wait(runtime, &event, 1, 0) == 0);
    trace_section(IDLE);
    trace_claim(async_runtime_wait(runtime, &event, 1, 200) == 0);
    trace_section(0);
    (void)async_runtime_add_timer(runtime, 100000, 0, NULL);
    trace_section(TIMED);
    trace_claim(async_runtime_wait(runtime, &event, 1, -1) == 1);
    trace_section(0);

    /* Hang-ups that nobody wants to hear of: the wait must not turn for them. */
    trace_claim(async_runtime_modify(runtime, fds[0], 0, NULL) == 0);
    (void)close(fds[1]);
    fds[1] = ASYNC_INVALID_FD;
    trace_claim(async_runtime_wait(runtime, &event, 1, 1) == 0);
    trace_section(PAUSED);
    trace_claim(async_runtime_wait(runtime, &event, 1, 100) == 0);
    trace_section(0);
    trace_claim(async_runtime_add(runtime, other[0], READ | ONESHOT, NULL) == 0);
    (void)close(other[1]);
    other[1] = ASYNC_INVALID_FD;
    trace_claim(async_runtime_wait(runtime, &event, 1, -1) == 1);
    trace_claim(async_runtime_wait(runtime, &event, 1, 1) == 0);
    trace_section(SPENT);
    trace_claim(async_runtime_wait(runtime, &event, 1, 100) == 0);
    trace_section(0);
    id = async_runtime_add_timer(runtime, UINT64_MAX, 1, NULL);
    trace_section(LONG_TIMER);
    trace_claim(async_runtime_wait(runtime, &event, 1, 100) == 0);
    trace_section(0);
    trace_claim(async_runtime_cancel_timer(runtime, id) == 0);
    async_runtime_deinit(runtime);
    tl_close_pair(fds);
    tl_close_pair(other);
}

/* "an idle runtime uses no CPU": no polling, whatever it waits for */
START_TEST(test_idle)
{
    if (!trace_run(idle_scenario, counts))
        return;
    at_most(IDLE, 2);
    at_most(TIMED, 3); /* the kernel's timer may be early by its own measure */
    at_most(PAUSED, 2);
    at_most(SPENT, 2);
    at_most(LONG_TIMER, 2);
}
END_TEST

/* ---- waking: "a sleeping loop is woken by at most one" */

enum { POSTER = 1, LOOP, WAKER, LATE_WAKER };

static async_runtime_t *slept;
static _Atomic bool before_wait;

static void sleep_once(void *arg)
{
    async_event_t events[64];

    trace_section(LOOP);
    atomic_store((_Atomic bool *)arg, true);
    (void)async_runtime_wait(slept, events, 64, -1);
    trace_section(0);
}

static tl_thread_t *start_sleeper(void)
{
    tl_thread_t *thread;

    atomic_store(&before_wait, false);
    thread = tl_thread_start(sleep_once, &before_wait);
    while (!atomic_load(&before_wait))
        tl_yield();
    tl_sleep_ms(20); /* by now it sleeps; if not, it needs no waking either */
    return thread;
}

static void wake_scenario(void)
{
    tl_thread_t *thread;
    async_event_t event;

    slept = async_runtime_init();
    trace_claim(slept != NULL);
    /* Memory for them all, so that no post waits for the lock under which there is more. */
    for (uintptr_t i = 0; i < 10 * SOME; i++)
        trace_claim(async_runtime_post_completion(slept, i, i) == 0);
    take(slept, 10 * SOME);
    for (int round = 0; round < 3; round++) {
        thread = start_sleeper();
        trace_section(POSTER);
        for (uintptr_t i = 0; i < SOME; i++)
            if (async_runtime_post_completion(slept, i, i) != 0)
                _exit(2);
        trace_section(0);
        tl_thread_join(thread);
        while (async_runtime_wait(slept, &event, 1, 0) > 0)
            continue;
    }
    thread = start_sleeper();
    trace_section(WAKER);
    (void)async_runtime_wakeup(slept);
    trace_section(0);
    tl_thread_join(thread);
    /* Nobody sleeps: a wakeup is remembered, and a second one is nothing new. */
    (void)async_runtime_wakeup(slept);
    trace_section(LATE_WAKER);
    (void)async_runtime_wakeup(slept);
    trace_section(0);
    async_runtime_deinit(slept);
}

START_TEST(test_waking)
{
    if (!trace_run(wake_scenario, counts))
        return;
    at_most(POSTER, 3); /* in three rounds */
    at_most(WAKER, 1);
    at_most(LATE_WAKER, 1);
    /* Four times to sleep, to be woken, to take the wake-up away, and to look at the descriptors.
     */
    at_most(LOOP, 4 * 4);
}
END_TEST

/* ---- "io_uring is used, and its system calls are made, only when it is asked for by name" */

enum { WHOLE_LIFE = 1 };

static void life_scenario(void)
{
    async_runtime_t *runtime;
    async_event_t event;

    trace_section(WHOLE_LIFE);
    for (int round = 0; round < 2; round++) {
        if (round == 1)
            tl_setenv("ASYNCRT_BACKEND", NULL);
        runtime = make_runtime();
        trace_claim(async_runtime_post_completion(runtime, 1, 1) == 0);
        trace_claim(async_runtime_wait(runtime, &event, 1, -1) == 1);
        async_runtime_deinit(runtime);
    }
    trace_claim(async_runtime_backends() != NULL);
    trace_section(0);
}

START_TEST(test_io_uring_is_not_probed)
{
    enum { IO_URING_SETUP = 425, IO_URING_ENTER, IO_URING_REGISTER }; /* on every architecture */

    if (backend_is("io_uring"))
        tl_setenv("ASYNCRT_BACKEND", NULL);
    if (!trace_run(life_scenario, counts))
        return;
    ck_assert_uint_gt(counts[WHOLE_LIFE].total, 0);
    ck_assert_uint_eq(counts[WHOLE_LIFE].calls[IO_URING_SETUP], 0);
    ck_assert_uint_eq(counts[WHOLE_LIFE].calls[IO_URING_ENTER], 0);
    ck_assert_uint_eq(counts[WHOLE_LIFE].calls[IO_URING_REGISTER], 0);
}
END_TEST

/* ---- "microsecond requests honoured as finely as the system can" */

START_TEST(test_microseconds)
{
    async_runtime_t *runtime = tl_runtime();
    const char *preload = getenv("LD_PRELOAD");
    uint64_t best = UINT64_MAX;
    bool fine = !backend_is("epoll") ||
                syscall(CALL_EPOLL_PWAIT2, -1, NULL, 0, NULL, NULL, 0) != -1 || errno != ENOSYS;

    if (preload != NULL && strstr(preload, "vgpreload") != NULL)
        fine = false;
    /* One of many is enough: in milliseconds, each would take one whole at least. */
    for (int i = 0; i < 300 && best > 900 * TL_NS_PER_US; i++) {
        async_event_t event;
        uint64_t start = tl_now_ns();

        ck_assert_uint_ne(async_runtime_add_timer(runtime, 150, 0, NULL), 0);
        tl_one(runtime, &event);
        if (tl_now_ns() - start < best)
            best = tl_now_ns() - start;
    }
    if (fine)
        ck_assert_uint_le(best, 900 * TL_NS_PER_US);
    async_runtime_deinit(runtime);
}
END_TEST

static void add_cases(Suite *suite)
{
    TCase *tcase = tl_case(suite, "counted");

    tcase_add_test(tcase, test_busy_loop);
    tcase_add_test(tcase, test_changes);
    tcase_add_test(tcase, test_waits);
    tcase_add_test(tcase, test_idle);
    tcase_add_test(tcase, test_waking);
    tcase_add_test(tcase, test_io_uring_is_not_probed);
    tcase_add_test(tcase, test_microseconds);
}

int main(void)
{
    return tl_main("runtime_syscalls", add_cases);
}

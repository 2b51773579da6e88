/* SPDX-License-Identifier: MIT */
/*
 * What src/port promises: mutexes, events, threads, the clock, memory and errors.  What only POSIX
 * has is in test_port_posix.c.
 */
#include "port/port_clock.h"
#include "port/port_compiler.h"
#include "port/port_error.h"
#include "port/port_event.h"
#include "port/port_memory.h"
#include "port/port_mutex.h"
#include "port/port_thread.h"
#include "testcheck.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define MS PORT_NS_PER_MS

static const port_thread_attr_t no_attr;

static void start(port_thread_t *thread, port_thread_proc_t proc, void *arg)
{
    ck_assert_int_eq(port_thread_create(thread, proc, arg, &no_attr), 0);
}

/* ---- mutex ---- */

static port_mutex_t static_mutex = PORT_MUTEX_INIT;

struct shared {
    port_mutex_t lock;
    unsigned long count; /* under lock */
};

static void count_up(void *arg)
{
    struct shared *shared = arg;

    for (int i = 0; i < 50000; i++) {
        port_mutex_lock(&shared->lock);
        shared->count++;
        port_mutex_unlock(&shared->lock);
    }
}

START_TEST(mutex_excludes)
{
    struct shared shared = {.count = 0};
    port_thread_t threads[4];

    ck_assert_int_eq(port_mutex_init(&shared.lock), 0);
    for (int i = 0; i < 4; i++)
        start(&threads[i], count_up, &shared);
    for (int i = 0; i < 4; i++)
        port_thread_join(&threads[i]);
    ck_assert_uint_eq(shared.count, 200000);
    port_mutex_destroy(&shared.lock);
}
END_TEST

static void try_lock(void *arg)
{
    bool *locked = arg;

    *locked = port_mutex_trylock(&static_mutex);
    if (*locked)
        port_mutex_unlock(&static_mutex);
}

START_TEST(mutex_trylock)
{
    port_thread_t thread;
    bool locked = true;

    ck_assert(port_mutex_trylock(&static_mutex));
    start(&thread, try_lock, &locked);
    port_thread_join(&thread);
    ck_assert(!locked);
    port_mutex_unlock(&static_mutex);
    start(&thread, try_lock, &locked);
    port_thread_join(&thread);
    ck_assert(locked);
}
END_TEST

/* ---- events ---- */

struct sleeper {
    port_event_t *event;
    _Atomic int *woken;
    int timeout_ms;
    int err;
    port_thread_t thread;
};

static void sleep_on_event(void *arg)
{
    struct sleeper *sleeper = arg;

    sleeper->err = port_event_wait(sleeper->event, sleeper->timeout_ms);
    if (sleeper->err == 0)
        atomic_fetch_add(sleeper->woken, 1);
}

static void start_sleepers(struct sleeper *sleepers, int count, port_event_t *event,
                           _Atomic int *woken, int timeout_ms)
{
    for (int i = 0; i < count; i++) {
        sleepers[i].event = event;
        sleepers[i].woken = woken;
        sleepers[i].timeout_ms = timeout_ms;
        sleepers[i].err = -1;
        start(&sleepers[i].thread, sleep_on_event, &sleepers[i]);
    }
}

static void join_sleepers(struct sleeper *sleepers, int count)
{
    for (int i = 0; i < count; i++)
        port_thread_join(&sleepers[i].thread);
}

/* Auto-reset events count those asleep; elsewhere time has to do. */
static void until_asleep(port_event_t *event, uint32_t count)
{
#ifdef _WIN32
    (void)event;
    (void)count;
#else
    if (!event->manual_reset) {
        for (uint32_t asleep = 0; asleep < count; port_thread_sleep(MS)) {
            pthread_mutex_lock(&event->lock);
            asleep = event->waiting;
            pthread_mutex_unlock(&event->lock);
        }
        return;
    }
#endif
    port_thread_sleep(200 * MS);
}

static void until_count(_Atomic int *count, int wanted)
{
    while (atomic_load(count) < wanted)
        port_thread_sleep(MS);
}

START_TEST(auto_event_frees_one_a_set)
{
    struct sleeper sleepers[3];
    _Atomic int woken = 0;
    port_event_t event;

    ck_assert_int_eq(port_event_init(&event, false, false), 0);
    start_sleepers(sleepers, 3, &event, &woken, -1);
    until_asleep(&event, 3);
    port_event_set(&event);
    until_count(&woken, 1);
    port_thread_sleep(50 * MS);
    ck_assert_int_eq(atomic_load(&woken), 1);
    port_event_set(&event);
    port_event_set(&event);
    join_sleepers(sleepers, 3);
    ck_assert_int_eq(atomic_load(&woken), 3);
    /* all three sets were taken */
    ck_assert_int_eq(port_event_wait(&event, 0), ETIMEDOUT);
    port_event_destroy(&event);
}
END_TEST

/* A set that was given to a sleeper is not taken back by a reset, nor stolen by a late comer. */
START_TEST(auto_event_two_sets_at_once_free_two)
{
    for (int round = 0; round < 50; round++) {
        struct sleeper sleepers[2];
        _Atomic int woken = 0;
        port_event_t event;

        ck_assert_int_eq(port_event_init(&event, false, false), 0);
        start_sleepers(sleepers, 2, &event, &woken, -1);
        until_asleep(&event, 2);
        port_event_set(&event);
        port_event_set(&event);
        ck_assert_int_eq(port_event_wait(&event, 0), ETIMEDOUT);
        port_event_reset(&event);
        join_sleepers(sleepers, 2);
        ck_assert_int_eq(port_event_wait(&event, 0), ETIMEDOUT);
        port_event_destroy(&event);
    }
}
END_TEST

START_TEST(auto_event_remembers_one_set)
{
    port_event_t event;

    ck_assert_int_eq(port_event_init(&event, false, false), 0);
    port_event_set(&event);
    port_event_set(&event);
    ck_assert_int_eq(port_event_wait(&event, -1), 0);
    ck_assert_int_eq(port_event_wait(&event, 0), ETIMEDOUT);
    port_event_set(&event);
    port_event_reset(&event);
    ck_assert_int_eq(port_event_wait(&event, 10), ETIMEDOUT);
    port_event_destroy(&event);
    ck_assert_int_eq(port_event_init(&event, false, true), 0);
    ck_assert_int_eq(port_event_wait(&event, 0), 0);
    ck_assert_int_eq(port_event_wait(&event, 0), ETIMEDOUT);
    port_event_destroy(&event);
}
END_TEST

START_TEST(manual_event_frees_all)
{
    struct sleeper sleepers[4];
    _Atomic int woken = 0;
    port_event_t event;

    ck_assert_int_eq(port_event_init(&event, true, false), 0);
    start_sleepers(sleepers, 4, &event, &woken, -1);
    port_event_set(&event);
    join_sleepers(sleepers, 4);
    ck_assert_int_eq(atomic_load(&woken), 4);
    ck_assert_int_eq(port_event_wait(&event, 0), 0);
    ck_assert_int_eq(port_event_wait(&event, -1), 0);
    port_event_reset(&event);
    ck_assert_int_eq(port_event_wait(&event, 0), ETIMEDOUT);
    port_event_destroy(&event);
    ck_assert_int_eq(port_event_init(&event, true, true), 0);
    ck_assert_int_eq(port_event_wait(&event, -1), 0);
    port_event_destroy(&event);
}
END_TEST

START_TEST(manual_event_set_then_reset_frees_all_sleepers)
{
    struct sleeper sleepers[4];
    _Atomic int woken = 0;
    port_event_t event;

    ck_assert_int_eq(port_event_init(&event, true, false), 0);
    start_sleepers(sleepers, 4, &event, &woken, -1);
    until_asleep(&event, 4);
    port_event_set(&event);
    port_event_reset(&event);
    join_sleepers(sleepers, 4);
    ck_assert_int_eq(atomic_load(&woken), 4);
    ck_assert_int_eq(port_event_wait(&event, 0), ETIMEDOUT);
    port_event_destroy(&event);
}
END_TEST

START_TEST(event_timeouts)
{
    for (int manual = 0; manual < 2; manual++) {
        struct sleeper sleeper;
        _Atomic int woken = 0;
        port_event_t event;
        uint64_t before;

        ck_assert_int_eq(port_event_init(&event, manual != 0, false), 0);
        ck_assert_int_eq(port_event_wait(&event, -2), EINVAL);
        ck_assert_int_eq(port_event_wait(&event, -1000), EINVAL);
        before = port_clock_now();
        ck_assert_int_eq(port_event_wait(&event, 30), ETIMEDOUT);
        ck_assert(port_clock_now() - before >= 30 * MS);
        /* one that gave up does not eat the next set */
        start_sleepers(&sleeper, 1, &event, &woken, 20);
        join_sleepers(&sleeper, 1);
        ck_assert_int_eq(sleeper.err, ETIMEDOUT);
        port_event_set(&event);
        ck_assert_int_eq(port_event_wait(&event, 0), 0);
        port_event_destroy(&event);
    }
}
END_TEST

struct pair {
    port_event_t ping, pong;
};

static void answer(void *arg)
{
    struct pair *pair = arg;

    for (int i = 0; i < 5000; i++) {
        port_event_wait(&pair->ping, -1);
        port_event_set(&pair->pong);
    }
}

START_TEST(event_ping_pong_loses_nothing)
{
    struct pair pair;
    port_thread_t thread;

    ck_assert_int_eq(port_event_init(&pair.ping, false, false), 0);
    ck_assert_int_eq(port_event_init(&pair.pong, false, false), 0);
    start(&thread, answer, &pair);
    for (int i = 0; i < 5000; i++) {
        port_event_set(&pair.ping);
        ck_assert_int_eq(port_event_wait(&pair.pong, 20000), 0);
    }
    port_thread_join(&thread);
    port_event_destroy(&pair.ping);
    port_event_destroy(&pair.pong);
}
END_TEST

/* ---- threads ---- */

struct facts {
    uint64_t token, token_again;
};

static void note_facts(void *arg)
{
    struct facts *facts = arg;

    facts->token = port_thread_token();
    facts->token_again = port_thread_token();
}

static struct facts facts_of(const port_thread_attr_t *attr)
{
    struct facts facts = {.token = 0};
    port_thread_t thread;

    ck_assert_int_eq(port_thread_create(&thread, note_facts, &facts, attr), 0);
    port_thread_join(&thread);
    return facts;
}

START_TEST(thread_tokens_are_unique)
{
    uint64_t seen[50];

    for (size_t i = 0; i < 50; i++) {
        struct facts facts = facts_of(&no_attr);

        ck_assert_uint_ne(facts.token, 0);
        ck_assert_uint_eq(facts.token, facts.token_again);
        ck_assert_uint_ne(facts.token, port_thread_token());
        for (size_t j = 0; j < i; j++)
            ck_assert_uint_ne(facts.token, seen[j]);
        seen[i] = facts.token;
    }
}
END_TEST

START_TEST(thread_attributes)
{
    port_thread_attr_t attr = {.stack_size = 1};
    struct facts facts;

    /* too small is raised, too large refused */
    ck_assert_uint_ne(facts_of(&attr).token, 0);
    attr.stack_size = 300001;
    ck_assert_uint_ne(facts_of(&attr).token, 0);
    attr.stack_size = SIZE_MAX;
    errno = 77;
    ck_assert_int_ne(port_thread_create(&(port_thread_t){0}, note_facts, &facts, &attr), 0);
    ck_assert_int_eq(errno, 77);
    attr.stack_size = 0;
    attr.name = "a-name-longer-than-15-bytes";
    ck_assert_uint_ne(facts_of(&attr).token, 0);
    attr.name = "\xff not UTF-8";
    attr.block_signals = true;
    ck_assert_uint_ne(facts_of(&attr).token, 0);
}
END_TEST

START_TEST(thread_sleeps_long_enough)
{
    static const uint64_t times[] = {0, 1, 1000, 300000, MS, 2500000, 20 * MS};

    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        uint64_t before = port_clock_now();

        port_thread_sleep(times[i]);
        ck_assert_uint_ge(port_clock_now() - before, times[i]);
    }
}
END_TEST

static void open_gate(void *arg)
{
    port_event_set(arg);
}

START_TEST(thread_detach)
{
    port_thread_t thread;
    port_event_t gate;

    ck_assert_int_eq(port_event_init(&gate, false, false), 0);
    start(&thread, open_gate, &gate);
    port_thread_detach(&thread);
    ck_assert_int_eq(port_event_wait(&gate, 20000), 0);
    /* the thread may still be inside set: the event is left to the process's end */
}
END_TEST

START_TEST(cpu_count_is_sane)
{
    ck_assert_uint_ge(port_cpu_count(), 1);
    port_thread_yield();
    port_cpu_relax();
}
END_TEST

/* ---- clock ---- */

START_TEST(clock_is_monotonic)
{
    uint64_t last = port_clock_now();

    for (int i = 0; i < 10000; i++) {
        uint64_t now = port_clock_now();

        ck_assert_uint_ge(now, last);
        last = now;
    }
}
END_TEST

START_TEST(clock_deadlines)
{
    uint64_t before = port_clock_now(), deadline = port_deadline(1000);

    ck_assert_uint_eq(port_deadline(-1), PORT_DEADLINE_NEVER);
    ck_assert_uint_eq(port_deadline(0), 0);
    ck_assert_uint_ge(deadline, before + 1000u * MS);
    ck_assert_uint_le(deadline, port_clock_now() + 1000u * MS);
    ck_assert_uint_eq(port_clock_after(5, 7), 12);
    ck_assert_uint_eq(port_clock_after(5, UINT64_MAX), PORT_DEADLINE_NEVER - 1);
    ck_assert_uint_eq(port_clock_after(UINT64_MAX - 2, 1), PORT_DEADLINE_NEVER - 1);
    ck_assert_uint_lt(port_deadline(INT_MAX), PORT_DEADLINE_NEVER);
}
END_TEST

/* ---- memory ---- */

static int hook_calls;
static size_t hook_size;

static bool refuse(size_t size)
{
    hook_calls++;
    hook_size = size;
    return false;
}

START_TEST(memory_hook_refuses)
{
    char *old = port_alloc(10);

    ck_assert_ptr_nonnull(old);
    strcpy(old, "kept");
    port_memory_set_hook(refuse);
    ck_assert_ptr_null(port_alloc(1));
    ck_assert_ptr_null(port_zalloc(3, 5));
    ck_assert_uint_eq(hook_size, 15);
    ck_assert_ptr_null(port_strdup("text"));
    ck_assert_ptr_null(port_realloc(old, 100));
    ck_assert_str_eq(old, "kept");
    ck_assert_ptr_null(port_alloc_aligned(64, 64));
    ck_assert_int_eq(hook_calls, 5);
    port_memory_set_hook(NULL);
    old = port_realloc(old, 100);
    ck_assert_str_eq(old, "kept");
    port_free(old);
}
END_TEST

START_TEST(memory_functions)
{
    unsigned char *zero = port_zalloc(10, 10);
    void *none = port_alloc(0), *aligned = port_alloc_aligned(100, 128);
    char *text = port_strdup("text");

    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(zero[i], 0);
    ck_assert_ptr_nonnull(none);
    ck_assert_uint_eq((uintptr_t)aligned % 128, 0);
    ck_assert_str_eq(text, "text");
    ck_assert_ptr_null(port_zalloc(SIZE_MAX / 2, 4));
    port_free(zero);
    port_free(none);
    port_free(text);
    port_free_aligned(aligned);
    errno = 77;
    port_free(NULL);
    port_free_aligned(NULL);
    ck_assert_int_eq(errno, 77);
}
END_TEST

/* ---- errors ---- */

static void fail_elsewhere(void *arg)
{
    *(int *)arg = port_error_last();
    port_error_set(EPIPE);
}

START_TEST(error_of_each_thread)
{
    port_thread_t thread;
    int other = -1;

    ck_assert_int_eq(port_error_last(), 0);
    ck_assert_int_eq(port_fail(EAGAIN), -1);
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert(!port_fail_false(EBUSY));
    ck_assert_ptr_null(port_fail_null(ENOENT));
    ck_assert_int_eq(errno, ENOENT);
    start(&thread, fail_elsewhere, &other);
    port_thread_join(&thread);
    ck_assert_int_eq(other, 0);
    ck_assert_int_eq(port_error_last(), ENOENT);
    errno = EIO;
    ck_assert_int_eq(port_result(0, 5), 0);
    ck_assert_int_eq(errno, 5);
    ck_assert_int_eq(port_error_last(), ENOENT);
    ck_assert_int_eq(port_result(EPERM, 5), -1);
    ck_assert_int_eq(errno, EPERM);
    ck_assert_int_eq(port_error_last(), EPERM);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("port");
    TCase *tcase = tcase_create("port");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, mutex_excludes);
    tcase_add_test(tcase, mutex_trylock);
    tcase_add_test(tcase, auto_event_frees_one_a_set);
    tcase_add_test(tcase, auto_event_two_sets_at_once_free_two);
    tcase_add_test(tcase, auto_event_remembers_one_set);
    tcase_add_test(tcase, manual_event_frees_all);
    tcase_add_test(tcase, manual_event_set_then_reset_frees_all_sleepers);
    tcase_add_test(tcase, event_timeouts);
    tcase_add_test(tcase, event_ping_pong_loses_nothing);
    tcase_add_test(tcase, thread_tokens_are_unique);
    tcase_add_test(tcase, thread_attributes);
    tcase_add_test(tcase, thread_detach);
    tcase_add_test(tcase, thread_sleeps_long_enough);
    tcase_add_test(tcase, cpu_count_is_sane);
    tcase_add_test(tcase, clock_is_monotonic);
    tcase_add_test(tcase, clock_deadlines);
    tcase_add_test(tcase, memory_hook_refuses);
    tcase_add_test(tcase, memory_functions);
    tcase_add_test(tcase, error_of_each_thread);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

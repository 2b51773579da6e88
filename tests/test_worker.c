/* SPDX-License-Identifier: MIT */
/*
 * What async_worker.h promises, but for its completions (test_worker_runtime.c) and what only POSIX
 * has (test_parts_posix.c).
 */
#include "test_worker.h"

#include <limits.h>
#include <stdatomic.h>

#define ck_fails(call, err)                          \
    do {                                             \
        errno = 0;                                   \
        ck_assert(!(call));                          \
        ck_assert_int_eq(errno, (err));              \
        ck_assert_int_eq(async_last_error(), (err)); \
    } while (0)

static void *return_context(void *context)
{
    return context;
}

/* ---- create, join, result ---- */

START_TEST(runs_and_ends)
{
    int thing;
    async_worker_t *worker;

    errno = 77;
    worker = start(return_context, &thing);
    ck_assert(async_worker_join(worker, -1));
    ck_assert_int_eq(errno, 77);
    ck_assert_int_eq(async_worker_get_state(worker), ASYNC_WORKER_STOPPED);
    ck_assert_ptr_eq(async_worker_get_result(worker), &thing);
    ck_assert(async_worker_join(worker, 0));
    ck_assert(async_worker_join(worker, -1));
    ck_assert_ptr_eq(async_worker_get_result(worker), &thing);
    /* a stop of one that has ended changes nothing */
    async_worker_signal_stop(worker);
    ck_assert_int_eq(async_worker_get_state(worker), ASYNC_WORKER_STOPPED);
    async_worker_destroy(worker);
    ck_assert_int_eq(errno, 77);
    ck_assert_int_eq(async_last_error(), 0);
}
END_TEST

START_TEST(bad_arguments)
{
    async_worker_options_t options = ASYNC_WORKER_OPTIONS_INIT;
    async_worker_t *worker = start(until_stop, NULL);

    ck_fails(async_worker_create(NULL, NULL, 0), EINVAL);
    ck_fails(async_worker_create_with(NULL, NULL, NULL), EINVAL);
    options.size = 0;
    ck_fails(async_worker_create_with(return_context, NULL, &options), EINVAL);
    options.size = sizeof(size_t) - 1;
    ck_fails(async_worker_create_with(return_context, NULL, &options), EINVAL);
    ck_fails(async_worker_create(return_context, NULL, SIZE_MAX) != NULL, EAGAIN);
    ck_fails(async_worker_join(NULL, 0), EINVAL);
    ck_fails(async_worker_join(worker, -2), EINVAL);
    ck_fails(async_worker_join(worker, INT_MIN), EINVAL);
    ck_fails(async_worker_wait_stop(worker, -2), EINVAL);
    ck_fails(async_worker_get_stop_handle(NULL) != (async_handle_t)-1, EINVAL);
    ck_fails(async_worker_get_state(NULL), EINVAL);
    ck_fails(async_worker_get_result(NULL), EINVAL);
    ck_fails(async_worker_get_result(worker), EBUSY);
    async_worker_destroy(NULL);
    async_worker_signal_stop(NULL);
    stop(worker);
}
END_TEST

START_TEST(outside_of_a_worker)
{
    errno = 77;
    ck_assert_ptr_null(async_worker_current());
    ck_assert_int_eq(errno, 77);
    ck_fails(async_worker_should_stop(NULL), EINVAL);
    ck_fails(async_worker_wait_stop(NULL, 0), EINVAL);
    ck_fails(async_worker_wait_stop(NULL, -1), EINVAL);
}
END_TEST

struct facts {
    async_worker_t *self;
    bool self_join;
    int self_join_errno;
    char name[32];
    bool named; /* the system has told the name */
    size_t stack;
};

static void *note_facts(void *context)
{
    struct facts *facts = context;

    facts->self = async_worker_current();
    facts->self_join = async_worker_join(facts->self, -1);
    facts->self_join_errno = errno;
    facts->stack = tl_stack_size();
    facts->named = tl_thread_name(facts->name, sizeof(facts->name));
    return NULL;
}

static struct facts facts_with(const async_worker_options_t *options)
{
    struct facts facts;
    async_worker_t *worker;

    memset(&facts, 0, sizeof(facts));
    worker = async_worker_create_with(note_facts, &facts, options);
    ck_assert_ptr_nonnull(worker);
    ck_assert(async_worker_join(worker, LONG_MS));
    ck_assert_ptr_eq(facts.self, worker);
    ck_assert(!facts.self_join);
    ck_assert_int_eq(facts.self_join_errno, EDEADLK);
    async_worker_destroy(worker);
    return facts;
}

START_TEST(options_and_own_thread)
{
    /* an options structure of a later version, whose tail is not looked at */
    struct {
        async_worker_options_t known;
        unsigned char tail[64];
    } later = {.known = ASYNC_WORKER_OPTIONS_INIT};
    async_worker_options_t options = ASYNC_WORKER_OPTIONS_INIT;
    struct facts facts;

    facts_with(NULL);
    facts_with(&options);
    options.stack_size = 1;
    facts_with(&options);
    options.stack_size = 1000000;
    options.name = "a-name-longer-than-15-bytes";
    facts = facts_with(&options);
    ck_assert(facts.stack == 0 || facts.stack >= 1000000);
    if (facts.named)
        ck_assert_str_eq(facts.name, "a-name-longer-t");
    later.known.name = "later";
    later.known.size = sizeof(later);
    memset(later.tail, 0xff, sizeof(later.tail));
    facts = facts_with(&later.known);
    if (facts.named)
        ck_assert_str_eq(facts.name, "later");
    /* one of an earlier version: what it does not have is not read */
    options.size = sizeof(size_t);
    options.name = (const char *)1;
    options.runtime = (struct async_runtime *)1;
    facts_with(&options);
}
END_TEST

/* ---- join ---- */

START_TEST(join_times_out_and_goes_on)
{
    async_worker_t *worker = start(until_stop, &worker);

    for (int i = 0; i < 3; i++) {
        ck_fails(async_worker_join(worker, 0), ETIMEDOUT);
        ck_fails(async_worker_join(worker, 5), ETIMEDOUT);
    }
    ck_assert_int_eq(async_worker_get_state(worker), ASYNC_WORKER_RUNNING);
    async_worker_signal_stop(worker);
    ck_assert(async_worker_join(worker, INT_MAX));
    ck_assert_ptr_eq(async_worker_get_result(worker), &worker);
    async_worker_destroy(worker);
}
END_TEST

struct joiner {
    async_worker_t *worker;
    void *result;
    bool joined;
};

static void join_it(void *context)
{
    struct joiner *joiner = context;

    joiner->joined = async_worker_join(joiner->worker, -1);
    joiner->result = async_worker_get_result(joiner->worker);
}

START_TEST(join_from_several_threads)
{
    for (int round = 0; round < 50; round++) {
        async_worker_t *worker = start(until_stop, &round);
        struct joiner joiners[4];
        tl_thread_t *threads[4];

        for (int i = 0; i < 4; i++) {
            joiners[i] = (struct joiner){.worker = worker};
            threads[i] = tl_thread_start(join_it, &joiners[i]);
        }
        async_worker_signal_stop(worker);
        for (int i = 0; i < 4; i++) {
            tl_thread_join(threads[i]);
            ck_assert(joiners[i].joined);
            ck_assert_ptr_eq(joiners[i].result, &round);
        }
        async_worker_destroy(worker);
    }
}
END_TEST

static void *nap(void *context)
{
    tl_sleep_ms(300);
    return context;
}

/* A join that polls would be switched out once for each look. */
START_TEST(join_does_not_poll)
{
    long before = tl_context_switches();
    async_worker_t *worker = start(nap, NULL);

    ck_assert(async_worker_join(worker, LONG_MS));
    ck_assert_int_le(tl_context_switches() - before, 5);
    async_worker_destroy(worker);
    worker = start(until_stop, NULL);
    before = tl_context_switches();
    ck_fails(async_worker_join(worker, 200), ETIMEDOUT);
    ck_fails(async_worker_wait_stop(worker, 200), ETIMEDOUT);
    ck_assert_int_le(tl_context_switches() - before, 6);
    stop(worker);
}
END_TEST

/* Once STOPPED is seen, join succeeds without waiting, whoever else is about to. */
START_TEST(join_without_waiting_after_stopped)
{
    for (int round = 0; round < 200; round++) {
        async_worker_t *worker = start(return_context, NULL);

        while (async_worker_get_state(worker) != ASYNC_WORKER_STOPPED)
            tl_yield();
        ck_assert(async_worker_join(worker, 0));
        async_worker_destroy(worker);
    }
}
END_TEST

/* ---- the stop ---- */

static void *until_should_stop(void *context)
{
    while (!async_worker_should_stop(NULL))
        tl_yield();
    /* who has seen the stop sees the state that goes with it */
    ck_assert_int_eq(async_worker_get_state(async_worker_current()), ASYNC_WORKER_STOPPING);
    return context;
}

START_TEST(stop_and_states)
{
    async_worker_t *worker = start(until_should_stop, NULL);

    ck_assert_int_eq(async_worker_get_state(worker), ASYNC_WORKER_RUNNING);
    ck_assert(!async_worker_should_stop(worker));
    async_worker_signal_stop(worker);
    async_worker_signal_stop(worker);
    ck_assert(async_worker_should_stop(worker));
    ck_assert(async_worker_wait_stop(worker, 0));
    ck_assert(async_worker_join(worker, LONG_MS));
    ck_assert_int_eq(async_worker_get_state(worker), ASYNC_WORKER_STOPPED);
    ck_assert(async_worker_should_stop(worker));
    async_worker_destroy(worker);
}
END_TEST

static _Atomic int may_end;

static void *stay_stopping(void *context)
{
    ck_assert(async_worker_wait_stop(NULL, -1));
    while (!atomic_load(&may_end))
        tl_sleep_ms(1);
    return context;
}

START_TEST(stopping_until_the_procedure_returns)
{
    async_worker_t *worker = start(stay_stopping, NULL);

    async_worker_signal_stop(worker);
    ck_assert_int_eq(async_worker_get_state(worker), ASYNC_WORKER_STOPPING);
    ck_fails(async_worker_join(worker, 10), ETIMEDOUT);
    ck_assert_int_eq(async_worker_get_state(worker), ASYNC_WORKER_STOPPING);
    atomic_store(&may_end, 1);
    stop(worker);
}
END_TEST

struct waiter {
    async_worker_t *worker;
    bool stopped;
};

static void wait_stop_of(void *context)
{
    struct waiter *waiter = context;

    waiter->stopped = async_worker_wait_stop(waiter->worker, -1);
}

START_TEST(wait_stop_wakes_all)
{
    for (int round = 0; round < 50; round++) {
        async_worker_t *worker = start(until_stop, NULL);
        struct waiter waiters[3];
        tl_thread_t *threads[3];

        ck_fails(async_worker_wait_stop(worker, 0), ETIMEDOUT);
        for (int i = 0; i < 3; i++) {
            waiters[i] = (struct waiter){.worker = worker};
            threads[i] = tl_thread_start(wait_stop_of, &waiters[i]);
        }
        async_worker_signal_stop(worker);
        for (int i = 0; i < 3; i++) {
            tl_thread_join(threads[i]);
            ck_assert(waiters[i].stopped);
        }
        stop(worker);
    }
}
END_TEST

START_TEST(wait_stop_times_out)
{
    async_worker_t *worker = start(until_stop, NULL);
    uint64_t before = tl_now_ns();

    ck_fails(async_worker_wait_stop(worker, 30), ETIMEDOUT);
    ck_assert_uint_ge(tl_now_ns() - before, 30 * TL_NS_PER_MS);
    stop(worker);
}
END_TEST

/* ---- the stop handle ---- */

START_TEST(stop_handle)
{
    int fds = tl_fd_count();
    async_worker_t *worker = start(until_stop, NULL);
    async_handle_t handle;

    /* made only when asked for */
    ck_assert_int_eq(tl_fd_count(), fds);
    errno = 77;
    handle = async_worker_get_stop_handle(worker);
    ck_assert_int_eq(errno, 77);
    ck_assert(handle != (async_handle_t)-1);
    ck_assert(async_worker_get_stop_handle(worker) == handle);
    ck_assert(!tl_handle_is_inherited(handle));
    ck_assert(!tl_handle_is_set(handle, 0));
    async_worker_signal_stop(worker);
    ck_assert(tl_handle_is_set(handle, 0));
    async_worker_signal_stop(worker);
    ck_assert(async_worker_join(worker, LONG_MS));
    ck_assert(tl_handle_is_set(handle, 0));
    async_worker_destroy(worker);
    ck_assert_int_eq(tl_fd_count(), fds);
}
END_TEST

START_TEST(stop_handle_after_the_stop)
{
    int fds = tl_fd_count();
    async_worker_t *worker = start(until_stop, NULL);

    async_worker_signal_stop(worker);
    ck_assert(tl_handle_is_set(async_worker_get_stop_handle(worker), 0));
    ck_assert(async_worker_join(worker, LONG_MS));
    async_worker_destroy(worker);
    /* and first asked for when the thread is long gone */
    worker = start(return_context, NULL);
    ck_assert(async_worker_join(worker, LONG_MS));
    ck_assert(!tl_handle_is_set(async_worker_get_stop_handle(worker), 0));
    async_worker_signal_stop(worker);
    ck_assert(tl_handle_is_set(async_worker_get_stop_handle(worker), 0));
    async_worker_destroy(worker);
    ck_assert_int_eq(tl_fd_count(), fds);
}
END_TEST

static void *until_handle(void *context)
{
    async_handle_t handle = async_worker_get_stop_handle(async_worker_current());

    (void)context;
    ck_assert(tl_handle_is_set(handle, LONG_MS));
    return (void *)(intptr_t)handle;
}

struct asker {
    async_worker_t *worker;
    async_handle_t handle;
};

static void ask_handle(void *context)
{
    struct asker *asker = context;

    asker->handle = async_worker_get_stop_handle(asker->worker);
}

START_TEST(stop_handle_is_made_once)
{
    int fds = tl_fd_count();

    for (int round = 0; round < 300; round++) {
        struct asker asker = {.worker = start(until_handle, NULL)};
        tl_thread_t *thread = tl_thread_start(ask_handle, &asker);

        async_worker_signal_stop(asker.worker);
        tl_thread_join(thread);
        ck_assert(async_worker_join(asker.worker, LONG_MS));
        ck_assert_ptr_eq(async_worker_get_result(asker.worker), (void *)(intptr_t)asker.handle);
        async_worker_destroy(asker.worker);
    }
    ck_assert_int_eq(tl_fd_count(), fds);
}
END_TEST

/* ---- destroy ---- */

static _Atomic int ended;

/* The threads there are, after a first worker: a sanitizer's own thread comes with that. */
static int count_threads_before(void)
{
    async_worker_t *worker = start(return_context, NULL);

    ck_assert(async_worker_join(worker, LONG_MS));
    async_worker_destroy(worker);
    return tl_thread_count();
}

static void *count_end(void *context)
{
    (void)context;
    async_worker_wait_stop(NULL, -1);
    atomic_fetch_add(&ended, 1);
    return NULL;
}

START_TEST(destroy_of_a_running_one_lets_go)
{
    int fds = tl_fd_count(), threads = count_threads_before(), many = (int)tl_scaled(1000);

    for (int i = 0; i < many; i++) {
        async_worker_t *worker = start(count_end, NULL);

        if (i % 2 == 0)
            async_worker_get_stop_handle(worker);
        async_worker_destroy(worker);
    }
    while (atomic_load(&ended) < many)
        tl_sleep_ms(1);
    ck_assert_int_le(tl_settle_threads(threads), threads);
    ck_assert_int_eq(tl_fd_count(), fds);
}
END_TEST

START_TEST(destroy_of_ended_ones_leaks_nothing)
{
    int threads = count_threads_before(), many = (int)tl_scaled(1000);

    for (int i = 0; i < many; i++) {
        async_worker_t *worker = start(return_context, NULL);

        if (i % 3 == 0)
            ck_assert(async_worker_join(worker, LONG_MS));
        else if (i % 3 == 1)
            while (async_worker_get_state(worker) != ASYNC_WORKER_STOPPED)
                tl_yield();
        async_worker_destroy(worker);
    }
    ck_assert_int_le(tl_settle_threads(threads), threads);
}
END_TEST

static void *destroy_self(void *context)
{
    async_worker_t *self = async_worker_current();

    (void)context;
    async_worker_destroy(self);
    /* the thread's own reference keeps the handle until it ends */
    ck_assert(async_worker_should_stop(NULL));
    ck_assert_ptr_eq(async_worker_current(), self);
    atomic_fetch_add(&ended, 1);
    return NULL;
}

/* Also when the thread is faster than create, which has not stored it yet. */
START_TEST(destroy_from_within)
{
    int threads = count_threads_before(), many = (int)tl_scaled(500);

    for (int i = 1; i <= many; i++) {
        ck_assert_ptr_nonnull(async_worker_create(destroy_self, NULL, 0));
        if (i % 10 == 0)
            while (atomic_load(&ended) < i)
                tl_yield();
    }
    ck_assert_int_le(tl_settle_threads(threads), threads);
}
END_TEST

static void reset(void)
{
    atomic_store(&ended, 0);
    atomic_store(&may_end, 0);
}

static void add_tests(TCase *tcase)
{
    tcase_add_test(tcase, runs_and_ends);
    tcase_add_test(tcase, bad_arguments);
    tcase_add_test(tcase, outside_of_a_worker);
    tcase_add_test(tcase, options_and_own_thread);
    tcase_add_test(tcase, join_times_out_and_goes_on);
    tcase_add_test(tcase, join_from_several_threads);
    tcase_add_test(tcase, join_does_not_poll);
    tcase_add_test(tcase, join_without_waiting_after_stopped);
    tcase_add_test(tcase, stop_and_states);
    tcase_add_test(tcase, stopping_until_the_procedure_returns);
    tcase_add_test(tcase, wait_stop_wakes_all);
    tcase_add_test(tcase, wait_stop_times_out);
    tcase_add_test(tcase, stop_handle);
    tcase_add_test(tcase, stop_handle_after_the_stop);
    tcase_add_test(tcase, stop_handle_is_made_once);
    tcase_add_test(tcase, destroy_of_a_running_one_lets_go);
    tcase_add_test(tcase, destroy_of_ended_ones_leaks_nothing);
    tcase_add_test(tcase, destroy_from_within);
}

static void add_case(Suite *suite)
{
    TCase *tcase = tl_case(suite, "worker");

    tcase_add_checked_fixture(tcase, reset, NULL);
    add_tests(tcase);
}

int main(void)
{
    return tl_main("worker", add_case);
}

/* SPDX-License-Identifier: MIT */
/*
 * What async_worker.h promises, but for its completions (test_worker_runtime.c).
 */
#include <asyncrt.h>

#include "test_count.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_MS 20000 /* how long what must come is waited for */

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

static void *until_stop(void *context)
{
    ck_assert(async_worker_wait_stop(NULL, -1));
    return context;
}

static async_worker_t *start(async_worker_proc_t proc, void *context)
{
    async_worker_t *worker = async_worker_create(proc, context, 0);

    ck_assert_ptr_nonnull(worker);
    return worker;
}

static void stop(async_worker_t *worker)
{
    async_worker_signal_stop(worker);
    ck_assert(async_worker_join(worker, LONG_MS));
    async_worker_destroy(worker);
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
    ck_fails(async_worker_create(return_context, NULL, SIZE_MAX) != NULL, ENOMEM);
    ck_fails(async_worker_join(NULL, 0), EINVAL);
    ck_fails(async_worker_join(worker, -2), EINVAL);
    ck_fails(async_worker_join(worker, INT_MIN), EINVAL);
    ck_fails(async_worker_wait_stop(worker, -2), EINVAL);
    ck_fails(async_worker_get_stop_handle(NULL) != -1, EINVAL);
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
    size_t stack;
};

static void *note_facts(void *context)
{
    struct facts *facts = context;

    facts->self = async_worker_current();
    facts->self_join = async_worker_join(facts->self, -1);
    facts->self_join_errno = errno;
#ifdef __linux__
    pthread_attr_t attr;

    pthread_getattr_np(pthread_self(), &attr);
    pthread_attr_getstacksize(&attr, &facts->stack);
    pthread_attr_destroy(&attr);
    pthread_getname_np(pthread_self(), facts->name, sizeof(facts->name));
#endif
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

    facts_with(NULL);
    facts_with(&options);
    options.stack_size = 1;
    facts_with(&options);
    options.stack_size = 1000000;
    options.name = "a-name-longer-than-15-bytes";
#ifdef __linux__
    ck_assert_uint_ge(facts_with(&options).stack, 1000000);
    ck_assert_str_eq(facts_with(&options).name, "a-name-longer-t");
    later.known.name = "later";
    later.known.size = sizeof(later);
    memset(later.tail, 0xff, sizeof(later.tail));
    ck_assert_str_eq(facts_with(&later.known).name, "later");
#endif
    /* one of an earlier version: what it does not have is not read */
    options.size = sizeof(size_t);
    options.name = (const char *)1;
    options.runtime = (struct async_runtime *)1;
    facts_with(&options);
}
END_TEST

static void *exit_early(void *context)
{
    pthread_exit(context);
}

START_TEST(pthread_exit_is_an_end_too)
{
    async_worker_t *worker = start(exit_early, NULL);

    ck_assert(async_worker_join(worker, LONG_MS));
    ck_assert_int_eq(async_worker_get_state(worker), ASYNC_WORKER_STOPPED);
    ck_assert_ptr_null(async_worker_get_result(worker));
    async_worker_destroy(worker);
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

static void *join_it(void *context)
{
    struct joiner *joiner = context;

    joiner->joined = async_worker_join(joiner->worker, -1);
    joiner->result = async_worker_get_result(joiner->worker);
    return NULL;
}

START_TEST(join_from_several_threads)
{
    for (int round = 0; round < 50; round++) {
        async_worker_t *worker = start(until_stop, &round);
        struct joiner joiners[4];
        pthread_t threads[4];

        for (int i = 0; i < 4; i++) {
            joiners[i] = (struct joiner){.worker = worker};
            ck_assert_int_eq(pthread_create(&threads[i], NULL, join_it, &joiners[i]), 0);
        }
        async_worker_signal_stop(worker);
        for (int i = 0; i < 4; i++) {
            pthread_join(threads[i], NULL);
            ck_assert(joiners[i].joined);
            ck_assert_ptr_eq(joiners[i].result, &round);
        }
        async_worker_destroy(worker);
    }
}
END_TEST

static void *nap(void *context)
{
    test_sleep_ms(300);
    return context;
}

/* A join that polls would be switched out once for each look. */
START_TEST(join_does_not_poll)
{
#ifdef RUSAGE_THREAD
    struct rusage before, after;
    async_worker_t *worker = start(nap, NULL);

    getrusage(RUSAGE_THREAD, &before);
    ck_assert(async_worker_join(worker, LONG_MS));
    getrusage(RUSAGE_THREAD, &after);
    ck_assert_int_le(after.ru_nvcsw - before.ru_nvcsw, 5);
    async_worker_destroy(worker);
    worker = start(until_stop, NULL);
    getrusage(RUSAGE_THREAD, &before);
    ck_fails(async_worker_join(worker, 200), ETIMEDOUT);
    ck_fails(async_worker_wait_stop(worker, 200), ETIMEDOUT);
    getrusage(RUSAGE_THREAD, &after);
    ck_assert_int_le(after.ru_nvcsw - before.ru_nvcsw, 6);
    stop(worker);
#endif
}
END_TEST

/* Once STOPPED is seen, join succeeds without waiting, whoever else is about to. */
START_TEST(join_without_waiting_after_stopped)
{
    for (int round = 0; round < 200; round++) {
        async_worker_t *worker = start(return_context, NULL);

        while (async_worker_get_state(worker) != ASYNC_WORKER_STOPPED)
            sched_yield();
        ck_assert(async_worker_join(worker, 0));
        async_worker_destroy(worker);
    }
}
END_TEST

/* ---- the stop ---- */

static void *until_should_stop(void *context)
{
    while (!async_worker_should_stop(NULL))
        sched_yield();
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

static pthread_barrier_t barrier;

static void *stay_stopping(void *context)
{
    ck_assert(async_worker_wait_stop(NULL, -1));
    pthread_barrier_wait(&barrier);
    return context;
}

START_TEST(stopping_until_the_procedure_returns)
{
    async_worker_t *worker;

    pthread_barrier_init(&barrier, NULL, 2);
    worker = start(stay_stopping, NULL);
    async_worker_signal_stop(worker);
    ck_assert_int_eq(async_worker_get_state(worker), ASYNC_WORKER_STOPPING);
    ck_fails(async_worker_join(worker, 10), ETIMEDOUT);
    ck_assert_int_eq(async_worker_get_state(worker), ASYNC_WORKER_STOPPING);
    pthread_barrier_wait(&barrier);
    stop(worker);
}
END_TEST

static void *wait_stop_of(void *context)
{
    return async_worker_wait_stop(context, -1) ? context : NULL;
}

START_TEST(wait_stop_wakes_all)
{
    for (int round = 0; round < 50; round++) {
        async_worker_t *worker = start(until_stop, NULL);
        pthread_t threads[3];
        void *seen;

        ck_fails(async_worker_wait_stop(worker, 0), ETIMEDOUT);
        for (int i = 0; i < 3; i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, wait_stop_of, worker), 0);
        async_worker_signal_stop(worker);
        for (int i = 0; i < 3; i++) {
            pthread_join(threads[i], &seen);
            ck_assert_ptr_eq(seen, worker);
        }
        stop(worker);
    }
}
END_TEST

START_TEST(wait_stop_times_out)
{
    async_worker_t *worker = start(until_stop, NULL);
    struct timespec before, after;

    clock_gettime(CLOCK_MONOTONIC, &before);
    ck_fails(async_worker_wait_stop(worker, 30), ETIMEDOUT);
    clock_gettime(CLOCK_MONOTONIC, &after);
    ck_assert_int_ge((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec,
                     30000000);
    stop(worker);
}
END_TEST

/* ---- the stop handle ---- */

static int readable(int fd, int timeout_ms)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};

    return poll(&pfd, 1, timeout_ms) == 1 && (pfd.revents & POLLIN) != 0;
}

START_TEST(stop_handle)
{
    int fds = test_count_fds();
    async_worker_t *worker = start(until_stop, NULL);
    int fd;

    /* made only when asked for */
    ck_assert_int_eq(test_count_fds(), fds);
    errno = 77;
    fd = async_worker_get_stop_handle(worker);
    ck_assert_int_eq(errno, 77);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(async_worker_get_stop_handle(worker), fd);
    ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    ck_assert(!readable(fd, 0));
    async_worker_signal_stop(worker);
    ck_assert(readable(fd, 0));
    async_worker_signal_stop(worker);
    ck_assert(async_worker_join(worker, LONG_MS));
    ck_assert(readable(fd, 0));
    async_worker_destroy(worker);
    ck_assert_int_eq(test_count_fds(), fds);
}
END_TEST

START_TEST(stop_handle_after_the_stop)
{
    int fds = test_count_fds();
    async_worker_t *worker = start(until_stop, NULL);

    async_worker_signal_stop(worker);
    ck_assert(readable(async_worker_get_stop_handle(worker), 0));
    ck_assert(async_worker_join(worker, LONG_MS));
    async_worker_destroy(worker);
    /* and first asked for when the thread is long gone */
    worker = start(return_context, NULL);
    ck_assert(async_worker_join(worker, LONG_MS));
    ck_assert(!readable(async_worker_get_stop_handle(worker), 0));
    async_worker_signal_stop(worker);
    ck_assert(readable(async_worker_get_stop_handle(worker), 0));
    async_worker_destroy(worker);
    ck_assert_int_eq(test_count_fds(), fds);
}
END_TEST

static void *until_handle(void *context)
{
    int fd = async_worker_get_stop_handle(async_worker_current());

    (void)context;
    ck_assert(readable(fd, LONG_MS));
    return (void *)(intptr_t)fd;
}

static void *handle_of(void *context)
{
    return (void *)(intptr_t)async_worker_get_stop_handle(context);
}

START_TEST(stop_handle_is_made_once)
{
    int fds = test_count_fds();

    for (int round = 0; round < 300; round++) {
        async_worker_t *worker = start(until_handle, NULL);
        pthread_t thread;
        void *fd;

        ck_assert_int_eq(pthread_create(&thread, NULL, handle_of, worker), 0);
        async_worker_signal_stop(worker);
        pthread_join(thread, &fd);
        ck_assert(async_worker_join(worker, LONG_MS));
        ck_assert_ptr_eq(async_worker_get_result(worker), fd);
        async_worker_destroy(worker);
    }
    ck_assert_int_eq(test_count_fds(), fds);
}
END_TEST

START_TEST(stop_handle_without_descriptors)
{
    async_worker_t *worker = start(until_stop, NULL);
    struct rlimit old, none;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = 0;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    ck_fails(async_worker_get_stop_handle(worker) != -1, EMFILE);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
    ck_assert_int_ge(async_worker_get_stop_handle(worker), 0);
    stop(worker);
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
    return test_count_threads();
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
    int fds = test_count_fds(), threads = count_threads_before();

    for (int i = 0; i < 1000; i++) {
        async_worker_t *worker = start(count_end, NULL);

        if (i % 2 == 0)
            async_worker_get_stop_handle(worker);
        async_worker_destroy(worker);
    }
    while (atomic_load(&ended) < 1000)
        test_sleep_ms(1);
    ck_assert_int_le(test_settle_threads(threads), threads);
    ck_assert_int_eq(test_count_fds(), fds);
}
END_TEST

START_TEST(destroy_of_ended_ones_leaks_nothing)
{
    int threads = count_threads_before();

    for (int i = 0; i < 1000; i++) {
        async_worker_t *worker = start(return_context, NULL);

        if (i % 3 == 0)
            ck_assert(async_worker_join(worker, LONG_MS));
        else if (i % 3 == 1)
            while (async_worker_get_state(worker) != ASYNC_WORKER_STOPPED)
                sched_yield();
        async_worker_destroy(worker);
    }
    ck_assert_int_le(test_settle_threads(threads), threads);
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
    int threads = count_threads_before();

    for (int i = 1; i <= 500; i++) {
        ck_assert_ptr_nonnull(async_worker_create(destroy_self, NULL, 0));
        if (i % 10 == 0)
            while (atomic_load(&ended) < i)
                sched_yield();
    }
    ck_assert_int_le(test_settle_threads(threads), threads);
}
END_TEST

/* ---- fork ---- */

static int in_the_child(async_worker_t *running, async_worker_t *gone)
{
    if (async_worker_join(running, -1) || errno != EPERM)
        return 1;
    if (!async_worker_join(gone, -1) || async_worker_get_result(gone) != gone)
        return 2;
    async_worker_signal_stop(running);
    async_worker_destroy(running);
    async_worker_destroy(gone);
    return 0;
}

static void *own_handle(void *context)
{
    (void)context;
    return async_worker_current();
}

START_TEST(fork_leaves_the_parents_workers_alone)
{
    async_worker_t *running = start(until_stop, NULL), *gone = start(own_handle, NULL);
    int fd = async_worker_get_stop_handle(running), status;
    pid_t child;

    ck_assert(async_worker_join(gone, LONG_MS));
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        _exit(in_the_child(running, gone));
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert(!readable(fd, 0));
    ck_assert_int_eq(async_worker_get_state(running), ASYNC_WORKER_RUNNING);
    stop(running);
    async_worker_destroy(gone);
}
END_TEST

static void add_tests(TCase *tcase)
{
    tcase_add_test(tcase, runs_and_ends);
    tcase_add_test(tcase, bad_arguments);
    tcase_add_test(tcase, outside_of_a_worker);
    tcase_add_test(tcase, options_and_own_thread);
    tcase_add_test(tcase, pthread_exit_is_an_end_too);
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
    tcase_add_test(tcase, stop_handle_without_descriptors);
    tcase_add_test(tcase, destroy_of_a_running_one_lets_go);
    tcase_add_test(tcase, destroy_of_ended_ones_leaks_nothing);
    tcase_add_test(tcase, destroy_from_within);
    tcase_add_test(tcase, fork_leaves_the_parents_workers_alone);
}

int main(void)
{
    Suite *suite = suite_create("worker");
    TCase *tcase = tcase_create("worker");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    add_tests(tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

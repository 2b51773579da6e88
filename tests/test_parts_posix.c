/* SPDX-License-Identifier: MIT */
/*
 * Workers and pools with what only POSIX has: fork(), pthread_exit(), a limit on descriptors.
 */
#include "test_pool.h"
#include "test_worker.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- pthread_exit ---- */

static void *exit_early(void *context)
{
    atomic_fetch_add(&ran, 1);
    pthread_exit(context);
}

START_TEST(worker_that_exits_its_thread)
{
    async_worker_t *worker = start(exit_early, NULL);

    ck_assert(async_worker_join(worker, LONG_MS));
    ck_assert_int_eq(async_worker_get_state(worker), ASYNC_WORKER_STOPPED);
    ck_assert_ptr_null(async_worker_get_result(worker));
    async_worker_destroy(worker);
}
END_TEST

START_TEST(job_that_exits_its_thread)
{
    int thing;

    if (!open_pool(_i, 1))
        return;
    submit(exit_early, &thing, 1);
    submit(count_run, &thing, 2);
    for (int i = 0; i < 2; i++) {
        async_event_t event = next();

        ck_assert_int_eq(event.error, 0);
        ck_assert_ptr_eq(event.context, &thing);
        ck_assert_uint_eq(event.data, event.completion_key == 2 ? (uintptr_t)&thing : 0);
    }
    ck_assert_uint_eq(stats().completed, 2);
    close_pool();
}
END_TEST

/* ---- descriptors ---- */

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

/* ---- fork ---- */

static int use_workers(async_worker_t *running, async_worker_t *gone)
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

static void check_child(pid_t child)
{
    int status;

    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}

START_TEST(inherited_workers)
{
    async_worker_t *running = start(until_stop, NULL), *gone = start(own_handle, NULL);
    int fd = async_worker_get_stop_handle(running);
    pid_t child;

    ck_assert(async_worker_join(gone, LONG_MS));
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        _exit(use_workers(running, gone));
    check_child(child);
    ck_assert(!tl_handle_is_set(fd, 0));
    ck_assert_int_eq(async_worker_get_state(running), ASYNC_WORKER_RUNNING);
    stop(running);
    async_worker_destroy(gone);
}
END_TEST

START_TEST(inherited_runtime)
{
    async_worker_options_t options = ASYNC_WORKER_OPTIONS_INIT;
    pid_t child;

    if (!open_runtime(_i))
        return;
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        options.runtime = runtime;
        _exit(async_worker_create_with(until_stop, NULL, &options) == NULL && errno == EPERM ? 0
                                                                                             : 1);
    }
    check_child(child);
    nothing_comes();
    async_runtime_deinit(runtime);
}
END_TEST

START_TEST(inherited_pool)
{
    pid_t child;

    if (!open_pool(_i, 1))
        return;
    submit(pass_gate, NULL, 5);
    until(&gate_entered, 1);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        int wrong = 0;

        wrong += async_pool_submit(pool, count_run, NULL, 0) != 0 || errno != EPERM;
        wrong += async_pool_cancel(pool, 1) != -1 || errno != EPERM;
        wrong += async_pool_shutdown(pool, -1) || errno != EPERM;
        wrong += async_pool_create(runtime, NULL) != NULL || errno != EPERM;
        async_pool_destroy(pool);
        async_runtime_deinit(runtime);
        _exit(wrong);
    }
    check_child(child);
    atomic_store(&gate_open, 1);
    ck_assert_uint_eq(next().completion_key, 5);
    close_pool();
}
END_TEST

static void add_case(Suite *suite)
{
    TCase *tcase = tl_case(suite, "parts_posix");
    int backends = count_backends();

    tcase_add_checked_fixture(tcase, reset_pool, NULL);
    tcase_add_test(tcase, worker_that_exits_its_thread);
    tcase_add_loop_test(tcase, job_that_exits_its_thread, 0, backends);
    tcase_add_test(tcase, stop_handle_without_descriptors);
    tcase_add_test(tcase, inherited_workers);
    tcase_add_loop_test(tcase, inherited_runtime, 0, backends);
    tcase_add_loop_test(tcase, inherited_pool, 0, backends);
}

int main(void)
{
    return tl_main("parts_posix", add_case);
}

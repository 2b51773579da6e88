/* SPDX-License-Identifier: MIT */
/*
 * Workers without memory and without threads; the stop handle made of a pipe.
 */
#include <asyncrt.h>

#include "test_count.h"
#include "test_fault.h"
#include "worker/worker_handle.h"

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define LONG_MS 20000

static void *return_context(void *context)
{
    return context;
}

/* Refuses the first, second, ... allocation until create succeeds. */
static void create_without_memory(int for_good)
{
    int fds = test_count_fds(), threads = test_count_threads(), n = 0;
    async_worker_t *worker;

    atomic_store(&test_refuse_for_good, for_good);
    port_memory_set_hook(test_memory_hook);
    for (;; n++) {
        atomic_store(&test_allocations_left, n);
        errno = 0;
        worker = async_worker_create(return_context, &n, 0);
        atomic_store(&test_allocations_left, -1);
        if (worker != NULL)
            break;
        ck_assert_int_eq(errno, ENOMEM);
        ck_assert_int_eq(async_last_error(), ENOMEM);
        ck_assert_int_eq(test_count_fds(), fds);
        ck_assert_int_eq(test_count_threads(), threads);
    }
    ck_assert_int_gt(n, 0);
    /* nothing else allocates */
    atomic_store(&test_allocations_left, 0);
    atomic_store(&test_refused, 0);
    ck_assert_int_ge(async_worker_get_stop_handle(worker), 0);
    async_worker_signal_stop(worker);
    ck_assert(async_worker_join(worker, LONG_MS));
    ck_assert_ptr_eq(async_worker_get_result(worker), &n);
    async_worker_destroy(worker);
    ck_assert_int_eq(atomic_load(&test_refused), 0);
}

START_TEST(no_memory_once)
{
    create_without_memory(0);
}
END_TEST

START_TEST(no_memory_for_good)
{
    create_without_memory(1);
}
END_TEST

START_TEST(no_thread)
{
    async_worker_options_t options = ASYNC_WORKER_OPTIONS_INIT;
    async_runtime_t *runtime = async_runtime_init();
    int fds = test_count_fds();
    async_event_t event;

    options.runtime = runtime;
    for (int i = 0; i < 100; i++) {
        atomic_store(&test_threads_left, 0);
        errno = 0;
        ck_assert_ptr_null(async_worker_create_with(return_context, NULL, &options));
        ck_assert_int_eq(errno, EAGAIN);
    }
    ck_assert_int_eq(test_count_fds(), fds);
    ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, 0), 0);
    async_runtime_deinit(runtime);
}
END_TEST

static int readable(int fd)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};

    return poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLIN) != 0;
}

/* The file that is built here is the one for systems without eventfd. */
START_TEST(pipe_handle)
{
    int fds = test_count_fds();
    worker_handle_t handle;
    int fd = -1, again = -1;

    worker_handle_init(&handle);
    worker_handle_signal(&handle);
    worker_handle_close(&handle);
    ck_assert_int_eq(worker_handle_get(&handle, &fd), 0);
    ck_assert_int_eq(worker_handle_get(&handle, &again), 0);
    ck_assert_int_eq(fd, again);
    ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    ck_assert(!readable(fd));
    /* many signals fill no pipe to the point of blocking */
    for (int i = 0; i < 100000; i++)
        worker_handle_signal(&handle);
    ck_assert(readable(fd));
    worker_handle_close(&handle);
    ck_assert_int_eq(test_count_fds(), fds);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker_fault");
    TCase *tcase = tcase_create("worker_fault");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, no_memory_once);
    tcase_add_test(tcase, no_memory_for_good);
    tcase_add_test(tcase, no_thread);
    tcase_add_test(tcase, pipe_handle);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

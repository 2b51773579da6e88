/* SPDX-License-Identifier: MIT */
/*
 * Workers without memory and without threads; the stop handle by itself, on POSIX the one for
 * systems without eventfd.
 */
#include "test_fault.h"
#include "testlib.h"
#include "worker/worker_handle.h"

#define LONG_MS 20000

static void *return_context(void *context)
{
    return context;
}

/* Refuses the first, second, ... allocation until create succeeds. */
static void create_without_memory(int for_good)
{
    int fds = tl_fd_count(), threads = tl_thread_count(), n = 0;
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
        ck_assert_int_eq(tl_fd_count(), fds);
        ck_assert_int_le(tl_settle_threads(threads), threads);
    }
    ck_assert_int_gt(n, 0);
    /* nothing else allocates */
    atomic_store(&test_allocations_left, 0);
    atomic_store(&test_refused, 0);
    ck_assert(async_worker_get_stop_handle(worker) != (async_handle_t)-1);
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
    int fds = tl_fd_count();
    async_event_t event;

    options.runtime = runtime;
    for (int i = 0; i < 100; i++) {
        atomic_store(&test_threads_left, 0);
        errno = 0;
        ck_assert_ptr_null(async_worker_create_with(return_context, NULL, &options));
        ck_assert_int_eq(errno, EAGAIN);
    }
    ck_assert_int_eq(tl_fd_count(), fds);
    ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, 0), 0);
    async_runtime_deinit(runtime);
}
END_TEST

START_TEST(handle_alone)
{
    int fds = tl_fd_count();
    worker_handle_t handle;
    async_handle_t made, again;

    worker_handle_init(&handle);
    worker_handle_signal(&handle);
    worker_handle_close(&handle);
    ck_assert_int_eq(worker_handle_get(&handle, &made), 0);
    ck_assert_int_eq(worker_handle_get(&handle, &again), 0);
    ck_assert(made == again);
    ck_assert(!tl_handle_is_inherited(made));
    ck_assert(!tl_handle_is_set(made, 0));
    /* many signals fill no pipe to the point of blocking */
    for (int i = 0; i < 100000; i++)
        worker_handle_signal(&handle);
    ck_assert(tl_handle_is_set(made, 0));
    ck_assert(tl_handle_is_set(made, 0));
    worker_handle_close(&handle);
    ck_assert_int_eq(tl_fd_count(), fds);
}
END_TEST

static void add_case(Suite *suite)
{
    TCase *tcase = tl_case(suite, "worker_fault");

    tcase_add_checked_fixture(tcase, test_fault_reset, test_fault_reset);
    tcase_add_test(tcase, no_memory_once);
    tcase_add_test(tcase, no_memory_for_good);
    tcase_add_test(tcase, no_thread);
    tcase_add_test(tcase, handle_alone);
}

int main(void)
{
    return tl_main("worker_fault", add_case);
}

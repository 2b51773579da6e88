/* SPDX-License-Identifier: MIT */
/*
 * The completions of workers, on each backend.
 */
#include "testlib.h"

#define LONG_MS 20000
#define KEY ((uintptr_t)-7)

/* The backend that the loop test asks for; NULL: there is none of this number, or not here. */
static async_runtime_t *open_backend(int number)
{
    const char *const *names = async_runtime_backends();
    async_runtime_options_t options = ASYNC_RUNTIME_OPTIONS_INIT;
    async_runtime_t *runtime;

    for (int i = 0; i < number && *names != NULL; i++)
        names++;
    if (*names == NULL)
        return NULL;
    options.backend = *names;
    runtime = async_runtime_init_with(&options);
    ck_assert(runtime != NULL || errno == ENOTSUP);
    return runtime;
}

static async_worker_t *start(async_runtime_t *runtime, async_worker_proc_t proc, void *context)
{
    async_worker_options_t options = ASYNC_WORKER_OPTIONS_INIT;
    async_worker_t *worker;

    options.runtime = runtime;
    options.completion_key = KEY;
    worker = async_worker_create_with(proc, context, &options);
    ck_assert_ptr_nonnull(worker);
    return worker;
}

static void *nap(void *context)
{
    tl_sleep_ms(20);
    return context;
}

static void *until_stop(void *context)
{
    async_worker_wait_stop(NULL, -1);
    return context;
}

static async_event_t next(async_runtime_t *runtime)
{
    async_event_t event;

    ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, LONG_MS), 1);
    return event;
}

static void check_event(const async_event_t *event, const void *worker, const void *result)
{
    ck_assert_uint_eq(event->event_type, ASYNC_EVENT_COMPLETION);
    ck_assert_int_eq(event->error, 0);
    ck_assert(event->fd == ASYNC_INVALID_FD);
    ck_assert_uint_eq(event->completion_key, KEY);
    ck_assert_ptr_eq(event->context, worker);
    ck_assert_uint_eq(event->data, (uintptr_t)result);
}

START_TEST(end_is_posted_once)
{
    async_runtime_t *runtime = open_backend(_i);
    async_worker_t *worker;
    async_event_t event;
    int thing;

    if (runtime == NULL)
        return;
    worker = start(runtime, nap, &thing);
    event = next(runtime);
    check_event(&event, worker, &thing);
    /* all about the end is known when its completion is */
    ck_assert_int_eq(async_worker_get_state(worker), ASYNC_WORKER_STOPPED);
    ck_assert_ptr_eq(async_worker_get_result(worker), &thing);
    ck_assert(async_worker_join(worker, 0));
    ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, 20), 0);
    async_worker_destroy(worker);
    ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, 0), 0);
    async_runtime_deinit(runtime);
}
END_TEST

START_TEST(many_ends)
{
    async_runtime_t *runtime = open_backend(_i);
    async_worker_t *workers[50];
    int contexts[50], seen[50] = {0};

    if (runtime == NULL)
        return;
    for (int i = 0; i < 50; i++)
        workers[i] = start(runtime, until_stop, &contexts[i]);
    for (int i = 0; i < 50; i++)
        async_worker_signal_stop(workers[i]);
    for (int i = 0; i < 50; i++) {
        async_event_t event = next(runtime);
        size_t number = (size_t)((int *)event.data - contexts);

        ck_assert_uint_lt(number, 50);
        check_event(&event, workers[number], &contexts[number]);
        seen[number]++;
        async_worker_destroy(workers[number]);
    }
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(seen[i], 1);
    async_runtime_deinit(runtime);
}
END_TEST

START_TEST(completion_outlives_the_handle)
{
    async_runtime_t *runtime = open_backend(_i);
    async_worker_t *worker;
    async_event_t event;
    int thing;

    if (runtime == NULL)
        return;
    /* let go of while it runs */
    worker = start(runtime, until_stop, &thing);
    async_worker_destroy(worker);
    event = next(runtime);
    check_event(&event, worker, &thing);
    /* and with its completion queued */
    worker = start(runtime, until_stop, &thing);
    async_worker_signal_stop(worker);
    ck_assert(async_worker_join(worker, LONG_MS));
    async_worker_destroy(worker);
    event = next(runtime);
    check_event(&event, worker, &thing);
    async_runtime_deinit(runtime);
}
END_TEST

START_TEST(worker_outlives_the_runtime)
{
    async_runtime_t *runtime = open_backend(_i);
    async_worker_t *before, *after, *dropped;
    int thing;

    if (runtime == NULL)
        return;
    before = start(runtime, until_stop, &thing);
    after = start(runtime, until_stop, &thing);
    dropped = start(runtime, nap, &thing);
    async_worker_signal_stop(before);
    ck_assert(async_worker_join(before, LONG_MS));
    async_worker_destroy(dropped);
    async_runtime_deinit(runtime);
    async_worker_signal_stop(after);
    ck_assert(async_worker_join(after, LONG_MS));
    ck_assert_ptr_eq(async_worker_get_result(after), &thing);
    async_worker_destroy(after);
    async_worker_destroy(before); /* and the case waits for the thread of dropped */
}
END_TEST

static void add_case(Suite *suite)
{
    TCase *tcase = tl_case(suite, "completions");
    int backends = 0;

    while (async_runtime_backends()[backends] != NULL)
        backends++;
    tcase_add_loop_test(tcase, end_is_posted_once, 0, backends);
    tcase_add_loop_test(tcase, many_ends, 0, backends);
    tcase_add_loop_test(tcase, completion_outlives_the_handle, 0, backends);
    tcase_add_loop_test(tcase, worker_outlives_the_runtime, 0, backends);
}

int main(void)
{
    return tl_main("worker_runtime", add_case);
}

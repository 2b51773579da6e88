/* SPDX-License-Identifier: MIT */
/*
 * A small program that uses every part of the library, as C99 and as C++11, without an #ifdef.
 * It prints what it saw, the same on each backend and in each build.
 */
#include <asyncrt.h>

#include <stdio.h>
#include <string.h>

enum { KEY_QUEUE = 1, KEY_WORKER, KEY_JOB, KEY_NAME, KEY_POST };

static void *produce(void *context)
{
    async_queue_t *queue = (async_queue_t *)context;
    int i;

    for (i = 0; i < 100; i++)
        if (!async_queue_enqueue(queue, &i, sizeof(i)))
            return NULL;
    return queue;
}

static void *job(void *arg)
{
    return arg;
}

int main(void)
{
    async_worker_options_t options = ASYNC_WORKER_OPTIONS_INIT;
    async_runtime_t *runtime = async_runtime_init();
    async_queue_t *queue;
    async_pool_t *pool;
    async_resolver_t *resolver;
    async_worker_t *worker;
    int next = 0, jobs = 0, names = 0, posts = 0, timers = 0, ended = 0, i;

    if (runtime == NULL) {
        fprintf(stderr, "cannot start: %s\n", strerror(async_last_error()));
        return 1;
    }
    queue = async_queue_create(5, sizeof(int), ASYNC_QUEUE_BLOCK_WRITER);
    pool = async_pool_create(runtime, NULL);
    resolver = async_resolver_create(runtime, KEY_NAME, NULL);
    if (queue == NULL || pool == NULL || resolver == NULL ||
        async_runtime_bind_queue(runtime, queue, KEY_QUEUE) != 0) {
        fprintf(stderr, "cannot start: %s\n", strerror(async_last_error()));
        return 1;
    }
    options.runtime = runtime;
    options.completion_key = KEY_WORKER;
    worker = async_worker_create_with(produce, queue, &options);
    for (i = 0; i < 10; i++)
        if (async_pool_submit(pool, job, queue, KEY_JOB) == 0)
            return 1;
    if (worker == NULL || async_resolver_lookup(resolver, "127.0.0.1", "80", NULL, NULL) == 0 ||
        async_runtime_post_completion(runtime, KEY_POST, UINTPTR_MAX) != 0 ||
        async_runtime_add_timer(runtime, 1000, 0, NULL) == 0)
        return 1;

    while (next < 100 || jobs < 10 || names < 1 || posts < 1 || timers < 1 || ended < 1) {
        async_event_t events[4];
        int n = async_runtime_wait(runtime, events, 4, 10000);

        if (n <= 0) {
            fprintf(stderr, "nothing has come\n");
            return 1;
        }
        for (i = 0; i < n; i++) {
            async_resolver_result_t *result;
            int value;

            if ((events[i].event_type & ASYNC_EVENT_TIMER) != 0) {
                timers++;
                continue;
            }
            switch (events[i].completion_key) {
            case KEY_QUEUE:
                while (async_queue_dequeue(queue, &value, sizeof(value), NULL))
                    if (value != next++)
                        return 1;
                break;
            case KEY_WORKER:
                ended += async_worker_get_result(worker) == queue;
                break;
            case KEY_JOB:
                jobs += events[i].data == (uintptr_t)queue;
                break;
            case KEY_NAME:
                while ((result = async_resolver_next(resolver)) != NULL) {
                    names += result->status == 0 && result->addresses != NULL;
                    async_resolver_free_result(result);
                }
                break;
            case KEY_POST:
                posts += events[i].data == UINTPTR_MAX;
                break;
            }
        }
    }
    printf("%d messages, %d jobs, %d name, %d post, %d timer, %d worker, console %s\n", next, jobs,
           names, posts, timers, ended, async_console_type_name(ASYNC_CONSOLE_TYPE_REAL));
    async_worker_join(worker, -1);
    async_worker_destroy(worker);
    async_resolver_destroy(resolver);
    async_pool_destroy(pool);
    async_queue_destroy(queue);
    async_runtime_deinit(runtime);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * errors_runtime.c - the failures that the pages of async_runtime.h list
 */
#include "errors.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- async_runtime.h */

static void init_without_descriptors(void)
{
    FAILS(runtime_init, EMFILE, () == NULL);
    FAILS(runtime_init_with, EMFILE, (NULL) == NULL);
}

static void *waiter(void *runtime)
{
    async_event_t event;

    async_runtime_wait(runtime, &event, 1, 10000);
    return NULL;
}

static void of_descriptors(async_runtime_t *runtime)
{
    int fds[2], file = open("/proc/self/exe", O_RDONLY), closed = 900;
    char byte = 0;

    if (pipe(fds) != 0 || file < 0)
        errors_need(NULL);
    async_runtime_add(runtime, fds[0], ASYNC_EVENT_READ, NULL);
    FAILS(runtime_add, EBADF, (runtime, closed, ASYNC_EVENT_READ, NULL) == -1);
    FAILS(runtime_add, EEXIST, (runtime, fds[0], ASYNC_EVENT_READ, NULL) == -1);
    FAILS(runtime_add, EINVAL, (NULL, fds[1], ASYNC_EVENT_READ, NULL) == -1);
    FAILS(runtime_add, EINVAL, (runtime, fds[1], 0x2000, NULL) == -1);
    FAILS(runtime_add, EPERM, (runtime, file, ASYNC_EVENT_READ, NULL) == -1);
    /* far from the others: it needs memory */
    if (dup2(fds[1], 800) == 800)
        FAILS_WITHOUT_MEMORY(runtime_add, (runtime, 800, ASYNC_EVENT_READ, NULL) == -1);
    FAILS(runtime_modify, EBADF, (runtime, closed, 0, NULL) == -1);
    FAILS(runtime_modify, EINVAL, (NULL, fds[0], 0, NULL) == -1);
    FAILS(runtime_modify, EINVAL, (runtime, fds[0], 0x2000, NULL) == -1);
    FAILS(runtime_modify, ENOENT, (runtime, fds[1], 0, NULL) == -1);
    FAILS(runtime_remove, EBADF, (runtime, closed) == -1);
    FAILS(runtime_remove, EINVAL, (NULL, fds[0]) == -1);
    FAILS(runtime_remove, ENOENT, (runtime, fds[1]) == -1);
    FAILS(runtime_post_read, EBADF, (runtime, closed, &byte, 1) == -1);
    FAILS(runtime_post_read, EINVAL, (NULL, fds[0], &byte, 1) == -1);
    FAILS(runtime_post_read, EINVAL, (runtime, fds[0], NULL, 1) == -1);
    FAILS(runtime_post_read, EINVAL, (runtime, fds[0], &byte, 0) == -1);
    FAILS(runtime_post_read, ENOENT, (runtime, fds[1], &byte, 1) == -1);
    FAILS_WITHOUT_MEMORY(runtime_post_read, (runtime, fds[0], &byte, 1) == -1);
    async_runtime_add(runtime, fds[1], 0, NULL);
    FAILS(runtime_post_write, EBADF, (runtime, closed, &byte, 1) == -1);
    FAILS(runtime_post_write, EINVAL, (NULL, fds[1], &byte, 1) == -1);
    FAILS(runtime_post_write, EINVAL, (runtime, fds[1], NULL, 1) == -1);
    FAILS(runtime_post_write, ENOENT, (runtime, 0, &byte, 1) == -1);
    FAILS_WITHOUT_MEMORY(runtime_post_write, (runtime, fds[1], &byte, 1) == -1);
    close(fds[0]);
    close(fds[1]);
    close(file);
    close(800);
}

static void of_completions(async_runtime_t *runtime)
{
    async_runtime_options_t options = ASYNC_RUNTIME_OPTIONS_INIT;
    async_queue_t *queue = async_queue_create(1, 8, 0), *bound = async_queue_create(1, 8, 0);
    async_runtime_t *limited;
    int posts;

    options.completion_limit = 1;
    limited = async_runtime_init_with(&options);
    errors_need(limited);
    async_runtime_post_completion(limited, 1, 1);
    FAILS(runtime_post_completion, EAGAIN, (limited, 1, 1) == -1);
    FAILS(runtime_post_completion, EINVAL, (NULL, 1, 1) == -1);
    async_runtime_deinit(limited);
    limited = async_runtime_init();
    errors_need(limited);
    port_memory_set_hook(errors_no_memory);
    for (posts = 0; async_runtime_post_completion(limited, 1, 1) == 0; posts++)
        continue;
    errors_note("async_runtime_post_completion", ENOMEM, 1, __FILE__, __LINE__);
    port_memory_set_hook(NULL);
    async_runtime_deinit(limited);

    async_runtime_bind_queue(runtime, bound, 1);
    FAILS(runtime_bind_queue, EEXIST, (runtime, bound, 1) == -1);
    FAILS(runtime_bind_queue, EINVAL, (NULL, queue, 1) == -1);
    FAILS(runtime_bind_queue, EINVAL, (runtime, NULL, 1) == -1);
    FAILS_WITHOUT_MEMORY(runtime_bind_queue, (runtime, queue, 1) == -1);
    FAILS(runtime_wakeup, EINVAL, (NULL) == -1);
    async_queue_destroy(queue);
    async_queue_destroy(bound);
}

static void of_timers_and_signals(async_runtime_t *runtime)
{
    FAILS(runtime_add_timer, EINVAL, (NULL, 1, 1, NULL) == 0);
    FAILS_WITHOUT_MEMORY(runtime_add_timer, (runtime, 1, 1, NULL) == 0);
    FAILS(runtime_cancel_timer, EINVAL, (NULL, 1) == -1);
    FAILS(runtime_cancel_timer, ENOENT, (runtime, 1) == -1);
    FAILS(runtime_get_timeout, EINVAL, (NULL) == -1);
    FAILS(runtime_add_signal, EINVAL, (NULL, SIGUSR2, NULL) == -1);
    FAILS(runtime_add_signal, EINVAL, (runtime, SIGKILL, NULL) == -1);
    FAILS(runtime_add_signal, EINVAL, (runtime, -1, NULL) == -1);
    FAILS_WITHOUT_MEMORY(runtime_add_signal, (runtime, SIGUSR2, NULL) == -1);
    async_runtime_add_signal(runtime, SIGUSR2, NULL);
    FAILS(runtime_add_signal, EEXIST, (runtime, SIGUSR2, NULL) == -1);
    FAILS(runtime_remove_signal, EINVAL, (NULL, SIGUSR2) == -1);
    FAILS(runtime_remove_signal, EINVAL, (runtime, -1) == -1);
    FAILS(runtime_remove_signal, ENOENT, (runtime, SIGUSR1) == -1);
}

static void of_console_input(async_runtime_t *runtime)
{
    async_runtime_t *other = async_runtime_init();
    int fds[2];

    errors_need(other);
    FAILS(runtime_get_console_type, EINVAL, (NULL) == ASYNC_CONSOLE_TYPE_NONE);
    FAILS(runtime_add_console, EINVAL, (NULL, NULL) == -1);
    close(STDIN_FILENO);
    FAILS(runtime_add_console, EBADF, (runtime, NULL) == -1);
    if (pipe(fds) != 0)
        errors_need(NULL);
    FAILS_WITHOUT_MEMORY(runtime_add_console, (other, NULL) == -1);
    async_runtime_deinit(other);
    async_runtime_add_console(runtime, NULL);
    FAILS(runtime_add_console, EEXIST, (runtime, NULL) == -1);
}

void errors_of_runtime(void)
{
    async_runtime_options_t options = ASYNC_RUNTIME_OPTIONS_INIT;
    async_runtime_t *runtime = async_runtime_init(), *other;
    async_worker_t *worker;
    async_event_t event;

    errors_need(runtime);
    setenv("ASYNCRT_BACKEND", "none", 1);
    FAILS(runtime_init, ENOTSUP, () == NULL);
    unsetenv("ASYNCRT_BACKEND");
    FAILS_WITHOUT_MEMORY(runtime_init, () == NULL);
    FAILS_WITHOUT_MEMORY(runtime_init_with, (&options) == NULL);
    options.backend = "none";
    FAILS(runtime_init_with, ENOTSUP, (&options) == NULL);
    options.backend = NULL;
    options.flags = 0x80;
    FAILS(runtime_init_with, EINVAL, (&options) == NULL);
    options.size = 0;
    FAILS(runtime_init_with, EINVAL, (&options) == NULL);
    errors_without_descriptors(init_without_descriptors);

    of_descriptors(runtime);
    of_completions(runtime);
    of_timers_and_signals(runtime);
    of_console_input(runtime);
    FAILS(runtime_get_backend, EINVAL, (NULL) == NULL);
    FAILS(runtime_get_fd, EINVAL, (NULL) == ASYNC_INVALID_FD);
    FAILS(runtime_wait, EINVAL, (NULL, &event, 1, 0) == -1);
    FAILS(runtime_wait, EINVAL, (runtime, NULL, 1, 0) == -1);
    FAILS(runtime_wait, EINVAL, (runtime, &event, 0, 0) == -1);
    FAILS(runtime_wait, EINVAL, (runtime, &event, 1, -2) == -1);
    async_runtime_deinit(runtime);

    options = (async_runtime_options_t)ASYNC_RUNTIME_OPTIONS_INIT;
    options.backend = "poll"; /* one without a descriptor */
    other = async_runtime_init_with(&options);
    if (other == NULL)
        other = async_runtime_init();
    errors_need(other);
    if (strcmp(async_runtime_get_backend(other), "poll") == 0)
        FAILS(runtime_get_fd, ENOTSUP, (other) == ASYNC_INVALID_FD);
    worker = async_worker_create(waiter, other, 0);
    errors_rest(50);
    FAILS(runtime_wait, EBUSY, (other, &event, 1, 0) == -1);
    async_runtime_wakeup(other);
    async_worker_join(worker, -1);
    async_worker_destroy(worker);
    async_runtime_deinit(other);
}

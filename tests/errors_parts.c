/* SPDX-License-Identifier: MIT */
/*
 * errors_parts.c - the failures that the pages of pool, console and resolver list, and those of all
 * pages in the child of a fork
 */
#include "errors.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- async_pool.h */

static void *until_stop(void *context)
{
    async_worker_wait_stop(NULL, -1);
    return context;
}

static void *nap(void *arg)
{
    errors_rest(100);
    return arg;
}

static void *shut_itself(void *pool)
{
    FAILS(pool_shutdown, EDEADLK, (pool, 0) == false);
    return NULL;
}

void errors_of_pool(void)
{
    async_pool_options_t options = ASYNC_POOL_OPTIONS_INIT;
    async_runtime_t *runtime = async_runtime_init();
    async_pool_t *pool, *stuck;
    uint64_t running;

    errors_need(runtime);
    options.threads = 1;
    options.queue_limit = 1;
    pool = async_pool_create(runtime, &options);
    errors_need(pool);
    FAILS(pool_create, EINVAL, (NULL, NULL) == NULL);
    FAILS_WITHOUT_MEMORY(pool_create, (runtime, NULL) == NULL);
    options.stack_size = ERRORS_STACK_TOO_LARGE;
    stuck = async_pool_create(runtime, &options);
    errors_need(stuck);
    FAILS(pool_submit, EAGAIN, (stuck, nap, NULL, 1) == 0);
    async_pool_destroy(stuck);
    options.size = 0;
    FAILS(pool_create, EINVAL, (runtime, &options) == NULL);

    FAILS_WITHOUT_MEMORY(pool_submit, (pool, nap, NULL, 1) == 0);
    async_pool_submit(pool, shut_itself, pool, 1);
    errors_rest(100);
    running = async_pool_submit(pool, nap, NULL, 1);
    errors_rest(20);
    async_pool_submit(pool, nap, NULL, 1);
    FAILS(pool_submit, EAGAIN, (pool, nap, NULL, 1) == 0);
    FAILS(pool_submit, EINVAL, (NULL, nap, NULL, 1) == 0);
    FAILS(pool_submit, EINVAL, (pool, NULL, NULL, 1) == 0);
    FAILS(pool_cancel, EALREADY, (pool, running) == -1);
    FAILS(pool_cancel, EINVAL, (NULL, running) == -1);
    FAILS(pool_cancel, ENOENT, (pool, 123456) == -1);
    FAILS(pool_shutdown, EINVAL, (NULL, 0) == false);
    FAILS(pool_shutdown, EINVAL, (pool, -2) == false);
    FAILS(pool_shutdown, ETIMEDOUT, (pool, 1) == false);
    FAILS(pool_submit, EPIPE, (pool, nap, NULL, 1) == 0);
    async_pool_destroy(pool);
    async_runtime_deinit(runtime);
}

/* ---- async_console.h */

void errors_of_console(void)
{
    async_runtime_t *runtime = async_runtime_init();
    async_queue_t *lines = async_queue_create(4, 64, 0), *bound = async_queue_create(4, 64, 0);
    async_queue_t *narrow = async_queue_create(4, 1, 0);
    async_console_t *console;
    int fds[2];

    errors_need(runtime);
    if (pipe(fds) != 0 || dup2(fds[0], STDIN_FILENO) != STDIN_FILENO)
        errors_need(NULL);
    async_runtime_bind_queue(runtime, bound, 9);
    FAILS(console_create, EINVAL, (NULL, lines, 1) == NULL);
    FAILS(console_create, EINVAL, (runtime, NULL, 1) == NULL);
    FAILS(console_create, EINVAL, (runtime, narrow, 1) == NULL);
    FAILS(console_create, EEXIST, (runtime, bound, 1) == NULL);
    FAILS_WITHOUT_MEMORY(console_create, (runtime, lines, 1) == NULL);
    console = async_console_create(runtime, lines, 1);
    errors_need(console);
    FAILS(console_create, EEXIST, (runtime, narrow == NULL ? NULL : lines, 1) == NULL);
    FAILS(console_is_eof, EINVAL, (NULL) == false);
    FAILS(console_get_type, EINVAL, (NULL) == ASYNC_CONSOLE_TYPE_NONE);
    FAILS(console_set_mode, EINVAL, (NULL, 0) == -1);
    FAILS(console_set_mode, EINVAL, (console, 0x80) == -1);
    FAILS(console_set_mode, ENOTTY, (console, 0) == -1);
    FAILS(console_type_name, EINVAL, ((async_console_type_t)99) == NULL);
    FAILS(console_shutdown, EINVAL, (NULL, 0) == false);
    FAILS(console_shutdown, EINVAL, (console, -2) == false);
    async_console_destroy(console);
    async_queue_destroy(lines);
    async_queue_destroy(bound);
    async_queue_destroy(narrow);
    async_runtime_deinit(runtime);
}

/* ---- async_resolver.h */

void errors_of_resolver(void)
{
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;
    async_runtime_t *runtime = async_runtime_init();
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct sockaddr *generic = (struct sockaddr *)&address;
    async_resolver_t *resolver;

    errors_need(runtime);
    options.max_in_flight = 1;
    options.queue_limit = 1;
    resolver = async_resolver_create(runtime, 1, &options);
    errors_need(resolver);
    FAILS(resolver_create, EINVAL, (NULL, 1, NULL) == NULL);
    FAILS_WITHOUT_MEMORY(resolver_create, (runtime, 1, NULL) == NULL);
    options.engine = "none";
    FAILS(resolver_create, ENOTSUP, (runtime, 1, &options) == NULL);
    options.size = 0;
    FAILS(resolver_create, EINVAL, (runtime, 1, &options) == NULL);
    FAILS(resolver_lookup, EINVAL, (NULL, "a.invalid", NULL, NULL, NULL) == 0);
    FAILS(resolver_lookup, EINVAL, (resolver, NULL, NULL, NULL, NULL) == 0);
    FAILS_WITHOUT_MEMORY(resolver_lookup, (resolver, "a.invalid", NULL, NULL, NULL) == 0);
    FAILS(resolver_reverse, EINVAL, (NULL, generic, sizeof address, NULL) == 0);
    FAILS(resolver_reverse, EINVAL, (resolver, NULL, sizeof address, NULL) == 0);
    FAILS(resolver_reverse, EINVAL, (resolver, generic, 3, NULL) == 0);
    FAILS_WITHOUT_MEMORY(resolver_reverse, (resolver, generic, sizeof address, NULL) == 0);
    address.sin_family = AF_UNIX;
    FAILS(resolver_reverse, EAFNOSUPPORT, (resolver, generic, sizeof address, NULL) == 0);
    address.sin_family = AF_INET;
    FAILS(resolver_next, EAGAIN, (resolver) == NULL);
    FAILS(resolver_next, EINVAL, (NULL) == NULL);
    FAILS(resolver_cancel, EINVAL, (NULL, 1) == -1);
    FAILS(resolver_cancel, ENOENT, (resolver, 123456) == -1);
    /* one under way, one waiting; names without an answer, which take a moment */
    async_resolver_lookup(resolver, "a.invalid", NULL, NULL, NULL);
    async_resolver_lookup(resolver, "b.invalid", NULL, NULL, NULL);
    FAILS(resolver_lookup, EAGAIN, (resolver, "c.invalid", NULL, NULL, NULL) == 0);
    FAILS(resolver_reverse, EAGAIN, (resolver, generic, sizeof address, NULL) == 0);
    async_resolver_destroy(resolver);
    async_runtime_deinit(runtime);
}

/* ---- in the child of a fork */

static void of_inherited_runtime(async_runtime_t *runtime, async_queue_t *queue)
{
    async_worker_options_t options = ASYNC_WORKER_OPTIONS_INIT;
    async_event_t event;
    char byte = 0;

    FAILS(runtime_get_backend, EPERM, (runtime) == NULL);
    FAILS(runtime_add, EPERM, (runtime, 1, ASYNC_EVENT_READ, NULL) == -1);
    FAILS(runtime_modify, EPERM, (runtime, 1, ASYNC_EVENT_READ, NULL) == -1);
    FAILS(runtime_remove, EPERM, (runtime, 1) == -1);
    FAILS(runtime_wait, EPERM, (runtime, &event, 1, 0) == -1);
    FAILS(runtime_wakeup, EPERM, (runtime) == -1);
    FAILS(runtime_post_completion, EPERM, (runtime, 1, 1) == -1);
    FAILS(runtime_bind_queue, EPERM, (runtime, queue, 1) == -1);
    FAILS(runtime_post_read, EPERM, (runtime, 1, &byte, 1) == -1);
    FAILS(runtime_post_write, EPERM, (runtime, 1, &byte, 1) == -1);
    FAILS(runtime_add_timer, EPERM, (runtime, 1, 1, NULL) == 0);
    FAILS(runtime_cancel_timer, EPERM, (runtime, 1) == -1);
    FAILS(runtime_add_signal, EPERM, (runtime, SIGUSR1, NULL) == -1);
    FAILS(runtime_remove_signal, EPERM, (runtime, SIGUSR1) == -1);
    FAILS(runtime_add_console, EPERM, (runtime, NULL) == -1);
    FAILS(runtime_get_console_type, EPERM, (runtime) == ASYNC_CONSOLE_TYPE_NONE);
    FAILS(runtime_get_fd, EPERM, (runtime) == ASYNC_INVALID_FD);
    FAILS(runtime_get_timeout, EPERM, (runtime) == -1);
    options.runtime = runtime;
    FAILS(worker_create_with, EPERM, (until_stop, NULL, &options) == NULL);
    FAILS(pool_create, EPERM, (runtime, NULL) == NULL);
    FAILS(console_create, EPERM, (runtime, queue, 1) == NULL);
    FAILS(resolver_create, EPERM, (runtime, 1, NULL) == NULL);
}

void errors_of_inherited(void)
{
    async_runtime_t *runtime = async_runtime_init();
    async_queue_t *queue = async_queue_create(4, 64, 0), *lines = async_queue_create(4, 64, 0);
    async_worker_t *worker = async_worker_create(until_stop, NULL, 0);
    async_pool_t *pool = async_pool_create(runtime, NULL);
    async_console_t *console = async_console_create(runtime, lines, 1);
    async_resolver_t *resolver = async_resolver_create(runtime, 2, NULL);
    struct sockaddr_in address = {.sin_family = AF_INET};
    int status = 0;
    pid_t pid;

    errors_need(worker);
    errors_need(pool);
    errors_need(console);
    errors_need(resolver);
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        of_inherited_runtime(runtime, queue);
        FAILS(worker_join, EPERM, (worker, 0) == false);
        FAILS(pool_submit, EPERM, (pool, nap, NULL, 1) == 0);
        FAILS(pool_cancel, EPERM, (pool, 1) == -1);
        FAILS(pool_shutdown, EPERM, (pool, 0) == false);
        FAILS(console_shutdown, EPERM, (console, 0) == false);
        FAILS(console_set_mode, EPERM, (console, 0) == -1);
        FAILS(resolver_lookup, EPERM, (resolver, "a.invalid", NULL, NULL, NULL) == 0);
        FAILS(resolver_reverse, EPERM,
              (resolver, (struct sockaddr *)&address, sizeof address, NULL) == 0);
        FAILS(resolver_cancel, EPERM, (resolver, 1) == -1);
        FAILS(resolver_next, EPERM, (resolver) == NULL);
        _exit(0);
    }
    if (waitpid(pid, &status, 0) != pid || status != 0)
        errors_note("fork", -1, 0, __FILE__, __LINE__);
    async_resolver_destroy(resolver);
    async_console_destroy(console);
    async_pool_destroy(pool);
    async_worker_signal_stop(worker);
    async_worker_join(worker, -1);
    async_worker_destroy(worker);
    async_runtime_deinit(runtime);
    async_queue_destroy(queue);
    async_queue_destroy(lines);
}

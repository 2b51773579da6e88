/* SPDX-License-Identifier: MIT */
/*
 * contract_runtime.c - the calls that the pages of async_runtime.h describe, failures included
 *
 * What is between contract_begin() and contract_end() is measured by test_contract.c, on each
 * backend.
 */
#include "contract.h"

#include <asyncrt.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static async_runtime_t *a_runtime(void)
{
    async_runtime_t *runtime = async_runtime_init();

    if (runtime == NULL && errno == ENOTSUP)
        contract_skip(); /* built in, and the system refuses it */
    NEED(runtime != NULL);
    return runtime;
}

static void a_pipe(int fds[2])
{
    NEED(pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0);
}

static void a_socket_pair(int fds[2])
{
    NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
}

/* A thread that waits until an event or a wakeup comes. */
static void *loop(void *runtime)
{
    async_event_t event;

    async_runtime_wait(runtime, &event, 1, 10000);
    return NULL;
}

static async_worker_t *a_sleeping_loop(async_runtime_t *runtime)
{
    async_worker_t *worker = async_worker_create(loop, runtime, 0);

    NEED(worker != NULL);
    contract_rest(30);
    return worker;
}

static void runtime_init(void)
{
    async_runtime_deinit(a_runtime());
    MEASURE(NEED(async_runtime_init() != NULL));
}

static void runtime_init_with(void)
{
    async_runtime_options_t options = ASYNC_RUNTIME_OPTIONS_INIT;

    async_runtime_deinit(a_runtime());
    MEASURE(NEED(async_runtime_init_with(&options) != NULL));
    options.backend = "none";
    MEASURE(NEED(async_runtime_init_with(&options) == NULL && errno == ENOTSUP));
    options.size = 0;
    MEASURE(NEED(async_runtime_init_with(&options) == NULL && errno == EINVAL));
}

static void runtime_deinit(void)
{
    async_runtime_t *runtime = a_runtime();
    int fds[2];

    a_pipe(fds);
    NEED(async_runtime_add(runtime, fds[0], ASYNC_EVENT_READ, NULL) == 0);
    NEED(async_runtime_add_signal(runtime, SIGUSR2, NULL) == 0);
    NEED(async_runtime_add_timer(runtime, 5, 5, NULL) != 0);
    NEED(async_runtime_post_completion(runtime, 1, 1) == 0);
    MEASURE(async_runtime_deinit(runtime); async_runtime_deinit(NULL));
}

static void runtime_get_backend(void)
{
    async_runtime_t *runtime = a_runtime();

    MEASURE(NEED(async_runtime_get_backend(runtime) != NULL));
    MEASURE(NEED(async_runtime_get_backend(NULL) == NULL && errno == EINVAL));
}

static void runtime_backends(void)
{
    MEASURE(NEED(async_runtime_backends() != NULL));
}

static void runtime_add(void)
{
    async_runtime_t *runtime = a_runtime();
    int fds[2];

    a_pipe(fds);
    MEASURE(NEED(async_runtime_add(runtime, fds[0], ASYNC_EVENT_READ, NULL) == 0));
    MEASURE(
        NEED(async_runtime_add(runtime, fds[0], ASYNC_EVENT_READ, NULL) == -1 && errno == EEXIST));
    MEASURE(NEED(async_runtime_add(runtime, 900, ASYNC_EVENT_READ, NULL) == -1 && errno == EBADF));
    MEASURE(NEED(async_runtime_add(runtime, fds[1], 0x2000, NULL) == -1 && errno == EINVAL));
    NEED((fds[1] = open("/proc/self/exe", O_RDONLY | O_CLOEXEC)) >= 0);
    MEASURE(
        NEED(async_runtime_add(runtime, fds[1], ASYNC_EVENT_READ, NULL) == -1 && errno == EPERM));
}

static void runtime_modify(void)
{
    async_runtime_t *runtime = a_runtime();
    async_event_t event;
    int fds[2];

    a_pipe(fds);
    NEED(async_runtime_add(runtime, fds[0], ASYNC_EVENT_READ | ASYNC_EVENT_ONESHOT, NULL) == 0);
    NEED(write(fds[1], "x", 1) == 1 && async_runtime_wait(runtime, &event, 1, 5000) == 1);
    MEASURE(NEED(async_runtime_modify(runtime, fds[0], ASYNC_EVENT_READ, NULL) == 0));
    MEASURE(NEED(async_runtime_modify(runtime, fds[0], 0, NULL) == 0));
    MEASURE(NEED(async_runtime_modify(runtime, fds[1], 0, NULL) == -1 && errno == ENOENT));
}

static void runtime_remove(void)
{
    async_runtime_t *runtime = a_runtime();
    async_event_t event;
    char byte;
    int fds[2];

    a_pipe(fds);
    NEED(async_runtime_add(runtime, fds[0], ASYNC_EVENT_READ, NULL) == 0);
    NEED(async_runtime_post_read(runtime, fds[0], &byte, 1) == 0);
    NEED(async_runtime_wait(runtime, &event, 1, 0) == 0);
    MEASURE(NEED(async_runtime_remove(runtime, fds[0]) == 0));
    MEASURE(NEED(async_runtime_remove(runtime, fds[0]) == -1 && errno == ENOENT));
}

static void post_some(async_runtime_t *runtime, int count)
{
    int i;

    for (i = 0; i < count; i++)
        NEED(async_runtime_post_completion(runtime, 1, (uintptr_t)i) == 0);
}

static void runtime_wait(void)
{
    async_runtime_t *runtime = a_runtime();
    async_event_t events[16];
    char buffer[16];
    int fds[2], i;

    a_socket_pair(fds);
    NEED(async_runtime_add(runtime, fds[0], ASYNC_EVENT_READ | ASYNC_EVENT_WRITE, NULL) == 0);
    NEED(async_runtime_add_signal(runtime, SIGUSR2, NULL) == 0);
    NEED(async_runtime_add_timer(runtime, 500, 1000, NULL) != 0);
    post_some(runtime, 100);
    NEED(async_runtime_post_read(runtime, fds[0], buffer, sizeof buffer) == 0);
    NEED(async_runtime_post_write(runtime, fds[0], "hello", 5) == 0);
    NEED(write(fds[1], "hello", 5) == 5);
    raise(SIGUSR2);
    async_runtime_wakeup(runtime);
    for (i = 0; i < 30; i++)
        MEASURE(NEED(async_runtime_wait(runtime, events, 16, 2) >= 0));
    MEASURE(NEED(async_runtime_wait(runtime, events, 0, 2) == -1 && errno == EINVAL));
}

static void runtime_wakeup(void)
{
    async_runtime_t *runtime = a_runtime();
    async_worker_t *worker;

    MEASURE(NEED(async_runtime_wakeup(runtime) == 0));
    loop(runtime);
    worker = a_sleeping_loop(runtime);
    MEASURE(NEED(async_runtime_wakeup(runtime) == 0));
    NEED(async_worker_join(worker, -1));
}

static async_runtime_t *handler_runtime;

static void before_wakeup(void)
{
    handler_runtime = async_runtime_init();
    if (handler_runtime != NULL)
        async_runtime_get_fd(handler_runtime); /* asleep: each wakeup may write */
}

static void wakeup_signal(void)
{
    if (handler_runtime != NULL)
        async_runtime_wakeup(handler_runtime);
}

static void runtime_post_completion(void)
{
    async_runtime_t *runtime = a_runtime();
    async_worker_t *worker;

    MEASURE(NEED(async_runtime_post_completion(runtime, 1, 2) == 0));
    loop(runtime);
    worker = a_sleeping_loop(runtime);
    MEASURE(NEED(async_runtime_post_completion(runtime, 1, 2) == 0));
    NEED(async_worker_join(worker, -1));
}

static void runtime_bind_queue(void)
{
    async_runtime_t *runtime = a_runtime();
    async_queue_t *queue = async_queue_create(4, 4, 0);

    NEED(queue != NULL && async_queue_enqueue(queue, "x", 1));
    MEASURE(NEED(async_runtime_bind_queue(runtime, queue, 1) == 0));
    MEASURE(NEED(async_runtime_bind_queue(runtime, queue, 1) == -1 && errno == EEXIST));
}

static void runtime_post_read(void)
{
    async_runtime_t *runtime = a_runtime();
    static char buffer[16];
    int fds[2], sockets[2], blocking[2];

    a_pipe(fds);
    a_socket_pair(sockets);
    NEED(pipe2(blocking, O_CLOEXEC) == 0);
    NEED(async_runtime_add(runtime, fds[0], 0, NULL) == 0);
    NEED(async_runtime_add(runtime, sockets[0], 0, NULL) == 0);
    NEED(async_runtime_add(runtime, blocking[0], 0, NULL) == 0);
    MEASURE(NEED(async_runtime_post_read(runtime, fds[0], buffer, 8) == 0));
    NEED(write(sockets[1], "x", 1) == 1);
    MEASURE(NEED(async_runtime_post_read(runtime, sockets[0], buffer + 8, 8) == 0));
    MEASURE(NEED(async_runtime_post_read(runtime, blocking[0], buffer, 8) == 0));
    MEASURE(NEED(async_runtime_post_read(runtime, fds[1], buffer, 8) == -1 && errno == ENOENT));
}

static void runtime_post_write(void)
{
    async_runtime_t *runtime = a_runtime();
    static const char buffer[100000];
    int fds[2], sockets[2], blocking[2];

    a_pipe(fds);
    a_socket_pair(sockets);
    NEED(pipe2(blocking, O_CLOEXEC) == 0);
    NEED(async_runtime_add(runtime, fds[1], 0, NULL) == 0);
    NEED(async_runtime_add(runtime, sockets[0], 0, NULL) == 0);
    NEED(async_runtime_add(runtime, blocking[1], 0, NULL) == 0);
    MEASURE(NEED(async_runtime_post_write(runtime, fds[1], buffer, sizeof buffer) == 0));
    MEASURE(NEED(async_runtime_post_write(runtime, sockets[0], buffer, 8) == 0));
    MEASURE(NEED(async_runtime_post_write(runtime, blocking[1], buffer, 8) == 0));
    MEASURE(NEED(async_runtime_post_write(runtime, fds[0], buffer, 8) == -1 && errno == ENOENT));
}

static void runtime_add_timer(void)
{
    async_runtime_t *runtime = a_runtime();
    int i;

    for (i = 0; i < 100; i++)
        MEASURE(NEED(async_runtime_add_timer(runtime, 1000, 1000, NULL) != 0));
    MEASURE(NEED(async_runtime_add_timer(NULL, 0, 0, NULL) == 0 && errno == EINVAL));
}

static void runtime_cancel_timer(void)
{
    async_runtime_t *runtime = a_runtime();
    uint64_t id = async_runtime_add_timer(runtime, 1000, 1000, NULL);

    MEASURE(NEED(async_runtime_cancel_timer(runtime, id) == 0));
    MEASURE(NEED(async_runtime_cancel_timer(runtime, id) == -1 && errno == ENOENT));
}

static void runtime_add_signal(void)
{
    async_runtime_t *runtime = a_runtime();

    MEASURE(NEED(async_runtime_add_signal(runtime, SIGUSR2, NULL) == 0));
    MEASURE(NEED(async_runtime_add_signal(runtime, SIGUSR2, NULL) == -1 && errno == EEXIST));
    MEASURE(NEED(async_runtime_add_signal(runtime, SIGKILL, NULL) == -1 && errno == EINVAL));
}

static void runtime_remove_signal(void)
{
    async_runtime_t *runtime = a_runtime();

    NEED(async_runtime_add_signal(runtime, SIGUSR2, NULL) == 0);
    raise(SIGUSR2);
    MEASURE(NEED(async_runtime_remove_signal(runtime, SIGUSR2) == 0));
    MEASURE(NEED(async_runtime_remove_signal(runtime, SIGUSR2) == -1 && errno == ENOENT));
}

static void runtime_add_console(void)
{
    async_runtime_t *runtime = a_runtime();
    int fds[2];

    a_pipe(fds);
    NEED(dup2(fds[0], STDIN_FILENO) == STDIN_FILENO);
    MEASURE(NEED(async_runtime_add_console(runtime, NULL) == 0));
    MEASURE(NEED(async_runtime_add_console(runtime, NULL) == -1 && errno == EEXIST));
    runtime = a_runtime();
    NEED(close(STDIN_FILENO) == 0 && open("/proc/self/exe", O_RDONLY) == STDIN_FILENO);
    MEASURE(NEED(async_runtime_add_console(runtime, NULL) == 0));
}

static void runtime_get_console_type(void)
{
    async_runtime_t *runtime = a_runtime();

    MEASURE(NEED(async_runtime_get_console_type(runtime) == ASYNC_CONSOLE_TYPE_NONE));
}

static void runtime_get_fd(void)
{
    async_runtime_t *runtime = a_runtime();

    post_some(runtime, 1);
    MEASURE(NEED(async_runtime_get_fd(runtime) != ASYNC_INVALID_FD || errno == ENOTSUP));
}

static void runtime_get_timeout(void)
{
    async_runtime_t *runtime = a_runtime();

    NEED(async_runtime_add_timer(runtime, 1000000, 0, NULL) != 0);
    MEASURE(NEED(async_runtime_get_timeout(runtime) > 0));
}

static void runtime_get_stats(void)
{
    async_runtime_t *runtime = a_runtime();
    async_runtime_stats_t stats;

    MEASURE(async_runtime_get_stats(runtime, &stats));
}

const contract_case_t contract_runtime[] = {
    CASE(runtime_init),
    CASE(runtime_init_with),
    CASE(runtime_deinit),
    CASE(runtime_get_backend),
    CASE(runtime_backends),
    CASE(runtime_add),
    CASE(runtime_modify),
    CASE(runtime_remove),
    CASE(runtime_wait),
    {"async_runtime_wakeup", runtime_wakeup, wakeup_signal, before_wakeup},
    CASE(runtime_post_completion),
    CASE(runtime_bind_queue),
    CASE(runtime_post_read),
    CASE(runtime_post_write),
    CASE(runtime_add_timer),
    CASE(runtime_cancel_timer),
    CASE(runtime_add_signal),
    CASE(runtime_remove_signal),
    CASE(runtime_add_console),
    CASE(runtime_get_console_type),
    CASE(runtime_get_fd),
    CASE(runtime_get_timeout),
    CASE(runtime_get_stats),
    {NULL, NULL, NULL, NULL},
};

/* SPDX-License-Identifier: MIT */
/*
 * A program that runs with standard input, output and error closed: none of the library's
 * descriptors takes their numbers, so that nobody's message goes into one of them.
 */
#include "testlib.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void close_from(int first)
{
    for (int fd = first; fd <= STDERR_FILENO; fd++)
        close(fd);
}

static void check_closed_from(int first)
{
    for (int fd = first; fd <= STDERR_FILENO; fd++)
        ck_assert_msg(fcntl(fd, F_GETFD) == -1, "descriptor %d is open", fd);
}

static async_runtime_t *open_runtime(const char *backend)
{
    async_runtime_options_t options = ASYNC_RUNTIME_OPTIONS_INIT;

    options.backend = backend;
    return async_runtime_init_with(&options);
}

/* The backend of a loop test; NULL: there is none of that number, or the system refuses it. */
static async_runtime_t *backend_number(int number)
{
    async_runtime_t *runtime = open_runtime(async_runtime_backends()[number]);

    ck_assert(runtime != NULL || errno == ENOTSUP);
    return runtime;
}

static int backend_count(void)
{
    int count = 0;

    while (async_runtime_backends()[count] != NULL)
        count++;
    return count;
}

START_TEST(test_runtime)
{
    async_runtime_t *runtime;
    async_event_t event;

    close_from(0);
    runtime = backend_number(_i);
    if (runtime == NULL)
        return;
    check_closed_from(0);
    (void)async_runtime_get_fd(runtime); /* io_uring opens one for it */
    check_closed_from(0);
    TL_OK(async_runtime_post_completion(runtime, 1, 2));
    tl_expect_completion(runtime, 1, 2);
    ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, 1), 0);
    async_runtime_deinit(runtime);
    check_closed_from(0);
}
END_TEST

/* Whatever io_uring has is found by its number; the number is another one now. */
START_TEST(test_operations)
{
    async_runtime_t *runtime;
    async_event_t event;
    async_fd_t fds[2];
    char byte;

    tl_pair(fds);
    close_from(0);
    runtime = backend_number(_i);
    if (runtime != NULL) {
        TL_OK(async_runtime_add(runtime, fds[0], 0, NULL));
        TL_OK(async_runtime_post_read(runtime, fds[0], &byte, 1));
        ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, 1), 0);
        tl_send_text(fds[1], "x");
        tl_one(runtime, &event);
        ck_assert_uint_eq(event.bytes_transferred, 1);
        check_closed_from(0);
        async_runtime_deinit(runtime);
    }
    tl_close_pair(fds);
}
END_TEST

static void *until_stop(void *context)
{
    async_worker_wait_stop(NULL, -1);
    return context;
}

static void *nothing(void *context)
{
    return context;
}

START_TEST(test_worker_and_pool)
{
    async_runtime_t *runtime;
    async_worker_t *worker;
    async_pool_t *pool;
    async_event_t event;

    close_from(0);
    runtime = backend_number(_i);
    if (runtime == NULL)
        return;
    worker = async_worker_create(until_stop, NULL, 0);
    ck_assert_ptr_nonnull(worker);
    ck_assert_int_gt(async_worker_get_stop_handle(worker), STDERR_FILENO);
    pool = async_pool_create(runtime, NULL);
    ck_assert_ptr_nonnull(pool);
    ck_assert_uint_ne(async_pool_submit(pool, nothing, NULL, 1), 0);
    tl_one(runtime, &event);
    check_closed_from(0);
    async_worker_signal_stop(worker);
    ck_assert(async_worker_join(worker, TL_WAIT_MS));
    async_worker_destroy(worker);
    async_pool_destroy(pool);
    async_runtime_deinit(runtime);
}
END_TEST

static void use_console(async_runtime_t *runtime)
{
    async_queue_t *lines = async_queue_create(64, 8, 0);
    async_console_t *console;

    ck_assert_ptr_nonnull(lines);
    console = async_console_create(runtime, lines, 7);
    ck_assert_ptr_nonnull(console);
    check_closed_from(STDOUT_FILENO);
    tl_expect_completion(runtime, 7, 0);
    async_console_destroy(console);
    async_queue_destroy(lines);
}

START_TEST(test_console)
{
    async_handle_t keyboard = tl_input_pipe();
    async_runtime_t *runtime;

    close_from(STDOUT_FILENO);
    runtime = backend_number(_i);
    if (runtime != NULL) {
        tl_file_write(keyboard, "line\n", 5);
        use_console(runtime);
        check_closed_from(STDOUT_FILENO);
        async_runtime_deinit(runtime);
    }
    tl_file_close(keyboard);
    tl_input_null();
}
END_TEST

/* ---- the resolver, with a server that never answers */

static int silent_server(char *text, size_t size)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    snprintf(text, size, "127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

START_TEST(test_cares)
{
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;
    async_runtime_t *runtime = open_runtime(NULL);
    async_resolver_t *resolver;
    char servers[32], query[512];
    int server = silent_server(servers, sizeof(servers));

    ck_assert_ptr_nonnull(runtime);
    close_from(0);
    options.engine = "cares";
    options.servers = servers;
    resolver = async_resolver_create(runtime, 1, &options);
    ck_assert(resolver != NULL || errno == ENOTSUP);
    if (resolver != NULL) {
        check_closed_from(0);
        ck_assert_uint_ne(async_resolver_lookup(resolver, "name.test.", NULL, NULL, NULL), 0);
        ck_assert_int_gt(recv(server, query, sizeof(query), 0), 0);
        check_closed_from(0); /* the socket that has sent the query is open */
        async_resolver_destroy(resolver);
    }
    async_runtime_deinit(runtime);
    close(server);
}
END_TEST

/* ---- no descriptors: each call that makes one fails in its turn, and leaves nothing behind */

static void limit_descriptors(rlim_t limit)
{
    struct rlimit now;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &now), 0);
    now.rlim_cur = limit;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &now), 0);
}

static void count_failure(int *failures)
{
    ck_assert_int_eq(errno, EMFILE);
    ++*failures;
}

static void make_runtime(const char *backend, int *failures)
{
    async_runtime_t *runtime = open_runtime(backend);

    if (runtime == NULL)
        count_failure(failures);
    else if (async_runtime_get_fd(runtime) == ASYNC_INVALID_FD && errno != ENOTSUP)
        count_failure(failures);
    async_runtime_deinit(runtime);
}

static void make_handle(int *failures)
{
    async_worker_t *worker = async_worker_create(until_stop, NULL, 0);

    ck_assert_ptr_nonnull(worker);
    if (async_worker_get_stop_handle(worker) == -1)
        count_failure(failures);
    async_worker_signal_stop(worker);
    ck_assert(async_worker_join(worker, TL_WAIT_MS));
    async_worker_destroy(worker);
}

/* Input is a pipe here. */
static void make_console(async_runtime_t *runtime, int *failures)
{
    async_queue_t *lines = async_queue_create(64, 8, 0);
    async_console_t *console = async_console_create(runtime, lines, 7);

    if (console == NULL)
        count_failure(failures);
    async_console_destroy(console);
    async_queue_destroy(lines);
}

#define MOST_DESCRIPTORS 24

START_TEST(test_no_descriptors)
{
    const char *backend = async_runtime_backends()[_i];
    async_runtime_t *runtime = open_runtime(backend);
    async_handle_t keyboard = tl_input_pipe();
    struct rlimit before;
    int fds, last = 1, total = 0;

    ck_assert(runtime != NULL || errno == ENOTSUP);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    close_from(STDOUT_FILENO);
    fds = tl_fd_count();
    for (int limit = 0; runtime != NULL && limit < MOST_DESCRIPTORS; limit++) {
        last = 0;
        limit_descriptors((rlim_t)limit);
        make_runtime(backend, &last);
        make_handle(&last);
        make_console(runtime, &last);
        limit_descriptors(before.rlim_cur);
        check_closed_from(STDOUT_FILENO);
        ck_assert_int_eq(tl_fd_count(), fds);
        total += last;
    }
    if (runtime != NULL) {
        ck_assert_int_eq(last, 0);
        ck_assert_int_gt(total, 3);
    }
    async_runtime_deinit(runtime);
    tl_file_close(keyboard);
    tl_input_null();
}
END_TEST

/* The count for leaks begins after this. */
static void standard_is_there(void)
{
    tl_input_null();
}

static void reopen_standard(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) == -1)
            ck_assert_int_eq(open("/dev/null", O_RDWR), fd);
}

static void add_cases(Suite *suite)
{
    TCase *tcase = tl_case_after(suite, "standard", standard_is_there);
    int backends = backend_count();

    tcase_add_checked_fixture(tcase, NULL, reopen_standard);
    tcase_add_loop_test(tcase, test_runtime, 0, backends);
    tcase_add_loop_test(tcase, test_operations, 0, backends);
    tcase_add_loop_test(tcase, test_worker_and_pool, 0, backends);
    tcase_add_loop_test(tcase, test_console, 0, backends);
    tcase_add_loop_test(tcase, test_no_descriptors, 0, backends);
    tcase_add_test(tcase, test_cares);
}

int main(void)
{
    return tl_main("standard descriptors", add_cases);
}

/* SPDX-License-Identifier: MIT */
/*
 * The parts whose other tests need POSIX, on Windows: workers and their stop HANDLE, the pool,
 * signals, the resolver, the console on pipes and files, and sockets that are bound to another
 * completion port.
 */
#include "testlib.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

#include <windows.h>

#define KEY 7

static async_runtime_t *runtime;

static void setup(void)
{
    runtime = tl_runtime();
}

static void teardown(void)
{
    async_runtime_deinit(runtime);
}

/* ---- workers */

static void *return_context(void *context)
{
    return context;
}

/* Waits as a Windows program does: for the stop beside something else. */
static void *until_handle(void *context)
{
    HANDLE handles[2] = {async_worker_get_stop_handle(async_worker_current()), context};

    return WaitForMultipleObjects(2, handles, FALSE, TL_WAIT_MS) == WAIT_OBJECT_0 ? context : NULL;
}

START_TEST(test_worker)
{
    async_worker_options_t options = ASYNC_WORKER_OPTIONS_INIT;
    async_worker_t *worker;
    async_event_t event;

    options.runtime = runtime;
    options.completion_key = KEY;
    options.name = "a-name-longer-than-15-bytes";
    options.stack_size = 1;
    worker = async_worker_create_with(return_context, &event, &options);
    ck_assert_ptr_nonnull(worker);
    ck_assert(async_worker_join(worker, TL_WAIT_MS));
    ck_assert_ptr_eq(async_worker_get_result(worker), &event);
    ck_assert_int_eq(async_worker_get_state(worker), ASYNC_WORKER_STOPPED);
    tl_one(runtime, &event);
    ck_assert_uint_eq(event.event_type, ASYNC_EVENT_COMPLETION);
    ck_assert_uint_eq(event.completion_key, KEY);
    ck_assert_ptr_eq(event.context, worker);
    async_worker_destroy(worker);
}
END_TEST

START_TEST(test_worker_stop_handle)
{
    HANDLE other = CreateEventW(NULL, TRUE, FALSE, NULL);
    async_worker_t *worker = async_worker_create(until_handle, other, 0);
    HANDLE stop;

    ck_assert_ptr_nonnull(worker);
    TL_FAILS_WITH(async_worker_join(worker, 20), false, ETIMEDOUT);
    stop = async_worker_get_stop_handle(worker);
    ck_assert_uint_eq(WaitForSingleObject(stop, 0), WAIT_TIMEOUT);
    async_worker_signal_stop(worker);
    ck_assert_uint_eq(WaitForSingleObject(stop, 0), WAIT_OBJECT_0);
    ck_assert_uint_eq(WaitForSingleObject(stop, 0), WAIT_OBJECT_0);
    ck_assert(async_worker_join(worker, TL_WAIT_MS));
    ck_assert_ptr_eq(async_worker_get_result(worker), other);
    async_worker_destroy(worker);
    CloseHandle(other);
}
END_TEST

static void *until_stop(void *context)
{
    return async_worker_wait_stop(NULL, TL_WAIT_MS) ? context : NULL;
}

START_TEST(test_workers_many)
{
    async_worker_t *workers[20];

    for (int i = 0; i < 20; i++)
        ck_assert_ptr_nonnull(workers[i] = async_worker_create(until_stop, &workers[i], 65536));
    for (int i = 0; i < 20; i++) {
        async_worker_signal_stop(workers[i]);
        ck_assert(async_worker_join(workers[i], TL_WAIT_MS));
        ck_assert_ptr_eq(async_worker_get_result(workers[i]), &workers[i]);
        async_worker_destroy(workers[i]);
    }
    async_worker_destroy(async_worker_create(until_stop, NULL, 0)); /* ends by itself */
}
END_TEST

/* ---- pool */

START_TEST(test_pool)
{
    async_pool_options_t options = ASYNC_POOL_OPTIONS_INIT;
    async_pool_t *pool;
    async_event_t events[16];
    int ended = 0;

    options.threads = 3;
    pool = async_pool_create(runtime, &options);
    ck_assert_ptr_nonnull(pool);
    for (uintptr_t i = 0; i < 200; i++)
        ck_assert_uint_ne(async_pool_submit(pool, return_context, tl_context(i), KEY), 0);
    while (ended < 200) {
        int count = tl_some(runtime, events, 16);

        for (int i = 0; i < count; i++) {
            ck_assert_uint_eq(events[i].completion_key, KEY);
            ck_assert_uint_eq(events[i].data, (uintptr_t)events[i].context);
            ck_assert_int_eq(events[i].error, 0);
        }
        ended += count;
    }
    ck_assert(async_pool_shutdown(pool, TL_WAIT_MS));
    async_pool_destroy(pool);
    tl_quiet(runtime);
}
END_TEST

/* ---- signals */

static volatile sig_atomic_t own_handler;

static void note(int signum)
{
    own_handler = signum;
}

START_TEST(test_signals)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGBREAK};
    async_event_t event;

    TL_FAILS(async_runtime_add_signal(runtime, SIGSEGV, NULL), ENOTSUP);
    TL_FAILS(async_runtime_add_signal(runtime, 0, NULL), EINVAL);
    TL_FAILS(async_runtime_remove_signal(runtime, SIGINT), ENOENT);
    for (int i = 0; i < 3; i++) {
        signal(signals[i], note);
        TL_OK(async_runtime_add_signal(runtime, signals[i], tl_context(5)));
        TL_FAILS(async_runtime_add_signal(runtime, signals[i], NULL), EEXIST);
        for (int again = 0; again < 2; again++) {
            raise(signals[i]);
            tl_one(runtime, &event);
            ck_assert_uint_eq(event.event_type, ASYNC_EVENT_SIGNAL);
            ck_assert_uint_eq(event.data, (uintptr_t)signals[i]);
            ck_assert_ptr_eq(event.context, tl_context(5));
        }
        tl_quiet(runtime);
        TL_OK(async_runtime_remove_signal(runtime, signals[i]));
        own_handler = 0;
        raise(signals[i]);
        ck_assert_int_eq(own_handler, signals[i]);
        tl_quiet(runtime);
    }
}
END_TEST

/* ---- resolver */

static async_resolver_result_t *resolved(async_resolver_t *resolver)
{
    async_resolver_result_t *result;
    async_event_t event;

    while ((result = async_resolver_next(resolver)) == NULL) {
        ck_assert_int_eq(errno, EAGAIN);
        tl_one(runtime, &event);
        ck_assert_uint_eq(event.completion_key, KEY);
    }
    return result;
}

START_TEST(test_resolver)
{
    async_resolver_t *resolver = async_resolver_create(runtime, KEY, NULL);
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    async_resolver_result_t *result;
    const struct sockaddr_in *address;
    uint64_t id;

    ck_assert_ptr_nonnull(resolver);
    for (int again = 0; again < 2; again++) {
        id = async_resolver_lookup(resolver, "localhost", "80", &hints, tl_context(1));
        ck_assert_uint_ne(id, 0);
        result = resolved(resolver);
        ck_assert_uint_eq(result->request_id, id);
        ck_assert_int_eq(result->status, 0);
        ck_assert_ptr_nonnull(result->addresses);
        address = (const struct sockaddr_in *)(const void *)result->addresses->ai_addr;
        ck_assert_uint_eq(address->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
        ck_assert_uint_eq(address->sin_port, htons(80));
        ck_assert_int_eq((result->flags & ASYNC_RESOLVER_FROM_CACHE) != 0, again);
        async_resolver_free_result(result);
    }
    ck_assert_uint_ne(async_resolver_lookup(resolver, "127.0.0.2", "81", &hints, NULL), 0);
    result = async_resolver_next(resolver); /* a numeric address is there at once */
    ck_assert_ptr_nonnull(result);
    ck_assert_int_eq(result->status, 0);
    async_resolver_free_result(result);
    async_resolver_destroy(resolver);
}
END_TEST

/* ---- the console on a pipe and on a file */

static async_queue_t *lines;
static HANDLE standard_input;

static void setup_console(void)
{
    setup();
    standard_input = GetStdHandle(STD_INPUT_HANDLE);
    lines = async_queue_create(16, 64, 0);
    ck_assert_ptr_nonnull(lines);
}

static void teardown_console(void)
{
    SetStdHandle(STD_INPUT_HANDLE, standard_input);
    async_queue_destroy(lines);
    teardown();
}

static void write_text(HANDLE handle, const char *text)
{
    DWORD count;

    ck_assert(WriteFile(handle, text, (DWORD)strlen(text), &count, NULL));
}

static void expect_line(const char *line)
{
    char text[64];
    size_t size;
    async_event_t event;

    while (!async_queue_dequeue(lines, text, sizeof(text), &size)) {
        ck_assert_int_eq(errno, EAGAIN);
        tl_one(runtime, &event);
        ck_assert_uint_eq(event.completion_key, KEY);
        ck_assert_uint_eq(event.data, 0);
    }
    ck_assert_str_eq(text, line);
    ck_assert_uint_eq(size, strlen(line) + 1);
}

static void expect_end(const async_console_t *console)
{
    async_event_t event;
    char text[64];

    TL_FAILS_WITH(async_queue_dequeue(lines, text, sizeof(text), NULL), false, EAGAIN);
    do {
        tl_one(runtime, &event);
    } while (event.data == 0);
    ck_assert_uint_eq(event.data, 1);
    ck_assert(async_console_is_eof(console));
}

START_TEST(test_console_pipe)
{
    async_console_t *console;
    HANDLE reader, writer;

    ck_assert(CreatePipe(&reader, &writer, NULL, 0));
    SetStdHandle(STD_INPUT_HANDLE, reader);
    ck_assert_int_eq(async_console_detect(), ASYNC_CONSOLE_TYPE_PIPE);
    console = async_console_create(runtime, lines, KEY);
    ck_assert_ptr_nonnull(console);
    TL_FAILS(async_console_set_mode(console, ASYNC_CONSOLE_LINE), ENOTTY);
    write_text(writer, "one\r\ntwo\nthr");
    expect_line("one\n");
    expect_line("two\n");
    write_text(writer, "ee\nlast");
    expect_line("three\n");
    CloseHandle(writer);
    expect_line("last");
    expect_end(console);
    async_console_destroy(console);
    CloseHandle(reader);
}
END_TEST

/* The stop interrupts a read that would never end, and what comes later is the next console's. */
START_TEST(test_console_stop)
{
    HANDLE reader, writer;

    ck_assert(CreatePipe(&reader, &writer, NULL, 0));
    SetStdHandle(STD_INPUT_HANDLE, reader);
    for (int i = 0; i < 5; i++) {
        async_console_t *console = async_console_create(runtime, lines, KEY);

        ck_assert_ptr_nonnull(console);
        write_text(writer, "line\n");
        expect_line("line\n");
        tl_sleep_ms(20);
        ck_assert(async_console_shutdown(console, 5000));
        ck_assert(async_console_shutdown(console, 0));
        async_console_destroy(console);
    }
    CloseHandle(writer);
    CloseHandle(reader);
}
END_TEST

START_TEST(test_console_full_queue)
{
    async_console_t *console;
    HANDLE reader, writer;
    char line[16];

    ck_assert(CreatePipe(&reader, &writer, NULL, 0));
    SetStdHandle(STD_INPUT_HANDLE, reader);
    console = async_console_create(runtime, lines, KEY);
    ck_assert_ptr_nonnull(console);
    for (int i = 0; i < 100; i++) {
        snprintf(line, sizeof(line), "%d\n", i);
        write_text(writer, line);
    }
    tl_sleep_ms(50);
    for (int i = 0; i < 50; i++) {
        snprintf(line, sizeof(line), "%d\n", i);
        expect_line(line);
    }
    async_console_destroy(console); /* while the reader waits for a place */
    async_queue_clear(lines);
    CloseHandle(writer);
    CloseHandle(reader);
}
END_TEST

START_TEST(test_console_file)
{
    WCHAR folder[MAX_PATH], path[MAX_PATH];
    async_console_t *console;
    HANDLE file;

    ck_assert_uint_ne(GetTempPathW(MAX_PATH, folder), 0);
    ck_assert_uint_ne(GetTempFileNameW(folder, L"art", 0, path), 0);
    file = CreateFileW(path, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ, NULL, CREATE_ALWAYS,
                       FILE_FLAG_DELETE_ON_CLOSE, NULL);
    ck_assert(file != INVALID_HANDLE_VALUE);
    write_text(file, "a\nb\n\xc3\xa4");
    SetFilePointer(file, 0, NULL, FILE_BEGIN);
    SetStdHandle(STD_INPUT_HANDLE, file);
    ck_assert_int_eq(async_console_detect(), ASYNC_CONSOLE_TYPE_FILE);
    console = async_console_create(runtime, lines, KEY);
    ck_assert_ptr_nonnull(console);
    expect_line("a\n");
    expect_line("b\n");
    expect_line("\xc3\xa4");
    expect_end(console);
    async_console_destroy(console);
    CloseHandle(file);
}
END_TEST

START_TEST(test_console_null_device)
{
    HANDLE null = CreateFileW(L"NUL", GENERIC_READ, 0, NULL, OPEN_EXISTING, 0, NULL);
    async_console_t *console;

    SetStdHandle(STD_INPUT_HANDLE, null);
    ck_assert_int_eq(async_console_detect(), ASYNC_CONSOLE_TYPE_NONE);
    console = async_console_create(runtime, lines, KEY);
    ck_assert_ptr_nonnull(console);
    expect_end(console);
    async_console_destroy(console);
    CloseHandle(null);
}
END_TEST

/* add_console: standard input as one more descriptor. */
START_TEST(test_add_console)
{
    HANDLE reader, writer;
    async_event_t event;
    char byte;
    DWORD count;

    ck_assert(CreatePipe(&reader, &writer, NULL, 0));
    SetStdHandle(STD_INPUT_HANDLE, reader);
    TL_OK(async_runtime_add_console(runtime, tl_context(3)));
    TL_FAILS(async_runtime_add_console(runtime, NULL), EEXIST);
    ck_assert_int_eq(async_runtime_get_console_type(runtime), ASYNC_CONSOLE_TYPE_PIPE);
    tl_quiet(runtime);
    write_text(writer, "xy");
    for (int i = 0; i < 2; i++) {
        tl_one(runtime, &event); /* level */
        ck_assert_uint_eq(event.event_type, ASYNC_EVENT_READ | ASYNC_EVENT_CONSOLE);
        ck_assert_ptr_eq(event.context, tl_context(3));
        ck_assert(ReadFile(reader, &byte, 1, &count, NULL));
    }
    tl_quiet(runtime);
    CloseHandle(writer);
    tl_one(runtime, &event);
    ck_assert_uint_eq(event.event_type, ASYNC_EVENT_READ | ASYNC_EVENT_CONSOLE | ASYNC_EVENT_CLOSE);
    TL_OK(async_runtime_remove(runtime, event.fd));
    tl_quiet(runtime);
    CloseHandle(reader);
}
END_TEST

/* ---- descriptors */

START_TEST(test_foreign_port)
{
    HANDLE port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
    async_fd_t fds[2];
    async_event_t event;
    OVERLAPPED_ENTRY entry;
    char buffer[8];
    ULONG count;

    tl_tcp_pair(fds);
    ck_assert_ptr_nonnull(CreateIoCompletionPort((HANDLE)fds[0], port, 99, 0));
    TL_OK(async_runtime_add(runtime, fds[0], ASYNC_EVENT_READ, tl_context(1)));
    TL_FAILS(async_runtime_add(runtime, fds[0], ASYNC_EVENT_READ, NULL), EEXIST);
    tl_send_text(fds[1], "x");
    tl_expect_io(runtime, fds[0], ASYNC_EVENT_READ, tl_context(1));
    tl_recv_text(fds[0], "x");
    TL_OK(async_runtime_modify(runtime, fds[0], 0, tl_context(2)));
    for (int i = 0; i < 20; i++) {
        TL_OK(async_runtime_post_read(runtime, fds[0], buffer, sizeof(buffer)));
        if (i % 2 == 0)
            tl_quiet(runtime);
        tl_send_text(fds[1], "abc");
        tl_one(runtime, &event);
        ck_assert_uint_eq(event.event_type, ASYNC_EVENT_COMPLETION | ASYNC_EVENT_READ);
        ck_assert_uint_eq(event.bytes_transferred, 3);
        ck_assert_int_eq(event.error, 0);
    }
    TL_OK(async_runtime_post_read(runtime, fds[0], buffer, sizeof(buffer)));
    TL_OK(async_runtime_remove(runtime, fds[0]));
    tl_one(runtime, &event);
    ck_assert_int_eq(event.error, ECANCELED);
    /* nothing of it went to the other port */
    ck_assert(!GetQueuedCompletionStatusEx(port, &entry, 1, &count, 0, FALSE));
    tl_close_pair(fds);
    CloseHandle(port);
}
END_TEST

/* A program's own overlapped calls on a socket that it has added are none of ours. */
START_TEST(test_own_overlapped_calls)
{
    async_fd_t fds[2];
    OVERLAPPED overlapped = {.Internal = 0};
    char buffer[8];
    WSABUF wsabuf = {.len = sizeof(buffer), .buf = buffer};
    DWORD flags = 0, count;
    int rc, error;

    tl_tcp_pair(fds);
    TL_OK(async_runtime_add(runtime, fds[0], 0, NULL));
    rc = WSARecv((SOCKET)fds[0], &wsabuf, 1, NULL, &flags, &overlapped, NULL);
    error = WSAGetLastError();
    ck_assert(rc == SOCKET_ERROR && error == WSA_IO_PENDING);
    tl_send_text(fds[1], "mine");
    tl_quiet(runtime);
    ck_assert(WSAGetOverlappedResult((SOCKET)fds[0], &overlapped, &count, TRUE, &flags));
    ck_assert_uint_eq(count, 4);
    TL_OK(async_runtime_remove(runtime, fds[0]));
    tl_close_pair(fds);
}
END_TEST

START_TEST(test_no_socket)
{
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);

    TL_FAILS(async_runtime_add(runtime, (async_fd_t)event, ASYNC_EVENT_READ, NULL), EPERM);
    CloseHandle(event);
    TL_FAILS(async_runtime_add(runtime, (async_fd_t)event, ASYNC_EVENT_READ, NULL), EBADF);
    TL_FAILS_WITH(async_runtime_get_fd(runtime), ASYNC_INVALID_FD, ENOTSUP);
}
END_TEST

static void add(Suite *suite)
{
    TCase *tcase = tl_case(suite, "parts");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_worker);
    tcase_add_test(tcase, test_worker_stop_handle);
    tcase_add_test(tcase, test_workers_many);
    tcase_add_test(tcase, test_pool);
    tcase_add_test(tcase, test_signals);
    tcase_add_test(tcase, test_resolver);
    tcase_add_test(tcase, test_foreign_port);
    tcase_add_test(tcase, test_own_overlapped_calls);
    tcase_add_test(tcase, test_no_socket);
    tcase = tl_case(suite, "console");
    tcase_add_checked_fixture(tcase, setup_console, teardown_console);
    tcase_add_test(tcase, test_console_pipe);
    tcase_add_test(tcase, test_console_stop);
    tcase_add_test(tcase, test_console_full_queue);
    tcase_add_test(tcase, test_console_file);
    tcase_add_test(tcase, test_console_null_device);
    tcase_add_test(tcase, test_add_console);
}

int main(void)
{
    return tl_main("win32", add);
}

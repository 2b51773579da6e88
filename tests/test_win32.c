/* SPDX-License-Identifier: MIT */
/*
 * What only Windows has: the stop HANDLE beside others, console control events as signals, sockets
 * that are bound to another completion port, overlapped calls of the program's own.
 */
#include "testlib.h"

#include <signal.h>

#include <windows.h>

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

/* Waits as a Windows program does: for the stop beside something else. */
static void *until_handle(void *context)
{
    HANDLE handles[2] = {async_worker_get_stop_handle(async_worker_current()), context};

    return WaitForMultipleObjects(2, handles, FALSE, TL_WAIT_MS) == WAIT_OBJECT_0 ? context : NULL;
}

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

/* Standard input that is a pipe is a handle, no socket: not an operation's. */
START_TEST(test_no_operation)
{
    async_handle_t writer = tl_input_pipe();
    char buffer[4];

    TL_OK(async_runtime_add_console(runtime, NULL));
    TL_FAILS(async_runtime_post_read(runtime, tl_input_fd(), buffer, sizeof(buffer)), ENOTSUP);
    TL_OK(async_runtime_remove(runtime, tl_input_fd()));
    tl_file_close(writer);
    tl_input_null();
}
END_TEST

static void add(Suite *suite)
{
    TCase *tcase = tl_case_after(suite, "parts", tl_input_null);

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_worker_stop_handle);
    tcase_add_test(tcase, test_signals);
    tcase_add_test(tcase, test_foreign_port);
    tcase_add_test(tcase, test_own_overlapped_calls);
    tcase_add_test(tcase, test_no_socket);
    tcase_add_test(tcase, test_no_operation);
}

int main(void)
{
    return tl_main("win32", add);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_runtime_pipe.c - operations where they could go wrong on POSIX only: SIGPIPE, pipes,
 * terminals, blocking descriptors
 */
#include "testlib.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#define READ ASYNC_EVENT_READ
#define WRITE ASYNC_EVENT_WRITE
#define CLOSE ASYNC_EVENT_CLOSE
#define DONE ASYNC_EVENT_COMPLETION
#define LARGE ((size_t)1 << 20)

static async_runtime_t *runtime;
static int fds[2];

/* The pipe is blocking, as one gets it from popen() or a parent. */
static void setup(void)
{
    ck_assert(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    runtime = tl_runtime();
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    TL_OK(async_runtime_add(runtime, fds[0], 0, tl_context(10)));
    TL_OK(async_runtime_add(runtime, fds[1], 0, tl_context(11)));
}

static void teardown(void)
{
    async_runtime_deinit(runtime);
    tl_close_pair(fds);
}

static void expect_end(int fd, uint32_t bits, const void *buffer, size_t count, int error)
{
    async_event_t event;

    tl_one(runtime, &event);
    ck_assert_msg(event.event_type == bits, "event %#x, not %#x", event.event_type, bits);
    ck_assert_int_eq(event.fd, fd);
    ck_assert_ptr_eq(event.buffer, buffer);
    ck_assert_int_eq(event.error, error);
    ck_assert_uint_eq(event.bytes_transferred, count);
}

/* ---- SIGPIPE: "Writing to a closed peer ends with EPIPE and never raises SIGPIPE." */

START_TEST(test_pipe_without_reader)
{
    static const char text[] = "x";

    TL_OK(async_runtime_remove(runtime, fds[0]));
    tl_close(fds[0]);
    fds[0] = ASYNC_INVALID_FD;
    for (int i = 0; i < 3; i++) {
        TL_OK(async_runtime_post_write(runtime, fds[1], text, 1));
        expect_end(fds[1], DONE | WRITE, text, 0, EPIPE);
    }
}
END_TEST

START_TEST(test_socket_without_reader)
{
    static const char text[] = "x";
    int pair[2];

    tl_pair(pair);
    tl_close(pair[1]);
    TL_OK(async_runtime_add(runtime, pair[0], 0, NULL));
    for (int i = 0; i < 3; i++) {
        TL_OK(async_runtime_post_write(runtime, pair[0], text, 1));
        expect_end(pair[0], DONE | WRITE, text, 0, EPIPE);
    }
    TL_OK(async_runtime_remove(runtime, pair[0]));
    tl_close(pair[0]);
}
END_TEST

/* The reader goes in the middle of a large write; what is queued behind it ends as well. */
START_TEST(test_reader_goes)
{
    char *block = calloc(1, LARGE);
    async_event_t event;

    ck_assert_ptr_nonnull(block);
    TL_OK(async_runtime_post_write(runtime, fds[1], block, LARGE));
    TL_OK(async_runtime_post_write(runtime, fds[1], block + 1, 1));
    tl_quiet(runtime);
    TL_OK(async_runtime_remove(runtime, fds[0]));
    tl_close(fds[0]);
    fds[0] = ASYNC_INVALID_FD;
    tl_one(runtime, &event);
    ck_assert_uint_eq(event.event_type & (DONE | WRITE), DONE | WRITE);
    ck_assert_ptr_eq(event.buffer, block);
    ck_assert_int_eq(event.error, EPIPE);
    ck_assert_uint_lt(event.bytes_transferred, LARGE);
    tl_one(runtime, &event);
    ck_assert_ptr_eq(event.buffer, block + 1);
    ck_assert_int_eq(event.error, EPIPE);
    tl_quiet(runtime);
    free(block);
}
END_TEST

/* The program's own use of SIGPIPE is as it was: disposition, mask, and a pending one. */
START_TEST(test_own_sigpipe)
{
    static const char text[] = "x";
    struct sigaction action;
    sigset_t mask;
    sigset_t pending;

    ck_assert_int_eq(sigemptyset(&mask), 0);
    ck_assert_int_eq(sigaddset(&mask, SIGPIPE), 0);
    ck_assert_int_eq(sigprocmask(SIG_BLOCK, &mask, NULL), 0);
    ck_assert_int_eq(raise(SIGPIPE), 0);
    TL_OK(async_runtime_remove(runtime, fds[0]));
    tl_close(fds[0]);
    fds[0] = ASYNC_INVALID_FD;
    TL_OK(async_runtime_post_write(runtime, fds[1], text, 1));
    expect_end(fds[1], DONE | WRITE, text, 0, EPIPE);
    ck_assert_int_eq(sigpending(&pending), 0);
    ck_assert_int_eq(sigismember(&pending, SIGPIPE), 1);
    ck_assert_int_eq(sigprocmask(SIG_BLOCK, NULL, &mask), 0);
    ck_assert_int_eq(sigismember(&mask, SIGPIPE), 1);
    ck_assert_int_eq(sigaction(SIGPIPE, NULL, &action), 0);
    ck_assert(action.sa_handler == SIG_DFL);
}
END_TEST

/* ---- pipes */

START_TEST(test_pipe_reads)
{
    char buffers[3][8];

    for (int i = 0; i < 3; i++)
        TL_OK(async_runtime_post_read(runtime, fds[0], buffers[i], 8));
    tl_quiet(runtime); /* the pipe is blocking: this must not wait for data */
    ck_assert_int_eq(write(fds[1], "one", 3), 3);
    expect_end(fds[0], DONE | READ, buffers[0], 3, 0);
    tl_quiet(runtime);
    ck_assert_int_eq(write(fds[1], "four", 4), 4);
    expect_end(fds[0], DONE | READ, buffers[1], 4, 0);
    TL_OK(async_runtime_remove(runtime, fds[1]));
    tl_close(fds[1]);
    fds[1] = ASYNC_INVALID_FD;
    expect_end(fds[0], DONE | READ | CLOSE, buffers[2], 0, 0);
    ck_assert_mem_eq(buffers[0], "one", 3);
    ck_assert_mem_eq(buffers[1], "four", 4);
    tl_quiet(runtime);
}
END_TEST

/* A write that is larger than the pipe must not block the loop; the reader takes odd portions. */
START_TEST(test_pipe_large_write)
{
    unsigned char *block = malloc(LARGE);
    static unsigned char chunk[7777];
    size_t received = 0;
    bool written = false;

    ck_assert_ptr_nonnull(block);
    for (size_t i = 0; i < LARGE; i++)
        block[i] = (unsigned char)(i * 2654435761u >> 11);
    TL_OK(async_runtime_post_write(runtime, fds[1], block, LARGE));
    TL_OK(async_runtime_modify(runtime, fds[0], READ, NULL));
    while (received < LARGE || !written) {
        async_event_t event;
        ssize_t count;

        tl_one(runtime, &event);
        if (event.fd == fds[1]) {
            ck_assert(!written);
            ck_assert_uint_eq(event.event_type, DONE | WRITE);
            ck_assert_uint_eq(event.bytes_transferred, LARGE);
            ck_assert_uint_ge(received, LARGE - 65536);
            written = true;
            continue;
        }
        ck_assert_uint_eq(event.event_type, READ);
        count = read(fds[0], chunk, sizeof chunk);
        ck_assert_int_gt(count, 0);
        ck_assert_mem_eq(chunk, block + received, (size_t)count);
        received += (size_t)count;
    }
    ck_assert_uint_eq(received, LARGE);
    tl_quiet(runtime);
    free(block);
}
END_TEST

/* The same with the buffer full before, and both ends by operations. */
START_TEST(test_pipe_both_ends)
{
    unsigned char *block = calloc(1, LARGE);
    static unsigned char chunk[70000];
    size_t received = 0;
    int written = 0;

    ck_assert_ptr_nonnull(block);
    for (int i = 0; i < 3; i++)
        TL_OK(async_runtime_post_write(runtime, fds[1], block, LARGE));
    tl_quiet(runtime);
    TL_OK(async_runtime_post_read(runtime, fds[0], chunk, sizeof chunk));
    while (written < 3 || received < 3 * LARGE) {
        async_event_t event;

        tl_one(runtime, &event);
        ck_assert_int_eq(event.error, 0);
        if (event.fd == fds[1]) {
            written++;
            continue;
        }
        received += event.bytes_transferred;
        if (received < 3 * LARGE)
            TL_OK(async_runtime_post_read(runtime, fds[0], chunk, sizeof chunk));
    }
    ck_assert_uint_eq(received, 3 * LARGE);
    free(block);
}
END_TEST

START_TEST(test_pipe_cancel)
{
    char *block = calloc(1, LARGE);
    char buffer[8];
    async_event_t event;

    ck_assert_ptr_nonnull(block);
    TL_OK(async_runtime_post_read(runtime, fds[0], buffer, 8));
    TL_OK(async_runtime_remove(runtime, fds[0]));
    expect_end(fds[0], DONE | READ, buffer, 0, ECANCELED);
    TL_OK(async_runtime_post_write(runtime, fds[1], block, LARGE));
    tl_quiet(runtime);
    TL_OK(async_runtime_remove(runtime, fds[1]));
    tl_one(runtime, &event);
    ck_assert_int_eq(event.error, ECANCELED);
    ck_assert_uint_lt(event.bytes_transferred, LARGE);
    tl_quiet(runtime);
    free(block);
}
END_TEST

/* The direction that a descriptor does not have. */
START_TEST(test_wrong_direction)
{
    char byte = 0;
    async_event_t event;

    TL_OK(async_runtime_post_read(runtime, fds[1], &byte, 1));
    tl_one(runtime, &event);
    ck_assert_uint_eq(event.event_type & (DONE | READ), DONE | READ);
    ck_assert_int_ne(event.error, 0);
    TL_OK(async_runtime_post_write(runtime, fds[0], &byte, 1));
    tl_one(runtime, &event);
    ck_assert_uint_eq(event.event_type & (DONE | WRITE), DONE | WRITE);
    ck_assert_int_ne(event.error, 0);
    tl_quiet(runtime);
}
END_TEST

/* ---- blocking descriptors of other kinds */

START_TEST(test_blocking_sockets)
{
    int pair[2];
    char buffer[8];
    char *block = calloc(1, 4 * LARGE);
    bool written = false;

    ck_assert_ptr_nonnull(block);
    tl_pair(pair);
    tl_set_blocking(pair[0], true);
    TL_OK(async_runtime_add(runtime, pair[0], 0, NULL));
    TL_OK(async_runtime_post_read(runtime, pair[0], buffer, 8));
    tl_quiet(runtime);
    tl_send_text(pair[1], "x");
    expect_end(pair[0], DONE | READ, buffer, 1, 0);
    TL_OK(async_runtime_post_write(runtime, pair[0], block, 4 * LARGE));
    tl_quiet(runtime);
    for (size_t received = 0; received < 4 * LARGE || !written;) {
        async_event_t event;

        received += tl_drain(pair[1]);
        if (async_runtime_wait(runtime, &event, 1, 10) == 1) {
            ck_assert_uint_eq(event.event_type, DONE | WRITE);
            ck_assert_uint_eq(event.bytes_transferred, 4 * LARGE);
            written = true;
        }
    }
    TL_OK(async_runtime_remove(runtime, pair[0]));
    tl_close_pair(pair);
    free(block);
}
END_TEST

static int open_terminal(int *master)
{
    struct termios modes;
    int slave;

    *master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(*master, 0);
    ck_assert_int_eq(grantpt(*master), 0);
    ck_assert_int_eq(unlockpt(*master), 0);
    slave = open(ptsname(*master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(slave, 0);
    ck_assert_int_eq(tcgetattr(slave, &modes), 0);
    modes.c_lflag &= ~(tcflag_t)ECHO;
    modes.c_oflag &= ~(tcflag_t)OPOST;
    ck_assert_int_eq(tcsetattr(slave, TCSANOW, &modes), 0);
    return slave;
}

/*
 * A datagram socket whose reading half the program has shut is readable for ever and has nothing: a
 * read of it has come to its end, and the loop does not spin.
 */
static void check_shut_datagrams(int pair[2])
{
    static const char text[] = "y";
    char buffers[3][8];

    TL_OK(async_runtime_add(runtime, pair[0], 0, NULL));
    for (int i = 0; i < 2; i++)
        TL_OK(async_runtime_post_read(runtime, pair[0], buffers[i], 8));
    tl_quiet(runtime);
    tl_send_text(pair[1], "x");
    expect_end(pair[0], DONE | READ, buffers[0], 1, 0);
    TL_OK(async_runtime_post_read(runtime, pair[0], buffers[2], 8));
    ck_assert_int_eq(shutdown(pair[0], SHUT_RD), 0);
    expect_end(pair[0], DONE | READ | CLOSE, buffers[1], 0, 0);
    expect_end(pair[0], DONE | READ | CLOSE, buffers[2], 0, 0);
    TL_OK(async_runtime_post_read(runtime, pair[0], buffers[0], 8));
    expect_end(pair[0], DONE | READ | CLOSE, buffers[0], 0, 0);
    TL_OK(async_runtime_post_write(runtime, pair[0], text, 1));
    expect_end(pair[0], DONE | WRITE, text, 1, 0);
    tl_recv_text(pair[1], text);
    TL_OK(async_runtime_remove(runtime, pair[0]));
    tl_close_pair(pair);
}

START_TEST(test_shut_datagrams)
{
    int pair[2];

    tl_udp_pair(pair);
    check_shut_datagrams(pair);
}
END_TEST

START_TEST(test_shut_local_datagrams)
{
    int pair[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
    check_shut_datagrams(pair);
}
END_TEST

START_TEST(test_terminal)
{
    static const char text[] = "prompt> ";
    char buffer[64];
    char seen[16];
    int master;
    int slave = open_terminal(&master);

    TL_OK(async_runtime_add(runtime, slave, 0, NULL));
    TL_OK(async_runtime_post_read(runtime, slave, buffer, sizeof buffer));
    tl_quiet(runtime);
    ck_assert_int_eq(write(master, "a line", 6), 6);
    tl_quiet(runtime);
    ck_assert_int_eq(write(master, "\n", 1), 1);
    expect_end(slave, DONE | READ, buffer, 7, 0);
    ck_assert_mem_eq(buffer, "a line\n", 7);
    TL_OK(async_runtime_post_write(runtime, slave, text, 8));
    expect_end(slave, DONE | WRITE, text, 8, 0);
    ck_assert_int_eq(read(master, seen, sizeof seen), 8);
    ck_assert_mem_eq(seen, text, 8);
    TL_OK(async_runtime_remove(runtime, slave));
    tl_close(slave);
    tl_close(master);
}
END_TEST

/* More than the terminal's buffer takes, and nobody reads it: the loop goes on all the same. */
START_TEST(test_terminal_full)
{
    int master;
    int slave = open_terminal(&master);
    char *block = malloc(LARGE);
    static char chunk[4096];
    bool written = false;

    ck_assert_ptr_nonnull(block);
    memset(block, 'x', LARGE);
    TL_OK(async_runtime_add(runtime, slave, 0, NULL));
    TL_OK(async_runtime_post_write(runtime, slave, block, LARGE));
    tl_quiet(runtime);
    TL_OK(async_runtime_add(runtime, master, READ, NULL));
    for (size_t received = 0; received < LARGE || !written;) {
        async_event_t event;
        ssize_t count;

        tl_one(runtime, &event);
        if (event.fd == slave) {
            ck_assert_uint_eq(event.event_type, DONE | WRITE);
            ck_assert_int_eq(event.error, 0);
            ck_assert_uint_eq(event.bytes_transferred, LARGE);
            written = true;
            continue;
        }
        count = read(master, chunk, sizeof chunk);
        ck_assert_int_gt(count, 0);
        received += (size_t)count;
    }
    TL_OK(async_runtime_remove(runtime, slave));
    TL_OK(async_runtime_remove(runtime, master));
    tl_close(slave);
    tl_close(master);
    free(block);
}
END_TEST

/* The flags of an open file are shared with other processes: they are as the program set them. */
START_TEST(test_flags_stay)
{
    static const char text[] = "x";
    char byte;
    int flags[2] = {fcntl(fds[0], F_GETFL), fcntl(fds[1], F_GETFL)};

    TL_OK(async_runtime_post_read(runtime, fds[0], &byte, 1));
    ck_assert_int_eq(fcntl(fds[0], F_GETFL), flags[0]);
    TL_OK(async_runtime_post_write(runtime, fds[1], text, 1));
    for (int i = 0; i < 2; i++) {
        async_event_t event;

        tl_one(runtime, &event);
        ck_assert_int_eq(event.error, 0);
        ck_assert_int_eq(fcntl(fds[0], F_GETFL), flags[0]);
        ck_assert_int_eq(fcntl(fds[1], F_GETFL), flags[1]);
    }
}
END_TEST

static void add_cases(Suite *suite)
{
    TCase *tcase = tl_case(suite, "SIGPIPE");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_pipe_without_reader);
    tcase_add_test(tcase, test_socket_without_reader);
    tcase_add_test(tcase, test_reader_goes);
    tcase_add_test(tcase, test_own_sigpipe);

    tcase = tl_case(suite, "pipes");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_pipe_reads);
    tcase_add_test(tcase, test_pipe_large_write);
    tcase_add_test(tcase, test_pipe_both_ends);
    tcase_add_test(tcase, test_pipe_cancel);
    tcase_add_test(tcase, test_wrong_direction);

    tcase = tl_case(suite, "blocking");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_blocking_sockets);
    tcase_add_test(tcase, test_shut_datagrams);
    tcase_add_test(tcase, test_shut_local_datagrams);
    tcase_add_test(tcase, test_terminal);
    tcase_add_test(tcase, test_terminal_full);
    tcase_add_test(tcase, test_flags_stay);
}

int main(void)
{
    return tl_main("runtime_pipe", add_cases);
}

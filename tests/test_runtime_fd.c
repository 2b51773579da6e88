/* SPDX-License-Identifier: MIT */
/*
 * test_runtime_fd.c - descriptors that only POSIX has: files, pipes, terminals, duplicates
 */
#include "testlib.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ ASYNC_EVENT_READ
#define WRITE ASYNC_EVENT_WRITE
#define ERROR ASYNC_EVENT_ERROR
#define CLOSE ASYNC_EVENT_CLOSE

static async_runtime_t *runtime;
static int fds[2];

static void setup(void)
{
    runtime = tl_runtime();
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
}

static void teardown(void)
{
    async_runtime_deinit(runtime);
    tl_close_pair(fds);
}

static void close_end(int end)
{
    tl_close(fds[end]);
    fds[end] = ASYNC_INVALID_FD;
}

/* ---- files: "a regular file: EPERM"; a directory as well */

START_TEST(test_regular_file)
{
    FILE *file = tmpfile();
    int directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd;

    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(directory, 0);
    fd = fileno(file);
    TL_FAILS(async_runtime_add(runtime, fd, READ, NULL), EPERM);
    TL_FAILS(async_runtime_add(runtime, fd, WRITE, NULL), EPERM);
    TL_FAILS(async_runtime_add(runtime, fd, 0, NULL), EPERM);
    TL_FAILS(async_runtime_add(runtime, fd, READ | ASYNC_EVENT_ONESHOT, NULL), EPERM);
    TL_FAILS(async_runtime_add(runtime, directory, READ, NULL), EPERM);
    TL_FAILS(async_runtime_remove(runtime, fd), ENOENT); /* not registered */
    ck_assert_uint_eq(tl_stats(runtime).registered, 0);
    fclose(file);
    tl_close(directory);
}
END_TEST

/* ---- pipes */

START_TEST(test_pipe_read)
{
    char byte;

    TL_OK(async_runtime_add(runtime, fds[0], READ, tl_context(1)));
    tl_quiet(runtime);
    ck_assert_int_eq(write(fds[1], "ab", 2), 2);
    tl_expect_io(runtime, fds[0], READ, tl_context(1));
    ck_assert_int_eq(read(fds[0], &byte, 1), 1);
    close_end(1);
    /* "CLOSE comes (beside READ)": data is left, and the end is known */
    tl_expect_io(runtime, fds[0], READ | CLOSE, tl_context(1));
    ck_assert_int_eq(read(fds[0], &byte, 1), 1);
    tl_expect_io(runtime, fds[0], READ | CLOSE, tl_context(1)); /* and also without data */
    ck_assert_int_eq(read(fds[0], &byte, 1), 0);
    TL_OK(async_runtime_modify(runtime, fds[0], 0, NULL));
    tl_quiet(runtime);
}
END_TEST

START_TEST(test_pipe_write)
{
    uint32_t bits;

    TL_OK(async_runtime_add(runtime, fds[1], WRITE, tl_context(1)));
    tl_expect_io(runtime, fds[1], WRITE, tl_context(1));
    while (write(fds[1], "0123456789", 10) > 0)
        continue;
    tl_quiet(runtime);
    close_end(0);
    bits = tl_until_io(runtime, fds[1], ERROR, READ); /* what a write would fail with is pending */
    ck_assert_uint_ne(bits, 0);
    TL_OK(async_runtime_modify(runtime, fds[1], 0, NULL));
    tl_quiet(runtime);
}
END_TEST

/* A full hang-up of a local socket is told to one who only writes. */
START_TEST(test_hangup_while_writing)
{
    int pair[2];

    tl_pair(pair);
    TL_OK(async_runtime_add(runtime, pair[0], WRITE, NULL));
    tl_expect_io(runtime, pair[0], WRITE, NULL);
    tl_close(pair[1]);
    (void)tl_until_io(runtime, pair[0], CLOSE, READ);
    TL_OK(async_runtime_modify(runtime, pair[0], READ, NULL));
    tl_expect_io(runtime, pair[0], READ | CLOSE, NULL);
    TL_OK(async_runtime_remove(runtime, pair[0]));
    tl_close(pair[0]);
}
END_TEST

START_TEST(test_fifo)
{
    char path[] = "/tmp/asyncrt-test-XXXXXX";
    char name[64];
    int reader;
    int writer;

    ck_assert_ptr_nonnull(mkdtemp(path));
    (void)snprintf(name, sizeof name, "%s/fifo", path);
    ck_assert_int_eq(mkfifo(name, 0600), 0);
    reader = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ck_assert_int_ge(reader, 0);
    TL_OK(async_runtime_add(runtime, reader, READ, NULL));
    writer = open(name, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    ck_assert_int_ge(writer, 0);
    tl_quiet(runtime);
    ck_assert_int_eq(write(writer, "x", 1), 1);
    tl_expect_io(runtime, reader, READ, NULL);
    tl_close(writer);
    tl_expect_io(runtime, reader, READ | CLOSE, NULL);
    TL_OK(async_runtime_remove(runtime, reader));
    tl_close(reader);
    unlink(name);
    rmdir(path);
}
END_TEST

START_TEST(test_terminal)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    int slave;

    ck_assert_int_ge(master, 0);
    ck_assert_int_eq(grantpt(master), 0);
    ck_assert_int_eq(unlockpt(master), 0);
    slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(slave, 0);
    TL_OK(async_runtime_add(runtime, slave, READ, tl_context(1)));
    tl_quiet(runtime);
    ck_assert_int_eq(write(master, "no line yet", 11), 11);
    tl_quiet(runtime);
    ck_assert_int_eq(write(master, "\n", 1), 1);
    tl_expect_io(runtime, slave, READ, tl_context(1));
    TL_OK(async_runtime_remove(runtime, slave));
    tl_close(slave);
    tl_close(master);
}
END_TEST

/* ---- duplicates: two numbers of one open file are two registrations */

START_TEST(test_duplicates)
{
    int copy = fcntl(fds[0], F_DUPFD_CLOEXEC, 0);
    async_event_t events[4];
    int seen = 0;

    ck_assert_int_ge(copy, 0);
    TL_OK(async_runtime_add(runtime, fds[0], READ, tl_context(1)));
    TL_OK(async_runtime_add(runtime, copy, READ, tl_context(2)));
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    ck_assert_int_eq(tl_some(runtime, events, 4), 2);
    for (int i = 0; i < 2; i++) {
        ck_assert_ptr_eq(events[i].context, tl_context(events[i].fd == copy ? 2 : 1));
        seen += events[i].fd;
    }
    ck_assert_int_eq(seen, fds[0] + copy);
    TL_OK(async_runtime_remove(runtime, copy));
    tl_expect_io(runtime, fds[0], READ, tl_context(1));
    tl_expect_io(runtime, fds[0], READ, tl_context(1));
    tl_close(copy);
}
END_TEST

/* The open file outlives the number: epoll goes on to watch it under the old one. */
START_TEST(test_closed_while_a_duplicate_lives)
{
    int old = fds[0];
    int copy = fcntl(fds[0], F_DUPFD_CLOEXEC, 0);
    int pair[2];
    async_event_t event;

    ck_assert_int_ge(copy, 0);
    TL_OK(async_runtime_add(runtime, fds[0], READ, tl_context(1)));
    close_end(0); /* without remove */
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    ck_assert_int_eq(pair[0], old); /* the number is used again */
    TL_OK(async_runtime_add(runtime, pair[0], READ, tl_context(2)));
    for (int i = 0; i < 5; i++) {
        int count = async_runtime_wait(runtime, &event, 1, 5);

        ck_assert_msg(count == 0, "event %#x, context %p", event.event_type, event.context);
    }
    ck_assert_int_eq(write(pair[1], "y", 1), 1);
    tl_expect_io(runtime, old, READ, tl_context(2));
    TL_OK(async_runtime_modify(runtime, old, WRITE, tl_context(3)));
    tl_expect_io(runtime, old, WRITE, tl_context(3));
    TL_OK(async_runtime_remove(runtime, old));
    ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, 5), 0);
    TL_OK(async_runtime_add(runtime, copy, READ, tl_context(4)));
    tl_expect_io(runtime, copy, READ, tl_context(4));
    TL_OK(async_runtime_remove(runtime, copy));
    tl_close(copy);
    tl_close_pair(pair);
}
END_TEST

/* "After remove(fd) no event of that registration": also not by way of a duplicate */
START_TEST(test_removed_while_a_duplicate_lives)
{
    int copy = fcntl(fds[0], F_DUPFD_CLOEXEC, 0);

    ck_assert_int_ge(copy, 0);
    TL_OK(async_runtime_add(runtime, fds[0], READ, NULL));
    TL_OK(async_runtime_remove(runtime, fds[0]));
    close_end(0);
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    tl_quiet(runtime);
    tl_close(copy);
}
END_TEST

/* dup2 puts another file under a number that is registered: as close without remove. */
START_TEST(test_dup2_over_a_registered_number)
{
    int pair[2];
    int number = fds[0];

    tl_pair(pair);
    TL_OK(async_runtime_add(runtime, number, READ, tl_context(1)));
    ck_assert_int_eq(dup3(pair[0], number, O_CLOEXEC), number);
    TL_OK(async_runtime_add(runtime, number, READ, tl_context(2)));
    tl_quiet(runtime);
    ck_assert_int_eq(write(pair[1], "x", 1), 1);
    tl_expect_io(runtime, number, READ, tl_context(2));
    tl_close_pair(pair);
}
END_TEST

/* As closed without remove, and the number is that of a file which was never added: no event of it,
 * and what waits to be read from the old one takes nothing from it. */
START_TEST(test_number_of_another_file)
{
    async_event_t events[4];
    char buffer[4], text[4];
    int pair[2], number = fds[0], n;

    tl_pair(pair);
    TL_OK(async_runtime_add(runtime, number, READ, tl_context(1)));
    if (_i != 0)
        TL_OK(async_runtime_post_read(runtime, number, buffer, sizeof(buffer)));
    tl_quiet(runtime);
    ck_assert_int_eq(write(pair[1], "x", 1), 1);
    ck_assert_int_eq(dup3(pair[0], number, O_CLOEXEC), number);
    n = async_runtime_wait(runtime, events, 4, 0);
    for (int i = 0; i < n; i++) {
        /* the read may end with its file */
        ck_assert_uint_eq(events[i].event_type, ASYNC_EVENT_COMPLETION | READ);
        ck_assert_uint_eq(events[i].bytes_transferred, 0);
    }
    ck_assert_int_eq(read(number, text, sizeof(text)), 1);
    TL_OK(async_runtime_add(runtime, number, WRITE, tl_context(2)));
    for (n = 0; n == 0 || events[0].event_type != WRITE; n++) {
        ck_assert_int_lt(n, 3);
        tl_one(runtime, &events[0]);
    }
    ck_assert_ptr_eq(events[0].context, tl_context(2));
    tl_close_pair(pair);
}
END_TEST

/* ---- numbers */

/* A single high number makes no trouble, and a number is no index into what is waited for. */
START_TEST(test_high_number)
{
    struct rlimit limit;
    int high;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    high = limit.rlim_cur > 60000 ? 60000 : (int)limit.rlim_cur - 1;
    high = fcntl(fds[0], F_DUPFD_CLOEXEC, high);
    ck_assert_int_ge(high, 0);
    TL_OK(async_runtime_add(runtime, high, READ, tl_context(1)));
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    tl_expect_io(runtime, high, READ, tl_context(1));
    TL_OK(async_runtime_remove(runtime, high));
    tl_quiet(runtime);
    tl_close(high);
}
END_TEST

/* Thousands of descriptors, a few of them busy. */
START_TEST(test_thousands)
{
    enum { COUNT = 3000 };
    static int pairs[COUNT][2];
    struct rlimit limit;
    size_t count;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    count = limit.rlim_cur / 2 - 30 < COUNT ? (size_t)limit.rlim_cur / 2 - 30 : COUNT;
    for (size_t i = 0; i < count; i++) {
        tl_pair(pairs[i]);
        TL_OK(async_runtime_add(runtime, pairs[i][0], READ, tl_context(i)));
    }
    tl_quiet(runtime);
    for (size_t round = 0; round < 50; round++) {
        size_t i = round * 631 % count;
        char byte;

        ck_assert_int_eq(write(pairs[i][1], "x", 1), 1);
        tl_expect_io(runtime, pairs[i][0], READ, tl_context(i));
        ck_assert_int_eq(read(pairs[i][0], &byte, 1), 1);
    }
    for (size_t i = 0; i < count; i += 2)
        TL_OK(async_runtime_remove(runtime, pairs[i][0]));
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(write(pairs[i][1], "x", 1), 1);
    for (size_t total = 0; total < count / 2;) {
        async_event_t events[100];
        int got = tl_some(runtime, events, 100);

        for (int k = 0; k < got; k++) {
            char byte;

            ck_assert_uint_eq((uintptr_t)events[k].context % 2, 1);
            ck_assert_int_eq(read(events[k].fd, &byte, 1), 1);
        }
        total += (size_t)got;
    }
    tl_quiet(runtime);
    async_runtime_deinit(runtime);
    runtime = NULL;
    for (size_t i = 0; i < count; i++)
        tl_close_pair(pairs[i]);
}
END_TEST

/* ---- standard input: more than test_runtime_console.c has of it */

static void expect_input(void *context)
{
    tl_expect_io(runtime, STDIN_FILENO, READ | ASYNC_EVENT_CONSOLE, context);
}

START_TEST(test_terminal_input)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    char buffer[16];

    ck_assert_int_ge(master, 0);
    ck_assert_int_eq(grantpt(master), 0);
    ck_assert_int_eq(unlockpt(master), 0);
    tl_input_become(open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC));
    TL_OK(async_runtime_add_console(runtime, tl_context(2)));
    ck_assert_int_eq(async_runtime_get_console_type(runtime), ASYNC_CONSOLE_TYPE_REAL);
    ck_assert_int_eq(write(master, "half a ", 7), 7);
    tl_quiet(runtime); /* the terminal's own editing holds it */
    ck_assert_int_eq(write(master, "line\n", 5), 5);
    expect_input(tl_context(2));
    ck_assert_int_eq(read(STDIN_FILENO, buffer, sizeof buffer), 12);
    tl_quiet(runtime);
    ck_assert_int_eq(write(master, "\004", 1), 1); /* end of file, as a terminal has it */
    expect_input(tl_context(2));
    ck_assert_int_eq(read(STDIN_FILENO, buffer, sizeof buffer), 0);
    tl_quiet(runtime);
    tl_close(master);
}
END_TEST

/* "O_NONBLOCK of standard input [is] left alone": it is shared with whoever has it, too */
START_TEST(test_input_flags)
{
    int writer = tl_input_pipe();
    int before = fcntl(STDIN_FILENO, F_GETFL);

    ck_assert_int_eq(before & O_NONBLOCK, 0);
    TL_OK(async_runtime_add_console(runtime, NULL));
    ck_assert_int_eq(fcntl(STDIN_FILENO, F_GETFL), before);
    ck_assert_int_eq(write(writer, "x", 1), 1);
    expect_input(NULL);
    ck_assert_int_eq(fcntl(STDIN_FILENO, F_GETFL), before);
    async_runtime_deinit(runtime);
    runtime = NULL;
    ck_assert_int_eq(fcntl(STDIN_FILENO, F_GETFL), before);
    ck_assert_int_ge(fcntl(STDIN_FILENO, F_GETFD), 0); /* open still */
    tl_close(writer);
}
END_TEST

/* ---- no descriptors */

static void set_limit(rlim_t limit)
{
    struct rlimit rlimit;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &rlimit), 0);
    rlimit.rlim_cur = limit;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &rlimit), 0);
}

/* "EMFILE": at each step of the making of a runtime; what it had opened before is closed */
START_TEST(test_no_descriptors)
{
    async_runtime_t *made = NULL;
    struct rlimit before;
    int open_before = tl_fd_count();
    int first = dup(0);
    int needed;
    int pair[2];
    async_event_t event;

    ck_assert_int_ge(first, 0);
    tl_close(first);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    tl_pair(pair); /* takes two numbers that are below the limit */
    for (needed = 0; made == NULL && needed < 20; needed++) {
        set_limit((rlim_t)(first + 2 + needed));
        errno = 0;
        made = async_runtime_init();
        if (made == NULL)
            ck_assert_int_eq(errno, EMFILE);
        set_limit(before.rlim_cur);
        if (made == NULL)
            ck_assert_int_eq(tl_fd_count(), open_before + 2);
    }
    ck_assert_ptr_nonnull(made);
    ck_assert_int_le(needed, 6); /* "no descriptor that was not asked for" */

    /* With none left it works on. */
    set_limit((rlim_t)(first + 2 + needed - 1));
    TL_OK(async_runtime_add(made, pair[0], READ | ASYNC_EVENT_ONESHOT, NULL));
    TL_OK(async_runtime_post_completion(made, 1, 2));
    tl_expect_completion(made, 1, 2);
    tl_send_text(pair[1], "x");
    tl_expect_io(made, pair[0], READ, NULL);
    TL_OK(async_runtime_wakeup(made));
    TL_OK(async_runtime_wait(made, &event, 1, -1));
    ck_assert_uint_ne(async_runtime_add_timer(made, 0, 0, NULL), 0);
    ck_assert_int_eq(async_runtime_wait(made, &event, 1, -1), 1);
    if (async_runtime_add_signal(made, SIGUSR1, NULL) != 0)
        ck_assert_int_eq(errno, EMFILE);
    if (async_runtime_get_fd(made) == ASYNC_INVALID_FD)
        ck_assert(errno == EMFILE || errno == ENOTSUP);
    set_limit(before.rlim_cur);
    async_runtime_deinit(made);
    tl_close_pair(pair);
}
END_TEST

/* A hang-up on a descriptor that is to be silent does not keep out what is to be heard. */
START_TEST(test_silent_hangups_take_no_place)
{
    enum { SILENT = 3 };
    async_fd_t pairs[SILENT][2];
    async_event_t events[2];

    TL_OK(async_runtime_add(runtime, fds[0], READ, NULL));
    for (int i = 0; i < SILENT; i++) {
        tl_pair(pairs[i]);
        TL_OK(async_runtime_add(runtime, pairs[i][0], 0, NULL));
        tl_close(pairs[i][1]);
        pairs[i][1] = ASYNC_INVALID_FD;
    }
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    for (int i = 0; i < SILENT; i++) {
        ck_assert_int_eq(async_runtime_wait(runtime, events, 1, 0), 1);
        ck_assert_int_eq(events[0].fd, fds[0]);
    }
    for (int i = 0; i < SILENT; i++) {
        TL_OK(async_runtime_modify(runtime, pairs[i][0], READ, NULL));
        TL_OK(async_runtime_modify(runtime, pairs[i][0], 0, NULL));
    }
    TL_OK(async_runtime_post_completion(runtime, 1, 2));
    ck_assert_int_eq(async_runtime_wait(runtime, events, 2, 0), 2);
    for (int i = 0; i < SILENT; i++)
        tl_close_pair(pairs[i]);
}
END_TEST

/* Nor does one that was closed without remove. */
START_TEST(test_closed_one_takes_no_turn)
{
    async_fd_t pairs[3][2];
    async_event_t events[4];

    for (int i = 0; i < 3; i++) {
        tl_pair(pairs[i]);
        TL_OK(async_runtime_add(runtime, pairs[i][0], READ, NULL));
    }
    tl_send_text(pairs[1][1], "x");
    tl_expect_io(runtime, pairs[1][0], READ, NULL);
    tl_send_text(pairs[2][1], "x");
    tl_close(pairs[0][0]);
    pairs[0][0] = ASYNC_INVALID_FD;
    ck_assert_int_eq(async_runtime_wait(runtime, events, 4, 0), 2);
    for (int i = 0; i < 3; i++)
        tl_close_pair(pairs[i]);
}
END_TEST

static void add_cases(Suite *suite)
{
    TCase *tcase = tl_case(suite, "kinds");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_regular_file);
    tcase_add_test(tcase, test_pipe_read);
    tcase_add_test(tcase, test_pipe_write);
    tcase_add_test(tcase, test_hangup_while_writing);
    tcase_add_test(tcase, test_fifo);
    tcase_add_test(tcase, test_terminal);

    tcase = tl_case(suite, "numbers");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_duplicates);
    tcase_add_test(tcase, test_closed_while_a_duplicate_lives);
    tcase_add_test(tcase, test_removed_while_a_duplicate_lives);
    tcase_add_test(tcase, test_dup2_over_a_registered_number);
    tcase_add_loop_test(tcase, test_number_of_another_file, 0, 2);
    tcase_add_test(tcase, test_high_number);
    tcase_add_test(tcase, test_thousands);
    tcase_add_test(tcase, test_silent_hangups_take_no_place);
    tcase_add_test(tcase, test_closed_one_takes_no_turn);

    tcase = tl_case(suite, "standard input");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_terminal_input);
    tcase_add_test(tcase, test_input_flags);

    tcase = tl_case(suite, "none left");
    tcase_add_test(tcase, test_no_descriptors);
}

int main(void)
{
    return tl_main("runtime_fd", add_cases);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_runtime_console.c - standard input as a descriptor of the runtime; POSIX
 *
 * Each test gives its own process another standard input.
 */
#include "testlib.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ ASYNC_EVENT_READ
#define CLOSE ASYNC_EVENT_CLOSE
#define CONSOLE ASYNC_EVENT_CONSOLE

static async_runtime_t *runtime;

static void setup(void)
{
    runtime = tl_runtime();
}

static void teardown(void)
{
    async_runtime_deinit(runtime);
}

/* fd becomes standard input. */
static void become_input(int fd)
{
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(dup2(fd, STDIN_FILENO), STDIN_FILENO);
    tl_close(fd);
}

/* Standard input becomes a pipe; returns the end to write into. */
static int pipe_input(void)
{
    int fds[2];

    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    become_input(fds[0]);
    return fds[1];
}

static void file_input(const char *text)
{
    char path[] = "/tmp/asyncrt-test-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (long)strlen(text));
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    become_input(fd);
}

static void expect_input(uint32_t bits, void *context)
{
    async_event_t event;

    tl_one(runtime, &event);
    ck_assert_msg(event.event_type == bits, "event %#x, not %#x", event.event_type, bits);
    ck_assert_int_eq(event.fd, STDIN_FILENO);
    ck_assert_ptr_eq(event.context, context);
    ck_assert_int_eq(event.error, 0);
}

/* "get_console_type is NONE before add_console; a second add_console is EEXIST" */
START_TEST(test_twice)
{
    int writer = pipe_input();

    ck_assert_int_eq(async_runtime_get_console_type(runtime), ASYNC_CONSOLE_TYPE_NONE);
    TL_OK(async_runtime_add_console(runtime, tl_context(1)));
    ck_assert_int_eq(async_runtime_get_console_type(runtime), ASYNC_CONSOLE_TYPE_PIPE);
    ck_assert_uint_eq(tl_stats(runtime).registered, 1); /* "the console included" */
    TL_FAILS(async_runtime_add_console(runtime, tl_context(2)), EEXIST);
    TL_FAILS(async_runtime_add(runtime, STDIN_FILENO, READ, NULL), EEXIST);
    ck_assert_int_eq(write(writer, "x", 1), 1);
    expect_input(READ | CONSOLE, tl_context(1));
    tl_close(writer);
}
END_TEST

/* "Console input is READ|CONSOLE with the context."; CLOSE at the end */
START_TEST(test_pipe)
{
    int writer = pipe_input();
    char buffer[8];

    TL_OK(async_runtime_add_console(runtime, tl_context(7)));
    tl_quiet(runtime);
    ck_assert_int_eq(write(writer, "line\n", 5), 5);
    expect_input(READ | CONSOLE, tl_context(7));
    expect_input(READ | CONSOLE, tl_context(7)); /* level; nothing has been read for the program */
    ck_assert_int_eq(read(STDIN_FILENO, buffer, sizeof buffer), 5);
    ck_assert_mem_eq(buffer, "line\n", 5);
    tl_quiet(runtime);
    tl_close(writer);
    expect_input(READ | CONSOLE | CLOSE, tl_context(7));
    ck_assert_int_eq(read(STDIN_FILENO, buffer, sizeof buffer), 0);
}
END_TEST

START_TEST(test_socket)
{
    int pair[2];

    tl_pair(pair);
    become_input(pair[0]);
    TL_OK(async_runtime_add_console(runtime, NULL));
    ck_assert_int_eq(async_runtime_get_console_type(runtime), ASYNC_CONSOLE_TYPE_PIPE);
    tl_quiet(runtime);
    tl_send_text(pair[1], "x");
    expect_input(READ | CONSOLE, NULL);
    tl_close(pair[1]);
    (void)tl_until_io(runtime, STDIN_FILENO, READ | CONSOLE | CLOSE, 0);
}
END_TEST

START_TEST(test_terminal)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    char buffer[16];

    ck_assert_int_ge(master, 0);
    ck_assert_int_eq(grantpt(master), 0);
    ck_assert_int_eq(unlockpt(master), 0);
    become_input(open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC));
    TL_OK(async_runtime_add_console(runtime, tl_context(2)));
    ck_assert_int_eq(async_runtime_get_console_type(runtime), ASYNC_CONSOLE_TYPE_REAL);
    ck_assert_int_eq(write(master, "half a ", 7), 7);
    tl_quiet(runtime); /* the terminal's own editing holds it */
    ck_assert_int_eq(write(master, "line\n", 5), 5);
    expect_input(READ | CONSOLE, tl_context(2));
    ck_assert_int_eq(read(STDIN_FILENO, buffer, sizeof buffer), 12);
    tl_quiet(runtime);
    ck_assert_int_eq(write(master, "\004", 1), 1); /* end of file, as a terminal has it */
    expect_input(READ | CONSOLE, tl_context(2));
    ck_assert_int_eq(read(STDIN_FILENO, buffer, sizeof buffer), 0);
    tl_quiet(runtime);
    tl_close(master);
}
END_TEST

/* A file is always ready, and no backend of the system's waits for one. */
START_TEST(test_file)
{
    char buffer[8];
    async_event_t event;
    int timers = 0;
    int completions = 0;

    file_input("hello\n");
    TL_OK(async_runtime_add_console(runtime, tl_context(3)));
    ck_assert_int_eq(async_runtime_get_console_type(runtime), ASYNC_CONSOLE_TYPE_FILE);
    ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, -1), 1);
    ck_assert_uint_eq(event.event_type, READ | CONSOLE);
    expect_input(READ | CONSOLE, tl_context(3));
    /* It keeps nothing else from coming. */
    ck_assert_uint_ne(async_runtime_add_timer(runtime, 0, 0, NULL), 0);
    TL_OK(async_runtime_post_completion(runtime, 1, 1));
    for (int i = 0; i < 12; i++) {
        tl_one(runtime, &event);
        timers += event.event_type == ASYNC_EVENT_TIMER;
        completions += event.event_type == ASYNC_EVENT_COMPLETION;
    }
    ck_assert_int_eq(timers, 1);
    ck_assert_int_eq(completions, 1);
    ck_assert_int_eq(read(STDIN_FILENO, buffer, sizeof buffer), 6);
    expect_input(READ | CONSOLE | CLOSE, tl_context(3));
    ck_assert_int_eq(read(STDIN_FILENO, buffer, sizeof buffer), 0);
    TL_OK(async_runtime_remove(runtime, STDIN_FILENO));
    tl_quiet(runtime);
}
END_TEST

/* "/dev/null is NONE (end of file at once)" */
START_TEST(test_null_device)
{
    become_input(open("/dev/null", O_RDONLY | O_CLOEXEC));
    TL_OK(async_runtime_add_console(runtime, tl_context(4)));
    ck_assert_int_eq(async_runtime_get_console_type(runtime), ASYNC_CONSOLE_TYPE_NONE);
    TL_FAILS(async_runtime_add_console(runtime, NULL), EEXIST);
    expect_input(READ | CONSOLE | CLOSE, tl_context(4));
    TL_OK(async_runtime_remove(runtime, STDIN_FILENO));
    tl_quiet(runtime);
}
END_TEST

START_TEST(test_closed_input)
{
    tl_close(STDIN_FILENO);
    TL_FAILS(async_runtime_add_console(runtime, NULL), EBADF);
    ck_assert_int_eq(async_runtime_get_console_type(runtime), ASYNC_CONSOLE_TYPE_NONE);
    ck_assert_uint_eq(tl_stats(runtime).registered, 0);
    ck_assert_int_eq(open("/dev/null", O_RDONLY), STDIN_FILENO); /* as it was, for the count */
}
END_TEST

/* "remove of standard input ends it"; it can be added again, as itself or as any descriptor */
START_TEST(test_remove)
{
    int writer = pipe_input();

    for (int i = 0; i < 3; i++) {
        TL_OK(async_runtime_add_console(runtime, tl_context(1)));
        ck_assert_int_eq(write(writer, "x", 1), 1);
        expect_input(READ | CONSOLE, tl_context(1));
        TL_OK(async_runtime_remove(runtime, STDIN_FILENO));
        TL_FAILS(async_runtime_remove(runtime, STDIN_FILENO), ENOENT);
        tl_quiet(runtime);
        TL_OK(async_runtime_add(runtime, STDIN_FILENO, READ, tl_context(2)));
        expect_input(READ, tl_context(2)); /* no console any more */
        TL_FAILS(async_runtime_add_console(runtime, NULL), EEXIST);
        TL_OK(async_runtime_remove(runtime, STDIN_FILENO));
    }
    tl_close(writer);
}
END_TEST

/* It is a registration like others: it can be paused. */
static void check_pause(void)
{
    TL_OK(async_runtime_add_console(runtime, tl_context(1)));
    expect_input(READ | CONSOLE, tl_context(1));
    TL_OK(async_runtime_modify(runtime, STDIN_FILENO, 0, NULL));
    tl_quiet(runtime);
    TL_OK(async_runtime_modify(runtime, STDIN_FILENO, READ, tl_context(2)));
    expect_input(READ | CONSOLE, tl_context(2));
    expect_input(READ | CONSOLE, tl_context(2));
    TL_OK(async_runtime_modify(runtime, STDIN_FILENO, READ | ASYNC_EVENT_ONESHOT, tl_context(3)));
    expect_input(READ | CONSOLE, tl_context(3));
    tl_quiet(runtime);
    TL_OK(async_runtime_modify(runtime, STDIN_FILENO, READ | ASYNC_EVENT_ONESHOT, tl_context(3)));
    expect_input(READ | CONSOLE, tl_context(3));
    tl_quiet(runtime);
}

START_TEST(test_pause_pipe)
{
    int writer = pipe_input();

    ck_assert_int_eq(write(writer, "x", 1), 1);
    check_pause();
    tl_close(writer);
}
END_TEST

START_TEST(test_pause_file)
{
    file_input("x");
    check_pause();
}
END_TEST

/* "O_NONBLOCK of standard input [is] left alone": it is shared with whoever has it, too */
START_TEST(test_flags)
{
    int writer = pipe_input();
    int before = fcntl(STDIN_FILENO, F_GETFL);

    ck_assert_int_eq(before & O_NONBLOCK, 0);
    TL_OK(async_runtime_add_console(runtime, NULL));
    ck_assert_int_eq(fcntl(STDIN_FILENO, F_GETFL), before);
    ck_assert_int_eq(write(writer, "x", 1), 1);
    expect_input(READ | CONSOLE, NULL);
    ck_assert_int_eq(fcntl(STDIN_FILENO, F_GETFL), before);
    async_runtime_deinit(runtime);
    runtime = NULL;
    ck_assert_int_eq(fcntl(STDIN_FILENO, F_GETFL), before);
    ck_assert_int_ge(fcntl(STDIN_FILENO, F_GETFD), 0); /* open still */
    tl_close(writer);
}
END_TEST

static void add_cases(Suite *suite)
{
    TCase *tcase = tl_case(suite, "kinds");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_twice);
    tcase_add_test(tcase, test_pipe);
    tcase_add_test(tcase, test_socket);
    tcase_add_test(tcase, test_terminal);
    tcase_add_test(tcase, test_file);
    tcase_add_test(tcase, test_null_device);
    tcase_add_test(tcase, test_closed_input);

    tcase = tl_case(suite, "registration");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_remove);
    tcase_add_test(tcase, test_pause_pipe);
    tcase_add_test(tcase, test_pause_file);
    tcase_add_test(tcase, test_flags);
}

int main(void)
{
    /* The count of descriptors in each test needs one that is open. */
    if (fcntl(STDIN_FILENO, F_GETFD) == -1 && open("/dev/null", O_RDONLY) != STDIN_FILENO)
        return EXIT_FAILURE;
    return tl_main("runtime_console", add_cases);
}

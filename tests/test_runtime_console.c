/* SPDX-License-Identifier: MIT */
/*
 * test_runtime_console.c - standard input as a descriptor of the runtime
 */
#include "testlib.h"

#define READ ASYNC_EVENT_READ
#define CLOSE ASYNC_EVENT_CLOSE
#define CONSOLE ASYNC_EVENT_CONSOLE

static async_runtime_t *runtime;

/* Before the count of descriptors: each test has a standard input to replace. */
static void have_input(void)
{
    tl_input_null();
}

static void setup(void)
{
    runtime = tl_runtime();
}

static void teardown(void)
{
    async_runtime_deinit(runtime);
}

static void write_text(async_handle_t writer, const char *text)
{
    tl_file_write(writer, text, strlen(text));
}

static void expect_read(const char *text)
{
    char buffer[16];

    ck_assert_int_eq(tl_input_read(buffer, sizeof buffer), (long)strlen(text));
    ck_assert_mem_eq(buffer, text, strlen(text));
}

static void expect_input(uint32_t bits, void *context)
{
    async_event_t event;

    tl_one(runtime, &event);
    ck_assert_msg(event.event_type == bits, "event %#x, not %#x", event.event_type, bits);
    ck_assert(event.fd == tl_input_fd());
    ck_assert_ptr_eq(event.context, context);
    ck_assert_int_eq(event.error, 0);
}

/* "get_console_type is NONE before add_console; a second add_console is EEXIST" */
START_TEST(test_twice)
{
    async_handle_t writer = tl_input_pipe();

    ck_assert_int_eq(async_runtime_get_console_type(runtime), ASYNC_CONSOLE_TYPE_NONE);
    TL_OK(async_runtime_add_console(runtime, tl_context(1)));
    ck_assert_int_eq(async_runtime_get_console_type(runtime), ASYNC_CONSOLE_TYPE_PIPE);
    ck_assert_uint_eq(tl_stats(runtime).registered, 1); /* "the console included" */
    TL_FAILS(async_runtime_add_console(runtime, tl_context(2)), EEXIST);
    TL_FAILS(async_runtime_add(runtime, tl_input_fd(), READ, NULL), EEXIST);
    write_text(writer, "x");
    expect_input(READ | CONSOLE, tl_context(1));
    tl_file_close(writer);
}
END_TEST

/* "Console input is READ|CONSOLE with the context."; CLOSE at the end */
START_TEST(test_pipe)
{
    async_handle_t writer = tl_input_pipe();

    TL_OK(async_runtime_add_console(runtime, tl_context(7)));
    tl_quiet(runtime);
    write_text(writer, "line\n");
    expect_input(READ | CONSOLE, tl_context(7));
    expect_input(READ | CONSOLE, tl_context(7)); /* level; nothing has been read for the program */
    expect_read("line\n");
    tl_quiet(runtime);
    tl_file_close(writer);
    expect_input(READ | CONSOLE | CLOSE, tl_context(7));
    expect_read("");
}
END_TEST

/* Keys that give no line yet are another matter on each system; a line is the same on all. */
START_TEST(test_terminal)
{
    async_handle_t keyboard;
    char buffer[16];

    if (!tl_input_terminal(&keyboard))
        return;
    TL_OK(async_runtime_add_console(runtime, tl_context(5)));
    ck_assert_int_eq(async_runtime_get_console_type(runtime), ASYNC_CONSOLE_TYPE_REAL);
    for (int i = 0; i < 3; i++) {
        tl_quiet(runtime);
        write_text(keyboard, "line\r");
        expect_input(READ | CONSOLE, tl_context(5));
        expect_input(READ | CONSOLE, tl_context(5));
        ck_assert_int_ge(tl_input_read(buffer, sizeof buffer), 5);
        ck_assert_mem_eq(buffer, "line", 4);
    }
    tl_quiet(runtime); /* nor for the keys that are let go */
    TL_OK(async_runtime_remove(runtime, tl_input_fd()));
    write_text(keyboard, "line\r");
    tl_quiet(runtime);
    tl_file_close(keyboard);
    tl_input_null();
}
END_TEST

START_TEST(test_socket)
{
    async_fd_t pair[2];

    tl_pair(pair);
    tl_input_become((async_handle_t)pair[0]);
    TL_OK(async_runtime_add_console(runtime, NULL));
    ck_assert_int_eq(async_runtime_get_console_type(runtime), ASYNC_CONSOLE_TYPE_PIPE);
    tl_quiet(runtime);
    tl_send_text(pair[1], "x");
    expect_input(READ | CONSOLE, NULL);
    if (!tl_close_shows_before_data())
        expect_read("x");
    tl_close(pair[1]);
    (void)tl_until_io(runtime, tl_input_fd(), READ | CONSOLE | CLOSE, 0);
}
END_TEST

/* A file is always ready, and no backend of the system's waits for one. */
START_TEST(test_file)
{
    async_event_t event;
    int timers = 0;
    int completions = 0;

    tl_input_file("hello\n", 6);
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
    expect_read("hello\n");
    expect_input(READ | CONSOLE | CLOSE, tl_context(3));
    expect_read("");
    TL_OK(async_runtime_remove(runtime, tl_input_fd()));
    tl_quiet(runtime);
}
END_TEST

/* "/dev/null is NONE (end of file at once)" */
START_TEST(test_null_device)
{
    tl_input_null();
    TL_OK(async_runtime_add_console(runtime, tl_context(4)));
    ck_assert_int_eq(async_runtime_get_console_type(runtime), ASYNC_CONSOLE_TYPE_NONE);
    TL_FAILS(async_runtime_add_console(runtime, NULL), EEXIST);
    expect_input(READ | CONSOLE | CLOSE, tl_context(4));
    TL_OK(async_runtime_remove(runtime, tl_input_fd()));
    tl_quiet(runtime);
}
END_TEST

START_TEST(test_closed_input)
{
    tl_input_closed();
    TL_FAILS(async_runtime_add_console(runtime, NULL), EBADF);
    ck_assert_int_eq(async_runtime_get_console_type(runtime), ASYNC_CONSOLE_TYPE_NONE);
    ck_assert_uint_eq(tl_stats(runtime).registered, 0);
    tl_input_null(); /* as it was, for the count */
}
END_TEST

/* "remove of standard input ends it"; it can be added again, as itself or as any descriptor */
START_TEST(test_remove)
{
    async_handle_t writer = tl_input_pipe();

    for (int i = 0; i < 3; i++) {
        TL_OK(async_runtime_add_console(runtime, tl_context(1)));
        write_text(writer, "x");
        expect_input(READ | CONSOLE, tl_context(1));
        TL_OK(async_runtime_remove(runtime, tl_input_fd()));
        TL_FAILS(async_runtime_remove(runtime, tl_input_fd()), ENOENT);
        tl_quiet(runtime);
        TL_OK(async_runtime_add(runtime, tl_input_fd(), READ, tl_context(2)));
        expect_input(READ, tl_context(2)); /* no console any more */
        TL_FAILS(async_runtime_add_console(runtime, NULL), EEXIST);
        TL_OK(async_runtime_remove(runtime, tl_input_fd()));
    }
    tl_file_close(writer);
}
END_TEST

/* It is a registration like others: it can be paused. */
static void check_pause(void)
{
    TL_OK(async_runtime_add_console(runtime, tl_context(1)));
    expect_input(READ | CONSOLE, tl_context(1));
    TL_OK(async_runtime_modify(runtime, tl_input_fd(), 0, NULL));
    tl_quiet(runtime);
    TL_OK(async_runtime_modify(runtime, tl_input_fd(), READ, tl_context(2)));
    expect_input(READ | CONSOLE, tl_context(2));
    expect_input(READ | CONSOLE, tl_context(2));
    TL_OK(async_runtime_modify(runtime, tl_input_fd(), READ | ASYNC_EVENT_ONESHOT, tl_context(3)));
    expect_input(READ | CONSOLE, tl_context(3));
    tl_quiet(runtime);
    TL_OK(async_runtime_modify(runtime, tl_input_fd(), READ | ASYNC_EVENT_ONESHOT, tl_context(3)));
    expect_input(READ | CONSOLE, tl_context(3));
    tl_quiet(runtime);
}

START_TEST(test_pause_pipe)
{
    async_handle_t writer = tl_input_pipe();

    write_text(writer, "x");
    check_pause();
    tl_file_close(writer);
}
END_TEST

START_TEST(test_pause_file)
{
    tl_input_file("x", 1);
    check_pause();
}
END_TEST

static void add_cases(Suite *suite)
{
    TCase *tcase = tl_case_after(suite, "kinds", have_input);

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_twice);
    tcase_add_test(tcase, test_pipe);
    tcase_add_test(tcase, test_terminal);
    tcase_add_test(tcase, test_socket);
    tcase_add_test(tcase, test_file);
    tcase_add_test(tcase, test_null_device);
    tcase_add_test(tcase, test_closed_input);

    tcase = tl_case_after(suite, "registration", have_input);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_remove);
    tcase_add_test(tcase, test_pause_pipe);
    tcase_add_test(tcase, test_pause_file);
}

int main(void)
{
    return tl_main("runtime_console", add_cases);
}

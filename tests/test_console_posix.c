/* SPDX-License-Identifier: MIT */
/* What only POSIX has of pipes and files: named FIFOs, flags that are shared, the child of a fork.
 */
#include "console_test_posix.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* A named FIFO whose writer has gone before the console begins, and one whose writer goes later. */
START_TEST(fifo)
{
    char path[64];
    ct_console_t ct;

    snprintf(path, sizeof(path), "/tmp/console-test-%ld", (long)getpid());
    for (int late = 0; late < 2; late++) {
        int reader, writer;

        ck_assert_int_eq(mkfifo(path, 0600), 0);
        reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        writer = open(path, O_WRONLY | O_CLOEXEC);
        ck_assert(reader != -1 && writer != -1);
        unlink(path);
        fcntl(reader, F_SETFL, 0);
        tl_input_become(reader);
        ct_text(writer, "line\n");
        if (!late)
            close(writer);
        ct_open(&ct, 4, 16, 0);
        ct_expect(&ct, "line\n");
        if (late) {
            ct_expect_nothing(&ct);
            close(writer);
        }
        ct_expect_end(&ct);
        ct_close(&ct);
    }
}
END_TEST

/* The open file belongs to others too; what the program does with number 0 is its own affair. */
START_TEST(shared_file_is_left_alone)
{
    int fds[2], reader;
    ct_console_t ct;

    ck_assert_int_eq(pipe2(fds, O_CLOEXEC | (_i != 0 ? O_NONBLOCK : 0)), 0);
    reader = dup(fds[0]);
    tl_input_become(fds[0]);
    ct_open(&ct, 4, 16, 0);
    ck_assert_int_eq(fcntl(reader, F_GETFL), O_RDONLY | (_i != 0 ? O_NONBLOCK : 0));
    ct_text(fds[1], "1\n");
    ct_expect(&ct, "1\n");
    ct_expect_nothing(&ct);
    ck_assert_int_eq(fcntl(reader, F_GETFL), O_RDONLY | (_i != 0 ? O_NONBLOCK : 0));
    tl_input_null();
    ct_text(fds[1], "2\n");
    ct_expect(&ct, "2\n");
    ck_assert_int_eq(async_console_get_type(ct.console), ASYNC_CONSOLE_TYPE_PIPE);
    ct_close(&ct);
    ck_assert_int_eq(fcntl(reader, F_GETFL), O_RDONLY | (_i != 0 ? O_NONBLOCK : 0));
    close(reader);
    close(fds[1]);
}
END_TEST

static int in_the_child(ct_console_t *ct)
{
    ct_console_t own;
    int writer;

    errno = 0;
    if (async_console_shutdown(ct->console, 0) || errno != EPERM)
        return 1;
    if (async_console_set_mode(ct->console, 0) != -1 || errno != EPERM)
        return 2;
    if (async_console_create(ct->runtime, ct->lines, 0) != NULL || errno != EPERM)
        return 3;
    if (async_console_is_eof(ct->console) ||
        async_console_get_type(ct->console) != ASYNC_CONSOLE_TYPE_PIPE)
        return 4;
    writer = tl_input_pipe();
    if (!CT_THREADS_AFTER_FORK)
        tl_input_null();
    ct_open(&own, 4, 16, 0);
    if (CT_THREADS_AFTER_FORK) {
        ct_text(writer, "child\n");
        ct_expect(&own, "child\n");
    }
    if (async_console_create(own.runtime, own.lines, 0) != NULL || errno != EEXIST)
        return 5;
    async_console_destroy(ct->console);
    if (CT_THREADS_AFTER_FORK) {
        ct_text(writer, "more\n");
        ct_expect(&own, "more\n");
    }
    ct_close(&own);
    async_runtime_deinit(ct->runtime);
    return 0;
}

START_TEST(child_of_a_fork)
{
    int writer = tl_input_pipe(), status;
    ct_console_t ct;
    pid_t pid;

    ct_open(&ct, 4, 16, 0);
    ct_text(writer, "1\n");
    ct_expect(&ct, "1\n");
    pid = fork();
    if (pid == 0)
        _exit(in_the_child(&ct));
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ct_text(writer, "2\n");
    ct_expect(&ct, "2\n");
    ct_close(&ct);
    close(writer);
}
END_TEST

Suite *ct_suite_posix(void)
{
    Suite *suite = suite_create("console_posix");
    TCase *tcase = tl_case_after(suite, "posix", tl_input_null);

    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, fifo);
    tcase_add_loop_test(tcase, shared_file_is_left_alone, 0, 2);
    tcase_add_test(tcase, child_of_a_fork);
    return suite;
}

/* SPDX-License-Identifier: MIT */
/* Terminals that are standard input of this process, without being its controlling terminal. */
#include "console_test_posix.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

static void open_on_terminal(ct_console_t *ct, ct_terminal_t *terminal, size_t max_msg_size)
{
    ct_terminal_open(terminal);
    ct_terminal_stdin(terminal);
    ck_assert_int_eq(async_console_detect(), ASYNC_CONSOLE_TYPE_REAL);
    ct_open(ct, 16, max_msg_size, 0);
    ck_assert_int_eq(async_console_get_type(ct->console), ASYNC_CONSOLE_TYPE_REAL);
}

static void set_mode(ct_console_t *ct, ct_terminal_t *terminal, uint32_t mode)
{
    tcflag_t expected = 0;

    if ((mode & ASYNC_CONSOLE_LINE) != 0)
        expected |= ICANON;
    if ((mode & ASYNC_CONSOLE_ECHO) != 0)
        expected |= ECHO;
    errno = 4711;
    ck_assert_int_eq(async_console_set_mode(ct->console, mode), 0);
    ck_assert_int_eq(errno, 4711);
    ck_assert_uint_eq(ct_terminal_flags(terminal), expected);
}

START_TEST(lines_and_the_end)
{
    ct_terminal_t terminal;
    ct_console_t ct;

    open_on_terminal(&ct, &terminal, 64);
    ck_assert(ct_terminal_is_restored(&terminal)); /* nothing has changed yet */
    ct_text(terminal.master, "hallo \xf0\x9f\x98\x80\n");
    ct_terminal_shows(&terminal, "hallo \xf0\x9f\x98\x80\r\n");
    ct_expect(&ct, "hallo \xf0\x9f\x98\x80\n");
    ct_text(terminal.master, "1\n2\n3\n");
    ct_expect(&ct, "1\n");
    ct_expect(&ct, "2\n");
    ct_expect(&ct, "3\n");
    ct_text(terminal.master, "the last\004\004");
    ct_expect(&ct, "the last");
    ct_expect_end(&ct);
    ct_close(&ct);
    ck_assert(ct_terminal_is_restored(&terminal));
    ct_terminal_close(&terminal);
}
END_TEST

START_TEST(modes)
{
    ct_terminal_t terminal;
    ct_console_t ct;

    open_on_terminal(&ct, &terminal, 64);
    set_mode(&ct, &terminal, 0);
    ct_text(terminal.master, "k");
    ct_expect(&ct, "k");
    ct_text(terminal.master, "\x1b[A");
    ct_expect(&ct, "\x1b[A");
    ct_text(terminal.master, "\xe2\x82");
    ct_expect_nothing(&ct);
    ct_text(terminal.master, "\xac\004");
    ct_expect(&ct, "\xe2\x82\xac");
    ct_expect(&ct, "\004");
    ct_terminal_shows_nothing(&terminal);
    set_mode(&ct, &terminal, ASYNC_CONSOLE_ECHO);
    ct_text(terminal.master, "e");
    ct_expect(&ct, "e");
    ct_terminal_shows(&terminal, "e");
    set_mode(&ct, &terminal, ASYNC_CONSOLE_LINE);
    ct_text(terminal.master, "sec");
    ct_expect_nothing(&ct);
    ct_text(terminal.master, "rxx\177\177et\r");
    ct_expect(&ct, "secret\n");
    ct_terminal_shows_nothing(&terminal);
    set_mode(&ct, &terminal, ASYNC_CONSOLE_LINE | ASYNC_CONSOLE_ECHO);
    ct_text(terminal.master, "seen\n");
    ct_terminal_shows(&terminal, "seen\r\n");
    ct_expect(&ct, "seen\n");
    ct_close(&ct);
    ck_assert(ct_terminal_is_restored(&terminal));
    ct_terminal_close(&terminal);
}
END_TEST

/* What was typed of a line when the mode changes is not lost. */
START_TEST(from_a_line_to_keys)
{
    ct_terminal_t terminal;
    ct_console_t ct;
    char all[8] = "";

    open_on_terminal(&ct, &terminal, 64);
    ct_text(terminal.master, "ab");
    ct_terminal_shows(&terminal, "ab");
    ct_expect_nothing(&ct);
    set_mode(&ct, &terminal, 0);
    ct_text(terminal.master, "c");
    while (strlen(all) < 3) {
        ck_assert(ct_next(&ct));
        strncat(all, ct.text, 3);
    }
    ck_assert_str_eq(all, "abc");
    ct_close(&ct);
    ct_terminal_close(&terminal);
}
END_TEST

START_TEST(shutdown_restores)
{
    ct_terminal_t terminal;
    ct_console_t ct;

    open_on_terminal(&ct, &terminal, 64);
    set_mode(&ct, &terminal, 0);
    ck_assert(async_console_shutdown(ct.console, CT_WAIT_MS));
    ck_assert(ct_terminal_is_restored(&terminal));
    errno = 0;
    ck_assert_int_eq(async_console_set_mode(ct.console, 0), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert(ct_terminal_is_restored(&terminal));
    ct_close(&ct);
    ck_assert(ct_terminal_is_restored(&terminal));
    ct_terminal_close(&terminal);
}
END_TEST

/* A console after another one, on another terminal: each gets its own modes back. */
START_TEST(one_after_the_other)
{
    for (int round = 0; round < 3; round++) {
        ct_terminal_t terminal;
        ct_console_t ct;

        ct_terminal_open(&terminal);
        terminal.before.c_cc[VKILL] = (cc_t)(round + 1);
        tcsetattr(terminal.slave, TCSANOW, &terminal.before);
        ct_terminal_stdin(&terminal);
        ct_open(&ct, 4, 16, 0);
        set_mode(&ct, &terminal, 0);
        ct_close(&ct);
        ck_assert(ct_terminal_is_restored(&terminal));
        ct_terminal_close(&terminal);
    }
}
END_TEST

START_TEST(hang_up)
{
    ct_terminal_t terminal;
    ct_console_t ct;

    open_on_terminal(&ct, &terminal, 64);
    if (_i != 0)
        set_mode(&ct, &terminal, 0);
    ct_text(terminal.master, _i != 0 ? "k" : "last\n");
    ct_expect(&ct, _i != 0 ? "k" : "last\n");
    close(terminal.master);
    ct_expect_end(&ct);
    errno = 0;
    ck_assert_int_eq(async_console_set_mode(ct.console, 0), -1);
    ck_assert_int_eq(errno, ENOTTY);
    ct_close(&ct);
    close(terminal.slave);
}
END_TEST

/* Flags of an open file that is shared with other processes. */
START_TEST(shared_terminal_is_left_alone)
{
    ct_terminal_t terminal;
    ct_console_t ct;
    int flags;

    ct_terminal_open(&terminal);
    ct_terminal_stdin(&terminal);
    flags = fcntl(terminal.slave, F_GETFL);
    ct_open(&ct, 4, 16, 0);
    ct_text(terminal.master, "1\n");
    ct_expect(&ct, "1\n");
    ct_expect_nothing(&ct);
    ck_assert_int_eq(fcntl(terminal.slave, F_GETFL), flags);
    ct_close(&ct);
    ck_assert_int_eq(fcntl(terminal.slave, F_GETFL), flags);
    ct_terminal_close(&terminal);
}
END_TEST

typedef struct thief {
    int fd;
    _Atomic int stop;
} thief_t;

static void *steal(void *arg)
{
    thief_t *thief = arg;
    char line[64];

    while (!atomic_load(&thief->stop)) {
        struct pollfd fd = {.fd = thief->fd, .events = POLLIN};

        if (poll(&fd, 1, 1) == 1 && read(thief->fd, line, sizeof(line)) < 0)
            break;
    }
    return NULL;
}

/* Somebody else takes what poll() has promised: the reader must not be stuck in its read. */
START_TEST(a_thief_does_not_block_the_reader)
{
    char path[32];
    ct_terminal_t terminal;
    pthread_t thread;
    thief_t thief;

    ct_terminal_open(&terminal);
    ct_terminal_stdin(&terminal);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", terminal.slave);
    thief.fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ne(thief.fd, -1);
    atomic_init(&thief.stop, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, steal, &thief), 0);
    for (int round = 0; round < 200; round++) {
        ct_console_t ct;

        ct_open(&ct, 16, 16, ASYNC_QUEUE_DROP_OLDEST);
        for (int i = 0; i < 5; i++)
            ct_text(terminal.master, "x\n");
        ct_close(&ct);
        tcflush(terminal.master, TCIOFLUSH);
    }
    atomic_store(&thief.stop, 1);
    pthread_join(thread, NULL);
    close(thief.fd);
    ct_terminal_close(&terminal);
}
END_TEST

static void own_handler(int signum)
{
    (void)signum;
}

static void *handler_of(int signum)
{
    struct sigaction action;

    ck_assert_int_eq(sigaction(signum, NULL, &action), 0);
    return (action.sa_flags & SA_SIGINFO) != 0 ? NULL : (void *)(uintptr_t)action.sa_handler;
}

/* The program's dispositions stay, whether they were made before or while the modes are changed. */
START_TEST(handlers_are_left_alone)
{
    void *ours = (void *)(uintptr_t)own_handler, *dfl = (void *)(uintptr_t)SIG_DFL;
    ct_terminal_t terminal;
    ct_console_t ct;

    signal(SIGTERM, own_handler);
    signal(SIGQUIT, SIG_IGN);
    signal(SIGINT, SIG_DFL);
    signal(SIGUSR1, SIG_DFL);
    open_on_terminal(&ct, &terminal, 64);
    ck_assert_ptr_eq(handler_of(SIGINT), dfl); /* no modes changed, no handlers */
    set_mode(&ct, &terminal, 0);
    ck_assert_ptr_eq(handler_of(SIGTERM), ours);
    ck_assert_ptr_eq(handler_of(SIGQUIT), (void *)(uintptr_t)SIG_IGN);
    ck_assert_ptr_ne(handler_of(SIGINT), dfl);
    signal(SIGUSR1, own_handler);
    set_mode(&ct, &terminal, ASYNC_CONSOLE_LINE);
    ck_assert_ptr_eq(handler_of(SIGUSR1), ours);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGTERM);
    ck_assert_uint_eq(ct_terminal_flags(&terminal), ICANON);
    ct_close(&ct);
    ck_assert_ptr_eq(handler_of(SIGTERM), ours);
    ck_assert_ptr_eq(handler_of(SIGUSR1), ours);
    ck_assert_ptr_eq(handler_of(SIGQUIT), (void *)(uintptr_t)SIG_IGN);
    ck_assert_ptr_eq(handler_of(SIGINT), dfl);
    ck_assert_ptr_eq(handler_of(SIGTSTP), dfl);
    ck_assert_ptr_eq(handler_of(SIGCONT), dfl);
    ct_terminal_close(&terminal);
}
END_TEST

/* The child of a fork does not restore the terminal that its parent uses, however it ends. */
START_TEST(children_leave_the_terminal_alone)
{
    ct_terminal_t terminal;
    ct_console_t ct;

    open_on_terminal(&ct, &terminal, 64);
    set_mode(&ct, &terminal, 0);
    for (int how = 0; how < 3; how++) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
            if (how == 0) {
                signal(SIGTERM, SIG_DFL);
                raise(SIGTERM);
            }
            if (how == 1)
                raise(SIGUSR2);
            if (how == 2)
                async_console_destroy(ct.console);
            exit(7);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(how == 2 ? WEXITSTATUS(status) == 7 : WIFSIGNALED(status));
        ck_assert_uint_eq(ct_terminal_flags(&terminal), 0);
    }
    ct_text(terminal.master, "k");
    ct_expect(&ct, "k");
    ct_close(&ct);
    ck_assert(ct_terminal_is_restored(&terminal));
    ct_terminal_close(&terminal);
}
END_TEST

Suite *ct_suite_terminal(void)
{
    Suite *suite = suite_create("console_terminal");
    TCase *tcase = tcase_create("terminal");

    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, lines_and_the_end);
    tcase_add_test(tcase, modes);
    tcase_add_test(tcase, from_a_line_to_keys);
    tcase_add_test(tcase, shutdown_restores);
    tcase_add_test(tcase, one_after_the_other);
    tcase_add_loop_test(tcase, hang_up, 0, 2);
    tcase_add_test(tcase, shared_terminal_is_left_alone);
    tcase_add_test(tcase, a_thief_does_not_block_the_reader);
    tcase_add_test(tcase, handlers_are_left_alone);
    tcase_add_test(tcase, children_leave_the_terminal_alone);
    suite_add_tcase(suite, tcase);
    return suite;
}

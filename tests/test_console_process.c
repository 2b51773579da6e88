/* SPDX-License-Identifier: MIT */
/*
 * Child processes with a controlling terminal: how they end, stop, go to the background, and what
 * the terminal is like afterwards.
 */
#include "console_test_posix.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

static void default_signals(void)
{
    /* Check has handlers of its own */
    for (int signum = 1; signum < 32; signum++)
        signal(signum, SIG_DFL);
}

/* Changes the modes, reports, and ends as it is told. */
static int end_as_told(void *arg)
{
    static ct_console_t ct; /* still reachable at exit */

    default_signals();
    ct_open(&ct, 4, 64, 0);
    if (async_console_set_mode(ct.console, 0) != 0)
        return 90;
    ct_report('m');
    switch (ct_await()) {
    case 'r':
        return 3;
    case 'a':
        abort();
    case 's':
        raise(SIGSEGV);
        break;
    case 'f':
        *(volatile int *)arg = 1;
        break;
    case 'w': /* the signal comes while the loop thread waits */
        async_runtime_wait(ct.runtime, &(async_event_t){0}, 1, CT_WAIT_MS);
        break;
    default:
        break;
    }
    return 91;
}

/* An address where a write is a fault. */
static void *unmapped(void)
{
    void *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(page, MAP_FAILED);
    return page;
}

static int run_to_the_end(char how, int signum, const char *typed)
{
    ct_terminal_t terminal;
    ct_child_t child;
    int status;

    ct_terminal_open(&terminal);
    ct_child_start(&child, &terminal, end_as_told, unmapped());
    ct_child_expect(&child, 'm');
    ck_assert_uint_eq(ct_terminal_flags(&terminal), 0);
    ct_child_tell(&child, how);
    if (signum != 0)
        kill(child.pid, signum);
    if (typed != NULL)
        ct_text(terminal.master, typed);
    status = ct_child_wait(&child);
    ck_assert_msg(ct_terminal_is_restored(&terminal), "how '%c', signal %d", how, signum);
    ct_terminal_close(&terminal);
    return status;
}

START_TEST(exit_restores)
{
    int status = run_to_the_end('r', 0, NULL);

    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 3);
}
END_TEST

static void ends_by(int status, int signum)
{
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == signum, "status %x, not signal %d",
                  (unsigned)status, signum);
}

START_TEST(fatal_signals_restore)
{
    static const int signals[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2,
                                  SIGPIPE, SIGALRM, SIGXCPU, SIGPROF, SIGSYS,  SIGTRAP};

    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        /* valgrind takes SIGSYS for a system call of its own, and may fail at SIGTRAP in one */
        if ((signals[i] == SIGSYS || signals[i] == SIGTRAP) && getenv("TEST_RUNNER") != NULL)
            continue;
        ends_by(run_to_the_end('w', signals[i], NULL), signals[i]);
    }
#ifdef SIGRTMIN
    ends_by(run_to_the_end('w', SIGRTMIN, NULL), SIGRTMIN);
    ends_by(run_to_the_end('w', tl_last_signal(), NULL), tl_last_signal());
#endif
    ends_by(run_to_the_end('a', 0, NULL), SIGABRT);
    ends_by(run_to_the_end('s', 0, NULL), SIGSEGV);
    /* typed: ISIG is kept also where every key comes at once */
    ends_by(run_to_the_end('w', 0, "\003"), SIGINT);
    ends_by(run_to_the_end('w', 0, "\034"), SIGQUIT);
}
END_TEST

START_TEST(faults_restore)
{
    ends_by(run_to_the_end('f', 0, NULL), SIGSEGV);
}
END_TEST

static void leave(int signum)
{
    _exit(40 + (signum == SIGTERM));
}

static int with_a_handler(void *arg)
{
    ct_console_t ct;

    (void)arg;
    default_signals();
    signal(SIGTERM, leave);
    ct_open(&ct, 4, 64, 0);
    if (async_console_set_mode(ct.console, 0) != 0)
        return 90;
    ct_report('m');
    ct_await();
    return 91;
}

/* A signal that the program handles is not ours: not even the modes are touched. */
START_TEST(handled_signals)
{
    ct_terminal_t terminal;
    ct_child_t child;
    int status;

    ct_terminal_open(&terminal);
    ct_child_start(&child, &terminal, with_a_handler, NULL);
    ct_child_expect(&child, 'm');
    kill(child.pid, SIGTERM);
    status = ct_child_wait(&child);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 41);
    ck_assert_uint_eq(ct_terminal_flags(&terminal), 0);
    ct_terminal_close(&terminal);
}
END_TEST

static void await_flags(const ct_terminal_t *terminal, tcflag_t flags)
{
    for (int i = 0; ct_terminal_flags(terminal) != flags; i++) {
        ck_assert_msg(i < CT_WAIT_MS, "the modes do not change");
        usleep(1000);
    }
}

/*
 * A small shell: the leader of the session starts a job in a process group of its own.  It reports
 * 'z' when the job has stopped, and SIGUSR1 makes it bring the job to the foreground.
 */
typedef struct shell {
    int (*run)(void); /* the job */
    bool foreground;  /* it begins there */
    bool stops;       /* it is expected to stop, and to need SIGCONT */
} shell_t;

static volatile pid_t shell_job;
static volatile bool shell_continues;

static void bring_to_foreground(int signum)
{
    (void)signum;
    tcsetpgrp(0, shell_job);
    if (shell_continues)
        kill(-shell_job, SIGCONT);
}

static int run_shell(void *arg)
{
    const shell_t *shell = arg;
    int status;

    default_signals();
    signal(SIGTTOU, SIG_IGN); /* as shells do, for tcsetpgrp */
    shell_continues = shell->stops;
    shell_job = fork();
    if (shell_job == 0) {
        setpgid(0, 0);
        if (shell->foreground)
            tcsetpgrp(0, getpid());
        signal(SIGTTOU, SIG_DFL);
        exit(shell->run());
    }
    setpgid(shell_job, shell_job);
    signal(SIGUSR1, bring_to_foreground);
    for (;;) {
        if (waitpid(shell_job, &status, WUNTRACED) == -1)
            continue;
        if (!WIFSTOPPED(status))
            return WIFEXITED(status) ? WEXITSTATUS(status) : 70;
        if (!shell->stops)
            return 71;
        tcsetpgrp(0, getpgrp());
        ct_report('z');
    }
}

static int read_two_keys(void)
{
    ct_console_t ct;

    ct_open(&ct, 4, 64, 0);
    if (async_console_set_mode(ct.console, 0) != 0)
        return 90;
    ct_report('m');
    ct_expect(&ct, "a");
    ct_report('a');
    ct_expect(&ct, "b");
    ct_report('b');
    ct_close(&ct);
    return 0;
}

/* ^Z: the terminal is as it was while the process is stopped, and ours again afterwards. */
START_TEST(stopped_and_continued)
{
    shell_t shell = {.run = read_two_keys, .foreground = true, .stops = true};
    ct_terminal_t terminal;
    ct_child_t child;

    ct_terminal_open(&terminal);
    ct_child_start(&child, &terminal, run_shell, &shell);
    ct_child_expect(&child, 'm');
    ct_text(terminal.master, "a");
    ct_child_expect(&child, 'a');
    for (int round = 0; round < 3 && !ct_under_valgrind(); round++) {
        ct_text(terminal.master, "\032");
        ct_child_expect(&child, 'z');
        ck_assert(ct_terminal_is_restored(&terminal));
        kill(child.pid, SIGUSR1);
        await_flags(&terminal, 0);
    }
    ct_text(terminal.master, "b");
    ct_child_expect(&child, 'b');
    ck_assert_int_eq(ct_child_wait(&child), 0);
    ck_assert(ct_terminal_is_restored(&terminal));
    ct_terminal_close(&terminal);
}
END_TEST

static int stop_twice(void)
{
    ct_console_t ct;

    ct_open(&ct, 4, 64, 0);
    if (async_console_set_mode(ct.console, 0) != 0)
        return 90;
    kill(getpid(), SIGSTOP); /* cannot be caught: SIGCONT brings the modes */
    ct_report('m');
    ct_expect(&ct, "b");
    ct_close(&ct);
    return 0;
}

START_TEST(stopped_by_force)
{
    shell_t shell = {.run = stop_twice, .foreground = true, .stops = true};
    ct_terminal_t terminal;
    ct_child_t child;

    ct_terminal_open(&terminal);
    ct_child_start(&child, &terminal, run_shell, &shell);
    ct_child_expect(&child, 'z');
    ck_assert_int_eq(tcsetattr(terminal.slave, TCSANOW, &terminal.before), 0); /* a shell's work */
    kill(child.pid, SIGUSR1);
    ct_child_expect(&child, 'm');
    await_flags(&terminal, 0);
    ct_text(terminal.master, "b");
    ck_assert_int_eq(ct_child_wait(&child), 0);
    ck_assert(ct_terminal_is_restored(&terminal));
    ct_terminal_close(&terminal);
}
END_TEST

static int run_in_background(void)
{
    ct_console_t ct;
    long before;

    ct_open(&ct, 4, 64, 0);
    if (async_console_set_mode(ct.console, ASYNC_CONSOLE_LINE) != 0)
        return 80;
    ct_report('m');
    ct_await(); /* a line has been typed, for the foreground */
    before = ct_reader_switches();
    usleep(500000);
    if (ct_reader_switches() - before > 30)
        return 81; /* it spins */
    if (ct_wait(&ct, 0) || async_console_is_eof(ct.console))
        return 82; /* it reads what is not for it, or takes EIO for the end */
    ct_report('q');
    ct_expect(&ct, "typed\n");
    ct_report('l');
    ct_close(&ct);
    return 0;
}

/* In the background: not stopped by SIGTTIN or SIGTTOU, not spinning; in the foreground it reads.
 */
START_TEST(background)
{
    shell_t shell = {.run = run_in_background};
    ct_terminal_t terminal;
    ct_child_t child;

    ct_terminal_open(&terminal);
    ct_child_start(&child, &terminal, run_shell, &shell);
    ct_child_expect(&child, 'm');
    ck_assert_uint_eq(ct_terminal_flags(&terminal), ICANON);
    ct_text(terminal.master, "typed\n");
    ct_child_tell(&child, 't');
    ct_child_expect(&child, 'q');
    kill(child.pid, SIGUSR1);
    ct_child_expect(&child, 'l');
    ck_assert_int_eq(ct_child_wait(&child), 0);
    ck_assert(ct_terminal_is_restored(&terminal));
    ct_terminal_close(&terminal);
}
END_TEST

static int end_in_background(void)
{
    ct_console_t ct;

    ct_open(&ct, 4, 64, 0);
    if (async_console_set_mode(ct.console, 0) != 0)
        return 80;
    ct_report('m');
    ct_await();
    if (!async_console_shutdown(ct.console, CT_WAIT_MS))
        return 81;
    ct_close(&ct);
    return 0;
}

/* At its end in the background: its own modes are put back, those of the foreground are not
 * touched. */
START_TEST(end_in_the_background)
{
    shell_t shell = {.run = end_in_background};
    ct_terminal_t terminal;
    ct_child_t child;

    ct_terminal_open(&terminal);
    ct_child_start(&child, &terminal, run_shell, &shell);
    ct_child_expect(&child, 'm');
    if (_i != 0) {
        struct termios other = terminal.before;

        other.c_lflag &= ~(tcflag_t)ISIG;
        ck_assert_int_eq(tcsetattr(terminal.slave, TCSANOW, &other), 0);
        terminal.before = other;
    }
    ct_text(terminal.master, "unread\n");
    ct_child_tell(&child, 'e');
    ck_assert_int_eq(ct_child_wait(&child), 0);
    ck_assert(ct_terminal_is_restored(&terminal));
    ct_terminal_close(&terminal);
}
END_TEST

static int hung_up(void *arg)
{
    ct_console_t ct;

    (void)arg;
    default_signals();
    signal(SIGHUP, SIG_IGN);
    ct_open(&ct, 4, 64, 0);
    if (async_console_set_mode(ct.console, 0) != 0)
        return 90;
    ct_report('m');
    ct_expect_end(&ct);
    ct_close(&ct);
    return 0;
}

/* The window is closed. */
START_TEST(hang_up_of_the_session)
{
    ct_terminal_t terminal;
    ct_child_t child;

    ct_terminal_open(&terminal);
    ct_child_start(&child, &terminal, hung_up, NULL);
    ct_child_expect(&child, 'm');
    ct_terminal_close(&terminal);
    ck_assert_int_eq(ct_child_wait(&child), 0);
}
END_TEST

Suite *ct_suite_process(void)
{
    Suite *suite = suite_create("console_process");
    TCase *tcase = tcase_create("process");

    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, exit_restores);
    tcase_add_test(tcase, fatal_signals_restore);
    tcase_add_test(tcase, faults_restore);
    tcase_add_test(tcase, handled_signals);
    tcase_add_test(tcase, stopped_and_continued);
    tcase_add_test(tcase, stopped_by_force);
    tcase_add_test(tcase, background);
    tcase_add_loop_test(tcase, end_in_the_background, 0, 2);
    tcase_add_test(tcase, hang_up_of_the_session);
    suite_add_tcase(suite, tcase);
    return suite;
}

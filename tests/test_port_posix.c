/* SPDX-License-Identifier: MIT */
/*
 * What src/port promises where there are POSIX threads, signals and forks.
 */
#include "port/port_clock.h"
#include "port/port_fd.h"
#include "port/port_fork.h"
#include "port/port_thread.h"
#include "testcheck.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS PORT_NS_PER_MS

/* ---- threads ---- */

struct facts {
    size_t stack;
    char name[32];
    bool usr1_blocked, segv_blocked;
};

static void note_facts(void *arg)
{
    struct facts *facts = arg;
    pthread_attr_t attr;
    sigset_t mask;

#ifdef __linux__
    pthread_getattr_np(pthread_self(), &attr);
    pthread_attr_getstacksize(&attr, &facts->stack);
    pthread_attr_destroy(&attr);
    pthread_getname_np(pthread_self(), facts->name, sizeof(facts->name));
#endif
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    facts->usr1_blocked = sigismember(&mask, SIGUSR1) == 1;
    facts->segv_blocked = sigismember(&mask, SIGSEGV) == 1;
}

static struct facts facts_of(const port_thread_attr_t *attr)
{
    struct facts facts;
    port_thread_t thread;

    memset(&facts, 0, sizeof(facts));
    ck_assert_int_eq(port_thread_create(&thread, note_facts, &facts, attr), 0);
    port_thread_join(&thread);
    return facts;
}

START_TEST(thread_attributes)
{
    port_thread_attr_t attr = {.stack_size = 1};
    struct facts facts = facts_of(&attr);

    /* too small is raised */
    ck_assert_uint_ge(facts.stack, 16384);
    attr.stack_size = 300001;
    ck_assert_uint_ge(facts_of(&attr).stack, 300001);
    attr.stack_size = SIZE_MAX;
    ck_assert_int_ne(port_thread_create(&(port_thread_t){0}, note_facts, &facts, &attr), 0);
    attr.stack_size = 0;
    attr.name = "a-name-longer-than-15-bytes";
    facts = facts_of(&attr);
#ifdef __linux__
    ck_assert_str_eq(facts.name, "a-name-longer-t");
#endif
    ck_assert(!facts.usr1_blocked);
    attr.block_signals = true;
    facts = facts_of(&attr);
    ck_assert(facts.usr1_blocked);
    ck_assert(!facts.segv_blocked);
    /* the caller's own mask is as before */
    attr.block_signals = false;
    ck_assert(!facts_of(&attr).usr1_blocked);
}
END_TEST

static void exit_early(void *arg)
{
    (void)arg;
    pthread_exit(NULL);
}

static void note_exit(void *arg)
{
    atomic_fetch_add((_Atomic int *)arg, 1);
}

static void return_at_once(void *arg)
{
    (void)arg;
}

START_TEST(thread_on_exit_runs_for_pthread_exit_only)
{
    port_thread_attr_t attr = {.on_exit = note_exit};
    _Atomic int exits = 0;
    port_thread_t thread;

    ck_assert_int_eq(port_thread_create(&thread, return_at_once, &exits, &attr), 0);
    port_thread_join(&thread);
    ck_assert_int_eq(atomic_load(&exits), 0);
    ck_assert_int_eq(port_thread_create(&thread, exit_early, &exits, &attr), 0);
    port_thread_join(&thread);
    ck_assert_int_eq(atomic_load(&exits), 1);
}
END_TEST

static volatile sig_atomic_t interrupted;

static void note_signal(int signum)
{
    (void)signum;
    interrupted = 1;
}

START_TEST(thread_sleep_survives_signals)
{
    struct sigaction action;
    uint64_t before = port_clock_now();

    memset(&action, 0, sizeof(action));
    action.sa_handler = note_signal;
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    ualarm(10000, 0);
    port_thread_sleep(60 * MS);
    ck_assert(port_clock_now() - before >= 60 * MS);
    ck_assert_int_eq(interrupted, 1);
}
END_TEST

/* ---- fork ---- */

START_TEST(fork_changes_the_generation)
{
    uint32_t mine;
    int status;
    pid_t child;

    ck_assert_int_eq(port_fork_watch(), 0);
    ck_assert_int_eq(port_fork_watch(), 0);
    mine = port_fork_generation();
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        uint32_t childs = port_fork_generation();
        pid_t grandchild = fork();

        if (grandchild == 0) {
            uint32_t own = port_fork_generation();

            _exit(own != mine && own != childs ? 0 : 1);
        }
        waitpid(grandchild, &status, 0);
        _exit(childs != mine && status == 0 ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_uint_eq(port_fork_generation(), mine);
}
END_TEST

/* ---- descriptors ---- */

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) != -1;
}

static void close_standard(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        close(fd);
}

static struct rlimit limits;

static void limit_descriptors(rlim_t limit)
{
    struct rlimit lower;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limits), 0);
    lower = limits;
    lower.rlim_cur = limit;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &lower), 0);
}

static void lift_limit(void)
{
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limits), 0);
}

START_TEST(fd_moves_above_the_standard_ones)
{
    int high = open("/dev/null", O_RDONLY | O_CLOEXEC), fd = high, copy;

    ck_assert_int_eq(port_fd_above_standard(&fd), 0);
    ck_assert_int_eq(fd, high);
    close_standard();
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(fd, 0);
    ck_assert_int_eq(port_fd_above_standard(&fd), 0);
    ck_assert_int_gt(fd, STDERR_FILENO);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    ck_assert(!is_open(0));
    fd = open("/nowhere", O_RDONLY);
    ck_assert_int_eq(port_fd_above_standard(&fd), ENOENT);
    ck_assert_int_eq(port_fd_copy(-1, &copy), EBADF);
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    limit_descriptors(2);
    ck_assert_int_eq(port_fd_above_standard(&fd), EMFILE);
    lift_limit();
    ck_assert_int_eq(fd, -1);
    ck_assert(!is_open(0));
}
END_TEST

START_TEST(fd_pipe_is_whole_or_not_there)
{
    int ends[2], fails = 0;

    close_standard();
    for (rlim_t limit = 0; limit < 16; limit++) {
        int err;

        limit_descriptors(limit);
        err = port_fd_pipe(ends);
        lift_limit();
        for (int fd = 0; fd <= STDERR_FILENO; fd++)
            ck_assert(!is_open(fd));
        for (int i = 0; i < 2; i++) {
            if (err != 0) {
                ck_assert_int_eq(err, EMFILE);
                ck_assert_int_eq(ends[i], -1);
            } else {
                ck_assert_int_gt(ends[i], STDERR_FILENO);
                ck_assert_int_eq(fcntl(ends[i], F_GETFD), FD_CLOEXEC);
                ck_assert_int_ne(fcntl(ends[i], F_GETFL) & O_NONBLOCK, 0);
                close(ends[i]);
            }
        }
        fails += err != 0;
    }
    ck_assert_int_gt(fails, 3); /* without room for either end, for the second, for a move */
    ck_assert_int_lt(fails, 16);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("port_posix");
    TCase *tcase = tcase_create("port_posix");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, thread_attributes);
    tcase_add_test(tcase, thread_on_exit_runs_for_pthread_exit_only);
    tcase_add_test(tcase, thread_sleep_survives_signals);
    tcase_add_test(tcase, fork_changes_the_generation);
    tcase_add_test(tcase, fd_moves_above_the_standard_ones);
    tcase_add_test(tcase, fd_pipe_is_whole_or_not_there);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

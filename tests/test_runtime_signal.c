/* SPDX-License-Identifier: MIT */
/*
 * test_runtime_signal.c - signals as events, and what is left of them afterwards; POSIX
 */
#include "testlib.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIGNAL ASYNC_EVENT_SIGNAL

static async_runtime_t *runtime;
static volatile sig_atomic_t handled;

static void setup(void)
{
    handled = 0;
    runtime = tl_runtime();
}

static void teardown(void)
{
    async_runtime_deinit(runtime);
}

static void count_handler(int signum)
{
    (void)signum;
    handled++;
}

static void install(int signum, void (*handler)(int), int flags)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = flags;
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGWINCH);
    ck_assert_int_eq(sigaction(signum, &action, NULL), 0);
}

static void expect_signal(async_runtime_t *from, int signum, void *context)
{
    async_event_t event;

    tl_one(from, &event);
    ck_assert_uint_eq(event.event_type, SIGNAL);
    ck_assert_uint_eq(event.data, (uintptr_t)signum);
    ck_assert_ptr_eq(event.context, context);
    ck_assert_int_eq(event.fd, ASYNC_INVALID_FD);
    ck_assert_int_eq(event.error, 0);
    ck_assert_uint_eq(event.completion_key, 0);
}

static void send_to_process(int signum)
{
    ck_assert_int_eq(kill(getpid(), signum), 0);
}

/* ---- events */

START_TEST(test_event)
{
    TL_OK(async_runtime_add_signal(runtime, SIGUSR1, tl_context(5)));
    tl_quiet(runtime);
    for (int i = 0; i < 3; i++) {
        send_to_process(SIGUSR1);
        expect_signal(runtime, SIGUSR1, tl_context(5));
        tl_quiet(runtime);
    }
}
END_TEST

/* Each number has its context, and none is lost to a small array. */
START_TEST(test_several)
{
    static const int signals[] = {SIGUSR1, SIGUSR2, SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGALRM};
    enum { COUNT = sizeof signals / sizeof signals[0] };
    bool seen[COUNT] = {false};

    for (size_t i = 0; i < COUNT; i++)
        TL_OK(async_runtime_add_signal(runtime, signals[i], tl_context(i)));
    for (size_t i = 0; i < COUNT; i++)
        send_to_process(signals[i]);
    for (size_t total = 0; total < COUNT; total++) {
        async_event_t event;
        size_t i;

        tl_one(runtime, &event);
        ck_assert_uint_eq(event.event_type, SIGNAL);
        i = (uintptr_t)event.context;
        ck_assert_uint_eq(event.data, (uintptr_t)signals[i]);
        ck_assert(!seen[i]);
        seen[i] = true;
    }
    tl_quiet(runtime);
}
END_TEST

START_TEST(test_realtime_signal)
{
    TL_OK(async_runtime_add_signal(runtime, SIGRTMIN + 1, tl_context(1)));
    TL_OK(async_runtime_add_signal(runtime, tl_last_signal(), tl_context(2)));
    send_to_process(tl_last_signal());
    expect_signal(runtime, tl_last_signal(), tl_context(2));
    send_to_process(SIGRTMIN + 1);
    expect_signal(runtime, SIGRTMIN + 1, tl_context(1));
}
END_TEST

static void send_later(void *arg)
{
    (void)arg;
    tl_sleep_ms(10);
    (void)kill(getpid(), SIGUSR1);
}

/* A sleeping loop is woken, whichever thread of the program the signal interrupts. */
START_TEST(test_wakes_a_sleeper)
{
    for (int i = 0; i < 5; i++) {
        tl_thread_t *thread;
        async_event_t event;

        if (i == 0)
            TL_OK(async_runtime_add_signal(runtime, SIGUSR1, tl_context(1)));
        thread = tl_thread_start(send_later, NULL);
        while (async_runtime_wait(runtime, &event, 1, -1) == 0)
            continue;
        ck_assert_uint_eq(event.event_type, SIGNAL);
        tl_thread_join(thread);
    }
}
END_TEST

static void raise_in_thread(void *arg)
{
    *(int *)arg = pthread_kill(pthread_self(), SIGUSR2);
}

START_TEST(test_raised_in_another_thread)
{
    int result = -1;

    TL_OK(async_runtime_add_signal(runtime, SIGUSR2, tl_context(2)));
    tl_thread_join(tl_thread_start(raise_in_thread, &result));
    ck_assert_int_eq(result, 0);
    expect_signal(runtime, SIGUSR2, tl_context(2));
}
END_TEST

START_TEST(test_child_ends)
{
    int status;
    pid_t child;

    TL_OK(async_runtime_add_signal(runtime, SIGCHLD, NULL));
    child = fork();
    if (child == 0)
        _exit(7);
    ck_assert_int_gt(child, 0);
    expect_signal(runtime, SIGCHLD, NULL);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(WEXITSTATUS(status), 7);
}
END_TEST

/* A storm: at least one event comes after the last one, and the runtime does not fill up. */
START_TEST(test_storm)
{
    async_event_t event;

    TL_OK(async_runtime_add_signal(runtime, SIGUSR1, NULL));
    for (unsigned i = 0; i < tl_scaled(100000); i++)
        if (kill(getpid(), SIGUSR1) != 0)
            ck_abort_msg("kill: errno %d", errno);
    expect_signal(runtime, SIGUSR1, NULL);
    while (async_runtime_wait(runtime, &event, 1, 0) > 0)
        ck_assert_uint_eq(event.event_type, SIGNAL);
    send_to_process(SIGUSR1);
    expect_signal(runtime, SIGUSR1, NULL);
}
END_TEST

/* Two runtimes, each with its own signals. */
START_TEST(test_two_runtimes)
{
    async_runtime_t *other = tl_runtime();

    TL_OK(async_runtime_add_signal(runtime, SIGUSR1, tl_context(1)));
    TL_OK(async_runtime_add_signal(other, SIGUSR2, tl_context(2)));
    send_to_process(SIGUSR2);
    tl_quiet(runtime);
    expect_signal(other, SIGUSR2, tl_context(2));
    send_to_process(SIGUSR1);
    expect_signal(runtime, SIGUSR1, tl_context(1));
    async_runtime_deinit(other);
    send_to_process(SIGUSR1);
    expect_signal(runtime, SIGUSR1, tl_context(1));
}
END_TEST

/* ---- errors: "a second add_signal for a number is EEXIST, an unknown one ENOENT" */

START_TEST(test_errors)
{
    static const int bad[] = {0, -1, INT_MIN, INT_MAX, SIGKILL, SIGSTOP, 65, 128};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        TL_FAILS(async_runtime_add_signal(runtime, bad[i], NULL), EINVAL);
    TL_FAILS(async_runtime_remove_signal(runtime, SIGUSR1), ENOENT);
    TL_OK(async_runtime_add_signal(runtime, SIGUSR1, tl_context(1)));
    TL_FAILS(async_runtime_add_signal(runtime, SIGUSR1, tl_context(2)), EEXIST);
    send_to_process(SIGUSR1);
    expect_signal(runtime, SIGUSR1, tl_context(1));
    TL_OK(async_runtime_remove_signal(runtime, SIGUSR1));
    TL_FAILS(async_runtime_remove_signal(runtime, SIGUSR1), ENOENT);
    TL_OK(async_runtime_add_signal(runtime, SIGUSR1, tl_context(3)));
    send_to_process(SIGUSR1);
    expect_signal(runtime, SIGUSR1, tl_context(3));
}
END_TEST

/* ---- "remove_signal and deinit bring back the earlier disposition and discard what is pending" */

static void check_disposition(int signum, void (*handler)(int), int flags)
{
    struct sigaction action;

    ck_assert_int_eq(sigaction(signum, NULL, &action), 0);
    ck_assert(action.sa_handler == handler);
    if (handler == count_handler) {
        ck_assert_int_eq(action.sa_flags & (SA_RESTART | SA_NODEFER | SA_ONSTACK), flags);
        ck_assert_int_eq(sigismember(&action.sa_mask, SIGWINCH), 1);
        ck_assert_int_eq(sigismember(&action.sa_mask, SIGPIPE), 0);
    }
}

START_TEST(test_disposition_after_remove)
{
    sigset_t before;
    sigset_t after;

    ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, NULL, &before), 0);
    install(SIGUSR1, count_handler, SA_RESTART | SA_NODEFER);
    install(SIGUSR2, SIG_IGN, 0);
    install(SIGTERM, SIG_DFL, 0);
    for (int i = 0; i < 3; i++) {
        TL_OK(async_runtime_add_signal(runtime, SIGUSR1, NULL));
        TL_OK(async_runtime_add_signal(runtime, SIGUSR2, NULL));
        TL_OK(async_runtime_add_signal(runtime, SIGTERM, NULL));
        send_to_process(SIGTERM);
        expect_signal(runtime, SIGTERM, NULL);
        send_to_process(SIGUSR2); /* "in place of its disposition": ignored until now */
        expect_signal(runtime, SIGUSR2, NULL);
        TL_OK(async_runtime_remove_signal(runtime, SIGUSR1));
        TL_OK(async_runtime_remove_signal(runtime, SIGUSR2));
        TL_OK(async_runtime_remove_signal(runtime, SIGTERM));
        check_disposition(SIGUSR1, count_handler, SA_RESTART | SA_NODEFER);
        check_disposition(SIGUSR2, SIG_IGN, 0);
        check_disposition(SIGTERM, SIG_DFL, 0);
    }
    ck_assert_int_eq(handled, 0);
    send_to_process(SIGUSR1);
    ck_assert_int_eq(handled, 1);
    ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, NULL, &after), 0);
    for (int signum = 1; signum < 32; signum++)
        ck_assert_int_eq(sigismember(&before, signum), sigismember(&after, signum));
}
END_TEST

START_TEST(test_disposition_after_deinit)
{
    install(SIGUSR1, count_handler, SA_ONSTACK);
    install(SIGUSR2, SIG_IGN, 0);
    install(SIGTERM, SIG_DFL, 0);
    TL_OK(async_runtime_add_signal(runtime, SIGUSR1, NULL));
    TL_OK(async_runtime_add_signal(runtime, SIGUSR2, NULL));
    TL_OK(async_runtime_add_signal(runtime, SIGTERM, NULL));
    async_runtime_deinit(runtime);
    runtime = NULL;
    check_disposition(SIGUSR1, count_handler, SA_ONSTACK);
    check_disposition(SIGUSR2, SIG_IGN, 0);
    check_disposition(SIGTERM, SIG_DFL, 0);
}
END_TEST

START_TEST(test_pending_is_discarded)
{
    install(SIGUSR1, count_handler, 0);
    TL_OK(async_runtime_add_signal(runtime, SIGUSR1, tl_context(1)));
    TL_OK(async_runtime_add_signal(runtime, SIGUSR2, tl_context(2)));
    send_to_process(SIGUSR1);
    send_to_process(SIGUSR2);
    TL_OK(async_runtime_remove_signal(runtime, SIGUSR1));
    expect_signal(runtime, SIGUSR2, tl_context(2));
    tl_quiet(runtime);
    ck_assert_int_eq(handled, 0); /* the old handler does not get it either */
    TL_OK(async_runtime_add_signal(runtime, SIGUSR1, tl_context(3)));
    tl_quiet(runtime); /* nor does the next registration */
    send_to_process(SIGUSR1);
    send_to_process(SIGUSR2);
    async_runtime_deinit(runtime);
    runtime = NULL;
    ck_assert_int_eq(handled, 0);
}
END_TEST

/* Fetched by a wait that had one place, and then removed. */
START_TEST(test_removed_in_a_batch)
{
    async_event_t event;

    TL_OK(async_runtime_add_signal(runtime, SIGUSR1, NULL));
    TL_OK(async_runtime_add_signal(runtime, SIGUSR2, NULL));
    send_to_process(SIGUSR1);
    send_to_process(SIGUSR2);
    tl_one(runtime, &event);
    ck_assert_uint_eq(event.event_type, SIGNAL);
    TL_OK(async_runtime_remove_signal(runtime, event.data == SIGUSR1 ? SIGUSR2 : SIGUSR1));
    tl_quiet(runtime);
}
END_TEST

/* A program that execs gets neither a blocked signal nor the library's handler. */
START_TEST(test_mask_of_children)
{
    sigset_t mask;

    TL_OK(async_runtime_add_signal(runtime, SIGUSR1, NULL));
    TL_OK(async_runtime_add_signal(runtime, SIGTERM, NULL));
    ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
    ck_assert_int_eq(sigismember(&mask, SIGUSR1), 0);
    ck_assert_int_eq(sigismember(&mask, SIGTERM), 0);
}
END_TEST

/* ---- the program's own handlers */

struct target {
    pthread_t thread;
    _Atomic bool stop;
};

static void poke_main(void *arg)
{
    struct target *target = arg;

    while (!atomic_load(&target->stop)) {
        tl_sleep_ms(2);
        (void)pthread_kill(target->thread, SIGUSR1);
    }
}

static void check_own_handler(int flags)
{
    struct target target = {pthread_self(), false};
    tl_thread_t *thread;
    async_event_t event;

    install(SIGUSR1, count_handler, flags);
    thread = tl_thread_start(poke_main, &target);
    for (int i = 0; i < 5; i++)
        TL_OK(async_runtime_wait(runtime, &event, 1, -1));
    atomic_store(&target.stop, true);
    tl_thread_join(thread);
    ck_assert_int_ge(handled, 5);
}

/* wait returns "0: ... a signal handler ran"; -1 with EINTR is no answer */
START_TEST(test_own_handler)
{
    check_own_handler(0);
}
END_TEST

START_TEST(test_own_handler_restart)
{
    check_own_handler(SA_RESTART);
}
END_TEST

static int error_in_handler;

static void wakeup_handler(int signum)
{
    int saved = errno;

    (void)signum;
    errno = TL_ERRNO;
    if (async_runtime_wakeup(runtime) != 0 || errno != TL_ERRNO)
        error_in_handler = 1;
    errno = saved;
    handled++;
}

/* "wakeup is async-signal-safe": from a handler, at any moment, while the loop posts and waits */
START_TEST(test_wakeup_from_a_handler)
{
    struct itimerval often = {{0, 300}, {0, 300}};
    struct itimerval never = {{0, 0}, {0, 0}};
    async_event_t event;

    error_in_handler = 0;
    install(SIGALRM, wakeup_handler, SA_RESTART);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
    /* These waits have no end but the handler. */
    for (unsigned i = 0; i < 200; i++)
        ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, -1), 0);
    /* And these have one of their own, and must not lose it. */
    for (uintptr_t i = 0; i < 2000; i++) {
        ck_assert_int_eq(async_runtime_post_completion(runtime, i, i), 0);
        while (async_runtime_wait(runtime, &event, 1, -1) == 0)
            continue;
        ck_assert_uint_eq(event.data, i);
    }
    ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
    ck_assert_int_eq(error_in_handler, 0);
    ck_assert_int_gt(handled, 100);
}
END_TEST

/* Timeouts hold while handlers run; a timer is not early for it. */
START_TEST(test_interrupted_timer)
{
    struct itimerval often = {{0, 1000}, {0, 1000}};
    struct itimerval never = {{0, 0}, {0, 0}};
    uint64_t start = tl_now_ns();
    async_event_t event;

    install(SIGALRM, count_handler, 0);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
    ck_assert_uint_ne(async_runtime_add_timer(runtime, 30000, 0, NULL), 0);
    while (async_runtime_wait(runtime, &event, 1, -1) == 0)
        continue;
    ck_assert_uint_eq(event.event_type, ASYNC_EVENT_TIMER);
    ck_assert_uint_ge(tl_now_ns() - start, 30 * TL_NS_PER_MS);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
}
END_TEST

static void add_cases(Suite *suite)
{
    TCase *tcase = tl_case(suite, "events");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_event);
    tcase_add_test(tcase, test_several);
    tcase_add_test(tcase, test_realtime_signal);
    tcase_add_test(tcase, test_wakes_a_sleeper);
    tcase_add_test(tcase, test_raised_in_another_thread);
    tcase_add_test(tcase, test_child_ends);
    tcase_add_test(tcase, test_storm);
    tcase_add_test(tcase, test_two_runtimes);
    tcase_add_test(tcase, test_errors);

    tcase = tl_case(suite, "afterwards");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_disposition_after_remove);
    tcase_add_test(tcase, test_disposition_after_deinit);
    tcase_add_test(tcase, test_pending_is_discarded);
    tcase_add_test(tcase, test_removed_in_a_batch);
    tcase_add_test(tcase, test_mask_of_children);

    tcase = tl_case(suite, "handlers");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_own_handler);
    tcase_add_test(tcase, test_own_handler_restart);
    tcase_add_test(tcase, test_wakeup_from_a_handler);
    tcase_add_test(tcase, test_interrupted_timer);
}

int main(void)
{
    return tl_main("runtime_signal", add_cases);
}

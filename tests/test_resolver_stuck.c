/* SPDX-License-Identifier: MIT */
/*
 * Lookups that are stuck for ever: the loop, cached and numeric names, destroy and the program's
 * exit do not feel them.  Also what the child of a fork may do.
 */
#include "resolver_harness.h"

#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STUCK = 64, PATIENCE_S = 20 }; /* a stuck lookup takes at least 60 seconds */

static async_resolver_options_t many_threads(void)
{
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;

    options.threads = STUCK;
    options.max_in_flight = STUCK;
    return options;
}

static void stick(async_resolver_t *with, const char *domain)
{
    struct addrinfo hints = hints_of(AF_INET, 0);
    char name[40];

    for (int i = 0; i < STUCK; i++) {
        snprintf(name, sizeof(name), "drop.n%d.%s", i, domain);
        if (async_resolver_lookup(with, name, NULL, &hints, NULL) == 0)
            exit(3);
    }
}

START_TEST(test_stuck_lookups_hold_nobody_up)
{
    async_resolver_options_t options = many_threads();
    time_t start = time(NULL);
    async_event_t event;
    char name[40];

    remake(&options);
    ask("cached.test.");
    ck_assert_int_eq(take_status(), 0);
    while (async_runtime_wait(loop, &event, 1, 0) > 0)
        continue;
    stick(resolver, "test.");
    for (int i = 0; i < STUCK; i++) {
        snprintf(name, sizeof(name), "drop.n%d.test", i);
        ck_assert(dns_responder_wait(dns, name, DNS_TYPE_A, 1));
    }
    ck_assert_uint_eq(stats_of(resolver).in_flight, STUCK);
    for (int i = 0; i < 100; i++) {
        async_resolver_result_t *result;

        ck_assert_int_eq(async_runtime_post_completion(loop, 1, (uintptr_t)i), 0);
        ck_assert_int_eq(async_runtime_wait(loop, &event, 1, PATIENCE_S * 1000), 1);
        ck_assert_uint_eq(event.completion_key, 1);
        ck_assert_uint_eq(event.data, (uintptr_t)i);
        ask("cached.test.");
        result = take_now();
        ck_assert_ptr_nonnull(result);
        ck_assert_uint_eq(result->flags, ASYNC_RESOLVER_FROM_CACHE);
        async_resolver_free_result(result);
        ask("192.0.2.1");
        result = take_now();
        ck_assert_ptr_nonnull(result);
        async_resolver_free_result(result);
        ck_assert_int_eq(async_runtime_wait(loop, &event, 1, PATIENCE_S * 1000), 1);
        ck_assert_uint_eq(event.completion_key, RESOLVER_KEY);
    }
    ck_assert_ptr_null(take_now());
    check_sums(resolver, STUCK);
    async_resolver_destroy(resolver);
    resolver = NULL;
    ck_assert_int_lt(time(NULL) - start, PATIENCE_S);
    /* not the fixture's patience with the threads: this process ends here, with them stuck, and as
     * another program, for leak checkers do not see what such threads have in hand */
    execl("/bin/true", "true", (char *)NULL);
    exit(2);
}
END_TEST

/* Another program, so that its exit is a whole one.  how: 'd' destroys first, 'e' does not. */
static int stuck_program(char how)
{
    async_resolver_options_t options = many_threads();
    async_resolver_stats_t stats;

    loop = async_runtime_init();
    resolver = async_resolver_create(loop, RESOLVER_KEY, &options);
    if (resolver == NULL)
        return 2;
    stick(resolver, "other.test.");
    async_resolver_get_stats(resolver, &stats);
    if (stats.in_flight != STUCK)
        return 4;
    sleep_ms(50);
    if (how == 'd') {
        async_resolver_destroy(resolver);
        async_runtime_deinit(loop);
    }
    return 0;
}

static void run_program(const char *how)
{
    time_t start = time(NULL);
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
    int status = -1;
    pid_t pid;

    ck_assert_int_gt(length, 0);
    path[length] = '\0';
    pid = fork();
    ck_assert_int_ne(pid, -1);
    if (pid == 0) {
        /* it ends with its threads at work: what they have in hand is no leak */
        execl("/bin/sh", "sh", "-c", "exec ${TEST_RUNNER_NO_LEAKS-$TEST_RUNNER} \"$0\" \"$1\"",
              path, how, (char *)NULL);
        _exit(127);
    }
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (time(NULL) - start >= PATIENCE_S) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            ck_abort_msg("the program does not end");
        }
        sleep_ms(5);
    }
    ck_assert_int_eq(status, 0);
}

START_TEST(test_program_ends_with_stuck_lookups)
{
    run_program("e");
    run_program("d");
}
END_TEST

/* The lookups of the child: refused all, and the parent's go on. */
static int use_in_child(void)
{
    struct addrinfo hints = hints_of(AF_INET, 0);
    async_resolver_stats_t stats;

    if (async_resolver_lookup(resolver, "a.test.", NULL, &hints, NULL) != 0 || errno != EPERM)
        return 1;
    if (async_resolver_lookup(resolver, "192.0.2.1", NULL, &hints, NULL) != 0 || errno != EPERM)
        return 2;
    if (async_resolver_cancel(resolver, 1) != -1 || errno != EPERM)
        return 3;
    if (async_resolver_next(resolver) != NULL || errno != EPERM)
        return 4;
    if (async_resolver_create(loop, 1, NULL) != NULL || errno != EPERM)
        return 5;
    async_resolver_clear_cache(resolver);
    async_resolver_get_stats(resolver, &stats);
    async_resolver_destroy(resolver);
    async_runtime_deinit(loop);
    return 0;
}

START_TEST(test_fork)
{
    int status;
    pid_t pid;

    ask("a.test.");
    ck_assert_int_eq(take_status(), 0);
    ask("a.test.");
    ask("hold.test.");
    ask("hold.test.");
    ask_address("10.8.0.1", 0);
    ck_assert(dns_responder_wait(dns, "hold.test", DNS_TYPE_A, 1));
    pid = fork();
    ck_assert_int_ne(pid, -1);
    if (pid == 0) {
        int failed = use_in_child();

        /* a leak checker must not look at what the parent's threads had in hand: another program */
        if (failed == 0)
            execl("/bin/true", "true", (char *)NULL);
        _exit(failed);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    expect(2, 0, ASYNC_RESOLVER_FROM_CACHE);
    dns_responder_release(dns);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(take_status(), 0);
    check_sums(resolver, 0);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite;
    TCase *tcase;

    if (argc > 1)
        return stuck_program(argv[1][0]);
    suite = suite_create("resolver_stuck");
    tcase = harness_tcase("stuck");
    tcase_add_exit_test(tcase, test_stuck_lookups_hold_nobody_up, 0);
    tcase_add_test(tcase, test_program_ends_with_stuck_lookups);
    tcase_add_test(tcase, test_fork);
    suite_add_tcase(suite, tcase);
    return harness_run(suite);
}

/* SPDX-License-Identifier: MIT */
#include "resolver_harness.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SKIPPED 77

dns_responder_t *dns;
async_runtime_t *loop;
async_resolver_t *resolver;

static unsigned threads_before, descriptors_before;

static unsigned entries_of(const char *path)
{
    DIR *directory = opendir(path);
    unsigned count = 0;

    ck_assert_ptr_nonnull(directory);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count - 2;
}

unsigned thread_count(void)
{
    return entries_of("/proc/self/task");
}

void sleep_ms(unsigned ms)
{
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
        continue;
}

static void *nothing(void *arg)
{
    *(long *)arg = (long)gettid();
    return NULL;
}

/* A sanitizer starts a thread of its own with the first one: let it be there before they are
 * counted. The joined one is gone when the system says so. */
static void have_had_threads(void)
{
    pthread_t thread;
    char path[64];
    long id;

    ck_assert_int_eq(pthread_create(&thread, NULL, nothing, &id), 0);
    pthread_join(thread, NULL);
    snprintf(path, sizeof(path), "/proc/self/task/%ld", id);
    while (access(path, F_OK) == 0)
        sleep_ms(1);
}

static void setup(void)
{
    have_had_threads();
    threads_before = thread_count();
    descriptors_before = entries_of("/proc/self/fd");
    dns = dns_responder_start();
    loop = async_runtime_init();
    ck_assert_ptr_nonnull(loop);
    resolver = async_resolver_create(loop, RESOLVER_KEY, NULL);
    ck_assert_ptr_nonnull(resolver);
}

/* Threads that are let go end soon, once what they wait for has come. */
static void teardown(void)
{
    dns_responder_release(dns);
    async_resolver_destroy(resolver);
    async_runtime_deinit(loop);
    for (int i = 0; thread_count() > threads_before + 1 && i < 3000; i++)
        sleep_ms(10);
    dns_responder_stop(dns);
    for (int i = 0; thread_count() > threads_before && i < 3000; i++)
        sleep_ms(10);
    ck_assert_uint_eq(thread_count(), threads_before);
    ck_assert_uint_eq(entries_of("/proc/self/fd"), descriptors_before);
}

TCase *harness_tcase(const char *name)
{
    TCase *tcase = tcase_create(name);

    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, setup, teardown);
    return tcase;
}

/* Whether the system lets programs have this backend, which the environment names. */
static bool backend_allowed(void)
{
    async_runtime_t *probe = async_runtime_init();

    async_runtime_deinit(probe);
    return probe != NULL || errno != ENOTSUP;
}

/* In a process of its own, for it changes the environment.  Returns whether all is well. */
static bool run_on(const char *backend, SRunner *runner)
{
    int status = -1;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        setenv("ASYNCRT_BACKEND", backend, 1);
        printf("%s: ", backend);
        if (!backend_allowed()) {
            printf("refused by the system\n");
            exit(EXIT_SUCCESS);
        }
        srunner_run_all(runner, CK_ENV);
        exit(srunner_ntests_failed(runner) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    return pid != -1 && waitpid(pid, &status, 0) == pid && status == 0;
}

int harness_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    const char *only = getenv("ASYNCRT_BACKEND");
    int err = dns_namespace_enter();
    bool passed = true;

    if (err != 0) {
        srunner_free(runner);
        printf("the system refuses namespaces of their own to the resolver's tests: %s\n",
               strerror(err));
        return getenv("CI") != NULL ? EXIT_FAILURE : SKIPPED;
    }
    if (only != NULL && only[0] != '\0')
        passed = run_on(only, runner);
    else
        for (const char *const *name = async_runtime_backends(); *name != NULL; name++)
            passed = run_on(*name, runner) && passed;
    srunner_free(runner);
    return passed ? EXIT_SUCCESS : EXIT_FAILURE;
}

bool engine_is(const char *name)
{
    const char *engine = getenv("ASYNCRT_RESOLVER");

    return strcmp(engine != NULL && engine[0] != '\0' ? engine : "libc", name) == 0;
}

void remake(const async_resolver_options_t *options)
{
    async_resolver_destroy(resolver);
    resolver = async_resolver_create(loop, RESOLVER_KEY, options);
    ck_assert_ptr_nonnull(resolver);
}

struct addrinfo hints_of(int family, int flags)
{
    struct addrinfo hints;

    memset(&hints, 0, sizeof(hints));
    hints.ai_family = family;
    hints.ai_flags = flags;
    hints.ai_socktype = SOCK_STREAM;
    return hints;
}

uint64_t ask_with(const char *name, const char *service, int family, int flags)
{
    struct addrinfo hints = hints_of(family, flags);
    uint64_t id = async_resolver_lookup(resolver, name, service, &hints, (void *)(uintptr_t)name);

    ck_assert_msg(id != 0, "%s: %s", name != NULL ? name : "(none)", strerror(errno));
    return id;
}

uint64_t ask(const char *name)
{
    return ask_with(name, NULL, AF_INET, 0);
}

uint64_t ask_address(const char *address, unsigned port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    uint64_t id;

    if (inet_pton(AF_INET, address, &in.sin_addr) == 1) {
        id = async_resolver_reverse(resolver, (struct sockaddr *)&in, sizeof(in), NULL);
    } else {
        ck_assert_int_eq(inet_pton(AF_INET6, address, &in6.sin6_addr), 1);
        id = async_resolver_reverse(resolver, (struct sockaddr *)&in6, sizeof(in6), NULL);
    }
    ck_assert_msg(id != 0, "%s: %s", address, strerror(errno));
    return id;
}

async_resolver_result_t *take_now(void)
{
    async_resolver_result_t *result = async_resolver_next(resolver);

    if (result == NULL)
        ck_assert_int_eq(errno, EAGAIN);
    return result;
}

/* Only after a completion, or before the first wait, is there a result: none comes unannounced. */
async_resolver_result_t *take(void)
{
    time_t end = time(NULL) + 60;
    async_resolver_result_t *result = take_now();

    while (result == NULL) {
        async_event_t events[4];
        int count = async_runtime_wait(loop, events, 4, 1000);

        ck_assert_int_ge(count, 0);
        for (int i = 0; i < count; i++) {
            ck_assert_uint_eq(events[i].event_type, ASYNC_EVENT_COMPLETION);
            ck_assert_uint_eq(events[i].completion_key, RESOLVER_KEY);
        }
        if (count > 0)
            result = take_now();
        ck_assert_msg(result != NULL || time(NULL) < end, "no result in 60 seconds");
    }
    return result;
}

int take_status(void)
{
    async_resolver_result_t *result = take();
    int status = result->status;

    async_resolver_free_result(result);
    return status;
}

void expect(uint64_t id, int status, uint32_t flags)
{
    async_resolver_result_t *result = take();

    ck_assert_uint_eq(result->request_id, id);
    ck_assert_int_eq(result->status, status);
    ck_assert_uint_eq(result->flags, flags);
    async_resolver_free_result(result);
}

const char *address_of(const async_resolver_result_t *result)
{
    static char text[INET6_ADDRSTRLEN];
    const struct addrinfo *ai = result->addresses;

    if (ai == NULL)
        return "";
    if (ai->ai_family == AF_INET)
        inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)ai->ai_addr)->sin_addr, text,
                  sizeof(text));
    else
        inet_ntop(AF_INET6, &((struct sockaddr_in6 *)(void *)ai->ai_addr)->sin6_addr, text,
                  sizeof(text));
    return text;
}

unsigned port_of(const async_resolver_result_t *result)
{
    return ntohs(((struct sockaddr_in *)(void *)result->addresses->ai_addr)->sin_port);
}

unsigned addresses_of(const async_resolver_result_t *result)
{
    unsigned count = 0;

    for (const struct addrinfo *ai = result->addresses; ai != NULL; ai = ai->ai_next)
        count++;
    return count;
}

async_resolver_stats_t stats_of(async_resolver_t *of)
{
    async_resolver_stats_t stats;

    async_resolver_get_stats(of, &stats);
    return stats;
}

void check_sums(async_resolver_t *of, uint64_t open)
{
    async_resolver_stats_t stats = stats_of(of);

    ck_assert_uint_eq(stats.admitted,
                      stats.completed + stats.failed + stats.timed_out + stats.cancelled + open);
}

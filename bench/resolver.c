/* SPDX-License-Identifier: MIT */
/*
 * Names that take 20 ms each, all asked for at once: the resolver with both engines beside c-ares
 * alone and uv_getaddrinfo() at equal threads; then what a cached and a numeric name cost.
 *
 * Runs in namespaces of its own with a DNS server of its own.
 */
#include "config.h"

#include "bench.h"
#include "dns_namespace.h"
#include "dns_responder.h"

#include <asyncrt.h>

#include <netdb.h>
#include <string.h>
#include <sys/select.h>
#ifdef ENGINE_CARES
#include <ares.h>
#endif
#ifdef HAVE_LIBUV
#include <uv.h>
#endif

enum { THREADS = 64, ROUNDS = 3, HITS = 200000 };

/* Of c-ares at a time, in both: what a socket's buffer takes without loss. */
enum { WINDOW = 200 };

/* Fresh names in each run. */
static unsigned run_number;

static void name_of(char *name, size_t size, int i)
{
    snprintf(name, size, "delay20.r%u.n%d.test.", run_number, i);
}

static async_resolver_t *make(async_runtime_t *loop, const char *engine, size_t limit)
{
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;
    async_resolver_t *resolver;

    options.engine = engine;
    options.threads = THREADS;
    options.max_in_flight = limit;
    options.queue_limit = 0;
    resolver = async_resolver_create(loop, 1, &options);
    bench_check(resolver != NULL, "async_resolver_create");
    return resolver;
}

static double with_resolver(const char *engine, size_t limit, int names)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    async_runtime_t *loop = async_runtime_init();
    async_resolver_t *resolver = make(loop, engine, limit);
    uint64_t start = bench_now();
    int ended = 0;

    for (int i = 0; i < names; i++) {
        char name[64];

        name_of(name, sizeof(name), i);
        bench_check(async_resolver_lookup(resolver, name, "80", &hints, NULL) != 0, "lookup");
    }
    while (ended < names) {
        async_resolver_result_t *result;
        async_event_t event;

        async_runtime_wait(loop, &event, 1, -1);
        for (; (result = async_resolver_next(resolver)) != NULL; ended++) {
            bench_check(result->status == 0, "a name is not found");
            async_resolver_free_result(result);
        }
    }
    start = bench_now() - start;
    async_resolver_destroy(resolver);
    async_runtime_deinit(loop);
    return (double)start / 1e6;
}

static double libc_engine(int names)
{
    return with_resolver("libc", THREADS, names);
}

#ifdef ENGINE_CARES
static double cares_engine(int names)
{
    return with_resolver("cares", WINDOW, names);
}

static struct {
    ares_channel channel;
    int asked, ended, names;
} alone;

static void cares_ask(void);

static void cares_found(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
    (void)arg;
    (void)timeouts;
    bench_check(status == ARES_SUCCESS, "a name is not found");
    ares_freeaddrinfo(found);
    alone.ended++;
    if (alone.asked < alone.names)
        cares_ask();
}

static void cares_ask(void)
{
    struct ares_addrinfo_hints hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    char name[64];

    name_of(name, sizeof(name), alone.asked++);
    ares_getaddrinfo(alone.channel, name, "80", &hints, cares_found, NULL);
}

static double cares_alone(int names)
{
    uint64_t start = bench_now();

    alone.asked = alone.ended = 0;
    alone.names = names;
    bench_check(ares_init(&alone.channel) == ARES_SUCCESS, "ares_init");
    while (alone.asked < names && alone.asked < WINDOW)
        cares_ask();
    while (alone.ended < names) {
        struct timeval space, *timeout;
        fd_set readable, writable;
        int count;

        FD_ZERO(&readable);
        FD_ZERO(&writable);
        count = ares_fds(alone.channel, &readable, &writable);
        timeout = ares_timeout(alone.channel, NULL, &space);
        select(count, &readable, &writable, NULL, timeout);
        ares_process(alone.channel, &readable, &writable);
    }
    start = bench_now() - start;
    ares_destroy(alone.channel);
    return (double)start / 1e6;
}
#endif

#ifdef HAVE_LIBUV
static void uv_found(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    (void)request;
    bench_check(status == 0, "a name is not found");
    uv_freeaddrinfo(list);
}

static double libuv(int names)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    uv_getaddrinfo_t *requests = calloc((size_t)names, sizeof(*requests));
    uint64_t start = bench_now();
    uv_loop_t loop;

    bench_check(requests != NULL && uv_loop_init(&loop) == 0, "uv_loop_init");
    for (int i = 0; i < names; i++) {
        char name[64];

        name_of(name, sizeof(name), i);
        bench_check(uv_getaddrinfo(&loop, &requests[i], uv_found, name, "80", &hints) == 0,
                    "uv_getaddrinfo");
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    start = bench_now() - start;
    uv_loop_close(&loop);
    free(requests);
    return (double)start / 1e6;
}
#endif

static const struct contender {
    const char *name;
    double (*run)(int names);
} contenders[] = {
    {"asyncrt, libc engine, 64 threads", libc_engine},
#ifdef HAVE_LIBUV
    {"libuv, 64 threads", libuv},
#endif
#ifdef ENGINE_CARES
    {"asyncrt, c-ares engine", cares_engine},
    {"c-ares alone", cares_alone},
#endif
};

enum { CONTENDERS = sizeof(contenders) / sizeof(contenders[0]) };

/* One after the other, round by round. */
static void slow_names(int names)
{
    double times[CONTENDERS][ROUNDS];

    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < CONTENDERS; i++) {
            run_number++;
            times[i][round] = contenders[i].run(names);
        }
    }
    for (size_t i = 0; i < CONTENDERS; i++)
        printf("%5d names at 20 ms  %-34s %8.1f ms\n", names, contenders[i].name,
               bench_median(times[i], ROUNDS));
}

static void at_once(const char *what, const char *name)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    async_runtime_t *loop = async_runtime_init();
    async_resolver_t *resolver = make(loop, "libc", THREADS);
    async_resolver_result_t *result;
    async_event_t event;
    uint64_t start;

    async_resolver_lookup(resolver, name, "80", &hints, NULL);
    async_runtime_wait(loop, &event, 1, -1);
    async_resolver_free_result(async_resolver_next(resolver));
    start = bench_now();
    for (int i = 0; i < HITS; i++) {
        async_resolver_lookup(resolver, name, "80", &hints, NULL);
        result = async_resolver_next(resolver);
        bench_check(result != NULL && result->status == 0, what);
        async_resolver_free_result(result);
    }
    start = bench_now() - start;
    printf("%-53s %8.1f ns\n", what, (double)start / HITS);
    async_resolver_destroy(resolver);
    async_runtime_deinit(loop);
}

int main(void)
{
    dns_responder_t *dns;
    int err = dns_namespace_enter();

    if (err != 0) {
        printf("skipped, no namespaces: %s\n", strerror(err));
        return 0;
    }
    /* libuv reads it once */
    setenv("UV_THREADPOOL_SIZE", "64", 1);
    dns_namespace_patience(1, 5);
    dns = dns_responder_start();
    slow_names(200);
    slow_names(1000);
    at_once("a cached name, lookup to free_result", "plain.test.");
    at_once("a numeric address, lookup to free_result", "192.0.2.1");
    dns_responder_stop(dns);
    return 0;
}

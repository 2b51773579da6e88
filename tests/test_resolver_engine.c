/* SPDX-License-Identifier: MIT */
/*
 * The resolver above a getaddrinfo() of the tests' own, on every platform: sharing, the cache,
 * limits, stuck lookups, and no memory.  What needs a DNS server is in the other resolver tests.
 */
#include "port/port_memory.h"
#include "resolver_names.h"
#include "testlib.h"

#include <stdatomic.h>

#define KEY ((uintptr_t)77)
#define CACHED ASYNC_RESOLVER_FROM_CACHE
#define SHARED ASYNC_RESOLVER_COALESCED

static async_runtime_t *loop;
static async_resolver_t *resolver;

static void setup(void)
{
    names_reset();
    tl_setenv("ASYNCRT_RESOLVER", "libc");
    loop = tl_runtime();
    resolver = async_resolver_create(loop, KEY, NULL);
    ck_assert_ptr_nonnull(resolver);
}

/* Threads that are let go of end once what they wait for has come: before the count. */
static void teardown(void)
{
    port_memory_set_hook(NULL);
    async_resolver_destroy(resolver);
    async_runtime_deinit(loop);
    names_release();
    while (names_held() > 0)
        tl_sleep_ms(1);
}

static void remake(const async_resolver_options_t *options)
{
    async_resolver_destroy(resolver);
    resolver = async_resolver_create(loop, KEY, options);
    ck_assert_ptr_nonnull(resolver);
}

static uint64_t try_to_ask(const char *name)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};

    errno = 0;
    return async_resolver_lookup(resolver, name, NULL, &hints, NULL);
}

static uint64_t ask(const char *name)
{
    uint64_t id = try_to_ask(name);

    ck_assert_msg(id != 0, "%s: errno %d", name, errno);
    return id;
}

static async_resolver_result_t *take(void)
{
    async_resolver_result_t *result;
    async_event_t event;

    while ((result = async_resolver_next(resolver)) == NULL) {
        ck_assert_int_eq(errno, EAGAIN);
        tl_one(loop, &event);
        ck_assert_uint_eq(event.event_type, ASYNC_EVENT_COMPLETION);
        ck_assert_uint_eq(event.completion_key, KEY);
    }
    return result;
}

static void expect_with(uint64_t id, int status, int error, uint32_t flags)
{
    async_resolver_result_t *result = take();

    ck_assert_uint_eq(result->request_id, id);
    ck_assert_int_eq(result->status, status);
    ck_assert_uint_eq(result->flags, flags);
    ck_assert_int_eq(result->addresses != NULL, status == 0);
    if (status == EAI_SYSTEM)
        ck_assert_int_eq(result->error, error);
    async_resolver_free_result(result);
}

static void expect(uint64_t id, int status, uint32_t flags)
{
    expect_with(id, status, 0, flags);
}

static async_resolver_stats_t stats(void)
{
    async_resolver_stats_t got;

    async_resolver_get_stats(resolver, &got);
    return got;
}

static void await_held(int count)
{
    while (names_held() < count)
        tl_sleep_ms(1);
}

START_TEST(test_cache)
{
    expect(ask("a.test"), 0, 0);
    expect(ask("A.TEST"), 0, CACHED);
    expect(ask("nx.test"), EAI_NONAME, 0);
    expect(ask("nx.test"), EAI_NONAME, CACHED);
    ck_assert_int_eq(names_asked(), 2);
    expect(ask("again.test"), EAI_AGAIN, 0);
    expect(ask("again.test"), EAI_AGAIN, 0); /* is not kept */
    ck_assert_int_eq(names_asked(), 4);
    ck_assert_uint_eq(stats().cached, 2);
    async_resolver_clear_cache(resolver);
    expect(ask("a.test"), 0, 0);
    ck_assert_int_eq(names_asked(), 5);
}
END_TEST

START_TEST(test_sharing)
{
    uint64_t first = ask("hold.test"), second = ask("hold.test"), third = ask("Hold.Test");

    await_held(1);
    names_release();
    expect(first, 0, 0);
    expect(second, 0, SHARED);
    expect(third, 0, SHARED);
    ck_assert_int_eq(names_asked(), 1);
    ck_assert_uint_eq(stats().coalesced, 2);
}
END_TEST

START_TEST(test_stuck_ones_hold_nobody_up)
{
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;

    options.threads = 2;
    remake(&options);
    expect(ask("cached.test"), 0, 0);
    ask("hold1.test");
    ask("hold2.test");
    await_held(2);
    ask("behind.test");
    for (int i = 0; i < 3; i++) {
        expect(ask("cached.test"), 0, CACHED);
        expect(ask("192.0.2.1"), 0, 0);
    }
    ck_assert_int_eq(names_asked(), 3);
    /* and destroy, in teardown, waits for none of them */
}
END_TEST

START_TEST(test_timeout)
{
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;
    uint64_t before, id;

    options.timeout_ms = 60;
    remake(&options);
    before = tl_now_ns();
    id = ask("hold.test");
    expect_with(id, EAI_SYSTEM, ETIMEDOUT, 0);
    ck_assert_uint_ge(tl_now_ns() - before, 60 * TL_NS_PER_MS);
    ck_assert_uint_eq(stats().timed_out, 1);
}
END_TEST

START_TEST(test_cancel)
{
    uint64_t first = ask("hold.test"), second = ask("hold.test");

    await_held(1);
    TL_OK(async_resolver_cancel(resolver, first));
    expect_with(first, EAI_SYSTEM, ECANCELED, 0);
    TL_FAILS(async_resolver_cancel(resolver, first), ENOENT);
    names_release();
    expect(second, 0, SHARED);
    ck_assert_uint_eq(stats().cancelled, 1);
}
END_TEST

START_TEST(test_limits)
{
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;
    uint64_t ids[3];

    options.threads = 1;
    options.queue_limit = 2;
    remake(&options);
    ids[0] = ask("hold.test");
    await_held(1);
    ids[1] = ask("a.test");
    ids[2] = ask("b.test");
    ck_assert_uint_eq(try_to_ask("c.test"), 0);
    ck_assert_int_eq(errno, EAGAIN);
    expect(ask("192.0.2.1"), 0, 0); /* needs no place */
    ck_assert_uint_eq(stats().rejected, 1);
    names_release();
    for (int i = 0; i < 3; i++)
        expect(ids[i], 0, 0);
}
END_TEST

START_TEST(test_reverse)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    async_resolver_result_t *result;
    uint64_t id;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    id = async_resolver_reverse(resolver, (struct sockaddr *)&address, sizeof(address), NULL);
    ck_assert_uint_ne(id, 0);
    result = take();
    ck_assert_uint_eq(result->request_id, id);
    ck_assert(result->status != 0 || result->host != NULL);
    async_resolver_free_result(result);
}
END_TEST

/* ---- no memory ---- */

static _Atomic unsigned long allocations;
static unsigned long fail_at;
static bool for_good;

static bool refuse(size_t size)
{
    unsigned long nth = atomic_fetch_add(&allocations, 1) + 1;

    (void)size;
    return for_good ? nth < fail_at : nth != fail_at;
}

/* Each accepted request has its one result.  Returns whether the n-th allocation was reached. */
static bool work_without(unsigned long nth)
{
    static const char *const names[] = {"a.test", "a.test", "192.0.2.1", "nx.test", "b.test"};
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;
    int accepted = 0;

    atomic_store(&allocations, 0);
    fail_at = nth;
    async_resolver_destroy(resolver);
    port_memory_set_hook(refuse);
    errno = 0;
    resolver = async_resolver_create(loop, KEY, &options);
    if (resolver == NULL)
        ck_assert_int_eq(errno, ENOMEM);
    for (int round = 0; round < 2 && resolver != NULL; round++) {
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            if (try_to_ask(names[i]) != 0)
                accepted++;
            else
                ck_assert(errno == ENOMEM || errno == EAGAIN);
        }
        for (; accepted > 0; accepted--)
            async_resolver_free_result(take());
    }
    while (resolver != NULL && stats().in_flight != 0)
        tl_sleep_ms(1);
    port_memory_set_hook(NULL);
    if (resolver != NULL)
        expect(ask("192.0.2.2"), 0, 0); /* all is well again */
    return atomic_load(&allocations) >= nth;
}

START_TEST(test_no_memory)
{
    unsigned long nth = 1;

    for_good = _i != 0;
    while (work_without(nth))
        nth++;
    ck_assert_uint_gt(nth, 20);
}
END_TEST

static void add_case(Suite *suite)
{
    TCase *tcase = tl_case(suite, "engine");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_cache);
    tcase_add_test(tcase, test_sharing);
    tcase_add_test(tcase, test_stuck_ones_hold_nobody_up);
    tcase_add_test(tcase, test_timeout);
    tcase_add_test(tcase, test_cancel);
    tcase_add_test(tcase, test_limits);
    tcase_add_test(tcase, test_reverse);
    tcase_add_loop_test(tcase, test_no_memory, 0, 2);
}

int main(void)
{
    return tl_main("resolver_engine", add_case);
}

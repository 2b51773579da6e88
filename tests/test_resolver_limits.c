/* SPDX-License-Identifier: MIT */
/*
 * Many requests at once: shared queries, limits, quotas, timeouts, cancels; one result for each.
 */
#include "resolver_harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One query at a time on both engines. */
static async_resolver_options_t one_at_a_time(void)
{
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;

    options.threads = 1;
    options.max_in_flight = 1;
    return options;
}

static void expect_error(uint64_t id, int error)
{
    async_resolver_result_t *result = take();

    ck_assert_uint_eq(result->request_id, id);
    ck_assert_int_eq(result->status, EAI_SYSTEM);
    ck_assert_int_eq(result->error, error);
    ck_assert_ptr_null(result->addresses);
    async_resolver_free_result(result);
}

START_TEST(test_equal_requests_share_a_query)
{
    enum { ASKERS = 10 };
    uint64_t ids[ASKERS];

    for (int i = 0; i < ASKERS; i++)
        ids[i] = ask(i % 2 == 0 ? "hold.test." : "HOLD.test.");
    ck_assert(dns_responder_wait(dns, "hold.test", DNS_TYPE_A, 1));
    ck_assert_uint_eq(stats_of(resolver).in_flight, 1);
    ck_assert_ptr_null(take_now());
    check_sums(resolver, ASKERS);
    dns_responder_release(dns);
    for (int i = 0; i < ASKERS; i++)
        expect(ids[i], 0, i == 0 ? 0 : ASYNC_RESOLVER_COALESCED);
    ck_assert_uint_eq(dns_responder_count(dns, "hold.test", DNS_TYPE_ANY), 1);
    ck_assert_uint_eq(stats_of(resolver).coalesced, ASKERS - 1);
    check_sums(resolver, 0);
}
END_TEST

START_TEST(test_equal_addresses_share_a_query)
{
    ask_address("10.8.0.1", 80);
    ask_address("10.8.0.1", 80);
    ck_assert(dns_responder_wait(dns, "1.0.8.10.in-addr.arpa", DNS_TYPE_PTR, 1));
    dns_responder_release(dns);
    expect(1, 0, 0);
    expect(2, 0, ASYNC_RESOLVER_COALESCED);
    ck_assert_uint_eq(dns_responder_total(dns), 1);
}
END_TEST

START_TEST(test_full_queue)
{
    async_resolver_options_t options = one_at_a_time();
    struct addrinfo hints = hints_of(AF_INET, 0);
    uint64_t ids[6];

    options.queue_limit = 2;
    remake(&options);
    ask("cached.test.");
    ck_assert_int_eq(take_status(), 0);
    ids[0] = ask("hold.test.");
    ids[1] = ask("a.test.");
    ids[2] = ask_address("10.0.0.5", 0);
    errno = 0;
    ck_assert_uint_eq(async_resolver_lookup(resolver, "b.test.", NULL, &hints, NULL), 0);
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_eq(async_last_error(), EAGAIN);
    ck_assert_uint_eq(stats_of(resolver).rejected, 1);
    /* what needs no place of its own is accepted */
    expect(ask("cached.test."), 0, ASYNC_RESOLVER_FROM_CACHE);
    expect(ask("192.0.2.1"), 0, 0);
    ids[3] = ask("a.test.");
    ids[4] = ask("hold.test.");
    /* one that leaves makes room */
    ck_assert_int_eq(async_resolver_cancel(resolver, ids[2]), 0);
    expect_error(ids[2], ECANCELED);
    ids[5] = ask("b.test.");
    dns_responder_release(dns);
    expect(ids[0], 0, 0);
    expect(ids[4], 0, ASYNC_RESOLVER_COALESCED);
    expect(ids[1], 0, 0);
    expect(ids[3], 0, ASYNC_RESOLVER_COALESCED);
    expect(ids[5], 0, 0);
    ck_assert_uint_eq(dns_responder_count(dns, "5.0.0.10.in-addr.arpa", DNS_TYPE_ANY), 0);
    check_sums(resolver, 0);
}
END_TEST

START_TEST(test_queue_without_limit)
{
    async_resolver_options_t options = one_at_a_time();
    char name[32];

    options.queue_limit = 0;
    remake(&options);
    ask("hold.test.");
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "n%d.test.", i);
        ask(name);
    }
    ck_assert_uint_eq(stats_of(resolver).in_flight, 1);
    dns_responder_release(dns);
    for (int i = 0; i <= 500; i++)
        expect((uint64_t)i + 1, 0, 0);
}
END_TEST

START_TEST(test_most_in_flight)
{
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;

    options.max_in_flight = 2;
    remake(&options);
    ask("hold.a.test.");
    ask("hold.b.test.");
    ask("c.test.");
    ck_assert(dns_responder_wait(dns, "hold.a.test", DNS_TYPE_A, 1));
    ck_assert(dns_responder_wait(dns, "hold.b.test", DNS_TYPE_A, 1));
    sleep_ms(20);
    ck_assert_uint_eq(stats_of(resolver).in_flight, 2);
    ck_assert_uint_eq(dns_responder_total(dns), 2);
    dns_responder_release(dns);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(take_status(), 0);
}
END_TEST

START_TEST(test_threads_are_few)
{
    unsigned before = thread_count();
    char name[32];

    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "hold.n%d.test.", i);
        ask(name);
    }
    /* four for the lookups with libc, one with c-ares, and one for the timeouts */
    ck_assert_uint_eq(thread_count() - before, engine_is("libc") ? 5 : 2);
    ck_assert_uint_eq(stats_of(resolver).in_flight, engine_is("libc") ? 4 : 50);
    dns_responder_release(dns);
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(take_status(), 0);
}
END_TEST

/* A class at its quota waits; the other ones pass it. */
START_TEST(test_quotas)
{
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;

    options.forward_quota = 1;
    options.reverse_quota = 2;
    remake(&options);
    ask("hold.test.");
    ask("a.test.");
    ask_address("10.8.0.1", 0);
    ask_address("10.0.0.1", 0);
    expect(4, 0, 0);
    ask_address("10.8.0.2", 0);
    ask_address("10.0.0.2", 0);
    ck_assert(dns_responder_wait(dns, "2.0.8.10.in-addr.arpa", DNS_TYPE_PTR, 1));
    ck_assert_ptr_null(take_now());
    ck_assert_uint_eq(stats_of(resolver).in_flight, 3);
    ck_assert_uint_eq(dns_responder_count(dns, "a.test", DNS_TYPE_ANY), 0);
    ck_assert_uint_eq(dns_responder_count(dns, "2.0.0.10.in-addr.arpa", DNS_TYPE_ANY), 0);
    dns_responder_release(dns);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(take_status(), 0);
    check_sums(resolver, 0);
}
END_TEST

/* The server never answers: a request ends by its own timeout, wherever it is. */
START_TEST(test_timeout)
{
    async_resolver_options_t options = one_at_a_time();

    options.timeout_ms = 100;
    remake(&options);
    ask("hold.test.");
    ask("hold.test.");
    ask("waits.test.");
    ck_assert(dns_responder_wait(dns, "hold.test", DNS_TYPE_A, 1));
    expect_error(1, ETIMEDOUT);
    expect_error(2, ETIMEDOUT);
    expect_error(3, ETIMEDOUT);
    ck_assert_uint_eq(stats_of(resolver).timed_out, 3);
    ck_assert_uint_eq(stats_of(resolver).in_flight, 1);
    /* numeric ones and their like have nothing to wait for */
    expect(ask("192.0.2.1"), 0, 0);
    /* another asker shares what is still under way, and its late answer is kept */
    expect_error(ask("hold.test."), ETIMEDOUT);
    dns_responder_release(dns);
    for (int i = 0; stats_of(resolver).in_flight != 0 && i < 3000; i++)
        sleep_ms(10);
    expect(ask("hold.test."), 0, ASYNC_RESOLVER_FROM_CACHE);
    ck_assert_uint_eq(dns_responder_count(dns, "hold.test", DNS_TYPE_ANY), 1);
    ck_assert_uint_eq(dns_responder_count(dns, "waits.test", DNS_TYPE_ANY), 0);
    check_sums(resolver, 0);
}
END_TEST

START_TEST(test_timeouts_end_in_order)
{
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;
    char name[32];

    options.timeout_ms = 150;
    remake(&options);
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof(name), "hold.n%d.test.", i);
        ask(name);
        sleep_ms(10);
    }
    for (uint64_t i = 1; i <= 5; i++)
        expect_error(i, ETIMEDOUT);
}
END_TEST

/* c-ares would wait for longer than the request lasts before it sends a lost datagram again. */
START_TEST(test_lost_datagrams)
{
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;

    if (!engine_is("cares"))
        return;
    options.timeout_ms = 20000; /* less than two tries of the configured time */
    remake(&options);
    expect(ask("lost2.test."), 0, 0);
    ck_assert_uint_eq(dns_responder_count(dns, "lost2.test", DNS_TYPE_A), 3);
}
END_TEST

/* Nobody answers: the place among max_in_flight comes back soon after the request's end. */
START_TEST(test_places_come_back)
{
    async_resolver_options_t options = one_at_a_time();

    if (!engine_is("cares"))
        return;
    options.timeout_ms = 100;
    remake(&options);
    expect_error(ask("drop.test."), ETIMEDOUT);
    for (int i = 0; stats_of(resolver).in_flight != 0; i++) {
        ck_assert_int_lt(i, 2500); /* the configuration says more than twice as long */
        sleep_ms(10);
    }
    ck_assert_uint_eq(dns_responder_count(dns, "drop.test", DNS_TYPE_A), 3);
    ask("drop.next.test.");
    ck_assert(dns_responder_wait(dns, "drop.next.test", DNS_TYPE_A, 1));
    expect_error(2, ETIMEDOUT);
}
END_TEST

START_TEST(test_no_timeout)
{
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;
    unsigned before = thread_count();

    options.timeout_ms = 0;
    remake(&options);
    ask("hold.test.");
    /* nor is there a thread for it */
    ck_assert_uint_eq(thread_count() - before, 1);
    options.timeout_ms = UINT64_MAX;
    options.forward_ttl_ms = UINT64_MAX;
    dns_responder_release(dns);
    expect(1, 0, 0);
    remake(&options);
    ask("a.test.");
    expect(1, 0, 0);
    expect(ask("a.test."), 0, ASYNC_RESOLVER_FROM_CACHE);
}
END_TEST

START_TEST(test_cancel)
{
    async_resolver_result_t *result;
    async_resolver_options_t options = one_at_a_time();

    remake(&options);
    ask("hold.test.");
    ask("hold.test.");
    ask("waits.test.");
    ck_assert(dns_responder_wait(dns, "hold.test", DNS_TYPE_A, 1));
    /* at once */
    ck_assert_int_eq(async_resolver_cancel(resolver, 1), 0);
    result = take_now();
    ck_assert_ptr_nonnull(result);
    ck_assert_uint_eq(result->request_id, 1);
    ck_assert_int_eq(result->status, EAI_SYSTEM);
    ck_assert_int_eq(result->error, ECANCELED);
    ck_assert_str_eq(result->host, "hold.test.");
    async_resolver_free_result(result);
    errno = 0;
    ck_assert_int_eq(async_resolver_cancel(resolver, 1), -1);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_int_eq(async_resolver_cancel(resolver, 3), 0);
    expect_error(3, ECANCELED);
    ck_assert_int_eq(async_resolver_cancel(resolver, 4), -1);
    ck_assert_int_eq(errno, ENOENT);
    /* who shares the query still waits for it */
    dns_responder_release(dns);
    expect(2, 0, ASYNC_RESOLVER_COALESCED);
    /* a result that is not yet taken has ended */
    ask("192.0.2.1");
    ck_assert_int_eq(async_resolver_cancel(resolver, 4), -1);
    ck_assert_int_eq(errno, ENOENT);
    expect(4, 0, 0);
    ck_assert_uint_eq(dns_responder_count(dns, "waits.test", DNS_TYPE_ANY), 0);
    ck_assert_uint_eq(stats_of(resolver).cancelled, 2);
    check_sums(resolver, 0);
}
END_TEST

START_TEST(test_results_come_as_they_finish)
{
    ask("hold.test.");
    ask("a.test.");
    expect(2, 0, 0);
    ask("b.test.");
    expect(3, 0, 0);
    dns_responder_release(dns);
    expect(1, 0, 0);
}
END_TEST

START_TEST(test_destroy_with_work)
{
    async_resolver_result_t *result;

    ask("a.test.");
    result = take();
    ask("a.test.");
    ask("192.0.2.1");
    for (int i = 0; i < 20; i++) {
        char name[32];

        snprintf(name, sizeof(name), "hold.n%d.test.", i);
        ask(name);
    }
    ask_address("10.8.0.1", 0);
    remake(NULL);
    /* the results are their holders' */
    ck_assert_str_eq(address_of(result), "10.0.0.1");
    async_resolver_free_result(result);
    dns_responder_release(dns);
    ask("b.test.");
    expect(1, 0, 0);
}
END_TEST

START_TEST(test_runtime_that_goes_first)
{
    async_resolver_t *other;

    ask("hold.test.");
    async_runtime_deinit(loop);
    dns_responder_release(dns);
    for (int i = 0; stats_of(resolver).completed == 0 && i < 3000; i++)
        sleep_ms(10);
    expect(1, 0, 0);
    other = resolver;
    loop = async_runtime_init();
    resolver = async_resolver_create(loop, RESOLVER_KEY, NULL);
    async_resolver_destroy(other);
}
END_TEST

/* Lookups of all kinds with cancels between; each request has one result. */
START_TEST(test_storm)
{
    enum { REQUESTS = 3000, IDS = 1 << 20 };
    static const char *const forms[][2] = {{"delay", ".test."}, {"n", ".test."},
                                           {"nx.n", ".test."},  {"10.0.0.", ""},
                                           {"v6.n", ".test."},  {"delay5.n", ".test."}};
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;
    static unsigned char state[IDS]; /* 1: accepted, 2: has its result */
    uint64_t accepted = 0, taken = 0, last = 0;
    async_resolver_result_t *result;
    struct addrinfo hints = hints_of(AF_INET, 0);

    options.queue_limit = 50;
    options.cache_entries = 40;
    options.timeout_ms = 40;
    options.refresh_ms = options.forward_ttl_ms;
    options.refresh_quota = 2;
    remake(&options);
    srand(1);
    while (accepted < REQUESTS) {
        const char *const *form = forms[rand() % 6];
        char name[32];
        uint64_t id;

        snprintf(name, sizeof(name), "%s%d%s", form[0], rand() % 60, form[1]);
        id = async_resolver_lookup(resolver, name, NULL, &hints, NULL);
        if (id != 0) {
            ck_assert_uint_lt(id, IDS);
            state[id] = 1;
            accepted++;
            last = id;
        } else {
            ck_assert_int_eq(errno, EAGAIN);
            sleep_ms(1);
        }
        if (rand() % 4 == 0 && last != 0)
            async_resolver_cancel(resolver, last - (uint64_t)(rand() % 20) % last);
        while ((result = take_now()) != NULL) {
            ck_assert_uint_eq(state[result->request_id]++, 1);
            taken++;
            async_resolver_free_result(result);
        }
    }
    for (; taken < accepted; taken++) {
        result = take();
        ck_assert_uint_eq(state[result->request_id]++, 1);
        async_resolver_free_result(result);
    }
    ck_assert_ptr_null(take_now());
    ck_assert_uint_eq(stats_of(resolver).admitted, accepted);
    check_sums(resolver, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resolver_limits");
    TCase *tcase = harness_tcase("limits");

    tcase_add_test(tcase, test_equal_requests_share_a_query);
    tcase_add_test(tcase, test_equal_addresses_share_a_query);
    tcase_add_test(tcase, test_full_queue);
    tcase_add_test(tcase, test_queue_without_limit);
    tcase_add_test(tcase, test_most_in_flight);
    tcase_add_test(tcase, test_threads_are_few);
    tcase_add_test(tcase, test_quotas);
    tcase_add_test(tcase, test_timeout);
    tcase_add_test(tcase, test_timeouts_end_in_order);
    tcase_add_test(tcase, test_lost_datagrams);
    tcase_add_test(tcase, test_places_come_back);
    tcase_add_test(tcase, test_no_timeout);
    tcase_add_test(tcase, test_cancel);
    tcase_add_test(tcase, test_results_come_as_they_finish);
    tcase_add_test(tcase, test_destroy_with_work);
    tcase_add_test(tcase, test_runtime_that_goes_first);
    tcase_add_test(tcase, test_storm);
    suite_add_tcase(suite, tcase);
    return harness_run(suite);
}

/* SPDX-License-Identifier: MIT */
/*
 * What the resolver keeps: hits, times to live, failures, renewals.
 */
#include "resolver_harness.h"

#include <netdb.h>
#include <string.h>

START_TEST(test_hit)
{
    async_resolver_result_t *result;
    async_resolver_stats_t stats;
    uint64_t id;

    ask_with("keep.test.", "80", AF_INET, 0);
    ck_assert_int_eq(take_status(), 0);
    /* in whatever letters; there when lookup returns */
    id = ask_with("KEEP.Test.", "80", AF_INET, 0);
    result = take_now();
    ck_assert_ptr_nonnull(result);
    ck_assert_uint_eq(result->request_id, id);
    ck_assert_int_eq(result->status, 0);
    ck_assert_uint_eq(result->flags, ASYNC_RESOLVER_FROM_CACHE);
    ck_assert_str_eq(address_of(result), "10.0.0.1");
    ck_assert_str_eq(result->host, "KEEP.Test.");
    ck_assert_str_eq(result->context, "KEEP.Test.");
    async_resolver_free_result(result);
    ck_assert_uint_eq(dns_responder_count(dns, "keep.test", DNS_TYPE_ANY), 1);
    stats = stats_of(resolver);
    ck_assert_uint_eq(stats.forward_hits, 1);
    ck_assert_uint_eq(stats.forward_misses, 1);
    ck_assert_uint_eq(stats.cached, 1);
    ck_assert_uint_eq(stats.admitted, 2);
    ck_assert_uint_eq(stats.completed, 2);
    ck_assert_uint_eq(stats.in_flight, 0);
    for (size_t i = 0; i < sizeof(stats.reserved) / sizeof(stats.reserved[0]); i++)
        ck_assert_uint_eq(stats.reserved[i], 0);
}
END_TEST

START_TEST(test_other_questions_do_not_hit)
{
    struct addrinfo hints = hints_of(AF_INET, 0);

    ask_with("keep.test.", "80", AF_INET, 0);
    expect(1, 0, 0);
    expect(ask_with("keep.test.", "81", AF_INET, 0), 0, 0);
    expect(ask_with("keep.test.", "80", AF_INET6, 0), 0, 0);
    expect(ask_with("keep.test.", "80", AF_INET, AI_CANONNAME), 0, 0);
    hints.ai_socktype = SOCK_DGRAM;
    expect(async_resolver_lookup(resolver, "keep.test.", "80", &hints, NULL), 0, 0);
    ck_assert_uint_eq(stats_of(resolver).forward_hits, 0);
    ck_assert_uint_eq(stats_of(resolver).cached, 5);
}
END_TEST

START_TEST(test_time_to_live)
{
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;

    options.forward_ttl_ms = 1;
    remake(&options);
    ask("keep.test.");
    ck_assert_int_eq(take_status(), 0);
    sleep_ms(5);
    expect(ask("keep.test."), 0, 0);
    ck_assert_uint_eq(dns_responder_count(dns, "keep.test", DNS_TYPE_ANY), 2);
    options.forward_ttl_ms = 0;
    remake(&options);
    expect(ask("keep.test."), 0, 0);
    expect(ask("keep.test."), 0, 0);
    ck_assert_uint_eq(stats_of(resolver).cached, 0);
}
END_TEST

/* c-ares knows what the server said. */
START_TEST(test_server_time_to_live)
{
    if (!engine_is("cares"))
        return;
    ask("ttl0.test.");
    ck_assert_int_eq(take_status(), 0);
    expect(ask("ttl0.test."), 0, 0);
    ask("ttl1.test.");
    ck_assert_int_eq(take_status(), 0);
    sleep_ms(1100);
    expect(ask("ttl1.test."), 0, 0);
    ck_assert_uint_eq(dns_responder_count(dns, "ttl1.test", DNS_TYPE_ANY), 2);
}
END_TEST

START_TEST(test_negative)
{
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;

    ask("nx.test.");
    ck_assert_int_eq(take_status(), EAI_NONAME);
    expect(ask("nx.test."), EAI_NONAME, ASYNC_RESOLVER_FROM_CACHE);
    ask("nodata.test.");
    ck_assert_int_eq(take_status(), STATUS_NODATA);
    expect(ask("nodata.test."), STATUS_NODATA, ASYNC_RESOLVER_FROM_CACHE);
    ask_address("10.9.0.1", 0);
    ck_assert_int_eq(take_status(), EAI_NONAME);
    expect(ask_address("10.9.0.1", 0), EAI_NONAME, ASYNC_RESOLVER_FROM_CACHE);
    ck_assert_uint_eq(stats_of(resolver).negative_hits, 3);
    ck_assert_uint_eq(stats_of(resolver).forward_hits, 2);
    ck_assert_uint_eq(stats_of(resolver).reverse_hits, 1);
    ck_assert_uint_eq(stats_of(resolver).failed, 6);
    ck_assert_uint_eq(dns_responder_count(dns, "nx.test", DNS_TYPE_ANY), 1);
    options.negative_ttl_ms = 1;
    remake(&options);
    ask("nx.test.");
    ck_assert_int_eq(take_status(), EAI_NONAME);
    sleep_ms(5);
    expect(ask("nx.test."), EAI_NONAME, 0);
}
END_TEST

START_TEST(test_again_is_not_kept)
{
    ask("fail.test.");
    ck_assert_int_eq(take_status(), EAI_AGAIN);
    ck_assert_uint_eq(stats_of(resolver).cached, 0);
    expect(ask("fail.test."), EAI_AGAIN, 0);
    ck_assert_uint_ge(dns_responder_count(dns, "fail.test", DNS_TYPE_A), 2);
}
END_TEST

START_TEST(test_reverse_is_kept)
{
    async_resolver_result_t *result;
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;

    ask_address("10.0.0.5", 80);
    ck_assert_int_eq(take_status(), 0);
    ask_address("10.0.0.5", 80);
    result = take_now();
    ck_assert_ptr_nonnull(result);
    ck_assert_uint_eq(result->flags, ASYNC_RESOLVER_FROM_CACHE);
    ck_assert_str_eq(result->host, "host5.test");
    ck_assert_str_eq(result->service, "http");
    async_resolver_free_result(result);
    expect(ask_address("10.0.0.5", 443), 0, 0);
    ck_assert_uint_eq(stats_of(resolver).reverse_hits, 1);
    ck_assert_uint_eq(stats_of(resolver).reverse_misses, 2);
    options.reverse_ttl_ms = 1;
    remake(&options);
    ask_address("10.0.0.5", 80);
    ck_assert_int_eq(take_status(), 0);
    sleep_ms(5);
    expect(ask_address("10.0.0.5", 80), 0, 0);
}
END_TEST

START_TEST(test_size)
{
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;

    options.cache_entries = 2;
    remake(&options);
    ask("a.test.");
    expect(1, 0, 0);
    ask("b.test.");
    expect(2, 0, 0);
    expect(ask("a.test."), 0, ASYNC_RESOLVER_FROM_CACHE);
    ask("c.test.");
    expect(4, 0, 0);
    ck_assert_uint_eq(stats_of(resolver).cached, 2);
    expect(ask("a.test."), 0, ASYNC_RESOLVER_FROM_CACHE);
    expect(ask("b.test."), 0, 0);
    options.cache_entries = 0;
    remake(&options);
    expect(ask("a.test."), 0, 0);
    expect(ask("a.test."), 0, 0);
    ck_assert_uint_eq(stats_of(resolver).forward_misses, 2);
    ck_assert_uint_eq(stats_of(resolver).cached, 0);
}
END_TEST

START_TEST(test_clear)
{
    async_resolver_result_t *result;

    ask("keep.test.");
    ck_assert_int_eq(take_status(), 0);
    ask("keep.test.");
    result = take_now();
    ck_assert_uint_eq(result->flags, ASYNC_RESOLVER_FROM_CACHE);
    async_resolver_clear_cache(resolver);
    /* what was handed out is its holder's */
    ck_assert_str_eq(address_of(result), "10.0.0.1");
    async_resolver_free_result(result);
    ck_assert_uint_eq(stats_of(resolver).cached, 0);
    expect(ask("keep.test."), 0, 0);
}
END_TEST

/* Answered from the cache, renewed behind, once; the renewed answer is there for later askers. */
START_TEST(test_renewal)
{
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;
    async_resolver_result_t *result;

    options.refresh_ms = options.forward_ttl_ms;
    options.refresh_quota = 1;
    remake(&options);
    ask("serial.test.");
    result = take();
    ck_assert_str_eq(address_of(result), "10.0.0.1");
    async_resolver_free_result(result);
    ck_assert_uint_eq(stats_of(resolver).refreshes, 0);
    ask("serial.test.");
    result = take_now();
    ck_assert_ptr_nonnull(result);
    ck_assert_uint_eq(result->flags, ASYNC_RESOLVER_FROM_CACHE);
    ck_assert_str_eq(address_of(result), "10.0.0.1");
    async_resolver_free_result(result);
    ck_assert(dns_responder_wait(dns, "serial.test", DNS_TYPE_A, 2));
    ck_assert_uint_eq(stats_of(resolver).refreshes, 1);
    for (int i = 0; stats_of(resolver).in_flight != 0 && i < 3000; i++)
        sleep_ms(10);
    ask("serial.test.");
    result = take();
    ck_assert_uint_eq(result->flags, ASYNC_RESOLVER_FROM_CACHE);
    ck_assert_str_eq(address_of(result), "10.0.0.2");
    async_resolver_free_result(result);
    check_sums(resolver, 0);
}
END_TEST

START_TEST(test_one_renewal_at_a_time)
{
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;

    options.refresh_ms = options.forward_ttl_ms;
    remake(&options);
    ask("later.test.");
    ck_assert_int_eq(take_status(), 0);
    for (int i = 0; i < 10; i++)
        expect(ask("later.test."), 0, ASYNC_RESOLVER_FROM_CACHE);
    ck_assert_uint_eq(stats_of(resolver).refreshes, 1);
    ck_assert(dns_responder_wait(dns, "later.test", DNS_TYPE_A, 2));
    ck_assert_uint_eq(stats_of(resolver).in_flight, 1);
    /* whoever misses now asks nobody else */
    async_resolver_clear_cache(resolver);
    ask("later.test.");
    ck_assert_ptr_null(take_now());
    dns_responder_release(dns);
    expect(12, 0, 0);
    ck_assert_uint_eq(dns_responder_count(dns, "later.test", DNS_TYPE_A), 2);
}
END_TEST

/* A renewal that nobody needs waits for those that somebody does, until somebody needs it too. */
START_TEST(test_renewals_come_last)
{
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;

    options.refresh_ms = options.forward_ttl_ms;
    options.threads = 1;
    options.max_in_flight = 1;
    remake(&options);
    ask("a.test.");
    expect(1, 0, 0);
    ask("hold.test.");
    expect(ask("a.test."), 0, ASYNC_RESOLVER_FROM_CACHE);
    ask("b.test.");
    ck_assert_uint_eq(stats_of(resolver).in_flight, 1);
    async_resolver_clear_cache(resolver);
    ask("a.test.");
    ask("c.test.");
    dns_responder_release(dns);
    expect(2, 0, 0);
    expect(4, 0, 0);
    expect(5, 0, 0);
    expect(6, 0, 0);
    ck_assert_uint_eq(dns_responder_count(dns, "a.test", DNS_TYPE_A), 2);
    check_sums(resolver, 0);
}
END_TEST

START_TEST(test_no_renewal_of_the_fresh)
{
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;

    options.refresh_ms = options.forward_ttl_ms / 2;
    remake(&options);
    ask("keep.test.");
    ck_assert_int_eq(take_status(), 0);
    expect(ask("keep.test."), 0, ASYNC_RESOLVER_FROM_CACHE);
    ck_assert_uint_eq(stats_of(resolver).refreshes, 0);
    ck_assert_uint_eq(dns_responder_count(dns, "keep.test", DNS_TYPE_ANY), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resolver_keep");
    TCase *tcase = harness_tcase("cache");

    tcase_add_test(tcase, test_hit);
    tcase_add_test(tcase, test_other_questions_do_not_hit);
    tcase_add_test(tcase, test_time_to_live);
    tcase_add_test(tcase, test_server_time_to_live);
    tcase_add_test(tcase, test_negative);
    tcase_add_test(tcase, test_again_is_not_kept);
    tcase_add_test(tcase, test_reverse_is_kept);
    tcase_add_test(tcase, test_size);
    tcase_add_test(tcase, test_clear);
    tcase_add_test(tcase, test_renewal);
    tcase_add_test(tcase, test_one_renewal_at_a_time);
    tcase_add_test(tcase, test_renewals_come_last);
    tcase_add_test(tcase, test_no_renewal_of_the_fresh);
    suite_add_tcase(suite, tcase);
    return harness_run(suite);
}

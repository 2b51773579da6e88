/* SPDX-License-Identifier: MIT */
/*
 * What the resolver answers: names, addresses, hints, failures.
 */
#include "resolver_harness.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static void expect_address(const char *address, unsigned port)
{
    async_resolver_result_t *result = take();

    ck_assert_int_eq(result->status, 0);
    ck_assert_str_eq(address_of(result), address);
    ck_assert_uint_eq(port_of(result), port);
    async_resolver_free_result(result);
}

START_TEST(test_lookup)
{
    uint64_t id = ask_with("plain.test.", "8080", AF_INET, 0);
    async_resolver_result_t *result = take();

    ck_assert_uint_eq(result->request_id, id);
    ck_assert_int_eq(result->status, 0);
    ck_assert_int_eq(result->error, 0);
    ck_assert_uint_eq(result->flags, 0);
    ck_assert_str_eq(result->host, "plain.test.");
    ck_assert_str_eq(result->service, "8080");
    ck_assert_str_eq(result->context, "plain.test.");
    ck_assert_uint_eq(addresses_of(result), 1);
    ck_assert_int_eq(result->addresses->ai_family, AF_INET);
    ck_assert_int_eq(result->addresses->ai_socktype, SOCK_STREAM);
    ck_assert_int_eq(result->addresses->ai_protocol, IPPROTO_TCP);
    ck_assert_uint_eq(result->addresses->ai_addrlen, sizeof(struct sockaddr_in));
    ck_assert_ptr_null(result->addresses->ai_canonname);
    ck_assert_str_eq(address_of(result), "10.0.0.1");
    ck_assert_uint_eq(port_of(result), 8080);
    async_resolver_free_result(result);
    ck_assert_uint_eq(dns_responder_count(dns, "plain.test", DNS_TYPE_A), 1);
    ck_assert_ptr_null(take_now());
    check_sums(resolver, 0);
}
END_TEST

START_TEST(test_both_families_and_all_types)
{
    unsigned families = 0, types = 0;
    async_resolver_result_t *result;

    ck_assert_uint_ne(async_resolver_lookup(resolver, "plain.test.", "domain", NULL, NULL), 0);
    result = take();
    ck_assert_int_eq(result->status, 0);
    for (const struct addrinfo *ai = result->addresses; ai != NULL; ai = ai->ai_next) {
        families |= ai->ai_family == AF_INET ? 1 : ai->ai_family == AF_INET6 ? 2 : 4;
        types |= ai->ai_socktype == SOCK_STREAM ? 1 : ai->ai_socktype == SOCK_DGRAM ? 2 : 4;
    }
    ck_assert_uint_eq(families, 3);
    ck_assert_uint_eq(types & 3, 3);
    ck_assert_uint_eq(port_of(result), 53);
    async_resolver_free_result(result);
}
END_TEST

START_TEST(test_ipv6)
{
    ask_with("plain.test.", "443", AF_INET6, 0);
    expect_address("fd00::1", 443);
    ask_with("v4.test.", "443", AF_INET6, AI_V4MAPPED);
    expect_address("::ffff:10.0.0.1", 443);
    ask_with("plain.test.", "443", AF_INET6, AI_V4MAPPED);
    expect_address("fd00::1", 443);
    ask_with("v4.test.", "443", AF_INET6, 0);
    ck_assert_int_eq(take_status(), STATUS_NODATA);
}
END_TEST

START_TEST(test_service_names)
{
    ask_with("plain.test.", "https", AF_INET, 0);
    expect_address("10.0.0.1", 443);
    ask_with("plain.test.", "no-such-service", AF_INET, 0);
    ck_assert_int_eq(take_status(), EAI_SERVICE);
    ask_with("plain.test.", "https", AF_INET, AI_NUMERICSERV);
    ck_assert_int_eq(take_status(), EAI_NONAME);
}
END_TEST

static void expect_status_now(int status)
{
    async_resolver_result_t *result = take_now();

    ck_assert_ptr_nonnull(result);
    ck_assert_int_eq(result->status, status);
    async_resolver_free_result(result);
}

/* No thread, no query, and the result is there when lookup returns. */
START_TEST(test_numeric)
{
    static const struct {
        const char *host, *address;
        int family;
    } cases[] = {
        {"192.0.2.1", "192.0.2.1", AF_INET},      {"192.0.2.1", "192.0.2.1", AF_UNSPEC},
        {"127.1", "127.0.0.1", AF_INET},          {"0x7f000001", "127.0.0.1", AF_INET},
        {"2001:db8::1", "2001:db8::1", AF_INET6}, {"::ffff:1.2.3.4", "::ffff:1.2.3.4", AF_UNSPEC},
    };
    unsigned threads = thread_count();

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t id = ask_with(cases[i].host, "80", cases[i].family, 0);
        async_resolver_result_t *result = take_now();

        ck_assert_ptr_nonnull(result);
        ck_assert_uint_eq(result->request_id, id);
        ck_assert_int_eq(result->status, 0);
        ck_assert_uint_eq(result->flags, 0);
        ck_assert_str_eq(address_of(result), cases[i].address);
        ck_assert_str_eq(result->host, cases[i].host);
        async_resolver_free_result(result);
    }
    /* also when the rest of the question is wrong */
    ask_with("192.0.2.1", "https", AF_INET, AI_NUMERICSERV);
    expect_status_now(EAI_NONAME);
    ask_with("192.0.2.1", "no-such-service", AF_INET, 0);
    expect_status_now(EAI_SERVICE);
    /* announced as others are */
    ask("192.0.2.1");
    ck_assert_int_eq(async_runtime_wait(loop, &(async_event_t){0}, 1, 10000), 1);
    expect(9, 0, 0);
    ck_assert_uint_eq(thread_count(), threads);
    ck_assert_uint_eq(dns_responder_total(dns), 0);
    ck_assert_uint_eq(stats_of(resolver).forward_misses, 0);
    ck_assert_uint_eq(stats_of(resolver).forward_hits, 0);
}
END_TEST

START_TEST(test_answered_without_a_host)
{
    static char longest[1026];
    async_resolver_result_t *result;
    unsigned threads = thread_count();

    ask_with(NULL, "80", AF_INET, AI_PASSIVE);
    result = take_now();
    ck_assert_ptr_nonnull(result);
    ck_assert_str_eq(address_of(result), "0.0.0.0");
    ck_assert_ptr_null(result->host);
    async_resolver_free_result(result);
    ask_with(NULL, "http", AF_INET6, 0);
    result = take_now();
    ck_assert_ptr_nonnull(result);
    ck_assert_str_eq(address_of(result), "::1");
    ck_assert_uint_eq(port_of(result), 80);
    async_resolver_free_result(result);

    ask_with("name.test", NULL, AF_INET, AI_NUMERICHOST);
    ck_assert_int_eq(take_status(), EAI_NONAME);
    ask("");
    ck_assert_int_eq(take_status(), EAI_NONAME);
    memset(longest, 'a', sizeof(longest) - 1);
    ask(longest);
    ck_assert_int_eq(take_status(), EAI_NONAME);
    ask_with("10.0.0.1", longest, AF_INET, 0);
    ck_assert_int_eq(take_status(), EAI_SERVICE);
    ck_assert_uint_eq(thread_count(), threads);
    ck_assert_uint_eq(dns_responder_total(dns), 0);
    check_sums(resolver, 0);
}
END_TEST

START_TEST(test_hosts_file)
{
    ask_with("hosted.test", "80", AF_INET, 0);
    expect_address("192.0.2.7", 80);
    ask_with("hosted-alias.test", "80", AF_INET, 0);
    expect_address("192.0.2.7", 80);
    ask_with("hosted6.test", "80", AF_INET6, 0);
    expect_address("2001:db8::7", 80);
    ask_with("localhost", "80", AF_INET, 0);
    expect_address("127.0.0.1", 80);
    ck_assert_uint_eq(dns_responder_total(dns), 0);
    /* also what comes from the file is kept */
    expect(ask_with("hosted.test", "80", AF_INET, 0), 0, ASYNC_RESOLVER_FROM_CACHE);
}
END_TEST

START_TEST(test_failures)
{
    ask("nx.test.");
    ck_assert_int_eq(take_status(), EAI_NONAME);
    ask("nodata.test.");
    ck_assert_int_eq(take_status(), STATUS_NODATA);
    ask("fail.test.");
    ck_assert_int_eq(take_status(), EAI_AGAIN);
    ck_assert_uint_eq(stats_of(resolver).failed, 3);
    check_sums(resolver, 0);
}
END_TEST

START_TEST(test_bad_hints)
{
    struct addrinfo hints = hints_of(AF_INET, 1 << 28);

    ck_assert_uint_ne(async_resolver_lookup(resolver, "plain.test.", NULL, &hints, NULL), 0);
    ck_assert_int_eq(take_status(), EAI_BADFLAGS);
    hints = hints_of(4711, 0);
    ck_assert_uint_ne(async_resolver_lookup(resolver, "plain.test.", NULL, &hints, NULL), 0);
    ck_assert_int_eq(take_status(), EAI_FAMILY);
    hints = hints_of(AF_INET, 0);
    hints.ai_socktype = 4711;
    ck_assert_uint_ne(async_resolver_lookup(resolver, "plain.test.", NULL, &hints, NULL), 0);
    ck_assert_int_eq(take_status(), EAI_SOCKTYPE);
}
END_TEST

START_TEST(test_truncated)
{
    async_resolver_result_t *result;

    ask("cut.many50.test.");
    result = take();
    ck_assert_int_eq(result->status, 0);
    ck_assert_uint_eq(addresses_of(result), 50);
    async_resolver_free_result(result);
    ck_assert_uint_ge(dns_responder_tcp(dns), 1);
}
END_TEST

START_TEST(test_canonical_name)
{
    async_resolver_result_t *result;

    ask_with("alias.test.", NULL, AF_INET, AI_CANONNAME);
    result = take();
    ck_assert_int_eq(result->status, 0);
    ck_assert_str_eq(result->addresses->ai_canonname, "canon.test");
    async_resolver_free_result(result);
}
END_TEST

START_TEST(test_lost_packets)
{
    dns_namespace_patience(1, 4);
    remake(NULL);
    ask("lost2.test.");
    ck_assert_int_eq(take_status(), 0);
    ck_assert_uint_eq(dns_responder_count(dns, "lost2.test", DNS_TYPE_A), 3);
    dns_namespace_patience(60, 2);
}
END_TEST

static void expect_name(const char *address, unsigned port, const char *host, const char *service)
{
    uint64_t id = ask_address(address, port);
    async_resolver_result_t *result = take();

    ck_assert_uint_eq(result->request_id, id);
    ck_assert_int_eq(result->status, 0);
    ck_assert_ptr_null(result->addresses);
    ck_assert_str_eq(result->host, host);
    ck_assert_str_eq(result->service, service);
    async_resolver_free_result(result);
}

START_TEST(test_reverse)
{
    async_resolver_result_t *result;

    expect_name("10.0.0.5", 80, "host5.test", "http");
    expect_name("10.0.0.5", 81, "host5.test", "81");
    expect_name("10.0.0.6", 0, "host6.test", "0");
    expect_name("fd00::1", 443, "host6.test", "https");
    expect_name("::ffff:10.0.0.7", 80, "host7.test", "http");
    expect_name("192.0.2.7", 80, "hosted.test", "http");
    ask_address("10.9.0.1", 80);
    result = take();
    ck_assert_int_eq(result->status, EAI_NONAME);
    ck_assert_ptr_null(result->host);
    ck_assert_ptr_null(result->service);
    async_resolver_free_result(result);
    check_sums(resolver, 0);
}
END_TEST

START_TEST(test_bad_arguments)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    async_resolver_stats_t stats;

    errno = 0;
    ck_assert_uint_eq(async_resolver_lookup(NULL, "a", NULL, NULL, NULL), 0);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(async_last_error(), EINVAL);
    errno = 0;
    ck_assert_uint_eq(async_resolver_lookup(resolver, NULL, NULL, NULL, NULL), 0);
    ck_assert_int_eq(errno, EINVAL);
    errno = 0;
    ck_assert_uint_eq(async_resolver_reverse(NULL, (struct sockaddr *)&in, sizeof(in), NULL), 0);
    ck_assert_int_eq(errno, EINVAL);
    errno = 0;
    ck_assert_uint_eq(async_resolver_reverse(resolver, NULL, sizeof(in), NULL), 0);
    ck_assert_int_eq(errno, EINVAL);
    errno = 0;
    ck_assert_uint_eq(async_resolver_reverse(resolver, (struct sockaddr *)&in, 3, NULL), 0);
    ck_assert_int_eq(errno, EINVAL);
    in.sin_family = AF_UNIX;
    ck_assert_uint_eq(async_resolver_reverse(resolver, (struct sockaddr *)&in, sizeof(in), NULL),
                      0);
    ck_assert_int_eq(errno, EAFNOSUPPORT);
    ck_assert_int_eq(async_resolver_cancel(NULL, 1), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(async_resolver_cancel(resolver, 0), -1);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_ptr_null(async_resolver_next(NULL));
    ck_assert_int_eq(errno, EINVAL);
    async_resolver_destroy(NULL);
    async_resolver_free_result(NULL);
    async_resolver_clear_cache(NULL);
    async_resolver_get_stats(resolver, NULL);
    memset(&stats, 0xff, sizeof(stats));
    async_resolver_get_stats(NULL, &stats);
    ck_assert_uint_eq(stats.admitted, 0);
    errno = 4711;
    ask("192.0.2.1");
    ck_assert_int_eq(errno, 4711);
    async_resolver_free_result(async_resolver_next(resolver));
    ck_assert_int_eq(errno, 4711);
}
END_TEST

static void refuses(const async_resolver_options_t *options, int err)
{
    errno = 0;
    ck_assert_ptr_null(async_resolver_create(loop, 1, options));
    ck_assert_int_eq(errno, err);
}

START_TEST(test_options)
{
    struct {
        async_resolver_options_t known;
        uint64_t unknown[4];
    } larger = {.known = ASYNC_RESOLVER_OPTIONS_INIT, .unknown = {1, 2, 3, 4}};
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;
    char *engine;

    errno = 0;
    ck_assert_ptr_null(async_resolver_create(NULL, 1, NULL));
    ck_assert_int_eq(errno, EINVAL);
    options.size = 0;
    refuses(&options, EINVAL);
    options.size = sizeof(options);
    options.engine = "none";
    refuses(&options, ENOTSUP);
    options.engine = "";
    refuses(&options, ENOTSUP);
    /* an older program, which knows the first two fields, does not choose the engine */
    options.size = offsetof(async_resolver_options_t, max_in_flight);
    remake(&options);
    larger.known.size = sizeof(larger);
    remake(&larger.known);
    ask("plain.test.");
    ck_assert_int_eq(take_status(), 0);

    engine = strdup(getenv("ASYNCRT_RESOLVER") != NULL ? getenv("ASYNCRT_RESOLVER") : "");
    setenv("ASYNCRT_RESOLVER", "none", 1);
    refuses(NULL, ENOTSUP);
    options.size = sizeof(options);
    options.engine = "libc";
    remake(&options);
    setenv("ASYNCRT_RESOLVER", "", 1);
    remake(NULL);
    setenv("ASYNCRT_RESOLVER", engine, 1);
    free(engine);
}
END_TEST

START_TEST(test_servers)
{
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;

    /* the libc engine's are the system's */
    options.servers = "not an address";
    if (engine_is("libc")) {
        remake(&options);
        return;
    }
    refuses(&options, EINVAL);
    dns_namespace_write("/etc/resolv.conf", "nameserver 127.0.0.9\n");
    options.servers = "127.0.0.1:53";
    remake(&options);
    ask("plain.test.");
    ck_assert_int_eq(take_status(), 0);
    dns_namespace_patience(60, 2);
}
END_TEST

/* The system's configuration may change while the program runs. */
START_TEST(test_other_network)
{
    dns_namespace_write("/etc/resolv.conf", "nameserver 127.0.0.9\n");
    remake(NULL);
    ask("plain.test.");
    ck_assert_int_eq(take_status(), EAI_AGAIN);
    ck_assert_uint_eq(dns_responder_total(dns), 0);
    dns_namespace_patience(60, 2);
    ask("plain.test.");
    ck_assert_int_eq(take_status(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resolver");
    TCase *tcase = harness_tcase("answers");

    tcase_add_test(tcase, test_lookup);
    tcase_add_test(tcase, test_both_families_and_all_types);
    tcase_add_test(tcase, test_ipv6);
    tcase_add_test(tcase, test_service_names);
    tcase_add_test(tcase, test_numeric);
    tcase_add_test(tcase, test_answered_without_a_host);
    tcase_add_test(tcase, test_hosts_file);
    tcase_add_test(tcase, test_failures);
    tcase_add_test(tcase, test_bad_hints);
    tcase_add_test(tcase, test_truncated);
    tcase_add_test(tcase, test_canonical_name);
    tcase_add_test(tcase, test_lost_packets);
    tcase_add_test(tcase, test_reverse);
    tcase_add_test(tcase, test_bad_arguments);
    tcase_add_test(tcase, test_options);
    tcase_add_test(tcase, test_servers);
    tcase_add_test(tcase, test_other_network);
    suite_add_tcase(suite, tcase);
    return harness_run(suite);
}

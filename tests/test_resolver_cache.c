/* SPDX-License-Identifier: MIT */
/*
 * The parts of the resolver that know no threads: keys, the hash table, answers, the cache.
 */
#include "port/port_memory.h"
#include "resolver/resolver_cache.h"
#include "testcheck.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned long fail_at, allocations;

static bool refuse(size_t size)
{
    (void)size;
    return ++allocations != fail_at;
}

static void key_of(resolver_key_t *key, const char *host, const char *service,
                   const struct addrinfo *hints)
{
    resolver_question_t question;

    resolver_question_lookup(&question, host, service, hints);
    resolver_question_key(&question, 42, key);
}

static bool same(const resolver_key_t *a, const resolver_key_t *b)
{
    return a->size == b->size && a->hash == b->hash && memcmp(a->bytes, b->bytes, a->size) == 0;
}

START_TEST(test_key_folds_the_host_only)
{
    resolver_key_t a, b;

    key_of(&a, "Example.ORG", "http", NULL);
    key_of(&b, "example.org", "http", NULL);
    ck_assert(same(&a, &b));
    key_of(&b, "example.org", "HTTP", NULL);
    ck_assert(!same(&a, &b));
    key_of(&b, "example.org.", "http", NULL);
    ck_assert(!same(&a, &b));
}
END_TEST

START_TEST(test_key_has_all_that_changes_the_answer)
{
    struct addrinfo hints[6];
    resolver_key_t keys[11];
    size_t count = 0;

    memset(hints, 0, sizeof(hints));
    hints[1].ai_family = AF_INET;
    hints[2].ai_family = AF_INET6;
    hints[3].ai_socktype = SOCK_STREAM;
    hints[4].ai_protocol = IPPROTO_TCP;
    hints[5].ai_flags = AI_CANONNAME;
    for (size_t i = 0; i < 6; i++)
        key_of(&keys[count++], "a", "b", &hints[i]);
    key_of(&keys[count++], "a", "b", NULL);
    key_of(&keys[count++], "ab", NULL, NULL);
    key_of(&keys[count++], "a", NULL, NULL);
    key_of(&keys[count++], NULL, "a", NULL);
    key_of(&keys[count++], "ab", "", NULL);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count; j++)
            ck_assert_msg(!same(&keys[i], &keys[j]), "%zu and %zu", i, j);
    }
}
END_TEST

START_TEST(test_key_of_addresses)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    struct sockaddr_storage junk;
    resolver_question_t question;
    resolver_key_t a, b;

    memset(&junk, 0xa5, sizeof(junk));
    ck_assert_int_eq(resolver_question_reverse(&question, (struct sockaddr *)&in, sizeof(in)), 0);
    resolver_question_key(&question, 1, &a);
    /* what stands behind the address does not count */
    memcpy(&junk, &in, offsetof(struct sockaddr_in, sin_zero));
    ck_assert_int_eq(resolver_question_reverse(&question, (struct sockaddr *)&junk, sizeof(junk)),
                     0);
    resolver_question_key(&question, 1, &b);
    ck_assert(same(&a, &b));
    in.sin_port = 1;
    ck_assert_int_eq(resolver_question_reverse(&question, (struct sockaddr *)&in, sizeof(in)), 0);
    resolver_question_key(&question, 1, &b);
    ck_assert(!same(&a, &b));
    ck_assert_int_eq(resolver_question_reverse(&question, (struct sockaddr *)&in6, sizeof(in6)), 0);
    resolver_question_key(&question, 1, &a);
    in6.sin6_scope_id = 3;
    ck_assert_int_eq(resolver_question_reverse(&question, (struct sockaddr *)&in6, sizeof(in6)), 0);
    resolver_question_key(&question, 1, &b);
    ck_assert(!same(&a, &b));

    ck_assert_int_eq(resolver_question_reverse(&question, (struct sockaddr *)&in6, sizeof(in)),
                     EINVAL);
    ck_assert_int_eq(resolver_question_reverse(&question, (struct sockaddr *)&in, 1), EINVAL);
    in.sin_family = AF_UNIX;
    ck_assert_int_eq(resolver_question_reverse(&question, (struct sockaddr *)&in, sizeof(in)),
                     EAFNOSUPPORT);
}
END_TEST

START_TEST(test_key_of_the_longest_names)
{
    static char host[RESOLVER_HOST_MAX + 1], service[RESOLVER_SERVICE_MAX + 1];
    struct addrinfo hints = {.ai_flags = -1};
    resolver_key_t key;

    memset(host, 'H', RESOLVER_HOST_MAX);
    memset(service, 's', RESOLVER_SERVICE_MAX);
    key_of(&key, host, service, &hints);
    ck_assert_uint_le(key.size, sizeof(key.bytes));
}
END_TEST

typedef struct item {
    resolver_table_node_t node;
    uint64_t value;
} item_t;

START_TEST(test_table_holds_many)
{
    enum { MANY = 5000 };
    static item_t items[MANY];
    resolver_table_t table;
    resolver_table_node_t *node;

    ck_assert_int_eq(resolver_table_init(&table), 0);
    for (size_t i = 0; i < MANY; i++) {
        items[i].value = i;
        items[i].node.key = &items[i].value;
        items[i].node.key_size = sizeof(items[i].value);
        items[i].node.hash = resolver_hash(&items[i].value, sizeof(items[i].value), 7);
        resolver_table_insert(&table, &items[i].node);
    }
    ck_assert_uint_eq(table.count, MANY);
    ck_assert_uint_ge(table.mask + 1, MANY / 2);
    for (size_t i = 0; i < MANY; i += 2)
        resolver_table_remove(&table, &items[i].node);
    for (uint64_t i = 0; i < MANY; i++) {
        node = resolver_table_find(&table, &i, sizeof(i), resolver_hash(&i, sizeof(i), 7));
        ck_assert_ptr_eq(node, i % 2 != 0 ? &items[i].node : NULL);
    }
    while ((node = resolver_table_any(&table)) != NULL)
        resolver_table_remove(&table, node);
    ck_assert_uint_eq(table.count, 0);
    resolver_table_free(&table);
}
END_TEST

START_TEST(test_table_without_memory_to_grow)
{
    enum { SOME = 200 };
    static item_t items[SOME];
    resolver_table_t table;

    ck_assert_int_eq(resolver_table_init(&table), 0);
    allocations = 0;
    for (uint64_t i = 0; i < SOME; i++) {
        items[i].node.key = &items[i].value;
        items[i].node.key_size = sizeof(items[i].value);
        items[i].value = i;
        items[i].node.hash = resolver_hash(&i, sizeof(i), 7);
        fail_at = allocations + 1;
        port_memory_set_hook(refuse);
        resolver_table_insert(&table, &items[i].node);
        port_memory_set_hook(NULL);
        ck_assert_ptr_eq(resolver_table_find(&table, &i, sizeof(i), items[i].node.hash),
                         &items[i].node);
    }
    ck_assert_uint_eq(table.mask + 1, 16);
    resolver_table_free(&table);
}
END_TEST

static resolver_outcome_t outcome_of(const char *name)
{
    resolver_outcome_t outcome = {.answer = resolver_answer_of_names(name, "service")};

    ck_assert_ptr_nonnull(outcome.answer);
    return outcome;
}

static void store(resolver_cache_t *cache, const char *name, uint64_t expires)
{
    resolver_outcome_t outcome = outcome_of(name);
    resolver_key_t key;

    key_of(&key, name, NULL, NULL);
    resolver_cache_store(cache, key.bytes, key.size, key.hash, &outcome, expires);
    resolver_answer_drop(outcome.answer);
}

static resolver_cache_entry_t *find(resolver_cache_t *cache, const char *name, uint64_t now)
{
    resolver_key_t key;

    key_of(&key, name, NULL, NULL);
    return resolver_cache_find(cache, &key, now);
}

START_TEST(test_cache_expires)
{
    resolver_cache_t cache;

    ck_assert_int_eq(resolver_cache_init(&cache, 10), 0);
    store(&cache, "a", 100);
    ck_assert_ptr_nonnull(find(&cache, "a", 99));
    ck_assert_str_eq(find(&cache, "a", 99)->answer->host, "a");
    ck_assert_str_eq(find(&cache, "A", 99)->answer->service, "service");
    ck_assert_ptr_null(find(&cache, "a", 100));
    ck_assert_uint_eq(cache.table.count, 0);
    resolver_cache_free(&cache);
}
END_TEST

START_TEST(test_cache_forgets_the_least_recent)
{
    resolver_cache_t cache;

    ck_assert_int_eq(resolver_cache_init(&cache, 3), 0);
    store(&cache, "a", 100);
    store(&cache, "b", 100);
    store(&cache, "c", 100);
    ck_assert_ptr_nonnull(find(&cache, "a", 1));
    store(&cache, "d", 100);
    ck_assert_uint_eq(cache.table.count, 3);
    ck_assert_ptr_null(find(&cache, "b", 1));
    ck_assert_ptr_nonnull(find(&cache, "a", 1));
    ck_assert_ptr_nonnull(find(&cache, "c", 1));
    ck_assert_ptr_nonnull(find(&cache, "d", 1));
    /* the same name again takes the old entry's place */
    store(&cache, "d", 200);
    ck_assert_uint_eq(cache.table.count, 3);
    ck_assert_uint_eq(find(&cache, "d", 1)->expires, 200);
    resolver_cache_clear(&cache);
    ck_assert_uint_eq(cache.table.count, 0);
    ck_assert_ptr_null(find(&cache, "d", 1));
    resolver_cache_free(&cache);
}
END_TEST

START_TEST(test_cache_of_none)
{
    resolver_cache_t cache;

    ck_assert_int_eq(resolver_cache_init(&cache, 0), 0);
    store(&cache, "a", 100);
    ck_assert_ptr_null(find(&cache, "a", 1));
    resolver_cache_free(&cache);
}
END_TEST

START_TEST(test_cache_keeps_an_answer_that_is_in_use)
{
    resolver_answer_t *answer;
    resolver_cache_t cache;

    ck_assert_int_eq(resolver_cache_init(&cache, 1), 0);
    store(&cache, "a", 100);
    answer = find(&cache, "a", 1)->answer;
    resolver_answer_hold(answer);
    resolver_cache_free(&cache);
    ck_assert_str_eq(answer->host, "a");
    resolver_answer_drop(answer);
}
END_TEST

START_TEST(test_cache_without_memory)
{
    resolver_outcome_t outcome = outcome_of("a");
    resolver_cache_t cache;
    resolver_key_t key;

    ck_assert_int_eq(resolver_cache_init(&cache, 4), 0);
    store(&cache, "a", 100);
    key_of(&key, "a", NULL, NULL);
    allocations = 0;
    fail_at = 1;
    port_memory_set_hook(refuse);
    resolver_cache_store(&cache, key.bytes, key.size, key.hash, &outcome, 200);
    port_memory_set_hook(NULL);
    ck_assert_ptr_null(find(&cache, "a", 1));
    ck_assert_uint_eq(cache.table.count, 0);
    fail_at = allocations + 1;
    port_memory_set_hook(refuse);
    ck_assert_int_eq(resolver_cache_init(&(resolver_cache_t){.limit = 0}, 4), ENOMEM);
    port_memory_set_hook(NULL);
    resolver_answer_drop(outcome.answer);
    resolver_cache_free(&cache);
}
END_TEST

START_TEST(test_answer_copies_all)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = 7};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = 9};
    char name[] = "canonical";
    struct addrinfo second = {
        .ai_family = AF_INET6, .ai_addr = (struct sockaddr *)&in6, .ai_addrlen = sizeof(in6)};
    struct addrinfo first = {.ai_family = AF_INET,
                             .ai_socktype = SOCK_DGRAM,
                             .ai_addr = (struct sockaddr *)&in,
                             .ai_addrlen = sizeof(in),
                             .ai_canonname = name,
                             .ai_next = &second};
    resolver_answer_t *answer = resolver_answer_of_addresses(&first);
    const struct addrinfo *copy;

    ck_assert_ptr_nonnull(answer);
    copy = answer->addresses;
    ck_assert_str_eq(copy->ai_canonname, "canonical");
    ck_assert_ptr_ne(copy->ai_canonname, name);
    ck_assert_int_eq(copy->ai_socktype, SOCK_DGRAM);
    ck_assert_mem_eq(copy->ai_addr, &in, sizeof(in));
    copy = copy->ai_next;
    ck_assert_ptr_null(copy->ai_canonname);
    ck_assert_mem_eq(copy->ai_addr, &in6, sizeof(in6));
    ck_assert_ptr_null(copy->ai_next);
    resolver_answer_drop(answer);
    resolver_answer_drop(NULL);

    allocations = 0;
    fail_at = 1;
    port_memory_set_hook(refuse);
    ck_assert_ptr_null(resolver_answer_of_addresses(&first));
    fail_at = 2;
    ck_assert_ptr_null(resolver_answer_of_names("a", "b"));
    port_memory_set_hook(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resolver_cache");
    TCase *tcase = tcase_create("cache");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_key_folds_the_host_only);
    tcase_add_test(tcase, test_key_has_all_that_changes_the_answer);
    tcase_add_test(tcase, test_key_of_addresses);
    tcase_add_test(tcase, test_key_of_the_longest_names);
    tcase_add_test(tcase, test_table_holds_many);
    tcase_add_test(tcase, test_table_without_memory_to_grow);
    tcase_add_test(tcase, test_cache_expires);
    tcase_add_test(tcase, test_cache_forgets_the_least_recent);
    tcase_add_test(tcase, test_cache_of_none);
    tcase_add_test(tcase, test_cache_keeps_an_answer_that_is_in_use);
    tcase_add_test(tcase, test_cache_without_memory);
    tcase_add_test(tcase, test_answer_copies_all);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

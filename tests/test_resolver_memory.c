/* SPDX-License-Identifier: MIT */
/*
 * No memory, at every allocation in turn, and no threads: what is refused says so and leaves
 * nothing behind, and what was accepted still has its one result.
 */
#include "resolver_harness.h"
#include "test_fault.h"

#include "port/port_memory.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Any thread allocates. */
static _Atomic unsigned long allocations;
static unsigned long fail_at;
static bool for_good;

static bool refuse(size_t size)
{
    unsigned long nth = atomic_fetch_add(&allocations, 1) + 1;

    (void)size;
    return for_good ? nth < fail_at : nth != fail_at;
}

static void arm(unsigned long nth)
{
    atomic_store(&allocations, 0);
    fail_at = nth;
    port_memory_set_hook(refuse);
}

/* Returns whether the N-th allocation was reached. */
static bool disarm(void)
{
    port_memory_set_hook(NULL);
    return atomic_load(&allocations) >= fail_at;
}

static bool create_once(unsigned long nth)
{
    async_resolver_t *made;
    bool reached;

    arm(nth);
    errno = 0;
    made = async_resolver_create(loop, RESOLVER_KEY, NULL);
    reached = disarm();
    if (reached) {
        ck_assert_ptr_null(made);
        ck_assert_int_eq(errno, ENOMEM);
    } else {
        ck_assert_ptr_nonnull(made);
    }
    async_resolver_destroy(made);
    return reached;
}

START_TEST(test_create)
{
    unsigned long nth = 1;

    while (create_once(nth))
        nth++;
    ck_assert_uint_gt(nth, 4);
}
END_TEST

static const char *const names[] = {"a.test.", "a.test.", "192.0.2.1", "nx.test.", "many20.test."};

/* Asks, waits for what was accepted, asks again, which hits the cache if the memory allowed it. */
static bool work_once(unsigned long nth)
{
    enum { NAMES = sizeof(names) / sizeof(names[0]) };
    struct addrinfo hints = hints_of(AF_INET, 0);
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;
    unsigned accepted = 0;
    bool reached;

    options.refresh_ms = options.forward_ttl_ms;
    remake(&options);
    arm(nth);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < NAMES; i++) {
            errno = 0;
            if (async_resolver_lookup(resolver, names[i], NULL, &hints, NULL) != 0)
                accepted++;
            else
                ck_assert(errno == ENOMEM || errno == EAGAIN);
        }
        for (; accepted > 0; accepted--) {
            async_resolver_result_t *result = take();

            ck_assert(result->status == 0 || result->status == EAI_NONAME ||
                      result->status == EAI_MEMORY);
            ck_assert_int_eq(result->addresses != NULL, result->status == 0);
            async_resolver_free_result(result);
        }
    }
    ck_assert_ptr_null(take_now());
    check_sums(resolver, 0);
    for (int i = 0; stats_of(resolver).in_flight != 0 && i < 3000; i++)
        sleep_ms(10);
    reached = disarm();
    /* afterwards all is well */
    ask("b.test.");
    ck_assert_int_eq(take_status(), 0);
    return reached;
}

START_TEST(test_once)
{
    unsigned long nth = 1;

    while (work_once(nth))
        nth++;
    ck_assert_uint_gt(nth, 20);
}
END_TEST

START_TEST(test_for_good)
{
    unsigned long nth = 1;

    for_good = true;
    while (work_once(nth))
        nth++;
    ck_assert_uint_gt(nth, 20);
}
END_TEST

/* Whether a lookup is accepted with so many threads to be had. */
static bool ask_with_threads(int threads)
{
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;
    struct addrinfo hints = hints_of(AF_INET, 0);
    uint64_t id;
    int err;

    remake(&options);
    atomic_store(&test_threads_left, threads);
    errno = 0;
    id = async_resolver_lookup(resolver, "a.test.", NULL, &hints, NULL);
    err = errno;
    test_fault_reset();
    if (id == 0) {
        ck_assert_int_eq(err, EAGAIN);
        check_sums(resolver, 0);
        ck_assert_uint_eq(stats_of(resolver).in_flight, 0);
        ask("a.test.");
    }
    ck_assert_int_eq(take_status(), 0);
    ck_assert_ptr_null(take_now());
    check_sums(resolver, 0);
    return id != 0;
}

START_TEST(test_no_threads)
{
    int threads = 0;

    while (!ask_with_threads(threads))
        ck_assert_int_lt(++threads, 4);
    ck_assert_int_ne(threads, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resolver_memory");
    TCase *tcase = harness_tcase("memory");

    tcase_add_test(tcase, test_create);
    tcase_add_test(tcase, test_once);
    tcase_add_test(tcase, test_for_good);
    tcase_add_test(tcase, test_no_threads);
    suite_add_tcase(suite, tcase);
    return harness_run(suite);
}

/* SPDX-License-Identifier: MIT */
/*
 * contract_parts.c - the calls that the pages of async_pool.h, async_console.h and async_resolver.h
 * describe, failures included
 *
 * What is between contract_begin() and contract_end() is measured by test_contract.c.
 */
#include "contract.h"

#include <asyncrt.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static async_runtime_t *a_runtime(void)
{
    async_runtime_t *runtime = async_runtime_init();

    NEED(runtime != NULL);
    return runtime;
}

/* ---- async_pool.h */

static void *nap(void *arg)
{
    contract_rest(50);
    return arg;
}

static async_pool_t *a_pool(void)
{
    async_pool_options_t options = ASYNC_POOL_OPTIONS_INIT;
    async_pool_t *pool;

    options.threads = 1;
    pool = async_pool_create(a_runtime(), &options);
    NEED(pool != NULL);
    return pool;
}

static void pool_create(void)
{
    async_runtime_t *runtime = a_runtime();

    MEASURE(NEED(async_pool_create(runtime, NULL) != NULL));
    MEASURE(NEED(async_pool_create(NULL, NULL) == NULL && errno == EINVAL));
}

static void pool_submit(void)
{
    async_pool_t *pool = a_pool();

    MEASURE(NEED(async_pool_submit(pool, nap, NULL, 1) != 0));
    MEASURE(NEED(async_pool_submit(pool, nap, NULL, 1) != 0));
    contract_rest(150);
    MEASURE(NEED(async_pool_submit(pool, nap, NULL, 1) != 0)); /* an idle thread */
    MEASURE(NEED(async_pool_submit(pool, NULL, NULL, 1) == 0 && errno == EINVAL));
}

static void pool_cancel(void)
{
    async_pool_t *pool = a_pool();
    uint64_t first = async_pool_submit(pool, nap, NULL, 1);
    uint64_t second = async_pool_submit(pool, nap, NULL, 1);

    contract_rest(20);
    MEASURE(NEED(async_pool_cancel(pool, second) == 0));
    MEASURE(NEED(async_pool_cancel(pool, second) == -1 && errno == ENOENT));
    MEASURE(NEED(async_pool_cancel(pool, first) == -1));
}

static void pool_shutdown(void)
{
    async_pool_t *pool = a_pool();

    async_pool_submit(pool, nap, NULL, 1);
    async_pool_submit(pool, nap, NULL, 1);
    contract_rest(20);
    MEASURE(NEED(!async_pool_shutdown(pool, 1) && errno == ETIMEDOUT));
    MEASURE(NEED(async_pool_shutdown(pool, -1)));
}

static void pool_destroy(void)
{
    async_pool_t *pool = a_pool();

    async_pool_submit(pool, nap, NULL, 1);
    contract_rest(20);
    MEASURE(async_pool_destroy(pool); async_pool_destroy(NULL));
}

static void pool_get_stats(void)
{
    async_pool_t *pool = a_pool();
    async_pool_stats_t stats;

    MEASURE(async_pool_get_stats(pool, &stats));
}

/* ---- async_console.h */

static int input[2];

static async_console_t *a_console(void)
{
    async_queue_t *lines = async_queue_create(16, 64, 0);
    async_console_t *console;

    NEED(pipe(input) == 0 && dup2(input[0], STDIN_FILENO) == STDIN_FILENO);
    console = async_console_create(a_runtime(), lines, 1);
    NEED(console != NULL);
    contract_rest(20);
    return console;
}

/* Makes a terminal of its own the standard input. */
static async_console_t *a_terminal_console(void)
{
    async_queue_t *lines = async_queue_create(16, 64, 0);
    async_console_t *console;
    int master = posix_openpt(O_RDWR | O_NOCTTY), slave;

    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
        return NULL;
    slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    if (slave < 0)
        return NULL;
    NEED(dup2(slave, STDIN_FILENO) == STDIN_FILENO);
    console = async_console_create(a_runtime(), lines, 1);
    NEED(console != NULL);
    contract_rest(20);
    return console;
}

static void console_create(void)
{
    async_queue_t *lines = async_queue_create(16, 64, 0);
    async_runtime_t *runtime = a_runtime();

    MEASURE(NEED(async_console_create(runtime, NULL, 1) == NULL && errno == EINVAL));
    MEASURE(NEED(async_console_create(runtime, lines, 1) != NULL));
    MEASURE(NEED(async_console_create(runtime, lines, 1) == NULL && errno == EEXIST));
}

static void console_shutdown(void)
{
    async_console_t *console = a_console();

    MEASURE(NEED(async_console_shutdown(console, -1)));
    async_console_destroy(console);
    console = a_terminal_console();
    if (console == NULL)
        return;
    NEED(async_console_set_mode(console, 0) == 0);
    MEASURE(NEED(async_console_shutdown(console, -1)));
}

static void console_destroy(void)
{
    async_console_t *console = a_console();

    MEASURE(async_console_destroy(console); async_console_destroy(NULL));
    console = a_terminal_console();
    if (console == NULL)
        return;
    NEED(async_console_set_mode(console, 0) == 0);
    MEASURE(async_console_destroy(console));
}

static void console_is_eof(void)
{
    async_console_t *console = a_console();

    MEASURE(NEED(!async_console_is_eof(console)));
    MEASURE(NEED(!async_console_is_eof(NULL) && errno == EINVAL));
}

static void console_set_mode(void)
{
    async_console_t *console = a_console();

    MEASURE(NEED(async_console_set_mode(console, 0) == -1 && errno == ENOTTY));
    MEASURE(NEED(async_console_set_mode(console, 0x80) == -1 && errno == EINVAL));
    async_console_destroy(console);
    console = a_terminal_console();
    if (console == NULL)
        return;
    MEASURE(NEED(async_console_set_mode(console, 0) == 0));
    MEASURE(NEED(async_console_set_mode(console, ASYNC_CONSOLE_LINE | ASYNC_CONSOLE_ECHO) == 0));
}

static void console_get_type(void)
{
    async_console_t *console = a_console();

    MEASURE(NEED(async_console_get_type(console) == ASYNC_CONSOLE_TYPE_PIPE));
}

static void console_detect(void)
{
    NEED(close(STDIN_FILENO) == 0);
    MEASURE(NEED(async_console_detect() == ASYNC_CONSOLE_TYPE_NONE));
    NEED(open("/dev/null", O_RDONLY) == STDIN_FILENO);
    MEASURE(NEED(async_console_detect() == ASYNC_CONSOLE_TYPE_NONE));
    NEED(pipe(input) == 0 && dup2(input[0], STDIN_FILENO) == STDIN_FILENO);
    MEASURE(NEED(async_console_detect() == ASYNC_CONSOLE_TYPE_PIPE));
}

static void console_type_name(void)
{
    MEASURE(NEED(async_console_type_name(ASYNC_CONSOLE_TYPE_REAL) != NULL));
    MEASURE(NEED(async_console_type_name((async_console_type_t)99) == NULL && errno == EINVAL));
}

static void console_type_name_signal(void)
{
    (void)async_console_type_name(ASYNC_CONSOLE_TYPE_FILE);
    (void)async_console_type_name((async_console_type_t)99);
}

/* ---- async_resolver.h */

static async_resolver_t *a_resolver(void)
{
    async_resolver_t *resolver = async_resolver_create(a_runtime(), 1, NULL);

    if (resolver == NULL && errno == ENOTSUP)
        contract_skip(); /* an engine that is not built in */
    NEED(resolver != NULL);
    return resolver;
}

static void resolver_create(void)
{
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;
    async_runtime_t *runtime = a_runtime();

    async_resolver_destroy(a_resolver());
    MEASURE(NEED(async_resolver_create(runtime, 1, NULL) != NULL));
    options.engine = "none";
    MEASURE(NEED(async_resolver_create(runtime, 1, &options) == NULL && errno == ENOTSUP));
}

static void resolver_destroy(void)
{
    async_resolver_t *resolver = a_resolver();

    NEED(async_resolver_lookup(resolver, "localhost", NULL, NULL, NULL) != 0);
    NEED(async_resolver_lookup(resolver, "192.0.2.1", NULL, NULL, NULL) != 0);
    MEASURE(async_resolver_destroy(resolver); async_resolver_destroy(NULL));
}

static void resolver_lookup(void)
{
    async_resolver_t *resolver = a_resolver();

    MEASURE(NEED(async_resolver_lookup(resolver, "192.0.2.1", "80", NULL, NULL) != 0));
    MEASURE(NEED(async_resolver_lookup(resolver, "localhost", NULL, NULL, NULL) != 0));
    MEASURE(NEED(async_resolver_lookup(resolver, "localhost", NULL, NULL, NULL) != 0));
    MEASURE(NEED(async_resolver_lookup(resolver, NULL, NULL, NULL, NULL) == 0 && errno == EINVAL));
}

static void resolver_reverse(void)
{
    async_resolver_t *resolver = a_resolver();
    struct sockaddr_in address;

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    MEASURE(NEED(
        async_resolver_reverse(resolver, (struct sockaddr *)&address, sizeof address, NULL) != 0));
    address.sin_family = AF_UNIX;
    MEASURE(NEED(
        async_resolver_reverse(resolver, (struct sockaddr *)&address, sizeof address, NULL) == 0 &&
        errno == EAFNOSUPPORT));
}

static void resolver_cancel(void)
{
    async_resolver_t *resolver = a_resolver();
    uint64_t id = async_resolver_lookup(resolver, "contract.invalid", NULL, NULL, NULL);

    MEASURE(NEED(async_resolver_cancel(resolver, id) == 0 || errno == ENOENT));
    MEASURE(NEED(async_resolver_cancel(resolver, 12345) == -1 && errno == ENOENT));
}

static void resolver_next(void)
{
    async_resolver_t *resolver = a_resolver();

    NEED(async_resolver_lookup(resolver, "192.0.2.1", NULL, NULL, NULL) != 0);
    MEASURE(NEED(async_resolver_next(resolver) != NULL));
    MEASURE(NEED(async_resolver_next(resolver) == NULL && errno == EAGAIN));
}

static void resolver_free_result(void)
{
    async_resolver_t *resolver = a_resolver();
    async_resolver_result_t *result;

    NEED(async_resolver_lookup(resolver, "192.0.2.1", NULL, NULL, NULL) != 0);
    result = async_resolver_next(resolver);
    MEASURE(async_resolver_free_result(result); async_resolver_free_result(NULL));
}

static void resolver_clear_cache(void)
{
    async_resolver_t *resolver = a_resolver();
    async_resolver_result_t *result;
    async_event_t event;

    NEED(async_resolver_lookup(resolver, "localhost", NULL, NULL, &event) != 0);
    contract_rest(100);
    while ((result = async_resolver_next(resolver)) != NULL)
        async_resolver_free_result(result);
    MEASURE(async_resolver_clear_cache(resolver));
}

static void resolver_get_stats(void)
{
    async_resolver_t *resolver = a_resolver();
    async_resolver_stats_t stats;

    MEASURE(async_resolver_get_stats(resolver, &stats));
}

const contract_case_t contract_parts[] = {
    CASE(pool_create),
    CASE(pool_submit),
    CASE(pool_cancel),
    CASE(pool_shutdown),
    CASE(pool_destroy),
    CASE(pool_get_stats),
    CASE(console_create),
    CASE(console_shutdown),
    CASE(console_destroy),
    CASE(console_is_eof),
    CASE(console_set_mode),
    CASE(console_get_type),
    CASE(console_detect),
    {"async_console_type_name", console_type_name, console_type_name_signal, NULL},
    CASE(resolver_create),
    CASE(resolver_destroy),
    CASE(resolver_lookup),
    CASE(resolver_reverse),
    CASE(resolver_cancel),
    CASE(resolver_next),
    CASE(resolver_free_result),
    CASE(resolver_clear_cache),
    CASE(resolver_get_stats),
    {NULL, NULL, NULL, NULL},
};

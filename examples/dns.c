/* SPDX-License-Identifier: MIT */
/*
 * dns - resolves the names on standard input, many at a time, and prints each as it is done
 *
 *     dns [-n IN_FLIGHT] [-4 | -6] [-t TIMEOUT_MS] <names
 *
 * Names come in through async_console, so a slow pipe blocks nobody; when IN_FLIGHT lookups are
 * under way no more lines are taken, the queue of lines fills, and the reader waits.  On a terminal
 * a progress line shows that the loop is alive.  Lines that are empty or begin with # are skipped.
 */
#include "net.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

enum { LINE_BYTES = 512, LINES = 64, KEY_LINES = 1, KEY_RESULTS = 2 };

static struct dns {
    async_runtime_t *runtime;
    async_queue_t *lines;
    async_console_t *console;
    async_resolver_t *resolver;
    struct addrinfo hints;
    int most, in_flight, done, failed, refused;
    bool no_more, stop, progress;
} dns = {.most = 20};

static void show_progress(void)
{
    if (dns.progress)
        fprintf(stderr, "\r%d done, %d failed, %d in flight ", dns.done, dns.failed, dns.in_flight);
}

static void show(const async_resolver_result_t *result)
{
    const struct addrinfo *at;
    char text[64];

    dns.in_flight--;
    dns.done++;
    if (dns.progress)
        fprintf(stderr, "\r%40s\r", "");
    if (result->status != 0) {
        dns.failed++;
        printf("%s\t%s\n", result->host,
               result->status == EAI_SYSTEM ? strerror(result->error)
                                            : gai_strerror(result->status));
    }
    for (at = result->addresses; at != NULL; at = at->ai_next)
        if (getnameinfo(at->ai_addr, (socklen_t)at->ai_addrlen, text, sizeof(text), NULL, 0,
                        NI_NUMERICHOST) == 0)
            printf("%s\t%s%s\n", result->host, text,
                   (result->flags & ASYNC_RESOLVER_FROM_CACHE) != 0 ? "\tcached" : "");
    fflush(stdout);
}

static void take_results(void)
{
    async_resolver_result_t *result;

    while ((result = async_resolver_next(dns.resolver)) != NULL) {
        show(result);
        async_resolver_free_result(result);
    }
}

/* As many lines as there are places in flight; what stays in the queue holds the reader. */
static void take_lines(void)
{
    char line[LINE_BYTES];

    while (!dns.stop && dns.in_flight < dns.most &&
           async_queue_dequeue(dns.lines, line, sizeof(line), NULL)) {
        line[strcspn(line, " \t\r\n")] = '\0';
        if (line[0] == '\0' || line[0] == '#')
            continue;
        if (async_resolver_lookup(dns.resolver, line, NULL, &dns.hints, NULL) != 0) {
            dns.in_flight++;
        } else {
            dns.refused++;
            fprintf(stderr, "dns: %s: %s\n", line, strerror(async_last_error()));
        }
    }
}

static void loop(void)
{
    async_event_t events[16];

    while (!dns.stop) {
        int n = async_runtime_wait(dns.runtime, events, 16, -1);

        for (int i = 0; i < n; i++) {
            if ((events[i].event_type & ASYNC_EVENT_SIGNAL) != 0)
                dns.stop = true;
            else if ((events[i].event_type & ASYNC_EVENT_TIMER) != 0)
                show_progress();
            else if (events[i].completion_key == KEY_RESULTS)
                take_results();
            else if (events[i].completion_key == KEY_LINES && events[i].data == 1)
                dns.no_more = true;
        }
        take_lines();
        take_results(); /* numeric and cached names are there at once */
        take_lines();
        if (dns.no_more && dns.in_flight == 0 && async_queue_is_empty(dns.lines))
            break;
    }
}

static void show_statistics(void)
{
    async_resolver_stats_t stats;
    async_runtime_stats_t loop_stats;

    async_resolver_get_stats(dns.resolver, &stats);
    async_runtime_get_stats(dns.runtime, &loop_stats);
    fprintf(
        stderr,
        "%sdns: %d done, %d failed; %llu asked, %llu shared, %llu from the cache; the loop waited "
        "%llu times and was never blocked\n",
        dns.progress ? "\r" : "", dns.done, dns.failed, (unsigned long long)stats.admitted,
        (unsigned long long)stats.coalesced,
        (unsigned long long)(stats.forward_hits + stats.negative_hits),
        (unsigned long long)loop_stats.waits);
}

static bool parse(int argc, char **argv, async_resolver_options_t *options)
{
    dns.hints.ai_socktype = SOCK_STREAM;
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;

        if (strcmp(argv[i], "-4") == 0)
            dns.hints.ai_family = AF_INET;
        else if (strcmp(argv[i], "-6") == 0)
            dns.hints.ai_family = AF_INET6;
        else if (more && strcmp(argv[i], "-n") == 0 && atoi(argv[i + 1]) > 0)
            dns.most = atoi(argv[++i]);
        else if (more && strcmp(argv[i], "-t") == 0 && atoi(argv[i + 1]) > 0)
            options->timeout_ms = (unsigned)atoi(argv[++i]);
        else
            return false;
    }
    options->max_in_flight = (size_t)dns.most;
    options->threads = (size_t)dns.most;
    return true;
}

int main(int argc, char **argv)
{
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;

    if (!parse(argc, argv, &options)) {
        fprintf(stderr, "usage: dns [-n IN_FLIGHT] [-4 | -6] [-t TIMEOUT_MS] <names\n");
        return 2;
    }
    net_start();
    dns.runtime = async_runtime_init();
    dns.lines = async_queue_create(LINES, LINE_BYTES, ASYNC_QUEUE_BLOCK_WRITER);
    dns.resolver = async_resolver_create(dns.runtime, KEY_RESULTS, &options);
    dns.console = async_console_create(dns.runtime, dns.lines, KEY_LINES);
    if (dns.console == NULL || dns.resolver == NULL ||
        async_runtime_add_signal(dns.runtime, SIGTERM, NULL) != 0 ||
        async_runtime_add_signal(dns.runtime, SIGINT, NULL) != 0) {
        fprintf(stderr, "dns: cannot start: %s\n", strerror(async_last_error()));
        return 1;
    }
#ifndef _WIN32
    dns.progress = isatty(2);
#endif
    if (dns.progress)
        async_runtime_add_timer(dns.runtime, 100000, 100000, NULL);
    loop();
    show_statistics();
    async_console_destroy(dns.console);
    async_resolver_destroy(dns.resolver);
    async_queue_destroy(dns.lines);
    async_runtime_deinit(dns.runtime);
    return dns.failed == 0 && dns.refused == 0 && !dns.stop ? 0 : 1;
}

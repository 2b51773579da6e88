/* SPDX-License-Identifier: MIT */
/*
 * proxy - a TCP proxy: what connects here talks to HOST
 *
 *     proxy [-p PORT] [-t IDLE_SECONDS] HOST SERVICE
 *
 * Each direction of a connection is a posted read, then the posted write of what was read, then the
 * next read: so a slow reader slows its writer down, and nothing piles up here.  An end of input is
 * passed on, and the other direction goes on.  HOST is looked up for each connection (the resolver
 * caches it) and its addresses are tried in turn.  A connection that is idle is ended.  SIGTERM and
 * SIGINT end the listening and wait for the open connections, a second signal ends them.
 *
 * The context of an event is what it is about, as a rule the pair.  That may be named by later
 * events of the same array and by operations that are still to come, so end_pair() only marks it
 * and reap() frees it.
 */
#include "net.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>

enum { BUFFER_BYTES = 16384, EVENTS = 128, PATIENCE_SECONDS = 10, KEY_RESOLVER = 1 };

/* One direction. */
struct way {
    async_fd_t from, to;
    bool ended;
    uint64_t bytes;
    char buffer[BUFFER_BYTES];
};

struct pair {
    struct pair *next, **link;
    async_fd_t fds[2]; /* the client and the server; registered, or ASYNC_INVALID_FD */
    struct way ways[2];
    async_resolver_result_t *found;
    const struct addrinfo *address; /* the next one to try */
    uint64_t lookup, timer;         /* 0: none */
    unsigned operations;            /* whose events are still to come */
    bool connecting, quiet, ended;
};

static struct {
    async_runtime_t *runtime;
    async_resolver_t *resolver;
    const char *host, *service;
    uint64_t idle_us;
    struct pair *pairs, *ended;
    async_fd_t listener;
    unsigned open, served, failed;
    uint64_t up, down;
    bool stop;
} proxy;

/* ---- The lists, and the end of a pair. */

static void push(struct pair **list, struct pair *pair)
{
    pair->link = list;
    pair->next = *list;
    if (pair->next != NULL)
        pair->next->link = &pair->next;
    *list = pair;
}

static void unlink_pair(struct pair *pair)
{
    *pair->link = pair->next;
    if (pair->next != NULL)
        pair->next->link = pair->link;
}

static void end_pair(struct pair *pair)
{
    if (pair->ended)
        return;
    pair->ended = true;
    unlink_pair(pair);
    push(&proxy.ended, pair);
    for (int i = 0; i < 2; i++)
        if (pair->fds[i] != ASYNC_INVALID_FD) {
            async_runtime_remove(proxy.runtime, pair->fds[i]); /* cancels its operations */
            net_close(pair->fds[i]);
        }
    if (pair->timer != 0)
        async_runtime_cancel_timer(proxy.runtime, pair->timer);
    if (pair->lookup != 0)
        async_resolver_cancel(proxy.resolver, pair->lookup);
}

static void free_pair(struct pair *pair)
{
    unlink_pair(pair);
    proxy.up += pair->ways[0].bytes;
    proxy.down += pair->ways[1].bytes;
    proxy.open--;
    async_resolver_free_result(pair->found);
    free(pair);
}

/* Between two waits: frees the pairs that nothing refers to any more. */
static void reap(void)
{
    struct pair *pair, *next;

    for (pair = proxy.ended; pair != NULL; pair = next) {
        next = pair->next;
        if (pair->operations == 0 && pair->lookup == 0)
            free_pair(pair);
    }
}

/* ---- The two directions. */

static void read_more(struct pair *pair, struct way *way)
{
    if (async_runtime_post_read(proxy.runtime, way->from, way->buffer, BUFFER_BYTES) == 0)
        pair->operations++;
    else
        end_pair(pair);
}

/* A read or a write has ended: the one is followed by the other. */
static void operation_ended(struct pair *pair, const async_event_t *event)
{
    struct way *way = &pair->ways[event->buffer == pair->ways[1].buffer];

    pair->operations--;
    pair->quiet = false;
    if (pair->ended)
        return;
    if (event->error != 0) {
        end_pair(pair);
    } else if ((event->event_type & ASYNC_EVENT_WRITE) != 0) {
        way->bytes += event->bytes_transferred;
        read_more(pair, way);
    } else if (event->bytes_transferred == 0) {
        net_end_output(way->to);
        way->ended = true;
        if (pair->ways[0].ended && pair->ways[1].ended)
            end_pair(pair);
    } else if (async_runtime_post_write(proxy.runtime, way->to, way->buffer,
                                        event->bytes_transferred) == 0) {
        pair->operations++;
    } else {
        end_pair(pair);
    }
}

/* ---- From a client to its server. */

static void connect_next(struct pair *pair)
{
    while (pair->address != NULL) {
        const struct addrinfo *address = pair->address;
        async_fd_t fd = net_connect_to(address->ai_addr, (socklen_t)address->ai_addrlen);

        pair->address = address->ai_next;
        if (fd == ASYNC_INVALID_FD)
            continue;
        if (async_runtime_add(proxy.runtime, fd, ASYNC_EVENT_WRITE, pair) == 0) {
            pair->fds[1] = fd;
            pair->connecting = true;
            return;
        }
        net_close(fd);
    }
    fprintf(stderr, "proxy: no connection to %s %s\n", proxy.host, proxy.service);
    proxy.failed++;
    end_pair(pair);
}

/* The server's descriptor is writable, or its connection has failed. */
static void connect_ended(struct pair *pair)
{
    if (pair->ended || !pair->connecting)
        return;
    pair->connecting = false;
    if (!net_connected(pair->fds[1])) {
        async_runtime_remove(proxy.runtime, pair->fds[1]);
        net_close(pair->fds[1]);
        pair->fds[1] = ASYNC_INVALID_FD;
        connect_next(pair);
        return;
    }
    proxy.served++;
    async_resolver_free_result(pair->found);
    pair->found = NULL;
    if (async_runtime_modify(proxy.runtime, pair->fds[1], 0, pair) != 0) {
        end_pair(pair);
        return;
    }
    for (int i = 0; i < 2 && !pair->ended; i++) {
        pair->ways[i].from = pair->fds[i];
        pair->ways[i].to = pair->fds[!i];
        read_more(pair, &pair->ways[i]);
    }
}

static void take_results(void)
{
    async_resolver_result_t *result;

    while ((result = async_resolver_next(proxy.resolver)) != NULL) {
        struct pair *pair = result->context;

        pair->lookup = 0;
        pair->found = result;
        pair->address = result->addresses;
        if (!pair->ended)
            connect_next(pair);
    }
}

static void start_pair(async_fd_t fd)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct pair *pair = calloc(1, sizeof(*pair));

    if (pair == NULL || async_runtime_add(proxy.runtime, fd, 0, pair) != 0) {
        net_close(fd);
        free(pair);
        return;
    }
    pair->fds[0] = fd;
    pair->fds[1] = ASYNC_INVALID_FD;
    push(&proxy.pairs, pair);
    proxy.open++;
    pair->timer = async_runtime_add_timer(proxy.runtime, proxy.idle_us, proxy.idle_us, pair);
    pair->lookup = async_resolver_lookup(proxy.resolver, proxy.host, proxy.service, &hints, pair);
    if (pair->timer == 0 || pair->lookup == 0)
        end_pair(pair);
}

/* ---- The listener. */

/* One connection for each event; the next one is reported again. */
static void accept_one(void)
{
    async_fd_t fd;

    if (proxy.listener == ASYNC_INVALID_FD)
        return; /* a signal that stands before this event in the array */
    fd = net_accept(proxy.listener);
    if (fd != ASYNC_INVALID_FD) {
        start_pair(fd);
    } else if (net_error() != NET_BLOCKED) {
        /* Out of descriptors, say: to look again at once would only keep the processor busy. */
        async_runtime_modify(proxy.runtime, proxy.listener, 0, &proxy.listener);
        async_runtime_add_timer(proxy.runtime, 100000, 0, &proxy.listener);
    }
}

static void stop_listening(void)
{
    if (proxy.listener == ASYNC_INVALID_FD) {
        proxy.stop = true; /* the second signal */
        return;
    }
    async_runtime_remove(proxy.runtime, proxy.listener);
    net_close(proxy.listener);
    proxy.listener = ASYNC_INVALID_FD;
    async_runtime_add_timer(proxy.runtime, PATIENCE_SECONDS * 1000000u, 0, &proxy.stop);
}

static void timer_expired(void *context)
{
    struct pair *pair = context;

    if (context == &proxy.stop)
        proxy.stop = true;
    else if (context == &proxy.listener)
        async_runtime_modify(proxy.runtime, proxy.listener, ASYNC_EVENT_READ, context);
    else if (pair->quiet)
        end_pair(pair);
    else
        pair->quiet = true;
}

/* ---- The loop. */

static void act(const async_event_t *event)
{
    if ((event->event_type & ASYNC_EVENT_SIGNAL) != 0)
        stop_listening();
    else if ((event->event_type & ASYNC_EVENT_TIMER) != 0)
        timer_expired(event->context);
    else if ((event->event_type & ASYNC_EVENT_COMPLETION) == 0 && event->context == &proxy.listener)
        accept_one();
    else if ((event->event_type & ASYNC_EVENT_COMPLETION) == 0)
        connect_ended(event->context);
    else if (event->fd != ASYNC_INVALID_FD)
        operation_ended(event->context, event);
    else
        take_results();
}

static int run(unsigned short port)
{
    async_event_t events[EVENTS];

    net_start();
    proxy.runtime = async_runtime_init();
    proxy.resolver = async_resolver_create(proxy.runtime, KEY_RESOLVER, NULL);
    proxy.listener = net_listen("127.0.0.1", port);
    if (proxy.runtime == NULL || proxy.resolver == NULL || proxy.listener == ASYNC_INVALID_FD ||
        async_runtime_add(proxy.runtime, proxy.listener, ASYNC_EVENT_READ, &proxy.listener) != 0 ||
        async_runtime_add_signal(proxy.runtime, SIGINT, NULL) != 0 ||
        async_runtime_add_signal(proxy.runtime, SIGTERM, NULL) != 0) {
        fprintf(stderr, "proxy: cannot start: %s\n", strerror(errno));
        return 1;
    }
    printf("listening on port %u\n", net_port(proxy.listener));
    fflush(stdout);
    while (!proxy.stop && (proxy.listener != ASYNC_INVALID_FD || proxy.open != 0)) {
        int n = async_runtime_wait(proxy.runtime, events, EVENTS, -1);

        for (int i = 0; i < n; i++)
            act(&events[i]);
        reap();
    }
    while (proxy.pairs != NULL)
        end_pair(proxy.pairs);
    async_resolver_destroy(proxy.resolver);
    async_runtime_deinit(proxy.runtime); /* the buffers of all operations are ours again */
    while (proxy.ended != NULL)
        free_pair(proxy.ended);
    printf("%u served, %u failed, %" PRIu64 " bytes up, %" PRIu64 " down\n", proxy.served,
           proxy.failed, proxy.up, proxy.down);
    return 0;
}

int main(int argc, char **argv)
{
    int i, port = 4002, idle = 60;

    for (i = 1; i + 1 < argc && argv[i][0] == '-'; i += 2) {
        if (strcmp(argv[i], "-p") == 0)
            port = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "-t") == 0)
            idle = atoi(argv[i + 1]);
        else
            break;
    }
    if (argc - i != 2 || argv[i][0] == '-' || port < 0 || port > 65535 || idle < 1) {
        fprintf(stderr, "usage: proxy [-p PORT] [-t IDLE_SECONDS] HOST SERVICE\n");
        return 2;
    }
    proxy.idle_us = (uint64_t)idle * 1000000u;
    proxy.host = argv[i];
    proxy.service = argv[i + 1];
    return run((unsigned short)port);
}

/* SPDX-License-Identifier: MIT */
/*
 * echo - a TCP echo server on several cores: one runtime on each of N threads
 *
 *     echo [-p PORT] [-t THREADS]
 *
 * Each thread has a runtime and its own connections, and touches nothing else: no lock, no sharing.
 * The first one accepts and hands the connections over, in turn, by a completion posted to the
 * thread's runtime; the others post back what they have served, by completions too, and it prints
 * the sums once a second.  Reads and writes are posted operations, so that with
 * ASYNCRT_BACKEND=io_uring the kernel does them.  SIGINT and SIGTERM end it.
 */
#include "net.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

enum { BUFFER_BYTES = 16384, MOST_THREADS = 64, EVENTS = 256 };

/* What a completion carries: its data is a descriptor, a count or nothing. */
enum key { KEY_CONNECTION = 1, KEY_SERVED, KEY_STOP };

struct connection {
    async_fd_t fd;
    char buffer[BUFFER_BYTES];
};

struct server {
    async_runtime_t *runtime;
    async_worker_t *worker; /* NULL: the main thread's */
    struct server *first;   /* who accepts, and prints */
    int connections;
    unsigned long served, told;
};

static void start_connection(struct server *server, async_fd_t fd)
{
    struct connection *connection = calloc(1, sizeof(*connection));

    if (connection != NULL)
        connection->fd = fd;
    if (connection == NULL || async_runtime_add(server->runtime, fd, 0, connection) != 0 ||
        async_runtime_post_read(server->runtime, fd, connection->buffer, BUFFER_BYTES) != 0) {
        async_runtime_remove(server->runtime, fd);
        net_close(fd);
        free(connection);
        return;
    }
    server->connections++;
}

static void end_connection(struct server *server, struct connection *connection)
{
    async_runtime_remove(server->runtime, connection->fd);
    net_close(connection->fd);
    free(connection);
    server->connections--;
}

/* A read or a write has ended: the one is followed by the other. */
static void operation_ended(struct server *server, const async_event_t *event)
{
    struct connection *connection = event->context;
    int failed;

    if (event->error != 0 || event->bytes_transferred == 0) {
        end_connection(server, connection);
        return;
    }
    if ((event->event_type & ASYNC_EVENT_READ) != 0) {
        failed = async_runtime_post_write(server->runtime, connection->fd, connection->buffer,
                                          event->bytes_transferred);
        server->served++;
    } else {
        failed = async_runtime_post_read(server->runtime, connection->fd, connection->buffer,
                                         BUFFER_BYTES);
    }
    if (failed != 0)
        end_connection(server, connection);
}

static void tell_first(struct server *server)
{
    if (server->served == server->told)
        return;
    async_runtime_post_completion(server->first->runtime, KEY_SERVED,
                                  server->served - server->told);
    server->told = server->served;
}

/* A thread's loop, until it is told to stop. */
static void *serve(void *context)
{
    struct server *server = context;
    async_event_t events[EVENTS];

    async_runtime_add_timer(server->runtime, 200000, 200000, NULL);
    for (;;) {
        int n = async_runtime_wait(server->runtime, events, EVENTS, -1);

        for (int i = 0; i < n; i++) {
            if ((events[i].event_type & ASYNC_EVENT_TIMER) != 0)
                tell_first(server);
            else if (events[i].fd != ASYNC_INVALID_FD)
                operation_ended(server, &events[i]);
            else if (events[i].completion_key == KEY_CONNECTION)
                start_connection(server, (async_fd_t)events[i].data);
            else if (events[i].completion_key == KEY_STOP)
                return NULL;
        }
    }
}

static void accept_all(struct server *servers, int count, async_fd_t listener, unsigned long *next)
{
    async_fd_t fd;

    while ((fd = net_accept(listener)) != ASYNC_INVALID_FD)
        if (async_runtime_post_completion(servers[1 + (*next)++ % (unsigned)count].runtime,
                                          KEY_CONNECTION, (uintptr_t)fd) != 0)
            net_close(fd);
}

/* The first thread: accepts, counts, prints. */
static void accept_loop(struct server *servers, int count, async_fd_t listener)
{
    async_runtime_t *runtime = servers[0].runtime;
    unsigned long next = 0, served = 0, shown = 0;
    bool stop = false;

    while (!stop) {
        async_event_t events[16];
        int n = async_runtime_wait(runtime, events, 16, -1);

        for (int i = 0; i < n; i++) {
            if ((events[i].event_type & ASYNC_EVENT_SIGNAL) != 0) {
                stop = true;
            } else if ((events[i].event_type & ASYNC_EVENT_COMPLETION) != 0) {
                served += (unsigned long)events[i].data;
            } else if ((events[i].event_type & ASYNC_EVENT_TIMER) != 0) {
                if (served != shown)
                    printf("%lu requests, %lu connections so far\n", served, next);
                fflush(stdout);
                shown = served;
            } else {
                accept_all(servers, count, listener, &next);
            }
        }
    }
}

static bool start_server(struct server *server, struct server *first)
{
    server->first = first;
    server->runtime = async_runtime_init();
    if (server->runtime == NULL)
        return false;
    if (server == first)
        return true;
    server->worker = async_worker_create(serve, server, 0);
    return server->worker != NULL;
}

int main(int argc, char **argv)
{
    static struct server servers[1 + MOST_THREADS];
    async_fd_t listener;
    int threads = 2, port = 4001;

    for (int i = 1; i < argc; i += 2) {
        if (i + 1 < argc && strcmp(argv[i], "-p") == 0)
            port = atoi(argv[i + 1]);
        else if (i + 1 < argc && strcmp(argv[i], "-t") == 0)
            threads = atoi(argv[i + 1]);
        else
            threads = 0;
    }
    if (threads < 1 || threads > MOST_THREADS || port < 0 || port > 65535) {
        fprintf(stderr, "usage: echo [-p PORT] [-t THREADS]\n");
        return 2;
    }
    net_start();
    listener = net_listen("127.0.0.1", (unsigned short)port);
    for (int i = 0; i <= threads; i++) {
        if (listener == ASYNC_INVALID_FD || !start_server(&servers[i], &servers[0])) {
            fprintf(stderr, "echo: cannot start: %s\n", strerror(errno));
            return 1;
        }
    }
    if (async_runtime_add(servers[0].runtime, listener, ASYNC_EVENT_READ, NULL) != 0 ||
        async_runtime_add_signal(servers[0].runtime, SIGINT, NULL) != 0 ||
        async_runtime_add_signal(servers[0].runtime, SIGTERM, NULL) != 0 ||
        async_runtime_add_timer(servers[0].runtime, 1000000, 1000000, NULL) == 0)
        return 1;
    printf("%d threads listen on port %u, backend %s\n", threads, net_port(listener),
           async_runtime_get_backend(servers[0].runtime));
    fflush(stdout);
    accept_loop(servers, threads, listener);
    for (int i = 1; i <= threads; i++) {
        async_runtime_post_completion(servers[i].runtime, KEY_STOP, 0);
        async_worker_join(servers[i].worker, -1);
        printf("thread %d served %lu requests\n", i, servers[i].served);
        async_worker_destroy(servers[i].worker);
        async_runtime_deinit(
            servers[i].runtime); /* connections that are left end with the program */
    }
    async_runtime_deinit(servers[0].runtime);
    net_close(listener);
    return 0;
}

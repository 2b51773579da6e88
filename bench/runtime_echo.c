/* SPDX-License-Identifier: MIT */
/*
 * runtime_echo.c - TCP echo: the server in a process of its own, the client here
 *
 * The client is epoll by hand: each connection sends a request when the answer to the last one has
 * come. The server's processor time is read from outside, by the clock of its process.
 */
#include "echo.h"
#include "runtime.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WARM_NS 50000000u
#define MEASURE_NS 250000000u
#define MOST_SAMPLES 1000000u
#define CONNECTIONS_MAX 1000

void echo_no_delay(int fd)
{
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

int echo_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0)
        echo_no_delay(fd);
    return fd;
}

/* ---- The server, by watches. ---- */

typedef struct connection {
    watch_t watch;
    char buffer[ECHO_BUFFER];
} connection_t;

static void answer(watch_t *watch)
{
    connection_t *connection = (connection_t *)watch;
    loop_t *loop = watch->user;
    ssize_t n = read(watch->fd, connection->buffer, ECHO_BUFFER);

    if (n > 0) {
        n = write(watch->fd, connection->buffer, (size_t)n);
    } else if (n == 0 || errno != EAGAIN) {
        loop->kind->unwatch(loop, watch);
        close(watch->fd);
        free(connection);
    }
}

static void take_connections(watch_t *listener)
{
    loop_t *loop = listener->user;
    int fd;

    while ((fd = echo_accept(listener->fd)) >= 0) {
        connection_t *connection = calloc(1, sizeof(*connection));

        bench_check(connection != NULL, "calloc");
        connection->watch = (watch_t){.fd = fd, .ready = answer, .user = loop};
        loop->kind->watch(loop, &connection->watch, LOOP_READ);
    }
}

static void serve(const loop_kind_t *kind, int listener)
{
    loop_t *loop;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    start_idle_thread();
    loop = kind->open(kind);
    if (loop != NULL && kind->serve != NULL) {
        kind->serve(loop, listener);
    } else if (loop != NULL) {
        watch_t watch = {.fd = listener, .ready = take_connections, .user = loop};

        kind->watch(loop, &watch, LOOP_READ);
        kind->run(loop);
    }
    _exit(1);
}

static int listen_somewhere(struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof(*address);

    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bench_check(fd >= 0 && bind(fd, (struct sockaddr *)address, size) == 0, "bind");
    bench_check(listen(fd, 2048) == 0, "listen");
    bench_check(getsockname(fd, (struct sockaddr *)address, &size) == 0, "getsockname");
    return fd;
}

/* ---- The client. ---- */

typedef struct caller {
    int fd;
    uint64_t sent;
} caller_t;

typedef struct client {
    int set;
    size_t count;
    caller_t callers[CONNECTIONS_MAX];
    double *latency; /* microseconds */
    size_t samples;
    size_t answers;
} client_t;

static void send_request(caller_t *caller)
{
    static const char request[ECHO_REQUEST] = "request";

    caller->sent = bench_now();
    bench_check(write(caller->fd, request, sizeof(request)) == sizeof(request), "write");
}

static void client_open(client_t *client, const struct sockaddr_in *address, size_t count)
{
    client->set = epoll_create1(EPOLL_CLOEXEC);
    client->count = count;
    client->latency = calloc(MOST_SAMPLES, sizeof(*client->latency));
    bench_check(client->set >= 0 && client->latency != NULL, "epoll_create1");
    for (size_t i = 0; i < count; i++) {
        caller_t *caller = &client->callers[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = caller};

        caller->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bench_check(connect(caller->fd, (const struct sockaddr *)address, sizeof(*address)) == 0,
                    "connect");
        echo_no_delay(caller->fd);
        bench_check(epoll_ctl(client->set, EPOLL_CTL_ADD, caller->fd, &event) == 0, "epoll_ctl");
        send_request(caller);
    }
}

static void client_close(client_t *client)
{
    for (size_t i = 0; i < client->count; i++)
        close(client->callers[i].fd);
    close(client->set);
    free(client->latency);
}

static void client_run(client_t *client, uint64_t until)
{
    uint64_t now = bench_now();

    client->samples = client->answers = 0;
    while (now < until) {
        struct epoll_event events[LOOP_EVENTS];
        int n = epoll_wait(client->set, events, LOOP_EVENTS, 1000);

        for (int i = 0; i < n; i++) {
            caller_t *caller = events[i].data.ptr;
            char buffer[ECHO_REQUEST];

            bench_check(read(caller->fd, buffer, sizeof(buffer)) == sizeof(buffer), "read");
            now = bench_now();
            if (client->samples < MOST_SAMPLES)
                client->latency[client->samples++] = (double)(now - caller->sent) / 1e3;
            client->answers++;
            send_request(caller);
        }
        bench_check(n > 0 || (n < 0 && errno == EINTR), "no answer from the server");
    }
}

static uint64_t cpu_of(clockid_t clock)
{
    struct timespec ts = {0, 0};

    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* The columns of an echo row, from a server that listens; ends the server. */
static void call_server(pid_t server, const struct sockaddr_in *address, size_t count,
                        double *values)
{
    static client_t client;
    clockid_t clock;
    uint64_t start, used;

    bench_check(clock_getcpuclockid(server, &clock) == 0, "clock_getcpuclockid");
    client_open(&client, address, count);
    client_run(&client, bench_now() + WARM_NS);
    used = cpu_of(clock);
    start = bench_now();
    client_run(&client, start + MEASURE_NS);
    values[0] = (double)(cpu_of(clock) - used) / (double)client.answers;
    values[1] = (double)client.answers * 1e9 / (double)(bench_now() - start);
    values[2] = quantile(client.latency, client.samples, 0.5);
    values[3] = quantile(client.latency, client.samples, 0.99);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    client_close(&client);
}

bool measure_echo(const row_t *row, const loop_kind_t *kind, double *values)
{
    struct sockaddr_in address;
    pid_t server;
    int listener;

    if ((kind->watch == NULL && kind->serve == NULL) || (row->size > 100 && !kind->many))
        return false;
    listener = listen_somewhere(&address);
    fflush(stdout);
    server = fork();
    bench_check(server >= 0, "fork");
    if (server == 0)
        serve(kind, listener);
    call_server(server, &address, row->size, values);
    close(listener);
    return true;
}

/* ---- Scaling: the example on several threads. ---- */

#define EXAMPLE "examples/echo"
#define MOST_ROUNDS 32

static void run_example(const char *backend, int threads, double *values)
{
    struct sockaddr_in address;
    char port[16], count[16];
    pid_t server;

    close(listen_somewhere(&address)); /* a free port */
    snprintf(port, sizeof(port), "%u", (unsigned)ntohs(address.sin_port));
    snprintf(count, sizeof(count), "%d", threads);
    fflush(stdout);
    server = fork();
    bench_check(server >= 0, "fork");
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setenv("ASYNCRT_BACKEND", backend, 1);
        if (freopen("/dev/null", "w", stdout) != NULL)
            execl(EXAMPLE, EXAMPLE, "-p", port, "-t", count, (char *)NULL);
        _exit(1);
    }
    for (int tries = 0; tries < 200; tries++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int rc = connect(fd, (const struct sockaddr *)&address, sizeof(address));

        close(fd);
        if (rc == 0)
            break;
        usleep(20000);
    }
    call_server(server, &address, 50, values);
}

void scaling(int rounds)
{
    static const char *const backends[] = {"epoll", "io_uring"};
    static double values[2][2][COLUMNS][MOST_ROUNDS];

    if (access(EXAMPLE, X_OK) != 0)
        return;
    for (int round = 0; round < rounds; round++)
        for (int b = 0; b < 2; b++)
            for (int t = 0; t < 2; t++) {
                double once[COLUMNS];

                run_example(backends[b], t + 1, once);
                for (int c = 0; c < COLUMNS; c++)
                    values[b][t][c][round] = once[c];
            }
    printf("\nscaling: examples/echo, 50 connections\n  %-24s%16s%16s%16s%16s%9s\n", "",
           "requests/s", "cpu ns/request", "p50 us", "p99 us", "ratio");
    for (int b = 0; b < 2; b++) {
        double first = 0;

        for (int t = 0; t < 2; t++) {
            double median[COLUMNS];

            for (int c = 0; c < COLUMNS; c++)
                median[c] = bench_median(values[b][t][c], (size_t)rounds);
            first = t == 0 ? median[1] : first;
            printf("  %-10s %d %-11s%16.0f%16.0f%16.1f%16.1f%9.2f\n", backends[b], t + 1,
                   t == 0 ? "thread" : "threads", median[1], median[0], median[2], median[3],
                   median[1] / first);
        }
    }
}

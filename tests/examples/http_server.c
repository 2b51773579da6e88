/* SPDX-License-Identifier: MIT */
/*
 * http_server - the counterpart of examples/rest.c in its test: one loop, answers by the path
 *
 *     /ok  a JSON text;  /slow  after 300 ms;  /never  no answer;  /flaky  503 the first time, then
 * 200 /echo  the request's body;  anything else 404.  Prints its port.  SIGTERM ends it.
 */
#include "../../examples/net.h"

#include <signal.h>
#include <stdlib.h>

struct connection {
    async_fd_t fd;
    uint64_t timer;
    size_t size;
    char in[8192];
};

static async_runtime_t *runtime;
static int flaky;

static void end(struct connection *connection)
{
    async_runtime_cancel_timer(runtime, connection->timer);
    async_runtime_remove(runtime, connection->fd);
    net_close(connection->fd);
    free(connection);
}

static void answer(struct connection *connection, const char *status, const char *body)
{
    char out[9000];
    int n = snprintf(out, sizeof(out),
                     "HTTP/1.1 %s\r\nContent-Length: %u\r\nConnection: close\r\n\r\n%s", status,
                     (unsigned)strlen(body), body);

    net_send(connection->fd, out, (size_t)n);
    end(connection);
}

/* Once the whole request is there. */
static void request(struct connection *connection)
{
    char *body, *length;

    connection->in[connection->size] = '\0';
    body = strstr(connection->in, "\r\n\r\n");
    if (body == NULL)
        return;
    body += 4;
    length = strstr(connection->in, "Content-Length:");
    if (length != NULL && length < body && (size_t)atoi(length + 15) > strlen(body))
        return;
    if (strstr(connection->in, " /ok") != NULL)
        answer(connection, "200 OK", "{\"ok\":true}\n");
    else if (strstr(connection->in, " /echo") != NULL)
        answer(connection, "200 OK", body);
    else if (strstr(connection->in, " /flaky") != NULL)
        answer(connection, flaky++ == 0 ? "503 Busy" : "200 OK", "{\"flaky\":true}\n");
    else if (strstr(connection->in, " /slow") != NULL)
        connection->timer = async_runtime_add_timer(runtime, 300000, 0, connection);
    else if (strstr(connection->in, " /never") == NULL)
        answer(connection, "404 Not Found", "no\n");
}

static void input(struct connection *connection)
{
    int n = net_recv(connection->fd, connection->in + connection->size,
                     sizeof(connection->in) - 1 - connection->size);

    if (n == NET_WAIT)
        return;
    if (n <= 0) {
        end(connection);
        return;
    }
    connection->size += (size_t)n;
    request(connection);
}

int main(void)
{
    async_fd_t listener, fd;
    bool stop = false;

    net_start();
    runtime = async_runtime_init();
    listener = net_listen("127.0.0.1", 0);
    if (runtime == NULL || async_runtime_add(runtime, listener, ASYNC_EVENT_READ, NULL) != 0 ||
        async_runtime_add_signal(runtime, SIGTERM, NULL) != 0)
        return 1;
    printf("port %u\n", net_port(listener));
    fflush(stdout);
    while (!stop) {
        async_event_t event; /* one at a time: a connection may end in its event */

        if (async_runtime_wait(runtime, &event, 1, -1) != 1)
            continue;
        if ((event.event_type & ASYNC_EVENT_SIGNAL) != 0) {
            stop = true;
        } else if ((event.event_type & ASYNC_EVENT_TIMER) != 0) {
            answer(event.context, "200 OK", "{\"slow\":true}\n");
        } else if (event.context != NULL) {
            input(event.context);
        } else {
            while ((fd = net_accept(listener)) != ASYNC_INVALID_FD) {
                struct connection *connection = calloc(1, sizeof(*connection));

                if (connection == NULL ||
                    async_runtime_add(runtime, fd, ASYNC_EVENT_READ, connection) != 0)
                    return 1;
                connection->fd = fd;
            }
        }
    }
    async_runtime_deinit(runtime);
    net_close(listener);
    return 0;
}

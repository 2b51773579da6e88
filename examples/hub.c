/* SPDX-License-Identifier: MIT */
/*
 * hub - a line hub, built as a game server's driver is
 *
 *     hub [-a ADDRESS] [-p PORT] [-i IDLE_SECONDS]
 *
 * One loop thread owns all state.  TCP clients (telnet, nc) talk in lines; a line reaches everyone
 * else in the same room.  The console is one more talker, and gives commands.  What would block
 * runs elsewhere: names in the resolver, commands (/run) in workers, files (/count) in the pool,
 * the output to the terminal in a worker of its own; all of it comes back through queues and
 * completions to the one async_runtime_wait() in main().
 */
#include "hub.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>

enum { EVENTS = 256 };

struct hub hub = {.listener = ASYNC_INVALID_FD};

/* ---- The screen: a worker prints, so that a stopped terminal does not stop the loop. */

static void *print_lines(void *context)
{
    async_queue_t *queue = context;
    char line[LINE_MAX_BYTES + NAME_BYTES];
    size_t size;

    while (async_queue_wait(queue, -1)) {
        while (async_queue_dequeue(queue, line, sizeof(line), &size)) {
            uint64_t lost = async_queue_lost(queue);

            if (lost != 0)
                printf("* %llu lines not shown\n", (unsigned long long)lost);
            fwrite(line, 1, size, stdout);
        }
        fflush(stdout);
    }
    return NULL;
}

void say(const char *format, ...)
{
    char line[LINE_MAX_BYTES + NAME_BYTES];
    va_list list;
    int n;

    va_start(list, format);
    n = vsnprintf(line, sizeof(line), format, list);
    va_end(list);
    if (n >= (int)sizeof(line)) {
        n = (int)sizeof(line) - 1;
        line[n - 1] = '\n';
    }
    if (n > 0)
        async_queue_enqueue(hub.screen, line, (size_t)n);
}

/* ---- The loop. */

static void console_lines(void)
{
    char line[LINE_MAX_BYTES];
    size_t size;

    while (async_queue_dequeue(hub.console_lines, line, sizeof(line), &size)) {
        line[strcspn(line, "\n")] = '\0';
        handle_line(&hub.talker, line);
    }
}

static void completion(const async_event_t *event)
{
    switch ((enum key)event->completion_key) {
    case KEY_CONSOLE:
        console_lines();
        break;
    case KEY_RESOLVER:
        show_names();
        break;
    case KEY_OUTPUT:
        show_output();
        break;
    case KEY_RUN_ENDED:
        end_run(event->context);
        break;
    case KEY_COUNTED:
        end_count(event);
        break;
    }
}

static void loop(void)
{
    static async_event_t events[EVENTS];

    while (!hub.quit) {
        int n = async_runtime_wait(hub.runtime, events, EVENTS, -1);

        for (int i = 0; i < n; i++) {
            const async_event_t *event = &events[i];

            if ((event->event_type & ASYNC_EVENT_COMPLETION) != 0)
                completion(event);
            else if ((event->event_type & ASYNC_EVENT_SIGNAL) != 0)
                hub.quit = true;
            else if (event->fd == hub.listener && (event->event_type & ASYNC_EVENT_READ) != 0)
                accept_clients();
            else if ((event->event_type & ASYNC_EVENT_TIMER) != 0)
                check_idle(event->context);
            else if (event->fd != hub.listener)
                client_event(event->context, event->event_type);
        }
        flush_dirty();
        free_gone();
    }
}

/* ---- The beginning and the end. */

static bool start(const char *address, unsigned short port)
{
    hub.runtime = async_runtime_init();
    hub.screen = async_queue_create(4096, LINE_MAX_BYTES + NAME_BYTES,
                                    ASYNC_QUEUE_DROP_OLDEST | ASYNC_QUEUE_SIGNAL_ON_DATA);
    hub.console_lines = async_queue_create(64, LINE_MAX_BYTES, ASYNC_QUEUE_BLOCK_WRITER);
    hub.output = async_queue_create(64, LINE_MAX_BYTES, ASYNC_QUEUE_BLOCK_WRITER);
    if (hub.runtime == NULL || hub.screen == NULL || hub.console_lines == NULL ||
        hub.output == NULL || async_runtime_bind_queue(hub.runtime, hub.output, KEY_OUTPUT) != 0)
        return false;
    hub.printer = async_worker_create(print_lines, hub.screen, 0);
    hub.pool = async_pool_create(hub.runtime, NULL);
    hub.resolver = async_resolver_create(hub.runtime, KEY_RESOLVER, NULL);
    hub.listener = net_listen(address, port);
    if (hub.printer == NULL || hub.pool == NULL || hub.resolver == NULL ||
        hub.listener == ASYNC_INVALID_FD ||
        async_runtime_add(hub.runtime, hub.listener, ASYNC_EVENT_READ, NULL) != 0 ||
        async_runtime_add_signal(hub.runtime, SIGINT, NULL) != 0 ||
        async_runtime_add_signal(hub.runtime, SIGTERM, NULL) != 0)
        return false;
    hub.talker.fd = ASYNC_INVALID_FD;
    snprintf(hub.talker.name, sizeof(hub.talker.name), "console");
    if (!join_room(&hub.talker, "lobby"))
        return false;
    say("* listening on %s port %u\n", address, net_port(hub.listener));
    hub.console = async_console_create(hub.runtime, hub.console_lines, KEY_CONSOLE);
    return hub.console != NULL;
}

static void stop(void)
{
    bool ended;

    async_console_destroy(hub.console);
    while (hub.rooms != NULL) {
        struct client *client = hub.rooms->members;

        if (client == &hub.talker) {
            leave_room(client);
            continue;
        }
        deliver(client, "* the hub closes\n", 17);
        flush(client);
        drop_client(client, "the hub closes");
    }
    free_gone();
    ended = stop_runs();
    async_resolver_destroy(hub.resolver);
    async_pool_destroy(hub.pool);
    if (hub.listener != ASYNC_INVALID_FD)
        net_close(hub.listener);
    show_stats();
    async_runtime_deinit(hub.runtime);
    say("* good bye\n");
    async_queue_close(hub.screen);
    async_worker_join(hub.printer, -1);
    async_worker_destroy(hub.printer);
    async_queue_destroy(hub.screen);
    async_queue_destroy(hub.console_lines);
    if (ended)
        async_queue_destroy(hub.output);
}

static long number(const char *text, long least, long most)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (*text == '\0' || *end != '\0' || value < least || value > most)
        return -1;
    return value;
}

int main(int argc, char **argv)
{
    const char *address = "127.0.0.1";
    long port = 4000, idle = 600;

    for (int i = 1; i < argc; i += 2) {
        bool more = i + 1 < argc;

        if (more && strcmp(argv[i], "-a") == 0)
            address = argv[i + 1];
        else if (more && strcmp(argv[i], "-p") == 0)
            port = number(argv[i + 1], 0, 65535);
        else if (more && strcmp(argv[i], "-i") == 0)
            idle = number(argv[i + 1], 0, 86400);
        else
            port = -1;
        if (port < 0 || idle < 0) {
            fprintf(stderr, "usage: hub [-a ADDRESS] [-p PORT] [-i IDLE_SECONDS]\n");
            return 2;
        }
    }
    hub.idle_seconds = (int)idle;
    if (net_start() != 0 || !start(address, (unsigned short)port)) {
        fprintf(stderr, "hub: cannot start on %s port %ld: %s\n", address, port, strerror(errno));
        return 1;
    }
    loop();
    stop();
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * hub_load - many clients of the hub in one loop: counts what arrives
 *
 *     hub_load PORT [CLIENTS [ROOMS [LINES]]]
 *
 * CLIENTS clients in ROOMS rooms send LINES lines in all.  Each line must arrive exactly once at
 * everyone else in its room, in the order of its sender.  Ends with status 0 if it was so.
 */
#include "net.h"

#include <errno.h>
#include <stdlib.h>

enum { IN_BYTES = 4096, OUT_BYTES = 1024, WINDOW = 100, QUIET_SECONDS = 60, EVENTS = 256 };

enum state { CONNECTING, JOINING, TALKING };

struct client {
    async_fd_t fd;
    int number;
    enum state state;
    bool writing;
    long sent;      /* lines */
    long *expected; /* of each client of the room: its next line */
    size_t in_size, out_size;
    char in[IN_BYTES], out[OUT_BYTES];
};

struct room {
    int members;
    long to_arrive; /* deliveries that are under way */
};

static struct load {
    async_runtime_t *runtime;
    struct client *clients;
    struct room *rooms;
    int client_count, room_count, talking;
    long lines, sent, arrived, to_arrive, faults;
} load;

static void fault(const struct client *client, const char *what, const char *line)
{
    if (load.faults++ < 10)
        fprintf(stderr, "hub_load: client %d: %s: %s\n", client->number, what, line);
}

static void flush(struct client *client)
{
    int n = client->out_size > 0 ? net_send(client->fd, client->out, client->out_size) : 0;

    if (n == NET_FAILED) {
        fault(client, "cannot send", "");
        client->out_size = 0;
    } else if (n > 0) {
        client->out_size -= (size_t)n;
        memmove(client->out, client->out + n, client->out_size);
    }
    if (client->writing != (client->out_size > 0)) {
        client->writing = client->out_size > 0;
        async_runtime_modify(load.runtime, client->fd,
                             ASYNC_EVENT_READ | (client->writing ? ASYNC_EVENT_WRITE : 0u), client);
    }
}

/* As many lines as are its share and as the room's window takes. */
static void talk(struct client *client)
{
    struct room *room = &load.rooms[client->number % load.room_count];
    long share =
        load.lines / load.client_count + (client->number < load.lines % load.client_count ? 1 : 0);

    while (client->sent < share && client->out_size + 64 < sizeof(client->out) &&
           room->to_arrive < (long)WINDOW * (room->members - 1)) {
        client->out_size += (size_t)snprintf(client->out + client->out_size, 64, "line %d %ld\n",
                                             client->number, client->sent++);
        load.sent++;
        room->to_arrive += room->members - 1;
    }
    flush(client);
}

static void talk_all(int room)
{
    for (int i = room; i < load.client_count; i += load.room_count)
        talk(&load.clients[i]);
}

static void take_line(struct client *client, char *line)
{
    int room_number = client->number % load.room_count, sender;
    struct room *room = &load.rooms[room_number];
    const char *text = strstr(line, ": ");
    long number;

    if (client->state == JOINING && strncmp(line, "* you are in ", 13) == 0) {
        client->state = TALKING;
        if (++load.talking == load.client_count)
            for (int i = 0; i < load.room_count; i++)
                talk_all(i);
        return;
    }
    if (line[0] == '*') {
        if (strstr(line, "lost") != NULL)
            fault(client, "lines lost", line);
        return;
    }
    if (text == NULL || sscanf(text + 2, "line %d %ld", &sender, &number) != 2 || sender < 0 ||
        sender >= load.client_count || sender % load.room_count != room_number ||
        sender == client->number) {
        fault(client, "a foreign line", line);
        return;
    }
    if (client->expected[sender / load.room_count] != number)
        fault(client, "out of order, lost or doubled", line);
    client->expected[sender / load.room_count] = number + 1;
    load.arrived++;
    if (--room->to_arrive == (long)WINDOW * (room->members - 1) / 2 || room->to_arrive == 0)
        talk_all(room_number);
}

static void read_lines(struct client *client)
{
    int n;

    while ((n = net_recv(client->fd, client->in + client->in_size,
                         sizeof(client->in) - client->in_size)) > 0) {
        char *start = client->in, *end = client->in + client->in_size + (size_t)n, *newline;

        while ((newline = memchr(start, '\n', (size_t)(end - start))) != NULL) {
            *newline = '\0';
            take_line(client, start);
            start = newline + 1;
        }
        client->in_size = (size_t)(end - start);
        memmove(client->in, start, client->in_size);
    }
    if (n != NET_WAIT) {
        fault(client, "the hub has hung up", "");
        async_runtime_remove(load.runtime, client->fd);
    }
}

static void client_event(struct client *client, uint32_t type)
{
    if (client->state == CONNECTING && (type & ASYNC_EVENT_WRITE) != 0) {
        client->state = JOINING;
        client->writing = true;
        client->out_size = (size_t)snprintf(client->out, sizeof(client->out), "/join room%d\n",
                                            client->number % load.room_count);
    }
    if ((type & ASYNC_EVENT_READ) != 0)
        read_lines(client);
    if ((type & ASYNC_EVENT_WRITE) != 0)
        flush(client);
}

static bool connect_all(unsigned short port)
{
    for (int i = 0; i < load.client_count; i++) {
        struct client *client = &load.clients[i];
        struct room *room = &load.rooms[i % load.room_count];

        client->number = i;
        client->expected = calloc((size_t)(load.client_count / load.room_count + 1), sizeof(long));
        client->fd = net_connect("127.0.0.1", port);
        if (client->expected == NULL || client->fd == ASYNC_INVALID_FD ||
            async_runtime_add(load.runtime, client->fd, ASYNC_EVENT_READ | ASYNC_EVENT_WRITE,
                              client) != 0) {
            fprintf(stderr, "hub_load: client %d: %s\n", i, strerror(errno));
            return false;
        }
        client->writing = true;
        room->members++;
    }
    for (int i = 0; i < load.client_count; i++) {
        long share = load.lines / load.client_count + (i < load.lines % load.client_count ? 1 : 0);

        load.to_arrive += share * (load.rooms[i % load.room_count].members - 1);
    }
    return true;
}

/* Until everything has arrived and been looked at, or nothing has come for a long time. */
static void run(void)
{
    static async_event_t events[EVENTS];
    long seen = -1;
    uint64_t timer = async_runtime_add_timer(load.runtime, QUIET_SECONDS * 1000000ull,
                                             QUIET_SECONDS * 1000000ull, NULL);

    while (load.faults == 0 &&
           (load.talking < load.client_count || load.arrived < load.to_arrive)) {
        int n = async_runtime_wait(load.runtime, events, EVENTS, -1);

        for (int i = 0; i < n; i++) {
            if ((events[i].event_type & ASYNC_EVENT_TIMER) == 0) {
                client_event(events[i].context, events[i].event_type);
            } else if (seen == load.arrived) {
                fprintf(stderr, "hub_load: nothing has come for %d seconds\n", QUIET_SECONDS);
                load.faults++;
            } else {
                seen = load.arrived;
            }
        }
    }
    async_runtime_cancel_timer(load.runtime, timer);
}

/* Whatever comes after the last one would be a double. */
static void look_for_more(void)
{
    static async_event_t events[EVENTS];
    int n;

    while ((n = async_runtime_wait(load.runtime, events, EVENTS, 200)) > 0)
        for (int i = 0; i < n; i++)
            client_event(events[i].context, events[i].event_type);
}

int main(int argc, char **argv)
{
    unsigned short port = (unsigned short)(argc > 1 ? atoi(argv[1]) : 0);

    load.client_count = argc > 2 ? atoi(argv[2]) : 500;
    load.room_count = argc > 3 ? atoi(argv[3]) : 50;
    load.lines = argc > 4 ? atol(argv[4]) : 100000;
    if (port == 0 || load.client_count < 1 || load.room_count < 1 || load.lines < 0) {
        fprintf(stderr, "usage: hub_load PORT [CLIENTS [ROOMS [LINES]]]\n");
        return 2;
    }
    load.runtime = async_runtime_init();
    load.clients = calloc((size_t)load.client_count, sizeof(*load.clients));
    load.rooms = calloc((size_t)load.room_count, sizeof(*load.rooms));
    if (net_start() != 0 || load.runtime == NULL || load.clients == NULL || load.rooms == NULL ||
        !connect_all(port))
        return 1;
    run();
    look_for_more();
    printf("hub_load: %d clients in %d rooms sent %ld lines; %ld of %ld deliveries arrived, %ld "
           "faults\n",
           load.client_count, load.room_count, load.sent, load.arrived, load.to_arrive,
           load.faults);
    for (int i = 0; i < load.client_count; i++) {
        net_close(load.clients[i].fd);
        free(load.clients[i].expected);
    }
    async_runtime_deinit(load.runtime);
    free(load.clients);
    free(load.rooms);
    return load.faults == 0 && load.arrived == load.to_arrive ? 0 : 1;
}

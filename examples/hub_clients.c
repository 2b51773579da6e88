/* SPDX-License-Identifier: MIT */
/*
 * hub_clients.c - clients, their rooms, and the lines that go between them
 */
#include "hub.h"

#include <stdarg.h>
#include <stdlib.h>

/* ---- Clients' output. */

static void mark_dirty(struct client *client)
{
    if (client->dirty)
        return;
    client->dirty = true;
    client->next_dirty = hub.dirty;
    hub.dirty = client;
}

/* Moves lines from the queue into the send buffer; a loss is told where it happened. */
static void fill_pending(struct client *client)
{
    client->pending_size = client->pending_sent = 0;
    while (client->pending_size + LINE_MAX_BYTES + 2 * NAME_BYTES <= sizeof(client->pending)) {
        char *at = client->pending + client->pending_size;
        size_t size;
        const char *line = async_queue_peek(client->out, &size);

        if (line == NULL)
            break;
        async_queue_release(client->out);
        if (async_queue_lost(client->out) != 0) {
            int n = snprintf(at, NAME_BYTES, "* %llu lines lost\n",
                             (unsigned long long)async_queue_lost(client->out));

            hub.lines_lost += async_queue_lost(client->out);
            at += n;
            client->pending_size += (size_t)n;
        }
        memcpy(at, line, size);
        client->pending_size += size;
        hub.lines_out++;
    }
}

/* Sends what there is; false: the connection is gone. */
bool flush(struct client *client)
{
    for (;;) {
        int n;

        if (client->pending_sent == client->pending_size)
            fill_pending(client);
        if (client->pending_size == 0)
            break;
        n = net_send(client->fd, client->pending + client->pending_sent,
                     client->pending_size - client->pending_sent);
        if (n == NET_FAILED)
            return false;
        if (n == NET_WAIT)
            break;
        client->pending_sent += (size_t)n;
    }
    if (client->writing != (client->pending_size != 0)) {
        client->writing = client->pending_size != 0;
        async_runtime_modify(hub.runtime, client->fd,
                             ASYNC_EVENT_READ | (client->writing ? ASYNC_EVENT_WRITE : 0u), client);
    }
    return true;
}

void deliver(struct client *client, const char *line, size_t size)
{
    if (client->fd == ASYNC_INVALID_FD) {
        async_queue_enqueue(hub.screen, line, size);
        return;
    }
    async_queue_enqueue(client->out, line, size);
    mark_dirty(client);
    /* a client whose socket takes it must not lose lines because the loop is busy */
    if (!client->writing && async_queue_is_full(client->out))
        client->leaving |= !flush(client);
}

void tell(struct client *client, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
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
        deliver(client, line, (size_t)n);
}

/* ---- Rooms. */

static struct room *room_named(const char *name)
{
    struct room *room;

    for (room = hub.rooms; room != NULL; room = room->next)
        if (strcmp(room->name, name) == 0)
            return room;
    room = calloc(1, sizeof(*room));
    if (room == NULL)
        return NULL;
    snprintf(room->name, sizeof(room->name), "%s", name);
    room->next = hub.rooms;
    hub.rooms = room;
    return room;
}

void leave_room(struct client *client)
{
    struct room **at, *room = client->room;

    if (room == NULL)
        return;
    if (client->previous != NULL)
        client->previous->next = client->next;
    else
        room->members = client->next;
    if (client->next != NULL)
        client->next->previous = client->previous;
    client->room = NULL;
    client->previous = client->next = NULL;
    if (room->members != NULL)
        return;
    for (at = &hub.rooms; *at != room; at = &(*at)->next)
        continue;
    *at = room->next;
    free(room);
}

bool join_room(struct client *client, const char *name)
{
    char cut[NAME_BYTES];
    struct room *room;

    snprintf(cut, sizeof(cut), "%.*s", NAME_BYTES - 1, name);
    leave_room(client);
    room = room_named(cut);
    if (room == NULL)
        return false;
    client->room = room;
    client->next = room->members;
    if (room->members != NULL)
        room->members->previous = client;
    room->members = client;
    return true;
}

void broadcast(struct client *from, const char *text)
{
    char line[LINE_MAX_BYTES + NAME_BYTES];
    int size = snprintf(line, sizeof(line), "%s: %s\n", from->name, text);
    struct client *to;

    hub.lines_in++;
    if (from->room == NULL || size <= 0)
        return;
    for (to = from->room->members; to != NULL; to = to->next)
        if (to != from)
            deliver(to, line, (size_t)size);
}

/* ---- Clients come and go. */

/* Its memory stays until the end of the round: a timer event of it may be in the same array. */
void drop_client(struct client *client, const char *why)
{
    struct client **at;

    if (client->gone)
        return;
    say("- %s left (%s)\n", client->name, why);
    leave_room(client);
    for (at = &hub.dirty; *at != NULL && *at != client; at = &(*at)->next_dirty)
        continue;
    if (*at != NULL)
        *at = client->next_dirty;
    async_runtime_cancel_timer(hub.runtime, client->idle_timer);
    async_runtime_remove(hub.runtime, client->fd);
    net_close(client->fd);
    hub.clients--;
    client->gone = true;
    client->next_gone = hub.gone;
    hub.gone = client;
}

void free_gone(void)
{
    while (hub.gone != NULL) {
        struct client *client = hub.gone;

        hub.gone = client->next_gone;
        async_queue_destroy(client->out);
        free(client);
    }
}

void accept_clients(void)
{
    async_fd_t fd;

    while ((fd = net_accept(hub.listener)) != ASYNC_INVALID_FD) {
        struct client *client = calloc(1, sizeof(*client));

        if (client != NULL)
            client->out =
                async_queue_create(OUT_LINES, LINE_MAX_BYTES + NAME_BYTES, ASYNC_QUEUE_DROP_OLDEST);
        if (client == NULL || client->out == NULL || !join_room(client, "lobby") ||
            async_runtime_add(hub.runtime, fd, ASYNC_EVENT_READ, client) != 0) {
            say("* a client is turned away: %s\n", strerror(async_last_error()));
            if (client != NULL) {
                leave_room(client);
                async_queue_destroy(client->out);
            }
            free(client);
            net_close(fd);
            continue;
        }
        client->fd = fd;
        snprintf(client->name, sizeof(client->name), "guest%u", ++hub.guests);
        client->last_active = time(NULL);
        if (hub.idle_seconds > 0)
            client->idle_timer = async_runtime_add_timer(
                hub.runtime, (uint64_t)hub.idle_seconds * 1000000, 0, client);
        hub.clients++;
        tell(client, "* welcome, %s; /join ROOM, /nick NAME, /who, /quit\n", client->name);
    }
}

/* A timer for each client, looked at when it expires and not moved with every line. */
void check_idle(struct client *client)
{
    time_t idle = time(NULL) - client->last_active;

    if (client->gone)
        return;
    if (idle >= hub.idle_seconds) {
        tell(client, "* idle for %d seconds, good bye\n", hub.idle_seconds);
        flush(client);
        drop_client(client, "idle");
        return;
    }
    client->idle_timer = async_runtime_add_timer(
        hub.runtime, (uint64_t)(hub.idle_seconds - idle) * 1000000, 0, client);
}

/* Takes the whole lines out of the client's buffer. */
static void split_lines(struct client *client)
{
    char *start = client->in, *end = client->in + client->in_size, *newline;

    while (!client->leaving && (newline = memchr(start, '\n', (size_t)(end - start))) != NULL) {
        char *stop = newline > start && newline[-1] == '\r' ? newline - 1 : newline;

        *stop = '\0';
        handle_line(client, start);
        start = newline + 1;
    }
    client->in_size = (size_t)(end - start);
    memmove(client->in, start, client->in_size);
    if (client->in_size == sizeof(client->in)) {
        tell(client, "* a line has at most %d bytes\n", LINE_MAX_BYTES - 1);
        client->in_size = 0;
    }
}

void client_event(struct client *client, uint32_t type)
{
    if (client->gone)
        return;
    /* a bounded share for each client in each round; level-triggered, so the rest is not lost */
    for (int round = 0; (type & ASYNC_EVENT_READ) != 0 && round < 8 && !client->leaving; round++) {
        int n = net_recv(client->fd, client->in + client->in_size,
                         sizeof(client->in) - client->in_size);

        if (n == NET_WAIT)
            break;
        if (n <= 0) {
            flush(client);
            drop_client(client, n == NET_END ? "end of file" : "error");
            return;
        }
        client->last_active = time(NULL);
        client->in_size += (size_t)n;
        split_lines(client);
    }
    if ((type & ASYNC_EVENT_ERROR) != 0)
        client->leaving = true;
    mark_dirty(client);
}

/* Everything that this round wants to send, one send for each client. */
void flush_dirty(void)
{
    while (hub.dirty != NULL) {
        struct client *client = hub.dirty;

        hub.dirty = client->next_dirty;
        client->dirty = false;
        if (!flush(client))
            drop_client(client, "error");
        else if (client->leaving)
            drop_client(client, "quit");
    }
}

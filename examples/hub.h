/* SPDX-License-Identifier: MIT */
/*
 * hub.h - the hub's state, and what its three files offer each other
 */
#ifndef EXAMPLES_HUB_H
#define EXAMPLES_HUB_H

#include "net.h"

#include <time.h>

enum {
    LINE_MAX_BYTES = 512, /* of a line, its newline included */
    OUT_LINES = 256,      /* lines that may wait for a slow client; then the oldest is dropped */
    OUT_BYTES = 8192,     /* taken from that queue for one send */
    NAME_BYTES = 32
};

/* What a completion is about. */
enum key { KEY_CONSOLE = 1, KEY_RESOLVER, KEY_OUTPUT, KEY_RUN_ENDED, KEY_COUNTED };

struct room {
    char name[NAME_BYTES];
    struct client *members;
    struct room *next;
};

struct client {
    async_fd_t fd; /* ASYNC_INVALID_FD: the console */
    char name[NAME_BYTES];
    struct room *room;
    struct client *previous, *next; /* in its room */
    struct client *next_dirty;      /* clients with something to send */
    struct client *next_gone;       /* clients to be freed when the round's events are handled */
    bool dirty, writing, leaving, gone;
    uint64_t idle_timer;
    time_t last_active;
    async_queue_t *out; /* DROP_OLDEST: a slow client is bounded, and told what it lost */
    size_t in_size, pending_size, pending_sent;
    char in[LINE_MAX_BYTES];
    char pending[OUT_BYTES];
};

struct run {
    struct run *next;
    async_worker_t *worker;
    async_queue_t *output;
    int number;
    char command[LINE_MAX_BYTES];
};

struct count {
    char file[LINE_MAX_BYTES];
    unsigned long lines;
};

/* The program's state: touched by the loop thread only. */
extern struct hub {
    async_runtime_t *runtime;
    async_pool_t *pool;
    async_resolver_t *resolver;
    async_console_t *console;
    async_queue_t *console_lines; /* from the console's reader */
    async_queue_t *screen;        /* to the worker that prints */
    async_queue_t *output;        /* from the commands that run */
    async_worker_t *printer;
    async_fd_t listener;
    struct room *rooms;
    struct client talker; /* the console as a talker */
    struct client *dirty, *gone;
    struct run *runs;
    int clients, runs_started, idle_seconds;
    unsigned guests;
    uint64_t lines_in, lines_out, lines_lost;
    bool quit;
} hub;

#ifdef __GNUC__
#define HUB_FORMAT(n) __attribute__((format(printf, n, n + 1)))
#else
#define HUB_FORMAT(n)
#endif

/* hub.c */
void say(const char *format, ...) HUB_FORMAT(1); /* to the console */

/* hub_clients.c: clients, rooms, lines */
void accept_clients(void);
void client_event(struct client *client, uint32_t type);
void check_idle(struct client *client);
void drop_client(struct client *client, const char *why);
void free_gone(void);   /* at the end of each round */
void flush_dirty(void); /* everything that this round wants to send, one send for each client */
bool flush(struct client *client); /* false: the connection is gone */
void deliver(struct client *client, const char *line, size_t size);
void tell(struct client *client, const char *format, ...) HUB_FORMAT(2);
bool join_room(struct client *client, const char *name);
void leave_room(struct client *client);
void broadcast(struct client *from, const char *text);

/* hub_commands.c: what lines ask for; names, commands and files are worked on elsewhere */
void handle_line(struct client *client, const char *line);
void show_stats(void);
void show_output(void);
void show_names(void);
void end_run(const async_worker_t *worker);
void end_count(const async_event_t *event);
bool stop_runs(void); /* true if every command has ended, so that what they use can be freed */

#endif /* EXAMPLES_HUB_H */

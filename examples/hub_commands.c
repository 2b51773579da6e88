/* SPDX-License-Identifier: MIT */
/*
 * hub_commands.c - what a line asks for; what takes time is only started here
 */
#include "hub.h"

#include <ctype.h>
#include <stdlib.h>

/* ---- Commands.  Those that take time only start something here. */

static void who(struct client *client)
{
    const struct room *room;

    for (room = hub.rooms; room != NULL; room = room->next) {
        const struct client *member;
        int count = 0;

        for (member = room->members; member != NULL; member = member->next)
            count++;
        tell(client, "* %s: %d here%s\n", room->name, count,
             room == client->room ? ", you too" : "");
    }
}

void show_stats(void)
{
    async_runtime_stats_t stats;

    async_runtime_get_stats(hub.runtime, &stats);
    say("* %d clients, %llu lines in, %llu out, %llu lost\n", hub.clients,
        (unsigned long long)hub.lines_in, (unsigned long long)hub.lines_out,
        (unsigned long long)hub.lines_lost);
    say("* runtime %s: %u descriptors, %u timers, %llu waits, %llu I/O events, "
        "%llu completions, %llu wake-ups\n",
        async_runtime_get_backend(hub.runtime), (unsigned)stats.registered, (unsigned)stats.timers,
        (unsigned long long)stats.waits, (unsigned long long)stats.io_events,
        (unsigned long long)stats.completions_delivered, (unsigned long long)stats.wakeups_sent);
}

/* A worker: runs the command and streams its output; a full queue makes it wait. */
static void *run_command(void *context)
{
    struct run *run = context;
    char line[LINE_MAX_BYTES];
    FILE *pipe = popen(run->command, "r");
    int n = snprintf(line, sizeof(line), "[%d] ", run->number);

    if (pipe == NULL)
        return (void *)(intptr_t)-1;
    while (!async_worker_should_stop(NULL) && fgets(line + n, (int)sizeof(line) - n, pipe) != NULL)
        if (!async_queue_enqueue(run->output, line, strlen(line)))
            break;
    return (void *)(intptr_t)pclose(pipe);
}

static void start_run(const char *command)
{
    async_worker_options_t options = ASYNC_WORKER_OPTIONS_INIT;
    struct run *run = calloc(1, sizeof(*run));

    if (run == NULL)
        return;
    snprintf(run->command, sizeof(run->command), "%s", command);
    run->number = ++hub.runs_started;
    run->output = hub.output;
    options.name = "hub-run";
    options.runtime = hub.runtime;
    options.completion_key = KEY_RUN_ENDED;
    run->worker = async_worker_create_with(run_command, run, &options);
    if (run->worker == NULL) {
        say("* cannot run it: %s\n", strerror(async_last_error()));
        free(run);
        return;
    }
    run->next = hub.runs;
    hub.runs = run;
    say("* [%d] started: %s\n", run->number, command);
}

void show_output(void)
{
    const char *text;
    size_t size;

    while ((text = async_queue_peek(hub.output, &size)) != NULL) {
        async_queue_enqueue(hub.screen, text, size);
        async_queue_release(hub.output);
    }
}

void end_run(const async_worker_t *worker)
{
    struct run **at, *run;

    show_output();
    for (at = &hub.runs; *at != NULL && (*at)->worker != worker; at = &(*at)->next)
        continue;
    run = *at;
    if (run == NULL)
        return;
    say("* [%d] ended, status %d\n", run->number, (int)(intptr_t)async_worker_get_result(worker));
    *at = run->next;
    async_worker_join(run->worker, -1);
    async_worker_destroy(run->worker);
    free(run);
}

/* A pool job: counts the lines of a file. */
static void *count_lines(void *arg)
{
    struct count *count = arg;
    FILE *file = fopen(count->file, "r");
    int c;

    if (file == NULL)
        return (void *)(intptr_t)-1;
    while ((c = getc(file)) != EOF)
        count->lines += c == '\n';
    fclose(file);
    return NULL;
}

static void start_count(const char *file)
{
    struct count *count = calloc(1, sizeof(*count));

    if (count == NULL)
        return;
    snprintf(count->file, sizeof(count->file), "%s", file);
    if (async_pool_submit(hub.pool, count_lines, count, KEY_COUNTED) == 0)
        free(count);
}

void end_count(const async_event_t *event)
{
    struct count *count = event->context;

    if (event->error == 0 && event->data == 0)
        say("* %s has %lu lines\n", count->file, count->lines);
    else
        say("* %s cannot be read\n", count->file);
    free(count);
}

void show_names(void)
{
    async_resolver_result_t *result;

    while ((result = async_resolver_next(hub.resolver)) != NULL) {
        const struct addrinfo *at;
        char text[64];

        if (result->status != 0)
            say("* %s: %s\n", result->host, gai_strerror(result->status));
        for (at = result->addresses; at != NULL; at = at->ai_next)
            if (getnameinfo(at->ai_addr, (socklen_t)at->ai_addrlen, text, sizeof(text), NULL, 0,
                            NI_NUMERICHOST) == 0)
                say("* %s is %s\n", result->host, text);
        async_resolver_free_result(result);
    }
}

static bool is_command(const char *line, const char *name, const char **argument)
{
    size_t length = strlen(name);

    if (strncmp(line, name, length) != 0 || (line[length] != '\0' && line[length] != ' '))
        return false;
    *argument = line + length + strspn(line + length, " ");
    return true;
}

/* The console's own commands; true if it was one. */
static bool console_command(const char *line)
{
    const char *argument;

    if (is_command(line, "/quit", &argument)) {
        hub.quit = true;
    } else if (is_command(line, "/stats", &argument)) {
        show_stats();
    } else if (is_command(line, "/run", &argument) && *argument != '\0') {
        start_run(argument);
    } else if (is_command(line, "/count", &argument) && *argument != '\0') {
        start_count(argument);
    } else if (is_command(line, "/resolve", &argument) && *argument != '\0') {
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM};

        if (async_resolver_lookup(hub.resolver, argument, NULL, &hints, NULL) == 0)
            say("* cannot resolve it: %s\n", strerror(async_last_error()));
    } else {
        return false;
    }
    return true;
}

/* One line of a client or of the console, without its newline. */
void handle_line(struct client *client, const char *line)
{
    const char *argument;

    if (line[0] != '/') {
        broadcast(client, line);
    } else if (is_command(line, "/join", &argument) && *argument != '\0') {
        if (join_room(client, argument))
            tell(client, "* you are in %s\n", client->room->name);
    } else if (is_command(line, "/nick", &argument) && isalnum((unsigned char)*argument)) {
        snprintf(client->name, sizeof(client->name), "%.*s", NAME_BYTES - 1, argument);
        tell(client, "* you are %s\n", client->name);
    } else if (is_command(line, "/who", &argument)) {
        who(client);
    } else if (client == &hub.talker && console_command(line)) {
        return;
    } else if (client != &hub.talker && is_command(line, "/quit", &argument)) {
        client->leaving = true;
    } else {
        tell(client, "* unknown: %s\n", line);
    }
}

bool stop_runs(void)
{
    bool all = true;

    async_queue_close(hub.output);
    while (hub.runs != NULL) {
        struct run *run = hub.runs;

        hub.runs = run->next;
        async_worker_signal_stop(run->worker);
        if (async_worker_join(run->worker, 500)) {
            async_worker_destroy(run->worker);
            free(run);
        } else {
            say("* [%d] does not end and is left behind\n", run->number);
            async_worker_destroy(run->worker);
            all = false;
        }
    }
    return all;
}

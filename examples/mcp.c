/* SPDX-License-Identifier: MIT */
/*
 * mcp - a Model Context Protocol server: JSON-RPC 2.0, one message a line, on standard input and
 * output
 *
 * Two tools: `resolve` looks a host name up (async_resolver); `slow_job` counts steps in a worker,
 * with progress notifications and cancellation.  The loop thread parses and answers; standard input
 * is read by async_console, standard output is written by a worker of its own, so neither can block
 * the loop. Requests are taken only while there is room for their answers: no answer is ever
 * dropped.
 */
#include <asyncrt.h>

#include <cjson/cJSON.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    IN_BYTES = 16384,  /* of a request, its newline included */
    OUT_BYTES = 32768, /* of an answer */
    OUT_LINES = 128,
    MOST_REQUESTS = 32, /* under way */
    GRACE_US = 5000000  /* for what is under way at the end of input */
};

enum { KEY_LINES = 1, KEY_NAMES, KEY_PROGRESS, KEY_JOB_ENDED, KEY_WRITTEN };

enum { PARSE_ERROR = -32700, INVALID_REQUEST = -32600, NO_METHOD = -32601, BAD_PARAMS = -32602 };

/* A tool call under way.  The worker reads steps and step_ms only. */
struct call {
    struct call *next;
    cJSON *id;
    cJSON *token; /* of the progress notifications, NULL: none are wanted */
    uint64_t lookup;
    async_worker_t *worker;
    bool cancelled;
    int steps, step_ms;
};

struct progress {
    struct call *call;
    int step;
};

static struct mcp {
    async_runtime_t *runtime;
    async_resolver_t *resolver;
    async_console_t *console;
    async_queue_t *lines, *out, *progress;
    async_worker_t *writer;
    struct call *calls;
    int under_way;
    unsigned answered;
    bool skipping, no_more, stop;
} mcp;

/* ---- Out. */

static void *write_lines(void *context)
{
    async_queue_t *queue = context;
    const void *line;
    size_t size;

    while (async_queue_wait(queue, -1)) {
        while ((line = async_queue_peek(queue, &size)) != NULL) {
            fwrite(line, 1, size, stdout);
            async_queue_release(queue);
        }
        fflush(stdout);
        /* there is room again: lines that waited for it are looked at */
        async_runtime_post_completion(mcp.runtime, KEY_WRITTEN, 0);
    }
    return NULL;
}

/* Takes the message over. */
static void send_message(cJSON *message)
{
    char *text;

    cJSON_AddStringToObject(message, "jsonrpc", "2.0");
    text = cJSON_PrintUnformatted(message);
    cJSON_Delete(message);
    if (text == NULL)
        return;
    if (strlen(text) + 1 < OUT_BYTES) {
        size_t size = strlen(text);

        text[size] = '\n'; /* over its NUL: the size is what counts from here on */
        if (!async_queue_enqueue(mcp.out, text, size + 1))
            fprintf(stderr, "mcp: an answer is lost: %s\n", strerror(async_last_error()));
    }
    free(text);
}

static void answer(const cJSON *id, cJSON *result)
{
    cJSON *message = cJSON_CreateObject();

    cJSON_AddItemToObject(message, "id", cJSON_Duplicate(id, 1));
    cJSON_AddItemToObject(message, "result", result);
    send_message(message);
    mcp.answered++;
}

static void answer_error(const cJSON *id, int code, const char *text)
{
    cJSON *message = cJSON_CreateObject(), *error = cJSON_AddObjectToObject(message, "error");

    cJSON_AddItemToObject(message, "id", id != NULL ? cJSON_Duplicate(id, 1) : cJSON_CreateNull());
    cJSON_AddNumberToObject(error, "code", code);
    cJSON_AddStringToObject(error, "message", text);
    send_message(message);
    mcp.answered++;
}

static void answer_text(const cJSON *id, const char *text, bool is_error)
{
    cJSON *result = cJSON_CreateObject();
    cJSON *item = cJSON_CreateObject();

    cJSON_AddItemToArray(cJSON_AddArrayToObject(result, "content"), item);
    cJSON_AddStringToObject(item, "type", "text");
    cJSON_AddStringToObject(item, "text", text);
    cJSON_AddBoolToObject(result, "isError", is_error);
    answer(id, result);
}

/* ---- Calls under way. */

static struct call *new_call(const cJSON *id, const cJSON *params)
{
    struct call *call = calloc(1, sizeof(*call));
    const cJSON *meta = cJSON_GetObjectItem(params, "_meta");

    if (call == NULL)
        return NULL;
    call->id = cJSON_Duplicate(id, 1);
    if (cJSON_GetObjectItem(meta, "progressToken") != NULL)
        call->token = cJSON_Duplicate(cJSON_GetObjectItem(meta, "progressToken"), 1);
    call->next = mcp.calls;
    mcp.calls = call;
    mcp.under_way++;
    return call;
}

static void end_call(struct call *call)
{
    struct call **at;

    for (at = &mcp.calls; *at != call; at = &(*at)->next)
        continue;
    *at = call->next;
    if (call->worker != NULL) {
        async_worker_join(call->worker, -1);
        async_worker_destroy(call->worker);
    }
    cJSON_Delete(call->id);
    cJSON_Delete(call->token);
    free(call);
    mcp.under_way--;
}

/* The worker: sleeps that a stop interrupts, and a message for each step. */
static void *slow_job(void *context)
{
    struct call *call = context;
    struct progress progress = {call, 0};

    while (progress.step < call->steps) {
        if (async_worker_wait_stop(NULL, call->step_ms))
            return NULL;
        progress.step++;
        if (!async_queue_enqueue(mcp.progress, &progress, sizeof(progress)))
            return NULL;
    }
    return call;
}

static void show_progress(void)
{
    struct progress progress;

    while (async_queue_dequeue(mcp.progress, &progress, sizeof(progress), NULL)) {
        const struct call *call = progress.call;
        cJSON *message, *params;
        async_queue_stats_t stats;

        async_queue_get_stats(mcp.out, &stats);
        /* progress may be left out, answers may not: half of the queue is theirs */
        if (call->token == NULL || call->cancelled || stats.current_size > OUT_LINES / 2)
            continue;
        message = cJSON_CreateObject();
        cJSON_AddStringToObject(message, "method", "notifications/progress");
        params = cJSON_AddObjectToObject(message, "params");
        cJSON_AddItemToObject(params, "progressToken", cJSON_Duplicate(call->token, 1));
        cJSON_AddNumberToObject(params, "progress", progress.step);
        cJSON_AddNumberToObject(params, "total", call->steps);
        send_message(message);
    }
}

static void job_ended(const async_worker_t *worker)
{
    struct call *call;
    char text[64];

    show_progress(); /* what it sent before its end is in the queue */
    for (call = mcp.calls; call != NULL && call->worker != worker; call = call->next)
        continue;
    if (call == NULL)
        return;
    if (!call->cancelled) {
        snprintf(text, sizeof(text), "%d steps done", call->steps);
        answer_text(call->id, async_worker_get_result(worker) != NULL ? text : "stopped",
                    async_worker_get_result(worker) == NULL);
    }
    end_call(call);
}

static void names_found(void)
{
    async_resolver_result_t *result;

    while ((result = async_resolver_next(mcp.resolver)) != NULL) {
        struct call *call = result->context;
        char text[2048] = "";

        for (const struct addrinfo *at = result->addresses; at != NULL; at = at->ai_next) {
            char address[64];
            size_t used = strlen(text);

            if (getnameinfo(at->ai_addr, (socklen_t)at->ai_addrlen, address, sizeof(address), NULL,
                            0, NI_NUMERICHOST) == 0)
                snprintf(text + used, sizeof(text) - used, "%s%s", used != 0 ? "\n" : "", address);
        }
        if (!call->cancelled)
            answer_text(call->id, result->status == 0 ? text : gai_strerror(result->status),
                        result->status != 0);
        async_resolver_free_result(result);
        end_call(call);
    }
}

/* ---- Requests. */

static cJSON *tool(const char *name, const char *text, const char *schema)
{
    cJSON *object = cJSON_CreateObject();

    cJSON_AddStringToObject(object, "name", name);
    cJSON_AddStringToObject(object, "description", text);
    cJSON_AddItemToObject(object, "inputSchema", cJSON_Parse(schema));
    return object;
}

static void list_tools(const cJSON *id)
{
    cJSON *result = cJSON_CreateObject(), *tools = cJSON_AddArrayToObject(result, "tools");

    cJSON_AddItemToArray(tools, tool("resolve", "Looks the addresses of a host name up",
                                     "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":"
                                     "\"string\"}},\"required\":[\"name\"]}"));
    cJSON_AddItemToArray(
        tools, tool("slow_job", "Counts steps, slowly, and tells its progress",
                    "{\"type\":\"object\",\"properties\":{\"steps\":{\"type\":\"integer\"},"
                    "\"step_ms\":{\"type\":\"integer\"}},\"required\":[\"steps\"]}"));
    answer(id, result);
}

static void initialize(const cJSON *id, const cJSON *params)
{
    const cJSON *asked = cJSON_GetObjectItem(params, "protocolVersion");
    bool known = cJSON_IsString(asked) && (strcmp(asked->valuestring, "2024-11-05") == 0 ||
                                           strcmp(asked->valuestring, "2025-03-26") == 0);
    cJSON *result = cJSON_CreateObject(), *about;

    cJSON_AddStringToObject(result, "protocolVersion", known ? asked->valuestring : "2025-06-18");
    cJSON_AddObjectToObject(cJSON_AddObjectToObject(result, "capabilities"), "tools");
    about = cJSON_AddObjectToObject(result, "serverInfo");
    cJSON_AddStringToObject(about, "name", "asyncrt-mcp");
    cJSON_AddStringToObject(about, "version", asyncrt_version());
    answer(id, result);
}

static void call_tool(const cJSON *id, const cJSON *params)
{
    const cJSON *name = cJSON_GetObjectItem(params, "name");
    const cJSON *arguments = cJSON_GetObjectItem(params, "arguments");
    const cJSON *host = cJSON_GetObjectItem(arguments, "name");
    const cJSON *steps = cJSON_GetObjectItem(arguments, "steps");
    const cJSON *step_ms = cJSON_GetObjectItem(arguments, "step_ms");
    struct call *call;

    if (cJSON_IsString(name) && strcmp(name->valuestring, "resolve") == 0 && cJSON_IsString(host)) {
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM};

        call = new_call(id, params);
        if (call == NULL)
            return;
        call->lookup = async_resolver_lookup(mcp.resolver, host->valuestring, NULL, &hints, call);
        if (call->lookup == 0) {
            answer_text(id, strerror(async_last_error()), true);
            end_call(call);
        }
    } else if (cJSON_IsString(name) && strcmp(name->valuestring, "slow_job") == 0 &&
               cJSON_IsNumber(steps) && steps->valueint > 0 && steps->valueint <= 1000000) {
        async_worker_options_t options = ASYNC_WORKER_OPTIONS_INIT;

        call = new_call(id, params);
        if (call == NULL)
            return;
        call->steps = steps->valueint;
        call->step_ms = cJSON_IsNumber(step_ms) && step_ms->valueint >= 0 ? step_ms->valueint : 100;
        options.name = "slow_job";
        options.runtime = mcp.runtime;
        options.completion_key = KEY_JOB_ENDED;
        call->worker = async_worker_create_with(slow_job, call, &options);
        if (call->worker == NULL) {
            answer_text(id, strerror(async_last_error()), true);
            end_call(call);
        }
    } else {
        answer_error(id, BAD_PARAMS, "no such tool, or wrong arguments");
    }
}

static void cancel(struct call *call)
{
    call->cancelled = true; /* a cancelled request gets no answer */
    if (call->worker != NULL)
        async_worker_signal_stop(call->worker);
    else
        async_resolver_cancel(mcp.resolver, call->lookup);
}

static void notification(const char *method, const cJSON *params)
{
    const cJSON *id = cJSON_GetObjectItem(params, "requestId");

    if (strcmp(method, "notifications/cancelled") != 0 || id == NULL)
        return;
    for (struct call *call = mcp.calls; call != NULL; call = call->next)
        if (!call->cancelled && cJSON_Compare(call->id, id, 1))
            cancel(call);
}

static void handle_message(const cJSON *message)
{
    const cJSON *version = cJSON_GetObjectItem(message, "jsonrpc");
    const cJSON *id = cJSON_GetObjectItem(message, "id");
    const cJSON *method = cJSON_GetObjectItem(message, "method");
    const cJSON *params = cJSON_GetObjectItem(message, "params");

    if (!cJSON_IsObject(message) || !cJSON_IsString(version) ||
        strcmp(version->valuestring, "2.0") != 0 || !cJSON_IsString(method) ||
        (id != NULL && !cJSON_IsString(id) && !cJSON_IsNumber(id)))
        answer_error(NULL, INVALID_REQUEST, "not a JSON-RPC 2.0 request");
    else if (id == NULL)
        notification(method->valuestring, params);
    else if (strcmp(method->valuestring, "initialize") == 0)
        initialize(id, params);
    else if (strcmp(method->valuestring, "ping") == 0)
        answer(id, cJSON_CreateObject());
    else if (strcmp(method->valuestring, "tools/list") == 0)
        list_tools(id);
    else if (strcmp(method->valuestring, "tools/call") == 0)
        call_tool(id, params);
    else
        answer_error(id, NO_METHOD, "no such method");
}

static void handle_line(char *line, size_t size)
{
    bool whole = size >= 2 && line[size - 2] == '\n';
    cJSON *message;

    /* a piece of an oversized line; it may be a little shorter, to keep a UTF-8 character whole */
    if (mcp.skipping || (!whole && size > IN_BYTES - 4)) {
        if (!mcp.skipping)
            answer_error(NULL, INVALID_REQUEST, "the line is too long");
        mcp.skipping = !whole;
        return;
    }
    if (strspn(line, " \t\r\n") == size - 1)
        return;
    message = cJSON_ParseWithOpts(line, NULL, 1);
    if (message != NULL)
        handle_message(message);
    else
        answer_error(NULL, PARSE_ERROR, "not JSON");
    cJSON_Delete(message);
}

static void take_lines(void)
{
    static char line[IN_BYTES];
    async_queue_stats_t stats;
    size_t size;

    for (;;) {
        async_queue_get_stats(mcp.out, &stats);
        if (mcp.under_way >= MOST_REQUESTS ||
            stats.current_size + (size_t)mcp.under_way >= OUT_LINES - 2 ||
            !async_queue_dequeue(mcp.lines, line, sizeof(line), &size))
            return;
        handle_line(line, size);
    }
}

/* ---- The loop. */

static void loop(void)
{
    async_event_t events[16];

    while (!mcp.stop) {
        int n = async_runtime_wait(mcp.runtime, events, 16, -1);

        for (int i = 0; i < n; i++) {
            if ((events[i].event_type & (ASYNC_EVENT_SIGNAL | ASYNC_EVENT_TIMER)) != 0)
                mcp.stop = true;
            else if (events[i].completion_key == KEY_NAMES)
                names_found();
            else if (events[i].completion_key == KEY_PROGRESS)
                show_progress();
            else if (events[i].completion_key == KEY_JOB_ENDED)
                job_ended(events[i].context);
            else if (events[i].completion_key == KEY_LINES && events[i].data == 1) {
                mcp.no_more = true;
                async_runtime_add_timer(mcp.runtime, GRACE_US, 0, NULL);
            }
        }
        take_lines();
        names_found(); /* numeric names have their result at once */
        if (mcp.no_more && mcp.under_way == 0 && async_queue_is_empty(mcp.lines))
            break;
    }
}

static bool start(void)
{
    mcp.runtime = async_runtime_init();
    mcp.lines = async_queue_create(8, IN_BYTES, ASYNC_QUEUE_BLOCK_WRITER);
    mcp.out = async_queue_create(OUT_LINES, OUT_BYTES, ASYNC_QUEUE_SIGNAL_ON_DATA);
    mcp.progress = async_queue_create(64, sizeof(struct progress), ASYNC_QUEUE_BLOCK_WRITER);
    mcp.resolver = async_resolver_create(mcp.runtime, KEY_NAMES, NULL);
    mcp.writer = mcp.out != NULL ? async_worker_create(write_lines, mcp.out, 0) : NULL;
    return mcp.lines != NULL && mcp.progress != NULL && mcp.resolver != NULL &&
           mcp.writer != NULL &&
           async_runtime_bind_queue(mcp.runtime, mcp.progress, KEY_PROGRESS) == 0 &&
           async_runtime_add_signal(mcp.runtime, SIGTERM, NULL) == 0 &&
           async_runtime_add_signal(mcp.runtime, SIGINT, NULL) == 0 &&
           (mcp.console = async_console_create(mcp.runtime, mcp.lines, KEY_LINES)) != NULL;
}

int main(void)
{
    async_runtime_stats_t stats;

    if (!start()) {
        fprintf(stderr, "mcp: cannot start: %s\n", strerror(async_last_error()));
        return 1;
    }
    loop();
    async_console_destroy(mcp.console);
    async_queue_close(mcp.progress); /* a worker that waits for room goes on */
    while (mcp.calls != NULL) {
        if (!mcp.calls->cancelled)
            cancel(mcp.calls);
        end_call(mcp.calls);
    }
    async_resolver_destroy(mcp.resolver);
    async_queue_close(mcp.out);
    async_worker_join(mcp.writer, -1);
    async_runtime_get_stats(mcp.runtime, &stats);
    fprintf(stderr, "mcp: %u answers; the loop waited %llu times and was never blocked\n",
            mcp.answered, (unsigned long long)stats.waits);
    async_worker_destroy(mcp.writer);
    async_queue_destroy(mcp.lines);
    async_queue_destroy(mcp.out);
    async_queue_destroy(mcp.progress);
    async_runtime_deinit(mcp.runtime);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * rest - many HTTP requests at once with libcurl, driven by one runtime: no thread, no polling
 *
 *     rest [-n PARALLEL] [-t TIMEOUT_MS] [-r RETRIES] [-d JSON] URL...
 *
 * libcurl's multi_socket interface says which descriptors it waits for (socket_callback) and until
 * when (timer_callback); the runtime does the waiting.  With -d every request is a POST of the JSON
 * text.  Failed requests (no connection, time over, status 5xx) are tried again after a pause. Each
 * answer is printed when it comes, with the number of its request.
 */
#include <asyncrt.h>

#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_BYTES = 60, PAUSE_US = 200000 };

struct request {
    int number, tries;
    const char *url;
    CURL *easy;
    size_t bytes;
    size_t head_size;
    char head[SHOWN_BYTES + 1]; /* the beginning of the answer */
    char error[CURL_ERROR_SIZE];
};

static struct rest {
    async_runtime_t *runtime;
    CURLM *multi;
    struct curl_slist *json;
    uint64_t curl_timer;
    struct request *requests;
    int count, next, running, waiting, done, failed;
    int parallel, retries;
    long timeout_ms;
    const char *data;
    bool stop;
} rest = {.parallel = 8, .retries = 2, .timeout_ms = 10000};

/* Any address that is no request's: the context of libcurl's timer. */
static char curl_timer_tag;

static int socket_callback(CURL *easy, curl_socket_t fd, int what, void *user, void *known)
{
    uint32_t events = ((what & CURL_POLL_IN) != 0 ? ASYNC_EVENT_READ : 0u) |
                      ((what & CURL_POLL_OUT) != 0 ? ASYNC_EVENT_WRITE : 0u);

    (void)easy;
    (void)user;
    if (what == CURL_POLL_REMOVE) {
        async_runtime_remove(rest.runtime, (async_fd_t)fd);
    } else if (known == NULL) {
        if (async_runtime_add(rest.runtime, (async_fd_t)fd, events, &rest) != 0)
            return -1;
        curl_multi_assign(rest.multi, fd, &rest);
    } else {
        async_runtime_modify(rest.runtime, (async_fd_t)fd, events, &rest);
    }
    return 0;
}

static int timer_callback(CURLM *multi, long timeout_ms, void *user)
{
    (void)multi;
    (void)user;
    if (rest.curl_timer != 0)
        async_runtime_cancel_timer(rest.runtime, rest.curl_timer);
    rest.curl_timer = timeout_ms < 0
                          ? 0
                          : async_runtime_add_timer(rest.runtime, (uint64_t)timeout_ms * 1000, 0,
                                                    &curl_timer_tag);
    return 0;
}

static size_t body_callback(char *bytes, size_t one, size_t count, void *user)
{
    struct request *request = user;
    size_t take = sizeof(request->head) - 1 - request->head_size;

    take = take < count ? take : count;
    memcpy(request->head + request->head_size, bytes, take);
    request->head_size += take;
    request->bytes += one * count;
    return one * count;
}

static void start(struct request *request)
{
    CURL *easy = curl_easy_init();

    request->easy = easy;
    request->tries++;
    request->bytes = request->head_size = 0;
    request->error[0] = '\0';
    rest.running++;
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, body_callback);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->error);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, rest.timeout_ms);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    if (rest.data != NULL) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, rest.data);
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, rest.json);
    }
    curl_multi_add_handle(rest.multi, easy);
}

static void start_more(void)
{
    while (!rest.stop && rest.next < rest.count && rest.running < rest.parallel)
        start(&rest.requests[rest.next++]);
}

static void finish(CURL *easy, CURLcode code)
{
    struct request *request;
    long status = 0;
    double seconds = 0;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&request);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME, &seconds);
    curl_multi_remove_handle(rest.multi, easy);
    curl_easy_cleanup(easy);
    request->easy = NULL;
    rest.running--;
    if ((code != CURLE_OK || status >= 500) && request->tries <= rest.retries && !rest.stop &&
        async_runtime_add_timer(rest.runtime, PAUSE_US, 0, request) != 0) {
        printf("[%d] %s: try again: %s\n", request->number, request->url,
               code != CURLE_OK ? curl_easy_strerror(code) : "server error");
        rest.waiting++;
        return;
    }
    request->head[request->head_size] = '\0';
    request->head[strcspn(request->head, "\r\n")] = '\0';
    rest.done++;
    if (code != CURLE_OK) {
        rest.failed++;
        printf("[%d] %s: %s\n", request->number, request->url,
               request->error[0] != '\0' ? request->error : curl_easy_strerror(code));
    } else {
        rest.failed += status >= 400;
        printf("[%d] %s: %ld, %lu bytes in %.3f s, try %d: %s\n", request->number, request->url,
               status, (unsigned long)request->bytes, seconds, request->tries, request->head);
    }
    fflush(stdout);
}

static void take_finished(void)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(rest.multi, &left)) != NULL)
        if (message->msg == CURLMSG_DONE)
            finish(message->easy_handle, message->data.result);
    start_more();
}

static void handle(const async_event_t *event)
{
    int running, action = 0;

    if ((event->event_type & ASYNC_EVENT_SIGNAL) != 0) {
        rest.stop = true;
    } else if ((event->event_type & ASYNC_EVENT_TIMER) == 0) {
        if ((event->event_type & (ASYNC_EVENT_READ | ASYNC_EVENT_CLOSE)) != 0)
            action |= CURL_CSELECT_IN;
        if ((event->event_type & ASYNC_EVENT_WRITE) != 0)
            action |= CURL_CSELECT_OUT;
        if ((event->event_type & ASYNC_EVENT_ERROR) != 0)
            action |= CURL_CSELECT_ERR;
        curl_multi_socket_action(rest.multi, (curl_socket_t)event->fd, action, &running);
    } else if (event->context == &curl_timer_tag) {
        rest.curl_timer = 0;
        curl_multi_socket_action(rest.multi, CURL_SOCKET_TIMEOUT, 0, &running);
    } else {
        rest.waiting--;
        start(event->context);
    }
}

static bool parse(int argc, char **argv)
{
    int i = 1;

    for (; i < argc && argv[i][0] == '-'; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";

        if (strcmp(argv[i], "-n") == 0 && atoi(value) > 0)
            rest.parallel = atoi(value);
        else if (strcmp(argv[i], "-t") == 0 && atol(value) > 0)
            rest.timeout_ms = atol(value);
        else if (strcmp(argv[i], "-r") == 0 && value[0] >= '0' && value[0] <= '9')
            rest.retries = atoi(value);
        else if (strcmp(argv[i], "-d") == 0 && i + 1 < argc)
            rest.data = value;
        else
            return false;
    }
    rest.count = argc - i;
    if (rest.count <= 0)
        return false;
    rest.requests = calloc((size_t)rest.count, sizeof(*rest.requests));
    for (int k = 0; rest.requests != NULL && k < rest.count; k++) {
        rest.requests[k].number = k + 1;
        rest.requests[k].url = argv[i + k];
    }
    return rest.requests != NULL;
}

int main(int argc, char **argv)
{
    async_runtime_stats_t stats;

    if (!parse(argc, argv)) {
        fprintf(stderr,
                "usage: rest [-n PARALLEL] [-t TIMEOUT_MS] [-r RETRIES] [-d JSON] URL...\n");
        return 2;
    }
    curl_global_init(CURL_GLOBAL_ALL);
    rest.runtime = async_runtime_init();
    rest.multi = curl_multi_init();
    rest.json = curl_slist_append(NULL, "Content-Type: application/json");
    if (rest.runtime == NULL || rest.multi == NULL ||
        async_runtime_add_signal(rest.runtime, SIGTERM, NULL) != 0 ||
        async_runtime_add_signal(rest.runtime, SIGINT, NULL) != 0) {
        fprintf(stderr, "rest: cannot start: %s\n", strerror(errno));
        return 1;
    }
    curl_multi_setopt(rest.multi, CURLMOPT_SOCKETFUNCTION, socket_callback);
    curl_multi_setopt(rest.multi, CURLMOPT_TIMERFUNCTION, timer_callback);
    start_more();
    while (!rest.stop && rest.done < rest.count) {
        async_event_t events[32];
        int n = async_runtime_wait(rest.runtime, events, 32, -1);

        for (int i = 0; i < n; i++)
            handle(&events[i]);
        take_finished();
    }
    async_runtime_get_stats(rest.runtime, &stats);
    printf("%d requests, %d failed; the loop waited %llu times for %llu events and was never "
           "blocked\n",
           rest.done, rest.failed, (unsigned long long)stats.waits,
           (unsigned long long)stats.io_events);
    for (int i = 0; i < rest.count; i++) {
        if (rest.requests[i].easy != NULL) {
            curl_multi_remove_handle(rest.multi, rest.requests[i].easy);
            curl_easy_cleanup(rest.requests[i].easy);
        }
    }
    curl_multi_cleanup(rest.multi);
    curl_slist_free_all(rest.json);
    curl_global_cleanup();
    async_runtime_deinit(rest.runtime);
    free(rest.requests);
    return rest.failed == 0 && !rest.stop ? 0 : 1;
}

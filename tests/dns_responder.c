/* SPDX-License-Identifier: MIT */
#include "dns_responder.h"
#include "dns_message.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS 32
#define NEVER UINT64_MAX

/* Who asks: a datagram's sender, or a place among the TCP clients. */
typedef struct peer {
    struct sockaddr_in address;
    int client; /* -1: UDP */
} peer_t;

typedef struct reply {
    struct reply *next;
    uint64_t due; /* milliseconds; NEVER: held */
    peer_t peer;
    size_t size;
    unsigned char bytes[];
} reply_t;

typedef struct counter {
    struct counter *next;
    unsigned count;
    int type;
    char name[256];
} counter_t;

struct dns_responder {
    pthread_t thread;
    int udp, tcp, wake[2];
    int clients[CLIENTS]; /* the thread's; -1: free */

    pthread_mutex_t lock;
    pthread_cond_t arrived;
    /* under the lock */
    counter_t *counters;
    reply_t *replies;
    unsigned total, by_tcp;
    bool released, stopping;
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Lock held. */
static counter_t *counter_of(dns_responder_t *responder, const char *name, int type)
{
    counter_t *counter = responder->counters;

    while (counter != NULL && (counter->type != type || strcmp(counter->name, name) != 0))
        counter = counter->next;
    if (counter != NULL)
        return counter;
    counter = calloc(1, sizeof(*counter));
    if (counter == NULL)
        die("calloc");
    snprintf(counter->name, sizeof(counter->name), "%s", name);
    counter->type = type;
    counter->next = responder->counters;
    responder->counters = counter;
    return counter;
}

static bool is_held(const dns_query_t *query, unsigned count)
{
    return dns_message_rule(query->name, "hold") >= 0 ||
           (dns_message_rule(query->name, "later") >= 0 && count > 1) ||
           (query->type == DNS_TYPE_PTR && strstr(query->name, ".8.10.in-addr.arpa") != NULL);
}

/* Counts the query and puts its answer, if there is to be one, on the list. */
static void take_query(dns_responder_t *responder, const unsigned char *message, size_t size,
                       const peer_t *peer)
{
    unsigned char answer[DNS_MESSAGE_MAX];
    counter_t *counter;
    dns_query_t query;
    reply_t *reply;
    long delay, lost;

    if (!dns_message_parse(message, size, &query))
        return;
    pthread_mutex_lock(&responder->lock);
    counter = counter_of(responder, query.name, query.type);
    counter->count++;
    responder->total++;
    responder->by_tcp += peer->client >= 0;
    lost = dns_message_rule(query.name, "lost");
    if (dns_message_rule(query.name, "drop") < 0 && (lost < 0 || counter->count > (unsigned)lost)) {
        size = dns_message_answer(message, &query, counter->count, peer->client >= 0, answer);
        reply = malloc(sizeof(*reply) + size);
        if (reply == NULL)
            die("malloc");
        delay = dns_message_rule(query.name, "delay");
        reply->due = is_held(&query, counter->count) && !responder->released ? NEVER
                     : delay > 0 ? now_ms() + (uint64_t)delay
                                 : 0;
        reply->peer = *peer;
        reply->size = size;
        memcpy(reply->bytes, answer, size);
        reply->next = responder->replies;
        responder->replies = reply;
    }
    pthread_cond_broadcast(&responder->arrived);
    pthread_mutex_unlock(&responder->lock);
}

static void send_reply(dns_responder_t *responder, const reply_t *reply)
{
    int client = reply->peer.client;
    unsigned char framed[DNS_MESSAGE_MAX + 2];

    if (client < 0) {
        (void)!sendto(responder->udp, reply->bytes, reply->size, 0,
                      (const struct sockaddr *)&reply->peer.address, sizeof(reply->peer.address));
        return;
    }
    framed[0] = (unsigned char)(reply->size >> 8);
    framed[1] = (unsigned char)reply->size;
    memcpy(framed + 2, reply->bytes, reply->size);
    if (responder->clients[client] != -1)
        (void)!send(responder->clients[client], framed, reply->size + 2, MSG_NOSIGNAL);
}

/* Sends what is due.  Returns the milliseconds until the next, or -1. */
static int send_due(dns_responder_t *responder)
{
    uint64_t now = now_ms(), next = NEVER;
    reply_t **place, *due = NULL, *reply;

    pthread_mutex_lock(&responder->lock);
    for (place = &responder->replies; (reply = *place) != NULL;) {
        if (reply->due <= now) {
            *place = reply->next;
            reply->next = due;
            due = reply;
        } else {
            next = reply->due < next ? reply->due : next;
            place = &reply->next;
        }
    }
    pthread_mutex_unlock(&responder->lock);
    while ((reply = due) != NULL) {
        due = reply->next;
        send_reply(responder, reply);
        free(reply);
    }
    return next == NEVER ? -1 : (int)(next - now);
}

static void accept_client(dns_responder_t *responder)
{
    int fd = accept4(responder->tcp, NULL, NULL, SOCK_CLOEXEC);

    for (int i = 0; i < CLIENTS && fd != -1; i++) {
        if (responder->clients[i] == -1) {
            responder->clients[i] = fd;
            return;
        }
    }
    if (fd != -1)
        close(fd);
}

static bool read_all(int fd, unsigned char *bytes, size_t size)
{
    return recv(fd, bytes, size, MSG_WAITALL) == (ssize_t)size;
}

/* The clients are resolvers: a length is followed by its message at once. */
static void read_client(dns_responder_t *responder, int i)
{
    unsigned char head[2], message[DNS_MESSAGE_MAX];
    peer_t peer = {.client = i};
    size_t size;

    if (read_all(responder->clients[i], head, 2)) {
        size = (size_t)head[0] << 8 | head[1];
        if (size <= sizeof(message) && read_all(responder->clients[i], message, size)) {
            take_query(responder, message, size, &peer);
            return;
        }
    }
    close(responder->clients[i]);
    responder->clients[i] = -1;
}

static void read_datagrams(dns_responder_t *responder)
{
    unsigned char message[DNS_MESSAGE_MAX];

    for (;;) {
        peer_t peer = {.client = -1};
        socklen_t length = sizeof(peer.address);
        ssize_t size = recvfrom(responder->udp, message, sizeof(message), MSG_DONTWAIT,
                                (struct sockaddr *)&peer.address, &length);

        if (size < 0)
            return;
        take_query(responder, message, (size_t)size, &peer);
    }
}

static bool stopping(dns_responder_t *responder)
{
    bool result;

    pthread_mutex_lock(&responder->lock);
    result = responder->stopping;
    pthread_mutex_unlock(&responder->lock);
    return result;
}

static void *serve(void *arg)
{
    dns_responder_t *responder = arg;
    struct pollfd fds[3 + CLIENTS];
    char byte;

    while (!stopping(responder)) {
        int timeout = send_due(responder);

        fds[0] = (struct pollfd){.fd = responder->wake[0], .events = POLLIN};
        fds[1] = (struct pollfd){.fd = responder->udp, .events = POLLIN};
        fds[2] = (struct pollfd){.fd = responder->tcp, .events = POLLIN};
        for (int i = 0; i < CLIENTS; i++)
            fds[3 + i] = (struct pollfd){.fd = responder->clients[i], .events = POLLIN};
        poll(fds, 3 + CLIENTS, timeout);
        if (fds[0].revents != 0)
            (void)!read(responder->wake[0], &byte, 1);
        if (fds[1].revents != 0)
            read_datagrams(responder);
        for (int i = 0; i < CLIENTS; i++) {
            if (fds[3 + i].revents != 0)
                read_client(responder, i);
        }
        if (fds[2].revents != 0)
            accept_client(responder);
    }
    return NULL;
}

static int bound_socket(int type)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(53)};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), on = 1, room = 4 << 20;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd == -1 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        die("port 53");
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) != 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    if (type == SOCK_STREAM && listen(fd, 16) != 0)
        die("listen");
    return fd;
}

dns_responder_t *dns_responder_start(void)
{
    dns_responder_t *responder = calloc(1, sizeof(*responder));

    if (responder == NULL)
        die("calloc");
    responder->udp = bound_socket(SOCK_DGRAM);
    responder->tcp = bound_socket(SOCK_STREAM);
    if (pipe2(responder->wake, O_CLOEXEC) != 0)
        die("pipe2");
    for (int i = 0; i < CLIENTS; i++)
        responder->clients[i] = -1;
    pthread_mutex_init(&responder->lock, NULL);
    pthread_cond_init(&responder->arrived, NULL);
    if (pthread_create(&responder->thread, NULL, serve, responder) != 0)
        die("pthread_create");
    return responder;
}

static void wake(dns_responder_t *responder)
{
    (void)!write(responder->wake[1], "", 1);
}

void dns_responder_stop(dns_responder_t *responder)
{
    pthread_mutex_lock(&responder->lock);
    responder->stopping = true;
    pthread_mutex_unlock(&responder->lock);
    wake(responder);
    pthread_join(responder->thread, NULL);
    for (int i = 0; i < CLIENTS; i++) {
        if (responder->clients[i] != -1)
            close(responder->clients[i]);
    }
    close(responder->udp);
    close(responder->tcp);
    close(responder->wake[0]);
    close(responder->wake[1]);
    while (responder->replies != NULL) {
        reply_t *reply = responder->replies;

        responder->replies = reply->next;
        free(reply);
    }
    while (responder->counters != NULL) {
        counter_t *counter = responder->counters;

        responder->counters = counter->next;
        free(counter);
    }
    pthread_cond_destroy(&responder->arrived);
    pthread_mutex_destroy(&responder->lock);
    free(responder);
}

void dns_responder_release(dns_responder_t *responder)
{
    pthread_mutex_lock(&responder->lock);
    responder->released = true;
    for (reply_t *reply = responder->replies; reply != NULL; reply = reply->next)
        reply->due = reply->due == NEVER ? 0 : reply->due;
    pthread_mutex_unlock(&responder->lock);
    wake(responder);
}

/* Lock held. */
static unsigned count_of(const dns_responder_t *responder, const char *name, int type)
{
    unsigned count = 0;

    for (const counter_t *counter = responder->counters; counter; counter = counter->next) {
        if (strcmp(counter->name, name) == 0 && (type == DNS_TYPE_ANY || counter->type == type))
            count += counter->count;
    }
    return count;
}

unsigned dns_responder_count(dns_responder_t *responder, const char *name, int type)
{
    unsigned count;

    pthread_mutex_lock(&responder->lock);
    count = count_of(responder, name, type);
    pthread_mutex_unlock(&responder->lock);
    return count;
}

unsigned dns_responder_total(dns_responder_t *responder)
{
    unsigned total;

    pthread_mutex_lock(&responder->lock);
    total = responder->total;
    pthread_mutex_unlock(&responder->lock);
    return total;
}

unsigned dns_responder_tcp(dns_responder_t *responder)
{
    unsigned by_tcp;

    pthread_mutex_lock(&responder->lock);
    by_tcp = responder->by_tcp;
    pthread_mutex_unlock(&responder->lock);
    return by_tcp;
}

bool dns_responder_wait(dns_responder_t *responder, const char *name, int type, unsigned count)
{
    struct timespec limit;
    bool enough;
    int err = 0;

    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 30;
    pthread_mutex_lock(&responder->lock);
    while (!(enough = count_of(responder, name, type) >= count) && err == 0)
        err = pthread_cond_timedwait(&responder->arrived, &responder->lock, &limit);
    pthread_mutex_unlock(&responder->lock);
    return enough;
}

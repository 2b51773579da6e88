/* SPDX-License-Identifier: MIT */
/*
 * c-ares: one thread drives all queries of a resolver over its own DNS sockets.
 *
 * 1. A channel is not for several threads.  While the thread runs the channel is its own; at other
 *    times, which are without queries, it is under the resolver's lock.
 * 2. Queries come to the thread by a list; it is woken only when it sleeps.
 * 3. The thread starts with the first query and ends after some seconds without any.
 * 4. c-ares reads the system's configuration once: when that has changed, and no query is under
 * way, the channel gives way to a new one, as getaddrinfo() would do.
 * 5. c-ares has no way to stop a single query: one that nobody asks for any more runs to its end,
 * in its place among max_in_flight.  So that it is not there for long, and so that a datagram that
 * is lost is sent again while the request lasts, its tries fit into the resolver's timeout.
 */
#include "port/port_compiler.h"
#include "port/port_memory.h"
#include "resolver/cares_query.h"
#include "resolver/cares_socket.h"
#include "resolver/resolver_engine.h"
#include "runtime/runtime_wakefd.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#define FIRST_ROOM 8u
#define TRIES 3           /* of a query with each server; each takes twice as long as the last */
#define FIRST_TRY_MS 500u /* at least: an answer may come from far away */

typedef struct cares_state {
    ares_channel channel; /* see 1. */

    /* the thread's, as the channel */
    struct pollfd *sockets; /* what c-ares wants to hear of; the first is wakefd */
    size_t socket_count, socket_room;
    cares_work_t work;
    bool own_servers;       /* the options', so that the system's do not matter */
    uint64_t patience_ms;   /* that a request has; 0: without end */
    struct stat configured; /* of the file that the channel has read */

    /* under the resolver's lock */
    resolver_link_t ready; /* queries that the thread has not taken yet */
    bool running, sleeping;
    runtime_wakefd_t wakefd; /* not changed after open */
} cares_state_t;

/* c-ares counts its initialisations, without a lock of its own. */
static port_mutex_t library_lock = PORT_MUTEX_INIT;

static int library_init(void)
{
    int rc;

    port_mutex_lock(&library_lock);
    rc = ares_library_init(ARES_LIB_INIT_ALL);
    port_mutex_unlock(&library_lock);
    return rc == ARES_SUCCESS ? 0 : rc == ARES_ENOMEM ? ENOMEM : ENOTSUP;
}

static void library_cleanup(void)
{
    port_mutex_lock(&library_lock);
    ares_library_cleanup();
    port_mutex_unlock(&library_lock);
}

/* c-ares says what it wants to hear of a socket; neither: forget it. */
static void socket_changed(void *data, ares_socket_t fd, int readable, int writable)
{
    cares_state_t *state = data;
    short events = (short)((readable ? POLLIN : 0) | (writable ? POLLOUT : 0));
    size_t i = 1;

    while (i < state->socket_count && state->sockets[i].fd != fd)
        i++;
    if (events == 0) {
        if (i < state->socket_count)
            state->sockets[i] = state->sockets[--state->socket_count];
        return;
    }
    if (i == state->socket_room) {
        size_t room = state->socket_room * 2;
        struct pollfd *more = port_realloc(state->sockets, room * sizeof(*more));

        /* without memory nobody hears of this socket, and its queries end by their timeouts */
        if (more == NULL)
            return;
        state->sockets = more;
        state->socket_room = room;
    }
    state->sockets[i] = (struct pollfd){.fd = fd, .events = events};
    if (i == state->socket_count)
        state->socket_count++;
}

/* A file that is not there is all zeros. */
static void look_at_configuration(struct stat *found)
{
    if (stat("/etc/resolv.conf", found) != 0)
        memset(found, 0, sizeof(*found));
}

static int error_of(int status, int other)
{
    return status == ARES_ENOMEM ? ENOMEM : other;
}

/* With first_try_ms 0 c-ares and the system's configuration say how often it tries, and how long.
 */
static int make_channel(cares_state_t *state, const char *servers, int first_try_ms)
{
    struct ares_options options;
    int mask = ARES_OPT_SOCK_STATE_CB, status;

    memset(&options, 0, sizeof(options));
    options.sock_state_cb = socket_changed;
    options.sock_state_cb_data = state;
    if (first_try_ms != 0) {
        options.timeout = first_try_ms;
        options.tries = TRIES;
        mask |= ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES;
    }
    status = ares_init_options(&state->channel, &options, mask);
    if (status != ARES_SUCCESS)
        return error_of(status, ENOTSUP);
    cares_socket_use(state->channel);
    if (servers == NULL)
        return 0;
    status = ares_set_servers_ports_csv(state->channel, servers);
    if (status == ARES_SUCCESS && servers[0] != '\0')
        return 0;
    ares_destroy(state->channel);
    state->channel = NULL;
    return error_of(status, EINVAL);
}

/* Milliseconds for all tries with all servers, the first of which takes first_try_ms. */
static uint64_t time_of_tries(unsigned servers, unsigned first_try_ms, unsigned tries)
{
    return (uint64_t)servers * first_try_ms * ((UINT64_C(1) << (tries < 20 ? tries : 20)) - 1);
}

/* The time of the first try with which all of them fit into the patience of a request; 0: they do
 * as it is. */
static int shorter_try(const cares_state_t *state)
{
    struct ares_addr_port_node *servers;
    struct ares_options options;
    unsigned count = 0;
    uint64_t all, first;
    int mask;

    if (state->patience_ms == 0 || ares_get_servers_ports(state->channel, &servers) != ARES_SUCCESS)
        return 0;
    for (const struct ares_addr_port_node *server = servers; server != NULL; server = server->next)
        count++;
    ares_free_data(servers);
    if (count == 0 || ares_save_options(state->channel, &options, &mask) != ARES_SUCCESS)
        return 0;
    all = (mask & ARES_OPT_TIMEOUTMS) != 0 && (mask & ARES_OPT_TRIES) != 0
              ? time_of_tries(count, (unsigned)options.timeout, (unsigned)options.tries)
              : UINT64_MAX; /* it does not tell */
    ares_destroy_options(&options);
    if (all <= state->patience_ms)
        return 0;
    first = state->patience_ms / time_of_tries(count, 1, TRIES);
    if (first < FIRST_TRY_MS)
        first = FIRST_TRY_MS;
    return time_of_tries(count, (unsigned)first, TRIES) < all && first <= INT_MAX ? (int)first : 0;
}

static int open_channel(cares_state_t *state, const char *servers)
{
    ares_channel channel;
    int err, first_try_ms;

    state->own_servers = servers != NULL;
    look_at_configuration(&state->configured);
    err = make_channel(state, servers, 0);
    if (err != 0)
        return err;
    first_try_ms = shorter_try(state);
    if (first_try_ms == 0)
        return 0;
    channel = state->channel;
    err = make_channel(state, servers, first_try_ms);
    if (err == 0)
        ares_destroy(channel);
    else
        state->channel = channel;
    return 0;
}

/* In the thread, without queries.  Whatever fails, there is a channel afterwards. */
static void renew_channel(cares_state_t *state)
{
    ares_channel old = state->channel;
    struct stat now;

    if (state->own_servers)
        return;
    look_at_configuration(&now);
    if (now.st_mtim.tv_sec == state->configured.st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == state->configured.st_mtim.tv_nsec &&
        now.st_size == state->configured.st_size && now.st_ino == state->configured.st_ino)
        return;
    if (open_channel(state, NULL) != 0)
        state->channel = old;
    else
        ares_destroy(old);
}

static int open_sockets(cares_state_t *state)
{
    int err;

    state->sockets = port_zalloc(FIRST_ROOM, sizeof(*state->sockets));
    if (state->sockets == NULL)
        return ENOMEM;
    err = runtime_wakefd_open(&state->wakefd);
    if (err != 0) {
        port_free(state->sockets);
        return err;
    }
    state->sockets[0] = (struct pollfd){.fd = state->wakefd.fd, .events = POLLIN};
    state->socket_room = FIRST_ROOM;
    state->socket_count = 1;
    return 0;
}

static void close_sockets(cares_state_t *state)
{
    runtime_wakefd_close(&state->wakefd);
    port_free(state->sockets);
}

static int cares_open(async_resolver_t *resolver, const async_resolver_options_t *options)
{
    cares_state_t *state = port_zalloc(1, sizeof(*state));
    int err;

    if (state == NULL)
        return ENOMEM;
    resolver_list_init(&state->ready);
    state->patience_ms = options->timeout_ms;
    err = open_sockets(state);
    if (err != 0)
        goto out_state;
    err = library_init();
    if (err != 0)
        goto out_sockets;
    err = open_channel(state, options->servers);
    if (err != 0)
        goto out_library;
    resolver->engine_state = state;
    return 0;

out_library:
    library_cleanup();
out_sockets:
    close_sockets(state);
out_state:
    port_free(state);
    return err;
}

/* Takes over what has been started, and asks.  Lock held before and after.  Whether there was any.
 */
static bool ask_ready(async_resolver_t *resolver, cares_state_t *state)
{
    resolver_link_t *link;
    bool any = false;

    while (!resolver->closed && (link = resolver_list_first(&state->ready)) != NULL) {
        resolver_list_remove(link);
        port_mutex_unlock(&resolver->lock);
        if (state->work.active == 0)
            renew_channel(state);
        cares_query_ask(resolver, state->channel, PORT_CONTAINER(link, resolver_query_t, place),
                        &state->work);
        port_mutex_lock(&resolver->lock);
        any = true;
    }
    return any;
}

/* Milliseconds until c-ares wants to look at its timeouts; rounded up, so that they are over. */
static int sleep_time(const cares_state_t *state)
{
    struct timeval space, *tv;

    if (state->work.active == 0)
        return (int)(RESOLVER_LINGER_NS / PORT_NS_PER_MS);
    tv = ares_timeout(state->channel, NULL, &space);
    if (tv == NULL)
        return -1;
    return tv->tv_sec > 3600 ? 3600000 : (int)(tv->tv_sec * 1000 + (tv->tv_usec + 999) / 1000);
}

/* Tells c-ares of what poll() has found; its callbacks settle the queries. */
static void process(cares_state_t *state, const struct pollfd *found, size_t count)
{
    bool any = false;

    if ((found[0].revents & POLLIN) != 0)
        runtime_wakefd_drain(&state->wakefd);
    for (size_t i = 1; i < count; i++) {
        short events = found[i].revents;

        if (events == 0)
            continue;
        any = true;
        /* an error shows in the read or in the write that c-ares waits for */
        ares_process_fd(state->channel,
                        (events & (POLLIN | POLLERR | POLLHUP)) != 0 ? found[i].fd
                                                                     : ARES_SOCKET_BAD,
                        (events & (POLLOUT | POLLERR)) != 0 ? found[i].fd : ARES_SOCKET_BAD);
    }
    if (!any)
        ares_process_fd(state->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/* Sleeps and works once, without the lock.  Returns whether anything happened. */
static bool turn(cares_state_t *state)
{
    enum { FEW = 32 };
    struct pollfd few[FEW], *found = few;
    size_t count = state->socket_count;
    int ready;

    /* c-ares changes the sockets while it works: poll a copy */
    if (count > FEW) {
        found = port_alloc(count * sizeof(*found));
        if (found == NULL) {
            found = few;
            count = FEW;
        }
    }
    memcpy(found, state->sockets, count * sizeof(*found));
    ready = poll(found, (nfds_t)count, sleep_time(state));
    if (ready >= 0)
        process(state, found, count);
    if (found != few)
        port_free(found);
    return ready != 0;
}

static void thread_main(void *arg)
{
    async_resolver_t *resolver = arg;
    cares_state_t *state = resolver->engine_state;

    port_mutex_lock(&resolver->lock);
    while (!resolver->closed) {
        bool happened;

        if (ask_ready(resolver, state))
            continue;
        state->sleeping = true;
        port_mutex_unlock(&resolver->lock);
        happened = turn(state);
        port_mutex_lock(&resolver->lock);
        state->sleeping = false;
        if (!happened && state->work.active == 0 && resolver_list_empty(&state->ready))
            break;
    }
    state->running = false;
    if (resolver->closed) {
        ares_channel channel = state->channel;

        state->channel = NULL;
        port_mutex_unlock(&resolver->lock);
        /* settles what is under way as cancelled */
        ares_destroy(channel);
    } else {
        port_mutex_unlock(&resolver->lock);
    }
    resolver_drop(resolver);
}

/* Lock held. */
static void wake(cares_state_t *state)
{
    if (!state->sleeping)
        return;
    state->sleeping = false;
    runtime_wakefd_signal(&state->wakefd);
}

static int cares_start(async_resolver_t *resolver, resolver_query_t *query)
{
    cares_state_t *state = resolver->engine_state;

    if (!state->running) {
        int err = resolver_start_thread(resolver, thread_main, "async-dns");

        if (err != 0)
            return err;
        state->running = true;
    }
    resolver_list_append(&state->ready, &query->place);
    wake(state);
    return 0;
}

static void cares_close(async_resolver_t *resolver)
{
    cares_state_t *state = resolver->engine_state;
    resolver_link_t *link;

    while ((link = resolver_list_first(&state->ready)) != NULL) {
        resolver_outcome_t outcome = {.status = EAI_SYSTEM, .error = ECANCELED};

        resolver_query_settle(resolver, PORT_CONTAINER(link, resolver_query_t, place), &outcome);
    }
    wake(state);
}

static void cares_free(async_resolver_t *resolver, bool inherited)
{
    cares_state_t *state = resolver->engine_state;

    /* the thread of the parent may have been inside the channel, or inside c-ares's lock */
    if (state->channel != NULL && !(inherited && state->running))
        ares_destroy(state->channel);
    if (!inherited)
        library_cleanup();
    close_sockets(state);
    port_free(state);
}

const resolver_engine_t resolver_engine_cares = {
    .name = "cares",
    .open = cares_open,
    .start = cares_start,
    .close = cares_close,
    .free = cares_free,
};

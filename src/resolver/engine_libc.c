/* SPDX-License-Identifier: MIT */
/*
 * The system's getaddrinfo() and getnameinfo(), in threads of the resolver's own.
 *
 * A thread starts when no idle one is left for a query and ends after some seconds without work.
 * They are detached: nobody waits for one that is stuck.  It holds the resolver and its query, and
 * keeps its place among options.threads until the system's call returns.
 */
#include "port/port_compiler.h"
#include "port/port_memory.h"
#include "resolver/resolver_engine.h"

#include <errno.h>

/* Longest name that getnameinfo() gives, and longest service. */
#define NAME_SIZE 1025
#define SERVICE_SIZE 256

/* All under the resolver's lock, but for the eventcount. */
typedef struct libc_state {
    resolver_link_t ready; /* queries that no thread has taken yet */
    size_t ready_count;
    size_t threads;
    size_t idle;     /* threads without a query: asleep or about to look for one */
    size_t sleeping; /* of them, those asleep */
    port_eventcount_t wake;
} libc_state_t;

static void run_reverse(const resolver_question_t *question, resolver_outcome_t *outcome)
{
    char host[NAME_SIZE], service[SERVICE_SIZE];

    outcome->status = getnameinfo(&question->address.any, question->length, host, sizeof(host),
                                  service, sizeof(service), NI_NAMEREQD);
    if (outcome->status == EAI_SYSTEM)
        outcome->error = errno;
    if (outcome->status != 0)
        return;
    outcome->answer = resolver_answer_of_names(host, service);
    if (outcome->answer == NULL)
        outcome->status = EAI_MEMORY;
}

static void run(const resolver_question_t *question, resolver_outcome_t *outcome)
{
    struct addrinfo space, *list = NULL;
    int status;

    *outcome = (resolver_outcome_t){.ttl_ms = RESOLVER_TTL_ANY};
    if (question->reverse) {
        run_reverse(question, outcome);
        return;
    }
    status = getaddrinfo(question->host, question->service,
                         resolver_question_hints(question, &space), &list);
    resolver_outcome_of_list(outcome, status, errno, list);
}

static resolver_query_t *take(libc_state_t *state)
{
    resolver_link_t *link = resolver_list_first(&state->ready);

    if (link == NULL)
        return NULL;
    resolver_list_remove(link);
    state->ready_count--;
    state->idle--;
    return PORT_CONTAINER(link, resolver_query_t, place);
}

/* Lock held before and after.  Returns whether to look again; false after a while without work. */
static bool sleep_once(async_resolver_t *resolver, libc_state_t *state)
{
    uint64_t until = port_clock_after(port_clock_now(), RESOLVER_LINGER_NS);
    uint32_t key = port_eventcount_prepare(&state->wake);
    int err;

    state->sleeping++;
    port_mutex_unlock(&resolver->lock);
    err = port_eventcount_wait(&state->wake, key, until);
    port_mutex_lock(&resolver->lock);
    state->sleeping--;
    return err == 0 || state->ready_count != 0;
}

static void thread_main(void *arg)
{
    async_resolver_t *resolver = arg;
    libc_state_t *state = resolver->engine_state;
    bool announce = false;

    port_mutex_lock(&resolver->lock);
    while (!resolver->closed) {
        resolver_query_t *query = take(state);
        resolver_outcome_t outcome;

        if (query == NULL && !announce) {
            if (!sleep_once(resolver, state))
                break;
            continue;
        }
        port_mutex_unlock(&resolver->lock);
        if (announce)
            resolver_announce(resolver);
        if (query != NULL)
            run(&query->question, &outcome);
        port_mutex_lock(&resolver->lock);
        announce = false;
        if (query != NULL) {
            /* idle before it settles, so that this thread can have what is started then */
            state->idle++;
            announce = resolver_query_settle(resolver, query, &outcome);
        }
    }
    state->idle--;
    state->threads--;
    port_mutex_unlock(&resolver->lock);
    resolver_drop(resolver);
}

static int libc_open(async_resolver_t *resolver, const async_resolver_options_t *options)
{
    libc_state_t *state = port_zalloc(1, sizeof(*state));

    if (state == NULL)
        return ENOMEM;
    resolver_list_init(&state->ready);
    port_eventcount_init(&state->wake);
    resolver->engine_state = state;
    resolver->engine_limit = options->threads;
    return 0;
}

static int libc_start(async_resolver_t *resolver, resolver_query_t *query)
{
    libc_state_t *state = resolver->engine_state;

    if (state->ready_count >= state->idle) {
        int err = resolver_start_thread(resolver, thread_main, "async-dns");

        if (err != 0)
            return err;
        state->threads++;
        state->idle++;
    }
    resolver_list_append(&state->ready, &query->place);
    state->ready_count++;
    if (state->ready_count > state->idle - state->sleeping)
        port_eventcount_notify(&state->wake, 1);
    return 0;
}

static void libc_close(async_resolver_t *resolver)
{
    libc_state_t *state = resolver->engine_state;
    resolver_link_t *link;

    while ((link = resolver_list_first(&state->ready)) != NULL) {
        resolver_outcome_t outcome = {.status = EAI_SYSTEM, .error = ECANCELED};

        state->ready_count--;
        resolver_query_settle(resolver, PORT_CONTAINER(link, resolver_query_t, place), &outcome);
    }
    port_eventcount_notify(&state->wake, PORT_FUTEX_ALL);
}

static void libc_free(async_resolver_t *resolver, bool inherited)
{
    (void)inherited;
    port_free(resolver->engine_state);
}

const resolver_engine_t resolver_engine_libc = {
    .name = "libc",
    .open = libc_open,
    .start = libc_start,
    .close = libc_close,
    .free = libc_free,
};

/* SPDX-License-Identifier: MIT */
/*
 * The public functions.
 */
#include "port/port_compiler.h"
#include "port/port_error.h"
#include "port/port_fork.h"
#include "port/port_memory.h"
#include "resolver/resolver_core.h"
#include "resolver/resolver_engine.h"

#include <errno.h>
#include <string.h>

#define DEFAULT_THREADS 4
#define DEFAULT_IN_FLIGHT 64

static void announced(runtime_node_t *node)
{
    resolver_drop(PORT_CONTAINER(node, async_resolver_t, announcement));
}

/* What the caller's structure does not reach keeps its default. */
static int take_options(async_resolver_options_t *own, const async_resolver_options_t *options)
{
    static const async_resolver_options_t defaults = ASYNC_RESOLVER_OPTIONS_INIT;

    *own = defaults;
    if (options == NULL)
        return 0;
    if (options->size < sizeof(options->size))
        return EINVAL;
    memcpy(own, options, options->size < sizeof(*own) ? options->size : sizeof(*own));
    own->size = sizeof(*own);
    if (own->threads == 0)
        own->threads = DEFAULT_THREADS;
    if (own->max_in_flight == 0)
        own->max_in_flight = DEFAULT_IN_FLIGHT;
    return 0;
}

static int init_tables(async_resolver_t *resolver)
{
    int err = resolver_table_init(&resolver->requests);

    if (err == 0)
        err = resolver_table_init(&resolver->queries);
    if (err == 0)
        err = resolver_cache_init(&resolver->cache, resolver->options.cache_entries);
    return err;
}

static void init_fields(async_resolver_t *resolver, async_runtime_t *runtime, uintptr_t key)
{
    resolver->runtime = runtime;
    resolver->generation = port_fork_generation();
    resolver->seed = port_clock_now() ^ (uint64_t)(uintptr_t)resolver;
    resolver->engine_limit = SIZE_MAX;
    atomic_init(&resolver->refs, 1);
    runtime_node_init(&resolver->announcement, key, NULL, announced);
    port_eventcount_init(&resolver->timer_sleep);
    resolver_list_init(&resolver->open);
    resolver_list_init(&resolver->finished);
    resolver_list_init(&resolver->cache.recent);
    for (int i = 0; i < RESOLVER_CLASSES; i++)
        resolver_list_init(&resolver->waiting[i]);
}

/* All but the engine and the hold on the runtime.  Returns 0 or an errno value. */
static int resolver_new(async_resolver_t **out, async_runtime_t *runtime, uintptr_t key,
                        const async_resolver_options_t *options)
{
    async_resolver_t *resolver = port_zalloc(1, sizeof(*resolver));
    int err;

    if (resolver == NULL)
        return ENOMEM;
    resolver->options = *options;
    resolver->options.servers = NULL;
    resolver->options.engine = NULL;
    init_fields(resolver, runtime, key);
    err = port_mutex_init(&resolver->lock);
    if (err != 0) {
        port_free(resolver);
        return err;
    }
    err = init_tables(resolver);
    *out = resolver;
    return err;
}

static void resolver_discard(async_resolver_t *resolver)
{
    resolver_cache_free(&resolver->cache);
    resolver_table_free(&resolver->queries);
    resolver_table_free(&resolver->requests);
    port_mutex_destroy(&resolver->lock);
    port_free(resolver);
}

static int create(async_resolver_t **out, async_runtime_t *runtime, uintptr_t key,
                  const async_resolver_options_t *given)
{
    async_resolver_options_t options;
    const resolver_engine_t *engine;
    int err = take_options(&options, given);

    if (err != 0)
        return err;
    engine = resolver_engine_find(options.engine);
    if (engine == NULL)
        return ENOTSUP;
    err = port_fork_watch();
    if (err != 0)
        return err;
    *out = NULL;
    err = resolver_new(out, runtime, key, &options);
    if (err == 0) {
        (*out)->engine = engine;
        err = engine->open(*out, &options);
    }
    if (err != 0) {
        if (*out != NULL)
            resolver_discard(*out);
        return err;
    }
    runtime_hold(runtime);
    return 0;
}

async_resolver_t *async_resolver_create(async_runtime_t *runtime, uintptr_t completion_key,
                                        const async_resolver_options_t *options)
{
    async_resolver_t *resolver;
    int saved = errno, err;

    if (runtime == NULL)
        return port_fail_null(EINVAL);
    if (runtime_is_inherited(runtime))
        return port_fail_null(EPERM);
    err = create(&resolver, runtime, completion_key, options);
    if (err != 0)
        return port_fail_null(err);
    errno = saved;
    return resolver;
}

/* Frees the requests of a list; those that are open leave their queries alone. */
static void free_requests(resolver_link_t *list)
{
    resolver_link_t *link;

    while ((link = resolver_list_first(list)) != NULL) {
        resolver_request_t *request = PORT_CONTAINER(link, resolver_request_t, place);

        resolver_list_remove(&request->place);
        if (request->query != NULL)
            resolver_list_remove(&request->asker);
        resolver_request_free(request);
    }
}

/* Lets go of all but what the engine has.  Lock held. */
static void let_go(async_resolver_t *resolver)
{
    resolver->closed = true;
    free_requests(&resolver->open);
    free_requests(&resolver->finished);
    resolver_table_free(&resolver->requests);
    for (int i = 0; i < RESOLVER_CLASSES; i++) {
        resolver_link_t *link;

        while ((link = resolver_list_first(&resolver->waiting[i])) != NULL)
            resolver_query_free(resolver, PORT_CONTAINER(link, resolver_query_t, place));
    }
    resolver_cache_clear(&resolver->cache);
}

/*
 * In the child of a fork the threads are not there, and neither are their references.  If one of
 * them was inside when the process was copied, all is left as it is.
 */
static void destroy_inherited(async_resolver_t *resolver)
{
    resolver_table_node_t *node;

    if (!port_mutex_trylock(&resolver->lock))
        return;
    let_go(resolver);
    while ((node = resolver_table_any(&resolver->queries)) != NULL) {
        resolver_query_t *query = PORT_CONTAINER(node, resolver_query_t, node);

        /* its place may be in a list of the engine's: out of the table only */
        resolver_table_remove(&resolver->queries, node);
        port_free(query);
    }
    /* relaxed: this process has one thread */
    atomic_store_explicit(
        &resolver->refs,
        1 + atomic_load_explicit(&resolver->announcement.posted, memory_order_relaxed),
        memory_order_relaxed);
    port_mutex_unlock(&resolver->lock);
    resolver_drop(resolver);
}

void async_resolver_destroy(async_resolver_t *resolver)
{
    int saved = errno;

    if (resolver == NULL)
        return;
    if (resolver_is_inherited(resolver)) {
        destroy_inherited(resolver);
        errno = saved;
        return;
    }
    port_mutex_lock(&resolver->lock);
    let_go(resolver);
    resolver->engine->close(resolver);
    resolver_timer_close(resolver);
    port_mutex_unlock(&resolver->lock);
    resolver_drop(resolver);
    errno = saved;
}

/* A request with copies of what was asked. */
static resolver_request_t *request_new(const char *host, const char *service, void *context)
{
    size_t host_size = host != NULL ? strlen(host) + 1 : 0;
    size_t service_size = service != NULL ? strlen(service) + 1 : 0;
    resolver_request_t *request = port_zalloc(1, sizeof(*request) + host_size + service_size);
    char *strings;

    if (request == NULL)
        return NULL;
    strings = (char *)(request + 1);
    if (host != NULL)
        request->result.host = memcpy(strings, host, host_size);
    if (service != NULL)
        request->result.service = memcpy(strings + host_size, service, service_size);
    request->result.context = context;
    request->by_id.key = &request->result.request_id;
    request->by_id.key_size = sizeof(request->result.request_id);
    resolver_list_init(&request->place);
    resolver_list_init(&request->asker);
    return request;
}

static uint64_t id_hash(const async_resolver_t *resolver, uint64_t id)
{
    return resolver_hash(&id, sizeof(id), resolver->seed);
}

static void admit(async_resolver_t *resolver, resolver_request_t *request)
{
    request->result.request_id = ++resolver->last_id;
    request->by_id.hash = id_hash(resolver, request->result.request_id);
}

/* Answers from the cache.  Lock held. */
static bool answer_cached(async_resolver_t *resolver, resolver_request_t *request,
                          const resolver_question_t *question, const resolver_key_t *key,
                          uint64_t now)
{
    async_resolver_stats_t *stats = &resolver->stats;
    resolver_cache_entry_t *entry = resolver_cache_find(&resolver->cache, key, now);
    resolver_outcome_t outcome;

    if (entry == NULL)
        return false;
    outcome = (resolver_outcome_t){.status = entry->status, .answer = entry->answer};
    request->result.flags |= ASYNC_RESOLVER_FROM_CACHE;
    resolver_request_finish(resolver, request, &outcome,
                            entry->status == 0 ? &stats->completed : &stats->failed);
    if (question->reverse)
        stats->reverse_hits++;
    else
        stats->forward_hits++;
    if (entry->status != 0)
        stats->negative_hits++;
    resolver_query_renew(resolver, entry, question, key, now);
    return true;
}

/* A request that cannot be answered at once.  Lock held.  Returns 0, EAGAIN or ENOMEM. */
static int enqueue(async_resolver_t *resolver, resolver_request_t *request,
                   const resolver_question_t *question, const resolver_key_t *key, uint64_t now)
{
    uint64_t timeout_ms = resolver->options.timeout_ms;
    int err;

    request->deadline =
        timeout_ms == 0 ? PORT_DEADLINE_NEVER : port_clock_after(now, resolver_ms(timeout_ms));
    err = resolver_timer_arm(resolver, request->deadline);
    if (err == 0)
        err = resolver_query_join(resolver, request, question, key);
    if (err != 0)
        return err;
    if (question->reverse)
        resolver->stats.reverse_misses++;
    else
        resolver->stats.forward_misses++;
    return 0;
}

/* The end of lookup and reverse.  Returns the id or 0. */
static uint64_t ask(async_resolver_t *resolver, resolver_request_t *request,
                    const resolver_question_t *question, int saved)
{
    resolver_outcome_t outcome = {.status = 0};
    bool numeric = resolver_numeric_answer(question, &outcome), finished = numeric;
    resolver_key_t key;
    uint64_t id, now;
    int err = 0;

    if (!numeric)
        resolver_question_key(question, resolver->seed, &key);
    now = port_clock_now();
    port_mutex_lock(&resolver->lock);
    admit(resolver, request);
    id = request->result.request_id;
    if (numeric)
        resolver_request_finish(resolver, request, &outcome,
                                outcome.status == 0 ? &resolver->stats.completed
                                                    : &resolver->stats.failed);
    else if (answer_cached(resolver, request, question, &key, now))
        finished = true;
    else
        err = enqueue(resolver, request, question, &key, now);
    if (err == 0)
        resolver->stats.admitted++;
    else
        resolver->stats.rejected++;
    port_mutex_unlock(&resolver->lock);
    resolver_answer_drop(outcome.answer);
    if (err != 0) {
        resolver_request_free(request);
        port_error_set(err);
        return 0;
    }
    if (finished)
        resolver_announce(resolver);
    errno = saved;
    return id;
}

/* Returns 0 after counting what was refused. */
static uint64_t refuse(async_resolver_t *resolver, int err)
{
    port_mutex_lock(&resolver->lock);
    resolver->stats.rejected++;
    port_mutex_unlock(&resolver->lock);
    port_error_set(err);
    return 0;
}

uint64_t async_resolver_lookup(async_resolver_t *resolver, const char *host, const char *service,
                               const struct addrinfo *hints, void *context)
{
    resolver_question_t question;
    resolver_request_t *request;
    int saved = errno;

    if (resolver == NULL || (host == NULL && service == NULL)) {
        port_error_set(EINVAL);
        return 0;
    }
    if (resolver_is_inherited(resolver)) {
        port_error_set(EPERM);
        return 0;
    }
    request = request_new(host, service, context);
    if (request == NULL)
        return refuse(resolver, ENOMEM);
    resolver_question_lookup(&question, host, service, hints);
    return ask(resolver, request, &question, saved);
}

uint64_t async_resolver_reverse(async_resolver_t *resolver, const struct sockaddr *address,
                                socklen_t length, void *context)
{
    resolver_question_t question;
    resolver_request_t *request;
    int saved = errno, err;

    if (resolver == NULL || address == NULL) {
        port_error_set(EINVAL);
        return 0;
    }
    if (resolver_is_inherited(resolver)) {
        port_error_set(EPERM);
        return 0;
    }
    err = resolver_question_reverse(&question, address, length);
    if (err != 0) {
        port_error_set(err);
        return 0;
    }
    request = request_new(NULL, NULL, context);
    if (request == NULL)
        return refuse(resolver, ENOMEM);
    return ask(resolver, request, &question, saved);
}

int async_resolver_cancel(async_resolver_t *resolver, uint64_t request_id)
{
    resolver_table_node_t *node;
    int saved = errno;

    if (resolver == NULL)
        return port_fail(EINVAL);
    if (resolver_is_inherited(resolver))
        return port_fail(EPERM);
    port_mutex_lock(&resolver->lock);
    node = resolver_table_find(&resolver->requests, &request_id, sizeof(request_id),
                               id_hash(resolver, request_id));
    if (node != NULL)
        resolver_request_abandon(resolver, PORT_CONTAINER(node, resolver_request_t, by_id),
                                 ECANCELED);
    port_mutex_unlock(&resolver->lock);
    if (node == NULL)
        return port_fail(ENOENT);
    resolver_announce(resolver);
    return port_result(0, saved);
}

async_resolver_result_t *async_resolver_next(async_resolver_t *resolver)
{
    resolver_link_t *link;

    if (resolver == NULL)
        return port_fail_null(EINVAL);
    if (resolver_is_inherited(resolver))
        return port_fail_null(EPERM);
    port_mutex_lock(&resolver->lock);
    link = resolver_list_first(&resolver->finished);
    if (link != NULL)
        resolver_list_remove(link);
    port_mutex_unlock(&resolver->lock);
    if (link == NULL)
        return port_fail_null(EAGAIN);
    return &PORT_CONTAINER(link, resolver_request_t, place)->result;
}

void async_resolver_free_result(async_resolver_result_t *result)
{
    if (result != NULL)
        resolver_request_free(PORT_CONTAINER(result, resolver_request_t, result));
}

void async_resolver_clear_cache(async_resolver_t *resolver)
{
    if (resolver == NULL || resolver_is_inherited(resolver))
        return;
    port_mutex_lock(&resolver->lock);
    resolver_cache_clear(&resolver->cache);
    port_mutex_unlock(&resolver->lock);
}

void async_resolver_get_stats(const async_resolver_t *resolver, async_resolver_stats_t *stats)
{
    /* the lock is no part of what the caller sees of the resolver */
    async_resolver_t *self = (async_resolver_t *)(uintptr_t)resolver;

    if (stats == NULL)
        return;
    memset(stats, 0, sizeof(*stats));
    if (resolver == NULL || resolver_is_inherited(resolver))
        return;
    port_mutex_lock(&self->lock);
    *stats = self->stats;
    stats->in_flight = self->in_flight;
    stats->cached = self->cache.table.count;
    port_mutex_unlock(&self->lock);
}

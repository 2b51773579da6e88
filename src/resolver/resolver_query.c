/* SPDX-License-Identifier: MIT */
#include "port/port_compiler.h"
#include "port/port_memory.h"
#include "resolver/resolver_core.h"
#include "resolver/resolver_engine.h"

#include <errno.h>
#include <string.h>

static resolver_query_t *query_of_place(resolver_link_t *link)
{
    return link == NULL ? NULL : PORT_CONTAINER(link, resolver_query_t, place);
}

static char *put_name(char **end, const char *name)
{
    size_t size = strlen(name) + 1;
    char *copy = memcpy(*end, name, size);

    *end += size;
    return copy;
}

/* A waiting query with its own copies of the question and the key. */
static resolver_query_t *query_new(async_resolver_t *resolver, const resolver_question_t *question,
                                   const resolver_key_t *key, resolver_class_t class_of)
{
    size_t host = question->host != NULL ? strlen(question->host) + 1 : 0;
    size_t service = question->service != NULL ? strlen(question->service) + 1 : 0;
    resolver_query_t *query = port_zalloc(1, sizeof(*query) + host + service + key->size);
    char *end;

    if (query == NULL)
        return NULL;
    end = (char *)(query + 1);
    query->question = *question;
    if (question->host != NULL)
        query->question.host = put_name(&end, question->host);
    if (question->service != NULL)
        query->question.service = put_name(&end, question->service);
    query->node.key = memcpy(end, key->bytes, key->size);
    query->node.key_size = key->size;
    query->node.hash = key->hash;
    query->class_of = class_of;
    query->sequence = ++resolver->last_sequence;
    resolver_list_init(&query->askers);
    resolver_list_append(&resolver->waiting[class_of], &query->place);
    if (class_of != RESOLVER_REFRESH)
        resolver->waiting_count++;
    resolver_table_insert(&resolver->queries, &query->node);
    return query;
}

void resolver_query_free(async_resolver_t *resolver, resolver_query_t *query)
{
    resolver_table_remove(&resolver->queries, &query->node);
    resolver_list_remove(&query->place);
    if (!query->started && query->class_of != RESOLVER_REFRESH)
        resolver->waiting_count--;
    port_free(query);
}

static size_t quota(const async_resolver_t *resolver, resolver_class_t class_of)
{
    const async_resolver_options_t *options = &resolver->options;
    size_t cap = class_of == RESOLVER_FORWARD   ? options->forward_quota
                 : class_of == RESOLVER_REVERSE ? options->reverse_quota
                                                : options->refresh_quota;

    return cap != 0 ? cap : SIZE_MAX;
}

/* The first of the class, if its quota lets it start. */
static resolver_query_t *startable(const async_resolver_t *resolver, resolver_class_t class_of)
{
    if (resolver->running[class_of] >= quota(resolver, class_of))
        return NULL;
    return query_of_place(resolver_list_first(&resolver->waiting[class_of]));
}

/* The oldest that may start; renewals, for which nobody waits, come last. */
static resolver_query_t *next_query(const async_resolver_t *resolver)
{
    resolver_query_t *forward = startable(resolver, RESOLVER_FORWARD);
    resolver_query_t *reverse = startable(resolver, RESOLVER_REVERSE);

    if (forward != NULL && reverse != NULL)
        return forward->sequence < reverse->sequence ? forward : reverse;
    if (forward != NULL || reverse != NULL)
        return forward != NULL ? forward : reverse;
    return startable(resolver, RESOLVER_REFRESH);
}

/* Starts what may start.  Returns 0, or why the engine could not start one. */
static int schedule(async_resolver_t *resolver)
{
    size_t limit = resolver->options.max_in_flight;

    if (limit > resolver->engine_limit)
        limit = resolver->engine_limit;
    while (resolver->in_flight < limit) {
        resolver_query_t *query = next_query(resolver);
        int err;

        if (query == NULL)
            break;
        resolver_list_remove(&query->place);
        err = resolver->engine->start(resolver, query);
        if (err != 0) {
            /* it stays the first of its class */
            resolver_list_insert_after(&resolver->waiting[query->class_of], &query->place);
            return err;
        }
        query->started = true;
        if (query->class_of != RESOLVER_REFRESH)
            resolver->waiting_count--;
        resolver->running[query->class_of]++;
        resolver->in_flight++;
    }
    return 0;
}

static void hang(async_resolver_t *resolver, resolver_request_t *request, resolver_query_t *query)
{
    request->query = query;
    resolver_list_append(&query->askers, &request->asker);
    /* all have the same timeout, so this one's deadline is the last */
    resolver_list_append(&resolver->open, &request->place);
    resolver_table_insert(&resolver->requests, &request->by_id);
    query->asked = true;
}

/* A waiting renewal for which somebody waits now is a query like others. */
static void promote(async_resolver_t *resolver, resolver_query_t *query, resolver_class_t class_of)
{
    resolver_list_remove(&query->place);
    query->class_of = class_of;
    query->sequence = ++resolver->last_sequence;
    resolver_list_append(&resolver->waiting[class_of], &query->place);
    resolver->waiting_count++;
    schedule(resolver);
}

int resolver_query_join(async_resolver_t *resolver, resolver_request_t *request,
                        const resolver_question_t *question, const resolver_key_t *key)
{
    resolver_class_t class_of = question->reverse ? RESOLVER_REVERSE : RESOLVER_FORWARD;
    resolver_table_node_t *node =
        resolver_table_find(&resolver->queries, key->bytes, key->size, key->hash);
    size_t queue_limit = resolver->options.queue_limit;
    resolver_query_t *query;
    int err;

    if (node != NULL) {
        query = PORT_CONTAINER(node, resolver_query_t, node);
        if (query->asked) {
            request->result.flags |= ASYNC_RESOLVER_COALESCED;
            resolver->stats.coalesced++;
        }
        hang(resolver, request, query);
        if (!query->started && query->class_of == RESOLVER_REFRESH)
            promote(resolver, query, class_of);
        return 0;
    }
    query = query_new(resolver, question, key, class_of);
    if (query == NULL)
        return ENOMEM;
    err = schedule(resolver);
    if (!query->started) {
        /* with something in flight its end starts the next; with nothing, nobody would */
        if (err == 0 || resolver->in_flight != 0)
            err = queue_limit != 0 && resolver->waiting_count > queue_limit ? EAGAIN : 0;
        if (err != 0) {
            resolver_query_free(resolver, query);
            return err;
        }
    }
    hang(resolver, request, query);
    return 0;
}

void resolver_query_renew(async_resolver_t *resolver, resolver_cache_entry_t *entry,
                          const resolver_question_t *question, const resolver_key_t *key,
                          uint64_t now)
{
    resolver_query_t *query;

    if (resolver->options.refresh_ms == 0 || entry->renewed ||
        entry->expires - now > resolver_ms(resolver->options.refresh_ms) ||
        resolver_table_find(&resolver->queries, key->bytes, key->size, key->hash) != NULL)
        return;
    query = query_new(resolver, question, key, RESOLVER_REFRESH);
    if (query == NULL)
        return;
    if (schedule(resolver) != 0 && !query->started && resolver->in_flight == 0) {
        resolver_query_free(resolver, query);
        return;
    }
    entry->renewed = true;
    resolver->stats.refreshes++;
}

/* Keeps the outcome for as long as the options and the engine allow. */
static void keep(async_resolver_t *resolver, const resolver_query_t *query,
                 const resolver_outcome_t *outcome)
{
    const async_resolver_options_t *options = &resolver->options;
    uint64_t ttl_ms;

    if (outcome->status == 0)
        ttl_ms = query->question.reverse ? options->reverse_ttl_ms : options->forward_ttl_ms;
    else if (resolver_is_negative(outcome->status))
        ttl_ms = options->negative_ttl_ms;
    else
        return;
    if (ttl_ms > outcome->ttl_ms)
        ttl_ms = outcome->ttl_ms;
    if (ttl_ms == 0)
        return;
    resolver_cache_store(&resolver->cache, query->node.key, query->node.key_size, query->node.hash,
                         outcome, port_clock_after(port_clock_now(), resolver_ms(ttl_ms)));
}

bool resolver_query_settle(async_resolver_t *resolver, resolver_query_t *query,
                           resolver_outcome_t *outcome)
{
    uint64_t *counter = outcome->status == 0 ? &resolver->stats.completed : &resolver->stats.failed;
    resolver_link_t *link;
    bool finished = false;

    if (!resolver->closed)
        keep(resolver, query, outcome);
    while ((link = resolver_list_first(&query->askers)) != NULL) {
        resolver_request_finish(resolver, PORT_CONTAINER(link, resolver_request_t, asker), outcome,
                                counter);
        finished = true;
    }
    resolver_answer_drop(outcome->answer);
    resolver->running[query->class_of]--;
    resolver->in_flight--;
    resolver_query_free(resolver, query);
    if (!resolver->closed)
        schedule(resolver);
    return finished;
}

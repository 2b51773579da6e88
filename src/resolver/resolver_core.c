/* SPDX-License-Identifier: MIT */
#include "resolver/resolver_core.h"
#include "port/port_compiler.h"
#include "port/port_fork.h"
#include "port/port_memory.h"
#include "resolver/resolver_engine.h"

#include <errno.h>

void resolver_hold(async_resolver_t *resolver)
{
    /* relaxed: whoever holds has a reference already */
    atomic_fetch_add_explicit(&resolver->refs, 1, memory_order_relaxed);
}

void resolver_drop(async_resolver_t *resolver)
{
    /* acq_rel: the last drop sees what the holders before it did */
    if (atomic_fetch_sub_explicit(&resolver->refs, 1, memory_order_acq_rel) != 1)
        return;
    resolver->engine->free(resolver, resolver_is_inherited(resolver));
    resolver_cache_free(&resolver->cache);
    resolver_table_free(&resolver->queries);
    resolver_table_free(&resolver->requests);
    port_mutex_destroy(&resolver->lock);
    runtime_drop(resolver->runtime);
    port_free(resolver);
}

int resolver_start_thread(async_resolver_t *resolver, port_thread_proc_t main, const char *name)
{
    port_thread_attr_t attr = {.name = name, .block_signals = true};
    port_thread_t thread;
    int err;

    resolver_hold(resolver);
    err = port_thread_create(&thread, main, resolver, &attr);
    if (err != 0) {
        resolver_drop(resolver);
        return err;
    }
    port_thread_detach(&thread);
    return 0;
}

void resolver_announce(async_resolver_t *resolver)
{
    /* the queued announcement has a reference of its own, which its `done` drops */
    resolver_hold(resolver);
    if (!runtime_post_merged(resolver->runtime, &resolver->announcement))
        resolver_drop(resolver);
}

void resolver_request_free(resolver_request_t *request)
{
    resolver_answer_drop(request->answer);
    port_free(request);
}

/* An open request leaves its query and the index. */
static void leave(async_resolver_t *resolver, resolver_request_t *request)
{
    if (request->query == NULL)
        return;
    resolver_list_remove(&request->asker);
    resolver_list_remove(&request->place);
    resolver_table_remove(&resolver->requests, &request->by_id);
    request->query = NULL;
}

void resolver_request_finish(async_resolver_t *resolver, resolver_request_t *request,
                             const resolver_outcome_t *outcome, uint64_t *counter)
{
    async_resolver_result_t *result = &request->result;

    leave(resolver, request);
    result->status = outcome->status;
    result->error = outcome->error;
    if (outcome->answer != NULL) {
        resolver_answer_hold(outcome->answer);
        request->answer = outcome->answer;
        result->addresses = outcome->answer->addresses;
        if (outcome->answer->host != NULL) {
            result->host = outcome->answer->host;
            result->service = outcome->answer->service;
        }
    }
    resolver_list_append(&resolver->finished, &request->place);
    ++*counter;
}

void resolver_request_abandon(async_resolver_t *resolver, resolver_request_t *request, int err)
{
    resolver_query_t *query = request->query;
    resolver_outcome_t outcome = {.status = EAI_SYSTEM, .error = err};

    resolver_request_finish(resolver, request, &outcome,
                            err == ETIMEDOUT ? &resolver->stats.timed_out
                                             : &resolver->stats.cancelled);
    if (!query->started && resolver_list_empty(&query->askers))
        resolver_query_free(resolver, query);
}

bool resolver_is_inherited(const async_resolver_t *resolver)
{
    return resolver->generation != port_fork_generation();
}

uint64_t resolver_ms(uint64_t ms)
{
    return ms > UINT64_MAX / PORT_NS_PER_MS ? UINT64_MAX : ms * PORT_NS_PER_MS;
}

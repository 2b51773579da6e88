/* SPDX-License-Identifier: MIT */
/*
 * resolver_core.h - the resolver: its requests, its queries, and how they meet
 *
 * 1. A request is one call of lookup or reverse.  It is also its result: one block, allocated at
 *    admission, so that no accepted request can lose its result for want of memory.
 * 2. A query is one question put to the engine.  Requests with an equal question hang on one query;
 *    a renewal is a query without askers.
 * 3. A request leaves its query when it is cancelled or timed out.  A query that still waits goes
 *    with its last asker; one that is under way stays, in its place among max_in_flight, until the
 *    engine settles it, and its late answer is kept in the cache.
 * 4. The resolver goes with its last reference: the owner's, one of each thread, and one of the
 *    announcement while it is queued at the runtime.
 */
#ifndef RESOLVER_CORE_H
#define RESOLVER_CORE_H

#include "port/port_eventcount.h"
#include "port/port_clock.h"
#include "port/port_mutex.h"
#include "port/port_thread.h"
#include "resolver/resolver_answer.h"
#include "resolver/resolver_cache.h"
#include "resolver/resolver_list.h"
#include "resolver/resolver_question.h"
#include "resolver/resolver_table.h"
#include "runtime/runtime_node.h"

typedef struct resolver_engine resolver_engine_t;

typedef enum resolver_class {
    RESOLVER_FORWARD,
    RESOLVER_REVERSE,
    RESOLVER_REFRESH,
    RESOLVER_CLASSES
} resolver_class_t;

/* Until it is handed out all of it is under the resolver's lock; then it is the caller's. */
typedef struct resolver_request {
    async_resolver_result_t result; /* the strings of a lookup stand behind this structure */
    resolver_table_node_t by_id;    /* while open */
    resolver_link_t place;          /* in open or in finished */
    resolver_link_t asker;          /* while open: in its query's askers */
    struct resolver_query *query;   /* while open; else NULL */
    uint64_t deadline;
    resolver_answer_t *answer; /* a reference for what result points to, or NULL */
} resolver_request_t;

typedef struct resolver_query {
    resolver_question_t question; /* set once; the strings stand behind this structure */
    resolver_table_node_t node;   /* in queries; the key stands behind this structure */
    resolver_link_t place;        /* in waiting, then the engine's; under the lock */
    resolver_link_t askers;       /* under the lock */
    uint64_t sequence;            /* of admission; under the lock */
    resolver_class_t class_of;    /* under the lock */
    bool started;                 /* the engine has it; under the lock */
    bool asked;                   /* has had an asker; under the lock */
} resolver_query_t;

struct async_resolver {
    /* set by create */
    async_runtime_t *runtime; /* held */
    const resolver_engine_t *engine;
    async_resolver_options_t options; /* servers and engine are NULL: they were the caller's */
    uint64_t seed;                    /* of the keys' hashes */
    uint32_t generation;              /* of port_fork_generation() */
    void *engine_state;               /* the engine says how it is guarded */
    size_t engine_limit;              /* queries at a time */

    _Atomic uint32_t refs;
    runtime_node_t announcement; /* merged: posting it takes no lock */
    port_mutex_t lock;

    /* under the lock */
    bool closed;                               /* destroy has been called */
    uint64_t last_id, last_sequence;           /* 0: none yet */
    resolver_table_t requests;                 /* open ones, by id */
    resolver_link_t open;                      /* the same in the order of their deadlines */
    resolver_link_t finished;                  /* results in the order of their ends */
    resolver_table_t queries;                  /* waiting and under way, by key */
    resolver_link_t waiting[RESOLVER_CLASSES]; /* queries in the order of admission */
    size_t waiting_count;                      /* without the renewals */
    size_t running[RESOLVER_CLASSES];
    size_t in_flight; /* the sum of running */
    resolver_cache_t cache;
    async_resolver_stats_t stats; /* the counters only */

    /* the thread that ends requests at their deadlines; under the lock */
    bool timer_running;
    uint64_t timer_wakes;          /* when it looks again by itself */
    port_eventcount_t timer_sleep; /* notified after a change that it must see before that */
};

/* ---- resolver_core.c */

void resolver_hold(async_resolver_t *resolver);
void resolver_drop(async_resolver_t *resolver);

/* A detached thread that holds the resolver, which `main` gets and drops at its end.  The caller
 * has a reference too.  0 or an errno value. */
int resolver_start_thread(async_resolver_t *resolver, port_thread_proc_t main, const char *name);

/* Tells the runtime that results are there.  No lock held. */
void resolver_announce(async_resolver_t *resolver);

/* Frees a request that has ended or was never admitted. */
void resolver_request_free(resolver_request_t *request);

/*
 * The request becomes a result: it takes a reference of the outcome's answer, and goes from its
 * query, if it is open, to finished.  counter: what it counts as.  Lock held; announce after
 * unlocking.
 */
void resolver_request_finish(async_resolver_t *resolver, resolver_request_t *request,
                             const resolver_outcome_t *outcome, uint64_t *counter);

/* The same for one that is cancelled or has timed out: err is ECANCELED or ETIMEDOUT.  Its query
 * goes too if it waits and nobody else asks.  Lock held. */
void resolver_request_abandon(async_resolver_t *resolver, resolver_request_t *request, int err);

/* Whether this process is the child of a fork and the resolver the parent's. */
bool resolver_is_inherited(const async_resolver_t *resolver);

/* ms milliseconds as nanoseconds, cut where they would wrap. */
uint64_t resolver_ms(uint64_t ms);

/* ---- resolver_query.c; all with the lock held */

/*
 * Hangs an open request on the query for its question, which is made if there is none.  Returns 0,
 * EAGAIN (too many wait, or no thread can be had), ENOMEM; on failure the request is on no query.
 */
int resolver_query_join(async_resolver_t *resolver, resolver_request_t *request,
                        const resolver_question_t *question, const resolver_key_t *key);

/* Asks again behind the caller's back for an entry that is close to its end. */
void resolver_query_renew(async_resolver_t *resolver, resolver_cache_entry_t *entry,
                          const resolver_question_t *question, const resolver_key_t *key,
                          uint64_t now);

/*
 * The engine's: the query has ended and is freed.  Consumes the outcome's answer.  Starts what
 * waits. Returns whether to call resolver_announce() after unlocking.
 */
bool resolver_query_settle(async_resolver_t *resolver, resolver_query_t *query,
                           resolver_outcome_t *outcome);

/* Frees a query that the engine does not have. */
void resolver_query_free(async_resolver_t *resolver, resolver_query_t *query);

/* ---- resolver_timer.c; with the lock held */

/* Makes sure that somebody looks at the deadlines at `deadline`.  Returns 0, EAGAIN or ENOMEM. */
int resolver_timer_arm(async_resolver_t *resolver, uint64_t deadline);

/* After `closed` has been set. */
void resolver_timer_close(async_resolver_t *resolver);

/* ---- resolver_numeric.c; no lock */

/* Answers a lookup that needs neither a thread nor the cache.  Returns whether it did. */
bool resolver_numeric_answer(const resolver_question_t *question, resolver_outcome_t *outcome);

/* The outcome of getaddrinfo()'s return; frees the list. */
void resolver_outcome_of_list(resolver_outcome_t *outcome, int status, int error,
                              struct addrinfo *list);

#endif /* RESOLVER_CORE_H */

/* SPDX-License-Identifier: MIT */
/*
 * resolver_engine.h - what answers the queries: the system's getaddrinfo() in threads, or c-ares
 *
 * An engine is a source file and a line in the table of resolver_engine.c.  The resolver above it
 * decides which query starts when; the engine starts it and settles it once.  An engine's threads
 * each hold the resolver, so that one which is stuck in a lookup finds its memory when it returns.
 */
#ifndef RESOLVER_ENGINE_H
#define RESOLVER_ENGINE_H

#include "resolver/resolver_core.h"

struct resolver_engine {
    const char *name;

    /*
     * In create: sets engine_state, and engine_limit if it can do only so many queries at a time.
     * No lock held, nobody else knows the resolver.  Starts no thread.  Returns 0, EINVAL (a bad
     * list of servers), ENOMEM or another errno value; on failure nothing is left to free.
     */
    int (*open)(async_resolver_t *resolver, const async_resolver_options_t *options);

    /*
     * Starts the query; it comes back by resolver_query_settle() in a thread of the engine, never
     * from inside this call.  Until then its `place` is the engine's.  Lock held; must not block.
     * Returns 0, or EAGAIN or ENOMEM when it cannot be started now; cannot fail in a thread of the
     * engine that has just settled another query.
     */
    int (*start)(async_resolver_t *resolver, resolver_query_t *query);

    /*
     * In destroy: `closed` has been set.  Settles, as cancelled, what no thread has begun; lets the
     * threads go.  Lock held; must not block.
     */
    void (*close)(async_resolver_t *resolver);

    /*
     * Frees engine_state; no thread of the engine is left.  inherited: in the child of a fork,
     * where the threads' own memory is in an unknown state and stays as it is.
     */
    void (*free)(async_resolver_t *resolver, bool inherited);
};

/* The name, or if it is NULL or empty ASYNCRT_RESOLVER, or libc.  NULL: not built in. */
const resolver_engine_t *resolver_engine_find(const char *name);

extern const resolver_engine_t resolver_engine_libc;
extern const resolver_engine_t resolver_engine_cares;

/* An engine's thread without work ends after it. */
#define RESOLVER_LINGER_NS (10u * (uint64_t)PORT_NS_PER_S)

#endif /* RESOLVER_ENGINE_H */

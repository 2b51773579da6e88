/* SPDX-License-Identifier: MIT */
/*
 * cares_query.h - one query with c-ares, with the answer that the system's getaddrinfo() would give
 */
#ifndef CARES_QUERY_H
#define CARES_QUERY_H

#include "resolver/resolver_core.h"

#include <ares.h>

/* Of the thread that has the channel. */
typedef struct cares_work {
    size_t active; /* queries that c-ares has */
    bool asking;   /* inside the call that asks: an answer that comes now is a local file's */
} cares_work_t;

/*
 * Asks; the query is settled when the answer is there, perhaps from inside this call.  In the
 * thread that has the channel, without the lock.
 */
void cares_query_ask(async_resolver_t *resolver, ares_channel channel, resolver_query_t *query,
                     cares_work_t *work);

#endif /* CARES_QUERY_H */

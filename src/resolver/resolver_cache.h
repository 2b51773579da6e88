/* SPDX-License-Identifier: MIT */
/*
 * resolver_cache.h - answers that are kept for a while; the one asked for longest ago goes first
 *
 * Not locked.  Times are nanoseconds of the monotonic clock, passed in.
 */
#ifndef RESOLVER_CACHE_H
#define RESOLVER_CACHE_H

#include "resolver/resolver_answer.h"
#include "resolver/resolver_list.h"
#include "resolver/resolver_question.h"
#include "resolver/resolver_table.h"

typedef struct resolver_cache_entry {
    resolver_table_node_t node; /* its key stands behind this structure */
    resolver_link_t recent;
    uint64_t expires;
    int status;                /* 0, or a negative answer */
    bool renewed;              /* a renewal has been started for it */
    resolver_answer_t *answer; /* status 0: one reference */
} resolver_cache_entry_t;

typedef struct resolver_cache {
    resolver_table_t table;
    resolver_link_t recent; /* most recently used first */
    size_t limit;
} resolver_cache_t;

int resolver_cache_init(resolver_cache_t *cache, size_t limit); /* 0 or ENOMEM */
void resolver_cache_free(resolver_cache_t *cache);
void resolver_cache_clear(resolver_cache_t *cache);

/* An entry that has not expired, now the most recently used one, or NULL.  An expired one goes. */
resolver_cache_entry_t *resolver_cache_find(resolver_cache_t *cache, const resolver_key_t *key,
                                            uint64_t now);

/*
 * Keeps the outcome under the key, in place of what is there; the answer's reference stays the
 * caller's.  Without memory nothing is kept, the older entry included.
 */
void resolver_cache_store(resolver_cache_t *cache, const void *key, size_t key_size, uint64_t hash,
                          const resolver_outcome_t *outcome, uint64_t expires);

#endif /* RESOLVER_CACHE_H */

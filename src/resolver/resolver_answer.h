/* SPDX-License-Identifier: MIT */
/*
 * resolver_answer.h - what a query found: one block that results and the cache share
 *
 * An answer does not change once it is made, so that any thread may read it; it goes with its last
 * reference.
 */
#ifndef RESOLVER_ANSWER_H
#define RESOLVER_ANSWER_H

#include "resolver/resolver_system.h"

#include <stdatomic.h>

#include <stdint.h>

typedef struct resolver_answer {
    _Atomic uint32_t refs;      /* any thread */
    struct addrinfo *addresses; /* of a lookup; in this block */
    const char *host, *service; /* of a reverse request; in this block */
} resolver_answer_t;

/* How a query ended. */
typedef struct resolver_outcome {
    int status;                /* 0 or an EAI_* value */
    int error;                 /* with EAI_SYSTEM: an errno value */
    uint64_t ttl_ms;           /* how long the engine allows it to be kept */
    resolver_answer_t *answer; /* status 0: owned by the outcome; else NULL */
} resolver_outcome_t;

#define RESOLVER_TTL_ANY UINT64_MAX

/* Copies; one reference for the caller.  NULL: no memory. */
resolver_answer_t *resolver_answer_of_addresses(const struct addrinfo *list);
resolver_answer_t *resolver_answer_of_names(const char *host, const char *service);

void resolver_answer_hold(resolver_answer_t *answer);
void resolver_answer_drop(resolver_answer_t *answer); /* NULL is ignored */

#endif /* RESOLVER_ANSWER_H */

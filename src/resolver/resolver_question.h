/* SPDX-License-Identifier: MIT */
/*
 * resolver_question.h - what is asked, and the key under which equal questions meet
 */
#ifndef RESOLVER_QUESTION_H
#define RESOLVER_QUESTION_H

#include "resolver/resolver_system.h"

#include <stdint.h>

/* The pointers are the asker's, or of the query that has copied them. */
typedef struct resolver_question {
    bool reverse;
    bool has_hints; /* getaddrinfo() treats no hints unlike hints of zeros */
    int flags, family, socktype, protocol;
    const char *host, *service; /* lookup: as asked, NULL if not given */
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } address; /* reverse */
    socklen_t length;
} resolver_question_t;

#define RESOLVER_KEY_MAX (32u + RESOLVER_HOST_MAX + RESOLVER_SERVICE_MAX)

/* All that changes the answer, as bytes; the host in lower case. */
typedef struct resolver_key {
    uint64_t hash;
    size_t size;
    unsigned char bytes[RESOLVER_KEY_MAX];
} resolver_key_t;

/* The names must not be longer than the maxima. */
void resolver_question_key(const resolver_question_t *question, uint64_t seed, resolver_key_t *key);

/* hints may be NULL. */
void resolver_question_lookup(resolver_question_t *question, const char *host, const char *service,
                              const struct addrinfo *hints);

/* Returns 0, EINVAL (too short) or EAFNOSUPPORT. */
int resolver_question_reverse(resolver_question_t *question, const struct sockaddr *address,
                              socklen_t length);

/* The hints as getaddrinfo() takes them, in space; NULL for none. */
const struct addrinfo *resolver_question_hints(const resolver_question_t *question,
                                               struct addrinfo *space);

#endif /* RESOLVER_QUESTION_H */

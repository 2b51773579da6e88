/* SPDX-License-Identifier: MIT */
#include "resolver/resolver_question.h"
#include "resolver/resolver_table.h"

#include <errno.h>
#include <string.h>

static void put(resolver_key_t *key, const void *data, size_t size)
{
    memcpy(key->bytes + key->size, data, size);
    key->size += size;
}

/* A name with its end, so that no two questions give the same bytes; the presence stands apart. */
static void put_name(resolver_key_t *key, const char *name, bool fold)
{
    for (; name != NULL && *name != '\0'; name++) {
        unsigned char c = (unsigned char)*name;

        /* ASCII only: DNS knows no other case, whatever the locale says */
        if (fold && c >= 'A' && c <= 'Z')
            c = (unsigned char)(c - 'A' + 'a');
        key->bytes[key->size++] = c;
    }
    key->bytes[key->size++] = '\0';
}

static void put_address(resolver_key_t *key, const resolver_question_t *question)
{
    if (question->address.any.sa_family == AF_INET) {
        put(key, &question->address.in.sin_port, sizeof(question->address.in.sin_port));
        put(key, &question->address.in.sin_addr, sizeof(question->address.in.sin_addr));
    } else {
        put(key, &question->address.in6.sin6_port, sizeof(question->address.in6.sin6_port));
        put(key, &question->address.in6.sin6_addr, sizeof(question->address.in6.sin6_addr));
        put(key, &question->address.in6.sin6_scope_id, sizeof(question->address.in6.sin6_scope_id));
    }
}

void resolver_question_key(const resolver_question_t *question, uint64_t seed, resolver_key_t *key)
{
    unsigned char shape =
        (unsigned char)((question->reverse ? 1 : 0) | (question->has_hints ? 2 : 0) |
                        (question->host != NULL ? 4 : 0) | (question->service != NULL ? 8 : 0));

    key->size = 0;
    put(key, &shape, 1);
    if (question->reverse) {
        put_address(key, question);
    } else {
        put(key, &question->flags, sizeof(question->flags));
        put(key, &question->family, sizeof(question->family));
        put(key, &question->socktype, sizeof(question->socktype));
        put(key, &question->protocol, sizeof(question->protocol));
        put_name(key, question->host, true);
        put_name(key, question->service, false);
    }
    key->hash = resolver_hash(key->bytes, key->size, seed);
}

void resolver_question_lookup(resolver_question_t *question, const char *host, const char *service,
                              const struct addrinfo *hints)
{
    memset(question, 0, sizeof(*question));
    question->host = host;
    question->service = service;
    if (hints == NULL)
        return;
    question->has_hints = true;
    question->flags = hints->ai_flags;
    question->family = hints->ai_family;
    question->socktype = hints->ai_socktype;
    question->protocol = hints->ai_protocol;
}

int resolver_question_reverse(resolver_question_t *question, const struct sockaddr *address,
                              socklen_t length)
{
    size_t needed, family_end = offsetof(struct sockaddr, sa_family) + sizeof(address->sa_family);

    if ((size_t)length < family_end)
        return EINVAL;
    if (address->sa_family == AF_INET)
        needed = sizeof(struct sockaddr_in);
    else if (address->sa_family == AF_INET6)
        needed = sizeof(struct sockaddr_in6);
    else
        return EAFNOSUPPORT;
    if ((size_t)length < needed)
        return EINVAL;
    memset(question, 0, sizeof(*question));
    question->reverse = true;
    memcpy(&question->address, address, needed);
    question->length = (socklen_t)needed;
    return 0;
}

const struct addrinfo *resolver_question_hints(const resolver_question_t *question,
                                               struct addrinfo *space)
{
    if (!question->has_hints)
        return NULL;
    memset(space, 0, sizeof(*space));
    space->ai_flags = question->flags;
    space->ai_family = question->family;
    space->ai_socktype = question->socktype;
    space->ai_protocol = question->protocol;
    return space;
}

/* SPDX-License-Identifier: MIT */
/*
 * c-ares finds the addresses; what getaddrinfo() makes of the hints and the service is asked of the
 * system's own, with a numeric address in the place of the name.  Its answer is the pattern: one
 * entry for each type of socket, with the port.  Each address found is then put into each entry,
 * and bad hints and unknown services fail as they do with the libc engine.
 */
#include "port/port_memory.h"
#include "resolver/cares_query.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct cares_ask {
    async_resolver_t *resolver;
    resolver_query_t *query;
    cares_work_t *work;
    struct addrinfo *pattern; /* the system's, to be freed by freeaddrinfo() */
    bool mapped, all;         /* IPv4 addresses as IPv6 ones: if there are no others; always */
} cares_ask_t;

static int status_of(int rc)
{
    switch (rc) {
    case ARES_SUCCESS:
        return 0;
    case ARES_ENODATA:
        return RESOLVER_EAI_NODATA;
    case ARES_ENOTFOUND:
    case ARES_EBADNAME:
    case ARES_ENONAME:
        return EAI_NONAME;
    case ARES_ESERVFAIL:
    case ARES_EREFUSED:
    case ARES_ENOTIMP:
    case ARES_ETIMEOUT:
    case ARES_ECONNREFUSED:
        return EAI_AGAIN;
    case ARES_ENOMEM:
        return EAI_MEMORY;
    case ARES_EBADFAMILY:
        return EAI_FAMILY;
    case ARES_ECANCELLED:
    case ARES_EDESTRUCTION:
        return EAI_SYSTEM;
    default:
        return EAI_FAIL;
    }
}

static void settle(async_resolver_t *resolver, resolver_query_t *query, resolver_outcome_t *outcome)
{
    bool announce;

    if (outcome->status == EAI_SYSTEM && outcome->error == 0)
        outcome->error = ECANCELED;
    port_mutex_lock(&resolver->lock);
    announce = resolver_query_settle(resolver, query, outcome);
    port_mutex_unlock(&resolver->lock);
    if (announce)
        resolver_announce(resolver);
}

static void ask_end(cares_ask_t *ask, resolver_outcome_t *outcome)
{
    ask->work->active--;
    settle(ask->resolver, ask->query, outcome);
    if (ask->pattern != NULL)
        freeaddrinfo(ask->pattern);
    port_free(ask);
}

/* ---- names */

static bool wanted(const cares_ask_t *ask, const struct ares_addrinfo *found,
                   const struct ares_addrinfo_node *node)
{
    if (node->ai_family == AF_INET6 || !ask->mapped || ask->all)
        return true;
    for (const struct ares_addrinfo_node *other = found->nodes; other; other = other->ai_next) {
        if (other->ai_family == AF_INET6)
            return false;
    }
    return true;
}

/* The address of a node with the port of a pattern. */
static socklen_t put_address(const cares_ask_t *ask, struct sockaddr_storage *space,
                             const struct ares_addrinfo_node *node, const struct addrinfo *pattern)
{
    /* the port stands at the same place for both families */
    in_port_t port = ((const struct sockaddr_in *)(const void *)pattern->ai_addr)->sin_port;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)space;

    memset(space, 0, sizeof(*space));
    if (node->ai_family == AF_INET && ask->mapped) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)node->ai_addr;

        in6->sin6_family = AF_INET6;
        in6->sin6_port = port;
        in6->sin6_addr.s6_addr[10] = 0xff;
        in6->sin6_addr.s6_addr[11] = 0xff;
        memcpy(&in6->sin6_addr.s6_addr[12], &in->sin_addr, sizeof(in->sin_addr));
        return sizeof(*in6);
    }
    memcpy(space, node->ai_addr, (size_t)node->ai_addrlen);
    if (node->ai_family == AF_INET6)
        in6->sin6_port = port;
    else
        ((struct sockaddr_in *)space)->sin_port = port;
    return (socklen_t)node->ai_addrlen;
}

/* What getaddrinfo() calls the canonical name. */
static char *canonical_name(const cares_ask_t *ask, const struct ares_addrinfo *found)
{
    const struct ares_addrinfo_cname *cname = found->cnames;

    if (!ask->query->question.has_hints || (ask->query->question.flags & AI_CANONNAME) == 0)
        return NULL;
    while (cname != NULL && cname->next != NULL)
        cname = cname->next;
    if (cname != NULL && cname->name != NULL)
        return cname->name;
    return found->name != NULL ? found->name : (char *)(uintptr_t)ask->query->question.host;
}

typedef struct cares_entry {
    struct addrinfo info;
    struct sockaddr_storage address;
} cares_entry_t;

/* Each address found in each entry of the pattern. */
static int combine(const cares_ask_t *ask, const struct ares_addrinfo *found,
                   resolver_answer_t **answer)
{
    size_t nodes = 0, patterns = 0, count = 0;
    cares_entry_t *entries;

    for (const struct ares_addrinfo_node *node = found->nodes; node; node = node->ai_next)
        nodes++;
    for (const struct addrinfo *pattern = ask->pattern; pattern; pattern = pattern->ai_next)
        patterns++;
    if (nodes == 0)
        return RESOLVER_EAI_NODATA;
    entries = port_zalloc(nodes * patterns, sizeof(*entries));
    if (entries == NULL)
        return EAI_MEMORY;
    for (const struct ares_addrinfo_node *node = found->nodes; node; node = node->ai_next) {
        if (!wanted(ask, found, node))
            continue;
        for (const struct addrinfo *pattern = ask->pattern; pattern; pattern = pattern->ai_next) {
            cares_entry_t *entry = &entries[count++];

            entry->info = *pattern;
            entry->info.ai_flags = ask->query->question.flags;
            entry->info.ai_addrlen = put_address(ask, &entry->address, node, pattern);
            entry->info.ai_addr = (struct sockaddr *)&entry->address;
            entry->info.ai_family = entry->address.ss_family;
            entry->info.ai_canonname = NULL;
            entry->info.ai_next = NULL;
            if (count > 1)
                entries[count - 2].info.ai_next = &entry->info;
        }
    }
    entries[0].info.ai_canonname = canonical_name(ask, found);
    *answer = resolver_answer_of_addresses(&entries[0].info);
    port_free(entries);
    return *answer != NULL ? 0 : EAI_MEMORY;
}

static uint64_t time_to_live(const cares_ask_t *ask, const struct ares_addrinfo *found)
{
    int ttl = INT_MAX;

    /* a file knows no times */
    if (ask->work->asking)
        return RESOLVER_TTL_ANY;
    for (const struct ares_addrinfo_node *node = found->nodes; node; node = node->ai_next)
        ttl = node->ai_ttl < ttl ? node->ai_ttl : ttl;
    for (const struct ares_addrinfo_cname *cname = found->cnames; cname; cname = cname->next)
        ttl = cname->ttl < ttl ? cname->ttl : ttl;
    return ttl > 0 ? (uint64_t)ttl * 1000 : 0;
}

static void addresses_found(void *arg, int rc, int timeouts, struct ares_addrinfo *found)
{
    cares_ask_t *ask = arg;
    resolver_outcome_t outcome = {.status = status_of(rc), .ttl_ms = RESOLVER_TTL_ANY};

    (void)timeouts;
    if (outcome.status == 0) {
        outcome.ttl_ms = time_to_live(ask, found);
        outcome.status = combine(ask, found, &outcome.answer);
    }
    if (found != NULL)
        ares_freeaddrinfo(found);
    ask_end(ask, &outcome);
}

/* Whether the host has an address of the family, as AI_ADDRCONFIG means it. */
static bool configured(int family)
{
    struct addrinfo hints = {.ai_family = family, .ai_flags = AI_NUMERICHOST | AI_ADDRCONFIG};
    struct addrinfo *list = NULL;
    int status = getaddrinfo(family == AF_INET ? "127.0.0.1" : "::1", NULL, &hints, &list);

    if (status == 0)
        freeaddrinfo(list);
    return status != EAI_NONAME;
}

/* The family to ask for.  Returns 0 or an EAI_* value. */
static int family_of(cares_ask_t *ask, int *family)
{
    const resolver_question_t *question = &ask->query->question;
    bool in, in6;

    *family = question->family;
    if ((question->flags & AI_ADDRCONFIG) != 0) {
        in = configured(AF_INET);
        in6 = configured(AF_INET6);
        if (*family == AF_UNSPEC && in != in6)
            *family = in ? AF_INET : AF_INET6;
        else if ((*family == AF_INET && !in) || (*family == AF_INET6 && !in6))
            return EAI_NONAME;
    }
    if (question->family == AF_INET6 && (question->flags & AI_V4MAPPED) != 0) {
        ask->mapped = true;
        ask->all = (question->flags & AI_ALL) != 0;
        *family = AF_UNSPEC;
    }
    return 0;
}

/* Returns 0 or an EAI_* value. */
static int make_pattern(cares_ask_t *ask)
{
    const int elsewhere = AI_ADDRCONFIG | AI_V4MAPPED | AI_ALL;
    const resolver_question_t *question = &ask->query->question;
    struct addrinfo hints;

    memset(&hints, 0, sizeof(hints));
    resolver_question_hints(question, &hints);
    hints.ai_flags = (hints.ai_flags & ~elsewhere) | AI_NUMERICHOST;
    if (hints.ai_family == AF_UNSPEC)
        hints.ai_family = AF_INET;
    return getaddrinfo(hints.ai_family == AF_INET6 ? "::1" : "127.0.0.1", question->service, &hints,
                       &ask->pattern);
}

static void ask_addresses(ares_channel channel, cares_ask_t *ask)
{
    struct ares_addrinfo_hints hints;
    resolver_outcome_t outcome = {.ttl_ms = RESOLVER_TTL_ANY};
    int family;

    outcome.status = make_pattern(ask);
    outcome.error = outcome.status == EAI_SYSTEM ? errno : 0;
    if (outcome.status == 0)
        outcome.status = family_of(ask, &family);
    if (outcome.status != 0) {
        ask_end(ask, &outcome);
        return;
    }
    memset(&hints, 0, sizeof(hints));
    hints.ai_family = family;
    hints.ai_flags = ARES_AI_CANONNAME;
    ares_getaddrinfo(channel, ask->query->question.host, NULL, &hints, addresses_found, ask);
}

/* ---- addresses */

static void name_found(void *arg, int rc, int timeouts, char *host, char *service)
{
    cares_ask_t *ask = arg;
    const resolver_question_t *question = &ask->query->question;
    resolver_outcome_t outcome = {.status = status_of(rc), .ttl_ms = RESOLVER_TTL_ANY};
    char port[RESOLVER_SERVICE_MAX + 1];

    (void)timeouts;
    (void)service;
    if (outcome.status == RESOLVER_EAI_NODATA)
        outcome.status = EAI_NONAME;
    if (outcome.status == 0 && host == NULL)
        outcome.status = EAI_NONAME;
    if (outcome.status == 0) {
        outcome.status =
            getnameinfo(&question->address.any, question->length, NULL, 0, port, sizeof(port), 0);
        outcome.error = outcome.status == EAI_SYSTEM ? errno : 0;
    }
    if (outcome.status == 0) {
        outcome.answer = resolver_answer_of_names(host, port);
        if (outcome.answer == NULL)
            outcome.status = EAI_MEMORY;
    }
    ask_end(ask, &outcome);
}

static void ask_name(ares_channel channel, cares_ask_t *ask)
{
    const resolver_question_t *question = &ask->query->question;
    const struct sockaddr *address = &question->address.any;
    ares_socklen_t length = question->length;
    struct sockaddr_in in;

    /* an IPv4 address in an IPv6 coat has its name as the former */
    if (address->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&question->address.in6.sin6_addr)) {
        memset(&in, 0, sizeof(in));
        in.sin_family = AF_INET;
        in.sin_port = question->address.in6.sin6_port;
        memcpy(&in.sin_addr, &question->address.in6.sin6_addr.s6_addr[12], sizeof(in.sin_addr));
        address = (const struct sockaddr *)&in;
        length = sizeof(in);
    }
    ares_getnameinfo(channel, address, length, ARES_NI_LOOKUPHOST | ARES_NI_NAMEREQD, name_found,
                     ask);
}

void cares_query_ask(async_resolver_t *resolver, ares_channel channel, resolver_query_t *query,
                     cares_work_t *work)
{
    cares_ask_t *ask = port_zalloc(1, sizeof(*ask));

    if (ask == NULL) {
        resolver_outcome_t outcome = {.status = EAI_MEMORY};

        settle(resolver, query, &outcome);
        return;
    }
    ask->resolver = resolver;
    ask->query = query;
    ask->work = work;
    work->active++;
    work->asking = true;
    if (query->question.reverse)
        ask_name(channel, ask);
    else
        ask_addresses(channel, ask);
    work->asking = false;
}

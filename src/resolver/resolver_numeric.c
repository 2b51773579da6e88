/* SPDX-License-Identifier: MIT */
/*
 * Lookups that getaddrinfo() answers from what it is given, and at most the local list of services:
 * they need no thread.
 */
#include "resolver/resolver_core.h"

#include <errno.h>
#include <string.h>

void resolver_outcome_of_list(resolver_outcome_t *outcome, int status, int error,
                              struct addrinfo *list)
{
    memset(outcome, 0, sizeof(*outcome));
    outcome->ttl_ms = RESOLVER_TTL_ANY;
    outcome->status = status;
    if (status == EAI_SYSTEM)
        outcome->error = error;
    if (status != 0)
        return;
    outcome->answer = resolver_answer_of_addresses(list);
    if (outcome->answer == NULL)
        outcome->status = EAI_MEMORY;
    freeaddrinfo(list);
}

/* Whether getaddrinfo() might take it for an address: IPv6, or whatever inet_aton() knows. */
static bool looks_numeric(const char *host)
{
    if (strchr(host, ':') != NULL)
        return true;
    return host[0] >= '0' && host[0] <= '9' && host[strspn(host, "0123456789abcdefABCDEFxX.")] == 0;
}

/* Whatever is wrong with the rest of the question. */
static bool is_address(const char *host)
{
    struct addrinfo hints, *list = NULL;

    memset(&hints, 0, sizeof(hints));
    hints.ai_flags = AI_NUMERICHOST;
    if (getaddrinfo(host, NULL, &hints, &list) != 0)
        return false;
    freeaddrinfo(list);
    return true;
}

bool resolver_numeric_answer(const resolver_question_t *question, resolver_outcome_t *outcome)
{
    const char *host = question->host, *service = question->service;
    bool final = host == NULL || (question->flags & AI_NUMERICHOST) != 0;
    struct addrinfo hints, *list = NULL;
    int status;

    if (question->reverse)
        return false;
    outcome->ttl_ms = RESOLVER_TTL_ANY;
    if (host != NULL && (host[0] == '\0' || strlen(host) > RESOLVER_HOST_MAX)) {
        outcome->status = EAI_NONAME;
        return true;
    }
    if (service != NULL && strlen(service) > RESOLVER_SERVICE_MAX) {
        outcome->status = EAI_SERVICE;
        return true;
    }
    if (!final && !looks_numeric(host))
        return false;
    memset(&hints, 0, sizeof(hints));
    resolver_question_hints(question, &hints);
    hints.ai_flags |= AI_NUMERICHOST;
    status = getaddrinfo(host, service, &hints, &list);
    /* "no such name" says that it is no address after all, or something about the service */
    if (!final && status == EAI_NONAME && !is_address(host))
        return false;
    resolver_outcome_of_list(outcome, status, errno, list);
    return true;
}

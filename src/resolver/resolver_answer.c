/* SPDX-License-Identifier: MIT */
#include "resolver/resolver_answer.h"
#include "port/port_memory.h"

#include <stdalign.h>
#include <string.h>

static size_t rounded(size_t size)
{
    return (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
}

static size_t name_size(const char *name)
{
    return name != NULL ? strlen(name) + 1 : 0;
}

/* Appends a copy of name at *end, or NULL for NULL. */
static char *put_name(char **end, const char *name)
{
    size_t size = name_size(name);
    char *copy = *end;

    if (size == 0)
        return NULL;
    memcpy(copy, name, size);
    *end += size;
    return copy;
}

/* The answer's structures come first, aligned; the strings fill the rest of the block. */
resolver_answer_t *resolver_answer_of_addresses(const struct addrinfo *list)
{
    size_t fixed = rounded(sizeof(resolver_answer_t)), strings = 0;
    resolver_answer_t *answer;
    struct addrinfo **link;
    char *block, *end;

    for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next) {
        fixed += rounded(sizeof(*ai)) + rounded((size_t)ai->ai_addrlen);
        strings += name_size(ai->ai_canonname);
    }
    block = port_zalloc(1, fixed + strings);
    if (block == NULL)
        return NULL;
    answer = (resolver_answer_t *)(void *)block;
    atomic_init(&answer->refs, 1);
    end = block + fixed;
    block += rounded(sizeof(*answer));
    link = &answer->addresses;
    for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next) {
        struct addrinfo *copy = (struct addrinfo *)(void *)block;

        *copy = *ai;
        block += rounded(sizeof(*copy));
        copy->ai_addr = (struct sockaddr *)(void *)block;
        memcpy(copy->ai_addr, ai->ai_addr, (size_t)ai->ai_addrlen);
        block += rounded((size_t)ai->ai_addrlen);
        copy->ai_canonname = put_name(&end, ai->ai_canonname);
        copy->ai_next = NULL;
        *link = copy;
        link = &copy->ai_next;
    }
    return answer;
}

resolver_answer_t *resolver_answer_of_names(const char *host, const char *service)
{
    resolver_answer_t *answer =
        port_zalloc(1, sizeof(*answer) + name_size(host) + name_size(service));
    char *end;

    if (answer == NULL)
        return NULL;
    atomic_init(&answer->refs, 1);
    end = (char *)(answer + 1);
    answer->host = put_name(&end, host);
    answer->service = put_name(&end, service);
    return answer;
}

void resolver_answer_hold(resolver_answer_t *answer)
{
    /* relaxed: whoever holds has a reference already */
    atomic_fetch_add_explicit(&answer->refs, 1, memory_order_relaxed);
}

void resolver_answer_drop(resolver_answer_t *answer)
{
    /* acq_rel: the last drop sees what the holders before it did with the block */
    if (answer != NULL && atomic_fetch_sub_explicit(&answer->refs, 1, memory_order_acq_rel) == 1)
        port_free(answer);
}

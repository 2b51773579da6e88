/* SPDX-License-Identifier: MIT */
/*
 * resolver_list.h - doubly linked rings; a link that is in no list points to itself
 */
#ifndef RESOLVER_LIST_H
#define RESOLVER_LIST_H

#include <stdbool.h>

#include <stddef.h>

typedef struct resolver_link {
    struct resolver_link *prev, *next;
} resolver_link_t;

static inline void resolver_list_init(resolver_link_t *link)
{
    link->prev = link;
    link->next = link;
}

static inline bool resolver_list_empty(const resolver_link_t *list)
{
    return list->next == list;
}

static inline void resolver_list_insert_after(resolver_link_t *place, resolver_link_t *link)
{
    link->prev = place;
    link->next = place->next;
    place->next->prev = link;
    place->next = link;
}

static inline void resolver_list_append(resolver_link_t *list, resolver_link_t *link)
{
    resolver_list_insert_after(list->prev, link);
}

/* Out of whatever list it is in, or none. */
static inline void resolver_list_remove(resolver_link_t *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    resolver_list_init(link);
}

static inline resolver_link_t *resolver_list_first(const resolver_link_t *list)
{
    return list->next == list ? NULL : list->next;
}

#endif /* RESOLVER_LIST_H */

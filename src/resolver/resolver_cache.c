/* SPDX-License-Identifier: MIT */
#include "resolver/resolver_cache.h"
#include "port/port_compiler.h"
#include "port/port_memory.h"

#include <string.h>

static resolver_cache_entry_t *entry_of_node(resolver_table_node_t *node)
{
    return PORT_CONTAINER(node, resolver_cache_entry_t, node);
}

static resolver_cache_entry_t *entry_of_link(resolver_link_t *link)
{
    return PORT_CONTAINER(link, resolver_cache_entry_t, recent);
}

static void remove_entry(resolver_cache_t *cache, resolver_cache_entry_t *entry)
{
    resolver_table_remove(&cache->table, &entry->node);
    resolver_list_remove(&entry->recent);
    resolver_answer_drop(entry->answer);
    port_free(entry);
}

int resolver_cache_init(resolver_cache_t *cache, size_t limit)
{
    resolver_list_init(&cache->recent);
    cache->limit = limit;
    return resolver_table_init(&cache->table);
}

void resolver_cache_clear(resolver_cache_t *cache)
{
    resolver_link_t *link;

    while ((link = resolver_list_first(&cache->recent)) != NULL)
        remove_entry(cache, entry_of_link(link));
}

void resolver_cache_free(resolver_cache_t *cache)
{
    resolver_cache_clear(cache);
    resolver_table_free(&cache->table);
}

resolver_cache_entry_t *resolver_cache_find(resolver_cache_t *cache, const resolver_key_t *key,
                                            uint64_t now)
{
    resolver_table_node_t *node =
        resolver_table_find(&cache->table, key->bytes, key->size, key->hash);
    resolver_cache_entry_t *entry;

    if (node == NULL)
        return NULL;
    entry = entry_of_node(node);
    if (entry->expires <= now) {
        remove_entry(cache, entry);
        return NULL;
    }
    resolver_list_remove(&entry->recent);
    resolver_list_insert_after(&cache->recent, &entry->recent);
    return entry;
}

void resolver_cache_store(resolver_cache_t *cache, const void *key, size_t key_size, uint64_t hash,
                          const resolver_outcome_t *outcome, uint64_t expires)
{
    resolver_table_node_t *node = resolver_table_find(&cache->table, key, key_size, hash);
    resolver_cache_entry_t *entry;

    if (node != NULL)
        remove_entry(cache, entry_of_node(node));
    if (cache->limit == 0)
        return;
    entry = port_zalloc(1, sizeof(*entry) + key_size);
    if (entry == NULL)
        return;
    if (cache->table.count >= cache->limit)
        remove_entry(cache, entry_of_link(cache->recent.prev));
    memcpy(entry + 1, key, key_size);
    entry->node.key = entry + 1;
    entry->node.key_size = key_size;
    entry->node.hash = hash;
    entry->expires = expires;
    entry->status = outcome->status;
    entry->answer = outcome->answer;
    if (entry->answer != NULL)
        resolver_answer_hold(entry->answer);
    resolver_list_insert_after(&cache->recent, &entry->recent);
    resolver_table_insert(&cache->table, &entry->node);
}

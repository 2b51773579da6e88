/* SPDX-License-Identifier: MIT */
#include "resolver/resolver_table.h"
#include "port/port_memory.h"

#include <errno.h>
#include <string.h>

#define FIRST_BUCKETS 16u

int resolver_table_init(resolver_table_t *table)
{
    table->buckets = port_zalloc(FIRST_BUCKETS, sizeof(*table->buckets));
    table->mask = FIRST_BUCKETS - 1;
    table->count = 0;
    return table->buckets != NULL ? 0 : ENOMEM;
}

void resolver_table_free(resolver_table_t *table)
{
    port_free(table->buckets);
    table->buckets = NULL;
    table->count = 0;
}

uint64_t resolver_hash(const void *key, size_t size, uint64_t seed)
{
    const unsigned char *bytes = key;
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ seed;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    /* FNV's low bits, which choose the bucket, depend on too little: mix the high ones in */
    hash ^= hash >> 32;
    hash *= UINT64_C(0xd6e8feb86659fd93);
    return hash ^ hash >> 32;
}

resolver_table_node_t *resolver_table_find(const resolver_table_t *table, const void *key,
                                           size_t key_size, uint64_t hash)
{
    resolver_table_node_t *node = table->buckets[hash & table->mask];

    while (node != NULL && (node->hash != hash || node->key_size != key_size ||
                            memcmp(node->key, key, key_size) != 0))
        node = node->next;
    return node;
}

static void grow(resolver_table_t *table)
{
    size_t mask = table->mask * 2 + 1;
    resolver_table_node_t **buckets = port_zalloc(mask + 1, sizeof(*buckets));

    if (buckets == NULL)
        return;
    for (size_t i = 0; i <= table->mask; i++) {
        resolver_table_node_t *node = table->buckets[i], *next;

        for (; node != NULL; node = next) {
            next = node->next;
            node->next = buckets[node->hash & mask];
            buckets[node->hash & mask] = node;
        }
    }
    port_free(table->buckets);
    table->buckets = buckets;
    table->mask = mask;
}

void resolver_table_insert(resolver_table_t *table, resolver_table_node_t *node)
{
    if (table->count > table->mask)
        grow(table);
    node->next = table->buckets[node->hash & table->mask];
    table->buckets[node->hash & table->mask] = node;
    table->count++;
}

void resolver_table_remove(resolver_table_t *table, resolver_table_node_t *node)
{
    resolver_table_node_t **place = &table->buckets[node->hash & table->mask];

    while (*place != node)
        place = &(*place)->next;
    *place = node->next;
    table->count--;
}

resolver_table_node_t *resolver_table_any(const resolver_table_t *table)
{
    if (table->count == 0)
        return NULL;
    for (size_t i = 0; i <= table->mask; i++) {
        if (table->buckets[i] != NULL)
            return table->buckets[i];
    }
    return NULL;
}

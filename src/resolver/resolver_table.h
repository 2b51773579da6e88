/* SPDX-License-Identifier: MIT */
/*
 * resolver_table.h - a hash table of nodes that their owners embed
 *
 * Keys are byte strings of the node's owner.  Inserting cannot fail: when there is no memory to
 * grow, chains become longer.  Not locked.
 */
#ifndef RESOLVER_TABLE_H
#define RESOLVER_TABLE_H

#include <stddef.h>

#include <stdint.h>

typedef struct resolver_table_node {
    struct resolver_table_node *next;
    const void *key; /* the owner's, unchanged while the node is in a table */
    size_t key_size;
    uint64_t hash;
} resolver_table_node_t;

typedef struct resolver_table {
    resolver_table_node_t **buckets;
    size_t mask; /* buckets - 1; a power of two */
    size_t count;
} resolver_table_t;

int resolver_table_init(resolver_table_t *table);  /* 0 or ENOMEM */
void resolver_table_free(resolver_table_t *table); /* the buckets; the nodes are their owners' */

/* Seeded, so that names which collide in one process do not in another. */
uint64_t resolver_hash(const void *key, size_t size, uint64_t seed);

resolver_table_node_t *resolver_table_find(const resolver_table_t *table, const void *key,
                                           size_t key_size, uint64_t hash);
void resolver_table_insert(resolver_table_t *table, resolver_table_node_t *node);
void resolver_table_remove(resolver_table_t *table, resolver_table_node_t *node);

/* Any node of the table, or NULL: to empty it. */
resolver_table_node_t *resolver_table_any(const resolver_table_t *table);

#endif /* RESOLVER_TABLE_H */

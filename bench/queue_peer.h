/* SPDX-License-Identifier: MIT */
/* queue_peer.h - what the queue's benchmark asks of each candidate */
#ifndef QUEUE_PEER_H
#define QUEUE_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum policy { POLICY_NONE, POLICY_DROP, POLICY_BLOCK };

#define HAS_PLAIN (1u << POLICY_NONE)
#define HAS_DROP (1u << POLICY_DROP)
#define HAS_BLOCK (1u << POLICY_BLOCK)
#define MANY 1000u

struct peer {
    const char *name;
    unsigned policies;      /* a bit for each policy that it has */
    unsigned producers_max; /* 1: single producer only */
    void *(*open)(size_t capacity, size_t size, enum policy policy); /* NULL: not installed */
    bool (*push)(void *queue, const void *data, size_t size);
    bool (*pop)(void *queue, void *data, size_t size);
    void (*close)(void *queue);
    uint64_t (*dropped)(void *queue); /* with POLICY_DROP */
};

#ifdef __cplusplus
extern "C" {
#endif

/* Each array ends with a NULL name. */
extern const struct peer c_peers[];      /* queue_peers_c.c */
extern const struct peer vyukov_peers[]; /* queue_peers_vyukov.c */
extern const struct peer dpdk_peers[];   /* queue_peers_dpdk.c */
extern const struct peer list_peers[];   /* queue_peers_list.c */
extern const struct peer cxx_peers[];    /* queue_peers.cc */

/* Zeroed, at the start of a line; free() takes it. */
void *peer_allocate(size_t size);

#ifdef __cplusplus
}
#endif

#endif /* QUEUE_PEER_H */

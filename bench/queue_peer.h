/* SPDX-License-Identifier: MIT */
/* queue_peer.h - what the queue's benchmark asks of each candidate */
#ifndef QUEUE_PEER_H
#define QUEUE_PEER_H

#include <stdbool.h>
#include <stddef.h>

enum policy { POLICY_NONE, POLICY_DROP, POLICY_BLOCK };

struct peer {
    const char *name;
    unsigned policies;      /* a bit for each policy that it has */
    unsigned producers_max; /* 1: single producer only */
    void *(*open)(size_t capacity, size_t size, enum policy policy);
    bool (*push)(void *queue, const void *data, size_t size);
    bool (*pop)(void *queue, void *data, size_t size);
    void (*close)(void *queue);
    size_t (*bytes)(size_t capacity, size_t size); /* memory; NULL: not known */
};

#ifdef __cplusplus
extern "C" {
#endif

/* Those written in C, and those in C++ (queue_peers.cc); each array ends with a NULL name. */
extern const struct peer c_peers[];
extern const struct peer cxx_peers[];

#ifdef __cplusplus
}
#endif

#endif /* QUEUE_PEER_H */

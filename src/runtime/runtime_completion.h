/* SPDX-License-Identifier: MIT */
/*
 * runtime_completion.h - completions on their way from any thread to the loop thread
 *
 * Two sources, merged so that the posts of one thread stay in order:
 *
 * 1. Posted completions: an unbounded ring of cells, many producers, one consumer.  A poster claims
 *    a ticket (the tail) by compare and exchange, fills the ticket's cell and publishes it by
 *    storing the ticket's number there.  Cells live in chunks; a directory, which only grows, says
 *    where the chunk of a ticket is.  There are chunks for all tickets below `end`.  Who finds no
 *    chunk adds one under a lock before it claims, so that a ticket is never claimed without
 *    memory.  The consumer moves a chunk that it has emptied behind the last one: no allocation in
 *    the steady state.  A poster stopped between claim and publication holds up those behind it.
 *
 * 2. Nodes, which their posters own: a stack that the consumer takes whole and turns round.  A node
 *    is stamped with the tail at its post: it is delivered after all tickets below its stamp, and
 *    before any other.
 */
#ifndef RUNTIME_COMPLETION_H
#define RUNTIME_COMPLETION_H

#include "port/port_compiler.h"
#include "port/port_mutex.h"
#include "runtime/runtime_node.h"

#include <stdatomic.h>

#define COMPLETION_CHUNK 128u /* cells; a power of two */

/* Bits of a node's `posted`. */
#define NODE_POSTED 1u
#define NODE_WITHDRAWN 2u

typedef struct completion_cell {
    _Atomic uint64_t published; /* ticket + 1 once key and data are those of the ticket */
    uintptr_t key;
    uintptr_t data;
} completion_cell_t;

typedef struct completion_chunk {
    completion_cell_t cells[COMPLETION_CHUNK];
} completion_chunk_t;

typedef struct completion_directory completion_directory_t;
struct completion_directory {
    completion_directory_t *older; /* kept until the end: a slow poster may still look into it */
    uint64_t mask;
    /* The chunk of ticket t at [(t / COMPLETION_CHUNK) & mask].  Written under lock, before `end`
     * says so; read by holders of a ticket below `end` and by the consumer. */
    completion_chunk_t *chunks[];
};

typedef struct runtime_completions {
    /* Posters: the next ticket.  Each look of the loop thread takes the line away from them, and
     * the next post waits until it is back: it looks once for a batch, and once before. */
    _Alignas(PORT_CACHE_LINE) _Atomic uint64_t tail;

    /* Posters of nodes, and the loop thread that takes all: newest first. */
    _Alignas(PORT_CACHE_LINE) _Atomic(runtime_node_t *) nodes;

    /* Read by posters, written rarely: directory and end under lock; head_seen by the loop thread
     * with each chunk, and with each batch when there is a limit; limit constant. */
    _Alignas(PORT_CACHE_LINE) _Atomic uint64_t end;
    _Atomic(completion_directory_t *) directory;
    _Atomic uint64_t head_seen;
    size_t limit;
    port_mutex_t lock;

    /* The loop thread's. */
    _Alignas(PORT_CACHE_LINE) uint64_t head; /* the next ticket to deliver */
    uint64_t tail_seen;                      /* the tail, some time ago */
    completion_chunk_t *chunk;               /* that of head, NULL: to be looked up */
    runtime_node_t *first;                   /* taken nodes, oldest first, stamps ascending */
    runtime_node_t *last;
    size_t waiting;           /* their number */
    uint64_t nodes_taken;     /* so far */
    uint64_t nodes_discarded; /* of those: withdrawn before they were handed out */
    uint64_t delivered;
} runtime_completions_t;

int runtime_completion_open(runtime_completions_t *c, size_t limit);

/* Frees the ring; what is in it is lost.  Calls done for the nodes that the loop thread has taken
 * over.  inherited: the lock may be in any state. */
void runtime_completion_close(runtime_completions_t *c, bool inherited);

/* Calls done for every node that is still in the stack.  Any thread, once the runtime is closed. */
void runtime_completion_discard(runtime_completions_t *c);

/* Any thread: claims, fills, publishes.  0, EAGAIN or ENOMEM; keeps errno.  The caller looks
 * whether to wake. */
int runtime_completion_post(runtime_completions_t *c, uintptr_t key, uintptr_t data);

/* Any thread: queues a node. */
void runtime_completion_push(runtime_completions_t *c, runtime_node_t *node);

/* Loop thread: whether something can be delivered now. */
bool runtime_completion_ready(runtime_completions_t *c);

/* Loop thread: whether a ticket is claimed and not delivered, published or not.  When there is
 * none, after a store of SLEEPING, every later post looks at the state after that store. */
bool runtime_completion_claimed(const runtime_completions_t *c);

/* Loop thread: how many are posted and not yet delivered, about; for one who wants to know no more
 * than whether there are enough, at least that many when there are. */
size_t runtime_completion_backlog(runtime_completions_t *c, size_t enough);

/* Loop thread: nodes posted so far, and those not yet taken. */
uint64_t runtime_completion_nodes_posted(const runtime_completions_t *c, size_t *untaken);

/* Loop thread: moves up to max into events.  Returns how many. */
int runtime_completion_take(runtime_completions_t *c, async_event_t *events, int max);

#endif /* RUNTIME_COMPLETION_H */

/* SPDX-License-Identifier: MIT */
/*
 * runtime_node.h - how the other parts of the library post their completions to a runtime
 *
 * What the library owes (a worker's end, a job's result, a bound queue's messages) carries its node
 * inside, so that posting it cannot fail and does not allocate.  Nodes of one posting thread arrive
 * in order, also relative to its async_runtime_post_completion().
 */
#ifndef RUNTIME_NODE_H
#define RUNTIME_NODE_H

#include <asyncrt/async_runtime.h>

#include <stdatomic.h>

typedef struct runtime_node runtime_node_t;

struct runtime_node {
    /* The runtime's between post and done. */
    runtime_node_t *next;
    uint64_t stamp;
    _Atomic uint32_t posted; /* of runtime_post_merged: queued and not yet handed out */

    /* The poster's: set before the post, copied into the event. */
    uint32_t event_type; /* ASYNC_EVENT_COMPLETION */
    int32_t error;
    uintptr_t key;
    uintptr_t data;
    void *context;

    /*
     * Called once for each post, when the event has been copied out or is discarded because the
     * runtime has gone; may free the node.  Runs on the loop thread, in deinit, or, after deinit,
     * in the posting thread; under no lock.  Must not block.  NULL: nothing is to be done.
     */
    void (*done)(runtime_node_t *node);
};

/* Prepares a node; the caller sets key, data, context, error as it likes afterwards. */
static inline void runtime_node_init(runtime_node_t *node, uintptr_t key, void *context,
                                     void (*done)(runtime_node_t *node))
{
    node->next = NULL;
    node->stamp = 0;
    atomic_init(&node->posted, 0);
    node->event_type = ASYNC_EVENT_COMPLETION;
    node->error = 0;
    node->key = key;
    node->data = 0;
    node->context = context;
    node->done = done;
}

/* Any thread that holds the runtime, also beyond the node's done, which may run before this
 * returns.  The node must not be queued already.  Wakes a sleeping loop. */
void runtime_post_node(async_runtime_t *runtime, runtime_node_t *node);

/*
 * Any thread.  Posts the node unless it is queued and not yet handed out: one event may stand for
 * several posts, and always comes after the last of them.  `posted` is cleared before the event is
 * handed out, and before done is called.  Returns whether it was queued by this call.
 */
bool runtime_post_merged(async_runtime_t *runtime, runtime_node_t *node);

/*
 * Any thread: the event of a queued node will not be handed out; its done is called all the same
 * when its turn comes.  For a node of runtime_post_merged() only.
 */
void runtime_node_withdraw(runtime_node_t *node);

/*
 * The runtime's memory stays while somebody holds it; after async_runtime_deinit() posts to it are
 * discarded (done is called at once).  Any thread.
 */
void runtime_hold(async_runtime_t *runtime);
void runtime_drop(async_runtime_t *runtime);

/* Whether the runtime belongs to a parent of this process: calls with it fail with EPERM. */
bool runtime_is_inherited(const async_runtime_t *runtime);

#endif /* RUNTIME_NODE_H */

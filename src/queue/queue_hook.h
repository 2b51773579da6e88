/* SPDX-License-Identifier: MIT */
/*
 * queue_hook.h - how a part above the queue hears of messages (async_runtime_bind_queue)
 *
 * A bound queue has one hook, armed or not.  A message that becomes visible while the hook is armed
 * disarms it and calls announce; the consumer arms it again when it found the queue empty (EAGAIN),
 * and looks once more.  So announce runs once per filling of the queue, and no message is ever left
 * unannounced.
 */
#ifndef QUEUE_HOOK_H
#define QUEUE_HOOK_H

#include <asyncrt/async_queue.h>

#include <stdatomic.h>

typedef struct queue_hook queue_hook_t;

struct queue_hook {
    /*
     * Messages are there.  Called by a producer (any thread), by the consumer that re-arms, or by
     * queue_bind; under no lock; must not call into the queue, block or fail.  May still be called
     * by a producer that is on its way while queue_unbind runs.
     */
    void (*announce)(queue_hook_t *hook);
    /* The queue has let go of the hook and will not touch it again.  Called by async_queue_destroy.
     */
    void (*release)(queue_hook_t *hook);
    /* The rest is the queue's. */
    _Atomic uint32_t armed;
    queue_hook_t *next; /* hooks that were unbound and are kept until async_queue_destroy */
};

/* Binds hook and announces what is there already.  The hook is the queue's until release.  Returns
 * 0, or EEXIST when the queue has a hook. */
int queue_bind(async_queue_t *queue, queue_hook_t *hook);

/* Ends the announcements to hook; another may be bound.  The hook stays the queue's until release.
 */
void queue_unbind(async_queue_t *queue, queue_hook_t *hook);

#endif /* QUEUE_HOOK_H */

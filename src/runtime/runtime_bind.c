/* SPDX-License-Identifier: MIT */
/*
 * runtime_bind.c - a binding carries the queue's hook and the node that announces it
 *
 * It is held by the queue until its release, and by each announcement on its way.  What ends first
 * (queue or runtime) takes it out of the runtime's list, under the list's lock: so a queue that
 * deinit finds there is not gone yet, since its destroy would wait for the lock in release.
 */
#include "runtime/runtime_bind.h"
#include "port/port_error.h"
#include "port/port_memory.h"
#include "queue/queue_hook.h"
#include "runtime/runtime.h"

struct runtime_binding {
    queue_hook_t hook;
    runtime_node_t node;
    async_runtime_t *runtime; /* held */
    async_queue_t *queue;
    runtime_binding_t *next; /* next, link: under the list's lock; link NULL: not in the list */
    runtime_binding_t **link;
    _Atomic uint32_t refs;
};

static void binding_drop(runtime_binding_t *binding)
{
    async_runtime_t *runtime = binding->runtime;

    /* acq_rel: everybody's last use comes before the free */
    if (atomic_fetch_sub_explicit(&binding->refs, 1, memory_order_acq_rel) != 1)
        return;
    port_free(binding);
    runtime_drop(runtime);
}

/* Lock held. */
static void unlink_binding(runtime_binding_t *binding)
{
    if (binding->link == NULL)
        return;
    *binding->link = binding->next;
    if (binding->next != NULL)
        binding->next->link = binding->link;
    binding->link = NULL;
}

static void announcement_done(runtime_node_t *node)
{
    binding_drop(PORT_CONTAINER(node, runtime_binding_t, node));
}

static void announce(queue_hook_t *hook)
{
    runtime_binding_t *binding = PORT_CONTAINER(hook, runtime_binding_t, hook);

    atomic_fetch_add_explicit(&binding->refs, 1, memory_order_relaxed);
    if (!runtime_post_merged(binding->runtime, &binding->node))
        binding_drop(binding);
}

static void release(queue_hook_t *hook)
{
    runtime_binding_t *binding = PORT_CONTAINER(hook, runtime_binding_t, hook);
    async_runtime_t *runtime = binding->runtime;
    bool inherited = runtime_is_inherited(runtime);

    /* In the child of a fork a thread of the parent may have held the lock. */
    if (!inherited)
        port_mutex_lock(&runtime->bindings.lock);
    unlink_binding(binding);
    if (!inherited)
        port_mutex_unlock(&runtime->bindings.lock);
    /* Nobody wants to hear of a queue that is gone. */
    runtime_node_withdraw(&binding->node);
    binding_drop(binding);
}

static int bind(async_runtime_t *runtime, async_queue_t *queue, uintptr_t completion_key)
{
    runtime_binding_t *binding = port_zalloc(1, sizeof(*binding));
    int err;

    if (binding == NULL)
        return ENOMEM;
    binding->hook.announce = announce;
    binding->hook.release = release;
    runtime_node_init(&binding->node, completion_key, NULL, announcement_done);
    binding->runtime = runtime;
    binding->queue = queue;
    atomic_init(&binding->refs, 1);
    runtime_hold(runtime);
    port_mutex_lock(&runtime->bindings.lock);
    err = queue_bind(queue, &binding->hook);
    if (err == 0) {
        binding->next = runtime->bindings.first;
        binding->link = &runtime->bindings.first;
        if (binding->next != NULL)
            binding->next->link = &binding->next;
        runtime->bindings.first = binding;
    }
    port_mutex_unlock(&runtime->bindings.lock);
    if (err != 0)
        binding_drop(binding);
    return err;
}

void runtime_bindings_close(async_runtime_t *runtime, bool inherited)
{
    if (!inherited)
        port_mutex_lock(&runtime->bindings.lock);
    while (runtime->bindings.first != NULL) {
        runtime_binding_t *binding = runtime->bindings.first;

        unlink_binding(binding);
        queue_unbind(binding->queue, &binding->hook);
    }
    if (!inherited)
        port_mutex_unlock(&runtime->bindings.lock);
}

int async_runtime_bind_queue(async_runtime_t *runtime, async_queue_t *queue,
                             uintptr_t completion_key)
{
    int saved = errno, err = runtime_check_thread(runtime);

    if (err == 0 && queue == NULL)
        err = EINVAL;
    if (err == 0)
        err = bind(runtime, queue, completion_key);
    return port_result(err, saved);
}

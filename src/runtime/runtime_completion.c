/* SPDX-License-Identifier: MIT */
#include "runtime/runtime_completion.h"
#include "port/port_memory.h"

#include <errno.h>

/* Chunks that stay allocated for completions to come: 65,536 of them. */
#define KEEP_TICKETS (512u * COMPLETION_CHUNK)
#define FIRST_DIRECTORY 8u

/* How far ahead of a poster its cells are asked for: their lines were the loop thread's last, and a
 * poster's next claim waits until what it has stored is in its own.  Past the chunk's end the
 * instruction does nothing. */
#define PREFETCH_AHEAD (4 * PORT_CACHE_LINE)

int runtime_completion_open(runtime_completions_t *c, size_t limit)
{
    c->limit = limit;
    return port_mutex_init(&c->lock);
}

static void discard_list(runtime_node_t *node)
{
    while (node != NULL) {
        runtime_node_t *next = node->next;

        atomic_store_explicit(&node->posted, 0, memory_order_release);
        if (node->done != NULL)
            node->done(node);
        node = next;
    }
}

void runtime_completion_discard(runtime_completions_t *c)
{
    discard_list(atomic_exchange_explicit(&c->nodes, NULL, memory_order_seq_cst));
}

void runtime_completion_close(runtime_completions_t *c, bool inherited)
{
    completion_directory_t *directory = atomic_load_explicit(&c->directory, memory_order_acquire);
    uint64_t end = atomic_load_explicit(&c->end, memory_order_acquire);
    runtime_node_t *taken = c->first;

    c->first = c->last = NULL;
    c->waiting = 0;
    discard_list(taken);
    for (uint64_t t = c->head / COMPLETION_CHUNK * COMPLETION_CHUNK; t < end; t += COMPLETION_CHUNK)
        port_free(directory->chunks[(t / COMPLETION_CHUNK) & directory->mask]);
    while (directory != NULL) {
        completion_directory_t *older = directory->older;

        port_free(directory);
        directory = older;
    }
    atomic_store_explicit(&c->directory, NULL, memory_order_relaxed);
    atomic_store_explicit(&c->end, 0, memory_order_relaxed);
    if (!inherited)
        port_mutex_destroy(&c->lock);
}

/* Makes room for one more chunk in the directory.  Lock held. */
static completion_directory_t *directory_with_room(runtime_completions_t *c, uint64_t end)
{
    completion_directory_t *old = atomic_load_explicit(&c->directory, memory_order_relaxed);
    completion_directory_t *directory;
    /* The consumer's head moves on meanwhile; an older value only asks for more room. */
    uint64_t head = atomic_load_explicit(&c->head_seen, memory_order_acquire);
    uint64_t first = head / COMPLETION_CHUNK, past = end / COMPLETION_CHUNK;
    uint64_t size;

    if (old != NULL && past - first <= old->mask)
        return old;
    size = old == NULL ? FIRST_DIRECTORY : (old->mask + 1) * 2;
    directory = port_zalloc(1, sizeof(*directory) + (size_t)size * sizeof(directory->chunks[0]));
    if (directory == NULL)
        return NULL;
    directory->mask = size - 1;
    directory->older = old;
    for (uint64_t n = first; old != NULL && n < past; n++)
        directory->chunks[n & directory->mask] = old->chunks[n & old->mask];
    /* release: pairs with the acquire loads of directory; who has seen `end` sees it too */
    atomic_store_explicit(&c->directory, directory, memory_order_release);
    return directory;
}

/* Appends a chunk behind the last one.  Lock held, room in the directory. */
static void append_chunk(runtime_completions_t *c, completion_directory_t *directory, uint64_t end,
                         completion_chunk_t *chunk)
{
    directory->chunks[(end / COMPLETION_CHUNK) & directory->mask] = chunk;
    /* release: pairs with the acquire load of end in runtime_completion_post */
    atomic_store_explicit(&c->end, end + COMPLETION_CHUNK, memory_order_release);
}

/* Sees to it that `end` is above ticket. */
static int PORT_NOINLINE grow(runtime_completions_t *c, uint64_t ticket)
{
    completion_directory_t *directory;
    completion_chunk_t *chunk;
    uint64_t end;
    int saved = errno, err = 0;

    port_mutex_lock(&c->lock);
    end = atomic_load_explicit(&c->end, memory_order_relaxed);
    if (end <= ticket) {
        directory = directory_with_room(c, end);
        chunk = directory != NULL ? port_zalloc(1, sizeof(*chunk)) : NULL;
        if (chunk != NULL)
            append_chunk(c, directory, end, chunk);
        else
            err = ENOMEM;
    }
    port_mutex_unlock(&c->lock);
    errno = saved;
    return err;
}

int runtime_completion_post(runtime_completions_t *c, uintptr_t key, uintptr_t data)
{
    uint64_t ticket = atomic_load_explicit(&c->tail, memory_order_relaxed);
    completion_directory_t *directory;
    completion_cell_t *cell;

    for (;;) {
        /* A stale ticket may be behind the head: a signed difference; the exchange fails. */
        if (PORT_UNLIKELY(c->limit != 0)) {
            uint64_t head = atomic_load_explicit(&c->head_seen, memory_order_acquire);

            if ((int64_t)(ticket - head) >= 0 && ticket - head >= c->limit) {
                uint64_t now = atomic_load_explicit(&c->tail, memory_order_relaxed);

                if (now == ticket)
                    return EAGAIN;
                ticket = now;
                continue;
            }
        }
        /* acquire: pairs with the release in append_chunk; directory and chunk are there */
        if (PORT_UNLIKELY(ticket >= atomic_load_explicit(&c->end, memory_order_acquire))) {
            int err = grow(c, ticket);

            if (err != 0)
                return err;
            ticket = atomic_load_explicit(&c->tail, memory_order_relaxed);
            continue;
        }
        /* seq_cst: before the caller's look at the runtime's state, against the loop's store of
         * SLEEPING and its load in runtime_completion_claimed */
        if (atomic_compare_exchange_weak_explicit(&c->tail, &ticket, ticket + 1,
                                                  memory_order_seq_cst, memory_order_relaxed))
            break;
    }
    directory = atomic_load_explicit(&c->directory, memory_order_acquire);
    cell = &directory->chunks[(ticket / COMPLETION_CHUNK) & directory->mask]
                ->cells[ticket % COMPLETION_CHUNK];
    PORT_PREFETCH_OWN((uintptr_t)cell + PREFETCH_AHEAD);
    cell->key = key;
    cell->data = data;
    /* Releases key and data to the acquire loads of published. */
    atomic_store_explicit(&cell->published, ticket + 1, memory_order_release);
    return 0;
}

void runtime_completion_push(runtime_completions_t *c, runtime_node_t *node)
{
    runtime_node_t *top = atomic_load_explicit(&c->nodes, memory_order_relaxed);

    do {
        node->next = top;
        /* Read anew for each try: who pushes later has no smaller stamp (but see append_node). */
        node->stamp = atomic_load_explicit(&c->tail, memory_order_acquire);
        /* release: the node's content, to the exchange in take_nodes; seq_cst: as published */
    } while (!atomic_compare_exchange_weak_explicit(&c->nodes, &top, node, memory_order_seq_cst,
                                                    memory_order_acquire));
}

/* Appends one node to the list; stamps ascend, nodes of equal stamps keep their order. */
static void append_node(runtime_completions_t *c, runtime_node_t *node)
{
    runtime_node_t **at = &c->first;

    c->waiting++;
    c->nodes_taken++;
    node->next = NULL;
    if (c->first == NULL) {
        c->first = c->last = node;
    } else if (c->last->stamp <= node->stamp) {
        c->last->next = node;
        c->last = node;
    } else {
        /* Its poster was stopped between reading the stamp and pushing, while the stack was taken
         * or came to the same top again: it goes to its place, the last of its stamp. */
        while ((*at)->stamp <= node->stamp)
            at = &(*at)->next;
        node->next = *at;
        *at = node;
    }
}

static void take_nodes(runtime_completions_t *c)
{
    runtime_node_t *node, *oldest = NULL;

    if (atomic_load_explicit(&c->nodes, memory_order_seq_cst) == NULL)
        return;
    /* acquire: pairs with the exchange in runtime_completion_push */
    node = atomic_exchange_explicit(&c->nodes, NULL, memory_order_acquire);
    while (node != NULL) {
        runtime_node_t *next = node->next;

        node->next = oldest;
        oldest = node;
        node = next;
    }
    while (oldest != NULL) {
        runtime_node_t *next = oldest->next;

        append_node(c, oldest);
        oldest = next;
    }
}

static completion_cell_t *head_cell(runtime_completions_t *c)
{
    if (PORT_UNLIKELY(c->chunk == NULL)) {
        completion_directory_t *d = atomic_load_explicit(&c->directory, memory_order_acquire);

        c->chunk = d->chunks[(c->head / COMPLETION_CHUNK) & d->mask];
    }
    return &c->chunk->cells[c->head % COMPLETION_CHUNK];
}

bool runtime_completion_ready(runtime_completions_t *c)
{
    take_nodes(c);
    if (c->first != NULL && c->first->stamp <= c->head)
        return true;
    /* Without a chunk there may be none of this ticket yet. */
    if (c->chunk == NULL && atomic_load_explicit(&c->tail, memory_order_acquire) == c->head)
        return false;
    return atomic_load_explicit(&head_cell(c)->published, memory_order_acquire) == c->head + 1;
}

bool runtime_completion_claimed(const runtime_completions_t *c)
{
    return atomic_load_explicit(&c->tail, memory_order_seq_cst) != c->head;
}

size_t runtime_completion_backlog(runtime_completions_t *c, size_t enough)
{
    if (c->tail_seen - c->head + c->waiting < enough)
        c->tail_seen = atomic_load_explicit(&c->tail, memory_order_relaxed);
    return (size_t)(c->tail_seen - c->head) + c->waiting;
}

uint64_t runtime_completion_nodes_posted(const runtime_completions_t *c, size_t *untaken)
{
    const runtime_node_t *node = atomic_load_explicit(&c->nodes, memory_order_acquire);

    /* Only the loop thread takes nodes, so those that are in the stack stay there. */
    for (*untaken = 0; node != NULL; node = node->next)
        ++*untaken;
    return c->nodes_taken - c->nodes_discarded + *untaken;
}

/* The chunk of the tickets just below head is empty: behind the last one with it, or away. */
static void PORT_NOINLINE retire_chunk(runtime_completions_t *c)
{
    completion_chunk_t *chunk = c->chunk;
    uint64_t end;

    c->chunk = NULL;
    port_mutex_lock(&c->lock);
    /* Under the lock, and not before: else a poster that grows the ring takes the one place in a
     * full directory that this chunk leaves, and the chunk goes to that of the new head. */
    atomic_store_explicit(&c->head_seen, c->head, memory_order_release);
    end = atomic_load_explicit(&c->end, memory_order_relaxed);
    if (end - c->tail_seen < KEEP_TICKETS) {
        completion_directory_t *d = atomic_load_explicit(&c->directory, memory_order_relaxed);

        append_chunk(c, d, end, chunk);
        chunk = NULL;
    }
    port_mutex_unlock(&c->lock);
    port_free(chunk);
}

/* Hands out the first node.  Returns whether it has made an event. */
static bool deliver_node(runtime_completions_t *c, async_event_t *event)
{
    runtime_node_t *node = c->first;
    uint32_t posted = atomic_load_explicit(&node->posted, memory_order_relaxed);

    c->first = node->next;
    c->waiting--;
    /* From here on a merged post queues the node again; acq_rel: pairs with the exchange in
     * runtime_post_merged, whose poster counts on this event to come after its post. */
    if (posted != 0)
        posted = atomic_exchange_explicit(&node->posted, 0, memory_order_acq_rel);
    if (!(posted & NODE_WITHDRAWN)) {
        *event = (async_event_t){.event_type = node->event_type,
                                 .error = node->error,
                                 .fd = ASYNC_INVALID_FD,
                                 .completion_key = node->key,
                                 .data = node->data,
                                 .context = node->context};
    } else {
        c->nodes_discarded++;
    }
    if (node->done != NULL)
        node->done(node);
    return !(posted & NODE_WITHDRAWN);
}

/* How many tickets from head on come before anything else, in one chunk, at most most of them. */
static int run_length(const runtime_completions_t *c, int most)
{
    uint64_t length = COMPLETION_CHUNK - c->head % COMPLETION_CHUNK;

    if (length > c->tail_seen - c->head)
        length = c->tail_seen - c->head;
    if (c->first != NULL && length > c->first->stamp - c->head)
        length = c->first->stamp - c->head;
    return length < (uint64_t)most ? (int)length : most;
}

/* Takes the first of length cells that are published.  Returns how many. */
static int take_cells(const completion_cell_t *cell, uint64_t ticket, int length,
                      async_event_t *event)
{
    for (int n = 0; n < length; n++, cell++) {
        if (atomic_load_explicit(&cell->published, memory_order_acquire) != ++ticket)
            return n;
        *event++ = (async_event_t){.event_type = ASYNC_EVENT_COMPLETION,
                                   .fd = ASYNC_INVALID_FD,
                                   .completion_key = cell->key,
                                   .data = cell->data};
    }
    return length;
}

int runtime_completion_take(runtime_completions_t *c, async_event_t *events, int max)
{
    int n = 0;

    /* Before the nodes: a ticket below it may be delivered only when the nodes that its poster
     * pushed before are known.  acquire: pairs with the exchange of tail. */
    c->tail_seen = atomic_load_explicit(&c->tail, memory_order_acquire);
    take_nodes(c);
    while (n < max) {
        int length, taken;

        if (c->first != NULL && c->first->stamp <= c->head) {
            n += deliver_node(c, &events[n]);
            continue;
        }
        length = run_length(c, max - n);
        if (length == 0)
            break;
        taken = take_cells(head_cell(c), c->head, length, &events[n]);
        n += taken;
        c->head += (uint64_t)taken;
        if (taken != 0 && c->head % COMPLETION_CHUNK == 0)
            retire_chunk(c);
        if (taken < length)
            break;
    }
    /* release: a poster that sees room under the limit comes after what has made it */
    if (c->limit != 0)
        atomic_store_explicit(&c->head_seen, c->head, memory_order_release);
    c->delivered += (uint64_t)n;
    return n;
}

void runtime_node_withdraw(runtime_node_t *node)
{
    atomic_fetch_or_explicit(&node->posted, NODE_WITHDRAWN, memory_order_release);
}

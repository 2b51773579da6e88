/* SPDX-License-Identifier: MIT */
/*
 * pool_jobs.c - the memory of jobs, and the queue of those that wait
 *
 * Jobs come from chunks and go back to a list when their completion has been handed out; the chunks
 * stay until the pool's end.
 *
 * The queue is a ring of {id, job} in the order of submission, which is the order of ids.  A
 * cancelled job leaves a hole.  An id is looked up at its distance from the head's: right there
 * unless holes were squeezed out before it, else by bisection below that place.
 */
#include "pool/pool.h"

#include "port/port_memory.h"

#include <errno.h>
#include <stddef.h>

#define CHUNK_SIZE 4096u
#define FIRST_SIZE 32u /* entries of a new queue */

/* Aligned to its own size, so that a job's address leads to it. */
struct pool_chunk {
    async_pool_t *pool;
    pool_chunk_t *next;
    pool_job_t jobs[];
};

#define CHUNK_JOBS ((CHUNK_SIZE - offsetof(pool_chunk_t, jobs)) / sizeof(pool_job_t))

/* ---- memory ---- */

/* The runtime is done with the node: on the loop's thread, or on any when the runtime has gone. */
static void job_done(runtime_node_t *node)
{
    pool_job_t *job = (pool_job_t *)node;
    uintptr_t address = (uintptr_t)job;
    async_pool_t *pool = ((pool_chunk_t *)(address - address % CHUNK_SIZE))->pool;
    pool_job_t *top = atomic_load_explicit(&pool->returned, memory_order_relaxed);

    do {
        node->next = top != NULL ? &top->node : NULL;
        /* release: pairs with the exchange in take_returned */
    } while (!atomic_compare_exchange_weak_explicit(&pool->returned, &top, job,
                                                    memory_order_release, memory_order_relaxed));
    pool_drop(pool);
}

static bool take_returned(async_pool_t *pool)
{
    if (atomic_load_explicit(&pool->returned, memory_order_relaxed) == NULL)
        return false;
    /* acquire: pairs with the push in job_done; all are taken at once, so no ABA */
    pool->free_jobs = atomic_exchange_explicit(&pool->returned, NULL, memory_order_acquire);
    return true;
}

static int new_chunk(async_pool_t *pool)
{
    pool_chunk_t *chunk = port_alloc_aligned(CHUNK_SIZE, CHUNK_SIZE);

    if (chunk == NULL)
        return ENOMEM;
    chunk->pool = pool;
    chunk->next = pool->chunks;
    pool->chunks = chunk;
    for (size_t i = CHUNK_JOBS; i-- > 0;) {
        chunk->jobs[i].node.next = pool->free_jobs != NULL ? &pool->free_jobs->node : NULL;
        pool->free_jobs = &chunk->jobs[i];
    }
    return 0;
}

void pool_free_jobs(async_pool_t *pool)
{
    while (pool->chunks != NULL) {
        pool_chunk_t *chunk = pool->chunks;

        pool->chunks = chunk->next;
        port_free_aligned(chunk);
    }
    port_free(pool->entries);
}

/* ---- the queue ---- */

static pool_entry_t *entry_at(const async_pool_t *pool, uint64_t position)
{
    return &pool->entries[position & (pool->size - 1)];
}

/* Moves the entries of jobs that still wait together, towards the head. */
static void squeeze(async_pool_t *pool)
{
    uint64_t to = pool->head;

    for (uint64_t from = pool->head; from != pool->tail; from++)
        if (entry_at(pool, from)->job != NULL)
            *entry_at(pool, to++) = *entry_at(pool, from);
    pool->tail = to;
}

static int grow(async_pool_t *pool)
{
    size_t size = pool->size != 0 ? pool->size * 2 : FIRST_SIZE;
    pool_entry_t *entries;

    if (size > SIZE_MAX / sizeof(*entries))
        return ENOMEM;
    entries = port_alloc(size * sizeof(*entries));
    if (entries == NULL)
        return ENOMEM;
    for (uint64_t i = pool->head; i != pool->tail; i++)
        entries[i & (size - 1)] = *entry_at(pool, i);
    port_free(pool->entries);
    pool->entries = entries;
    pool->size = size;
    return 0;
}

int pool_reserve(async_pool_t *pool)
{
    int err = 0;

    if (pool->tail - pool->head == pool->size) {
        if (pool->waiting < pool->size / 2)
            squeeze(pool);
        else
            err = grow(pool);
    }
    if (err == 0 && pool->free_jobs == NULL && !take_returned(pool))
        err = new_chunk(pool);
    return err;
}

uint64_t pool_push(async_pool_t *pool, async_pool_proc_t proc, void *arg, uintptr_t key)
{
    pool_job_t *job = pool->free_jobs;
    pool_entry_t *entry = entry_at(pool, pool->tail);

    pool->free_jobs = (pool_job_t *)job->node.next;
    if (pool->free_jobs != NULL)
        PORT_PREFETCH_WRITE(pool->free_jobs); /* for the next submit */
    runtime_node_init(&job->node, key, arg, job_done);
    job->node.data = (uintptr_t)proc;
    /* the job's own reference; relaxed, for the owner has one */
    atomic_fetch_add_explicit(&pool->refs, 1, memory_order_relaxed);
    entry->id = ++pool->last_id;
    entry->job = job;
    pool->tail++;
    pool->waiting++;
    return entry->id;
}

pool_job_t *pool_take(async_pool_t *pool, uint64_t *id)
{
    while (pool->head != pool->tail) {
        pool_entry_t *entry = entry_at(pool, pool->head++);

        if (entry->job != NULL) {
            *id = entry->id;
            pool->waiting--;
            if (pool->head != pool->tail)
                PORT_PREFETCH_WRITE(entry_at(pool, pool->head)->job); /* for the next take */
            return entry->job;
        }
    }
    return NULL;
}

/* The entry of an id; NULL: it is not in the queue. */
static pool_entry_t *find(const async_pool_t *pool, uint64_t id)
{
    uint64_t low = pool->head, high, distance;

    if (pool->head == pool->tail || id < entry_at(pool, low)->id)
        return NULL;
    /* ids rise by at least one an entry, so it is not beyond this distance */
    distance = id - entry_at(pool, low)->id;
    high = distance < pool->tail - low ? low + distance : pool->tail - 1;
    if (entry_at(pool, high)->id == id)
        return entry_at(pool, high);
    while (low != high) {
        uint64_t middle = low + (high - low) / 2;

        if (entry_at(pool, middle)->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return entry_at(pool, low)->id == id ? entry_at(pool, low) : NULL;
}

pool_job_t *pool_take_id(async_pool_t *pool, uint64_t id)
{
    pool_entry_t *entry = find(pool, id);
    pool_job_t *job = entry != NULL ? entry->job : NULL;

    if (job != NULL) {
        entry->job = NULL;
        pool->waiting--;
    }
    return job;
}

void pool_post(async_pool_t *pool, pool_job_t *job)
{
    runtime_post_node(pool->runtime, &job->node);
}

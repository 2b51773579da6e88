/* SPDX-License-Identifier: MIT */
/*
 * contract_queue.c - the calls that the pages of asyncrt.h and async_queue.h describe, failures too
 *
 * What is between contract_begin() and contract_end() is measured by test_contract.c.
 */
#include "contract.h"

#include <asyncrt.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

static char bytes[64];

/* ---- asyncrt.h */

static void version(void)
{
    MEASURE(NEED(asyncrt_version() != NULL));
}

static void version_signal(void)
{
    (void)asyncrt_version();
}

static void version_number(void)
{
    MEASURE(NEED(asyncrt_version_number() >= 0x010000));
}

static void version_number_signal(void)
{
    (void)asyncrt_version_number();
}

static void last_error(void)
{
    NEED(async_queue_create(0, 0, 0) == NULL);
    MEASURE(NEED(async_last_error() == EINVAL));
}

static void last_error_signal(void)
{
    (void)async_last_error();
}

/* ---- async_queue.h */

static async_queue_t *queue_of(size_t capacity, async_queue_flags_t flags)
{
    async_queue_t *queue = async_queue_create(capacity, sizeof bytes, flags);

    NEED(queue != NULL);
    return queue;
}

/* A consumer that sleeps in async_queue_wait(), or a producer that sleeps on a full queue. */
static void *consume(void *queue)
{
    while (async_queue_wait(queue, -1))
        async_queue_dequeue(queue, bytes, sizeof bytes, NULL);
    return NULL;
}

static void *produce(void *queue)
{
    while (async_queue_enqueue(queue, "x", 1))
        continue;
    return NULL;
}

static void queue_create(void)
{
    MEASURE(NEED(async_queue_create(8, 64, ASYNC_QUEUE_SIGNAL_ON_DATA) != NULL));
    MEASURE(NEED(async_queue_create(100, 40, 0) != NULL));
    /* the formula of async_queue(3) */
    NEED(sizeof(void *) != 8 || contract_bytes() == 384 + 101 * (16 + 48));
    MEASURE(NEED(async_queue_create(8, 64, 0x80) == NULL && errno == EINVAL));
    MEASURE(NEED(async_queue_create(SIZE_MAX / 2, 64, 0) == NULL));
}

static void queue_destroy(void)
{
    async_queue_t *queue = queue_of(8, 0);

    async_queue_enqueue(queue, "x", 1);
    MEASURE(async_queue_destroy(queue); async_queue_destroy(NULL));
}

static void fill_and_measure(async_queue_flags_t flags, int timed)
{
    async_queue_t *queue = queue_of(2, flags);
    int i;

    contract_begin();
    for (i = 0; i < 4; i++) {
        if (timed)
            (void)async_queue_enqueue_timed(queue, bytes, sizeof bytes, 0);
        else if (i < 2 || (flags & ASYNC_QUEUE_BLOCK_WRITER) == 0)
            (void)async_queue_enqueue(queue, bytes, sizeof bytes);
    }
    (void)async_queue_enqueue(queue, bytes, sizeof bytes + 1);
    (void)async_queue_enqueue(NULL, bytes, 1);
    contract_end();
    async_queue_destroy(queue);
}

static void measure_wake(void (*send)(async_queue_t *queue))
{
    async_queue_t *queue = queue_of(4, ASYNC_QUEUE_SIGNAL_ON_DATA);
    async_worker_t *worker = async_worker_create(consume, queue, 0);

    NEED(worker != NULL);
    contract_rest(30);
    send(queue);
    async_queue_close(queue);
    NEED(async_worker_join(worker, -1));
}

static void send_enqueue(async_queue_t *queue)
{
    MEASURE(NEED(async_queue_enqueue(queue, "x", 1)));
}

static void send_timed(async_queue_t *queue)
{
    MEASURE(NEED(async_queue_enqueue_timed(queue, "x", 1, -1)));
}

static void send_commit(async_queue_t *queue)
{
    void *slot = async_queue_reserve(queue, 4);

    MEASURE(async_queue_commit(queue, slot, 4));
}

static void send_close(async_queue_t *queue)
{
    MEASURE(async_queue_close(queue));
}

static void *loop(void *runtime)
{
    async_event_t event;

    return async_runtime_wait(runtime, &event, 1, 10000) == 1 ? runtime : NULL;
}

/* Into a bound queue whose loop sleeps in another thread. */
static void measure_bound(void (*send)(async_queue_t *queue))
{
    async_queue_t *queue = queue_of(4, 0);
    async_runtime_t *runtime = async_runtime_init();
    async_worker_t *worker;

    NEED(runtime != NULL && async_runtime_bind_queue(runtime, queue, 1) == 0);
    worker = async_worker_create(loop, runtime, 0);
    NEED(worker != NULL);
    contract_rest(30);
    send(queue);
    NEED(async_worker_join(worker, -1) || errno == 0);
}

static void queue_enqueue(void)
{
    fill_and_measure(0, 0);
    fill_and_measure(ASYNC_QUEUE_DROP_OLDEST, 0);
    fill_and_measure(ASYNC_QUEUE_BLOCK_WRITER, 0);
    measure_wake(send_enqueue);
    measure_bound(send_enqueue);
}

static void queue_enqueue_timed(void)
{
    async_queue_t *queue = queue_of(1, 0);

    fill_and_measure(0, 1);
    fill_and_measure(ASYNC_QUEUE_DROP_OLDEST, 1);
    measure_wake(send_timed);
    measure_bound(send_timed);
    async_queue_enqueue(queue, "x", 1);
    MEASURE(NEED(!async_queue_enqueue_timed(queue, "x", 1, 5) && errno == ETIMEDOUT));
}

/* Takes from a full queue on which a producer sleeps. */
static void measure_taking(void (*take)(async_queue_t *queue))
{
    async_queue_t *queue = queue_of(2, ASYNC_QUEUE_BLOCK_WRITER);
    async_worker_t *worker = async_worker_create(produce, queue, 0);

    NEED(worker != NULL);
    contract_rest(30);
    take(queue);
    async_queue_close(queue);
    NEED(async_worker_join(worker, -1));
}

static void take_dequeue(async_queue_t *queue)
{
    size_t size;

    MEASURE(NEED(async_queue_dequeue(queue, bytes, sizeof bytes, &size)));
}

static void take_peek(async_queue_t *queue)
{
    size_t size;

    MEASURE(NEED(async_queue_peek(queue, &size) != NULL));
    async_queue_release(queue);
}

static void take_release(async_queue_t *queue)
{
    NEED(async_queue_peek(queue, NULL) != NULL);
    MEASURE(async_queue_release(queue));
}

static void take_clear(async_queue_t *queue)
{
    MEASURE(async_queue_clear(queue));
}

static void queue_dequeue(void)
{
    async_queue_t *queue = queue_of(2, ASYNC_QUEUE_DROP_OLDEST);

    async_queue_enqueue(queue, bytes, 8);
    MEASURE(NEED(!async_queue_dequeue(queue, bytes, 4, NULL) && errno == EMSGSIZE));
    MEASURE(NEED(async_queue_dequeue(queue, bytes, 8, NULL)));
    MEASURE(NEED(!async_queue_dequeue(queue, bytes, 8, NULL) && errno == EAGAIN));
    async_queue_close(queue);
    MEASURE(NEED(!async_queue_dequeue(queue, bytes, 8, NULL) && errno == EPIPE));
    measure_taking(take_dequeue);
}

static void queue_wait(void)
{
    async_queue_t *queue = queue_of(2, ASYNC_QUEUE_SIGNAL_ON_DATA);

    MEASURE(NEED(!async_queue_wait(queue, 5) && errno == ETIMEDOUT));
    async_queue_enqueue(queue, bytes, 8);
    MEASURE(NEED(async_queue_wait(queue, -1)));
}

static void queue_reserve(void)
{
    async_queue_t *queue = queue_of(2, 0);

    MEASURE(NEED(async_queue_reserve(queue, 8) != NULL && async_queue_reserve(queue, 8) != NULL));
    /* the formula of async_queue(3), for messages of up to 64 bytes */
    NEED(sizeof(void *) != 8 || contract_bytes() == 24 + 2 * 64 + 16 * 5);
    MEASURE(NEED(async_queue_reserve(queue, 8) == NULL && errno == EAGAIN));
}

static void queue_commit(void)
{
    async_queue_t *queue = queue_of(2, 0);
    void *slot = async_queue_reserve(queue, 8);

    MEASURE(async_queue_commit(queue, slot, 8); async_queue_commit(queue, bytes, 8));
    measure_wake(send_commit);
    measure_bound(send_commit);
}

static void queue_abandon(void)
{
    async_queue_t *queue = queue_of(1, ASYNC_QUEUE_BLOCK_WRITER);
    void *slot = async_queue_reserve(queue, 8);
    async_worker_t *worker = async_worker_create(produce, queue, 0);

    NEED(worker != NULL);
    contract_rest(30);
    MEASURE(async_queue_abandon(queue, slot); async_queue_abandon(queue, bytes));
    async_queue_close(queue);
    NEED(async_worker_join(worker, -1));
}

static void queue_peek(void)
{
    async_queue_t *queue = queue_of(2, ASYNC_QUEUE_DROP_OLDEST);

    async_queue_enqueue(queue, bytes, 8);
    MEASURE(NEED(async_queue_peek(queue, NULL) != NULL && async_queue_peek(queue, NULL) != NULL));
    async_queue_release(queue);
    MEASURE(NEED(async_queue_peek(queue, NULL) == NULL && errno == EAGAIN));
    measure_taking(take_peek);
}

static void queue_release(void)
{
    measure_taking(take_release);
}

static void queue_close(void)
{
    measure_wake(send_close);
    measure_taking(send_close);
    measure_bound(send_enqueue);
}

static void queue_is_empty(void)
{
    async_queue_t *queue = queue_of(2, 0);

    MEASURE(NEED(async_queue_is_empty(queue)));
    MEASURE(NEED(!async_queue_is_empty(NULL) && errno == EINVAL));
}

static void queue_is_full(void)
{
    async_queue_t *queue = queue_of(2, 0);

    MEASURE(NEED(!async_queue_is_full(queue)));
    MEASURE(NEED(!async_queue_is_full(NULL) && errno == EINVAL));
}

static void queue_clear(void)
{
    async_queue_t *queue = queue_of(2, ASYNC_QUEUE_DROP_OLDEST);

    async_queue_enqueue(queue, bytes, 8);
    MEASURE(async_queue_clear(queue));
    measure_taking(take_clear);
}

static void queue_lost(void)
{
    async_queue_t *queue = queue_of(2, ASYNC_QUEUE_DROP_OLDEST);

    MEASURE(NEED(async_queue_lost(queue) == 0));
    MEASURE(NEED(async_queue_lost(NULL) == 0 && errno == EINVAL));
}

static void queue_get_stats(void)
{
    async_queue_t *queue = queue_of(2, ASYNC_QUEUE_DROP_OLDEST);
    async_queue_stats_t stats;

    MEASURE(async_queue_get_stats(queue, &stats));
    NEED(stats.capacity == 2);
}

/* ---- the table */

const contract_case_t contract_queue[] = {
    {"asyncrt_version", version, version_signal, NULL},
    {"asyncrt_version_number", version_number, version_number_signal, NULL},
    {"async_last_error", last_error, last_error_signal, NULL},
    CASE(queue_create),
    CASE(queue_destroy),
    CASE(queue_enqueue),
    CASE(queue_enqueue_timed),
    CASE(queue_dequeue),
    CASE(queue_wait),
    CASE(queue_reserve),
    CASE(queue_commit),
    CASE(queue_abandon),
    CASE(queue_peek),
    CASE(queue_release),
    CASE(queue_close),
    CASE(queue_is_empty),
    CASE(queue_is_full),
    CASE(queue_clear),
    CASE(queue_lost),
    CASE(queue_get_stats),
    {NULL, NULL, NULL, NULL},
};

/* SPDX-License-Identifier: MIT */
/*
 * errors_queue.c - the failures that the pages of async_queue.h and async_worker.h list
 */
#include "errors.h"

/* ---- async_queue.h */

void errors_of_queue(void)
{
    async_queue_t *plain = async_queue_create(1, 8, 0);
    async_queue_t *drop = async_queue_create(1, 8, ASYNC_QUEUE_DROP_OLDEST);
    async_queue_t *block = async_queue_create(1, 8, ASYNC_QUEUE_BLOCK_WRITER);
    async_queue_t *wait = async_queue_create(1, 8, ASYNC_QUEUE_SIGNAL_ON_DATA);
    char bytes[16] = "";
    void *slot;

    FAILS(queue_create, EINVAL, (0, 8, 0) == NULL);
    FAILS(queue_create, EINVAL, (1, 8, 0x80) == NULL);
    FAILS(queue_create, EINVAL, (1, 8, ASYNC_QUEUE_DROP_OLDEST | ASYNC_QUEUE_BLOCK_WRITER) == NULL);
    FAILS_WITHOUT_MEMORY(queue_create, (1, 8, 0) == NULL);
    FAILS(queue_is_empty, EINVAL, (NULL) == false);
    FAILS(queue_is_full, EINVAL, (NULL) == false);
    FAILS(queue_lost, EINVAL, (NULL) == 0);

    FAILS(queue_dequeue, EAGAIN, (plain, bytes, 8, NULL) == false);
    FAILS(queue_dequeue, EINVAL, (NULL, bytes, 8, NULL) == false);
    FAILS(queue_dequeue, EINVAL, (plain, NULL, 8, NULL) == false);
    FAILS(queue_peek, EAGAIN, (plain, NULL) == NULL);
    FAILS(queue_peek, EINVAL, (NULL, NULL) == NULL);
    FAILS(queue_wait, EINVAL, (plain, 0) == false);
    FAILS(queue_wait, EINVAL, (NULL, 0) == false);
    FAILS(queue_wait, EINVAL, (wait, -2) == false);
    FAILS(queue_wait, ETIMEDOUT, (wait, 1) == false);

    FAILS_WITHOUT_MEMORY(queue_reserve, (drop, 8) == NULL);
    FAILS(queue_reserve, EINVAL, (NULL, 8) == NULL);
    FAILS(queue_reserve, EMSGSIZE, (drop, 9) == NULL);
    slot = async_queue_reserve(drop, 8);
    errors_need(slot);
    FAILS(queue_reserve, EAGAIN, (drop, 8) == NULL);
    FAILS(queue_enqueue, EAGAIN, (drop, bytes, 8) == false);
    FAILS(queue_enqueue_timed, EAGAIN, (drop, bytes, 8, 1) == false);
    async_queue_abandon(drop, slot);

    async_queue_enqueue(plain, bytes, 8);
    FAILS(queue_enqueue, EAGAIN, (plain, bytes, 8) == false);
    FAILS(queue_enqueue, EINVAL, (NULL, bytes, 8) == false);
    FAILS(queue_enqueue, EINVAL, (plain, NULL, 8) == false);
    FAILS(queue_enqueue, EMSGSIZE, (plain, bytes, 9) == false);
    FAILS(queue_enqueue_timed, EINVAL, (plain, bytes, 8, -2) == false);
    FAILS(queue_enqueue_timed, EINVAL, (NULL, bytes, 8, 1) == false);
    FAILS(queue_enqueue_timed, EINVAL, (plain, NULL, 8, 1) == false);
    FAILS(queue_enqueue_timed, EMSGSIZE, (plain, bytes, 9, 1) == false);
    FAILS(queue_enqueue_timed, ETIMEDOUT, (plain, bytes, 8, 1) == false);
    FAILS(queue_reserve, EAGAIN, (plain, 8) == NULL);
    FAILS(queue_dequeue, EMSGSIZE, (plain, bytes, 4, NULL) == false);

    async_queue_enqueue(block, bytes, 8);
    async_queue_dequeue(block, bytes, 8, NULL);
    async_queue_enqueue(block, bytes, 8);
    FAILS(queue_enqueue, EDEADLK, (block, bytes, 8) == false);
    FAILS(queue_enqueue_timed, EDEADLK, (block, bytes, 8, -1) == false);
    FAILS(queue_reserve, EDEADLK, (block, 8) == NULL);

    async_queue_dequeue(plain, bytes, 8, NULL);
    async_queue_close(plain);
    async_queue_close(wait);
    FAILS(queue_enqueue, EPIPE, (plain, bytes, 8) == false);
    FAILS(queue_enqueue_timed, EPIPE, (plain, bytes, 8, 1) == false);
    FAILS(queue_reserve, EPIPE, (plain, 8) == NULL);
    FAILS(queue_dequeue, EPIPE, (plain, bytes, 8, NULL) == false);
    FAILS(queue_peek, EPIPE, (plain, NULL) == NULL);
    FAILS(queue_wait, EPIPE, (wait, -1) == false);
    async_queue_destroy(plain);
    async_queue_destroy(drop);
    async_queue_destroy(block);
    async_queue_destroy(wait);
}

/* ---- async_worker.h */

static void *until_stop(void *context)
{
    async_worker_wait_stop(NULL, -1);
    return context;
}

static void *join_itself(void *context)
{
    FAILS(worker_join, EDEADLK, (async_worker_current(), 0) == false);
    return context;
}

static void stop_handle_without_descriptors(void)
{
    async_worker_t *worker = async_worker_create(until_stop, NULL, 0);

    FAILS(worker_get_stop_handle, EMFILE, (worker) == (async_handle_t)-1);
}

void errors_of_worker(void)
{
    async_worker_options_t options = ASYNC_WORKER_OPTIONS_INIT;
    async_worker_t *worker = async_worker_create(until_stop, NULL, 0);
    async_worker_t *other = async_worker_create(join_itself, NULL, 0);

    errors_need(worker);
    errors_need(other);
    FAILS(worker_create, EINVAL, (NULL, NULL, 0) == NULL);
    FAILS_WITHOUT_MEMORY(worker_create, (until_stop, NULL, 0) == NULL);
    /* the system's thread cannot be made */
    FAILS(worker_create, EAGAIN, (until_stop, NULL, ERRORS_STACK_TOO_LARGE) == NULL);
    options.stack_size = ERRORS_STACK_TOO_LARGE;
    FAILS(worker_create_with, EAGAIN, (until_stop, NULL, &options) == NULL);
    options.stack_size = 0;
    FAILS(worker_create_with, EINVAL, (NULL, NULL, &options) == NULL);
    FAILS_WITHOUT_MEMORY(worker_create_with, (until_stop, NULL, &options) == NULL);
    options.size = 0;
    FAILS(worker_create_with, EINVAL, (until_stop, NULL, &options) == NULL);
    FAILS(worker_join, EINVAL, (NULL, 0) == false);
    FAILS(worker_join, EINVAL, (worker, -2) == false);
    FAILS(worker_join, ETIMEDOUT, (worker, 1) == false);
    FAILS(worker_should_stop, EINVAL, (NULL) == false);
    FAILS(worker_wait_stop, EINVAL, (NULL, 0) == false);
    FAILS(worker_wait_stop, EINVAL, (worker, -2) == false);
    FAILS(worker_wait_stop, ETIMEDOUT, (worker, 1) == false);
    FAILS(worker_get_stop_handle, EINVAL, (NULL) == (async_handle_t)-1);
    FAILS(worker_get_state, EINVAL, (NULL) == ASYNC_WORKER_STOPPED);
    FAILS(worker_get_result, EINVAL, (NULL) == NULL);
    FAILS(worker_get_result, EBUSY, (worker) == NULL);
    async_worker_join(other, -1);
    async_worker_signal_stop(worker);
    async_worker_join(worker, -1);
    async_worker_destroy(worker);
    async_worker_destroy(other);
    errors_without_descriptors(stop_handle_without_descriptors);
}

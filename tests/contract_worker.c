/* SPDX-License-Identifier: MIT */
/*
 * contract_worker.c - the calls that the pages of async_worker.h describe, failures included
 *
 * What is between contract_begin() and contract_end() is measured by test_contract.c.
 */
#include "contract.h"

#include <asyncrt.h>
#include <errno.h>

static void *until_stop(void *context)
{
    async_worker_wait_stop(NULL, -1);
    return context;
}

static async_worker_t *a_worker(void)
{
    async_worker_t *worker = async_worker_create(until_stop, NULL, 0);

    NEED(worker != NULL);
    contract_rest(20);
    return worker;
}

static async_worker_t *an_ended_worker(void)
{
    async_worker_t *worker = a_worker();

    async_worker_signal_stop(worker);
    NEED(async_worker_join(worker, -1));
    return worker;
}

static void worker_create(void)
{
    MEASURE(NEED(async_worker_create(until_stop, NULL, 0) != NULL));
    MEASURE(NEED(async_worker_create(NULL, NULL, 0) == NULL && errno == EINVAL));
}

static void worker_create_with(void)
{
    async_worker_options_t options = ASYNC_WORKER_OPTIONS_INIT;

    options.name = "contract";
    options.stack_size = 1;
    MEASURE(NEED(async_worker_create_with(until_stop, NULL, &options) != NULL));
}

static void worker_destroy(void)
{
    async_worker_t *running = a_worker(), *ended = an_ended_worker(), *asked = a_worker();

    NEED(async_worker_get_stop_handle(asked) >= 0);
    MEASURE(async_worker_destroy(running); async_worker_destroy(ended));
    MEASURE(async_worker_destroy(asked); async_worker_destroy(NULL));
}

static void worker_signal_stop(void)
{
    async_worker_t *worker = a_worker(), *asked = a_worker();

    NEED(async_worker_get_stop_handle(asked) >= 0);
    MEASURE(async_worker_signal_stop(worker); async_worker_signal_stop(asked));
}

static void worker_join(void)
{
    async_worker_t *worker = a_worker();

    MEASURE(NEED(!async_worker_join(worker, 5) && errno == ETIMEDOUT));
    async_worker_signal_stop(worker);
    MEASURE(NEED(async_worker_join(worker, -1) && async_worker_join(worker, 0)));
}

static void worker_current(void)
{
    MEASURE(NEED(async_worker_current() == NULL));
}

static async_worker_t *handler_worker;

static void worker_should_stop(void)
{
    async_worker_t *worker = a_worker();

    MEASURE(NEED(!async_worker_should_stop(worker)));
    MEASURE(NEED(!async_worker_should_stop(NULL) && errno == EINVAL));
}

static void before_should_stop(void)
{
    handler_worker = async_worker_create(until_stop, NULL, 0);
}

static void should_stop_signal(void)
{
    (void)async_worker_should_stop(handler_worker);
    (void)async_worker_should_stop(NULL);
}

static void worker_wait_stop(void)
{
    async_worker_t *worker = a_worker();

    MEASURE(NEED(!async_worker_wait_stop(worker, 5) && errno == ETIMEDOUT));
    async_worker_signal_stop(worker);
    MEASURE(NEED(async_worker_wait_stop(worker, -1)));
}

static void worker_get_stop_handle(void)
{
    async_worker_t *worker = a_worker(), *ended = an_ended_worker();

    MEASURE(NEED(async_worker_get_stop_handle(worker) >= 0));
    MEASURE(NEED(async_worker_get_stop_handle(ended) >= 0));
}

static void worker_get_state(void)
{
    async_worker_t *worker = a_worker();

    MEASURE(NEED(async_worker_get_state(worker) == ASYNC_WORKER_RUNNING));
}

static void worker_get_result(void)
{
    async_worker_t *worker = an_ended_worker(), *running = a_worker();

    MEASURE(NEED(async_worker_get_result(worker) == NULL));
    MEASURE(NEED(async_worker_get_result(running) == NULL && errno == EBUSY));
}

const contract_case_t contract_worker[] = {
    CASE(worker_create),
    CASE(worker_create_with),
    CASE(worker_destroy),
    CASE(worker_signal_stop),
    CASE(worker_join),
    CASE(worker_current),
    {"async_worker_should_stop", worker_should_stop, should_stop_signal, before_should_stop},
    CASE(worker_wait_stop),
    CASE(worker_get_stop_handle),
    CASE(worker_get_state),
    CASE(worker_get_result),
    {NULL, NULL, NULL, NULL},
};

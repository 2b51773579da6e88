/* SPDX-License-Identifier: MIT */
/*
 * The input is a program of the loop thread's calls over some socketpairs and pipes, run on each
 * backend in turn, or on the one that ASYNCRT_BACKEND names.  What may and must come of them is in
 * runtime_model.c: it is the same for all.
 */
#include "fuzz_runtime.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#define CALLS_MAX 150u
#define QUEUE_KEY 0x9a
#define CLOSED_FD 1000000 /* no descriptor is so large */

const char fuzz_name[] = "runtime";
const unsigned fuzz_rounds = 400;
const size_t fuzz_max_input = 300;

/* ---- timers */

static void call_add_timer(test_t *t)
{
    static const uint64_t delays[] = {0, 1, 300, 2000, HOUR_US, UINT64_MAX};
    static const uint64_t periods[] = {0, 0, 0, 150, 1500, HOUR_US};
    uint64_t delay = delays[fuzz_below(t->input, 6)], period = periods[fuzz_below(t->input, 6)];
    timer_model_t *timer = &t->model.timers[fuzz_below(t->input, TIMERS)];
    uint64_t before = model_now(), id;

    if (timer->id != 0)
        return;
    errno = FUZZ_ERRNO;
    id = async_runtime_add_timer(t->model.runtime, delay, period, timer);
    fuzz_trace("timer %u after %u us, then each %u us", (unsigned)id, (unsigned)delay,
               (unsigned)period);
    FUZZ_CHECK(id != 0 && errno == FUZZ_ERRNO, "errno %d", errno);
    *timer = (timer_model_t){.id = id, .period = period * 1000};
    if (delay > HOUR_US) {
        timer->low = timer->high = UINT64_MAX / 2;
        return;
    }
    timer->low = before + delay * 1000;
    timer->high = model_now() + delay * 1000;
}

static void call_cancel_timer(test_t *t)
{
    timer_model_t *timer = &t->model.timers[fuzz_below(t->input, TIMERS)];
    uint64_t id = timer->id;

    if (id != 0)
        RESULT_IS(async_runtime_cancel_timer(t->model.runtime, id), 0);
    timer->id = 0;
    /* it is not there any more, and neither is one that never was */
    RESULT_IS(async_runtime_cancel_timer(t->model.runtime, id != 0 ? id : UINT64_MAX), ENOENT);
}

static uint64_t in_ms(uint64_t deadline, uint64_t now)
{
    return deadline <= now ? 0 : (deadline - now + 999999) / 1000000;
}

static void check_timeout(test_t *t)
{
    uint64_t low = UINT64_MAX, high = UINT64_MAX, before = model_now(), after;
    int is = async_runtime_get_timeout(t->model.runtime);

    after = model_now();
    for (unsigned i = 0; i < TIMERS; i++) {
        const timer_model_t *timer = &t->model.timers[i];
        uint64_t past = timer->count * timer->period;

        if (timer->id == 0)
            continue;
        low = timer->low + past < low ? timer->low + past : low;
        high = timer->high + past < high ? timer->high + past : high;
    }
    if (low == UINT64_MAX)
        FUZZ_CHECK(is == -1, "%d ms, and there is no timer", is);
    else if (high < UINT64_MAX / 2)
        FUZZ_CHECK(
            is >= 0 && (uint64_t)is >= in_ms(low, after) && (uint64_t)is <= in_ms(high, before),
            "%d ms, not %u to %u", is, (unsigned)in_ms(low, after), (unsigned)in_ms(high, before));
    else
        FUZZ_CHECK(is > 0, "%d ms until the end of time", is);
}

/* ---- completions */

static void call_post(test_t *t)
{
    uintptr_t key = fuzz_byte(t->input), data = (uintptr_t)0 - fuzz_byte(t->input);
    unsigned count = t->model.post_count;
    bool full = t->completion_limit != 0 && count >= t->completion_limit;

    /* places are kept for what the queue announces */
    if (count >= POSTS - 4)
        return;
    RESULT_IS(async_runtime_post_completion(t->model.runtime, key, data), full ? EAGAIN : 0);
    if (!full)
        model_post(&t->model, key, data);
}

static void announce(test_t *t)
{
    if (t->bound && t->armed)
        model_announce(&t->model, QUEUE_KEY);
    t->armed = false;
}

static void call_queue(test_t *t)
{
    unsigned char byte = 7;

    if (t->queue == NULL)
        return;
    switch (fuzz_below(t->input, 6)) {
    case 0:
        if (!t->bound) {
            t->armed = true;
            t->bound = true;
            if (t->queued != 0)
                announce(t);
            RESULT_IS(async_runtime_bind_queue(t->model.runtime, t->queue, QUEUE_KEY), 0);
        } else {
            RESULT_IS(async_runtime_bind_queue(t->model.runtime, t->queue, 1), EEXIST);
        }
        break;
    case 1:
    case 2:
        fuzz_trace("enqueue to %zu", t->queued);
        FUZZ_CHECK(async_queue_enqueue(t->queue, &byte, 1) == (t->queued < t->queue_capacity),
                   "%zu of %zu messages", t->queued, t->queue_capacity);
        if (t->queued < t->queue_capacity) {
            t->queued++;
            announce(t);
        }
        break;
    case 3:
        if (fuzz_below(t->input, 4) != 0)
            break;
        fuzz_trace("destroy the queue");
        async_queue_destroy(t->queue);
        t->queue = NULL;
        model_withdraw(&t->model);
        break;
    default:
        fuzz_trace("dequeue of %zu", t->queued);
        FUZZ_CHECK(async_queue_dequeue(t->queue, &byte, 1, NULL) == (t->queued != 0),
                   "%zu messages", t->queued);
        if (t->queued != 0)
            t->queued--;
        else
            t->armed = t->bound;
        break;
    }
}

/* ---- waiting */

static void call_wait(test_t *t)
{
    unsigned how = fuzz_below(t->input, 8);
    bool long_wait = fuzz_below(t->input, 4) == 0;

    if (long_wait && model_certain(&t->model))
        model_wait(&t->model, how < 4 ? (int)how + 1 : ROOM, LONG_MS);
    else
        model_wait(&t->model, how < 4 ? (int)how + 1 : ROOM, how == 7 ? 1 : 0);
}

/* With little room: all that is there comes in the end, nothing is kept out by others. */
static void call_wait_in_turns(test_t *t)
{
    int max = 1 + (int)fuzz_below(t->input, 3);
    unsigned posts = t->model.post_count, left;
    bool missing[ENDS];

    if (!model_certain(&t->model))
        return;
    for (unsigned i = 0; i < ENDS; i++)
        missing[i] = t->model.ends[i].wanted != 0 && t->model.ends[i].exact;
    fuzz_trace("wait in turns of %d", max);
    for (unsigned turn = 0;; turn++) {
        left = t->model.post_count;
        for (unsigned i = 0; i < ENDS; i++)
            left += missing[i];
        if (left == 0)
            return;
        FUZZ_CHECK(turn < 400, "%u of %u events do not come", left, posts);
        model_wait(&t->model, max, 0);
        for (unsigned i = 0; i < ENDS; i++)
            missing[i] = missing[i] && !t->model.ends[i].seen;
    }
}

static void call_wakeup(test_t *t)
{
    RESULT_IS(async_runtime_wakeup(t->model.runtime), 0);
    t->model.woken = WOKEN;
}

static void call_nest(test_t *t)
{
    errno = FUZZ_ERRNO;
    t->model.nested = async_runtime_get_fd(t->model.runtime);
    fuzz_trace("nested descriptor: %d", (int)t->model.nested);
    FUZZ_CHECK(errno == (t->model.nested == ASYNC_INVALID_FD ? ENOTSUP : FUZZ_ERRNO), "errno %d",
               errno);
}

/* ---- the rest */

static void call_wrongly(test_t *t)
{
    async_runtime_t *runtime = t->model.runtime;
    async_event_t event;
    unsigned number;
    end_t *end = fuzz_draw_end(t, &number);
    char byte = 0;
    int folder;

    RESULT_IS(async_runtime_add(NULL, 0, READS, NULL), EINVAL);
    RESULT_IS(async_runtime_add(runtime, CLOSED_FD, READS, NULL), EBADF);
    RESULT_IS(async_runtime_modify(runtime, CLOSED_FD, READS, NULL), EBADF);
    RESULT_IS(async_runtime_remove(runtime, CLOSED_FD), EBADF);
    RESULT_IS(async_runtime_post_read(runtime, CLOSED_FD, &byte, 1), EBADF);
    RESULT_IS(async_runtime_post_write(runtime, -1, &byte, 1), EBADF);
    RESULT_IS(async_runtime_wait(runtime, &event, 0, 0), EINVAL);
    RESULT_IS(async_runtime_wait(runtime, NULL, 1, 0), EINVAL);
    RESULT_IS(async_runtime_wait(runtime, &event, 1, -2), EINVAL);
    RESULT_IS(async_runtime_cancel_timer(runtime, 0), ENOENT);
    RESULT_IS(async_runtime_bind_queue(runtime, NULL, 0), EINVAL);
    if (end->fd == -1)
        return;
    RESULT_IS(async_runtime_add(runtime, end->fd, 0x2000, NULL), EINVAL);
    RESULT_IS(async_runtime_modify(runtime, end->fd, ASYNC_EVENT_TIMER, NULL), EINVAL);
    RESULT_IS(async_runtime_post_read(runtime, end->fd, &byte, 0), EINVAL);
    RESULT_IS(async_runtime_post_write(runtime, end->fd, NULL, 1), EINVAL);
    folder = open("/", O_RDONLY | O_CLOEXEC);
    if (folder < STALE_MAX && folder >= 0 && !t->model.stale[folder])
        RESULT_IS(async_runtime_add(runtime, folder, READS, NULL), EPERM);
    close(folder);
}

static void check_stats(const test_t *t)
{
    async_runtime_stats_t stats;
    size_t ends = 0, timers = 0;

    memset(&stats, 0xa5, sizeof(stats));
    async_runtime_get_stats(t->model.runtime, &stats);
    for (unsigned i = 0; i < TIMERS; i++)
        timers += t->model.timers[i].id != 0;
    FUZZ_CHECK(stats.timers == timers, "%zu timers, not %zu", stats.timers, timers);
    FUZZ_CHECK(stats.completions_pending == t->model.post_count || t->model.withdrawn,
               "%zu completions, not %u", stats.completions_pending, t->model.post_count);
    for (unsigned i = 0; i < ENDS; i++)
        ends += t->model.ends[i].registered;
    for (unsigned i = 0; i < STALE_MAX; i++) {
        if (t->model.stale[i])
            return; /* one that was closed counts or not */
    }
    FUZZ_CHECK(stats.registered == ends, "%zu descriptors, not %zu", stats.registered, ends);
}

static void call(test_t *t)
{
    unsigned what = fuzz_below(t->input, 32);

    if (what < 6) {
        call_wait(t);
    } else if (what < 9) {
        fuzz_add(t);
    } else if (what < 11) {
        fuzz_modify(t);
    } else if (what < 14) {
        fuzz_send(t);
    } else if (what < 16) {
        fuzz_receive(t);
    } else if (what < 18) {
        fuzz_operation(t, false);
    } else if (what < 20) {
        fuzz_operation(t, true);
    } else if (what < 21) {
        call_post(t);
    } else {
        switch (what) {
        case 22:
            fuzz_remove(t);
            break;
        case 23:
            fuzz_close(t);
            break;
        case 24:
            fuzz_shutdown(t);
            break;
        case 25:
            call_add_timer(t);
            break;
        case 26:
            call_cancel_timer(t);
            break;
        case 21:
        case 27:
            call_queue(t);
            break;
        case 28:
            call_wait_in_turns(t);
            break;
        case 29:
            call_wakeup(t);
            break;
        case 30:
            if (fuzz_below(t->input, 2) == 0)
                model_settle(&t->model);
            else
                fuzz_drain(t);
            break;
        default:
            if (fuzz_below(t->input, 2) == 0)
                call_nest(t);
            else
                call_wrongly(t);
            break;
        }
    }
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < 2 * STALE_MAX; fd++)
        count += fcntl(fd, F_GETFD) != -1;
    return count;
}

static void finish(test_t *t)
{
    model_settle(&t->model);
    if (t->queue != NULL && fuzz_below(t->input, 2) == 0) {
        async_queue_destroy(t->queue);
        t->queue = NULL;
    }
    async_runtime_deinit(t->model.runtime);
    async_queue_destroy(t->queue);
    for (unsigned i = 0; i < ENDS; i++) {
        if (t->model.ends[i].fd != -1)
            close(t->model.ends[i].fd);
    }
    for (unsigned i = 0; i < OPERATIONS; i++) {
        if (t->model.operations[i].used)
            free(t->model.operations[i].buffer);
    }
}

/* Runs the program; a backend that the system refuses is left out. */
static void run(const uint8_t *data, size_t size, const char *backend)
{
    fuzz_input_t input = {data, data + size};
    async_runtime_options_t options = ASYNC_RUNTIME_OPTIONS_INIT;
    unsigned descriptors = open_descriptors();
    test_t t;

    memset(&t, 0, sizeof(t));
    t.input = &input;
    t.model.nested = ASYNC_INVALID_FD;
    /* what the queue announces counts, too, but is never refused: one or the other */
    if (fuzz_below(&input, 2) == 0) {
        t.queue_capacity = 1 + fuzz_below(&input, 3);
        t.queue = async_queue_create(t.queue_capacity, 1, 0);
    } else {
        t.completion_limit = fuzz_below(&input, 4);
    }
    options.backend = backend;
    options.completion_limit = t.completion_limit;
    t.model.runtime = async_runtime_init_with(&options);
    if (t.model.runtime == NULL) {
        FUZZ_CHECK(errno == ENOTSUP, "%s: errno %d", backend, errno);
        async_queue_destroy(t.queue);
        return;
    }
    fuzz_trace("== %s", backend);
    for (unsigned i = 0; i < ENDS; i += 2)
        fuzz_open_channel(&t, i);
    for (unsigned i = 0; i < CALLS_MAX && fuzz_more(&input); i++) {
        call(&t);
        check_stats(&t);
        check_timeout(&t);
    }
    finish(&t);
    FUZZ_CHECK(open_descriptors() == descriptors, "%s: %u descriptors were open, %u are", backend,
               descriptors, open_descriptors());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *const *backend = async_runtime_backends();
    const char *only = getenv("ASYNCRT_BACKEND");

    signal(SIGPIPE, SIG_IGN); /* of our own writes into pipes */
    for (; *backend != NULL; backend++) {
        if (only == NULL || *only == '\0' || strcmp(only, *backend) == 0)
            run(data, size, *backend);
    }
    return 0;
}

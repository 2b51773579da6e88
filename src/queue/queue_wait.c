/* SPDX-License-Identifier: MIT */
/*
 * queue_wait.c - sleeping: writers for a place, the consumer for a message
 *
 * Both are Dekker's pairs: the sleeper announces itself and then looks at the queue, the other side
 * changes the queue and then looks for sleepers, each with a sequentially consistent fence between.
 *
 * Blocked writers.  The first freed place wakes one writer and sets room_woken; while that stands,
 * further places wake nobody, so a busy consumer makes no system call for each message.  Every
 * writer clears it before it looks for a place, and one that has got a place after having slept or
 * having been about to wakes the next while there are places and sleepers.  A place that was freed
 * while room_woken stood was freed before that writer's look, which therefore sees it.
 *
 * The consumer pays that fence only while a writer waits: who is going to counts himself in
 * `blocking` and makes every other thread pass a barrier (port_barrier.h); a place that the
 * consumer freed before is seen after it, and a consumer that frees one later sees the count.
 * Where the system has no such barrier the count is never taken back, and the first writers look
 * again every millisecond until the consumer has shown that it knows.
 */
#include "queue/queue_impl.h"
#include "port/port_barrier.h"
#include "port/port_clock.h"
#include "port/port_error.h"

#define LOOK_AGAIN_NS PORT_NS_PER_MS

void queue_wake_writers(async_queue_t *q)
{
    port_eventcount_notify(&q->room, PORT_FUTEX_ALL);
}

/* pairs with the fences in wait_once */
PORT_NOINLINE void queue_wake_writer(async_queue_t *q)
{
    if (port_eventcount_has_waiters(&q->room) &&
        atomic_exchange_explicit(&q->room_woken, 1, memory_order_seq_cst) == 0)
        port_eventcount_wake(&q->room, 1);
}

PORT_NOINLINE void queue_place_freed(async_queue_t *q)
{
    uint32_t asked = QUEUE_ASKED_YES;

    /* who sees it asked sees the count that stays (see ask_for_wakes), now and ever after */
    if (PORT_UNLIKELY(atomic_load_explicit(&q->asked, memory_order_acquire) == QUEUE_ASKED_YES))
        atomic_compare_exchange_strong_explicit(&q->asked, &asked, QUEUE_ASKED_SEEN,
                                                memory_order_release, memory_order_relaxed);
    queue_wake_writer(q);
}

/* Until the count is taken back the consumer looks for writers. */
static void ask_for_wakes(async_queue_t *q)
{
    uint32_t no = QUEUE_ASKED_NO;

    atomic_fetch_add_explicit(&q->blocking, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&q->asked, memory_order_acquire) != QUEUE_ASKED_NO ||
        port_barrier_all_threads())
        return;
    atomic_fetch_add_explicit(&q->blocking, 1, memory_order_seq_cst);
    /* pairs with the load in queue_place_freed */
    if (!atomic_compare_exchange_strong_explicit(&q->asked, &no, QUEUE_ASKED_YES,
                                                 memory_order_seq_cst, memory_order_relaxed))
        atomic_fetch_sub_explicit(&q->blocking, 1, memory_order_relaxed);
}

/* One look and, when there is no place, one sleep.  Returns as the attempt; EAGAIN: look again. */
static int wait_once(async_queue_t *q, uint64_t deadline, bool *blocked, queue_attempt_t attempt,
                     void *arg)
{
    uint32_t key = port_eventcount_prepare(&q->room);
    int err;

    atomic_store_explicit(&q->room_woken, 0, memory_order_relaxed);
    /* pairs with the fence in queue_wake_writer: it sees room_woken clear and us waiting, or we the
     * place
     */
    atomic_thread_fence(memory_order_seq_cst);
    err = attempt(q, arg);
    if (err != EAGAIN) {
        port_eventcount_cancel(&q->room);
        return err;
    }
    if (deadline == 0 || (deadline != PORT_DEADLINE_NEVER && port_clock_now() >= deadline)) {
        port_eventcount_cancel(&q->room);
        return ETIMEDOUT;
    }
    if (!*blocked)
        atomic_fetch_add_explicit(&q->blocked, 1, memory_order_relaxed);
    *blocked = true;
    if (atomic_load_explicit(&q->asked, memory_order_acquire) == QUEUE_ASKED_YES) {
        uint64_t soon = port_clock_after(port_clock_now(), LOOK_AGAIN_NS);

        deadline = soon < deadline ? soon : deadline;
    }
    port_eventcount_wait(&q->room, key, deadline);
    return EAGAIN;
}

int queue_wait_place(async_queue_t *q, int timeout_ms, queue_attempt_t attempt, void *arg)
{
    uint64_t deadline;
    bool blocked = false;
    int err = EAGAIN;

    if (timeout_ms == 0)
        return ETIMEDOUT;
    if (timeout_ms < 0 &&
        atomic_load_explicit(&q->consumer, memory_order_relaxed) == port_thread_token())
        return EDEADLK;
    deadline = port_deadline(timeout_ms);
    for (unsigned i = 0; i < q->spin && err == EAGAIN; i += 10) {
        for (unsigned pause = 0; pause < 10; pause++)
            port_cpu_relax();
        err = attempt(q, arg);
    }
    if (err != EAGAIN)
        return err;
    ask_for_wakes(q);
    do
        err = wait_once(q, deadline, &blocked, attempt, arg);
    while (err == EAGAIN);
    atomic_fetch_sub_explicit(&q->blocking, 1, memory_order_relaxed);
    /* hand the wake on: it may have stood for several places; pairs with queue_wake_writer's
     * exchange */
    if (err != EPIPE && port_eventcount_has_waiters(&q->room) && !async_queue_is_full(q))
        queue_wake_writer(q);
    return err;
}

PORT_NOINLINE void queue_signal(async_queue_t *q)
{
    /* the message was published before; pairs with the fences in async_queue_wait and queue_bind.c
     */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&q->asleep, memory_order_relaxed) != 0 &&
        atomic_exchange_explicit(&q->asleep, 0, memory_order_acq_rel) != 0)
        port_futex_wake(&q->asleep, 1);
    queue_announce(q);
}

/* 0: a message is there; EPIPE; EAGAIN. */
static int look(async_queue_t *q)
{
    if (queue_ready(q)) {
        if (q->flags & ASYNC_QUEUE_DROP_OLDEST) { /* it may be dropped until it is taken */
            q->promised = true;
            q->usual_dropper = UINT64_MAX;
        }
        return 0;
    }
    return queue_finished(q) ? EPIPE : EAGAIN;
}

bool async_queue_wait(async_queue_t *queue, int timeout_ms)
{
    uint64_t deadline;
    int err, saved = errno;

    if (queue == NULL || timeout_ms < -1 || (queue->flags & ASYNC_QUEUE_SIGNAL_ON_DATA) == 0)
        return port_fail_false(EINVAL);
    err = look(queue);
    if (err == 0)
        return true;
    deadline = port_deadline(timeout_ms);
    for (unsigned i = 0; deadline != 0 && i < queue->spin && err == EAGAIN; i++) {
        port_cpu_relax();
        err = look(queue);
    }
    while (err == EAGAIN) {
        if (deadline == 0 || (deadline != PORT_DEADLINE_NEVER && port_clock_now() >= deadline)) {
            err = ETIMEDOUT;
            break;
        }
        atomic_store_explicit(&queue->asleep, 1, memory_order_relaxed);
        /* pairs with the fence in queue_signal: it sees us asleep, or we the message */
        atomic_thread_fence(memory_order_seq_cst);
        err = look(queue);
        if (err == EAGAIN)
            port_futex_wait(&queue->asleep, 1, deadline);
        atomic_store_explicit(&queue->asleep, 0, memory_order_relaxed);
        if (err == EAGAIN)
            err = look(queue);
    }
    if (err != 0)
        return port_fail_false(err);
    errno = saved;
    return true;
}

/* SPDX-License-Identifier: MIT */
/* runtime_rows.c - the rows of bench/runtime within one process */
#include "runtime.h"

#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- Bursts of completions. ---- */

typedef struct burst {
    loop_t *loop;
    pthread_barrier_t barrier;
    size_t each;
    size_t left;
} burst_t;

static void *post_burst(void *arg)
{
    burst_t *burst = arg;

    pthread_barrier_wait(&burst->barrier);
    for (size_t i = 0; i < burst->each; i++)
        burst->loop->kind->post(burst->loop, i);
    return NULL;
}

static void count_down(loop_t *loop, uintptr_t data)
{
    burst_t *burst = loop->user;

    (void)data;
    if (--burst->left == 0)
        loop->kind->stop(loop);
}

static void run_burst(burst_t *burst, size_t threads)
{
    pthread_t thread[8];

    burst->left = burst->each * threads;
    pthread_barrier_init(&burst->barrier, NULL, (unsigned)threads + 1);
    for (size_t i = 0; i < threads; i++)
        bench_check(pthread_create(&thread[i], NULL, post_burst, burst) == 0, "pthread_create");
    pthread_barrier_wait(&burst->barrier);
    burst->loop->kind->run(burst->loop);
    for (size_t i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    pthread_barrier_destroy(&burst->barrier);
}

bool measure_burst(const row_t *row, const loop_kind_t *kind, double *values)
{
    size_t threads = row->count, posts = kind->slow ? row->size / 10 : row->size;
    burst_t burst = {.each = posts / threads};
    uint64_t start, start_cpu, wakes = 0;

    if (kind->post == NULL)
        return false;
    burst.loop = kind->open(kind);
    burst.loop->posted = count_down;
    burst.loop->user = &burst;
    run_burst(&burst, threads);
    if (kind->wakes != NULL)
        wakes = kind->wakes(burst.loop);
    start = bench_now();
    start_cpu = cpu_now();
    run_burst(&burst, threads);
    values[0] = (double)(bench_now() - start) / (double)posts;
    values[1] = (double)(cpu_now() - start_cpu) / (double)posts;
    values[2] =
        kind->wakes != NULL ? (double)(kind->wakes(burst.loop) - wakes) * 1e6 / (double)posts : -1;
    kind->close(burst.loop);
    return true;
}

/* ---- Waking a sleeping loop. ---- */

typedef struct waker {
    loop_t *loop;
    size_t count;
    double *latency, *cost;
    _Atomic uint64_t sent;
    _Atomic size_t arrived;
} waker_t;

static void *post_now_and_then(void *arg)
{
    const struct timespec pause = {.tv_nsec = 100000};
    waker_t *waker = arg;

    for (size_t i = 0; i < waker->count; i++) {
        uint64_t start;

        nanosleep(&pause, NULL);
        start = bench_now();
        atomic_store(&waker->sent, start);
        waker->loop->kind->post(waker->loop, i);
        waker->cost[i] = (double)(bench_now() - start) / 1e3;
        while (atomic_load(&waker->arrived) == i)
            sched_yield();
    }
    return NULL;
}

static void note_arrival(loop_t *loop, uintptr_t i)
{
    waker_t *waker = loop->user;

    waker->latency[i] = (double)(bench_now() - atomic_load(&waker->sent)) / 1e3;
    atomic_store(&waker->arrived, i + 1);
    if (i + 1 == waker->count)
        loop->kind->stop(loop);
}

bool measure_wake(const row_t *row, const loop_kind_t *kind, double *values)
{
    waker_t waker = {.count = row->size};
    pthread_t thread;

    if (kind->post == NULL)
        return false;
    waker.latency = calloc(waker.count, sizeof(*waker.latency));
    waker.cost = calloc(waker.count, sizeof(*waker.cost));
    waker.loop = kind->open(kind);
    waker.loop->posted = note_arrival;
    waker.loop->user = &waker;
    bench_check(pthread_create(&thread, NULL, post_now_and_then, &waker) == 0, "pthread_create");
    kind->run(waker.loop);
    pthread_join(thread, NULL);
    kind->close(waker.loop);
    values[0] = quantile(waker.latency, waker.count, 0.5);
    values[1] = quantile(waker.latency, waker.count, 0.99);
    values[2] = quantile(waker.cost, waker.count, 0.5);
    free(waker.latency);
    free(waker.cost);
    return true;
}

/* ---- Socketpairs passing tokens. ---- */

typedef struct member member_t;
typedef struct ring {
    loop_t *loop;
    member_t *members;
    size_t count, left;
} ring_t;

struct member {
    watch_t watch; /* one end of the pair, the other is out */
    ring_t *ring;
    member_t *next;
    int out;
};

static void pass_token(watch_t *watch)
{
    member_t *member = watch->user;
    ring_t *ring = member->ring;
    char token;

    if (read(watch->fd, &token, 1) != 1)
        return;
    bench_check(write(member->next->out, &token, 1) == 1, "write");
    if (--ring->left == 0)
        ring->loop->kind->stop(ring->loop);
}

static void make_ring(ring_t *ring, size_t count)
{
    ring->count = count;
    ring->members = calloc(count, sizeof(*ring->members));
    bench_check(ring->members != NULL, "calloc");
    for (size_t i = 0; i < count; i++) {
        member_t *member = &ring->members[i];
        int pair[2];

        bench_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0,
                    "socketpair");
        member->watch = (watch_t){.fd = pair[0], .ready = pass_token, .user = member};
        member->out = pair[1];
        member->ring = ring;
        member->next = &ring->members[(i + 1) % count];
    }
}

static void free_ring(ring_t *ring)
{
    for (size_t i = 0; i < ring->count; i++) {
        close(ring->members[i].watch.fd);
        close(ring->members[i].out);
    }
    free(ring->members);
}

/* A ring in a loop, with its tokens, after a tenth of the events. */
static void start_ring(ring_t *ring, const loop_kind_t *kind, size_t count, size_t tokens,
                       size_t events)
{
    make_ring(ring, count);
    ring->loop = kind->open(kind);
    for (size_t i = 0; i < count; i++)
        kind->watch(ring->loop, &ring->members[i].watch, LOOP_READ);
    for (size_t i = 0; i < tokens; i++)
        bench_check(write(ring->members[i * (count / tokens)].out, "t", 1) == 1, "write");
    ring->left = events / 10;
    kind->run(ring->loop);
    ring->left = events;
}

static void end_ring(ring_t *ring, const loop_kind_t *kind)
{
    for (size_t i = 0; i < ring->count; i++)
        kind->unwatch(ring->loop, &ring->members[i].watch);
    kind->close(ring->loop);
    free_ring(ring);
}

bool measure_ring(const row_t *row, const loop_kind_t *kind, double *values)
{
    size_t events = kind->slow ? 2000 : 20000;
    ring_t ring = {.count = 0};
    uint64_t start, start_cpu;

    if (kind->watch == NULL || (row->size > 1000 && !kind->many && !kind->slow))
        return false;
    start_ring(&ring, kind, row->size, row->count, events);
    start = bench_now();
    start_cpu = cpu_now();
    kind->run(ring.loop);
    values[0] = (double)(cpu_now() - start_cpu) / (double)events;
    values[1] = (double)(bench_now() - start) / (double)events;
    end_ring(&ring, kind);
    return true;
}

/* ---- A loop in each of several threads. ---- */

typedef struct ring_thread {
    const loop_kind_t *kind;
    pthread_barrier_t *barrier;
    size_t count, events;
    uint64_t started, ended;
} ring_thread_t;

static void *run_ring(void *arg)
{
    ring_thread_t *thread = arg;
    ring_t ring = {.count = 0};

    start_ring(&ring, thread->kind, thread->count, thread->count, thread->events);
    pthread_barrier_wait(thread->barrier);
    thread->started = bench_now();
    thread->kind->run(ring.loop);
    thread->ended = bench_now();
    pthread_barrier_wait(thread->barrier);
    end_ring(&ring, thread->kind);
    return NULL;
}

bool measure_threads(const row_t *row, const loop_kind_t *kind, double *values)
{
    size_t events = 50000;
    pthread_barrier_t barrier;
    ring_thread_t threads[8];
    pthread_t ids[8];
    uint64_t started = UINT64_MAX, ended = 0;

    if (kind->watch == NULL || kind->slow)
        return false;
    pthread_barrier_init(&barrier, NULL, (unsigned)row->count);
    for (size_t i = 0; i < row->count; i++) {
        threads[i] = (ring_thread_t){
            .kind = kind, .barrier = &barrier, .count = row->size, .events = events};
        bench_check(pthread_create(&ids[i], NULL, run_ring, &threads[i]) == 0, "pthread_create");
    }
    for (size_t i = 0; i < row->count; i++) {
        pthread_join(ids[i], NULL);
        started = threads[i].started < started ? threads[i].started : started;
        ended = threads[i].ended > ended ? threads[i].ended : ended;
    }
    pthread_barrier_destroy(&barrier);
    values[0] = (double)(ended - started) / (double)(events * row->count);
    values[1] = 1e9 / values[0];
    return true;
}

/* ---- Changes of one descriptor. ---- */

static void never_ready(watch_t *watch)
{
    (void)watch;
}

typedef struct changes {
    loop_t *loop;
    size_t count;
    watch_t *watches;
    int *writers;
} changes_t;

/* The reading ends of pipes: never writable, so that a change to READ|WRITE has no event. */
static void make_pipes(changes_t *changes)
{
    for (size_t i = 0; i < changes->count; i++) {
        int pair[2];

        bench_check(pipe2(pair, O_NONBLOCK | O_CLOEXEC) == 0, "pipe2");
        changes->watches[i] = (watch_t){.fd = pair[0], .ready = never_ready};
        changes->writers[i] = pair[1];
    }
}

static void close_pipes(changes_t *changes)
{
    for (size_t i = 0; i < changes->count; i++) {
        close(changes->watches[i].fd);
        close(changes->writers[i]);
    }
}

static uint64_t add_all(changes_t *changes)
{
    uint64_t start = cpu_now();

    for (size_t i = 0; i < changes->count; i++)
        changes->loop->kind->watch(changes->loop, &changes->watches[i], LOOP_READ);
    changes->loop->kind->once(changes->loop);
    return cpu_now() - start;
}

static uint64_t change_all(changes_t *changes, unsigned events)
{
    uint64_t start = cpu_now();

    for (size_t i = 0; i < changes->count; i++)
        changes->loop->kind->change(changes->loop, &changes->watches[i], events);
    changes->loop->kind->once(changes->loop);
    return cpu_now() - start;
}

static uint64_t remove_all(changes_t *changes)
{
    uint64_t start = cpu_now();

    for (size_t i = 0; i < changes->count; i++)
        changes->loop->kind->unwatch(changes->loop, &changes->watches[i]);
    changes->loop->kind->once(changes->loop);
    return cpu_now() - start;
}

bool measure_change(const row_t *row, const loop_kind_t *kind, double *values)
{
    changes_t changes = {.count = row->size};
    uint64_t modified = 0, added = 0, removed = 0;
    double all = (double)(row->size * row->count);

    if (kind->watch == NULL)
        return false;
    changes.loop = kind->open(kind);
    changes.watches = calloc(changes.count, sizeof(*changes.watches));
    changes.writers = calloc(changes.count, sizeof(*changes.writers));
    bench_check(changes.watches != NULL && changes.writers != NULL, "calloc");
    for (size_t pass = 0; pass < row->count; pass++) {
        make_pipes(&changes);
        added += add_all(&changes);
        modified += change_all(&changes, LOOP_READ | LOOP_WRITE);
        modified += change_all(&changes, LOOP_READ);
        removed += remove_all(&changes);
        close_pipes(&changes);
    }
    kind->close(changes.loop);
    values[0] = (double)modified / (2 * all);
    values[1] = (double)added / all;
    values[2] = (double)removed / all;
    free(changes.watches);
    free(changes.writers);
    return true;
}

/* ---- Timers. ---- */

typedef struct timers {
    loop_t *loop;
    size_t left;
} timers_t;

static void has_expired(loop_alarm_t *alarm)
{
    timers_t *timers = alarm->user;

    if (--timers->left == 0)
        timers->loop->kind->stop(timers->loop);
}

static void shuffle(size_t *order, size_t count, uint64_t *seed)
{
    for (size_t i = 0; i < count; i++)
        order[i] = i;
    for (size_t i = count - 1; i > 0; i--) {
        size_t j = next_random(seed) % (i + 1), other = order[i];

        order[i] = order[j];
        order[j] = other;
    }
}

static uint64_t far_away(uint64_t *seed)
{
    return 1000000000u + next_random(seed) % 1000000000u;
}

/* Nanoseconds to expire all, which are due when it begins. */
static uint64_t expire_all(timers_t *timers, loop_alarm_t *alarms, const size_t *order,
                           size_t count, uint64_t *seed)
{
    const loop_kind_t *kind = timers->loop->kind;
    uint64_t start;

    for (size_t i = 0; i < count; i++)
        kind->arm(timers->loop, &alarms[order[i]], 1 + next_random(seed) % 100000);
    usleep(120000);
    timers->left = count;
    start = cpu_now();
    kind->run(timers->loop);
    return cpu_now() - start;
}

bool measure_timers(const row_t *row, const loop_kind_t *kind, double *values)
{
    size_t count = kind->slow ? row->size / 10 : row->size, *order;
    uint64_t seed = 88172645463325252u, start;
    timers_t timers = {.left = 0};
    loop_alarm_t *alarms;

    if (kind->arm == NULL || (kind->slow && count > 10000) ||
        (kind->backend != NULL && kind != &loop_asyncrt_epoll))
        return false;
    timers.loop = kind->open(kind);
    alarms = calloc(count, sizeof(*alarms));
    order = calloc(count, sizeof(*order));
    bench_check(alarms != NULL && order != NULL, "calloc");
    shuffle(order, count, &seed);
    for (size_t i = 0; i < count; i++) {
        alarms[i] = (loop_alarm_t){.expired = has_expired, .user = &timers};
        kind->arm(timers.loop, &alarms[i], far_away(&seed));
    }
    start = cpu_now();
    for (size_t i = 0; i < count; i++)
        kind->arm(timers.loop, &alarms[order[i]], far_away(&seed));
    values[0] = (double)(cpu_now() - start) / (double)count;
    shuffle(order, count, &seed);
    start = cpu_now();
    for (size_t i = 0; i < count; i++)
        kind->disarm(timers.loop, &alarms[order[i]]);
    values[1] = (double)(cpu_now() - start) / (double)count;
    values[2] = (double)expire_all(&timers, alarms, order, count, &seed) / (double)count;
    for (size_t i = 0; i < count; i++)
        kind->forget(timers.loop, &alarms[i]);
    kind->close(timers.loop);
    free(alarms);
    free(order);
    return true;
}

/* ---- Memory. ---- */

static double allocated(void)
{
    struct mallinfo2 info = mallinfo2();

    return (double)info.uordblks + (double)info.hblkhd;
}

static double memory_of_watches(loop_t *loop, size_t count)
{
    watch_t *watches = calloc(count, sizeof(*watches));
    double before, each;

    for (size_t i = 0; i < count; i++) {
        watches[i] = (watch_t){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = never_ready};
        bench_check(watches[i].fd >= 0, "eventfd");
    }
    before = allocated();
    for (size_t i = 0; i < count; i++)
        loop->kind->watch(loop, &watches[i], LOOP_READ);
    loop->kind->once(loop);
    each = (allocated() - before) / (double)count;
    for (size_t i = 0; i < count; i++)
        loop->kind->unwatch(loop, &watches[i]);
    loop->kind->once(loop);
    for (size_t i = 0; i < count; i++)
        close(watches[i].fd);
    free(watches);
    return each;
}

static double memory_of_alarms(loop_t *loop, size_t count)
{
    loop_alarm_t *alarms = calloc(count, sizeof(*alarms));
    double before = allocated(), each;

    for (size_t i = 0; i < count; i++)
        loop->kind->arm(loop, &alarms[i], 1000000000u);
    each = (allocated() - before) / (double)count;
    for (size_t i = 0; i < count; i++) {
        loop->kind->disarm(loop, &alarms[i]);
        loop->kind->forget(loop, &alarms[i]);
    }
    loop->kind->once(loop);
    free(alarms);
    return each;
}

static double memory_of_posts(loop_t *loop, size_t count)
{
    burst_t burst = {.loop = loop, .left = count};
    double before = allocated(), each;

    loop->posted = count_down;
    loop->user = &burst;
    for (size_t i = 0; i < count; i++)
        loop->kind->post(loop, i);
    each = (allocated() - before) / (double)count;
    loop->kind->run(loop);
    return each;
}

bool measure_memory(const row_t *row, const loop_kind_t *kind, double *values)
{
    loop_t *loop;

    if (kind->watch == NULL)
        return false;
    loop = kind->open(kind);
    values[0] = memory_of_watches(loop, row->size);
    values[1] = kind->arm != NULL ? memory_of_alarms(loop, row->count) : -1;
    values[2] = memory_of_posts(loop, row->count);
    kind->close(loop);
    return true;
}

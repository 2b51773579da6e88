/* SPDX-License-Identifier: MIT */
/*
 * queue_measure.c - what the queue's benchmark does with one candidate
 */
#include "queue_measure.h"
#include "bench.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_NS 50000000u /* a transfer that takes longer is cut short */
#define PATIENCE_NS 500u

static long processors(void)
{
    static long count;

    if (count == 0)
        count = sysconf(_SC_NPROCESSORS_ONLN);
    return count;
}

/* Thread n of those of a row has a processor to itself, as long as there are enough. */
static void pin(unsigned n, unsigned threads)
{
    long count = processors();
    cpu_set_t set;

    CPU_ZERO(&set);
    for (long i = 0; i < count; i++)
        if (threads > (unsigned)count || (long)n == i)
            CPU_SET(i, &set);
    pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

/*
 * How everyone waits for a queue that is full or empty, whatever the candidate, and as a program
 * would: without a processor for each thread it gives its own away at once; else it looks again for
 * a while first.  A while is a time and not a number of calls, which take different times.
 */
struct patience {
    bool crowded;
    uint64_t since; /* 0: nothing to wait for so far */
};

static void wait_a_little(struct patience *p)
{
    uint64_t now = p->crowded ? 0 : bench_now();

    if (!p->crowded && p->since == 0)
        p->since = now;
    if (p->crowded || now - p->since > PATIENCE_NS) {
        sched_yield();
        p->since = 0;
    }
}

/* ---- A line that moves between two threads. */

static alignas(64) _Atomic unsigned ball;

static void *canary_echo(void *arg)
{
    pin(1, 2);
    for (unsigned i = 1; i < 4000; i += 2) {
        for (unsigned turn = 0; atomic_load_explicit(&ball, memory_order_acquire) != i; turn++)
            if (turn % 4096 == 4095)
                sched_yield();
        atomic_store_explicit(&ball, i + 1, memory_order_release);
    }
    return arg;
}

double canary(void)
{
    pthread_t thread;
    uint64_t start;

    atomic_store(&ball, 0);
    pin(0, 2);
    pthread_create(&thread, NULL, canary_echo, NULL);
    start = bench_now();
    for (unsigned i = 0; i < 4000; i += 2) {
        atomic_store_explicit(&ball, i + 1, memory_order_release);
        for (unsigned turn = 0; atomic_load_explicit(&ball, memory_order_acquire) != i + 2; turn++)
            if (turn % 4096 == 4095)
                sched_yield();
    }
    start = bench_now() - start;
    pthread_join(thread, NULL);
    return (double)start / 4000;
}

/* ---- Messages from some threads to one. */

struct transfer {
    const struct peer *peer;
    void *queue;
    const struct row *row;
    _Atomic int go, stop;
    _Atomic unsigned ended;
};

struct sender {
    struct transfer *transfer;
    uint64_t id, count, sent;
};

static void *send_all(void *arg)
{
    struct sender *s = arg;
    struct transfer *t = s->transfer;
    alignas(16) uint64_t m[128] = {0};
    size_t last = t->row->size / 8 - 1;
    struct patience patience = {.crowded = t->row->producers >= processors()};

    pin((unsigned)s->id + 1, t->row->producers + 1);
    while (!atomic_load_explicit(&t->go, memory_order_acquire))
        sched_yield();
    for (uint64_t i = 0; i < s->count; i++) {
        m[last] = i;
        m[0] = s->id << 56 | i;
        for (patience.since = 0; !t->peer->push(t->queue, m, t->row->size);) {
            wait_a_little(&patience);
            if (atomic_load_explicit(&t->stop, memory_order_relaxed))
                goto out;
        }
        s->sent++;
        if (atomic_load_explicit(&t->stop, memory_order_relaxed))
            break;
    }
out:
    atomic_fetch_add(&t->ended, 1);
    return NULL;
}

/* Takes until all senders have ended and nothing is left; counts what came. */
static uint64_t receive_all(struct transfer *t, uint64_t start, uint64_t *next)
{
    alignas(16) uint64_t m[128];
    uint64_t got = 0;
    size_t last = t->row->size / 8 - 1;
    /* a message that was made in place has only its first words */
    bool whole = strstr(t->peer->name, "in place") == NULL || t->row->size == 16;
    struct patience patience = {.crowded = t->row->producers >= processors()};
    unsigned turn = 0;

    for (;;) {
        uint64_t from, number;
        bool over = atomic_load_explicit(&t->ended, memory_order_acquire) == t->row->producers;

        if (!t->peer->pop(t->queue, m, t->row->size)) {
            if (over)
                return got;
            wait_a_little(&patience);
            if (++turn % 64 == 0 && bench_now() - start > LIMIT_NS)
                atomic_store_explicit(&t->stop, 1, memory_order_relaxed);
            continue;
        }
        patience.since = 0;
        from = m[0] >> 56;
        number = m[0] & 0xffffffffffffffu;
        bench_check(from < t->row->producers && number >= next[from] &&
                        (!whole || (m[last] & 0xffffffffffffffu) == number),
                    "a message is torn or out of order");
        bench_check(t->row->policy == POLICY_DROP || number == next[from], "a message is lost");
        next[from] = number + 1;
        if (++got % 1024 == 0 && bench_now() - start > LIMIT_NS)
            atomic_store_explicit(&t->stop, 1, memory_order_relaxed);
    }
}

double delivered, delivered_rate;

/* Messages sent, per second in millions. */
double transfer(const struct peer *peer, const struct row *row)
{
    struct transfer t = {.peer = peer, .row = row};
    struct sender senders[PRODUCERS_MAX];
    pthread_t threads[PRODUCERS_MAX];
    uint64_t start, got, next[PRODUCERS_MAX] = {0}, sent = 0;
    /* a queue that drops never makes its senders wait: they would be done within a turn on the
     * processor, in which the receiver may not have run at all, so they send until LIMIT_NS */
    uint64_t count = row->policy == POLICY_DROP ? UINT64_MAX : row->count / row->producers;

    t.queue = peer->open(row->capacity, row->size, row->policy);
    for (unsigned i = 0; i < row->producers; i++) {
        senders[i] = (struct sender){&t, i, count, 0};
        bench_check(pthread_create(&threads[i], NULL, send_all, &senders[i]) == 0,
                    "pthread_create");
    }
    pin(0, row->producers + 1);
    start = bench_now();
    atomic_store_explicit(&t.go, 1, memory_order_release);
    got = receive_all(&t, start, next);
    start = bench_now() - start;
    for (unsigned i = 0; i < row->producers; i++) {
        pthread_join(threads[i], NULL);
        sent += senders[i].sent;
        bench_check(row->policy == POLICY_DROP || next[i] == senders[i].sent, "the end is lost");
    }
    if (row->policy == POLICY_DROP)
        bench_check(got + peer->dropped(t.queue) == sent, "a loss is not counted");
    delivered = 100.0 * (double)got / (double)sent;
    delivered_rate = (double)got / (double)start * 1000;
    peer->close(t.queue);
    return (double)sent / (double)start * 1000;
}

/*
 * ---- One thread.  Timed in short batches, of which the median counts: a batch is shorter than a
 * turn on the processor, so that other programs spoil few of them.
 */
#define BATCH 500u
#define BATCHES_MAX 4000u

static double batches[BATCHES_MAX];

/* Nanoseconds for a push and a pop. */
double pair(const struct peer *peer, const struct row *row)
{
    void *q = peer->open(row->capacity, row->size, row->policy);
    alignas(16) uint64_t in[128] = {0}, out[128];
    size_t n = row->count / BATCH < BATCHES_MAX ? row->count / BATCH : BATCHES_MAX;

    for (size_t b = 0; b < n; b++) {
        uint64_t start = bench_now();

        for (uint64_t i = 0; i < BATCH; i++) {
            in[0] = i;
            bench_check(peer->push(q, in, row->size) && peer->pop(q, out, row->size) && out[0] == i,
                        "pair");
        }
        batches[b] = (double)(bench_now() - start) / BATCH;
    }
    peer->close(q);
    return bench_median(batches, n);
}

/* Nanoseconds for a push into a full queue that drops. */
double push_full(const struct peer *peer, const struct row *row)
{
    void *q = peer->open(row->capacity, row->size, row->policy);
    alignas(16) uint64_t in[128] = {0}, out[128];
    size_t n = row->count / BATCH < BATCHES_MAX ? row->count / BATCH : BATCHES_MAX;

    for (size_t i = 0; i < row->capacity; i++)
        peer->push(q, in, row->size);
    for (size_t b = 0; b < n; b++) {
        uint64_t start = bench_now();

        for (uint64_t i = 0; i < BATCH; i++) {
            in[0] = b * BATCH + i;
            bench_check(peer->push(q, in, row->size), "push");
        }
        batches[b] = (double)(bench_now() - start) / BATCH;
    }
    /* a ring whose capacity ends at 65534 has dropped two more */
    bench_check(peer->pop(q, out, row->size) && out[0] - (n * BATCH - row->capacity) <= 2,
                "not the oldest");
    peer->close(q);
    return bench_median(batches, n);
}

/* Nanoseconds for a push into a full queue that refuses it. */
double push_refused(const struct peer *peer, const struct row *row)
{
    void *q = peer->open(row->capacity, row->size, row->policy);
    alignas(16) uint64_t in[128] = {0}, out[128];
    size_t n = row->count / BATCH < BATCHES_MAX ? row->count / BATCH : BATCHES_MAX;

    for (size_t i = 0; peer->push(q, in, row->size); i++)
        bench_check(i < 2 * row->capacity, "never full");
    for (size_t b = 0; b < n; b++) {
        uint64_t start = bench_now();

        for (uint64_t i = 0; i < BATCH; i++)
            bench_check(!peer->push(q, in, row->size), "not refused");
        batches[b] = (double)(bench_now() - start) / BATCH;
    }
    while (peer->pop(q, out, row->size))
        continue;
    peer->close(q);
    return bench_median(batches, n);
}

/* Nanoseconds for a pop from an empty queue. */
double pop_empty(const struct peer *peer, const struct row *row)
{
    void *q = peer->open(row->capacity, row->size, row->policy);
    alignas(16) uint64_t m[128] = {0};
    size_t n = row->count / BATCH < BATCHES_MAX ? row->count / BATCH : BATCHES_MAX;

    bench_check(peer->push(q, m, row->size) && peer->pop(q, m, row->size), "pair");
    for (size_t b = 0; b < n; b++) {
        uint64_t start = bench_now();

        for (uint64_t i = 0; i < BATCH; i++)
            bench_check(!peer->pop(q, m, row->size), "not empty");
        batches[b] = (double)(bench_now() - start) / BATCH;
    }
    peer->close(q);
    return bench_median(batches, n);
}

/* ---- Ping-pong through two queues. */

struct echo {
    const struct peer *peer;
    void *there, *back;
    size_t size;
    uint64_t count;
};

static void *echo_all(void *arg)
{
    struct echo *e = arg;
    alignas(16) uint64_t m[128];

    pin(1, 2);
    for (uint64_t i = 0; i < e->count; i++) {
        for (unsigned turn = 0; !e->peer->pop(e->there, m, e->size); turn++)
            if (turn % 4096 == 4095)
                sched_yield();
        e->peer->push(e->back, m, e->size);
    }
    return NULL;
}

double percentiles[3];

double ping_pong(const struct peer *peer, const struct row *row)
{
    struct echo e = {.peer = peer, .size = row->size, .count = row->count};
    double *times = malloc(row->count * sizeof(*times));
    alignas(16) uint64_t m[128] = {0}, back[128];
    pthread_t thread;

    e.there = peer->open(row->capacity, row->size, row->policy);
    e.back = peer->open(row->capacity, row->size, row->policy);
    pin(0, 2);
    pthread_create(&thread, NULL, echo_all, &e);
    for (uint64_t i = 0; i < row->count; i++) {
        uint64_t start = bench_now();

        m[0] = i;
        peer->push(e.there, m, row->size);
        for (unsigned turn = 0; !peer->pop(e.back, back, row->size); turn++)
            if (turn % 4096 == 4095)
                sched_yield();
        times[i] = (double)(bench_now() - start);
        bench_check(back[0] == i, "ping-pong");
    }
    pthread_join(thread, NULL);
    qsort(times, row->count, sizeof(*times), bench_compare);
    percentiles[0] = times[row->count / 2];
    percentiles[1] = times[row->count / 100 * 99];
    percentiles[2] = times[row->count / 1000 * 999];
    free(times);
    peer->close(e.there);
    peer->close(e.back);
    return percentiles[0];
}

/* ---- Memory of a full queue, as malloc() sees it. */

static size_t allocated(void)
{
    struct mallinfo2 m = mallinfo2();

    return m.uordblks + m.hblkhd;
}

double memory(const struct peer *peer, const struct row *row)
{
    alignas(16) uint64_t m[128] = {0};
    size_t before = allocated(), after;
    void *q = peer->open(row->capacity, row->size, row->policy);

    for (size_t i = 0; i < row->capacity && peer->push(q, m, row->size); i++)
        continue;
    after = allocated();
    while (peer->pop(q, m, row->size))
        continue;
    peer->close(q);
    return (double)(after - before) / 1024;
}

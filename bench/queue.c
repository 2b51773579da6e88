/* SPDX-License-Identifier: MIT */
/*
 * queue.c - the queue beside its peers
 *
 *     bench/queue [quick|full|single] [rounds]
 *
 * All candidates of a row run in turn, round after round, and the row shows medians and the ratio
 * to the library.  Every message's sender, number and ends are checked, every loss is counted.  A
 * line that moves between the processors costs from 60 to 260 ns from one second to the next, so
 * each row begins with that canary: compare rows of the same state only.
 */
#include "bench.h"
#include "queue_peer.h"

#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define PEERS_MAX 16u
#define ROUNDS_MAX 64u
#define PRODUCERS_MAX 8u

static const struct peer *peers[PEERS_MAX];
static unsigned peer_count, rounds = 5;
static const char *const policy_names[] = {"plain", "drop", "block"};

struct row {
    size_t size, capacity;
    unsigned producers;
    enum policy policy;
    uint64_t count;
};

static void relax(unsigned turn)
{
    if (turn % 64 == 63)
        sched_yield();
    else
        __asm__ volatile("" ::: "memory");
}

/* ---- A line that moves between two threads. */

static alignas(64) _Atomic unsigned ball;

static void *canary_echo(void *arg)
{
    for (unsigned i = 1; i < 40000; i += 2) {
        for (unsigned turn = 0; atomic_load_explicit(&ball, memory_order_acquire) != i; turn++)
            if (turn % 4096 == 4095)
                sched_yield();
        atomic_store_explicit(&ball, i + 1, memory_order_release);
    }
    return arg;
}

static double canary(void)
{
    pthread_t thread;
    uint64_t start;

    atomic_store(&ball, 0);
    pthread_create(&thread, NULL, canary_echo, NULL);
    start = bench_now();
    for (unsigned i = 0; i < 40000; i += 2) {
        atomic_store_explicit(&ball, i + 1, memory_order_release);
        for (unsigned turn = 0; atomic_load_explicit(&ball, memory_order_acquire) != i + 2; turn++)
            if (turn % 4096 == 4095)
                sched_yield();
    }
    start = bench_now() - start;
    pthread_join(thread, NULL);
    return (double)start / 40000;
}

/* ---- Messages from some threads to one. */

struct transfer {
    const struct peer *peer;
    void *queue;
    const struct row *row;
    _Atomic int go;
    _Atomic unsigned ended;
};

struct sender {
    struct transfer *transfer;
    uint64_t id, count;
};

static void *send_all(void *arg)
{
    struct sender *s = arg;
    struct transfer *t = s->transfer;
    alignas(16) uint64_t m[128] = {0};
    size_t last = t->row->size / 8 - 1;

    while (!atomic_load_explicit(&t->go, memory_order_acquire))
        sched_yield();
    m[0] = s->id;
    for (uint64_t i = 0; i < s->count; i++) {
        m[last] = i;
        m[0] = s->id << 56 | i;
        for (unsigned turn = 0; !t->peer->push(t->queue, m, t->row->size); turn++)
            relax(turn);
    }
    atomic_fetch_add(&t->ended, 1);
    return NULL;
}

static uint64_t receive_all(struct transfer *t, uint64_t *got)
{
    alignas(16) uint64_t m[128];
    uint64_t next[PRODUCERS_MAX] = {0}, lost = 0;
    size_t last = t->row->size / 8 - 1;
    /* a message that was made in place has only its first words */
    bool whole = strstr(t->peer->name, "in place") == NULL || t->row->size == 16;
    unsigned turn = 0;

    *got = 0;
    while (*got + (t->row->policy == POLICY_DROP ? 0 : lost) < t->row->count) {
        uint64_t from, number;
        bool over = atomic_load_explicit(&t->ended, memory_order_acquire) == t->row->producers;

        if (!t->peer->pop(t->queue, m, t->row->size)) {
            if (over)
                break;
            relax(turn++);
            continue;
        }
        from = m[0] >> 56;
        number = m[0] & 0xffffffffffffffu;
        bench_check(from < t->row->producers && number >= next[from] &&
                        (!whole || (m[last] & 0xffffffffffffffu) == number),
                    "a message is torn or out of order");
        lost += number - next[from];
        next[from] = number + 1;
        ++*got;
    }
    return lost;
}

/* Messages sent, per second in millions. */
static double transfer(const struct peer *peer, const struct row *row)
{
    struct transfer t = {.peer = peer, .row = row};
    struct sender senders[PRODUCERS_MAX];
    pthread_t threads[PRODUCERS_MAX];
    uint64_t start, got, lost;

    t.queue = peer->open(row->capacity, row->size, row->policy);
    for (unsigned i = 0; i < row->producers; i++) {
        senders[i] = (struct sender){&t, i, row->count / row->producers};
        bench_check(pthread_create(&threads[i], NULL, send_all, &senders[i]) == 0,
                    "pthread_create");
    }
    start = bench_now();
    atomic_store_explicit(&t.go, 1, memory_order_release);
    lost = receive_all(&t, &got);
    start = bench_now() - start;
    for (unsigned i = 0; i < row->producers; i++)
        pthread_join(threads[i], NULL);
    bench_check(row->policy == POLICY_DROP || (lost == 0 && got == row->count),
                "messages are lost");
    peer->close(t.queue);
    return (double)row->count / (double)start * 1000;
}

/*
 * ---- One thread.  Timed in short batches, of which the median counts: a batch is shorter than a
 * turn on the processor, so that other programs spoil few of them.
 */
#define BATCH 500u
#define BATCHES_MAX 4000u

static double batches[BATCHES_MAX];

/* Nanoseconds for a push and a pop. */
static double pair(const struct peer *peer, const struct row *row)
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
static double push_full(const struct peer *peer, const struct row *row)
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
    bench_check(peer->pop(q, out, row->size) && out[0] == n * BATCH - row->capacity,
                "not the oldest");
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

    for (uint64_t i = 0; i < e->count; i++) {
        for (unsigned turn = 0; !e->peer->pop(e->there, m, e->size); turn++)
            if (turn % 4096 == 4095)
                sched_yield();
        e->peer->push(e->back, m, e->size);
    }
    return NULL;
}

static double percentiles[3];

static double ping_pong(const struct peer *peer, const struct row *row)
{
    struct echo e = {.peer = peer, .size = row->size, .count = row->count};
    double *times = malloc(row->count * sizeof(*times));
    alignas(16) uint64_t m[128] = {0}, back[128];
    pthread_t thread;

    e.there = peer->open(row->capacity, row->size, row->policy);
    e.back = peer->open(row->capacity, row->size, row->policy);
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

/* ---- Rows. */

static void run_row(const char *title, const char *unit, bool larger_is_better,
                    const struct row *row,
                    double (*measure)(const struct peer *, const struct row *))
{
    static double values[PEERS_MAX][ROUNDS_MAX], tails[PEERS_MAX][2][ROUNDS_MAX];
    double medians[PEERS_MAX], line = canary();

    for (unsigned r = 0; r < rounds; r++)
        for (unsigned p = 0; p < peer_count; p++) {
            if (!(peers[p]->policies & 1u << row->policy) ||
                row->producers > peers[p]->producers_max)
                continue;
            values[p][r] = measure(peers[p], row);
            tails[p][0][r] = percentiles[1];
            tails[p][1][r] = percentiles[2];
        }
    printf("%s, %s, %zu bytes, capacity %zu, %u producers (%s; line %.0f ns)\n", title,
           policy_names[row->policy], row->size, row->capacity, row->producers, unit, line);
    for (unsigned p = 0; p < peer_count; p++) {
        if (!(peers[p]->policies & 1u << row->policy) || row->producers > peers[p]->producers_max)
            continue;
        medians[p] = bench_median(values[p], rounds);
        printf("    %-18s %9.2f  %5.2f", peers[p]->name, medians[p],
               larger_is_better ? medians[0] / medians[p] : medians[p] / medians[0]);
        if (measure == ping_pong)
            printf("  p99 %.0f  p99.9 %.0f", bench_median(tails[p][0], rounds),
                   bench_median(tails[p][1], rounds));
        printf("\n");
    }
    fflush(stdout);
}

static void *sleep_thread(void *arg)
{
    pause();
    return arg;
}

static void run_single(void)
{
    struct row row = {64, 1024, 1, POLICY_NONE, 400000};

    run_row("one thread, in and out", "ns", false, &row, pair);
    row.size = 16;
    run_row("one thread, in and out", "ns", false, &row, pair);
    row = (struct row){64, 1024, 1, POLICY_DROP, 400000};
    run_row("one thread, in and out", "ns", false, &row, pair);
    run_row("into a full queue", "ns", false, &row, push_full);
    row.policy = POLICY_BLOCK;
    run_row("one thread, in and out", "ns", false, &row, pair);
}

static void run_all(bool full)
{
    static const size_t sizes[] = {64, 16, 256, 1024}, capacities[] = {1024, 64, 65536};
    unsigned size_count = full ? 4 : 1, capacity_count = full ? 3 : 1;
    uint64_t count = full ? 1000000 : 400000;

    for (unsigned s = 0; s < size_count; s++)
        for (unsigned c = 0; c < capacity_count; c++) {
            struct row row = {sizes[s], capacities[c], 1, POLICY_NONE, count};

            run_row("one thread, in and out", "ns", false, &row, pair);
            for (unsigned policy = 0; policy < 3; policy++)
                for (unsigned p = 1; p <= (full ? 8u : 4u); p += p) {
                    row.policy = (enum policy)policy;
                    row.producers = p;
                    run_row("transfer", "million a second", true, &row, transfer);
                }
            row = (struct row){sizes[s], capacities[c], 1, POLICY_DROP, count};
            run_row("one thread, in and out", "ns", false, &row, pair);
            run_row("into a full queue", "ns", false, &row, push_full);
            row = (struct row){sizes[s], capacities[c], 1, POLICY_NONE, count / 20};
            run_row("ping-pong", "ns, p50", false, &row, ping_pong);
        }
    for (unsigned s = 0; s < 4; s++)
        printf("memory of 1024 messages of %zu bytes: %zu\n", sizes[s],
               peers[0]->bytes(1024, sizes[s]));
}

int main(int argc, char **argv)
{
    bool full = argc > 1 && strcmp(argv[1], "full") == 0;
    pthread_t thread;

    if (argc > 2)
        rounds = (unsigned)strtoul(argv[2], NULL, 10);
    if (rounds == 0 || rounds > ROUNDS_MAX)
        rounds = ROUNDS_MAX;
    for (const struct peer *p = c_peers; p->name != NULL; p++)
        peers[peer_count++] = p;
    for (const struct peer *p = cxx_peers; p->name != NULL; p++)
        peers[peer_count++] = p;
    /* locks and malloc are cheaper in a process that never had a second thread */
    pthread_create(&thread, NULL, sleep_thread, NULL);
    if (argc > 1 && strcmp(argv[1], "single") == 0)
        run_single();
    else
        run_all(full);
    return 0;
}

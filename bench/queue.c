/* SPDX-License-Identifier: MIT */
/*
 * queue.c - the queue beside its peers
 *
 *     bench/queue [-l] [-c CANDIDATE]... [-r ROUNDS] [ROW]...
 *
 * ROW and CANDIDATE are parts of names: "quick", "ping-pong", "transfer drop", "64 bytes, capacity
 * 1024"; without ROW all, -l lists them.  The library is always a candidate.
 *
 * All candidates of a row run in turn, round after round, and the row shows medians and the ratio
 * to the library.  Every message's sender, number and ends are checked, every loss is counted.  A
 * line that moves between the processors costs from 60 to 260 ns from one second to the next, so
 * that canary runs before and after each measurement: medians are of the fast state when most of a
 * candidate's values come from it, and values from different states are not to be compared.
 */
#include "bench.h"
#include "queue_peer.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define PEERS_MAX 32u
#define LIMIT_NS 200000000u /* a transfer that takes longer is cut short */
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

/* Thread n of those of a row has a processor to itself, as long as there are enough. */
static void pin(unsigned n, unsigned threads)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    cpu_set_t set;

    CPU_ZERO(&set);
    for (long i = 0; i < processors; i++)
        if (threads > (unsigned)processors || (long)n == i)
            CPU_SET(i, &set);
    pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

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
    pin(1, 2);
    for (unsigned i = 1; i < 4000; i += 2) {
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

    pin((unsigned)s->id + 1, t->row->producers + 1);
    while (!atomic_load_explicit(&t->go, memory_order_acquire))
        sched_yield();
    for (uint64_t i = 0; i < s->count; i++) {
        m[last] = i;
        m[0] = s->id << 56 | i;
        for (unsigned turn = 0; !t->peer->push(t->queue, m, t->row->size); turn++) {
            relax(turn);
            if (turn % 64 == 63 && atomic_load_explicit(&t->stop, memory_order_relaxed))
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
    unsigned turn = 0;

    for (;;) {
        uint64_t from, number;
        bool over = atomic_load_explicit(&t->ended, memory_order_acquire) == t->row->producers;

        if (!t->peer->pop(t->queue, m, t->row->size)) {
            if (over)
                return got;
            relax(turn++);
            if (turn % 1024 == 0 && bench_now() - start > LIMIT_NS)
                atomic_store_explicit(&t->stop, 1, memory_order_relaxed);
            continue;
        }
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

static double delivered; /* of 100 messages in the last transfer */

/* Messages sent, per second in millions. */
static double transfer(const struct peer *peer, const struct row *row)
{
    struct transfer t = {.peer = peer, .row = row};
    struct sender senders[PRODUCERS_MAX];
    pthread_t threads[PRODUCERS_MAX];
    uint64_t start, got, next[PRODUCERS_MAX] = {0}, sent = 0;

    t.queue = peer->open(row->capacity, row->size, row->policy);
    for (unsigned i = 0; i < row->producers; i++) {
        senders[i] = (struct sender){&t, i, row->count / row->producers, 0};
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

    pin(1, 2);
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

static double memory(const struct peer *peer, const struct row *row)
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

/* ---- Rows. */

typedef double measure_t(const struct peer *peer, const struct row *row);

static bool takes_part(const struct peer *peer, const struct row *row)
{
    return (peer->policies & 1u << row->policy) != 0 && row->producers <= peer->producers_max;
}

/* Values of one candidate, each with what a line cost just before and after it. */
struct series {
    double value[ROUNDS_MAX], tail[2][ROUNDS_MAX], line[ROUNDS_MAX];
};

static struct series all[PEERS_MAX];
static double lowest_line = 1e9;

static double canary_or_lowest(void)
{
    double line = canary();

    lowest_line = line < lowest_line ? line : lowest_line;
    return line;
}

/* The median of the values from the machine's fast state, when there are enough, else of all. */
static double median_of(const struct series *s, const double *from, unsigned *fast)
{
    double some[ROUNDS_MAX];

    *fast = 0;
    for (unsigned r = 0; r < rounds; r++)
        if (s->line[r] < lowest_line * 1.6)
            some[(*fast)++] = from[r];
    if (*fast * 2 > rounds)
        return bench_median(some, *fast);
    memcpy(some, from, rounds * sizeof(some[0]));
    return bench_median(some, rounds);
}

static void run_row(const char *name, const char *unit, const struct row *row, measure_t *measure)
{
    double first = 0;
    unsigned fast;

    for (unsigned r = 0; r < rounds; r++)
        for (unsigned p = 0; p < peer_count; p++) {
            double before = canary_or_lowest(), after;

            if (!takes_part(peers[p], row))
                continue;
            all[p].value[r] = measure(peers[p], row);
            all[p].tail[0][r] = measure == transfer ? delivered : percentiles[1];
            all[p].tail[1][r] = percentiles[2];
            after = canary_or_lowest();
            all[p].line[r] = after > before ? after : before;
        }
    printf("%s  [%s]\n", name, unit);
    for (unsigned p = 0; p < peer_count; p++) {
        double median = median_of(&all[p], all[p].value, &fast);

        if (!takes_part(peers[p], row))
            continue;
        if (p == 0)
            first = median;
        /* more than 1: the library is ahead */
        printf("    %-18s %9.2f  %6.2f  line %4.0f, fast %u of %u", peers[p]->name, median,
               measure == transfer ? first / median : median / first,
               median_of(&all[p], all[p].line, &fast), fast, rounds);
        if (measure == ping_pong)
            printf("  p99 %.0f  p99.9 %.0f", median_of(&all[p], all[p].tail[0], &fast),
                   median_of(&all[p], all[p].tail[1], &fast));
        if (measure == transfer && row->policy == POLICY_DROP)
            printf("  %.0f %% delivered", median_of(&all[p], all[p].tail[0], &fast));
        printf("\n");
    }
    fflush(stdout);
}

static int asked_count;
static char **asked;
static bool only_list;

/* The rows of most interest are also called quick. */
static void offer_row(const char *kind, const char *unit, struct row row, measure_t *measure)
{
    char name[128];
    bool run = asked_count == 0;
    bool quick = row.size == 64 && row.capacity == 1024 && row.producers < 8;

    snprintf(name, sizeof(name), "%s %s, %zu bytes, capacity %zu, %u producer%s%s", kind,
             policy_names[row.policy], row.size, row.capacity, row.producers,
             row.producers > 1 ? "s" : "", quick ? ", quick" : "");
    for (int i = 0; i < asked_count; i++)
        run = run || strstr(name, asked[i]) != NULL;
    if (run && only_list)
        printf("%s\n", name);
    else if (run)
        run_row(name, unit, &row, measure);
}

static void offer_rows(size_t size, size_t capacity)
{
    uint64_t count = size <= 64 ? 400000 : 200000;
    struct row row = {size, capacity, 1, POLICY_NONE, count};

    for (unsigned policy = 0; policy < 3; policy++) {
        row.policy = (enum policy)policy;
        offer_row("pair", "ns", row, pair);
    }
    row.policy = POLICY_DROP;
    offer_row("overflow", "ns", row, push_full);
    row.policy = POLICY_NONE;
    row.count = 10000;
    offer_row("ping-pong", "ns, p50", row, ping_pong);
    row.count = count;
    for (unsigned policy = 0; policy < 3; policy++)
        for (row.producers = 1; row.producers <= PRODUCERS_MAX; row.producers *= 2) {
            row.policy = (enum policy)policy;
            offer_row("transfer", "million a second", row, transfer);
        }
    row.policy = POLICY_NONE;
    row.producers = 1;
    offer_row("memory", "KiB", row, memory);
}

static void *sleep_thread(void *arg)
{
    pause();
    return arg;
}

static void add_peers(const struct peer *list, int count, char **names)
{
    for (; list->name != NULL; list++) {
        bool wanted = count == 0 || peer_count == 0;

        for (int i = 0; i < count; i++)
            wanted = wanted || strstr(list->name, names[i]) != NULL;
        if (wanted && list->open == NULL)
            printf("left out: %s\n", list->name);
        else if (wanted && peer_count < PEERS_MAX)
            peers[peer_count++] = list;
    }
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {64, 16, 256, 1024}, capacities[] = {1024, 64, 65536};
    char *names[PEERS_MAX];
    int option, name_count = 0;
    pthread_t thread;

    while ((option = getopt(argc, argv, "lc:r:")) != -1) {
        if (option == 'l')
            only_list = true;
        else if (option == 'c' && name_count < (int)PEERS_MAX)
            names[name_count++] = optarg;
        else if (option == 'r')
            rounds = (unsigned)strtoul(optarg, NULL, 10);
        else
            return 2;
    }
    if (rounds == 0 || rounds > ROUNDS_MAX)
        rounds = ROUNDS_MAX;
    asked = argv + optind;
    asked_count = argc - optind;
    add_peers(c_peers, name_count, names);
    add_peers(dpdk_peers, name_count, names);
    add_peers(list_peers, name_count, names);
    add_peers(cxx_peers, name_count, names);
    /* locks and malloc are cheaper in a process that never had a second thread */
    pthread_create(&thread, NULL, sleep_thread, NULL);
    for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
        for (unsigned c = 0; c < sizeof(capacities) / sizeof(capacities[0]); c++)
            offer_rows(sizes[s], capacities[c]);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * queue.c - the queue beside its peers
 *
 *     bench/queue [-lt] [-c CANDIDATE]... [-r ROUNDS] [ROW]...
 *
 * ROW and CANDIDATE are parts of names: "quick", "ping-pong", "transfer drop", "64 bytes, capacity
 * 1024"; without ROW all, -l lists them.  The library is always a candidate.  -t writes lines of
 * fields with tabs between them, for bench/queue-table.
 *
 * All candidates of a row run in turn, round after round, and the row shows medians and the ratio
 * to the library.  Every message's sender, number and ends are checked, every loss is counted.  A
 * line that moves between the processors costs from 60 to 260 ns from one second to the next, so
 * that canary runs before and after each measurement: medians are of the fast state when most of a
 * candidate's values come from it, and the ratio is the median of those rounds in which both were
 * in the same state, if there are any.
 */
#include "bench.h"
#include "queue_measure.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define PEERS_MAX 32u
#define ROUNDS_MAX 64u

static const struct peer *peers[PEERS_MAX];
static unsigned peer_count, rounds = 5;
static bool with_tabs;
static const char *const policy_names[] = {"plain", "drop", "block"};

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

static bool is_fast(const struct series *s, unsigned round)
{
    return s->line[round] < lowest_line * 1.6;
}

/* The median of the values from the machine's fast state, when there are enough, else of all. */
static double median_of(const struct series *s, const double *from, unsigned *fast)
{
    double some[ROUNDS_MAX];

    *fast = 0;
    for (unsigned r = 0; r < rounds; r++)
        if (is_fast(s, r))
            some[(*fast)++] = from[r];
    if (*fast * 2 > rounds)
        return bench_median(some, *fast);
    memcpy(some, from, rounds * sizeof(some[0]));
    return bench_median(some, rounds);
}

/* How far the library is ahead: more than 1. */
static double ratio_of(const struct series *ours, const struct series *s, bool more_is_better)
{
    double same[ROUNDS_MAX], any[ROUNDS_MAX];
    unsigned count = 0;

    for (unsigned r = 0; r < rounds; r++) {
        any[r] = more_is_better ? ours->value[r] / s->value[r] : s->value[r] / ours->value[r];
        if (is_fast(ours, r) == is_fast(s, r))
            same[count++] = any[r];
    }
    return count != 0 ? bench_median(same, count) : bench_median(any, rounds);
}

static void print_candidate(const char *name, const char *unit, unsigned p, const struct row *row,
                            measure_t *measure)
{
    unsigned fast;
    double median = median_of(&all[p], all[p].value, &fast);
    double ratio = ratio_of(&all[0], &all[p], measure == transfer);
    double line = median_of(&all[p], all[p].line, &fast);
    double tail[2] = {median_of(&all[p], all[p].tail[0], &fast),
                      median_of(&all[p], all[p].tail[1], &fast)};

    if (with_tabs) {
        printf("%s\t%s\t%s\t%.2f\t%.3f\t%.0f\t%u/%u\t%.0f\t%.*f\n", name, unit, peers[p]->name,
               median, ratio, line, fast, rounds, tail[0], measure == transfer ? 2 : 0, tail[1]);
        return;
    }
    printf("    %-18s %9.2f  %6.2f  line %4.0f, fast %u of %u", peers[p]->name, median, ratio, line,
           fast, rounds);
    if (measure == ping_pong)
        printf("  p99 %.0f  p99.9 %.0f", tail[0], tail[1]);
    if (measure == transfer && row->policy == POLICY_DROP)
        printf("  %.0f %% delivered, %.2f a second", tail[0], tail[1]);
    printf("\n");
}

static void run_row(const char *name, const char *unit, const struct row *row, measure_t *measure)
{
    for (unsigned r = 0; r < rounds; r++)
        for (unsigned p = 0; p < peer_count; p++) {
            double before, after;

            if (!takes_part(peers[p], row))
                continue;
            before = canary_or_lowest();
            percentiles[1] = percentiles[2] = delivered = 0;
            all[p].value[r] = measure(peers[p], row);
            all[p].tail[0][r] = measure == transfer ? delivered : percentiles[1];
            all[p].tail[1][r] = measure == transfer ? delivered_rate : percentiles[2];
            after = canary_or_lowest();
            all[p].line[r] = after > before ? after : before;
        }
    if (!with_tabs)
        printf("%s  [%s]\n", name, unit);
    for (unsigned p = 0; p < peer_count; p++)
        if (takes_part(peers[p], row))
            print_candidate(name, unit, p, row, measure);
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
    if (size == 64) {
        offer_row("refused", "ns", row, push_refused);
        offer_row("empty", "ns", row, pop_empty);
    }
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

    while ((option = getopt(argc, argv, "ltc:r:")) != -1) {
        if (option == 'l')
            only_list = true;
        else if (option == 't')
            with_tabs = true;
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
    add_peers(vyukov_peers, name_count, names);
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

/* SPDX-License-Identifier: MIT */
/*
 * runtime.c - the event loop beside its peers
 *
 *     bench/runtime [-c TEXT[,TEXT...]] [-r ROUNDS] [ROW...]
 *
 * -c chooses the candidates whose names contain a TEXT, -r gives each row so many rounds.
 *
 * Every row measures all candidates, in another order each round, and prints medians and ratios to
 * the first one: all see the same state of the machine.  bench/runtime-table makes one table of the
 * outputs of several runs.  "cpu" is processor time of the process that runs the loop, which other
 * programs disturb least; where nothing runs beside the loop it is the measure.
 */
#include "runtime.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MOST_CANDIDATES 20
#define MOST_ROUNDS 32

static const loop_kind_t *const kinds[] = {
    &loop_asyncrt_epoll,
    &loop_asyncrt_poll,
    &loop_asyncrt_uring,
    &loop_asyncrt_spin,
    &loop_asyncrt_epoll_ops,
    &loop_asyncrt_uring_ops,
    &loop_asyncrt_uring_single,
    &loop_epoll,
    &loop_uring,
    &loop_uring_multishot,
    &loop_uring_rearmed,
    &loop_uv,
    &loop_event,
    &loop_bufferevent,
    &loop_ev,
    &loop_ev_clock,
    &loop_glib,
    &loop_lines_cells,
    &loop_lines_letters,
};

#define BURST                                 \
    {                                         \
        "ns/post", "cpu ns/post", "wakes/1e6" \
    }
#define RING                       \
    {                              \
        "cpu ns/event", "ns/event" \
    }
#define THREADS                \
    {                          \
        "ns/event", "events/s" \
    }
#define TIMERS                                            \
    {                                                     \
        "re-arm cpu ns", "cancel cpu ns", "expire cpu ns" \
    }
#define ECHO                                               \
    {                                                      \
        "cpu ns/request", "requests/s", "p50 us", "p99 us" \
    }

/* clang-format off */
static const row_t rows[] = {
    {"burst1", "bursts of 1,000,000 completions, 1 posting thread", BURST, 5, 1000000, 1, measure_burst},
    {"burst2", "bursts of 1,000,000 completions, 2 posting threads", BURST, 5, 1000000, 2, measure_burst},
    {"burst4", "bursts of 1,000,000 completions, 4 posting threads", BURST, 5, 1000000, 4, measure_burst},
    {"wake", "waking a sleeping loop, from the post to the callback", {"p50 us", "p99 us", "post p50 us"},
     9, 200, 0, measure_wake},
    {"ring1", "1 socketpair passing 1 token", RING, 15, 1, 1, measure_ring},
    {"ring100", "100 socketpairs passing 100 tokens", RING, 15, 100, 100, measure_ring},
    {"ring5000", "5,000 socketpairs passing 100 tokens", RING, 15, 5000, 100, measure_ring},
    {"threads1", "a loop with 100 socketpairs, in 1 thread", THREADS, 5, 100, 1, measure_threads},
    {"threads2", "a loop with 100 socketpairs in each of 2 threads", THREADS, 5, 100, 2, measure_threads},
    {"change", "changes of one descriptor, made effective", {"modify cpu ns", "add cpu ns", "remove cpu ns"},
     15, 1000, 10, measure_change},
    {"timers", "100,000 timers, in random order", TIMERS, 5, 100000, 0, measure_timers},
    {"timers1m", "1,000,000 timers, in random order", TIMERS, 3, 1000000, 0, measure_timers},
    {"memory", "user memory: an idle descriptor, a timer, a pending completion",
     {"B/descriptor", "B/timer", "B/completion"}, 1, 10000, 100000, measure_memory},
    {"echo1", "TCP echo, 1 connection, 64 bytes", ECHO, 9, 1, 0, measure_echo},
    {"echo50", "TCP echo, 50 connections, 64 bytes", ECHO, 9, 50, 0, measure_echo},
    {"echo1000", "TCP echo, 1000 connections, 64 bytes", ECHO, 5, 1000, 0, measure_echo},
};
/* clang-format on */

static void *idle(void *arg)
{
    for (;;)
        pause();
    return arg;
}

void start_idle_thread(void)
{
    pthread_t thread;

    bench_check(pthread_create(&thread, NULL, idle, NULL) == 0, "pthread_create");
    pthread_detach(thread);
}

static void print_row(const row_t *row, int rounds, const loop_kind_t *const *taking, size_t count,
                      double (*values)[COLUMNS][MOST_ROUNDS])
{
    double first = 0;

    printf("\n%s: %s\n  %-24s", row->name, row->title, "");
    for (size_t c = 0; c < COLUMNS && row->columns[c] != NULL; c++)
        printf("%16s", row->columns[c]);
    printf("%9s\n", "ratio");
    for (size_t k = 0; k < count; k++) {
        double ratio = 0;

        printf("  %-24s", taking[k]->name);
        for (size_t c = 0; c < COLUMNS && row->columns[c] != NULL; c++) {
            double median = bench_median(values[k][c], (size_t)rounds);

            if (c == 0) {
                first = k == 0 ? median : first;
                ratio = first > 0 ? median / first : 0;
            }
            if (median < 0)
                printf("%16s", "-");
            else
                printf("%16.*f", median < 100 ? 2 : 0, median);
        }
        printf("%9.2f\n", ratio);
    }
    fflush(stdout);
}

/* Whether one of the kind's groups begins the row's name. */
static bool takes_part(const row_t *row, const loop_kind_t *kind)
{
    const char *group = kind->only;

    while (group != NULL) {
        size_t length = strcspn(group, " ");

        if (strncmp(row->name, group, length) == 0)
            return true;
        group = group[length] != '\0' ? group + length + 1 : NULL;
    }
    return kind->only == NULL;
}

/* Another order for each round: what one leaves behind, in caches and in the kernel, is not always
 * the same one's burden. */
static void shuffle(size_t *order, size_t count)
{
    static uint64_t state;

    if (state == 0)
        state = bench_now() | 1;
    for (size_t i = 0; i < count; i++) {
        size_t j = (size_t)(next_random(&state) % (i + 1));

        order[i] = order[j];
        order[j] = i;
    }
}

static void run_row(const row_t *row, int rounds, const loop_kind_t *const *candidates,
                    size_t count)
{
    static double values[MOST_CANDIDATES][COLUMNS][MOST_ROUNDS];
    const loop_kind_t *taking[MOST_CANDIDATES];
    bool taken[MOST_CANDIDATES] = {false};
    size_t order[MOST_CANDIDATES], takers = 0;

    for (int round = 0; round < rounds; round++) {
        shuffle(order, count);
        for (size_t i = 0; i < count; i++) {
            size_t k = order[i];
            double once[COLUMNS] = {0};

            if (!takes_part(row, candidates[k]) || !row->measure(row, candidates[k], once))
                continue;
            taken[k] = true;
            for (size_t c = 0; c < COLUMNS; c++)
                values[k][c][round] = once[c];
        }
    }
    for (size_t k = 0; k < count; k++) {
        if (!taken[k])
            continue;
        memmove(values[takers], values[k], sizeof(values[k]));
        taking[takers++] = candidates[k];
    }
    print_row(row, rounds, taking, takers, values);
}

/* ---- The canary: a cache line that goes to and fro between two threads. ---- */

static _Atomic unsigned line;

static void pass_line(unsigned mine, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        unsigned spins = 0;

        while (atomic_load_explicit(&line, memory_order_acquire) % 2 != mine) {
            if (++spins % 256 == 0)
                sched_yield();
        }
        atomic_fetch_add_explicit(&line, 1, memory_order_release);
    }
}

static void *other_side(void *arg)
{
    pass_line(1, *(unsigned *)arg);
    return NULL;
}

static double canary(void)
{
    double best = 1e9;

    for (int batch = 0; batch < 10; batch++) {
        unsigned times = 1000;
        pthread_t thread;
        double each;
        uint64_t start;

        bench_check(pthread_create(&thread, NULL, other_side, &times) == 0, "pthread_create");
        pass_line(0, 100);
        times -= 100;
        start = bench_now();
        pass_line(0, times);
        each = (double)(bench_now() - start) / times / 2;
        pthread_join(thread, NULL);
        best = each < best ? each : best;
    }
    return best;
}

static bool is_asked(int argc, char **argv, const char *name)
{
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return argc == 0;
}

/* Whether the name contains one of the texts, which commas separate. */
static bool is_chosen(const char *name, char *texts)
{
    char *copy = strdup(texts), *rest = copy, *text;
    bool chosen = *texts == '\0';

    while (!chosen && (text = strsep(&rest, ",")) != NULL)
        chosen = strstr(name, text) != NULL;
    free(copy);
    return chosen;
}

static size_t open_candidates(const loop_kind_t **candidates, char *texts)
{
    size_t count = 0;

    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        loop_t *loop = NULL;

        if (!is_chosen(kinds[k]->name, texts))
            continue;
        if (kinds[k]->open != NULL)
            loop = kinds[k]->open(kinds[k]);
        if (loop == NULL) {
            printf("left out: %s\n", kinds[k]->name);
            continue;
        }
        kinds[k]->close(loop);
        candidates[count++] = kinds[k];
    }
    return count;
}

int main(int argc, char **argv)
{
    const loop_kind_t *candidates[MOST_CANDIDATES];
    char no_texts[] = "", *texts = no_texts;
    struct rlimit limit;
    size_t count;
    int rounds = 0, option;

    while ((option = getopt(argc, argv, "c:r:")) != -1) {
        if (option == 'c')
            texts = optarg;
        else if (option == 'r' && atoi(optarg) > 0 && atoi(optarg) <= MOST_ROUNDS)
            rounds = atoi(optarg);
        else
            return 2;
    }
    argc -= optind;
    argv += optind;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    start_idle_thread();
    count = open_candidates(candidates, texts);
    printf("a cache line goes from one processor to another in %.0f ns\n", canary());
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
        if (is_asked(argc, argv, rows[r].name))
            run_row(&rows[r], rounds != 0 ? rounds : rows[r].rounds, candidates, count);
    if (is_asked(argc, argv, "scaling"))
        scaling(rounds != 0 ? rounds : 7);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * runtime.h - rows of bench/runtime
 */
#ifndef BENCH_RUNTIME_H
#define BENCH_RUNTIME_H

#include "bench.h"
#include "loop.h"

#define COLUMNS 4

typedef struct row row_t;
struct row {
    const char *name;
    const char *title;
    const char *columns[COLUMNS]; /* the ratio is that of the first */
    int rounds;
    size_t size; /* as measure likes */
    size_t count;
    /* Measures one candidate once.  Returns false when it does not take part. */
    bool (*measure)(const row_t *row, const loop_kind_t *kind, double *values);
};

bool measure_burst(const row_t *row, const loop_kind_t *kind, double *values);
bool measure_wake(const row_t *row, const loop_kind_t *kind, double *values);
bool measure_ring(const row_t *row, const loop_kind_t *kind, double *values);
bool measure_threads(const row_t *row, const loop_kind_t *kind, double *values);
bool measure_change(const row_t *row, const loop_kind_t *kind, double *values);
bool measure_timers(const row_t *row, const loop_kind_t *kind, double *values);
bool measure_memory(const row_t *row, const loop_kind_t *kind, double *values);
bool measure_echo(const row_t *row, const loop_kind_t *kind, double *values);

/* examples/echo with 1 and 2 threads. */
void scaling(int rounds);

/* A second thread, that does nothing: the C library takes short cuts in a process without one. */
void start_idle_thread(void);

/* Nanoseconds of processor time that this process has used. */
static inline uint64_t cpu_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Of count values, sorted or not: the one that share of them is below.  Sorts. */
static inline double quantile(double *values, size_t count, double share)
{
    qsort(values, count, sizeof(*values), bench_compare);
    return count == 0 ? 0 : values[(size_t)((double)(count - 1) * share)];
}

static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#endif /* BENCH_RUNTIME_H */

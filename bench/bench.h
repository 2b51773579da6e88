/* SPDX-License-Identifier: MIT */
/*
 * bench.h - times and medians
 */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>

#include <stdint.h>

#include <stdio.h>

#include <stdlib.h>

#include <sys/resource.h>

#include <time.h>

static inline uint64_t bench_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* What the process has used of its processors, in nanoseconds: the measure that other programs on
 * the machine disturb least. */
static inline uint64_t bench_cpu(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return ((uint64_t)usage.ru_utime.tv_sec + (uint64_t)usage.ru_stime.tv_sec) * 1000000000u +
           ((uint64_t)usage.ru_utime.tv_usec + (uint64_t)usage.ru_stime.tv_usec) * 1000u;
}

static inline int bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Sorts the values. */
static inline double bench_median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), bench_compare);
    return count == 0 ? 0 : values[count / 2];
}

static inline void bench_check(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

#endif /* BENCH_H */

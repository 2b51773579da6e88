/* SPDX-License-Identifier: MIT */
/*
 * test_count.h - how many threads and descriptors the process has, to see that none is leaked
 */
#ifndef TEST_COUNT_H
#define TEST_COUNT_H

#include <dirent.h>

#include <time.h>

static inline void test_sleep_ms(long ms)
{
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&ts, NULL);
}

/* Entries of a directory of /proc; 0 where there is none, so that comparisons hold. */
static inline int test_count_entries(const char *path)
{
    DIR *dir = opendir(path);
    int count = 0;

    if (dir == NULL)
        return 0;
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static inline int test_count_fds(void)
{
    return test_count_entries("/proc/self/fd");
}

static inline int test_count_threads(void)
{
    return test_count_entries("/proc/self/task");
}

/* Threads that were let go of need a moment: waits, 20 seconds at most, until no more than wanted
 * are there, and returns how many are. */
static inline int test_settle_threads(int wanted)
{
    int count = test_count_threads();

    for (int i = 0; i < 4000 && count > wanted; i++) {
        test_sleep_ms(5);
        count = test_count_threads();
    }
    return count;
}

#endif /* TEST_COUNT_H */

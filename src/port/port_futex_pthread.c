/* SPDX-License-Identifier: MIT */
/*
 * Where the system has no futex: a table of mutexes and condition variables, chosen by the word's
 * address.  The sleeper looks at the word under the bucket's lock and the waker takes that lock, so
 * no wake is missed; words that share a bucket wake each other for nothing, which is allowed.
 */
#include "port/port_futex.h"
#include "port/port_clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#define BUCKETS 64u

static struct bucket {
    pthread_mutex_t lock;
    pthread_cond_t cond;
} buckets[BUCKETS];

static pthread_once_t buckets_once = PTHREAD_ONCE_INIT;

static void buckets_init(void)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    for (unsigned i = 0; i < BUCKETS; i++) {
        pthread_mutex_init(&buckets[i].lock, NULL);
        pthread_cond_init(&buckets[i].cond, &attr);
    }
    pthread_condattr_destroy(&attr);
}

static struct bucket *bucket_of(const _Atomic uint32_t *word)
{
    uintptr_t address = (uintptr_t)word >> 2;

    pthread_once(&buckets_once, buckets_init);
    return &buckets[(address ^ (address >> 6) ^ (address >> 12)) % BUCKETS];
}

int port_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline)
{
    struct bucket *bucket = bucket_of(word);
    int err = 0;

    pthread_mutex_lock(&bucket->lock);
    if (atomic_load_explicit(word, memory_order_seq_cst) == expected) {
        if (deadline == PORT_DEADLINE_NEVER) {
            pthread_cond_wait(&bucket->cond, &bucket->lock);
        } else {
            struct timespec ts = {.tv_sec = (time_t)(deadline / PORT_NS_PER_S),
                                  .tv_nsec = (long)(deadline % PORT_NS_PER_S)};

            err = pthread_cond_timedwait(&bucket->cond, &bucket->lock, &ts);
        }
    }
    pthread_mutex_unlock(&bucket->lock);
    return err == ETIMEDOUT ? ETIMEDOUT : 0;
}

void port_futex_wake(_Atomic uint32_t *word, int count)
{
    struct bucket *bucket = bucket_of(word);

    /* one sleeper of several words may be meant, so all of the bucket wake */
    (void)count;
    pthread_mutex_lock(&bucket->lock);
    pthread_cond_broadcast(&bucket->cond);
    pthread_mutex_unlock(&bucket->lock);
}

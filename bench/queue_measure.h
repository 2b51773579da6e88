/* SPDX-License-Identifier: MIT */
/* queue_measure.h - the rows of the queue's benchmark, and how each is measured */
#ifndef QUEUE_MEASURE_H
#define QUEUE_MEASURE_H

#include "queue_peer.h"

#define PRODUCERS_MAX 8u

struct row {
    size_t size, capacity;
    unsigned producers;
    enum policy policy;
    uint64_t count;
};

/* Nanoseconds for a line that goes from one processor to another. */
double canary(void);

/* One value of a candidate, in the row's unit. */
typedef double measure_t(const struct peer *peer, const struct row *row);

measure_t transfer, pair, push_full, push_refused, pop_empty, ping_pong, memory;

extern double delivered;      /* of 100 messages in the last transfer */
extern double delivered_rate; /* a second, in millions */
extern double percentiles[3]; /* of the last ping-pong: p50, p99, p99.9 */

#endif /* QUEUE_MEASURE_H */

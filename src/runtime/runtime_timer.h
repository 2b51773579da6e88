/* SPDX-License-Identifier: MIT */
/*
 * runtime_timer.h - timers: a heap of deadlines over a table of slots
 *
 * The heap is 4-ary: half as deep as a binary one, and the four children share a cache line.  An
 * entry says its slot and a slot its place in the heap, so that a timer is cancelled in O(log n).
 * An id is the slot with the count of its uses: it is never given again.  Loop thread only.
 */
#ifndef RUNTIME_TIMER_H
#define RUNTIME_TIMER_H

#include <asyncrt/async_runtime.h>

typedef struct timer_entry {
    uint64_t deadline; /* nanoseconds of port_clock_now() */
    uint32_t sequence; /* of equal deadlines the one armed first is first; compared modulo 2^32 */
    uint32_t slot;
} timer_entry_t;

typedef struct timer_slot {
    void *context;
    uint32_t place; /* in the heap; of a free slot: the next free one */
    uint32_t uses;  /* so far, and as many ends of one: odd while a timer has the slot */
} timer_slot_t;

typedef struct runtime_timers {
    timer_entry_t *heap; /* begins so that the children of an entry share a line */
    timer_slot_t *slots;
    uint64_t *periods; /* of each slot, in nanoseconds, 0: once; NULL: no timer ever had one */
    void *heap_memory;
    size_t count; /* of entries in the heap; not 0: the first one is a timer's */
    /* The place of an entry whose timer is cancelled, 0: none.  The next call that changes the heap
     * takes it out and frees its slot, or, if it is an add, takes both over: to re-arm a timer
     * moves one entry, not two. */
    size_t gap;
    uint32_t gap_slot; /* its slot */
    size_t capacity;   /* of each array that is there */
    size_t slots_used;
    uint32_t free_slot;
    uint32_t sequence;
} runtime_timers_t;

/* deadline and period in nanoseconds.  Returns 0 and the id, or ENOMEM. */
int runtime_timer_add(runtime_timers_t *timers, uint64_t deadline, uint64_t period, void *context,
                      uint64_t *id);
int runtime_timer_cancel(runtime_timers_t *timers, uint64_t id); /* 0 or ENOENT */

static inline size_t runtime_timer_count(const runtime_timers_t *timers)
{
    return timers->count - (timers->gap != 0);
}

/* The first deadline; there is one. */
static inline uint64_t runtime_timer_first(const runtime_timers_t *timers)
{
    return timers->heap[0].deadline;
}

static inline bool runtime_timer_due(const runtime_timers_t *timers, uint64_t now)
{
    return timers->count != 0 && timers->heap[0].deadline <= now;
}

/* Moves up to max expired timers into events, in the order of their deadlines. */
int runtime_timer_take(runtime_timers_t *timers, uint64_t now, async_event_t *events, int max);

void runtime_timer_close(runtime_timers_t *timers);

#endif /* RUNTIME_TIMER_H */

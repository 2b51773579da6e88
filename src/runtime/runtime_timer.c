/* SPDX-License-Identifier: MIT */
#include "runtime/runtime_timer.h"
#include "port/port_clock.h"
#include "port/port_compiler.h"
#include "port/port_error.h"
#include "port/port_memory.h"
#include "runtime/runtime.h"

#include <limits.h>
#include <string.h>

#define NO_SLOT UINT32_MAX
#define FIRST_CAPACITY 16u

/* An id: the slot below, its uses above, which are odd while the timer is there.  With its uses
 * used up a slot rests for good. */
#define SLOT_BITS 32

/* The heap begins so many entries into its memory that entry 1, the first child, begins a line. */
#define HEAP_OFFSET (PORT_CACHE_LINE / sizeof(timer_entry_t) - 1)

static bool earlier(const timer_entry_t *a, const timer_entry_t *b)
{
    if (a->deadline != b->deadline)
        return a->deadline < b->deadline;
    return (int32_t)(a->sequence - b->sequence) < 0;
}

static void put(runtime_timers_t *timers, size_t place, timer_entry_t entry)
{
    timers->heap[place] = entry;
    timers->slots[entry.slot].place = (uint32_t)place;
}

static void sift_up(runtime_timers_t *timers, size_t place, timer_entry_t entry)
{
    while (place > 0) {
        size_t parent = (place - 1) / 4;

        if (!earlier(&entry, &timers->heap[parent]))
            break;
        put(timers, place, timers->heap[parent]);
        place = parent;
    }
    put(timers, place, entry);
}

static size_t earliest_child(const runtime_timers_t *timers, size_t first)
{
    const timer_entry_t *heap = timers->heap;
    size_t best = first, end = first + 4;

    if (PORT_UNLIKELY(end > timers->count))
        end = timers->count;
    for (size_t child = first + 1; child < end; child++) {
        if (earlier(&heap[child], &heap[best]))
            best = child;
    }
    return best;
}

static void sift_down(runtime_timers_t *timers, size_t place, timer_entry_t entry)
{
    for (;;) {
        size_t child = place * 4 + 1;

        if (child >= timers->count)
            break;
        child = earliest_child(timers, child);
        if (!earlier(&timers->heap[child], &entry))
            break;
        put(timers, place, timers->heap[child]);
        place = child;
    }
    put(timers, place, entry);
}

/* Puts the entry where another one was, or to its place above or below. */
static void sift(runtime_timers_t *timers, size_t place, timer_entry_t entry)
{
    if (place > 0 && earlier(&entry, &timers->heap[(place - 1) / 4]))
        sift_up(timers, place, entry);
    else
        sift_down(timers, place, entry);
}

/* Takes the entry at place out of the heap. */
static void heap_remove(runtime_timers_t *timers, size_t place)
{
    timer_entry_t last = timers->heap[--timers->count];

    if (place != timers->count)
        sift(timers, place, last);
}

/* The slot's timer has ended. */
static void free_slot(runtime_timers_t *timers, uint32_t slot)
{
    if (timers->slots[slot].uses == 0)
        return; /* used up */
    timers->slots[slot].place = timers->free_slot;
    timers->free_slot = slot;
}

/* Takes the cancelled entry out that is still there, and frees its slot. */
static void close_gap(runtime_timers_t *timers)
{
    size_t place = timers->gap;

    if (place == 0)
        return;
    timers->gap = 0;
    heap_remove(timers, place);
    free_slot(timers, timers->gap_slot);
}

static int grow(runtime_timers_t *timers)
{
    size_t capacity = timers->capacity != 0 ? timers->capacity * 2 : FIRST_CAPACITY;
    timer_entry_t *memory;
    timer_slot_t *slots;

    if (capacity >= NO_SLOT)
        return ENOMEM;
    slots = port_realloc(timers->slots, capacity * sizeof(*slots));
    if (slots == NULL)
        return ENOMEM;
    timers->slots = slots;
    if (timers->periods != NULL) {
        uint64_t *periods = port_realloc(timers->periods, capacity * sizeof(*periods));

        if (periods == NULL)
            return ENOMEM;
        timers->periods = periods;
    }
    memory = port_alloc_aligned((HEAP_OFFSET + capacity) * sizeof(*memory), PORT_CACHE_LINE);
    if (memory == NULL)
        return ENOMEM;
    if (timers->count != 0)
        memcpy(memory + HEAP_OFFSET, timers->heap, timers->count * sizeof(*memory));
    port_free_aligned(timers->heap_memory);
    timers->heap_memory = memory;
    timers->heap = memory + HEAP_OFFSET;
    if (timers->capacity == 0)
        timers->free_slot = NO_SLOT;
    timers->capacity = capacity;
    return 0;
}

/* Sees to it that there is room for one more timer, and for its period. */
static int make_room(runtime_timers_t *timers, bool periodic)
{
    /* The first time there is no capacity, and free_slot says nothing yet. */
    if (timers->capacity == 0 || (timers->gap == 0 && timers->free_slot == NO_SLOT &&
                                  timers->slots_used == timers->capacity)) {
        int err = grow(timers);

        if (err != 0)
            return err;
    }
    if (PORT_UNLIKELY(periodic && timers->periods == NULL)) {
        timers->periods = port_zalloc(timers->capacity, sizeof(*timers->periods));
        if (timers->periods == NULL)
            return ENOMEM;
    }
    return 0;
}

static uint32_t take_slot(runtime_timers_t *timers)
{
    uint32_t slot = timers->free_slot;

    if (slot != NO_SLOT) {
        timers->free_slot = timers->slots[slot].place;
    } else {
        slot = (uint32_t)timers->slots_used++;
        timers->slots[slot].uses = 0;
    }
    return slot;
}

int runtime_timer_add(runtime_timers_t *timers, uint64_t deadline, uint64_t period, void *context,
                      uint64_t *id)
{
    timer_entry_t entry = {.deadline = deadline, .sequence = timers->sequence};
    size_t place = timers->gap;
    int err = make_room(timers, period != 0);

    if (err != 0)
        return err;
    timers->sequence++;
    timers->gap = 0;
    entry.slot = place != 0 ? timers->gap_slot : take_slot(timers);
    timers->slots[entry.slot].context = context;
    if (timers->periods != NULL)
        timers->periods[entry.slot] = period;
    *id = (uint64_t)++timers->slots[entry.slot].uses << SLOT_BITS | entry.slot;
    if (place != 0)
        sift(timers, place, entry);
    else
        sift_up(timers, timers->count++, entry);
    return 0;
}

/* The entry at place is about to get another deadline, or to go.  What that will look at comes from
 * memory while the next deadline is made: reading the clock waits for loads, not for prefetches. */
static void expect_change(const runtime_timers_t *timers, size_t place)
{
    PORT_PREFETCH_WRITE(&timers->heap[place]);
    PORT_PREFETCH_READ(&timers->heap[(place - 1) / 4]);
    if (place * 4 + 1 < timers->count)
        PORT_PREFETCH_READ(&timers->heap[place * 4 + 1]);
}

int runtime_timer_cancel(runtime_timers_t *timers, uint64_t id)
{
    uint32_t slot = (uint32_t)id, uses = (uint32_t)(id >> SLOT_BITS);

    if (slot >= timers->slots_used || timers->slots[slot].uses != uses || uses % 2 == 0)
        return ENOENT;
    close_gap(timers); /* may move the entry */
    timers->slots[slot].uses++;
    timers->gap = timers->slots[slot].place;
    timers->gap_slot = slot;
    if (timers->gap == 0) {
        heap_remove(timers, 0);
        free_slot(timers, slot);
    } else if (PORT_UNLIKELY(timers->slots[slot].uses == 0)) {
        close_gap(timers);
    } else {
        expect_change(timers, timers->gap);
    }
    return 0;
}

int runtime_timer_take(runtime_timers_t *timers, uint64_t now, async_event_t *events, int max)
{
    int n = 0;

    close_gap(timers);
    while (n < max && runtime_timer_due(timers, now)) {
        timer_entry_t entry = timers->heap[0];
        uint64_t period = timers->periods != NULL ? timers->periods[entry.slot] : 0;
        uint64_t expirations = 1;

        events[n] = (async_event_t){.context = timers->slots[entry.slot].context};
        if (period != 0) {
            /* Late or not, the next deadline is a whole number of periods after the first. */
            expirations += (now - entry.deadline) / period;
            entry.deadline = expirations > (PORT_DEADLINE_NEVER - 1 - entry.deadline) / period
                                 ? PORT_DEADLINE_NEVER - 1
                                 : entry.deadline + expirations * period;
            entry.sequence = timers->sequence++;
            sift_down(timers, 0, entry);
        } else {
            heap_remove(timers, 0);
            timers->slots[entry.slot].uses++;
            free_slot(timers, entry.slot);
        }
        events[n].event_type = ASYNC_EVENT_TIMER;
        events[n].fd = ASYNC_INVALID_FD;
        events[n].data = expirations > UINTPTR_MAX ? UINTPTR_MAX : (uintptr_t)expirations;
        n++;
    }
    return n;
}

void runtime_timer_close(runtime_timers_t *timers)
{
    port_free(timers->slots);
    port_free(timers->periods);
    port_free_aligned(timers->heap_memory);
    *timers = (runtime_timers_t){.count = 0};
}

/* ---- Public. ---- */

static uint64_t nanoseconds(uint64_t us)
{
    return us > (PORT_DEADLINE_NEVER - 1) / PORT_NS_PER_US ? PORT_DEADLINE_NEVER - 1
                                                           : us * PORT_NS_PER_US;
}

uint64_t async_runtime_add_timer(async_runtime_t *runtime, uint64_t delay_us, uint64_t period_us,
                                 void *context)
{
    int saved = errno, err = runtime_check_thread(runtime);
    uint64_t id = 0;

    if (err == 0)
        err = runtime_timer_add(&runtime->timers,
                                port_clock_after(port_clock_now(), nanoseconds(delay_us)),
                                nanoseconds(period_us), context, &id);
    return port_result(err, saved) == 0 ? id : 0;
}

int async_runtime_cancel_timer(async_runtime_t *runtime, uint64_t timer_id)
{
    int err = runtime_check_thread(runtime);

    if (err == 0)
        err = runtime_timer_cancel(&runtime->timers, timer_id);
    return port_result(err, errno);
}

int async_runtime_get_timeout(async_runtime_t *runtime)
{
    int err = runtime_check_thread(runtime);
    uint64_t now, first, ms;

    if (err != 0)
        return port_fail(err);
    if (runtime->timers.count == 0)
        return -1;
    first = runtime_timer_first(&runtime->timers);
    now = port_clock_now();
    if (first <= now)
        return 0;
    ms = (first - now - 1) / PORT_NS_PER_MS + 1;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

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

/* An id: the slot below, the count of its uses above; with its count used up it rests for good. */
#define SLOT_BITS 28
#define SLOT_MASK (((uint64_t)1 << SLOT_BITS) - 1)
#define USES_MAX (UINT64_MAX >> SLOT_BITS)
#define ONE_USE ((uint64_t)1 << SLOT_BITS)
#define NO_PLACE SLOT_MASK /* of a free slot */

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
    uint64_t *slot = &timers->places[entry.slot];

    timers->heap[place] = entry;
    *slot = (*slot & ~SLOT_MASK) | place;
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

static void free_slot(runtime_timers_t *timers, uint32_t slot)
{
    timers->places[slot] |= NO_PLACE;
    if (timers->places[slot] >> SLOT_BITS == USES_MAX)
        return;
    timers->data[slot].period = timers->free_slot;
    timers->free_slot = slot;
}

/* Takes the cancelled entry out that is still there, and frees its slot. */
static void close_gap(runtime_timers_t *timers)
{
    size_t place = timers->gap;
    uint32_t slot;

    if (place == 0)
        return;
    timers->gap = 0;
    slot = timers->heap[place].slot;
    heap_remove(timers, place);
    free_slot(timers, slot);
}

static int grow(runtime_timers_t *timers)
{
    size_t capacity = timers->capacity != 0 ? timers->capacity * 2 : FIRST_CAPACITY;
    timer_entry_t *memory;
    timer_data_t *data;
    uint64_t *places;

    if (capacity >= NO_PLACE)
        return ENOMEM;
    places = port_realloc(timers->places, capacity * sizeof(*places));
    if (places == NULL)
        return ENOMEM;
    timers->places = places;
    data = port_realloc(timers->data, capacity * sizeof(*data));
    if (data == NULL)
        return ENOMEM;
    timers->data = data;
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

static int take_slot(runtime_timers_t *timers, uint32_t *slot)
{
    /* The first time there is no capacity, and free_slot says nothing yet. */
    if (timers->capacity == 0 ||
        (timers->free_slot == NO_SLOT && timers->slots_used == timers->capacity)) {
        int err = grow(timers);

        if (err != 0)
            return err;
    }
    if (timers->free_slot != NO_SLOT) {
        *slot = timers->free_slot;
        timers->free_slot = (uint32_t)timers->data[*slot].period;
    } else {
        *slot = (uint32_t)timers->slots_used++;
        timers->places[*slot] = 0;
    }
    return 0;
}

int runtime_timer_add(runtime_timers_t *timers, uint64_t deadline, uint64_t period, void *context,
                      uint64_t *id)
{
    timer_entry_t entry = {.deadline = deadline, .sequence = timers->sequence};
    size_t place = timers->gap;

    if (place != 0) {
        entry.slot = timers->heap[place].slot;
        timers->gap = 0;
    } else {
        int err = take_slot(timers, &entry.slot);

        if (err != 0)
            return err;
    }
    timers->places[entry.slot] += ONE_USE;
    timers->data[entry.slot] = (timer_data_t){.context = context, .period = period};
    timers->sequence++;
    if (place != 0)
        sift(timers, place, entry);
    else
        sift_up(timers, timers->count++, entry);
    *id = (timers->places[entry.slot] & ~SLOT_MASK) | entry.slot;
    return 0;
}

int runtime_timer_cancel(runtime_timers_t *timers, uint64_t id)
{
    uint64_t slot = id & SLOT_MASK, place;

    if (slot >= timers->slots_used)
        return ENOENT;
    place = timers->places[slot] & SLOT_MASK;
    if (place == NO_PLACE || (timers->places[slot] ^ id) >> SLOT_BITS != 0)
        return ENOENT;
    close_gap(timers); /* may move the entry */
    place = timers->places[slot] & SLOT_MASK;
    timers->places[slot] |= NO_PLACE;
    timers->gap = (size_t)place;
    if (place == 0) {
        heap_remove(timers, 0);
        free_slot(timers, (uint32_t)slot);
    } else if (timers->places[slot] >> SLOT_BITS == USES_MAX) {
        close_gap(timers);
    }
    return 0;
}

int runtime_timer_take(runtime_timers_t *timers, uint64_t now, async_event_t *events, int max)
{
    int n = 0;

    close_gap(timers);
    while (n < max && runtime_timer_due(timers, now)) {
        timer_entry_t entry = timers->heap[0];
        const timer_data_t *data = &timers->data[entry.slot];
        uint64_t expirations = 1;

        if (data->period != 0) {
            /* Late or not, the next deadline is a whole number of periods after the first. */
            expirations += (now - entry.deadline) / data->period;
            events[n] = (async_event_t){.context = data->context};
            entry.deadline = expirations > (PORT_DEADLINE_NEVER - 1 - entry.deadline) / data->period
                                 ? PORT_DEADLINE_NEVER - 1
                                 : entry.deadline + expirations * data->period;
            entry.sequence = timers->sequence++;
            sift_down(timers, 0, entry);
        } else {
            events[n] = (async_event_t){.context = data->context};
            heap_remove(timers, 0);
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
    port_free(timers->places);
    port_free(timers->data);
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
    int saved = errno, err = runtime_check(runtime);
    uint64_t id = 0;

    if (err == 0)
        err = runtime_timer_add(&runtime->timers,
                                port_clock_after(port_clock_now(), nanoseconds(delay_us)),
                                nanoseconds(period_us), context, &id);
    return port_result(err, saved) == 0 ? id : 0;
}

int async_runtime_cancel_timer(async_runtime_t *runtime, uint64_t timer_id)
{
    int err = runtime_check(runtime);

    if (err == 0)
        err = runtime_timer_cancel(&runtime->timers, timer_id);
    return port_result(err, errno);
}

int async_runtime_get_timeout(async_runtime_t *runtime)
{
    int err = runtime_check(runtime);
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

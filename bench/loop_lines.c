/* SPDX-License-Identifier: MIT */
/*
 * loop_lines.c - no loop: what the machine allows for the bursts of one posting thread
 *
 * A ring with one poster, one taker who never sleeps, no locked instruction and no look at a state:
 * key and data of each post move from one processor to the other and nothing else is done.  24
 * bytes: with a word in each cell that says whether it is filled.  16 bytes: the tail says it.
 */
#include "loop.h"

#include <sched.h>
#include <stdatomic.h>

#define CELLS 65536u /* as many as libasyncrt keeps */

typedef struct cell {
    _Atomic uint64_t published; /* position + 1 */
    letter_t letter;
} cell_t;

typedef struct lines {
    loop_t loop;
    cell_t *cells;     /* or */
    letter_t *letters; /* of CELLS each */
    /* Stored by one side, read by the other. */
    _Alignas(128) _Atomic uint64_t tail;
    _Alignas(128) _Atomic uint64_t head;
    /* The poster's. */
    _Alignas(128) uint64_t posted;
    uint64_t taken; /* at least so many */
} lines_t;

static lines_t *of(loop_t *loop)
{
    return (lines_t *)loop;
}

static loop_t *lines_open(const loop_kind_t *kind)
{
    lines_t *lines = aligned_alloc(128, sizeof(*lines));

    if (lines == NULL)
        abort();
    *lines = (lines_t){.loop.kind = kind};
    lines->cells = calloc(CELLS, sizeof(*lines->cells));
    lines->letters = calloc(CELLS, sizeof(*lines->letters));
    if (lines->cells == NULL || lines->letters == NULL)
        abort();
    return &lines->loop;
}

static void lines_close(loop_t *loop)
{
    free(of(loop)->cells);
    free(of(loop)->letters);
    free(loop);
}

static void lines_stop(loop_t *loop)
{
    loop->stopped = true;
}

static void wait_for_room(lines_t *lines)
{
    while (lines->posted - lines->taken >= CELLS) {
        lines->taken = atomic_load_explicit(&lines->head, memory_order_acquire);
        if (lines->posted - lines->taken >= CELLS)
            sched_yield();
    }
}

static void post_cell(loop_t *loop, uintptr_t data)
{
    lines_t *lines = of(loop);
    cell_t *cell = &lines->cells[lines->posted % CELLS];

    wait_for_room(lines);
    cell->letter = (letter_t){.key = 1, .data = data};
    atomic_store_explicit(&cell->published, ++lines->posted, memory_order_release);
}

static void run_cells(loop_t *loop)
{
    lines_t *lines = of(loop);
    uint64_t head = atomic_load_explicit(&lines->head, memory_order_relaxed);

    for (loop->stopped = false; !loop->stopped;) {
        cell_t *cell = &lines->cells[head % CELLS];

        if (atomic_load_explicit(&cell->published, memory_order_acquire) != head + 1)
            continue;
        loop->posted(loop, cell->letter.data);
        if (++head % LOOP_EVENTS == 0 || loop->stopped)
            atomic_store_explicit(&lines->head, head, memory_order_release);
    }
}

static void post_letter(loop_t *loop, uintptr_t data)
{
    lines_t *lines = of(loop);

    wait_for_room(lines);
    lines->letters[lines->posted % CELLS] = (letter_t){.key = 1, .data = data};
    atomic_store_explicit(&lines->tail, ++lines->posted, memory_order_release);
}

static void run_letters(loop_t *loop)
{
    lines_t *lines = of(loop);
    uint64_t head = atomic_load_explicit(&lines->head, memory_order_relaxed);

    for (loop->stopped = false; !loop->stopped;) {
        uint64_t tail = atomic_load_explicit(&lines->tail, memory_order_acquire);

        while (head != tail)
            loop->posted(loop, lines->letters[head++ % CELLS].data);
        atomic_store_explicit(&lines->head, head, memory_order_release);
    }
}

const loop_kind_t loop_lines_cells = {.name = "24 bytes by hand",
                                      .only = "burst1",
                                      .open = lines_open,
                                      .close = lines_close,
                                      .run = run_cells,
                                      .stop = lines_stop,
                                      .post = post_cell};
const loop_kind_t loop_lines_letters = {.name = "16 bytes by hand",
                                        .only = "burst1",
                                        .open = lines_open,
                                        .close = lines_close,
                                        .run = run_letters,
                                        .stop = lines_stop,
                                        .post = post_letter};

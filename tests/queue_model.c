/* SPDX-License-Identifier: MIT */
/*
 * queue_model.c - every interleaving of small programs on the queue's own code.
 *
 * The queue's sources are included with each atomic operation replaced by a step: a fiber stops
 * before it, and the explorer decides who goes on.  A state is the memory of the queue and of the
 * program, and each fiber's stack and registers; it is saved and brought back by copying, and a
 * state that was seen before is not entered again.  So the search is complete for these programs
 * under sequential consistency (the memory orders themselves are the business of the stress runs on
 * other processors).
 *
 * A state in which nobody can go on is a missed wake-up; at each end the program's promises are
 * checked. The same search over a queue with one step left out or blinded must fail: see
 * test_queue_model.c.
 */
#include "queue_model.h"
#include "queue_atomics.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#undef atomic_thread_fence
/* step() is false for a mutant: a load gives 0, a store or addition is left out, a compare is
 * blind. */
#define atomic_load_explicit(p, order) \
    (step(__func__, #p, STEP_READ, order) ? raw_load(p, order) : 0)
#define atomic_store_explicit(p, value, order) \
    (step(__func__, #p, STEP_WRITE, order) ? raw_store(p, value, memory_order_seq_cst) : (void)0)
#define atomic_exchange_explicit(p, value, order) \
    (step(__func__, #p, STEP_WRITE, order) ? raw_exchange(p, value, order) : 0)
#define atomic_compare_exchange_strong_explicit(p, old, new, yes, no)                        \
    (step(__func__, #p, STEP_WRITE, yes) ? raw_compare_exchange_strong(p, old, new, yes, no) \
                                         : (raw_store(p, new, memory_order_seq_cst), true))
#define atomic_compare_exchange_weak_explicit(p, old, new, yes, no) \
    atomic_compare_exchange_strong_explicit(p, old, new, yes, no)
#define atomic_fetch_add_explicit(p, value, order) \
    (step(__func__, #p, STEP_WRITE, order) ? raw_fetch_add(p, value, order) : *(p))
#define atomic_fetch_sub_explicit(p, value, order) \
    (step(__func__, #p, STEP_WRITE, order) ? raw_fetch_sub(p, value, order) : *(p))
#define atomic_fetch_or_explicit(p, value, order) \
    (step(__func__, #p, STEP_WRITE, order) ? raw_fetch_or(p, value, order) : *(p))
#define atomic_thread_fence(order) ((void)(order))

#include "port/port_eventcount.c"
#include "queue/queue.c"
#include "queue/queue_bind.c"
#include "queue/queue_peek.c"
#include "queue/queue_reserve.c"
#include "queue/queue_send.c"
#include "queue/queue_stats.c"
#include "queue/queue_take.c"
#include "queue/queue_wait.c"

#include <errno.h>
#include <stdlib.h>
#include <ucontext.h>

#define STACK_SIZE 16384u
#define MEMORY_SIZE 8192u
#define DEPTH_MAX 4000u
#define SEEN_BITS 24u

typedef struct fiber {
    ucontext_t context;
    jmp_buf registers; /* those that live across calls, for the hash */
    char *low;         /* the stack in use: from here to its end */
    enum fiber_state state;
    const void *sleeps_on;
    bool stale; /* nobody has written since its last yield */
} fiber_t;

static alignas(64) char memory[MEMORY_SIZE];
static alignas(64) char stacks[FIBERS][STACK_SIZE];
world_t world;
static fiber_t fibers[FIBERS];
static ucontext_t explorer;
static int current = -1; /* the fiber that runs; -1: the explorer, whose steps are its own */
unsigned fiber_count;
const program_t *program;
static const mutant_t *mutant;
const char *broken;
unsigned long states;
static unsigned checks_left;
static jmp_buf end_of_checks;

/* ---- What the queue takes from src/port. */

void *port_alloc_aligned(size_t size, size_t align)
{
    size_t at = (world.memory_used + align - 1) & ~(align - 1);

    if (at + size > sizeof(memory))
        abort();
    world.memory_used = at + size;
    return memory + at;
}

void *port_zalloc(size_t count, size_t size)
{
    return memset(port_alloc_aligned(count * size, 64), 0, count * size);
}

void port_free(void *block)
{
    (void)block;
}

void port_free_aligned(void *block)
{
    (void)block;
}

void port_error_set(int err)
{
    errno = err;
}

unsigned port_cpu_count(void)
{
    return 1;
}

uint64_t port_thread_token(void)
{
    return (uint64_t)(current + 2);
}

uint64_t port_clock_now(void)
{
    return 1;
}

bool port_barrier_all_threads(void)
{
    return (program->kind & NO_BARRIER) == 0;
}

void break_promise(const char *what)
{
    if (broken == NULL)
        broken = what;
}

void pause_fiber(enum fiber_state state)
{
    fiber_t *f = &fibers[current];

    f->state = state;
    f->low = __builtin_frame_address(0);
    /* the registers that hold the callers' variables */
    memset(&f->registers, 0, sizeof(f->registers));
    if (_setjmp(f->registers) == 0)
        swapcontext(&f->context, &explorer);
}

/* Goes on at once when others have written since the last time, else when one does. */
static void yield_fiber(void)
{
    fiber_t *f = &fibers[current];
    enum fiber_state state = f->stale ? FIBER_YIELDS : FIBER_RUNS;

    f->stale = true;
    pause_fiber(state);
}

static void others_see_a_write(void)
{
    for (unsigned i = 0; i < fiber_count; i++) {
        if ((int)i == current)
            continue;
        if (fibers[i].state == FIBER_YIELDS)
            fibers[i].state = FIBER_RUNS;
        else
            fibers[i].stale = false;
    }
}

void port_thread_yield(void)
{
    if (program->kind & NEVER_WAITS)
        break_promise("waits for another");
    if (current >= 0)
        yield_fiber();
}

void port_thread_sleep(uint64_t ns)
{
    (void)ns;
    port_thread_yield();
}

void sleep_fiber(const void *word)
{
    fibers[current].sleeps_on = word;
    pause_fiber(FIBER_SLEEPS);
}

/* Which one is woken is not ours to choose: the lowest, as the kernel may. */
void wake_fibers(const void *word, int count)
{
    for (unsigned i = 0; i < fiber_count && count > 0; i++)
        if (fibers[i].state == FIBER_SLEEPS && fibers[i].sleeps_on == word) {
            fibers[i].state = FIBER_RUNS;
            count--;
        }
}

int port_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline)
{
    step(__func__, "word", STEP_READ, memory_order_seq_cst);
    if (raw_load(word, memory_order_seq_cst) != expected)
        return 0;
    if (deadline == PORT_DEADLINE_NEVER) {
        sleep_fiber(word);
    } else {
        fibers[current].sleeps_on = word;
        yield_fiber();
    }
    return 0;
}

void port_futex_wake(_Atomic uint32_t *word, int count)
{
    step(__func__, "word", STEP_WRITE, memory_order_seq_cst);
    wake_fibers(word, count);
}

bool step(const char *where, const char *what, enum step_kind kind, int order)
{
    if (current < 0) {
        /* the checks at an end take few steps, or a broken queue holds them for ever */
        if (--checks_left == 0)
            longjmp(end_of_checks, 1);
        return true;
    }
    /* the consumer's own fields, which no other fiber of these programs reads */
    if (order != memory_order_relaxed || what[1] != '(')
        pause_fiber(FIBER_RUNS);
    if (kind == STEP_WRITE)
        others_see_a_write();
    return mutant == NULL || kind != mutant->kind || strcmp(where, mutant->where) != 0 ||
           strstr(what, mutant->what) == NULL;
}

/* ---- The explorer. */

typedef struct frame {
    char *copy;    /* the state; NULL: not yet needed */
    unsigned next; /* the next fiber to try */
} frame_t;

static frame_t frames[DEPTH_MAX];
static uint64_t *seen_states;

static size_t in_use(const fiber_t *f, unsigned i)
{
    return f->state == FIBER_DONE ? 0 : (size_t)(stacks[i] + STACK_SIZE - f->low) + 512;
}

static void save(frame_t *frame)
{
    size_t size = sizeof(world) + world.memory_used + sizeof(fibers);
    char *at;

    for (unsigned i = 0; i < fiber_count; i++)
        size += in_use(&fibers[i], i);
    at = frame->copy = malloc(size);
    if (at == NULL)
        abort();
    memcpy(at, &world, sizeof(world));
    at += sizeof(world);
    memcpy(at, fibers, sizeof(fibers));
    at += sizeof(fibers);
    memcpy(at, memory, world.memory_used);
    at += world.memory_used;
    for (unsigned i = 0; i < fiber_count; i++) {
        size_t used = in_use(&fibers[i], i);

        memcpy(at, stacks[i] + STACK_SIZE - used, used);
        at += used;
    }
}

static void restore(const frame_t *frame)
{
    const char *at = frame->copy;

    memcpy(&world, at, sizeof(world));
    at += sizeof(world);
    memcpy(fibers, at, sizeof(fibers));
    at += sizeof(fibers);
    memcpy(memory, at, world.memory_used);
    at += world.memory_used;
    for (unsigned i = 0; i < fiber_count; i++) {
        size_t used = in_use(&fibers[i], i);

        memcpy(stacks[i] + STACK_SIZE - used, at, used);
        at += used;
    }
}

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    uint64_t word;

    for (; size >= sizeof(word); size -= sizeof(word), at += sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    while (size-- > 0)
        hash = (hash ^ *at++) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

static uint64_t hash_state(void)
{
    uint64_t hash = hash_bytes(1, &world, sizeof(world));

    hash = hash_bytes(hash, memory, world.memory_used);
    for (unsigned i = 0; i < fiber_count; i++) {
        const fiber_t *f = &fibers[i];
        uint64_t state = f->state | (uint64_t)f->stale << 8;

        hash = hash_bytes(hash, &state, sizeof(state));
        if (f->state == FIBER_DONE)
            continue;
        hash = hash_bytes(hash, f->registers[0].__jmpbuf, sizeof(f->registers[0].__jmpbuf));
        hash = hash_bytes(hash, f->low, (size_t)(stacks[i] + STACK_SIZE - f->low));
    }
    return hash | 1;
}

/* Whether the state is new; it is seen from now on. */
static bool enter_state(void)
{
    uint64_t hash = hash_state();

    for (size_t i = hash >> (64 - SEEN_BITS);; i = (i + 1) & ((1u << SEEN_BITS) - 1)) {
        if (seen_states[i] == hash)
            return false;
        if (seen_states[i] == 0) {
            seen_states[i] = hash;
            if (++states > (1u << SEEN_BITS) / 10 * 9)
                abort();
            return true;
        }
    }
}

static void fiber_main(unsigned self)
{
    pause_fiber(FIBER_RUNS);
    program->fiber[self](self);
    fibers[self].state = FIBER_DONE;
    others_see_a_write();
}

static void run_fiber(unsigned i)
{
    current = (int)i;
    swapcontext(&explorer, &fibers[i].context);
    current = -1;
}

static void start(void)
{
    checks_left = 10000;
    memset(&world, 0, sizeof(world));
    memset(memory, 0, sizeof(memory));
    memset(stacks, 0, sizeof(stacks));
    memset(fibers, 0, sizeof(fibers));
    fiber_count = 0;
    while (fiber_count < FIBERS && program->fiber[fiber_count] != NULL)
        fiber_count++;
    world.queue = queue_create_at(program->capacity, message_size(program), program->flags,
                                  program->kind & (WIDE | MEDIUM) ? 0 : 1);
    if (program->kind & BOUND)
        bind_world();
    for (unsigned i = 0; i < fiber_count; i++) {
        getcontext(&fibers[i].context);
        fibers[i].context.uc_stack.ss_sp = stacks[i];
        fibers[i].context.uc_stack.ss_size = STACK_SIZE;
        fibers[i].context.uc_link = &explorer;
        makecontext(&fibers[i].context, (void (*)(void))fiber_main, 1, i);
        run_fiber(i);
    }
}

/* Nobody can go on: the end, or somebody waits for ever. */
static void check_rest(void)
{
    for (unsigned i = 0; i < fiber_count; i++)
        if (fibers[i].state != FIBER_DONE) {
            break_promise("nobody can go on");
            return;
        }
    checks_left = 10000;
    if (setjmp(end_of_checks) == 0)
        check_end();
    else
        break_promise("a call that does not return");
}

static unsigned next_runnable(unsigned from)
{
    while (from < fiber_count && fibers[from].state != FIBER_RUNS)
        from++;
    return from;
}

void explore(const program_t *p, const mutant_t *m)
{
    unsigned depth = 1;

    program = p;
    mutant = m;
    broken = NULL;
    states = 0;
    memset(seen_states, 0, sizeof(*seen_states) << SEEN_BITS);
    start();
    enter_state();
    save(&frames[0]);
    frames[0].next = 0;
    while (depth > 0 && broken == NULL) {
        frame_t *frame = &frames[depth - 1];
        unsigned i;

        restore(frame);
        i = next_runnable(frame->next);
        if (i == fiber_count) {
            if (frame->next == 0)
                check_rest();
            free(frame->copy);
            depth--;
            continue;
        }
        frame->next = i + 1;
        run_fiber(i);
        if (broken != NULL || !enter_state())
            continue;
        if (depth == DEPTH_MAX)
            abort();
        save(&frames[depth]);
        frames[depth++].next = 0;
    }
    while (depth > 0)
        free(frames[--depth].copy);
}

bool begin_exploring(void)
{
    seen_states = calloc((size_t)1 << SEEN_BITS, sizeof(*seen_states));
    return seen_states != NULL;
}

void end_exploring(void)
{
    free(seen_states);
}

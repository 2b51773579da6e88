/* SPDX-License-Identifier: MIT */
/*
 * Every interleaving of small programs on the queue's own code.
 *
 * The queue's sources are included with each atomic operation replaced by a step: a fiber stops
 * before it, and the explorer decides who goes on.  A state is the memory of the queue and of the
 * program, and each fiber's stack and registers; it is saved and brought back by copying, and a
 * state that was seen before is not entered again.  So the search is complete for these programs
 * under sequential consistency (the memory orders themselves are the business of the stress runs on
 * other processors).
 *
 * A state in which nobody can go on is a missed wake-up; at each end the program's promises are
 * checked. The same search over a queue with one step left out or blinded must fail: see mutants[].
 *
 * test_queue_model [all]: all takes a minute more.
 */
#include <stdatomic.h>

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum step_kind { STEP_READ, STEP_WRITE };

static bool step(const char *where, const char *what, enum step_kind kind, int order);

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_weak_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit
#undef atomic_fetch_or_explicit
#undef atomic_thread_fence
/* step() is false for a mutant: a load gives 0, a store or addition is left out, a compare is
 * blind. */
#define atomic_load_explicit(p, order) \
    (step(__func__, #p, STEP_READ, order) ? __atomic_load_n(p, order) : 0)
#define atomic_store_explicit(p, value, order) \
    (step(__func__, #p, STEP_WRITE, order) ? __atomic_store_n(p, value, __ATOMIC_SEQ_CST) : (void)0)
#define atomic_exchange_explicit(p, value, order) \
    (step(__func__, #p, STEP_WRITE, order) ? __atomic_exchange_n(p, value, order) : 0)
#define atomic_compare_exchange_strong_explicit(p, old, new, yes, no)                           \
    (step(__func__, #p, STEP_WRITE, yes) ? __atomic_compare_exchange_n(p, old, new, 0, yes, no) \
                                         : (__atomic_store_n(p, new, __ATOMIC_SEQ_CST), true))
#define atomic_compare_exchange_weak_explicit(p, old, new, yes, no) \
    atomic_compare_exchange_strong_explicit(p, old, new, yes, no)
#define atomic_fetch_add_explicit(p, value, order) \
    (step(__func__, #p, STEP_WRITE, order) ? __atomic_fetch_add(p, value, order) : *(p))
#define atomic_fetch_sub_explicit(p, value, order) \
    (step(__func__, #p, STEP_WRITE, order) ? __atomic_fetch_sub(p, value, order) : *(p))
#define atomic_fetch_or_explicit(p, value, order) \
    (step(__func__, #p, STEP_WRITE, order) ? __atomic_fetch_or(p, value, order) : *(p))
#define atomic_thread_fence(order) ((void)(order))

#include "port/port_eventcount.c"
#include "queue/queue.c"
#include "queue/queue_bind.c"
#include "queue/queue_reserve.c"
#include "queue/queue_send.c"
#include "queue/queue_stats.c"
#include "queue/queue_take.c"
#include "queue/queue_wait.c"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#define FIBERS 3
#define STACK_SIZE 16384u
#define MEMORY_SIZE 8192u
#define DEPTH_MAX 4000u
#define SEEN_BITS 24u

#define NEVER_WAITS 1u /* nobody may ever have to wait for another */
#define LARGE 2u       /* only when everything is asked for */

enum fiber_state { FIBER_RUNS, FIBER_YIELDS, FIBER_SLEEPS, FIBER_DONE };

typedef struct fiber {
    ucontext_t context;
    jmp_buf registers; /* those that live across calls, for the hash */
    char *low;         /* the stack in use: from here to its end */
    enum fiber_state state;
    const void *sleeps_on;
    bool stale; /* nobody has written since its last yield */
} fiber_t;

typedef struct log_entry {
    unsigned char from, number;
    unsigned lost;
} log_entry_t;

/* What the programs share beside the queue. */
typedef struct world {
    async_queue_t *queue;
    queue_hook_t hook;
    _Atomic uint32_t announced;
    unsigned accepted[FIBERS]; /* a bit for each message */
    unsigned refused;
    log_entry_t got[16];
    unsigned count;
    unsigned done; /* producers */
    bool finished; /* the consumer saw EPIPE */
    size_t memory_used;
} world_t;

typedef struct program {
    const char *name;
    size_t capacity;
    async_queue_flags_t flags;
    unsigned kind; /* NEVER_WAITS, LARGE */
    void (*fiber[FIBERS])(unsigned self);
} program_t;

typedef struct mutant {
    const char *program;
    enum step_kind kind; /* the step to spoil */
    const char *where, *what;
} mutant_t;

static alignas(64) char memory[MEMORY_SIZE];
static alignas(64) char stacks[FIBERS][STACK_SIZE];
static world_t world;
static fiber_t fibers[FIBERS];
static ucontext_t explorer;
static int current = -1; /* the fiber that runs; -1: the explorer, whose steps are its own */
static unsigned fiber_count;
static const program_t *program;
static const mutant_t *mutant;
static const char *broken; /* the first promise that was broken, NULL: none */
static unsigned long states;
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
    return true;
}

static void break_promise(const char *what)
{
    if (broken == NULL)
        broken = what;
}

static void pause_fiber(enum fiber_state state)
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

int port_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline)
{
    fiber_t *f = &fibers[current];

    step(__func__, "word", STEP_READ, memory_order_seq_cst);
    if (__atomic_load_n(word, memory_order_seq_cst) != expected)
        return 0;
    f->sleeps_on = word;
    if (deadline == PORT_DEADLINE_NEVER)
        pause_fiber(FIBER_SLEEPS);
    else
        yield_fiber();
    return 0;
}

void port_futex_wake(_Atomic uint32_t *word, int count)
{
    /* which one is woken is not ours to choose: the lowest, as the kernel may */
    step(__func__, "word", STEP_WRITE, memory_order_seq_cst);
    for (unsigned i = 0; i < fiber_count && count > 0; i++)
        if (fibers[i].state == FIBER_SLEEPS && fibers[i].sleeps_on == word) {
            fibers[i].state = FIBER_RUNS;
            count--;
        }
}

static bool step(const char *where, const char *what, enum step_kind kind, int order)
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

/* ---- The pieces of the programs.  A message is its sender and its number. */

static void sent(unsigned self, unsigned number, bool yes)
{
    if (yes)
        world.accepted[self] |= 1u << number;
    else
        world.refused++;
}

static void send_one(unsigned self, unsigned number)
{
    unsigned char m[2] = {(unsigned char)self, (unsigned char)number};

    sent(self, number, async_queue_enqueue(world.queue, m, sizeof(m)));
}

static void send_waiting(unsigned self, unsigned number)
{
    unsigned char m[2] = {(unsigned char)self, (unsigned char)number};

    sent(self, number, async_queue_enqueue_timed(world.queue, m, sizeof(m), -1));
}

static void send_reserved(unsigned self, unsigned number)
{
    unsigned char *m = async_queue_reserve(world.queue, 2);

    if (m != NULL) {
        m[0] = (unsigned char)self;
        m[1] = (unsigned char)number;
        async_queue_commit(world.queue, m, 2);
    }
    sent(self, number, m != NULL);
}

static void reserve_nothing(void)
{
    async_queue_abandon(world.queue, async_queue_reserve(world.queue, 2));
}

static void log_message(const unsigned char *m)
{
    log_entry_t *e = &world.got[world.count];

    if (world.count == sizeof(world.got) / sizeof(world.got[0])) {
        break_promise("more messages than were sent");
        return;
    }
    world.count++;
    e->from = m[0];
    e->number = m[1];
    e->lost = (unsigned)async_queue_lost(world.queue);
}

static bool take_one(void)
{
    unsigned char m[2] = {99, 99};
    size_t size = 0;

    if (!async_queue_dequeue(world.queue, m, sizeof(m), &size)) {
        if (errno == EPIPE)
            world.finished = true;
        return false;
    }
    if (size != 2)
        break_promise("the size of a message");
    log_message(m);
    return true;
}

static void take_peeked(void)
{
    const unsigned char *m = async_queue_peek(world.queue, NULL);

    if (m == NULL)
        return;
    log_message(m);
    pause_fiber(FIBER_RUNS);
    if (m[0] != world.got[world.count - 1].from || m[1] != world.got[world.count - 1].number)
        break_promise("a peeked message changes");
    async_queue_release(world.queue);
}

static void two_sends(unsigned self)
{
    send_one(self, 0);
    send_one(self, 1);
    world.done++;
}

static void one_send(unsigned self)
{
    send_one(self, 0);
    world.done++;
}

static void one_waiting(unsigned self)
{
    send_waiting(self, 0);
    world.done++;
}

static void two_waiting(unsigned self)
{
    send_waiting(self, 0);
    send_waiting(self, 1);
    world.done++;
}

static void reserve_and_send(unsigned self)
{
    send_reserved(self, 0);
    send_one(self, 1);
    world.done++;
}

static void one_reserved(unsigned self)
{
    send_reserved(self, 0);
    world.done++;
}

static void abandon_and_send(unsigned self)
{
    reserve_nothing();
    send_one(self, 0);
    world.done++;
}

static void send_and_close(unsigned self)
{
    send_one(self, 0);
    async_queue_close(world.queue);
    world.done++;
}

static void close_only(unsigned self)
{
    (void)self;
    async_queue_close(world.queue);
}

static void reserve_and_close(unsigned self)
{
    unsigned char *m = async_queue_reserve(world.queue, 2);

    async_queue_close(world.queue);
    if (m != NULL) {
        m[0] = (unsigned char)self;
        m[1] = 0;
        async_queue_commit(world.queue, m, 2);
    }
    sent(self, 0, m != NULL);
}

static void abandon_after_close(unsigned self)
{
    void *slot = async_queue_reserve(world.queue, 2);

    (void)self;
    async_queue_close(world.queue);
    async_queue_abandon(world.queue, slot);
}

static void three_takes(unsigned self)
{
    (void)self;
    take_one();
    take_one();
    take_one();
}

static void peek_and_take(unsigned self)
{
    (void)self;
    take_peeked();
    take_one();
}

static void clear_and_take(unsigned self)
{
    (void)self;
    async_queue_clear(world.queue);
    take_one();
}

/* Takes all that is sent without losses. */
static void take_all(unsigned self)
{
    (void)self;
    for (;;) {
        bool last = world.done == fiber_count - 1;

        if (!take_one() && last)
            break;
        if (!last)
            port_thread_yield();
    }
}

/* Sleeps until async_queue_wait() says so, until the end. */
static void wait_for_all(unsigned self)
{
    (void)self;
    while (!world.finished) {
        if (!async_queue_wait(world.queue, -1) && errno != EPIPE)
            break_promise("wait without end fails");
        /* a dropper may take the message away again */
        if (!take_one() && !world.finished && (program->flags & ASYNC_QUEUE_DROP_OLDEST) == 0)
            break_promise("wait for nothing");
    }
}

static void on_announce(queue_hook_t *hook)
{
    (void)hook;
    step(__func__, "announced", STEP_WRITE, memory_order_seq_cst);
    if (world.announced++ > 1)
        break_promise("announced again before it was taken");
    for (unsigned i = 0; i < fiber_count; i++)
        if (fibers[i].state == FIBER_SLEEPS && fibers[i].sleeps_on == &world.announced)
            fibers[i].state = FIBER_RUNS;
}

static void on_release(queue_hook_t *hook)
{
    (void)hook;
}

static void bind_world(void)
{
    world.hook.announce = on_announce;
    world.hook.release = on_release;
    queue_bind(world.queue, &world.hook);
}

/* As the loop of a runtime: sleeps until the hook announces, then takes until EAGAIN. */
static void serve(unsigned expected)
{
    while (world.count < expected) {
        while (world.announced == 0) {
            fibers[current].sleeps_on = &world.announced;
            pause_fiber(FIBER_SLEEPS);
        }
        world.announced = 0;
        while (take_one())
            ;
    }
}

static void serve_two(unsigned self)
{
    (void)self;
    serve(2);
}

static void bind_and_serve_two(unsigned self)
{
    (void)self;
    bind_world();
    serve(2);
}

/* ---- What must hold at an end. */

static void check_end(void)
{
    async_queue_stats_t st;
    unsigned accepted = 0, missing = 0, lost = 0, next[FIBERS] = {0}, seen[FIBERS] = {0};

    if (world.finished && take_one())
        break_promise("a message after EPIPE");
    async_queue_get_stats(world.queue, &st);
    if (st.enqueue_count != st.dequeue_count + st.dropped_count + st.current_size)
        break_promise("the identity of the statistics");
    if (st.current_size > program->capacity)
        break_promise("more messages than places");
    while (broken == NULL && take_one())
        ;
    for (unsigned i = 0; i < world.count; i++) {
        const log_entry_t *e = &world.got[i];

        lost += e->lost;
        if (e->from >= FIBERS || e->number < next[e->from] || e->number > 7) {
            break_promise("order or content");
            return;
        }
        next[e->from] = e->number + 1u;
        seen[e->from] |= 1u << e->number;
    }
    for (unsigned i = 0; i < FIBERS; i++) {
        if ((seen[i] & ~world.accepted[i]) != 0)
            break_promise("a message that was not accepted");
        accepted += (unsigned)__builtin_popcount(world.accepted[i]);
        missing += (unsigned)__builtin_popcount(world.accepted[i] & ~seen[i]);
    }
    async_queue_get_stats(world.queue, &st);
    if (st.enqueue_count != accepted || st.dequeue_count != world.count ||
        st.dropped_count != missing || st.current_size != 0)
        break_promise("the statistics");
    if (world.count != 0 && (program->flags & ASYNC_QUEUE_DROP_OLDEST) && lost != missing &&
        program->fiber[fiber_count - 1] != clear_and_take)
        break_promise("a loss that was not told");
    if ((program->kind & NEVER_WAITS) && world.refused != 0)
        break_promise("refused with room");
    /* every place is free again */
    for (size_t i = 0; i < program->capacity; i++)
        if (!world.finished && !async_queue_enqueue(world.queue, "", 1) && errno != EPIPE)
            break_promise("a place is gone");
    if (!world.finished && !async_queue_is_full(world.queue))
        break_promise("a place too many");
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
    world.queue = queue_create_at(program->capacity, 2, program->flags, 1);
    if (program->fiber[fiber_count - 1] == serve_two)
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

/* All states of one program; stops at the first broken promise. */
static void explore(const program_t *p, const mutant_t *m)
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

#define DROP ASYNC_QUEUE_DROP_OLDEST
#define BLOCK ASYNC_QUEUE_BLOCK_WRITER
#define SIGNAL ASYNC_QUEUE_SIGNAL_ON_DATA

static const program_t programs[] = {
    {"plain 1", 1, 0, 0, {two_sends, two_sends, three_takes}},
    {"plain 2", 2, 0, 0, {two_sends, two_sends, peek_and_take}},
    {"room", 3, 0, NEVER_WAITS, {one_send, two_sends, peek_and_take}},
    {"drop", 1, DROP, 0, {one_send, one_send, peek_and_take}},
    {"drop 1", 1, DROP, LARGE, {two_sends, one_send, peek_and_take}},
    {"drop 2", 2, DROP, LARGE, {two_sends, two_sends, three_takes}},
    {"drop with room", 3, DROP, NEVER_WAITS, {one_send, two_sends, peek_and_take}},
    {"reserve 1", 1, 0, 0, {reserve_and_send, one_reserved, three_takes}},
    {"reserve 2", 2, 0, LARGE, {reserve_and_send, abandon_and_send, three_takes}},
    {"reserve and drop", 1, DROP, 0, {one_reserved, one_send, peek_and_take}},
    {"reserve and drop 1", 1, DROP, LARGE, {reserve_and_send, one_send, peek_and_take}},
    {"reserve and drop 2", 2, DROP, LARGE, {reserve_and_send, one_reserved, peek_and_take}},
    {"clear", 2, 0, 0, {two_sends, one_send, clear_and_take}},
    {"clear and drop", 1, DROP, 0, {one_send, one_send, clear_and_take}},
    {"clear and drop 1", 1, DROP, LARGE, {two_sends, one_send, clear_and_take}},
    {"block", 1, BLOCK, 0, {one_send, one_send, take_all}},
    {"block 1", 1, BLOCK, LARGE, {two_sends, one_send, take_all}},
    {"block timed", 1, BLOCK, LARGE, {two_waiting, one_waiting, take_all}},
    {"plain timed", 1, 0, 0, {one_waiting, one_waiting, take_all}},
    {"plain timed 1", 1, 0, LARGE, {two_waiting, one_waiting, take_all}},
    {"block and abandon", 1, BLOCK, LARGE, {abandon_and_send, one_send, take_all}},
    {"block and close", 1, BLOCK, 0, {two_sends, one_send, close_only}},
    {"wait and close", 2, SIGNAL, 0, {one_send, send_and_close, wait_for_all}},
    {"wait for a reservation", 1, SIGNAL, LARGE, {reserve_and_close, one_send, wait_for_all}},
    {"wait for an abandon", 1, SIGNAL, 0, {abandon_after_close, one_send, wait_for_all}},
    {"wait and drop", 1, DROP | SIGNAL, LARGE, {one_send, send_and_close, wait_for_all}},
    {"bound", 2, 0, 0, {one_send, one_send, serve_two}},
    {"bound, blocking", 1, BLOCK, 0, {one_send, one_send, serve_two}},
    {"bound, reserved", 2, 0, 0, {one_reserved, one_send, serve_two}},
    {"bound late", 2, 0, 0, {one_send, one_send, bind_and_serve_two}},
    {"bound late, drop", 2, DROP, LARGE, {one_send, one_reserved, bind_and_serve_two}},
};

/* Each must be found by its program. */
static const mutant_t mutants[] = {
    {"plain 1", STEP_WRITE, "async_queue_enqueue", "->tail"},      /* claims without comparing */
    {"drop", STEP_WRITE, "enqueue_usually", "->word"},             /* drops without comparing */
    {"drop", STEP_WRITE, "take_dropping", "->word"},               /* takes without comparing */
    {"clear and drop", STEP_WRITE, "clear_one", "->word"},         /* clears without comparing */
    {"reserve 1", STEP_WRITE, "settle", "mark"},                   /* a commit is forgotten */
    {"reserve 2", STEP_WRITE, "async_queue_abandon", "->tail"},    /* a place is not given back */
    {"block 1", STEP_WRITE, "wait_once", "->room_woken"},          /* the wake is never handed on */
    {"block", STEP_WRITE, "port_eventcount_prepare", "->waiters"}, /* waits unseen */
    {"plain timed", STEP_READ, "places_freed", "->blocking"},      /* the consumer does not look */
    {"wait and close", STEP_READ, "queue_signal", "->asleep"},     /* the producer does not look */
    {"wait for an abandon", STEP_WRITE, "async_queue_close", "->closing"},
    {"bound", STEP_WRITE, "queue_rearm", "->armed"},         /* the hook stays silent */
    {"bound", STEP_READ, "queue_ready", "->word"},           /* no second look after arming */
    {"bound late", STEP_WRITE, "queue_bind", "->notify"},    /* producers do not learn of it */
    {"bound late", STEP_WRITE, "queue_bind", "->bind_tail"}, /* those on their way are forgotten */
};

int main(int argc, char **argv)
{
    bool all = argc > 1 && strcmp(argv[1], "all") == 0;
    int failures = 0;

    seen_states = calloc((size_t)1 << SEEN_BITS, sizeof(*seen_states));
    if (seen_states == NULL)
        return 77;
    for (unsigned i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        if ((programs[i].kind & LARGE) != 0 && !all)
            continue;
        explore(&programs[i], NULL);
        printf("%-24s %8lu states  %s\n", programs[i].name, states, broken ? broken : "ok");
        failures += broken != NULL;
    }
    for (unsigned i = 0; i < sizeof(mutants) / sizeof(mutants[0]); i++) {
        const program_t *p = programs;

        while (strcmp(p->name, mutants[i].program) != 0)
            p++;
        explore(p, &mutants[i]);
        printf("mutant %-17s %8lu states  %s: %s\n", p->name, states, mutants[i].where,
               broken ? broken : "NOT FOUND");
        failures += broken == NULL;
    }
    free(seen_states);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* SPDX-License-Identifier: MIT */
/*
 * Every interleaving of small programs on the queue's own code: the programs, what must hold at
 * their ends, and the spoilt steps that must be found.  The search is in queue_model.c.
 *
 * test_queue_model [all]: all takes a minute more.
 */
#include "queue_model.h"
#include "port/port_thread.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The pieces of the programs.  A message is its sender and its number; its last two bytes are
 * the same again. */

#define SHORT_SIZE 48u /* of those that short_send sends */

static void write_message(unsigned char *m, size_t size, unsigned self, unsigned number)
{
    m[0] = m[size - 2] = (unsigned char)self;
    m[1] = m[size - 1] = (unsigned char)number;
}

static void sent(unsigned self, unsigned number, bool yes)
{
    if (yes)
        world.accepted[self] |= 1u << number;
    else
        world.refused++;
}

static void send_sized(unsigned self, unsigned number, size_t size)
{
    unsigned char m[SIZE_MOST] = {0};

    write_message(m, size, self, number);
    sent(self, number, async_queue_enqueue(world.queue, m, size));
}

static void send_one(unsigned self, unsigned number)
{
    send_sized(self, number, message_size(program));
}

static void send_waiting(unsigned self, unsigned number)
{
    unsigned char m[SIZE_MOST] = {0};

    write_message(m, message_size(program), self, number);
    sent(self, number, async_queue_enqueue_timed(world.queue, m, message_size(program), -1));
}

static void send_reserved(unsigned self, unsigned number)
{
    unsigned char *m = async_queue_reserve(world.queue, message_size(program));

    if (m != NULL) {
        write_message(m, message_size(program), self, number);
        async_queue_commit(world.queue, m, message_size(program));
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

static void short_send(unsigned self)
{
    send_sized(self, 0, SHORT_SIZE);
    world.done++;
}

/* Into a buffer of `room` bytes. */
static bool take_into(size_t room)
{
    unsigned char m[SIZE_MOST];
    size_t size = 0;
    bool taken;

    memset(m, 99, sizeof(m));
    taken = async_queue_dequeue(world.queue, m, room, &size);
    for (size_t i = room; i < sizeof(m); i++)
        if (m[i] != 99)
            break_promise("bytes behind the buffer");
    if (!taken) {
        if (errno == EPIPE)
            world.finished = true;
        return false;
    }
    if (m[0] >= FIBERS ||
        size != (program->fiber[m[0]] == short_send ? SHORT_SIZE : message_size(program)))
        break_promise("the size of a message");
    else if (m[0] != m[size - 2] || m[1] != m[size - 1])
        break_promise("a torn message");
    log_message(m);
    return true;
}

static bool take_one(void)
{
    return take_into(message_size(program));
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

static void takes_with_little_room(unsigned self)
{
    (void)self;
    take_into(SHORT_SIZE);
    take_into(SHORT_SIZE);
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
        /* a dropper may take the message away again, and puts his own in its place */
        if (!take_one() && !world.finished)
            break_promise("wait for nothing");
    }
}

/* What wait has promised is there, whoever drops it. */
static void wait_and_take(unsigned self)
{
    (void)self;
    if (!async_queue_wait(world.queue, -1) || !take_one())
        break_promise("wait for nothing");
}

static void on_announce(queue_hook_t *hook)
{
    (void)hook;
    step(__func__, "announced", STEP_WRITE, memory_order_seq_cst);
    if (world.announced++ > 1)
        break_promise("announced again before it was taken");
    wake_fibers(&world.announced, FIBERS);
}

static void on_release(queue_hook_t *hook)
{
    (void)hook;
}

void bind_world(void)
{
    world.hook.announce = on_announce;
    world.hook.release = on_release;
    queue_bind(world.queue, &world.hook);
}

/* As the loop of a runtime: sleeps until the hook announces, then takes until EAGAIN. */
static void serve(unsigned expected)
{
    while (world.count < expected) {
        while (world.announced == 0)
            sleep_fiber(&world.announced);
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

void check_end(void)
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
        (program->kind & CLEARS) == 0)
        break_promise("a loss that was not told");
    if (missing != 0 && missing + program->capacity > accepted && (program->kind & CLEARS) == 0)
        break_promise("dropped for nothing");
    if ((program->kind & NEVER_WAITS) && world.refused != 0)
        break_promise("refused with room");
    /* every place is free again */
    for (size_t i = 0; i < program->capacity; i++)
        if (!world.finished && !async_queue_enqueue(world.queue, "", 1) && errno != EPIPE)
            break_promise("a place is gone");
    if (!world.finished && !async_queue_is_full(world.queue))
        break_promise("a place too many");
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
    {"drop, wide", 1, DROP, WIDE, {one_send, one_send, three_takes}},
    {"drop 1, wide", 1, DROP, LARGE | WIDE, {one_send, two_sends, three_takes}},
    {"drop 2, wide", 2, DROP, LARGE | WIDE, {two_sends, two_sends, three_takes}},
    {"reserve and drop, wide", 1, DROP, LARGE | WIDE, {one_reserved, two_sends, three_takes}},
    {"drop, medium", 1, DROP, MEDIUM, {one_send, one_send, three_takes}},
    {"drop 1, medium", 1, DROP, LARGE | MEDIUM, {one_send, two_sends, three_takes}},
    {"drop 2, medium", 2, DROP, LARGE | MEDIUM, {two_sends, two_sends, three_takes}},
    {"drop, two sizes", 1, DROP, MEDIUM, {short_send, one_send, takes_with_little_room}},
    {"drop, bulky", 1, DROP, BULKY, {one_send, one_send, peek_and_take}},
    {"drop 1, bulky", 1, DROP, LARGE | BULKY, {one_send, two_sends, three_takes}},
    {"drop 2, bulky", 2, DROP, LARGE | BULKY, {two_sends, two_sends, three_takes}},
    {"drop and close", 1, DROP, 0, {one_send, send_and_close, peek_and_take}},
    {"drop and close 1", 1, DROP, LARGE, {two_sends, send_and_close, three_takes}},
    {"drop with room", 3, DROP, NEVER_WAITS, {one_send, two_sends, peek_and_take}},
    {"reserve 1", 1, 0, 0, {reserve_and_send, one_reserved, three_takes}},
    {"reserve 2", 2, 0, LARGE, {reserve_and_send, abandon_and_send, three_takes}},
    {"reserve and drop", 1, DROP, 0, {one_reserved, one_send, peek_and_take}},
    {"reserve and drop, bulky", 1, DROP, BULKY, {one_reserved, one_send, peek_and_take}},
    {"reserve and drop 1", 1, DROP, LARGE, {reserve_and_send, one_send, peek_and_take}},
    {"reserve and drop 2", 2, DROP, LARGE, {reserve_and_send, one_reserved, peek_and_take}},
    {"clear", 2, 0, CLEARS, {two_sends, one_send, clear_and_take}},
    {"clear and drop", 1, DROP, CLEARS, {one_send, one_send, clear_and_take}},
    {"clear and drop 1", 1, DROP, LARGE | CLEARS, {two_sends, one_send, clear_and_take}},
    {"block", 1, BLOCK, 0, {one_send, one_send, take_all}},
    {"block 1", 1, BLOCK, LARGE, {two_sends, one_send, take_all}},
    {"block timed", 1, BLOCK, LARGE, {two_waiting, one_waiting, take_all}},
    {"plain timed", 1, 0, 0, {one_waiting, one_waiting, take_all}},
    {"plain timed 1", 1, 0, LARGE, {two_waiting, one_waiting, take_all}},
    {"block, no barrier", 1, BLOCK, NO_BARRIER, {one_send, one_send, take_all}},
    {"block and abandon", 1, BLOCK, LARGE, {abandon_and_send, one_send, take_all}},
    {"block and close", 1, BLOCK, 0, {two_sends, one_send, close_only}},
    {"wait and close", 2, SIGNAL, 0, {one_send, send_and_close, wait_for_all}},
    {"wait for a reservation", 1, SIGNAL, LARGE, {reserve_and_close, one_send, wait_for_all}},
    {"wait for an abandon", 1, SIGNAL, 0, {abandon_after_close, one_send, wait_for_all}},
    {"wait and drop", 1, DROP | SIGNAL, 0, {one_send, one_send, wait_and_take}},
    {"wait and drop 1", 1, DROP | SIGNAL, LARGE, {one_send, send_and_close, wait_for_all}},
    {"bound", 2, 0, BOUND, {one_send, one_send, serve_two}},
    {"bound, blocking", 1, BLOCK, BOUND, {one_send, one_send, serve_two}},
    {"bound, reserved", 2, 0, BOUND, {one_reserved, one_send, serve_two}},
    {"bound late", 2, 0, 0, {one_send, one_send, bind_and_serve_two}},
    {"bound late, drop", 2, DROP, LARGE, {one_send, one_reserved, bind_and_serve_two}},
};

/* Each must be found by its program. */
static const mutant_t mutants[] = {
    {"plain 1", STEP_WRITE, "enqueue_at_once", "->tail"},   /* claims without comparing */
    {"drop 1", STEP_WRITE, "enqueue_full", "->tail"},       /* the same, into a full one */
    {"drop", STEP_WRITE, "queue_replace", "->word"},        /* writes unseen over a message */
    {"drop, bulky", STEP_WRITE, "queue_replace", "->word"}, /* drops without comparing */
    {"reserve and drop 2", STEP_WRITE, "queue_empty_place", "->word"}, /* the same */
    {"drop", STEP_WRITE, "queue_take_dropping", "->word"},             /* takes without comparing */
    {"drop, wide", STEP_WRITE, "take_head", "->word"},                 /* the same */
    {"drop, medium", STEP_WRITE, "take_head", "->word"},               /* the same */
    {"drop, bulky", STEP_WRITE, "queue_take_dropping", "->word"},      /* the same */
    {"clear and drop", STEP_WRITE, "clear_one", "->word"},         /* clears without comparing */
    {"reserve 1", STEP_WRITE, "settle", "mark"},                   /* a commit is forgotten */
    {"reserve 2", STEP_WRITE, "async_queue_abandon", "->tail"},    /* a place is not given back */
    {"block 1", STEP_WRITE, "wait_once", "->room_woken"},          /* the wake is never handed on */
    {"block", STEP_WRITE, "port_eventcount_prepare", "->waiters"}, /* waits unseen */
    {"plain timed", STEP_READ, "queue_places_freed", "->blocking"}, /* the consumer does not look */
    {"wait and close", STEP_READ, "queue_signal", "->asleep"},      /* the producer does not look */
    {"wait for an abandon", STEP_WRITE, "async_queue_close", "->closing"},
    {"bound", STEP_WRITE, "queue_rearm", "->armed"},         /* the hook stays silent */
    {"bound", STEP_READ, "queue_ready_in_ring", "->word"},   /* no second look after arming */
    {"bound late", STEP_WRITE, "queue_bind", "->notify"},    /* producers do not learn of it */
    {"bound late", STEP_WRITE, "queue_bind", "->bind_tail"}, /* those on their way are forgotten */
};

int main(int argc, char **argv)
{
    bool all = argc > 1 && strcmp(argv[1], "all") == 0;
    int failures = 0;

    if (!begin_exploring())
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
    end_exploring();
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

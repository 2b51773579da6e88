/* SPDX-License-Identifier: MIT */
/*
 * Threads on one queue in every policy: each message carries its sender, number and checksum, and
 * at the end every message is accounted for as delivered or as lost at its place in the stream.
 *
 * Needs no test library, so that it also runs on other processors (tools/check-cross).  Built
 * twice: with the library's objects, and by queue_preempt.c with a random yield before each atomic
 * step.
 */
#include "queue_stress.h"
#include "port/port_clock.h"
#include "port/port_futex.h"
#include "port/port_thread.h"
#include "queue/queue_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define DROP ASYNC_QUEUE_DROP_OLDEST
#define BLOCK ASYNC_QUEUE_BLOCK_WRITER
#define SIGNAL ASYNC_QUEUE_SIGNAL_ON_DATA
#define PRODUCERS 4
#define BYTES_MOST 400u
#define BYTES_SMALL 200u /* a message with so many is one of QUEUE_SMALL, with BYTES_MOST not */
#define GUARD 0x5a
#define STUCK_NS (60 * (uint64_t)PORT_NS_PER_S)

#define CHECK(x) ((x) ? (void)0 : failed(#x, __LINE__))

typedef struct setup {
    size_t capacity;
    async_queue_flags_t flags;
    unsigned producers;
    bool bound;     /* the consumer sleeps until the hook announces */
    bool timed;     /* full queues by enqueue_timed, not by trying again */
    bool late_bind; /* bound while producers run */
    bool small;     /* all messages are */
} setup_t;

typedef struct message {
    uint32_t sender, number, size, sum;
    unsigned char bytes[BYTES_MOST];
} message_t;

typedef struct run {
    setup_t setup;
    async_queue_t *queue;
    unsigned count; /* messages of each producer */
    queue_hook_t hook;
    _Atomic uint32_t announced;
    _Atomic uint32_t left; /* producers at work */
    uint32_t next[PRODUCERS];
    uint64_t delivered, lost, gaps;
} run_t;

typedef struct producer {
    run_t *run;
    port_thread_t thread;
    uint32_t id, seed;
} producer_t;

static setup_t now;

static void failed(const char *what, int line)
{
    fprintf(stderr,
            "queue_stress:%d: %s (capacity %u, flags %u, %u producers, %d%d%d%d, errno %d)\n", line,
            what, (unsigned)now.capacity, (unsigned)now.flags, now.producers, now.bound, now.timed,
            now.late_bind, now.small, errno);
    abort();
}

static uint32_t draw(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 16;
}

static uint32_t sum_of(const message_t *m)
{
    uint32_t sum = m->sender * 31 + m->number;

    for (uint32_t i = 0; i < m->size; i++)
        sum = sum * 33 + m->bytes[i];
    return sum;
}

static size_t size_of(const message_t *m)
{
    return offsetof(message_t, bytes) + m->size;
}

/* Of the longest message. */
static size_t size_most(const setup_t *setup)
{
    return offsetof(message_t, bytes) + (setup->small ? BYTES_SMALL : BYTES_MOST);
}

static void compose(producer_t *p, message_t *m, uint32_t number)
{
    uint32_t most = p->run->setup.small ? BYTES_SMALL : BYTES_MOST;

    m->sender = p->id;
    m->number = number;
    m->size = draw(&p->seed) % 8 == 0 ? draw(&p->seed) % most : 48;
    memset(m->bytes, (int)(number + p->id), m->size);
    m->sum = sum_of(m);
}

static bool send_in_place(run_t *run, const message_t *m, bool abandon)
{
    size_t most = size_most(&run->setup);
    void *slot = async_queue_reserve(run->queue, most);

    if (slot == NULL)
        return false;
    if (abandon) {
        memset(slot, 0xdd, most);
        async_queue_abandon(run->queue, slot);
        return false;
    }
    memcpy(slot, m, size_of(m));
    async_queue_commit(run->queue, slot, size_of(m));
    return true;
}

static void produce(void *arg)
{
    producer_t *p = arg;
    run_t *run = p->run;
    message_t m;

    for (uint32_t number = 0; number < run->count; number++) {
        uint32_t way = draw(&p->seed) % 8;
        bool sent = false;

        compose(p, &m, number);
        while (!sent) {
            errno = 0;
            if (way == 7)
                send_in_place(run, &m, true);
            if (way >= 6)
                sent = send_in_place(run, &m, false);
            else if (run->setup.timed)
                sent = async_queue_enqueue_timed(run->queue, &m, size_of(&m), way == 5 ? 1 : 30000);
            else
                sent = async_queue_enqueue(run->queue, &m, size_of(&m));
            if (!sent) {
                CHECK(errno == EAGAIN || (errno == ETIMEDOUT && way == 5));
                CHECK((run->setup.flags & BLOCK) == 0 || way == 5);
                port_thread_yield();
            }
        }
    }
    atomic_fetch_sub(&run->left, 1);
}

static void announce(queue_hook_t *hook)
{
    run_t *run = PORT_CONTAINER(hook, run_t, hook);

    atomic_store(&run->announced, 1);
    port_futex_wake(&run->announced, 1);
}

static void release(queue_hook_t *hook)
{
    (void)hook;
}

static void take(run_t *run, const message_t *m, size_t size)
{
    uint32_t lost = (uint32_t)async_queue_lost(run->queue);

    CHECK(size == size_of(m));
    CHECK(m->sender < run->setup.producers);
    CHECK(m->sum == sum_of(m));
    CHECK(m->number >= run->next[m->sender]);
    run->gaps += m->number - run->next[m->sender];
    run->next[m->sender] = m->number + 1;
    run->lost += lost;
    run->delivered++;
    /* what is missing was counted at its place, before what came behind it */
    CHECK(run->gaps <= run->lost);
}

/* dequeue into the first `room` bytes of m; what is behind them stays as it was. */
static bool dequeue_small(run_t *run, message_t *m, size_t room, size_t *size)
{
    const unsigned char *bytes = memset(m, GUARD, sizeof(*m));
    bool taken = async_queue_dequeue(run->queue, m, room, size);

    CHECK(taken ? *size <= room : errno != EMSGSIZE || *size > room);
    for (size_t i = room; i < sizeof(*m); i++)
        CHECK(bytes[i] == GUARD);
    return taken;
}

static bool consume(run_t *run, uint32_t *seed)
{
    message_t m;
    const void *seen;
    size_t size = 0;
    bool taken = false;

    switch (draw(seed) % 4) {
    case 0:
        seen = async_queue_peek(run->queue, &size);
        if (seen == NULL)
            return false;
        if (draw(seed) % 8 == 0)
            port_thread_yield();
        take(run, seen, size);
        async_queue_release(run->queue);
        return true;
    case 1:
        taken = dequeue_small(run, &m, draw(seed) % 128, &size);
        if (!taken && errno != EMSGSIZE)
            return false;
        break;
    default:
        break;
    }
    if (!taken && !async_queue_dequeue(run->queue, &m, sizeof(m), &size))
        return false;
    take(run, &m, size);
    return true;
}

/* Sleeps until a message may be there; returns when it is, or when all producers have ended. */
static void wait_for_more(run_t *run)
{
    CHECK(errno == EAGAIN);
    if (run->setup.flags & SIGNAL) {
        CHECK(async_queue_wait(run->queue, 1000) || errno == ETIMEDOUT);
    } else if (run->setup.bound && run->hook.announce != NULL) {
        uint64_t start = port_clock_now();

        while (atomic_load(&run->announced) == 0 && atomic_load(&run->left) != 0) {
            port_futex_wait(&run->announced, 0, port_clock_now() + 100 * PORT_NS_PER_MS);
            /* producers block or end: nobody can be silent for so long */
            CHECK(port_clock_now() - start < STUCK_NS);
        }
        atomic_store(&run->announced, 0);
    } else {
        port_thread_yield();
    }
}

static void bind_hook(run_t *run)
{
    run->hook.announce = announce;
    run->hook.release = release;
    CHECK(queue_bind(run->queue, &run->hook) == 0);
}

static void drain(run_t *run)
{
    uint32_t seed = 4711;
    uint64_t all = (uint64_t)run->count * run->setup.producers;

    for (;;) {
        if (run->setup.late_bind && run->hook.announce == NULL && run->delivered > all / 50)
            bind_hook(run);
        if (consume(run, &seed))
            continue;
        if (atomic_load(&run->left) == 0 && async_queue_is_empty(run->queue))
            break;
        errno = EAGAIN;
        wait_for_more(run);
    }
}

static void check_end(run_t *run)
{
    async_queue_stats_t st;
    uint64_t all = (uint64_t)run->count * run->setup.producers;

    async_queue_get_stats(run->queue, &st);
    for (unsigned i = 0; i < run->setup.producers; i++)
        run->gaps += run->count - run->next[i];
    CHECK(st.enqueue_count == all);
    CHECK(st.dequeue_count == run->delivered);
    CHECK(st.current_size == 0);
    CHECK(st.enqueue_count == st.dequeue_count + st.dropped_count);
    CHECK(st.dropped_count == run->gaps);
    /* the newest message is never dropped, so that all losses lie before a delivered one */
    CHECK(st.dropped_count == run->lost);
    if (!(run->setup.flags & DROP))
        CHECK(run->lost == 0);
    /* all places are free again */
    for (size_t i = 0; i < run->setup.capacity; i++)
        CHECK(async_queue_enqueue(run->queue, "", 1));
    CHECK(async_queue_is_full(run->queue));
}

static void run_one(const setup_t *setup, unsigned count)
{
    producer_t producers[PRODUCERS];
    run_t *run = calloc(1, sizeof(*run));

    CHECK(run != NULL);
    now = *setup;
    run->setup = *setup;
    run->count = count;
    run->queue = queue_create_at(setup->capacity, size_most(setup), setup->flags, count / 2);
    CHECK(run->queue != NULL);
    atomic_init(&run->left, setup->producers);
    if (setup->bound && !setup->late_bind)
        bind_hook(run);
    for (uint32_t i = 0; i < setup->producers; i++) {
        producers[i] = (producer_t){.run = run, .id = i, .seed = i * 77 + 5};
        CHECK(port_thread_create(&producers[i].thread, produce, &producers[i],
                                 &(port_thread_attr_t){.name = "producer"}) == 0);
    }
    drain(run);
    for (uint32_t i = 0; i < setup->producers; i++)
        port_thread_join(&producers[i].thread);
    drain(run);
    check_end(run);
    async_queue_destroy(run->queue);
    free(run);
}

int queue_stress(unsigned count)
{
    static const size_t capacities[] = {1, 2, 3, 16};
    static const setup_t setups[] = {
        {.flags = 0},
        {.flags = 0, .timed = true},
        {.flags = 0, .bound = true},
        {.flags = 0, .bound = true, .late_bind = true},
        {.flags = SIGNAL},
        {.flags = DROP},
        {.flags = DROP, .small = true},
        {.flags = DROP, .bound = true},
        {.flags = DROP | SIGNAL, .small = true},
        {.flags = BLOCK},
        {.flags = BLOCK, .timed = true, .bound = true},
        {.flags = BLOCK | SIGNAL},
    };

    for (unsigned s = 0; s < sizeof(setups) / sizeof(setups[0]); s++)
        for (unsigned c = 0; c < sizeof(capacities) / sizeof(capacities[0]); c++)
            for (unsigned producers = 1; producers <= PRODUCERS; producers += producers) {
                setup_t setup = setups[s];

                setup.capacity = capacities[c];
                setup.producers = producers;
                run_one(&setup, count / producers);
            }
    return EXIT_SUCCESS;
}

/* SPDX-License-Identifier: MIT */
/*
 * The input is a program of one thread's calls of a queue: each runs on the library and on a model,
 * a plain list, and the result, errno, the bytes, what was lost and every figure must agree.
 */
#include "fuzz.h"
#include "queue/queue_impl.h"

#include <asyncrt/async_queue.h>
#include <errno.h>

#define CAPACITY_MAX 9u
#define SIZE_MAX_OF_ALL 80u
#define CALLS_MAX 600u

const char fuzz_name[] = "queue";
const unsigned fuzz_rounds = 20000;
const size_t fuzz_max_input = 400;

typedef struct message {
    size_t size;
    unsigned char fill; /* each byte */
} message_t;

typedef struct slot {
    void *bytes;
    size_t size;
    unsigned char fill;
} slot_t;

typedef struct test {
    fuzz_input_t *input;
    async_queue_t *queue;
    queue_hook_t hook;
    unsigned announced, released; /* by the hook */

    /* ---- the model */
    size_t capacity, max_size;
    uint32_t flags;
    message_t ring[CAPACITY_MAX];
    size_t count;
    message_t held;
    bool detached; /* held is the consumer's own and takes no place; else it is ring[0] */
    bool shown;    /* by peek */
    slot_t slots[CAPACITY_MAX];
    size_t reserved;
    void *settled; /* a slot that is not to be used any more */
    bool closed, is_consumer, bound, armed;
    unsigned announcements;
    uint64_t lost, skipped;
    uint64_t held_lost; /* before the held message; skipped are those after it */
    uint64_t enqueued, dequeued, dropped, rejected;
    unsigned char next_fill;
} test_t;

/* ---- the model */

static bool drops(const test_t *t)
{
    return (t->flags & ASYNC_QUEUE_DROP_OLDEST) != 0;
}

static bool has_message(const test_t *t)
{
    return t->detached || t->count != 0;
}

static bool is_finished(const test_t *t)
{
    return t->closed && t->reserved == 0 && !has_message(t);
}

static void model_announce(test_t *t)
{
    if (t->bound && t->armed) {
        t->armed = false;
        t->announcements++;
    }
}

/* The consumer found nothing. */
static void model_rearm(test_t *t)
{
    t->armed = t->bound;
    if (has_message(t))
        model_announce(t);
}

static message_t model_shift(test_t *t)
{
    message_t first = t->ring[0];

    t->count--;
    memmove(t->ring, t->ring + 1, t->count * sizeof(t->ring[0]));
    return first;
}

/* A place for one message more: 0 or an errno value. */
static int model_place(test_t *t, int full)
{
    if (t->closed)
        return EPIPE;
    if (t->count + t->reserved < t->capacity)
        return 0;
    if (!drops(t))
        return full;
    if (t->reserved == t->capacity)
        return EAGAIN;
    model_shift(t);
    t->dropped++;
    t->skipped++;
    return 0;
}

static void model_append(test_t *t, size_t size, unsigned char fill)
{
    t->ring[t->count++] = (message_t){size, fill};
    t->enqueued++;
    model_announce(t);
}

/* The oldest message is looked at: with DROP_OLDEST it is the consumer's from here on. */
static void model_hold(test_t *t)
{
    if (!drops(t) || t->detached)
        return;
    t->held = model_shift(t);
    t->detached = true;
    t->held_lost = t->skipped;
    t->skipped = 0;
}

static message_t model_first(const test_t *t)
{
    return t->detached ? t->held : t->ring[0];
}

/* The consumer has seen the message for the first time. */
static void model_show(test_t *t)
{
    if (t->shown)
        return;
    t->shown = true;
    if (t->detached) {
        t->lost = t->held_lost;
        return;
    }
    t->lost = t->skipped;
    t->skipped = 0;
}

static void model_take(test_t *t)
{
    model_show(t);
    if (!t->detached)
        model_shift(t);
    t->detached = false;
    t->shown = false;
    t->dequeued++;
}

/* ---- looking at the library */

#define RESULT_IS(call, value, err)                                              \
    do {                                                                         \
        int wanted_error = (err);                                                \
        errno = FUZZ_ERRNO;                                                      \
        bool got = (call) == (value);                                            \
        int got_error = errno;                                                   \
        FUZZ_CHECK(got, "%s: not as it should be, errno %d", #call, got_error);  \
        FUZZ_CHECK(got_error == (wanted_error == 0 ? FUZZ_ERRNO : wanted_error), \
                   "%s: errno %d, not %d", #call, got_error, wanted_error);      \
        FUZZ_CHECK(wanted_error == 0 || async_last_error() == wanted_error,      \
                   "%s: async_last_error() %d", #call, async_last_error());      \
    } while (0)

static void check_bytes(const void *bytes, message_t message)
{
    const unsigned char *at = bytes;

    for (size_t i = 0; i < message.size; i++)
        FUZZ_CHECK(at[i] == message.fill, "byte %zu of %zu is %d, not %d", i, message.size, at[i],
                   message.fill);
}

static void check_stats(const test_t *t)
{
    async_queue_stats_t stats;
    size_t held = t->detached, size = t->count + held;
    uint64_t dequeued = t->dequeued;

    /* the held message takes no place: where it is one too many it counts as taken */
    if (size > t->capacity) {
        size--;
        dequeued++;
    }
    memset(&stats, 0xa5, sizeof(stats));
    async_queue_get_stats(t->queue, &stats);
    FUZZ_CHECK(stats.capacity == t->capacity, "%zu", stats.capacity);
    FUZZ_CHECK(stats.max_msg_size == t->max_size, "%zu", stats.max_msg_size);
    FUZZ_CHECK(stats.current_size == size, "%zu, not %zu", stats.current_size, size);
    FUZZ_CHECK(stats.enqueue_count == t->enqueued, "%d, not %d", (int)stats.enqueue_count,
               (int)t->enqueued);
    FUZZ_CHECK(stats.dequeue_count == dequeued, "%d, not %d", (int)stats.dequeue_count,
               (int)dequeued);
    FUZZ_CHECK(stats.dropped_count == t->dropped, "%d, not %d", (int)stats.dropped_count,
               (int)t->dropped);
    FUZZ_CHECK(stats.rejected_count == t->rejected, "%d, not %d", (int)stats.rejected_count,
               (int)t->rejected);
    FUZZ_CHECK(stats.blocked_count == 0, "%d", (int)stats.blocked_count);
    FUZZ_CHECK(stats.enqueue_count ==
                   stats.dequeue_count + stats.dropped_count + stats.current_size,
               "the figures do not add up");
    for (size_t i = 0; i < sizeof(stats.reserved) / sizeof(stats.reserved[0]); i++)
        FUZZ_CHECK(stats.reserved[i] == 0, "reserved %zu", i);
}

/* What can be asked at any time, after each call. */
static void check_all(const test_t *t)
{
    check_stats(t);
    RESULT_IS(async_queue_is_empty(t->queue), !has_message(t), 0);
    RESULT_IS(async_queue_is_full(t->queue), t->count + t->reserved >= t->capacity, 0);
    RESULT_IS(async_queue_lost(t->queue), t->lost, 0);
    FUZZ_CHECK(t->announced == t->announcements, "%u, not %u", t->announced, t->announcements);
}

/* ---- the calls */

static void call_enqueue(test_t *t, bool timed)
{
    unsigned char bytes[SIZE_MAX_OF_ALL + 2], fill = t->next_fill++;
    size_t size = fuzz_below(t->input, (unsigned)t->max_size + 2);
    bool blocks = (t->flags & ASYNC_QUEUE_BLOCK_WRITER) != 0;
    const void *data = bytes;
    int err;

    memset(bytes, fill, sizeof(bytes));
    if (size == 0 && (fill & 1) != 0)
        data = NULL;
    /* it would wait for ever */
    if (!timed && blocks && !t->is_consumer && !t->closed && size <= t->max_size &&
        t->count + t->reserved == t->capacity)
        return;
    if (size > t->max_size)
        err = EMSGSIZE;
    else
        err = model_place(t, timed ? ETIMEDOUT : blocks ? EDEADLK : EAGAIN);
    if (err == 0)
        model_append(t, size, fill);
    else
        t->rejected++;
    fuzz_trace("enqueue%s %zu bytes %d: %d", timed ? "_timed" : "", size, fill, err);
    if (timed)
        RESULT_IS(async_queue_enqueue_timed(t->queue, data, size, 0), err == 0, err);
    else
        RESULT_IS(async_queue_enqueue(t->queue, data, size), err == 0, err);
}

static int model_nothing(test_t *t)
{
    if (is_finished(t))
        return EPIPE;
    model_rearm(t);
    return EAGAIN;
}

static void call_dequeue(test_t *t)
{
    unsigned char bytes[SIZE_MAX_OF_ALL + 1];
    size_t room = fuzz_below(t->input, (unsigned)t->max_size + 2), size = 4711;
    bool ask = fuzz_below(t->input, 4) != 0;
    message_t message = {0, 0};
    int err = 0;

    /* most often enough room */
    if (fuzz_below(t->input, 4) != 0)
        room = t->max_size;
    t->is_consumer = true;
    if (!has_message(t)) {
        err = model_nothing(t);
    } else {
        model_hold(t);
        message = model_first(t);
        if (message.size > room)
            err = EMSGSIZE;
        else
            model_take(t);
    }
    fuzz_trace("dequeue into %zu bytes: %d, %zu bytes %d", room, err, message.size, message.fill);
    memset(bytes, message.fill + 1, sizeof(bytes));
    RESULT_IS(async_queue_dequeue(t->queue, room == 0 ? NULL : bytes, room, ask ? &size : NULL),
              err == 0, err);
    FUZZ_CHECK(size == (!ask || err == EAGAIN || err == EPIPE ? 4711 : message.size), "%zu", size);
    if (err == 0)
        check_bytes(bytes, message);
    if (room > message.size || err != 0)
        FUZZ_CHECK(bytes[err == 0 ? message.size : 0] == (unsigned char)(message.fill + 1),
                   "more was written than the message");
}

static void call_peek(test_t *t)
{
    bool ask = fuzz_below(t->input, 4) != 0;
    message_t message = {0, 0};
    const void *bytes;
    size_t size = 4711;
    int err = 0;

    t->is_consumer = true;
    if (!has_message(t)) {
        err = model_nothing(t);
    } else {
        model_hold(t);
        model_show(t);
        message = model_first(t);
    }
    fuzz_trace("peek: %d, %zu bytes %d", err, message.size, message.fill);
    RESULT_IS((bytes = async_queue_peek(t->queue, ask ? &size : NULL)) != NULL, err == 0, err);
    FUZZ_CHECK(size == (!ask || err != 0 ? 4711 : message.size), "%zu", size);
    check_bytes(bytes, message);
    if (err == 0)
        FUZZ_CHECK(async_queue_peek(t->queue, NULL) == bytes, "a second peek shows another");
}

static void call_release(test_t *t)
{
    fuzz_trace("release");
    if (t->shown)
        model_take(t);
    async_queue_release(t->queue);
}

static void call_clear(test_t *t)
{
    fuzz_trace("clear");
    /* a shown message stays, one that did not fit into a buffer is as the others */
    if (t->shown && !t->detached) {
        t->held = model_shift(t);
        t->detached = true;
    } else if (t->detached && !t->shown) {
        t->detached = false;
        t->dropped++;
        t->skipped += t->held_lost + 1;
    }
    t->dropped += t->count;
    t->skipped += t->count;
    t->count = 0;
    t->armed = t->bound; /* nothing is there to announce but what the consumer knows */
    async_queue_clear(t->queue);
}

static void call_reserve(test_t *t)
{
    unsigned char fill = t->next_fill++;
    size_t size = fuzz_below(t->input, (unsigned)t->max_size + 2);
    bool blocks = (t->flags & ASYNC_QUEUE_BLOCK_WRITER) != 0;
    void *bytes;
    int err;

    if (blocks && !t->is_consumer && !t->closed && size <= t->max_size &&
        t->count + t->reserved == t->capacity)
        return;
    if (size > t->max_size)
        err = EMSGSIZE;
    else
        err = model_place(t, blocks ? EDEADLK : EAGAIN);
    fuzz_trace("reserve %zu bytes %d: %d", size, fill, err);
    RESULT_IS((bytes = async_queue_reserve(t->queue, size)) != NULL, err == 0, err);
    if (err != 0) {
        t->rejected++;
        return;
    }
    FUZZ_CHECK((uintptr_t)bytes % 16 == 0, "the slot is at %p", bytes);
    if (size != 0)
        memset(bytes, fill, size);
    t->slots[t->reserved++] = (slot_t){bytes, size, fill};
}

static void call_settle(test_t *t, bool commit)
{
    size_t at, size;
    slot_t slot;

    if (t->reserved == 0)
        return;
    at = fuzz_below(t->input, (unsigned)t->reserved);
    size = fuzz_below(t->input, (unsigned)t->max_size + 2); /* too large is cut */
    slot = t->slots[at];
    check_bytes(slot.bytes, (message_t){slot.size, slot.fill});
    t->slots[at] = t->slots[--t->reserved];
    t->settled = slot.bytes;
    fuzz_trace("%s %zu of %zu bytes %d", commit ? "commit" : "abandon", size, slot.size, slot.fill);
    if (commit) {
        model_append(t, size < slot.size ? size : slot.size, slot.fill);
        async_queue_commit(t->queue, slot.bytes, size);
        return;
    }
    if (t->closed)
        model_announce(t);
    async_queue_abandon(t->queue, slot.bytes);
}

static void call_close(test_t *t)
{
    /* seldom: a closed queue is less interesting */
    if (fuzz_below(t->input, 8) != 0)
        return;
    fuzz_trace("close");
    if (!t->closed)
        model_announce(t);
    t->closed = true;
    async_queue_close(t->queue);
}

static void call_wait(test_t *t)
{
    int timeout = (int)fuzz_below(t->input, 3) - 2, err = 0;

    if (timeout < -1 || (t->flags & ASYNC_QUEUE_SIGNAL_ON_DATA) == 0)
        err = EINVAL;
    else if (!has_message(t))
        err = is_finished(t) ? EPIPE : ETIMEDOUT;
    /* -1 is for what ends at once */
    if (timeout == -1 && err == ETIMEDOUT)
        timeout = 0;
    fuzz_trace("wait %d: %d", timeout, err);
    RESULT_IS(async_queue_wait(t->queue, timeout), err == 0, err);
}

/* What must be refused or ignored, and change nothing. */
static void call_wrongly(test_t *t)
{
    char byte = 0;

    fuzz_trace("wrong calls");
    RESULT_IS(async_queue_enqueue(t->queue, NULL, 1), false, EINVAL);
    RESULT_IS(async_queue_enqueue(NULL, &byte, 1), false, EINVAL);
    RESULT_IS(async_queue_enqueue_timed(t->queue, &byte, 0, -2), false, EINVAL);
    RESULT_IS(async_queue_dequeue(t->queue, NULL, 1, NULL), false, EINVAL);
    async_queue_commit(t->queue, NULL, 1);
    async_queue_commit(t->queue, &byte, 1);
    async_queue_abandon(t->queue, &byte);
    for (size_t i = 0; i < t->reserved && t->settled != NULL; i++) {
        if (t->slots[i].bytes == t->settled)
            t->settled = NULL;
    }
    async_queue_commit(t->queue, t->settled, 1);
    async_queue_abandon(t->queue, t->settled);
    if (t->reserved != 0 && t->max_size != 0)
        async_queue_commit(t->queue, (char *)t->slots[0].bytes + 1, 1);
    async_queue_enqueue(NULL, NULL, 0);
}

static void on_announce(queue_hook_t *hook)
{
    ((test_t *)((char *)hook - offsetof(test_t, hook)))->announced++;
}

static void on_release(queue_hook_t *hook)
{
    ((test_t *)((char *)hook - offsetof(test_t, hook)))->released++;
}

static void call_bind(test_t *t)
{
    int err = queue_bind(t->queue, &t->hook);

    fuzz_trace("bind: %d", err);
    FUZZ_CHECK(err == 0, "errno %d", err);
    t->bound = true;
    model_rearm(t);
}

static void call(test_t *t)
{
    switch (fuzz_below(t->input, 20)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
        call_enqueue(t, false);
        break;
    case 5:
        call_enqueue(t, true);
        break;
    case 6:
    case 7:
    case 8:
        call_dequeue(t);
        break;
    case 9:
    case 10:
        call_peek(t);
        break;
    case 11:
        call_release(t);
        break;
    case 12:
    case 13:
        call_reserve(t);
        break;
    case 14:
    case 15:
        call_settle(t, true);
        break;
    case 16:
        call_settle(t, false);
        break;
    case 17:
        call_clear(t);
        break;
    case 18:
        call_wait(t);
        break;
    default:
        switch (fuzz_below(t->input, 3)) {
        case 0:
            call_close(t);
            break;
        case 1:
            call_wrongly(t);
            break;
        default:
            if (!t->bound)
                call_bind(t);
            break;
        }
        break;
    }
}

/* Sizes and flags that must be refused. */
static void create_wrongly(fuzz_input_t *input)
{
    uint32_t flags = fuzz_byte(input);
    size_t size = SIZE_MAX - fuzz_below(input, 64), capacity = 1 + fuzz_below(input, 64);

    RESULT_IS(async_queue_create(0, 1, 0), NULL, EINVAL);
    RESULT_IS(async_queue_create(capacity, size, 0), NULL, EINVAL);
    RESULT_IS(async_queue_create(size, capacity, 0), NULL, EINVAL);
    if (flags > 7 || (flags & 3) == 3)
        RESULT_IS(async_queue_create(capacity, 1, flags), NULL, EINVAL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t flags[] = {0, ASYNC_QUEUE_DROP_OLDEST, ASYNC_QUEUE_BLOCK_WRITER};
    static const size_t sizes[] = {16, 64, 0, 1, 15, 17, 48, 65, SIZE_MAX_OF_ALL};
    fuzz_input_t input = {data, data + size};
    test_t t = {.input = &input, .hook = {on_announce, on_release, 0, NULL}};
    uint64_t left;

    create_wrongly(&input);
    t.capacity = 1 + fuzz_below(&input, CAPACITY_MAX);
    t.max_size = sizes[fuzz_below(&input, sizeof(sizes) / sizeof(sizes[0]))];
    t.flags = flags[fuzz_below(&input, 3)];
    if (fuzz_below(&input, 2) != 0)
        t.flags |= ASYNC_QUEUE_SIGNAL_ON_DATA;
    left = fuzz_below(&input, 32); /* places until the positions wrap */
    fuzz_trace("create %zu messages of %zu bytes, flags %u, %u left", t.capacity, t.max_size,
               (unsigned)t.flags, (unsigned)left);
    if (left != 0)
        RESULT_IS((t.queue = queue_create_at(t.capacity, t.max_size, t.flags, left)) != NULL, true,
                  0);
    else
        RESULT_IS((t.queue = async_queue_create(t.capacity, t.max_size, t.flags)) != NULL, true, 0);
    check_all(&t);
    for (unsigned i = 0; i < CALLS_MAX && fuzz_more(&input); i++) {
        call(&t);
        check_all(&t);
    }
    async_queue_destroy(t.queue);
    FUZZ_CHECK(t.released == (unsigned)t.bound, "%u times", t.released);
    return 0;
}

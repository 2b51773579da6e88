/* SPDX-License-Identifier: MIT */
#include "runtime_model.h"

#include <poll.h>
#include <time.h>

#if !defined(POLLRDHUP)
#define POLLRDHUP 0
#endif

uint64_t model_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

unsigned char model_byte(uint64_t place)
{
    return (unsigned char)(place * 31 + (place >> 8));
}

void model_check_bytes(const void *bytes, size_t size, uint64_t place)
{
    const unsigned char *at = bytes;

    for (size_t i = 0; i < size; i++)
        FUZZ_CHECK(at[i] == model_byte(place + i), "byte %zu of %zu at %u of the stream", i, size,
                   (unsigned)place);
}

uintptr_t model_context(model_t *model, unsigned end)
{
    return ++model->contexts * ENDS + end;
}

void model_post(model_t *model, uintptr_t key, uintptr_t data)
{
    model->posts[model->post_count++] = (post_t){key, data, false};
}

static void remove_post(model_t *model, unsigned at)
{
    model->post_count--;
    memmove(&model->posts[at], &model->posts[at + 1],
            (model->post_count - at) * sizeof(model->posts[0]));
}

static unsigned find_announcement(const model_t *model)
{
    unsigned at = 0;

    while (at < model->post_count && !model->posts[at].is_announcement)
        at++;
    return at;
}

void model_announce(model_t *model, uintptr_t key)
{
    if (find_announcement(model) == model->post_count)
        model->posts[model->post_count++] = (post_t){key, 0, true};
}

void model_withdraw(model_t *model)
{
    unsigned at = find_announcement(model);

    if (at == model->post_count)
        return;
    remove_post(model, at);
    model->withdrawn = true;
}

uint32_t model_pending(const model_t *model, unsigned end, bool cancelled_only)
{
    uint32_t pending = 0;

    for (unsigned i = 0; i < OPERATIONS; i++) {
        const operation_t *op = &model->operations[i];

        if (op->used && op->end == end && (op->cancelled || !cancelled_only))
            pending |= op->is_write ? WRITES : READS;
    }
    return pending;
}

void model_cancel_operations(model_t *model, unsigned end)
{
    for (unsigned i = 0; i < OPERATIONS; i++) {
        operation_t *op = &model->operations[i];

        if (op->used && op->end == end && !op->cancelled) {
            op->cancelled = true;
            op->last_context = model->ends[end].context;
        }
    }
}

/* ---- what must come */

static short poll_one(int fd, short events)
{
    struct pollfd pfd = {.fd = fd, .events = events};

    return poll(&pfd, 1, 0) > 0 ? pfd.revents : 0;
}

/* The bits of an event, as the contract makes them of what poll() says. */
static uint32_t wanted_of(const end_t *end)
{
    uint32_t asked = end->registered && !end->fired ? end->events & (READS | WRITES) : 0, bits = 0;
    short is;

    if (asked == 0)
        return 0;
    is = poll_one(end->fd, POLLIN | POLLOUT | POLLRDHUP);
    if (is & POLLIN)
        bits |= READS;
    if (is & POLLOUT)
        bits |= WRITES;
    bits &= asked;
    if (asked & READS && is & (POLLRDHUP | POLLHUP))
        bits |= READS | ASYNC_EVENT_CLOSE;
    if (is & POLLHUP)
        bits |= ASYNC_EVENT_CLOSE;
    if (is & POLLERR)
        bits |= ASYNC_EVENT_ERROR;
    return bits;
}

/* Looks at all descriptors.  Returns how many must be reported. */
static unsigned look(model_t *model)
{
    unsigned count = 0;

    for (unsigned i = 0; i < ENDS; i++) {
        end_t *end = &model->ends[i];

        end->wanted = wanted_of(end);
        end->exact = model_pending(model, i, false) == 0 && model_pending(model, i ^ 1, false) == 0;
        end->seen = false;
        count += end->wanted != 0 && end->exact;
    }
    return count;
}

/* The nth expiration, from 0 on. */
static uint64_t expiration(const timer_model_t *timer, uint64_t first, uint64_t n)
{
    return first + n * timer->period;
}

static bool is_due(const timer_model_t *timer, uint64_t now)
{
    return timer->id != 0 && expiration(timer, timer->high, timer->count) <= now;
}

static bool certain_but_timers(model_t *model)
{
    return look(model) != 0 || model->post_count != 0 || model->woken == WOKEN;
}

bool model_certain(model_t *model)
{
    uint64_t now = model_now();
    bool certain = certain_but_timers(model);

    for (unsigned i = 0; i < TIMERS; i++)
        certain = certain || is_due(&model->timers[i], now);
    return certain;
}

/* ---- what has come */

static void take_completion(model_t *model, const async_event_t *event)
{
    post_t post = model->posts[0];

    fuzz_trace("  completion %zu %zu", (size_t)event->completion_key, (size_t)event->data);
    FUZZ_CHECK(model->post_count != 0, "a completion that was not posted");
    FUZZ_CHECK(event->completion_key == post.key && event->data == post.data,
               "not %zu %zu, the first one", (size_t)post.key, (size_t)post.data);
    FUZZ_CHECK(event->fd == ASYNC_INVALID_FD && event->error == 0 && event->buffer == NULL &&
                   event->context == NULL && event->bytes_transferred == 0,
               "what stands beside a completion");
    remove_post(model, 0);
}

static operation_t *find_operation(model_t *model, const void *buffer)
{
    for (unsigned i = 0; i < OPERATIONS; i++) {
        if (model->operations[i].used && model->operations[i].buffer == buffer)
            return &model->operations[i];
    }
    return NULL;
}

static void check_order(const model_t *model, const operation_t *op)
{
    for (unsigned i = 0; i < OPERATIONS; i++) {
        const operation_t *other = &model->operations[i];

        FUZZ_CHECK(!other->used || other->end != op->end || other->is_write != op->is_write ||
                       other->generation != op->generation || other->order >= op->order,
                   "an earlier operation has not ended");
    }
}

static void end_read(end_t *end, const end_t *peer, const operation_t *op,
                     const async_event_t *event)
{
    size_t size = event->bytes_transferred;
    bool close = (event->event_type & ASYNC_EVENT_CLOSE) != 0;

    FUZZ_CHECK(size <= op->length, "%zu of %zu bytes", size, op->length);
    FUZZ_CHECK(close == (event->error == 0 && size == 0), "CLOSE %d with %zu bytes", close, size);
    FUZZ_CHECK(!close || peer->shut || peer->fd == -1, "end of file, and nobody has closed");
    FUZZ_CHECK(event->error == 0 || size == 0, "%zu bytes and error %d", size, event->error);
    model_check_bytes(op->buffer, size, end->read);
    for (size_t i = size; i < op->length; i++)
        FUZZ_CHECK(op->buffer[i] == 0xee, "more was written than what was read");
    end->read += size;
    FUZZ_CHECK(end->read <= peer->written, "more was read than written");
}

static void end_write(end_t *end, const operation_t *op, const async_event_t *event)
{
    size_t size = event->bytes_transferred;

    FUZZ_CHECK((event->event_type & ASYNC_EVENT_CLOSE) == 0, "CLOSE for a write");
    FUZZ_CHECK(event->error == 0 ? size == op->length : size <= op->length,
               "%zu of %zu bytes, error %d", size, op->length, event->error);
    if (event->error != 0 && op->start + size < end->written)
        end->written = op->start + size;
}

static void take_operation(model_t *model, const async_event_t *event)
{
    operation_t *op = find_operation(model, event->buffer);
    uintptr_t context = (uintptr_t)event->context, last;
    const end_t *peer;
    end_t *end;

    FUZZ_CHECK(op != NULL, "an operation that was not posted, or ends again");
    end = &model->ends[op->end];
    peer = &model->ends[op->end ^ 1];
    last = op->last_context != 0 ? op->last_context : end->context;
    fuzz_trace("  end of %s %u of end %u: %zu bytes, error %d", op->is_write ? "write" : "read",
               op->order, op->end, event->bytes_transferred, event->error);
    FUZZ_CHECK(context % ENDS == op->end && context >= op->first && context <= last,
               "context %zu, not from %zu to %zu", (size_t)context, (size_t)op->first,
               (size_t)last);
    FUZZ_CHECK(((event->event_type & WRITES) != 0) == op->is_write &&
                   ((event->event_type & READS) != 0) != op->is_write,
               "type %#x", (unsigned)event->event_type);
    FUZZ_CHECK(event->fd == end->fd, "descriptor %d", (int)event->fd);
    FUZZ_CHECK(event->error == 0 || (event->error == ECANCELED && op->cancelled) ||
                   ((event->error == EPIPE || event->error == ECONNRESET) && peer->fd == -1) ||
                   (event->error == EPIPE && end->shut),
               "error %d", event->error);
    check_order(model, op);
    if (op->is_write)
        end_write(end, op, event);
    else
        end_read(end, peer, op, event);
    op->used = false;
    free(op->buffer);
}

static void take_timer(model_t *model, const async_event_t *event, uint64_t after,
                       uint64_t *previous)
{
    timer_model_t *timer = event->context;
    uint64_t n = event->data;

    FUZZ_CHECK(timer >= model->timers && timer < model->timers + TIMERS && timer->id != 0,
               "a timer that is not there");
    fuzz_trace("  timer %u: %u", (unsigned)timer->id, (unsigned)n);
    FUZZ_CHECK(n >= 1 && (timer->period != 0 || n == 1), "%u expirations", (unsigned)n);
    FUZZ_CHECK(expiration(timer, timer->low, timer->count + n - 1) <= after,
               "%u expirations, the last one %u ns early", (unsigned)n,
               (unsigned)(expiration(timer, timer->low, timer->count + n - 1) - after));
    FUZZ_CHECK(*previous <= expiration(timer, timer->high, timer->count),
               "not in the order of the deadlines");
    *previous = expiration(timer, timer->low, timer->count);
    timer->count += n;
    if (timer->period == 0)
        timer->id = 0;
}

static void take_readiness(model_t *model, const async_event_t *event)
{
    uint32_t bits = event->event_type;
    end_t *end = NULL;

    fuzz_trace("  descriptor %d: %#x", (int)event->fd, (unsigned)bits);
    for (unsigned i = 0; i < ENDS && end == NULL; i++) {
        if (model->ends[i].fd != -1 && model->ends[i].fd == event->fd)
            end = &model->ends[i];
    }
    /* closed without remove, and its number not yet added again: that is not promised to be silent
     */
    if (event->fd >= 0 && event->fd < STALE_MAX && model->stale[event->fd])
        return;
    FUZZ_CHECK(end != NULL && end->registered, "descriptor %d is not registered", (int)event->fd);
    FUZZ_CHECK((uintptr_t)event->context == end->context, "context %zu, not %zu",
               (size_t)(uintptr_t)event->context, (size_t)end->context);
    FUZZ_CHECK(!end->seen, "two events for descriptor %d", end->fd);
    FUZZ_CHECK(!end->fired && (end->events & (READS | WRITES)) != 0, "it should be silent");
    FUZZ_CHECK((bits & (READS | WRITES) & ~end->events) == 0 && bits != 0, "bits %#x of %#x",
               (unsigned)bits, (unsigned)end->events);
    FUZZ_CHECK(!end->exact || bits == end->wanted, "bits %#x, not %#x", (unsigned)bits,
               (unsigned)end->wanted);
    FUZZ_CHECK(event->buffer == NULL && event->error == 0 && event->data == 0 &&
                   event->completion_key == 0 && event->bytes_transferred == 0,
               "what stands beside readiness");
    end->seen = true;
    if (end->events & ASYNC_EVENT_ONESHOT)
        end->fired = true;
}

typedef struct seen {
    unsigned io, completions;
} seen_t;

static void take_events(model_t *model, const async_event_t *events, int n, seen_t *seen)
{
    uint64_t after = model_now(), previous = 0;

    memset(seen, 0, sizeof(*seen));
    for (int i = 0; i < n; i++) {
        uint32_t type = events[i].event_type;

        FUZZ_CHECK(events[i].reserved == 0, "reserved");
        if (type == ASYNC_EVENT_COMPLETION) {
            take_completion(model, &events[i]);
            seen->completions++;
        } else if (type & ASYNC_EVENT_COMPLETION) {
            take_operation(model, &events[i]);
            seen->io++;
        } else if (type == ASYNC_EVENT_TIMER) {
            take_timer(model, &events[i], after, &previous);
        } else {
            take_readiness(model, &events[i]);
            seen->io++;
        }
    }
}

/* There was room for all: nothing that was there before may be missing. */
static void check_complete(const model_t *model, uint64_t before)
{
    FUZZ_CHECK(model->post_count == 0, "%u completions have not come", model->post_count);
    for (unsigned i = 0; i < ENDS; i++) {
        const end_t *end = &model->ends[i];

        FUZZ_CHECK(!end->exact || end->wanted == 0 || end->seen,
                   "descriptor %d has not come with %#x", end->fd, (unsigned)end->wanted);
    }
    for (unsigned i = 0; i < TIMERS; i++)
        FUZZ_CHECK(!is_due(&model->timers[i], before), "timer %u has not come",
                   (unsigned)model->timers[i].id);
}

static bool nested_readable(const model_t *model)
{
    return model->nested != ASYNC_INVALID_FD && poll_one(model->nested, POLLIN) != 0;
}

static bool any_pending(const model_t *model)
{
    for (unsigned i = 0; i < ENDS; i++) {
        if (model_pending(model, i, false) != 0)
            return true;
    }
    return false;
}

int model_wait(model_t *model, int max, int timeout_ms)
{
    async_event_t events[ROOM];
    unsigned posts = model->post_count, ready;
    bool certain = certain_but_timers(model), due = model_certain(model);
    uint64_t before;
    seen_t seen;
    int n;

    if (certain && model->nested != ASYNC_INVALID_FD)
        FUZZ_CHECK(nested_readable(model), "the nested descriptor is silent");
    ready = look(model);
    memset(events, 0xa5, sizeof(events));
    before = model_now();
    errno = FUZZ_ERRNO;
    n = async_runtime_wait(model->runtime, events, max, timeout_ms);
    fuzz_trace("wait for %d, %d ms: %d", max, timeout_ms, n);
    FUZZ_CHECK(n >= 0 && n <= max && errno == FUZZ_ERRNO, "%d of %d, errno %d", n, max, errno);
    take_events(model, events, n, &seen);
    FUZZ_CHECK(n != 0 || !due || model->woken != NOT_WOKEN, "nothing has come");
    if (max == ROOM) {
        check_complete(model, before);
        model->withdrawn = false;
    }
    if (n == 0 && max == ROOM && !any_pending(model))
        FUZZ_CHECK(!nested_readable(model), "the nested descriptor calls, and nothing is there");
    if (max >= 2 && posts != 0 && ready != 0)
        FUZZ_CHECK(seen.completions != 0 && seen.io != 0, "%u completions, %u I/O events of %d",
                   seen.completions, seen.io, n);
    model->woken = n != 0 && model->woken != NOT_WOKEN ? MAYBE_WOKEN : NOT_WOKEN;
    return n;
}

/* ---- operations */

static bool can_end(const model_t *model, const operation_t *op)
{
    const end_t *end = &model->ends[op->end];
    short is;

    if (op->cancelled)
        return true;
    if (end->fd == -1)
        return false;
    is = poll_one(end->fd, op->is_write ? POLLOUT : POLLIN | POLLRDHUP);
    return is != 0;
}

static bool any_can_end(const model_t *model)
{
    for (unsigned i = 0; i < OPERATIONS; i++) {
        if (model->operations[i].used && can_end(model, &model->operations[i]))
            return true;
    }
    return false;
}

void model_settle(model_t *model)
{
    for (unsigned turn = 0; any_can_end(model); turn++) {
        FUZZ_CHECK(turn < 1000, "an operation does not end");
        model_wait(model, ROOM, turn < 3 ? 0 : 10);
    }
}

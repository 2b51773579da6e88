/* SPDX-License-Identifier: MIT */
/*
 * runtime_wait.c - one call of wait()
 *
 * 1. What is pending without asking the system: completions, timers that are due, signals, ends of
 *    operations, a console that is always ready.
 * 2. Something is: ask the system without sleeping, for as many descriptors as their share of the
 *    room.  Nothing is: sleep, armed so that who posts wakes us.  No more is fetched than fits,
 *    so nothing fetched is ever carried over to the next call.
 * 3. Hand out: each kind that is pending its share, then what room is left.
 */
#include "port/port_clock.h"
#include "port/port_error.h"
#include "runtime/runtime.h"
#include "runtime/runtime_console.h"

/* With room for two, an I/O event and a completion come first so many times less one, before timers
 * and signals, which are not kept out for ever, get a turn. */
#define FIRST_TURNS 64u

/* A poster that has claimed its ticket and not published it may have looked at the state already:
 * it need not wake us.  It is so for a few nanoseconds, unless it is stopped just there: we look so
 * many times, and then sleep for so long at most. */
#define CLAIMED_TURNS 64
#define CLAIMED_SLEEP_NS PORT_NS_PER_MS

#define BIT(kind) (1u << (kind))

typedef struct wait_call {
    async_event_t *events;
    int max;
    int count;
    int timeout_ms;
    uint64_t deadline; /* once it is known */
    bool deadline_known;
    bool woken;
    uint64_t now; /* of the last look at the clock */
} wait_call_t;

static bool take_wakeup(async_runtime_t *runtime)
{
    return atomic_load_explicit(&runtime->wakeup, memory_order_seq_cst) != 0 &&
           atomic_exchange_explicit(&runtime->wakeup, 0, memory_order_seq_cst) != 0;
}

/* The kinds, KIND_IO apart, that have something to deliver now. */
static uint32_t pending_kinds(async_runtime_t *runtime, uint64_t now)
{
    uint32_t pending = 0;

    if (runtime_completion_ready(&runtime->completions))
        pending |= BIT(KIND_COMPLETION);
    if (runtime_timer_due(&runtime->timers, now))
        pending |= BIT(KIND_TIMER);
    if (atomic_load_explicit(&runtime->signalled, memory_order_seq_cst) != 0)
        pending |= BIT(KIND_SIGNAL);
    if (runtime->operations.finished != NULL)
        pending |= BIT(KIND_OPERATION);
    if (runtime->console_ready)
        pending |= BIT(KIND_CONSOLE);
    return pending;
}

static int kinds_in(uint32_t set)
{
    int count = 0;

    for (; set != 0; set &= set - 1)
        count++;
    return count;
}

/* ---- Shares of the room. ---- */

/* The kind in set, or one of the two. */
static uint32_t one_of(uint32_t set, uint32_t turn)
{
    return kinds_in(set) == 2 && turn % 2 != 0 ? set & (set - 1) : set & (0u - set);
}

/* Room for two, and more kinds pending: an I/O event and a completion.  Descriptors, ends of
 * operations and the console share the place of the I/O event. */
static uint32_t choose_two(async_runtime_t *runtime, uint32_t pending, uint32_t completion)
{
    uint32_t turn = runtime->crowded++;
    uint32_t late = pending & (BIT(KIND_TIMER) | BIT(KIND_SIGNAL));
    uint32_t others = pending & (BIT(KIND_OPERATION) | BIT(KIND_CONSOLE)) & ~completion;

    if (late != 0 && turn % FIRST_TURNS == FIRST_TURNS - 1)
        return one_of(late, turn / FIRST_TURNS);
    if (others == 0 || turn % 2 == 0)
        return BIT(KIND_IO) | completion;
    return one_of(others, turn / 2) | completion;
}

/* More kinds are pending than fit: chooses those that get their turn.  The end of an operation
 * stands for the completions when there are no others. */
static uint32_t choose_kinds(async_runtime_t *runtime, uint32_t pending, int max)
{
    uint32_t completion = pending & BIT(KIND_COMPLETION), chosen = 0, kind = runtime->turn;

    if (completion == 0)
        completion = pending & BIT(KIND_OPERATION);
    if (max > 2)
        chosen = BIT(KIND_IO) | completion;
    else if (max == 2 && completion != 0)
        chosen = choose_two(runtime, pending, completion);
    pending |= BIT(KIND_IO);
    for (; kinds_in(chosen) < max; kind = (kind + 1) % KIND_COUNT)
        chosen |= pending & BIT(kind);
    runtime->turn = kind;
    return chosen;
}

/* How many descriptors to ask the system for, 0: none this time.  *chosen: the other kinds that get
 * a turn before the room is filled. */
static int share_of_io(async_runtime_t *runtime, uint32_t pending, int max, uint32_t *chosen)
{
    int others = kinds_in(pending);
    size_t backlog;

    *chosen = pending;
    if (max <= others) {
        *chosen = choose_kinds(runtime, pending, max);
        return *chosen & BIT(KIND_IO) ? 1 : 0;
    }
    runtime->crowded = 0;
    if (pending == 0)
        return max;
    /* One for each other kind at least; as much as they have, up to half of the room. */
    backlog = runtime->operations.finished_count +
              runtime_completion_backlog(&runtime->completions, (size_t)max / 2);
    if (backlog > (size_t)max / 2)
        backlog = (size_t)max / 2;
    return max - (backlog > (size_t)others ? (int)backlog : others);
}

static void take_kind(async_runtime_t *runtime, wait_call_t *call, uint32_t kind, int most)
{
    async_event_t *events = call->events + call->count;
    int room = call->max - call->count;

    if (most > room)
        most = room;
    if (most <= 0)
        return;
    switch (kind) {
    case KIND_COMPLETION:
        call->count += runtime_completion_take(&runtime->completions, events, most);
        break;
    case KIND_TIMER:
        call->count += runtime_timer_take(&runtime->timers, call->now, events, most);
        break;
    case KIND_SIGNAL:
        call->count += runtime_signals_take(runtime, events, most);
        break;
    case KIND_OPERATION:
        call->count += runtime_operations_take(runtime, events, most);
        break;
    case KIND_CONSOLE:
        call->count += runtime_console_take(runtime, events, most);
        break;
    default:
        break;
    }
}

static void hand_out(async_runtime_t *runtime, wait_call_t *call, uint32_t chosen)
{
    uint32_t pending = pending_kinds(runtime, call->now), once;
    int share = pending != 0 ? (call->max - call->count) / kinds_in(pending) : 0;

    if (pending == 0)
        return;
    if (share < 1)
        share = 1;
    if (call->count == 0 && chosen & BIT(KIND_IO))
        chosen |= BIT(KIND_OPERATION);  /* no descriptor was ready: the place is an operation's */
    once = pending & BIT(KIND_CONSOLE); /* one event for one descriptor */
    for (uint32_t i = 0; i < KIND_COUNT; i++) {
        uint32_t kind = (runtime->turn + i) % KIND_COUNT;

        if (chosen & pending & BIT(kind))
            take_kind(runtime, call, kind, share);
    }
    pending &= ~(once & chosen);
    for (uint32_t i = 0; i < KIND_COUNT && call->count < call->max; i++) {
        uint32_t kind = (runtime->turn + i) % KIND_COUNT;

        if (pending & BIT(kind))
            take_kind(runtime, call, kind, kind == KIND_CONSOLE ? 1 : call->max);
    }
}

/* ---- Asking the system. ---- */

/* A hang-up on a silent descriptor comes once or twice before it is parked, and may have taken the
 * place of an event: then the system is asked again. */
static int fetch(async_runtime_t *runtime, wait_call_t *call, int budget, uint64_t timeout_ns)
{
    size_t turns = 2 * runtime->table.registered;
    int err;

    runtime->ready = call->events;
    runtime->ready_count = 0;
    do {
        runtime->unwanted = false;
        err = runtime->backend->wait(runtime->backend_state, budget, timeout_ns);
        timeout_ns = 0;
    } while (err == 0 && runtime->unwanted && runtime->ready_count == 0 &&
             runtime->operations.finished == NULL && turns-- > 0);
    call->count = runtime->ready_count;
    runtime->io_events += (uint64_t)runtime->ready_count;
    return err;
}

static bool anything(async_runtime_t *runtime, uint64_t now)
{
    return pending_kinds(runtime, now) != 0 ||
           atomic_load_explicit(&runtime->wakeup, memory_order_seq_cst) != 0;
}

/* Looks for something to come, without sleeping, as long as the program allows. */
static bool spin(async_runtime_t *runtime, wait_call_t *call, uint64_t until)
{
    uint64_t end = port_clock_after(call->now, runtime->spin_ns);

    if (end > until)
        end = until;
    do {
        for (int i = 0; i < 64; i++) {
            if (anything(runtime, call->now))
                return true;
            port_cpu_relax();
        }
        call->now = port_clock_now();
    } while (call->now < end);
    return false;
}

static void know_deadline(wait_call_t *call)
{
    if (call->deadline_known)
        return;
    call->deadline_known = true;
    call->deadline = call->timeout_ms < 0
                         ? PORT_DEADLINE_NEVER
                         : port_clock_after(call->now, (uint64_t)call->timeout_ms * PORT_NS_PER_MS);
}

/* Armed: how long to sleep, 0: only to look. */
static uint64_t armed_timeout(async_runtime_t *runtime, const wait_call_t *call, uint64_t timeout)
{
    for (int turn = 0; turn < CLAIMED_TURNS; turn++) {
        if (anything(runtime, call->now))
            return 0;
        if (!runtime_completion_claimed(&runtime->completions))
            return timeout;
        port_cpu_relax();
    }
    return timeout < CLAIMED_SLEEP_NS ? timeout : CLAIMED_SLEEP_NS;
}

/* Sleeps until something comes, the next timer is due or the time is over. */
static int sleep_armed(async_runtime_t *runtime, wait_call_t *call)
{
    uint64_t until, timeout = BACKEND_WAIT_FOREVER;
    int err = 0;

    if (runtime->timers.count == 0 && (call->timeout_ms > 0 || runtime->spin_ns != 0))
        call->now = port_clock_now();
    know_deadline(call);
    until = call->deadline;
    if (runtime->timers.count != 0 && runtime_timer_first(&runtime->timers) < until)
        until = runtime_timer_first(&runtime->timers);
    if (runtime->spin_ns != 0 && spin(runtime, call, until))
        return 0;
    if (until != PORT_DEADLINE_NEVER)
        timeout = until > call->now ? until - call->now : 0;
    /* seq_cst: pairs with the look at state in runtime_notify; either it sees us asleep, or we see
     * what it has published or claimed. */
    atomic_exchange_explicit(&runtime->state, STATE_SLEEPING, memory_order_seq_cst);
    timeout = armed_timeout(runtime, call, timeout);
    err = fetch(runtime, call, call->max, timeout);
    atomic_exchange_explicit(&runtime->state, STATE_AWAKE, memory_order_seq_cst);
    return err;
}

static int wait_for_events(async_runtime_t *runtime, wait_call_t *call)
{
    for (;;) {
        uint32_t pending, chosen;
        int err = 0, budget;

        if (runtime->timers.count != 0)
            call->now = port_clock_now();
        pending = pending_kinds(runtime, call->now);
        call->woken |= take_wakeup(runtime);
        budget = share_of_io(runtime, pending, call->max, &chosen);
        if (pending != 0 || call->woken || call->timeout_ms == 0) {
            if (budget != 0)
                err = fetch(runtime, call, budget, 0);
        } else {
            err = sleep_armed(runtime, call);
            chosen = UINT32_MAX;
            if (runtime->timers.count != 0 || (call->timeout_ms > 0 && call->count == 0))
                call->now = port_clock_now();
        }
        hand_out(runtime, call, chosen);
        if (call->count != 0) {
            (void)take_wakeup(runtime); /* one that came meanwhile has what it wants */
            return 0;
        }
        if (budget == 0)
            continue; /* what was pending has vanished, and the system was not asked */
        if (err != 0)
            return err == EINTR ? 0 : err;
        if (call->woken || take_wakeup(runtime) || call->timeout_ms == 0 ||
            (call->timeout_ms > 0 && call->deadline_known && call->now >= call->deadline))
            return 0;
    }
}

/* Outside of wait a nested runtime stays armed: the foreign loop is the one that sleeps. */
static void leave_armed(async_runtime_t *runtime)
{
    atomic_exchange_explicit(&runtime->state, STATE_SLEEPING, memory_order_seq_cst);
    if (anything(runtime, 0) || runtime_completion_claimed(&runtime->completions))
        runtime_notify(runtime);
}

int async_runtime_wait(async_runtime_t *runtime, async_event_t *events, int max_events,
                       int timeout_ms)
{
    wait_call_t call = {.events = events, .max = max_events, .timeout_ms = timeout_ms};
    int saved = errno, err;

    if (runtime == NULL || events == NULL || max_events < 1 || timeout_ms < -1)
        return port_fail(EINVAL);
    if (runtime_of_parent(runtime) || runtime_of_other_thread(runtime))
        return port_fail(EPERM);
    /* acquire and release: one waiter's work comes before the next one's */
    if (atomic_exchange_explicit(&runtime->in_wait, 1, memory_order_acquire) != 0)
        return port_fail(EBUSY);
    runtime->waits++;
    if (runtime->nested)
        atomic_exchange_explicit(&runtime->state, STATE_AWAKE, memory_order_seq_cst);
    err = wait_for_events(runtime, &call);
    if (runtime->nested)
        leave_armed(runtime);
    atomic_store_explicit(&runtime->in_wait, 0, memory_order_release);
    if (err != 0)
        return port_fail(err);
    errno = saved;
    return call.count;
}

async_fd_t async_runtime_get_fd(async_runtime_t *runtime)
{
    int saved = errno, err = runtime_check_thread(runtime);
    async_fd_t fd = ASYNC_INVALID_FD;

    if (err == 0 && runtime->backend->get_fd == NULL)
        err = ENOTSUP;
    if (err == 0)
        err = runtime->backend->get_fd(runtime->backend_state, &fd);
    if (err != 0) {
        port_error_set(err);
        return ASYNC_INVALID_FD;
    }
    if (!runtime->nested) {
        runtime->nested = true;
        leave_armed(runtime);
    }
    errno = saved;
    return fd;
}

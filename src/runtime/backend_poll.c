/* SPDX-License-Identifier: MIT */
/*
 * backend_poll.c - poll()
 *
 * A packed array for the system, an array beside it for us, and an index by descriptor.  poll()
 * keeps no registrations that would notice a closed descriptor, so the file's identity is
 * remembered (runtime_identity.h): a number that was closed and used again shows another one.
 */
#include "config.h"

#include "port/port_clock.h"
#include "port/port_memory.h"
#include "runtime/backend.h"
#include "runtime/runtime_identity.h"
#include "runtime/runtime_wakefd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#ifndef POLLRDHUP
#define POLLRDHUP 0
#endif

#define FIRST_CAPACITY 16u
#define FIRST_INDEX 64u
#define WAKE_ENTRY 0u /* of the wake descriptor */

typedef struct poll_entry {
    uint64_t identity;
    uint32_t generation;
    uint32_t oneshot;
} poll_entry_t;

typedef struct poll_state {
    async_runtime_t *runtime;
    struct pollfd *fds; /* a parked one is -1 - fd: poll() passes over it */
    poll_entry_t *entries;
    size_t count;
    size_t capacity;
    uint32_t *index; /* by descriptor: its place in fds, 0: none */
    size_t index_size;
    size_t next; /* where the next scan begins */
    runtime_wakefd_t wakefd;
    runtime_identity_t identity;
} poll_state_t;

static int descriptor_of(const struct pollfd *pfd)
{
    return pfd->fd >= 0 ? pfd->fd : -1 - pfd->fd;
}

static void set_interest(poll_state_t *state, size_t place, int fd, uint32_t interest)
{
    struct pollfd *pfd = &state->fds[place];

    pfd->fd = interest != 0 ? fd : -1 - fd;
    pfd->events = 0;
    pfd->revents = 0;
    if (interest & ASYNC_EVENT_READ)
        pfd->events |= POLLIN | POLLRDHUP;
    if (interest & ASYNC_EVENT_WRITE)
        pfd->events |= POLLOUT;
    state->entries[place].oneshot = interest & ASYNC_EVENT_ONESHOT;
}

/* Room for one more entry and for fd in the index. */
static int make_room(poll_state_t *state, int fd)
{
    if (state->count == state->capacity) {
        size_t capacity = state->capacity != 0 ? state->capacity * 3 / 2 : FIRST_CAPACITY;
        struct pollfd *fds = port_realloc(state->fds, capacity * sizeof(*fds));
        poll_entry_t *entries;

        if (fds == NULL)
            return ENOMEM;
        state->fds = fds;
        entries = port_realloc(state->entries, capacity * sizeof(*entries));
        if (entries == NULL)
            return ENOMEM;
        state->entries = entries;
        state->capacity = capacity;
    }
    if ((size_t)fd >= state->index_size) {
        size_t size = state->index_size != 0 ? state->index_size : FIRST_INDEX;
        uint32_t *index;

        while (size <= (size_t)fd)
            size *= 2;
        index = port_realloc(state->index, size * sizeof(*index));
        if (index == NULL)
            return ENOMEM;
        memset(index + state->index_size, 0, (size - state->index_size) * sizeof(*index));
        state->index = index;
        state->index_size = size;
    }
    return 0;
}

static void free_room(poll_state_t *state)
{
    port_free(state->fds);
    port_free(state->entries);
    port_free(state->index);
}

static int open_poll(async_runtime_t *runtime, bool single_thread, void **made)
{
    poll_state_t *state = port_zalloc(1, sizeof(*state));
    int err;

    (void)single_thread;
    if (state == NULL)
        return ENOMEM;
    state->runtime = runtime;
    err = runtime_wakefd_open(&state->wakefd);
    if (err != 0)
        goto out_state;
    err = runtime_identity_open(&state->identity);
    if (err != 0)
        goto out_wakefd;
    err = make_room(state, 0);
    if (err != 0)
        goto out_room;
    state->fds[WAKE_ENTRY] = (struct pollfd){.fd = state->wakefd.fd, .events = POLLIN};
    state->entries[WAKE_ENTRY] = (poll_entry_t){.identity = 0};
    state->count = 1;
    *made = state;
    return 0;

out_room:
    free_room(state);
    runtime_identity_close(&state->identity);
out_wakefd:
    runtime_wakefd_close(&state->wakefd);
out_state:
    port_free(state);
    return err;
}

static void close_poll(void *arg, bool inherited)
{
    poll_state_t *state = arg;

    /* Closing changes nothing for a parent, whose descriptors are its own. */
    (void)inherited;
    runtime_wakefd_close(&state->wakefd);
    runtime_identity_close(&state->identity);
    free_room(state);
    port_free(state);
}

static size_t place_of(const poll_state_t *state, int fd)
{
    return (size_t)fd < state->index_size ? state->index[fd] : 0;
}

static void forget(poll_state_t *state, size_t place)
{
    size_t last = --state->count;

    state->index[descriptor_of(&state->fds[place])] = 0;
    if (place != last) {
        state->fds[place] = state->fds[last];
        state->entries[place] = state->entries[last];
        state->index[descriptor_of(&state->fds[place])] = (uint32_t)place;
    }
}

static int add(void *arg, async_fd_t fd, uint32_t generation, uint32_t interest, bool replace)
{
    poll_state_t *state = arg;
    size_t place = place_of(state, fd);
    uint64_t value = place != 0 ? state->entries[place].identity : 0;
    int err;

    /* first, so that nothing has to be undone */
    if (place == 0) {
        if (fcntl(fd, F_GETFD) < 0)
            return errno;
        err = make_room(state, fd);
        if (err != 0)
            return err;
    }
    err = runtime_identity_add(&state->identity, fd, &value);
    if (err != 0 && (err != EEXIST || replace))
        return err;
    if (place == 0) {
        place = state->count++;
        state->index[fd] = (uint32_t)place;
    }
    state->entries[place].identity = value;
    state->entries[place].generation = generation;
    set_interest(state, place, fd, interest);
    return 0;
}

static int modify(void *arg, async_fd_t fd, uint32_t generation, uint32_t interest)
{
    poll_state_t *state = arg;
    size_t place = place_of(state, fd);
    int err = place != 0 ? 0 : ENOENT;

    (void)generation;
    if (err == 0)
        err = runtime_identity_check(&state->identity, fd, state->entries[place].identity);
    if (err == 0)
        set_interest(state, place, fd, interest);
    else if (place != 0 && err != ENOMEM)
        forget(state, place);
    return err;
}

static int remove_fd(void *arg, async_fd_t fd, uint32_t generation)
{
    poll_state_t *state = arg;
    size_t place = place_of(state, fd);
    int err;

    (void)generation;
    if (place == 0)
        return fcntl(fd, F_GETFD) < 0 ? EBADF : ENOENT;
    err = runtime_identity_remove(&state->identity, fd, state->entries[place].identity);
    forget(state, place);
    return err;
}

/* ---- wait ---- */

static int kernel_wait(poll_state_t *state, uint64_t timeout_ns)
{
#ifdef HAVE_PPOLL
    struct timespec ts, *limit = NULL;

    if (timeout_ns != BACKEND_WAIT_FOREVER) {
        uint64_t seconds = timeout_ns / PORT_NS_PER_S;

        ts.tv_sec = seconds > INT_MAX ? INT_MAX : (time_t)seconds;
        ts.tv_nsec = (long)(timeout_ns % PORT_NS_PER_S);
        limit = &ts;
    }
    return ppoll(state->fds, (nfds_t)state->count, limit, NULL);
#else
    uint64_t ms = (timeout_ns + PORT_NS_PER_MS - 1) / PORT_NS_PER_MS;

    if (timeout_ns == BACKEND_WAIT_FOREVER)
        return poll(state->fds, (nfds_t)state->count, -1);
    return poll(state->fds, (nfds_t)state->count, ms > INT_MAX ? INT_MAX : (int)ms);
#endif
}

static uint32_t ready_of(short revents)
{
    uint32_t ready = 0;

    if (revents & POLLIN)
        ready |= ASYNC_EVENT_READ;
    if (revents & POLLOUT)
        ready |= ASYNC_EVENT_WRITE;
    if (revents & POLLRDHUP)
        ready |= BACKEND_PEER_SHUT;
    if (revents & POLLHUP)
        ready |= ASYNC_EVENT_CLOSE;
    if (revents & POLLERR)
        ready |= ASYNC_EVENT_ERROR;
    return ready;
}

/* Whether the registered file was closed under this number: poll() says so, or it speaks of another
 * file that has the number now, and that is not ours to report or to read from. */
static bool was_closed(poll_state_t *state, size_t place)
{
    const struct pollfd *pfd = &state->fds[place];
    int err;

    if (pfd->revents & POLLNVAL)
        return true;
    err = runtime_identity_check(&state->identity, pfd->fd, state->entries[place].identity);
    return err == EBADF || err == ENOENT;
}

/* Reports the entry.  Returns false when it has gone, and another one may have taken its place. */
static bool report(poll_state_t *state, size_t place, bool closed)
{
    struct pollfd *pfd = &state->fds[place];
    int fd = descriptor_of(pfd);
    short revents = pfd->revents;
    uint32_t generation = state->entries[place].generation;

    pfd->revents = 0;
    if (closed) {
        forget(state, place);
        backend_report_closed(state->runtime, fd, generation);
        return false;
    }
    if (state->entries[place].oneshot)
        pfd->fd = -1 - fd;
    (void)backend_report_ready(state->runtime, fd, generation, ready_of(revents));
    /* The report may have changed the interest, or ended the registration. */
    return place < state->count && descriptor_of(&state->fds[place]) == fd;
}

/* Walks round the array once, from behind the last one that was reported: with more ready than fit,
 * each gets its turn. */
static void report_all(poll_state_t *state, int ready, int budget)
{
    size_t place = state->next;

    for (size_t left = state->count - 1; left > 0 && ready > 0 && budget > 0; left--) {
        if (place <= WAKE_ENTRY || place >= state->count)
            place = WAKE_ENTRY + 1;
        if (place >= state->count)
            break;
        if (state->fds[place].revents != 0) {
            bool closed = was_closed(state, place);

            ready--;
            if (!closed)
                budget--;
            if (!report(state, place, closed)) {
                left++; /* another entry has come here, which may have had its turn already */
                continue;
            }
        }
        place++;
    }
    state->next = place;
}

static int wait_poll(void *arg, int budget, uint64_t timeout_ns)
{
    poll_state_t *state = arg;
    int ready = kernel_wait(state, timeout_ns);

    if (ready < 0)
        return errno;
    if (ready > 0 && state->fds[WAKE_ENTRY].revents != 0) {
        runtime_wakefd_drain(&state->wakefd);
        ready--;
    }
    report_all(state, ready, budget);
    return 0;
}

static void wake(void *arg)
{
    poll_state_t *state = arg;

    runtime_wakefd_signal(&state->wakefd);
}

const backend_t backend_poll = {
    .name = "poll",
    .open = open_poll,
    .close = close_poll,
    .add = add,
    .modify = modify,
    .remove = remove_fd,
    .wait = wait_poll,
    .wake = wake,
};

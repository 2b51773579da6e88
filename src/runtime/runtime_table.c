/* SPDX-License-Identifier: MIT */
#include "port/port_error.h"
#include "port/port_memory.h"
#include "runtime/runtime.h"

#define EVENTS_ACCEPTED (BACKEND_INTEREST | ASYNC_EVENT_ERROR | ASYNC_EVENT_CLOSE)
#define READ_WRITE (ASYNC_EVENT_READ | ASYNC_EVENT_WRITE)

_Static_assert(sizeof(registration_t) <= 32, "memory per descriptor");

static uint32_t interest_of_armed(uint8_t armed)
{
    return (armed & READ_WRITE) | (armed & ARMED_ONESHOT ? ASYNC_EVENT_ONESHOT : 0);
}

static uint8_t armed_of_interest(uint32_t interest)
{
    return (uint8_t)((interest & READ_WRITE) |
                     (interest & ASYNC_EVENT_ONESHOT ? ARMED_ONESHOT : 0));
}

/* What the backend should wait for.  ONESHOT is the backend's when only the program waits; with
 * operations waiting too, it is kept here. */
static uint32_t wanted_interest(const registration_t *registration)
{
    uint32_t events = registration->events, waiting = runtime_operations_interest(registration);

    if (registration->flags & REGISTRATION_FIRED || (events & READ_WRITE) == 0)
        events = 0;
    return waiting != 0 ? (events & READ_WRITE) | waiting : events;
}

static inline int update_interest(async_runtime_t *runtime, async_fd_t fd,
                                  registration_t *registration)
{
    uint32_t interest = wanted_interest(registration);
    uint8_t armed = armed_of_interest(interest);
    int err;

    if (registration->flags & REGISTRATION_ALWAYS || armed == registration->armed)
        return 0;
    err = runtime->backend->modify(runtime->backend_state, fd, registration->generation, interest);
    if (err == 0)
        registration->armed = armed;
    else if (err == EBADF || err == ENOENT)
        runtime_registration_drop(runtime, fd, registration);
    return err;
}

int runtime_interest_update(async_runtime_t *runtime, async_fd_t fd, registration_t *registration)
{
    return update_interest(runtime, fd, registration);
}

int runtime_unregistered(async_fd_t fd)
{
    return runtime_fd_is_open(fd) ? ENOENT : EBADF;
}

/* The place for fd, made if need be. */
static int table_place(runtime_table_t *table, async_fd_t fd, registration_t **place)
{
    size_t index = runtime_fd_index(fd), chunk = index / TABLE_CHUNK;

    if (chunk >= table->chunk_count) {
        size_t count = table->chunk_count != 0 ? table->chunk_count : 1;
        registration_t **chunks;

        /* The size follows the number: it must be one that the system has given out. */
        if (!runtime_fd_is_open(fd))
            return EBADF;
        while (count <= chunk)
            count *= 2;
        chunks = port_realloc(table->chunks, count * sizeof(*chunks));
        if (chunks == NULL)
            return ENOMEM;
        for (size_t i = table->chunk_count; i < count; i++)
            chunks[i] = NULL;
        table->chunks = chunks;
        table->chunk_count = count;
    }
    if (table->chunks[chunk] == NULL) {
        table->chunks[chunk] = port_zalloc(TABLE_CHUNK, sizeof(registration_t));
        if (table->chunks[chunk] == NULL)
            return ENOMEM;
    }
    *place = &table->chunks[chunk][index % TABLE_CHUNK];
    return 0;
}

static uint32_t next_generation(uint32_t generation)
{
    return generation == UINT32_MAX ? 1 : generation + 1;
}

void runtime_registration_drop(async_runtime_t *runtime, async_fd_t fd,
                               registration_t *registration)
{
    runtime_operations_cancel(runtime, registration);
    if (registration->flags & REGISTRATION_ALWAYS)
        runtime->console_ready = false;
    (void)fd;
    registration->flags = 0;
    registration->events = 0;
    registration->armed = 0;
    registration->context = NULL;
    runtime->table.registered--;
}

int runtime_register(async_runtime_t *runtime, async_fd_t fd, uint32_t events, void *context,
                     uint8_t flags)
{
    registration_t *registration = NULL;
    uint32_t generation;
    bool always = false;
    int err = table_place(&runtime->table, fd, &registration);

    if (err != 0)
        return err;
    /* One that is always ready is unknown to the backend, so it cannot tell: it stays. */
    if (registration->flags & REGISTRATION_ALWAYS)
        return runtime_fd_is_open(fd) ? EEXIST : EBADF;
    events &= BACKEND_INTEREST;
    if ((events & READ_WRITE) == 0)
        events = 0;
    generation = next_generation(registration->generation);
    err = runtime->backend->add(runtime->backend_state, fd, generation, events,
                                registration->flags & REGISTRATION_USED);
    if (err == EPERM && flags & REGISTRATION_CONSOLE)
        always = true;
    else if (err != 0)
        return err;
    /* The old registration was of a file that was closed without remove. */
    if (registration->flags & REGISTRATION_USED)
        runtime_registration_drop(runtime, fd, registration);
    registration->context = context;
    registration->generation = generation;
    registration->events = (uint16_t)events;
    registration->armed = always ? 0 : armed_of_interest(events);
    registration->flags = (uint8_t)(REGISTRATION_USED | flags | (always ? REGISTRATION_ALWAYS : 0));
    runtime->table.registered++;
    if (always) {
        runtime->console_ready = true;
        runtime_notify(runtime);
    }
    return 0;
}

/* ---- Public. ---- */

int async_runtime_add(async_runtime_t *runtime, async_fd_t fd, uint32_t events, void *context)
{
    int saved = errno, err = runtime_check_thread(runtime);

    if (err == 0 && (events & ~EVENTS_ACCEPTED) != 0)
        err = EINVAL;
    if (err == 0 && !runtime_fd_possible(fd))
        err = EBADF;
    if (err == 0)
        err = runtime_register(runtime, fd, events, context, 0);
    return port_result(err, saved);
}

static int modify(async_runtime_t *runtime, async_fd_t fd, uint32_t events, void *context)
{
    registration_t *registration = runtime_table_find(&runtime->table, fd);
    uint16_t old_events;
    uint8_t old_flags;
    int err;

    if (registration == NULL)
        return runtime_unregistered(fd);
    old_events = registration->events;
    old_flags = registration->flags;
    events &= BACKEND_INTEREST;
    registration->events = (uint16_t)(events & READ_WRITE ? events : 0);
    registration->flags &= (uint8_t)~REGISTRATION_FIRED;
    err = update_interest(runtime, fd, registration);
    if (err == 0) {
        registration->context = context;
        if (registration->flags & REGISTRATION_ALWAYS) {
            runtime->console_ready = registration->events & ASYNC_EVENT_READ;
            runtime_notify(runtime);
        }
    } else if (registration->flags & REGISTRATION_USED) {
        registration->events = old_events;
        registration->flags = old_flags;
    }
    return err;
}

int async_runtime_modify(async_runtime_t *runtime, async_fd_t fd, uint32_t events, void *context)
{
    int saved = errno, err = runtime_check_thread(runtime);

    if (err == 0 && (events & ~EVENTS_ACCEPTED) != 0)
        err = EINVAL;
    if (err == 0 && !runtime_fd_possible(fd))
        err = EBADF;
    if (err == 0)
        err = modify(runtime, fd, events, context);
    return port_result(err, saved);
}

int async_runtime_remove(async_runtime_t *runtime, async_fd_t fd)
{
    int saved = errno, err = runtime_check_thread(runtime);
    registration_t *registration;

    if (err != 0)
        return port_fail(err);
    if (!runtime_fd_possible(fd))
        return port_fail(EBADF);
    registration = runtime_table_find(&runtime->table, fd);
    if (registration == NULL)
        return port_fail(runtime_unregistered(fd));
    if (registration->flags & REGISTRATION_ALWAYS) {
        err = runtime_fd_is_open(fd) ? 0 : EBADF;
    } else {
        runtime_operations_cancel(runtime, registration);
        err = runtime->backend->remove(runtime->backend_state, fd, registration->generation);
    }
    runtime_registration_drop(runtime, fd, registration);
    return port_result(err, saved);
}

/* ---- What backends report. ---- */

/* The program's view of what the backend says; 0: nothing that it has asked for. */
static uint32_t events_of_ready(const registration_t *registration, uint32_t ready)
{
    uint32_t asked =
        registration->flags & REGISTRATION_FIRED ? 0 : registration->events & READ_WRITE;
    uint32_t events = ready & asked;

    if (PORT_LIKELY(!(ready & (BACKEND_PEER_SHUT | ASYNC_EVENT_CLOSE | ASYNC_EVENT_ERROR))))
        return events;
    if (asked & ASYNC_EVENT_READ && ready & (BACKEND_PEER_SHUT | ASYNC_EVENT_CLOSE))
        events |= ASYNC_EVENT_READ | ASYNC_EVENT_CLOSE;
    if (asked != 0)
        events |= ready & (ASYNC_EVENT_CLOSE | ASYNC_EVENT_ERROR);
    return events;
}

bool backend_report_ready(async_runtime_t *runtime, async_fd_t fd, uint32_t generation,
                          uint32_t ready)
{
    registration_t *registration = runtime_table_find(&runtime->table, fd);
    bool served = false;
    uint32_t events;

    if (PORT_UNLIKELY(registration == NULL || registration->generation != generation))
        return false;
    if (registration->armed & ARMED_ONESHOT)
        registration->armed = 0; /* the backend has parked it */
    if (PORT_UNLIKELY(runtime_operations_interest(registration) != 0))
        served = runtime_operations_ready(runtime, registration, ready);
    events = events_of_ready(registration, ready);
    if (PORT_LIKELY(events != 0)) {
        if (registration->flags & REGISTRATION_CONSOLE)
            events |= ASYNC_EVENT_CONSOLE;
        runtime->ready[runtime->ready_count++] =
            (async_event_t){.event_type = events, .fd = fd, .context = registration->context};
        if (PORT_LIKELY(!(registration->events & ASYNC_EVENT_ONESHOT)))
            return true;
        registration->flags |= REGISTRATION_FIRED;
    } else if (served) {
        return true; /* what waited for operations stays armed: more of them are likely */
    }
    runtime->unwanted |= events == 0;
    /* Nobody wants what the backend waits for, or a ONESHOT has ended beside waiting operations. */
    (void)runtime_interest_update(runtime, fd, registration);
    return true;
}

void backend_report_closed(async_runtime_t *runtime, async_fd_t fd, uint32_t generation)
{
    registration_t *registration = runtime_table_find(&runtime->table, fd);

    if (registration != NULL && registration->generation == generation)
        runtime_registration_drop(runtime, fd, registration);
}

void backend_each_registration(async_runtime_t *runtime,
                               void (*visit)(void *arg, async_fd_t fd, uint32_t generation,
                                             uint32_t interest),
                               void *arg)
{
    const runtime_table_t *table = &runtime->table;

    for (size_t chunk = 0; chunk < table->chunk_count; chunk++) {
        for (size_t i = 0; table->chunks[chunk] != NULL && i < TABLE_CHUNK; i++) {
            const registration_t *r = &table->chunks[chunk][i];

            if (r->flags & REGISTRATION_USED && !(r->flags & REGISTRATION_ALWAYS))
                visit(arg, runtime_fd_of_index(chunk * TABLE_CHUNK + i), r->generation,
                      interest_of_armed(r->armed));
        }
    }
}

void runtime_table_close(async_runtime_t *runtime)
{
    runtime_table_t *table = &runtime->table;

    for (size_t chunk = 0; chunk < table->chunk_count; chunk++) {
        for (size_t i = 0; table->chunks[chunk] != NULL && i < TABLE_CHUNK; i++)
            runtime_operations_free_queues(&table->chunks[chunk][i]);
        port_free(table->chunks[chunk]);
    }
    port_free(table->chunks);
    table->chunks = NULL;
    table->chunk_count = table->registered = 0;
}

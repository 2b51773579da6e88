/* SPDX-License-Identifier: MIT */
/*
 * runtime_console.c - standard input as one more descriptor
 *
 * A terminal, pipe or socket is registered with the backend.  A file or the null device is always
 * ready, and most systems refuse to wait for it; the runtime reports it itself, at each wait.
 */
#include "runtime/runtime_console.h"
#include "port/port_error.h"
#include "runtime/runtime.h"

static int add_console(async_runtime_t *runtime, void *context)
{
    async_fd_t fd = runtime_console_fd();
    async_console_type_t type;
    int err;

    if (!runtime_fd_possible(fd) || !runtime_fd_is_open(fd))
        return EBADF;
    type = runtime_console_detect();
    err = runtime_register(runtime, fd, ASYNC_EVENT_READ, context, REGISTRATION_CONSOLE);
    if (err == 0)
        runtime->console_type = type;
    return err;
}

int async_runtime_add_console(async_runtime_t *runtime, void *context)
{
    int saved = errno, err = runtime_check_thread(runtime);

    if (err == 0)
        err = add_console(runtime, context);
    return port_result(err, saved);
}

async_console_type_t async_runtime_get_console_type(async_runtime_t *runtime)
{
    int err = runtime_check_thread(runtime);

    if (err != 0) {
        port_error_set(err);
        return ASYNC_CONSOLE_TYPE_NONE;
    }
    return runtime->console_type;
}

int runtime_console_take(async_runtime_t *runtime, async_event_t *events, int max)
{
    async_fd_t fd = runtime_console_fd();
    registration_t *registration = runtime_table_find(&runtime->table, fd);

    if (!runtime->console_ready || registration == NULL || max < 1)
        return 0;
    events[0] = (async_event_t){.event_type = ASYNC_EVENT_READ | ASYNC_EVENT_CONSOLE,
                                .fd = fd,
                                .context = registration->context};
    if (runtime_console_at_end())
        events[0].event_type |= ASYNC_EVENT_CLOSE;
    if (registration->events & ASYNC_EVENT_ONESHOT)
        runtime->console_ready = false;
    runtime->io_events++;
    return 1;
}

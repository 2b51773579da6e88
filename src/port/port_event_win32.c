/* SPDX-License-Identifier: MIT */
#include "port/port_event.h"
#include "port/port_win32.h"

#include <errno.h>

int port_event_init(port_event_t *event, bool manual_reset, bool initial)
{
    event->handle = CreateEventW(NULL, manual_reset, initial, NULL);
    return event->handle != NULL ? 0 : ENOMEM;
}

void port_event_destroy(port_event_t *event)
{
    CloseHandle(event->handle);
}

void port_event_set(port_event_t *event)
{
    SetEvent(event->handle);
}

void port_event_reset(port_event_t *event)
{
    ResetEvent(event->handle);
}

int port_event_wait(port_event_t *event, int timeout_ms)
{
    if (timeout_ms < -1)
        return EINVAL;
    return port_win32_wait(event->handle, port_deadline(timeout_ms));
}

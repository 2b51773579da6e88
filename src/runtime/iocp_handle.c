/* SPDX-License-Identifier: MIT */
#include "runtime/iocp_handle.h"
#include "port/port_memory.h"

#include <asyncrt/async_runtime.h>

#include <errno.h>

#define PIPE_LOOK_MS 5

bool iocp_handle_is_input(async_fd_t fd)
{
    HANDLE input = GetStdHandle(STD_INPUT_HANDLE);
    DWORD mode;

    if (input == NULL || input == INVALID_HANDLE_VALUE || (HANDLE)fd != input)
        return false;
    return GetConsoleMode(input, &mode) || GetFileType(input) == FILE_TYPE_PIPE;
}

/* A key that gives a character; what is before it (keys let go, the mouse, the focus) would make
 * the handle signalled and a read of characters block, so it is taken out. */
static bool console_has_key(HANDLE console)
{
    INPUT_RECORD record;
    DWORD count;

    while (PeekConsoleInputW(console, &record, 1, &count) && count != 0) {
        if (record.EventType == KEY_EVENT && record.Event.KeyEvent.bKeyDown &&
            record.Event.KeyEvent.uChar.UnicodeChar != 0)
            return true;
        if (!ReadConsoleInputW(console, &record, 1, &count))
            break;
    }
    return false;
}

uint32_t iocp_handle_ready(const iocp_handle_wait_t *wait)
{
    DWORD available = 0;

    if (wait->is_console)
        return console_has_key(wait->handle) ? ASYNC_EVENT_READ : 0;
    if (!PeekNamedPipe(wait->handle, NULL, 0, NULL, &available, NULL))
        /* a handle that cannot be asked is ready as a file is */
        return GetLastError() == ERROR_NOT_SUPPORTED ? ASYNC_EVENT_READ
                                                     : ASYNC_EVENT_READ | ASYNC_EVENT_CLOSE;
    return available != 0 ? ASYNC_EVENT_READ : 0;
}

static void send_packet(iocp_handle_wait_t *wait)
{
    /* relaxed: the port orders what comes with the packet */
    if (atomic_exchange_explicit(&wait->sent, 1, memory_order_relaxed) == 0)
        PostQueuedCompletionStatus(wait->port, 0, wait->key, &wait->packet);
}

/* A thread of the pool. */
static VOID CALLBACK look(PVOID context, BOOLEAN timed_out)
{
    iocp_handle_wait_t *wait = context;

    (void)timed_out;
    /* of a console the loop thread sorts out whether it is a key */
    if (wait->is_console || iocp_handle_ready(wait) != 0)
        send_packet(wait);
}

iocp_handle_wait_t *iocp_handle_open(async_fd_t fd, HANDLE port, ULONG_PTR key)
{
    iocp_handle_wait_t *wait = port_zalloc(1, sizeof(*wait));
    DWORD mode;

    if (wait == NULL)
        return NULL;
    wait->handle = (HANDLE)fd;
    wait->port = port;
    wait->key = key;
    wait->is_console = GetConsoleMode(wait->handle, &mode) != 0;
    return wait;
}

int iocp_handle_start(iocp_handle_wait_t *wait)
{
    BOOL ok;

    atomic_store_explicit(&wait->sent, 0, memory_order_relaxed);
    if (iocp_handle_ready(wait) != 0) {
        wait->started = true;
        send_packet(wait);
        return 0;
    }
    if (wait->is_console)
        ok = RegisterWaitForSingleObject(&wait->registered, wait->handle, look, wait, INFINITE,
                                         WT_EXECUTEONLYONCE);
    else
        ok = CreateTimerQueueTimer(&wait->registered, NULL, look, wait, PIPE_LOOK_MS, PIPE_LOOK_MS,
                                   WT_EXECUTEDEFAULT);
    if (!ok) {
        wait->registered = NULL;
        return ENOMEM;
    }
    wait->started = true;
    return 0;
}

static void unregister(iocp_handle_wait_t *wait)
{
    /* both wait for the callback's end */
    if (wait->registered != NULL && wait->is_console)
        UnregisterWaitEx(wait->registered, INVALID_HANDLE_VALUE);
    else if (wait->registered != NULL)
        DeleteTimerQueueTimer(NULL, wait->registered, INVALID_HANDLE_VALUE);
    wait->registered = NULL;
}

void iocp_handle_taken(iocp_handle_wait_t *wait)
{
    unregister(wait);
    wait->started = false;
}

bool iocp_handle_stop(iocp_handle_wait_t *wait)
{
    unregister(wait);
    if (!wait->started)
        return false;
    if (atomic_load_explicit(&wait->sent, memory_order_relaxed) != 0)
        return true;
    wait->started = false;
    return false;
}

void iocp_handle_close(iocp_handle_wait_t *wait)
{
    port_free(wait);
}

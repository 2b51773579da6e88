/* SPDX-License-Identifier: MIT */
#include "runtime/iocp_handle.h"
#include "port/port_memory.h"

#include <asyncrt/async_runtime.h>

#include <errno.h>

/* How long a pipe is left alone between two looks: a share of the time that it has been empty. */
#define LEAST_PAUSE_MS 1u
#define MOST_PAUSE_MS 8u
#define PAUSE_SHARE 16u

enum {
    HANDLE_IDLE,
    HANDLE_WANTED, /* the loop thread waits for input */
    HANDLE_SENT,   /* the packet is under way */
};

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
    PostQueuedCompletionStatus(wait->port, 0, wait->key, &wait->packet);
}

/* ---- The helper thread. ---- */

static bool is_wanted(const iocp_handle_wait_t *wait)
{
    return atomic_load_explicit(&wait->state, memory_order_relaxed) == HANDLE_WANTED;
}

/* Until there is input, or something has changed. */
static void watch_console(iocp_handle_wait_t *wait)
{
    HANDLE handles[2] = {wait->wake, wait->handle};
    int wanted = HANDLE_WANTED;

    if (WaitForMultipleObjects(2, handles, FALSE, INFINITE) == WAIT_OBJECT_0)
        return;
    /* whether it is a key the loop thread sorts out */
    if (atomic_compare_exchange_strong_explicit(&wait->state, &wanted, HANDLE_SENT,
                                                memory_order_relaxed, memory_order_relaxed))
        send_packet(wait);
}

static void watch_pipe(iocp_handle_wait_t *wait)
{
    uint64_t since = port_clock_now();

    while (is_wanted(wait)) {
        uint64_t pause = (port_clock_now() - since) / PORT_NS_PER_MS / PAUSE_SHARE;
        int wanted = HANDLE_WANTED;

        if (iocp_handle_ready(wait) != 0) {
            if (atomic_compare_exchange_strong_explicit(&wait->state, &wanted, HANDLE_SENT,
                                                        memory_order_relaxed, memory_order_relaxed))
                send_packet(wait);
            return;
        }
        if (pause < LEAST_PAUSE_MS)
            pause = LEAST_PAUSE_MS;
        if (pause > MOST_PAUSE_MS)
            pause = MOST_PAUSE_MS;
        WaitForSingleObject(wait->wake, (DWORD)pause);
    }
}

static void handle_main(void *arg)
{
    iocp_handle_wait_t *wait = arg;

    while (!atomic_load_explicit(&wait->quit, memory_order_relaxed)) {
        if (!is_wanted(wait))
            WaitForSingleObject(wait->wake, INFINITE);
        else if (wait->is_console)
            watch_console(wait);
        else
            watch_pipe(wait);
    }
}

/* ---- The loop thread. ---- */

static void free_wait(iocp_handle_wait_t *wait)
{
    if (wait->wake != NULL)
        CloseHandle(wait->wake);
    if (wait->handle != NULL)
        CloseHandle(wait->handle);
    port_free(wait);
}

iocp_handle_wait_t *iocp_handle_open(async_fd_t fd, HANDLE port, ULONG_PTR key)
{
    const port_thread_attr_t attr = {.name = "async-input"};
    iocp_handle_wait_t *wait = port_zalloc(1, sizeof(*wait));
    HANDLE self = GetCurrentProcess();
    DWORD mode;

    if (wait == NULL)
        return NULL;
    wait->port = port;
    wait->key = key;
    wait->is_console = GetConsoleMode((HANDLE)fd, &mode) != 0;
    wait->wake = CreateEventW(NULL, FALSE, FALSE, NULL);
    if (!DuplicateHandle(self, (HANDLE)fd, self, &wait->handle, 0, FALSE, DUPLICATE_SAME_ACCESS))
        wait->handle = NULL;
    if (wait->wake == NULL || wait->handle == NULL ||
        port_thread_create(&wait->thread, handle_main, wait, &attr) != 0) {
        free_wait(wait);
        return NULL;
    }
    return wait;
}

void iocp_handle_start(iocp_handle_wait_t *wait)
{
    if (iocp_handle_ready(wait) != 0) {
        atomic_store_explicit(&wait->state, HANDLE_SENT, memory_order_relaxed);
        send_packet(wait);
        return;
    }
    atomic_store_explicit(&wait->state, HANDLE_WANTED, memory_order_relaxed);
    SetEvent(wait->wake);
}

void iocp_handle_taken(iocp_handle_wait_t *wait)
{
    atomic_store_explicit(&wait->state, HANDLE_IDLE, memory_order_relaxed);
}

bool iocp_handle_stop(iocp_handle_wait_t *wait)
{
    int wanted = HANDLE_WANTED;

    return !atomic_compare_exchange_strong_explicit(&wait->state, &wanted, HANDLE_IDLE,
                                                    memory_order_relaxed, memory_order_relaxed);
}

void iocp_handle_close(iocp_handle_wait_t *wait)
{
    atomic_store_explicit(&wait->quit, 1, memory_order_relaxed);
    SetEvent(wait->wake);
    port_thread_join(&wait->thread);
    free_wait(wait);
}

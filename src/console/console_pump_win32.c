/* SPDX-License-Identifier: MIT */
#include "console/console_pump_win32.h"
#include "console/console_platform.h"
#include "port/port_memory.h"
#include "port/port_thread.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#define PUMP_SIZE 16384
#define CANCEL_TRIES 40     /* for a read that cannot be cancelled, as far as one can tell */
#define CANCELLED_TRIES 400 /* for one whose end is only a matter of time */
#define CANCEL_WAIT_MS 5

enum {
    PUMP_IDLE,
    PUMP_READING, /* buffer, count and ended are the thread's */
    PUMP_FILLED,  /* they are the console's */
};

struct console_pump {
    HANDLE input;
    HANDLE request; /* auto-reset: state has become READING, or quit */
    HANDLE filled;  /* auto-reset: state has become FILLED */
    HANDLE done;    /* manual-reset: the read has ended, where that is later than its call */
    OVERLAPPED overlapped;
    port_thread_t thread;
    _Atomic int state; /* console: IDLE to READING, FILLED to IDLE; thread: READING to FILLED */
    _Atomic int quit;
    bool is_socket; /* constant; there a read of nothing is the end */
    bool stuck;     /* the console's: the read could not be cancelled */
    bool ended;     /* the input, for good */
    size_t count;
    size_t taken;
    char buffer[PUMP_SIZE];
};

/* One that could not be stopped.  Of the one console that a process may have, while it opens or
 * closes. */
static console_pump_t *left_behind;

typedef BOOL(WINAPI *compare_t)(HANDLE a, HANDLE b);

bool console_pump_is_same(HANDLE a, HANDLE b)
{
    /* Since Windows 10.  Where it is missing, what was left is lost rather than given to another
     * input. */
    HMODULE module = GetModuleHandleW(L"kernelbase.dll");
    FARPROC found = module != NULL ? GetProcAddress(module, "CompareObjectHandles") : NULL;
    compare_t compare;

    if (found == NULL)
        return false;
    memcpy(&compare, &found, sizeof(compare));
    return compare(a, b) != 0;
}

/* Sockets, and pipes that their maker opened so, end a read later; others within the call, and take
 * the OVERLAPPED as well.  Returns false with the system's error. */
static bool read_once(console_pump_t *pump, DWORD *count)
{
    *count = 0;
    memset(&pump->overlapped, 0, sizeof(pump->overlapped));
    /* the bit keeps the end from a completion port that the program has bound the handle to */
    pump->overlapped.hEvent = (HANDLE)((ULONG_PTR)pump->done | 1);
    if (!ReadFile(pump->input, pump->buffer, PUMP_SIZE, NULL, &pump->overlapped)) {
        if (GetLastError() != ERROR_IO_PENDING)
            return false;
        WaitForSingleObject(pump->done, INFINITE);
    }
    return GetOverlappedResult(pump->input, &pump->overlapped, count, FALSE) != 0;
}

static void pump_main(void *arg)
{
    console_pump_t *pump = arg;
    DWORD count;

    for (;;) {
        WaitForSingleObject(pump->request, INFINITE);
        if (atomic_load_explicit(&pump->quit, memory_order_acquire))
            return;
        /* A read of nothing is a write of nothing at the other end, not the end. */
        while (read_once(pump, &count) && count == 0 && !pump->is_socket)
            continue;
        pump->ended = count == 0 && GetLastError() != ERROR_OPERATION_ABORTED;
        pump->count = count;
        pump->taken = 0;
        /* release: pairs with the load in console_pump_read */
        atomic_store_explicit(&pump->state, PUMP_FILLED, memory_order_release);
        SetEvent(pump->filled);
    }
}

static void free_pump(console_pump_t *pump)
{
    if (pump->input != NULL)
        CloseHandle(pump->input);
    if (pump->request != NULL)
        CloseHandle(pump->request);
    if (pump->filled != NULL)
        CloseHandle(pump->filled);
    if (pump->done != NULL)
        CloseHandle(pump->done);
    port_free(pump);
}

static bool is_reading(const console_pump_t *pump)
{
    return atomic_load_explicit(&pump->state, memory_order_acquire) == PUMP_READING;
}

static void end_pump(console_pump_t *pump)
{
    atomic_store_explicit(&pump->quit, 1, memory_order_release);
    SetEvent(pump->request);
    port_thread_join(&pump->thread);
    free_pump(pump);
}

static bool is_socket(HANDLE handle)
{
    int type, size = sizeof(type);

    /* without Winsock nobody here has made one, and the call fails */
    return getsockopt((SOCKET)handle, SOL_SOCKET, SO_TYPE, (char *)&type, &size) == 0;
}

int console_pump_open(HANDLE source, console_pump_t **out)
{
    const port_thread_attr_t attr = {.name = "async-console"};
    console_pump_t *pump = left_behind;
    int err = ENOMEM;

    if (pump != NULL && console_pump_is_same(pump->input, source)) {
        left_behind = NULL;
        pump->stuck = false;
        *out = pump;
        return 0;
    }
    if (pump != NULL && !is_reading(pump)) {
        /* what it has read belongs to an input that is gone */
        left_behind = NULL;
        end_pump(pump);
    }
    pump = port_zalloc(1, sizeof(*pump));
    if (pump == NULL)
        return ENOMEM;
    pump->request = CreateEventW(NULL, FALSE, FALSE, NULL);
    pump->filled = CreateEventW(NULL, FALSE, FALSE, NULL);
    pump->done = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (!DuplicateHandle(GetCurrentProcess(), source, GetCurrentProcess(), &pump->input, 0, FALSE,
                         DUPLICATE_SAME_ACCESS))
        pump->input = NULL;
    pump->is_socket = is_socket(source); /* a duplicate Winsock does not know */
    if (pump->request != NULL && pump->filled != NULL && pump->done != NULL && pump->input != NULL)
        err = port_thread_create(&pump->thread, pump_main, pump, &attr);
    if (err != 0) {
        free_pump(pump);
        return err;
    }
    *out = pump;
    return 0;
}

static bool is_filled(const console_pump_t *pump)
{
    /* acquire: pairs with the store in pump_main */
    return atomic_load_explicit(&pump->state, memory_order_acquire) == PUMP_FILLED;
}

static int take(console_pump_t *pump, char *buffer, size_t size)
{
    size_t count = pump->count - pump->taken;

    if (count > size)
        count = size;
    memcpy(buffer, pump->buffer + pump->taken, count);
    pump->taken += count;
    if (pump->taken == pump->count && !pump->ended)
        atomic_store_explicit(&pump->state, PUMP_IDLE, memory_order_relaxed);
    return (int)count;
}

static void cancel_read(console_pump_t *pump)
{
    int tries = pump->stuck ? 0 : CANCEL_TRIES;

    for (int i = 0; i < tries && is_reading(pump); i++) {
        /* may come before the thread is inside its read: again */
        if (CancelSynchronousIo(pump->thread.handle) || CancelIoEx(pump->input, &pump->overlapped))
            tries = CANCELLED_TRIES;
        WaitForSingleObject(pump->filled, CANCEL_WAIT_MS);
    }
    pump->stuck = is_reading(pump);
}

int console_pump_read(console_pump_t *pump, HANDLE stop, char *buffer, size_t size)
{
    HANDLE handles[2] = {stop, pump->filled};

    for (;;) {
        if (WaitForSingleObject(stop, 0) == WAIT_OBJECT_0) {
            /* what comes from now on is for others */
            cancel_read(pump);
            return CONSOLE_READ_STOPPED;
        }
        if (is_filled(pump)) {
            if (pump->taken < pump->count)
                return take(pump, buffer, size);
            if (pump->ended)
                return CONSOLE_READ_END;
            atomic_store_explicit(&pump->state, PUMP_IDLE, memory_order_relaxed);
        }
        if (atomic_load_explicit(&pump->state, memory_order_relaxed) == PUMP_IDLE) {
            atomic_store_explicit(&pump->state, PUMP_READING, memory_order_relaxed);
            SetEvent(pump->request);
        }
        WaitForMultipleObjects(2, handles, FALSE, INFINITE);
    }
}

void console_pump_close(console_pump_t *pump)
{
    cancel_read(pump);
    if (is_reading(pump) || (is_filled(pump) && pump->taken < pump->count)) {
        /* It may still read what the next console wants, or has done so. */
        if (left_behind == NULL)
            left_behind = pump;
        return;
    }
    end_pump(pump);
}

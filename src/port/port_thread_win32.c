/* SPDX-License-Identifier: MIT */
#include "port/port_thread.h"
#include "port/port_memory.h"
#include "port/port_win32.h"

#include <errno.h>
#include <limits.h>
#include <process.h>
#include <string.h>

/* What the allocation granularity of the system makes of any smaller reservation. */
#define LEAST_STACK 65536u

struct start {
    port_thread_proc_t proc;
    void *arg;
    char name[PORT_THREAD_NAME_MAX + 1];
};

typedef HRESULT(WINAPI *set_description_t)(HANDLE thread, PCWSTR description);

/* SetThreadDescription came with Windows 10: it is looked up, and missed by nobody else. */
static void set_name(const char *name)
{
    HMODULE module = GetModuleHandleW(L"kernelbase.dll");
    FARPROC found = module != NULL ? GetProcAddress(module, "SetThreadDescription") : NULL;
    set_description_t set_description;
    WCHAR wide[PORT_THREAD_NAME_MAX + 1];

    if (found == NULL ||
        MultiByteToWideChar(CP_UTF8, 0, name, -1, wide, PORT_THREAD_NAME_MAX + 1) == 0)
        return;
    memcpy(&set_description, &found, sizeof(set_description));
    set_description(GetCurrentThread(), wide);
}

static unsigned __stdcall thread_main(void *memory)
{
    struct start start = *(struct start *)memory;

    port_free(memory);
    if (start.name[0] != '\0')
        set_name(start.name);
    start.proc(start.arg);
    return 0;
}

int port_thread_create(port_thread_t *thread, port_thread_proc_t proc, void *arg,
                       const port_thread_attr_t *options)
{
    size_t stack = options->stack_size;
    int saved = errno, err = 0;
    struct start *start;

    if (stack > UINT_MAX)
        return EAGAIN;
    if (stack != 0 && stack < LEAST_STACK)
        stack = LEAST_STACK;
    start = port_zalloc(1, sizeof(*start));
    if (start == NULL)
        return ENOMEM;
    start->proc = proc;
    start->arg = arg;
    if (options->name != NULL)
        memcpy(start->name, options->name, strnlen(options->name, PORT_THREAD_NAME_MAX));
    /* handlers run in threads of their own here: block_signals asks for nothing */
    thread->handle = (HANDLE)_beginthreadex(NULL, (unsigned)stack, thread_main, start,
                                            STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
    if (thread->handle == NULL) {
        err = errno == ENOMEM ? ENOMEM : EAGAIN;
        port_free(start);
    }
    errno = saved;
    return err;
}

void port_thread_join(port_thread_t *thread)
{
    WaitForSingleObject(thread->handle, INFINITE);
    CloseHandle(thread->handle);
}

void port_thread_detach(port_thread_t *thread)
{
    CloseHandle(thread->handle);
}

void port_thread_yield(void)
{
    SwitchToThread();
}

/*
 * A timer of high resolution where the system has one, else the ordinary kind: Sleep() and it end
 * at a tick of 15.6 ms.
 */
void port_thread_sleep(uint64_t ns)
{
    uint64_t end = port_clock_after(port_clock_now(), ns), now;
    HANDLE timer = port_win32_fine_timer();

    while ((now = port_clock_now()) < end) {
        LARGE_INTEGER due; /* negative: relative, in units of 100 ns */

        due.QuadPart = -(LONGLONG)((end - now - 1) / 100 + 1);
        if (timer != NULL && SetWaitableTimer(timer, &due, 0, NULL, NULL, FALSE))
            WaitForSingleObject(timer, INFINITE);
        else
            Sleep(port_win32_timeout(end));
    }
    if (timer != NULL)
        CloseHandle(timer);
}

unsigned port_cpu_count(void)
{
    DWORD_PTR process, system;
    unsigned count = 0;

    /* a process with threads in several groups of processors has no one mask: it gets 0 */
    if (GetProcessAffinityMask(GetCurrentProcess(), &process, &system))
        for (; process != 0; process &= process - 1)
            count++;
    if (count == 0)
        count = GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
    return count != 0 ? count : 1;
}

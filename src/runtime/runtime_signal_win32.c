/* SPDX-License-Identifier: MIT */
/*
 * runtime_signal_win32.c - the signals that a console sends, and those that the program raises
 * itself
 *
 * Console events run their handlers in a thread that the system starts; raise() of the C runtime
 * calls the handler of signal() in place.  Ours are in both places, so that either gives the event.
 */
#include "runtime/runtime_signal.h"

#include <errno.h>
#include <signal.h>

#include <windows.h>

typedef void (*handler_t)(int signum);

static const int signals[] = {SIGINT, SIGTERM, SIGBREAK};
#define SIGNALS (sizeof(signals) / sizeof(signals[0]))

/* Written under the lock of runtime_signal.c, read by handlers. */
static _Atomic int caught[SIGNALS];
/* Under that lock. */
static handler_t earlier[SIGNALS];
static unsigned caught_count;

static size_t index_of(int signum)
{
    size_t i = 0;

    while (i < SIGNALS && signals[i] != signum)
        i++;
    return i;
}

static void raised(int signum)
{
    int saved = errno;

    /* the C runtime has put the default back before this call */
    signal(signum, raised);
    runtime_signal_raised(signum);
    errno = saved;
}

static BOOL WINAPI console_event(DWORD event)
{
    int signum = SIGTERM; /* the window is closed, the user logs off, the system goes down */

    if (event == CTRL_C_EVENT)
        signum = SIGINT;
    else if (event == CTRL_BREAK_EVENT)
        signum = SIGBREAK;
    /* acquire: pairs with the store in runtime_signal_catch */
    if (!atomic_load_explicit(&caught[index_of(signum)], memory_order_acquire))
        return FALSE;
    runtime_signal_raised(signum);
    /* the process would end when this returns; the system waits some seconds for it to end itself
     */
    if (signum == SIGTERM)
        Sleep(INFINITE);
    return TRUE;
}

int runtime_signal_catch(int signum)
{
    size_t i = index_of(signum);

    if (i == SIGNALS)
        return ENOTSUP;
    earlier[i] = signal(signum, raised);
    if (earlier[i] == SIG_ERR)
        return EINVAL;
    atomic_store_explicit(&caught[i], 1, memory_order_release);
    /* added after signal() has added its own: the last one is called first */
    if (caught_count++ == 0 && !SetConsoleCtrlHandler(console_event, TRUE)) {
        runtime_signal_restore(signum);
        return ENOTSUP;
    }
    return 0;
}

void runtime_signal_restore(int signum)
{
    size_t i = index_of(signum);

    atomic_store_explicit(&caught[i], 0, memory_order_release);
    signal(signum, earlier[i]);
    if (--caught_count == 0)
        SetConsoleCtrlHandler(console_event, FALSE);
}

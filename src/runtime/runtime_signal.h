/* SPDX-License-Identifier: MIT */
/*
 * runtime_signal.h - signals that have become events
 *
 * A watcher is one runtime's interest in one signal.  The handler, which runs in any thread, counts
 * in the watchers of its signal and wakes their loops.
 */
#ifndef RUNTIME_SIGNAL_H
#define RUNTIME_SIGNAL_H

#include <asyncrt/async_runtime.h>

#include <stdatomic.h>

typedef struct signal_watcher signal_watcher_t;

typedef struct runtime_signals {
    signal_watcher_t *first; /* of this runtime; loop thread */
} runtime_signals_t;

/* Ends all watchers of the runtime and brings the dispositions back. */
void runtime_signals_close(async_runtime_t *runtime);

/* Moves up to max signals into events. */
int runtime_signals_take(async_runtime_t *runtime, async_event_t *events, int max);

/* ---- The platform's part, runtime_signal_posix.c or _win32.c. ---- */

#define SIGNAL_NUMBER_MAX 128

/* Puts a handler that calls runtime_signal_raised(signum) in place of the signal's disposition, and
 * brings that back.  Under the watchers' lock.  Returns 0, EINVAL or ENOTSUP. */
int runtime_signal_catch(int signum);
void runtime_signal_restore(int signum);

/* For the handler: async-signal-safe, any thread, keeps errno. */
void runtime_signal_raised(int signum);

#endif /* RUNTIME_SIGNAL_H */

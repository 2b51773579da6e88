/* SPDX-License-Identifier: MIT */
#include "runtime/runtime_signal.h"

#include <errno.h>
#include <signal.h>

/* What each caught signal did before; under the lock of runtime_signal.c. */
static struct sigaction earlier[SIGNAL_NUMBER_MAX];

static void handler(int signum)
{
    int saved = errno;

    runtime_signal_raised(signum);
    errno = saved;
}

int runtime_signal_catch(int signum)
{
    struct sigaction action = {.sa_handler = handler};

    /* Other system calls of the program go on; wait() looks at what has come itself.  A program
     * that has an alternate stack has it for all handlers. */
    action.sa_flags = SA_RESTART | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    return sigaction(signum, &action, &earlier[signum]) == 0 ? 0 : EINVAL;
}

void runtime_signal_restore(int signum)
{
    (void)sigaction(signum, &earlier[signum], NULL);
}

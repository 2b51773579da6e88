/* SPDX-License-Identifier: MIT */
#include "port/port_fork.h"

/* There is no fork: the generation never changes. */
_Atomic uint32_t port_fork_count;

int port_fork_watch(void)
{
    return 0;
}

/* SPDX-License-Identifier: MIT */
#include "port/port_thread.h"
#include "port/port_compiler.h"

#include <stdatomic.h>

uint64_t port_thread_token(void)
{
    /* Thread handles are used again after a thread's end; these numbers are not. */
    static _Atomic uint64_t next_token = 1;
    static PORT_THREAD_LOCAL uint64_t token;

    if (PORT_UNLIKELY(token == 0))
        token = atomic_fetch_add_explicit(&next_token, 1, memory_order_relaxed);
    return token;
}

/* SPDX-License-Identifier: MIT */
#include "port/port_error.h"
#include "port/port_compiler.h"

static PORT_THREAD_LOCAL int last_error;

void port_error_set(int err)
{
    last_error = err;
    errno = err;
}

int port_error_last(void)
{
    return last_error;
}

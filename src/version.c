/* SPDX-License-Identifier: MIT */
#include <asyncrt.h>

#include "port/port_error.h"

const char *asyncrt_version(void)
{
    return ASYNCRT_VERSION_STRING;
}

uint32_t asyncrt_version_number(void)
{
    return ASYNCRT_VERSION_NUMBER;
}

int async_last_error(void)
{
    return port_error_last();
}

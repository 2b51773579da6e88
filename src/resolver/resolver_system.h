/* SPDX-License-Identifier: MIT */
/*
 * resolver_system.h - addrinfo and the EAI_* values of this system
 *
 * Some systems lack one of the values or give two the same number: compare, do not switch.
 */
#ifndef RESOLVER_SYSTEM_H
#define RESOLVER_SYSTEM_H

#include <asyncrt/async_resolver.h>

#include <stdbool.h>

#if !defined(_WIN32)
#include <netinet/in.h>
#endif

/* A name that exists without such an address. */
#if defined(EAI_NODATA)
#define RESOLVER_EAI_NODATA EAI_NODATA
#else
#define RESOLVER_EAI_NODATA EAI_NONAME
#endif

/* What the names that the host answers at most have; a longer one does not exist. */
#define RESOLVER_HOST_MAX 1024u   /* bytes without the NUL */
#define RESOLVER_SERVICE_MAX 255u /* bytes without the NUL */

/* Whether the status says that there is no such name, which is worth remembering. */
static inline bool resolver_is_negative(int status)
{
    return status == EAI_NONAME || status == RESOLVER_EAI_NODATA;
}

#endif /* RESOLVER_SYSTEM_H */

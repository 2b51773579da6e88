/* SPDX-License-Identifier: MIT */
#include "resolver_names.h"
#include "testlib.h"

#include <stdatomic.h>

static _Atomic int asked, held, released;

void names_reset(void)
{
    atomic_store(&asked, 0);
    atomic_store(&released, 0);
}

void names_release(void)
{
    atomic_store(&released, 1);
}

int names_asked(void)
{
    return atomic_load(&asked);
}

int names_held(void)
{
    return atomic_load(&held);
}

static bool begins(const char *name, const char *with)
{
    return strncmp(name, with, strlen(with)) == 0;
}

int names_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                      struct addrinfo **out)
{
    struct addrinfo numeric;

    if (host == NULL || (hints != NULL && (hints->ai_flags & AI_NUMERICHOST) != 0))
        return names_system(host, service, hints, out);
    atomic_fetch_add(&asked, 1);
    if (begins(host, "hold")) {
        atomic_fetch_add(&held, 1);
        while (!atomic_load(&released))
            tl_sleep_ms(1);
        atomic_fetch_sub(&held, 1);
    }
    if (begins(host, "nx"))
        return EAI_NONAME;
    if (begins(host, "again"))
        return EAI_AGAIN;
    memset(&numeric, 0, sizeof(numeric));
    if (hints != NULL)
        numeric = *hints;
    numeric.ai_flags |= AI_NUMERICHOST;
    return names_system("10.0.0.1", service, &numeric, out);
}

/* SPDX-License-Identifier: MIT */
/*
 * The library reaches getaddrinfo() through the import table's pointer: the one that is defined
 * here is linked in its place.
 */
#include "resolver_names.h"

#include <string.h>

#include <windows.h>

typedef INT(WSAAPI *getaddrinfo_t)(PCSTR host, PCSTR service, const struct addrinfo *hints,
                                   struct addrinfo **out);

extern getaddrinfo_t __MINGW_IMP_SYMBOL(getaddrinfo);

static INT WSAAPI replacement(PCSTR host, PCSTR service, const struct addrinfo *hints,
                              struct addrinfo **out)
{
    return names_getaddrinfo(host, service, hints, out);
}

getaddrinfo_t __MINGW_IMP_SYMBOL(getaddrinfo) = replacement;

int names_system(const char *host, const char *service, const struct addrinfo *hints,
                 struct addrinfo **out)
{
    FARPROC found = GetProcAddress(GetModuleHandleW(L"ws2_32.dll"), "getaddrinfo");
    getaddrinfo_t system;

    if (found == NULL)
        return EAI_FAIL;
    memcpy(&system, &found, sizeof(system));
    return system(host, service, hints, out);
}

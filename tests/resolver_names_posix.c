/* SPDX-License-Identifier: MIT */
/* Linked with -Wl,--wrap=getaddrinfo. */
#include "resolver_names.h"

int __real_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out);
int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out);

int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out)
{
    return names_getaddrinfo(host, service, hints, out);
}

int names_system(const char *host, const char *service, const struct addrinfo *hints,
                 struct addrinfo **out)
{
    return __real_getaddrinfo(host, service, hints, out);
}

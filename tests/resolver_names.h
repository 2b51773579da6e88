/* SPDX-License-Identifier: MIT */
/*
 * resolver_names.h - a getaddrinfo() of the tests' own, in place of the system's
 *
 * What begins with "hold" is answered after names_release(); "nx" is no name, "again" fails for
 * now; other names have the address 10.0.0.1, which the system makes a list of.  A platform's file
 * puts it into the library's way.
 */
#ifndef RESOLVER_NAMES_H
#define RESOLVER_NAMES_H

#include <asyncrt.h>

void names_reset(void);
void names_release(void);
int names_asked(void); /* how many names were asked for, numeric ones aside */
int names_held(void);  /* how many calls are held now */

int names_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                      struct addrinfo **out);

/* The platform's: the system's own. */
int names_system(const char *host, const char *service, const struct addrinfo *hints,
                 struct addrinfo **out);

#endif /* RESOLVER_NAMES_H */

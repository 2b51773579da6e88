/* SPDX-License-Identifier: MIT */
/*
 * dns_namespace.h - a network, mounts and a host name of this process's own
 *
 * Its loopback is up and empty, so that the DNS responder can have port 53; /etc is a file system
 * of its own with what the resolver of the system reads.
 */
#ifndef DNS_NAMESPACE_H
#define DNS_NAMESPACE_H

/* Before there are threads.  Returns 0 or an errno value: the system refuses. */
int dns_namespace_enter(void);

/* Writes a file anew; ends the program on failure. */
void dns_namespace_write(const char *path, const char *text);

/* resolv.conf with these seconds until a query is sent again, and so many attempts. */
void dns_namespace_patience(unsigned seconds, unsigned attempts);

#endif /* DNS_NAMESPACE_H */

/* SPDX-License-Identifier: MIT */
/*
 * dns_responder.h - a small DNS server on 127.0.0.1:53, UDP and TCP, in a thread
 *
 * What it does is said by the labels of the name that is asked for, which may be combined:
 *
 *     delayN    answers after N milliseconds
 *     hold      answers when dns_responder_release() is called
 *     later     the same from the second query on
 *     drop      never answers
 *     lostN     does not answer the first N queries of each type
 *     nx        no such name; nodata: the name, but no record; fail: server failure
 *     v4, v6    only this kind of address
 *     cut       by UDP a truncated answer without records; whole by TCP
 *     ttlN      the records' time to live in seconds; otherwise 3600
 *     manyN     N addresses
 *     serial    the last two bytes of the address count the queries
 *     alias     an alias of canon.test
 *
 * Otherwise a name has the addresses 10.0.0.1 and fd00::1.  Addresses: 10.0.0.N is
 * hostN.test, 10.9.x.x have no name, 10.8.x.x are held; fd00::1 is host6.test.
 */
#ifndef DNS_RESPONDER_H
#define DNS_RESPONDER_H

#include <stdbool.h>

#define DNS_TYPE_ANY 0
#define DNS_TYPE_A 1
#define DNS_TYPE_PTR 12
#define DNS_TYPE_AAAA 28

typedef struct dns_responder dns_responder_t;

dns_responder_t *dns_responder_start(void); /* ends the program on failure */
void dns_responder_stop(dns_responder_t *responder);

/* Queries that have come for a name (without a dot at its end) and type. */
unsigned dns_responder_count(dns_responder_t *responder, const char *name, int type);
unsigned dns_responder_total(dns_responder_t *responder);
unsigned dns_responder_tcp(dns_responder_t *responder);

/* Waits until so many have come; false after 30 seconds. */
bool dns_responder_wait(dns_responder_t *responder, const char *name, int type, unsigned count);

/* Answers what is held, and holds nothing more. */
void dns_responder_release(dns_responder_t *responder);

#endif /* DNS_RESPONDER_H */

/* SPDX-License-Identifier: MIT */
/*
 * resolver_harness.h - what the resolver's tests share: a DNS server, a loop, a resolver
 *
 * The tests run in namespaces of their own.  The engine is the environment's, ASYNCRT_RESOLVER.
 */
#ifndef RESOLVER_HARNESS_H
#define RESOLVER_HARNESS_H

#include "dns_namespace.h"
#include "dns_responder.h"
#include "testcheck.h"

#include <asyncrt.h>

#include <stdbool.h>

#define RESOLVER_KEY ((uintptr_t)0x7265736f)

/* Made by the fixture of each test. */
extern dns_responder_t *dns;
extern async_runtime_t *loop;
extern async_resolver_t *resolver; /* with the defaults, until remake() */

/* A test case with the fixture, which also looks for leaked descriptors and threads. */
TCase *harness_tcase(const char *name);

/*
 * Enters the namespaces and runs the suite on each backend in turn, or on the one that
 * ASYNCRT_BACKEND names; for main() to return.
 */
int harness_run(Suite *suite);

bool engine_is(const char *name);

/* Another resolver in place of the one that is there. */
void remake(const async_resolver_options_t *options);

/* An IPv4 lookup, which is one query; the name's answer is one address.  Fails the test if refused.
 */
uint64_t ask(const char *name);
uint64_t ask_with(const char *name, const char *service, int family, int flags);
uint64_t ask_address(const char *address, unsigned port);

/* Hints as the two above make them. */
struct addrinfo hints_of(int family, int flags);

/* The next result; waits for up to 60 seconds, then fails the test. */
async_resolver_result_t *take(void);

/* The next result if there is one at once, else NULL. */
async_resolver_result_t *take_now(void);

/* Takes the next result and frees it; returns its status. */
int take_status(void);

/* Takes and frees the next result, which must be the request's with this status and these flags. */
void expect(uint64_t id, int status, uint32_t flags);

/* The result's first address as text, or "" without one. */
const char *address_of(const async_resolver_result_t *result);
unsigned port_of(const async_resolver_result_t *result);
unsigned addresses_of(const async_resolver_result_t *result);

async_resolver_stats_t stats_of(async_resolver_t *of);

/* Fails unless every accepted request is accounted for, `open` of them not ended. */
void check_sums(async_resolver_t *of, uint64_t open);

/* Threads of this process. */
unsigned thread_count(void);

void sleep_ms(unsigned ms);

/* No such address, in the value that this system gives. */
#ifdef EAI_NODATA
#define STATUS_NODATA EAI_NODATA
#else
#define STATUS_NODATA EAI_NONAME
#endif

#endif /* RESOLVER_HARNESS_H */

/* SPDX-License-Identifier: MIT */
/*
 * async_resolver.h - names and addresses without blocking the loop
 *
 * Every accepted request ends in exactly one result, taken with async_resolver_next() when a
 * completion announces it.  Equal requests in flight share one query; answers are cached.
 */
#ifndef ASYNCRT_ASYNC_RESOLVER_H
#define ASYNCRT_ASYNC_RESOLVER_H

#include <asyncrt/async_runtime.h>

#include <asyncrt/async_types.h>

#if defined(_WIN32)
#include <winsock2.h>
#include <ws2tcpip.h>
#ifndef EAI_SYSTEM
#define EAI_SYSTEM (-11) /* Winsock has none; its own EAI_* values are positive */
#endif
#else
#include <netdb.h>
#include <sys/socket.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Declared by <netdb.h> only when POSIX is asked for; a pointer needs no more than the name. */
struct addrinfo;
struct sockaddr;

typedef struct async_resolver async_resolver_t;

#define ASYNC_RESOLVER_FROM_CACHE 0x01u /* answered from the cache */
#define ASYNC_RESOLVER_COALESCED 0x02u  /* shared the query of an earlier equal request */

/* Set `size` by ASYNC_RESOLVER_OPTIONS_INIT. */
typedef struct async_resolver_options {
    size_t size;             /* sizeof(async_resolver_options_t) of the caller */
    size_t threads;          /* of the libc engine; 0: 4 */
    size_t max_in_flight;    /* most queries at a time; 0: 64 */
    size_t queue_limit;      /* most requests that wait for one; 0: no limit */
    uint64_t timeout_ms;     /* a request ends then with EAI_SYSTEM, ETIMEDOUT; 0: never */
    size_t cache_entries;    /* answers kept; 0: none */
    uint64_t forward_ttl_ms; /* how long an address answer is kept */
    uint64_t reverse_ttl_ms; /* how long a name answer is kept */
    uint64_t negative_ttl_ms; /* how long "no such name" is kept */
    uint64_t refresh_ms;     /* an entry asked for this close to its end is renewed; 0: never */
    const char *servers;     /* c-ares engine: "address[:port],..."; NULL: the system's */
    size_t forward_quota;    /* most name queries at a time; 0: no cap of its own */
    size_t reverse_quota;    /* most address queries at a time; 0: no cap of its own */
    size_t refresh_quota;    /* most renewals at a time; 0: no cap of its own */
    const char *engine;      /* "libc" or "cares"; NULL: ASYNCRT_RESOLVER, else libc */
} async_resolver_options_t;

/* clang-format off */
#define ASYNC_RESOLVER_OPTIONS_INIT \
    { sizeof(async_resolver_options_t), 4, 64, 256, 30000, 1024, 300000, 900000, 30000, 0, NULL, \
      0, 0, 0, NULL }
/* clang-format on */

/* One finished request.  The library's until async_resolver_free_result(). */
typedef struct async_resolver_result {
    uint64_t request_id;              /* as returned by lookup or reverse */
    void *context;                    /* as given there */
    int status;                       /* 0 or an EAI_* value */
    int error;                        /* with EAI_SYSTEM: ETIMEDOUT, ECANCELED, or the system's errno */
    const struct addrinfo *addresses; /* lookup: the answer; else NULL */
    const char *host;                 /* reverse: the name; lookup: as asked */
    const char *service;              /* reverse: the service; lookup: as asked, or NULL */
    uint32_t flags;                   /* ASYNC_RESOLVER_* bits */
    uint64_t reserved[2];             /* zero */
} async_resolver_result_t;

/* Filled by async_resolver_get_stats(). */
typedef struct async_resolver_stats {
    size_t in_flight;         /* queries under way */
    size_t cached;            /* entries in the cache */
    uint64_t admitted;        /* requests accepted */
    uint64_t rejected;        /* requests refused */
    uint64_t coalesced;       /* requests that shared a query */
    uint64_t completed;       /* requests ended with status 0 */
    uint64_t failed;          /* requests ended with another status but those below */
    uint64_t timed_out;       /* requests ended by their timeout */
    uint64_t cancelled;       /* requests ended by cancel or destroy */
    uint64_t forward_hits;    /* lookups answered from the cache */
    uint64_t forward_misses;  /* lookups not in the cache */
    uint64_t negative_hits;   /* requests answered by a cached failure */
    uint64_t reverse_hits;    /* reverse requests answered from the cache */
    uint64_t reverse_misses;  /* reverse requests not in the cache */
    uint64_t refreshes;       /* entries renewed ahead of their end */
    uint64_t reserved[4];     /* zero */
} async_resolver_stats_t;

/*
 * Makes a resolver that announces its results to runtime by completions with the key.
 *
 * options: NULL for the defaults; read during the call only.  The caller owns the resolver and ends
 * it with async_resolver_destroy().
 * Loop thread.  Does not block; allocates.
 * Returns the resolver, or NULL: EINVAL (also a bad list of servers), ENOTSUP (an engine that is not
 * built in), ENOMEM, EMFILE, ENFILE (c-ares engine).
 * Since 1.0.
 */
ASYNC_API async_resolver_t *async_resolver_create(async_runtime_t *runtime, uintptr_t completion_key,
                                                  const async_resolver_options_t *options);

/*
 * Cancels what is open and frees the resolver; results not yet taken are freed.  NULL is ignored.
 *
 * Loop thread.  Never waits for a lookup: a thread that is stuck in one is let go.
 * Since 1.0.
 */
ASYNC_API void async_resolver_destroy(async_resolver_t *resolver);

/*
 * Asks for the addresses of host and service, as getaddrinfo() does.
 *
 * host, service: one may be NULL; copied.  hints: may be NULL; copied.  context: handed back.
 * Loop thread.  Does not block; allocates; may start a thread.
 * Returns the request's id (never reused), or 0: EINVAL, EAGAIN (queue_limit, or no thread can be
 * started), ENOMEM.
 * Since 1.0.
 */
ASYNC_API uint64_t async_resolver_lookup(async_resolver_t *resolver, const char *host,
                                         const char *service, const struct addrinfo *hints,
                                         void *context);

/*
 * Asks for the name of an address, as getnameinfo() with NI_NAMEREQD does.
 *
 * address: length bytes, AF_INET or AF_INET6; copied.  context: handed back.
 * Loop thread.  Does not block; allocates; may start a thread.
 * Returns the request's id (never reused), or 0: EINVAL, EAFNOSUPPORT, EAGAIN (queue_limit, or no
 * thread can be started), ENOMEM.
 * Since 1.0.
 */
ASYNC_API uint64_t async_resolver_reverse(async_resolver_t *resolver, const struct sockaddr *address,
                                          socklen_t length, void *context);

/*
 * Ends a request at once with EAI_SYSTEM and ECANCELED.
 *
 * Loop thread.  Does not block or allocate.
 * Returns 0, or -1: EINVAL, ENOENT (ended or unknown).
 * Since 1.0.
 */
ASYNC_API int async_resolver_cancel(async_resolver_t *resolver, uint64_t request_id);

/*
 * Takes the next finished request.
 *
 * Loop thread.  Never blocks, never allocates.
 * Returns the result, the caller's until async_resolver_free_result(), or NULL: EINVAL, EAGAIN (none
 * has finished).
 * Since 1.0.
 */
ASYNC_API async_resolver_result_t *async_resolver_next(async_resolver_t *resolver);

/*
 * Frees a result, also after async_resolver_destroy().  NULL is ignored.
 *
 * Any thread.  Does not block.
 * Since 1.0.
 */
ASYNC_API void async_resolver_free_result(async_resolver_result_t *result);

/*
 * Forgets all cached answers; queries under way are not touched.
 *
 * Loop thread.  Does not block or allocate.
 * Since 1.0.
 */
ASYNC_API void async_resolver_clear_cache(async_resolver_t *resolver);

/*
 * Fills stats.
 *
 * Any thread.  Does not block or allocate.
 * Since 1.0.
 */
ASYNC_API void async_resolver_get_stats(const async_resolver_t *resolver,
                                        async_resolver_stats_t *stats);

#ifdef __cplusplus
}
#endif

#endif /* ASYNCRT_ASYNC_RESOLVER_H */

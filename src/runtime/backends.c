/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "runtime/backend.h"

#include <string.h>

/* The platform's default first.  io_uring is never a default: sandboxes end processes that probe
 * it. */
static const backend_t *const backends[] = {
#ifdef BACKEND_EPOLL
    &backend_epoll,
#endif
#ifdef BACKEND_IOCP
    &backend_iocp,
#endif
#ifdef BACKEND_POLL
    &backend_poll,
#endif
#ifdef BACKEND_URING
    &backend_uring,
#endif
};
#define BACKENDS (sizeof(backends) / sizeof(backends[0]))

static const char *const backend_names[] = {
#ifdef BACKEND_EPOLL
    "epoll",
#endif
#ifdef BACKEND_IOCP
    "iocp",
#endif
#ifdef BACKEND_POLL
    "poll",
#endif
#ifdef BACKEND_URING
    "io_uring",
#endif
    NULL,
};

const backend_t *backend_find(const char *name)
{
    if (name == NULL)
        return strcmp(backend_names[0], "io_uring") != 0 ? backends[0] : NULL;
    for (size_t i = 0; i < BACKENDS; i++) {
        if (strcmp(backends[i]->name, name) == 0)
            return backends[i];
    }
    return NULL;
}

const char *const *async_runtime_backends(void)
{
    return backend_names;
}

/* SPDX-License-Identifier: MIT */
/*
 * runtime_fd.h - what the runtime has to know of the platform's descriptors
 */
#ifndef RUNTIME_FD_H
#define RUNTIME_FD_H

#include <asyncrt/async_types.h>

#ifdef _WIN32
/* Sockets are handles: multiples of four, small in practice. */
static inline size_t runtime_fd_index(async_fd_t fd)
{
    return (size_t)(fd >> 2);
}

static inline async_fd_t runtime_fd_of_index(size_t index)
{
    return (async_fd_t)index << 2;
}

static inline bool runtime_fd_possible(async_fd_t fd)
{
    return fd != ASYNC_INVALID_FD && (fd & 3) == 0 && fd >> 2 <= UINT32_MAX;
}
#else
static inline size_t runtime_fd_index(async_fd_t fd)
{
    return (size_t)fd;
}

static inline async_fd_t runtime_fd_of_index(size_t index)
{
    return (async_fd_t)index;
}

static inline bool runtime_fd_possible(async_fd_t fd)
{
    return fd >= 0;
}
#endif

/* Whether fd is open. */
bool runtime_fd_is_open(async_fd_t fd);

#endif /* RUNTIME_FD_H */

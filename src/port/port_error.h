/* SPDX-License-Identifier: MIT */
/*
 * port_error.h - how a public function fails, and how it keeps errno when it succeeds
 *
 * Internal functions return 0 or an errno value and do not care about errno.  A public function
 * turns that into its own failure value with port_fail_*(), which set errno and the thread's copy
 * for async_last_error(), and restores errno with PORT_KEEP_ERRNO when it has made system calls.
 */
#ifndef PORT_ERROR_H
#define PORT_ERROR_H

#include <stdbool.h>

#include <stddef.h>

#include <errno.h>

/* Sets errno and the calling thread's last error to err. */
void port_error_set(int err);
int port_error_last(void);

static inline int port_fail(int err)
{
    port_error_set(err);
    return -1;
}

static inline bool port_fail_false(int err)
{
    port_error_set(err);
    return false;
}

static inline void *port_fail_null(int err)
{
    port_error_set(err);
    return NULL;
}

/* The usual end of a public function that returns 0 or -1: err 0 restores errno to saved. */
static inline int port_result(int err, int saved)
{
    if (err != 0)
        return port_fail(err);
    errno = saved;
    return 0;
}

#endif /* PORT_ERROR_H */

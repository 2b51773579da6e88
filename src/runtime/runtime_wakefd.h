/* SPDX-License-Identifier: MIT */
/*
 * runtime_wakefd.h - a descriptor that another thread or a signal handler makes readable
 *
 * An eventfd, or a pipe where the system has none: _linux.c or _pipe.c.
 */
#ifndef RUNTIME_WAKEFD_H
#define RUNTIME_WAKEFD_H

typedef struct runtime_wakefd {
    int fd;     /* to wait on */
    int writer; /* the pipe's other end; the same for an eventfd */
} runtime_wakefd_t;

int runtime_wakefd_open(runtime_wakefd_t *wakefd); /* 0, EMFILE, ENFILE, ENOMEM */
void runtime_wakefd_close(runtime_wakefd_t *wakefd);

/* Makes it readable; each call is an edge for those who wait for edges.  Async-signal-safe, any
 * thread, keeps errno, never blocks. */
void runtime_wakefd_signal(const runtime_wakefd_t *wakefd);

/* Makes it unreadable until the next signal. */
void runtime_wakefd_drain(const runtime_wakefd_t *wakefd);

#endif /* RUNTIME_WAKEFD_H */

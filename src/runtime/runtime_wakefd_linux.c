/* SPDX-License-Identifier: MIT */
#include "runtime/runtime_wakefd.h"
#include "port/port_fd.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

int runtime_wakefd_open(runtime_wakefd_t *wakefd)
{
    int err;

    wakefd->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    err = port_fd_above_standard(&wakefd->fd);
    wakefd->writer = wakefd->fd;
    return err;
}

void runtime_wakefd_close(runtime_wakefd_t *wakefd)
{
    close(wakefd->fd);
}

void runtime_wakefd_signal(const runtime_wakefd_t *wakefd)
{
    static const uint64_t one = 1;
    int saved = errno;

    /* EAGAIN after 2^64 signals that nobody has read: it is readable then. */
    while (write(wakefd->writer, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
    errno = saved;
}

void runtime_wakefd_drain(const runtime_wakefd_t *wakefd)
{
    uint64_t count;

    while (read(wakefd->fd, &count, sizeof(count)) < 0 && errno == EINTR)
        continue;
}

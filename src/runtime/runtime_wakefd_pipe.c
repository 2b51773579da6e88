/* SPDX-License-Identifier: MIT */
#include "runtime/runtime_wakefd.h"
#include "port/port_fd.h"

#include <errno.h>
#include <unistd.h>

int runtime_wakefd_open(runtime_wakefd_t *wakefd)
{
    int ends[2] = {-1, -1}, err = port_fd_pipe(ends);

    wakefd->fd = ends[0];
    wakefd->writer = ends[1];
    return err;
}

void runtime_wakefd_close(runtime_wakefd_t *wakefd)
{
    close(wakefd->fd);
    close(wakefd->writer);
}

void runtime_wakefd_signal(const runtime_wakefd_t *wakefd)
{
    int saved = errno;

    /* EAGAIN: the pipe is full, so it is readable */
    while (write(wakefd->writer, "", 1) < 0 && errno == EINTR)
        continue;
    errno = saved;
}

void runtime_wakefd_drain(const runtime_wakefd_t *wakefd)
{
    char bytes[256];

    while (read(wakefd->fd, bytes, sizeof(bytes)) > 0 || errno == EINTR)
        continue;
}

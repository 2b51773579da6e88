/* SPDX-License-Identifier: MIT */
#include "runtime/runtime_wakefd.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int runtime_wakefd_open(runtime_wakefd_t *wakefd)
{
    int fds[2];

    /* Another thread's fork and exec in between may inherit them; pipe2() is not everywhere. */
    if (pipe(fds) != 0)
        return errno;
    for (int i = 0; i < 2; i++) {
        fcntl(fds[i], F_SETFD, FD_CLOEXEC);
        fcntl(fds[i], F_SETFL, O_NONBLOCK);
    }
    wakefd->fd = fds[0];
    wakefd->writer = fds[1];
    return 0;
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

/* SPDX-License-Identifier: MIT */
#include "port/port_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int port_fd_copy(int fd, int *copy)
{
    *copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (*copy >= 0)
        return 0;
    return errno == EINVAL ? EMFILE : errno; /* EINVAL: the limit is below the number asked for */
}

int port_fd_above_standard(int *fd)
{
    int low = *fd, err;

    if (low > STDERR_FILENO)
        return 0;
    if (low < 0)
        return errno;
    err = port_fd_copy(low, fd);
    close(low);
    return err;
}

int port_fd_set_up(int *fd)
{
    int err = port_fd_above_standard(fd);

    if (err != 0)
        return err;
    if (fcntl(*fd, F_SETFD, FD_CLOEXEC) != -1 && fcntl(*fd, F_SETFL, O_NONBLOCK) != -1)
        return 0;
    err = errno;
    close(*fd);
    *fd = -1;
    return err;
}

int port_fd_pipe(int ends[2])
{
    int err = 0;

    /* Another thread's fork and exec in between may inherit them; pipe2() is not everywhere. */
    if (pipe(ends) != 0) {
        ends[0] = ends[1] = -1;
        return errno;
    }
    for (int i = 0; i < 2 && err == 0; i++) {
        err = port_fd_set_up(&ends[i]);
        if (err != 0) {
            close(ends[1 - i]);
            ends[1 - i] = -1;
        }
    }
    return err;
}

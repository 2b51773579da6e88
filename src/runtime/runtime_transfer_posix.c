/* SPDX-License-Identifier: MIT */
/*
 * runtime_transfer_posix.c - sockets have flags for this; other descriptors are asked by poll()
 * first
 *
 * O_NONBLOCK belongs to the open file, which other processes may share, so it is not changed here.
 */
#include "runtime/runtime_transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef PIPE_BUF
#define PIPE_BUF 512
#endif
#ifndef POLLRDHUP
#define POLLRDHUP 0
#endif

/*
 * What a writable descriptor in blocking mode takes without blocking: a pipe PIPE_BUF bytes; a
 * terminal promises less, and a tab or a newline may become several characters on their way.
 */
#define TERMINAL_WRITE 32

/* More at once only brings results that no type holds. */
#define TRANSFER_MAX ((size_t)1 << 30)

static int result(ssize_t rc, size_t *count)
{
    if (rc < 0)
        return errno == EWOULDBLOCK ? EAGAIN : errno;
    *count = (size_t)rc;
    return 0;
}

static bool is_ready(int fd, short events)
{
    struct pollfd pfd = {.fd = fd, .events = events};

    return poll(&pfd, 1, 0) != 0;
}

static int read_other(int fd, void *buffer, size_t length, size_t *count)
{
    int flags = fcntl(fd, F_GETFL);
    ssize_t rc;

    if (flags == -1)
        return errno;
    if ((flags & O_ACCMODE) == O_WRONLY)
        return EBADF; /* as read() says; poll() would never call it readable */
    if (!(flags & O_NONBLOCK) && !is_ready(fd, POLLIN))
        return EAGAIN;
    do {
        rc = read(fd, buffer, length);
    } while (rc < 0 && errno == EINTR);
    return result(rc, count);
}

int runtime_transfer_read(async_fd_t fd, bool *not_socket, void *buffer, size_t length,
                          size_t *count)
{
    ssize_t rc;

    if (length > TRANSFER_MAX)
        length = TRANSFER_MAX;
    if (*not_socket)
        return read_other(fd, buffer, length, count);
    do {
        rc = recv(fd, buffer, length, MSG_DONTWAIT);
    } while (rc < 0 && errno == EINTR);
    if (rc < 0 && errno == ENOTSOCK) {
        *not_socket = true;
        return read_other(fd, buffer, length, count);
    }
    return result(rc, count);
}

/* write() whose SIGPIPE nobody gets: blocked, taken back when it is ours, unblocked. */
static ssize_t write_quietly(int fd, const void *buffer, size_t length)
{
    static const struct timespec now = {0, 0};
    sigset_t pipe_set, old, pending;
    bool blocked_before, pending_before = false;
    ssize_t rc;
    int err;

    sigemptyset(&pipe_set);
    sigaddset(&pipe_set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_set, &old);
    blocked_before = sigismember(&old, SIGPIPE) == 1;
    if (blocked_before) {
        sigpending(&pending);
        pending_before = sigismember(&pending, SIGPIPE) == 1;
    }
    do {
        rc = write(fd, buffer, length);
    } while (rc < 0 && errno == EINTR);
    err = errno;
    if (rc < 0 && err == EPIPE && !pending_before) {
        while (sigtimedwait(&pipe_set, NULL, &now) == -1 && errno == EINTR)
            continue;
    }
    if (!blocked_before)
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = err;
    return rc;
}

static int write_other(int fd, const void *buffer, size_t length, size_t *count)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags == -1)
        return errno;
    if ((flags & O_ACCMODE) == O_RDONLY)
        return EBADF;
    if (!(flags & O_NONBLOCK)) {
        size_t most = isatty(fd) ? TERMINAL_WRITE : PIPE_BUF;

        if (!is_ready(fd, POLLOUT))
            return EAGAIN;
        if (length > most)
            length = most;
    }
    return result(write_quietly(fd, buffer, length), count);
}

int runtime_transfer_write(async_fd_t fd, bool *not_socket, const void *buffer, size_t length,
                           size_t *count)
{
    ssize_t rc;

    if (length > TRANSFER_MAX)
        length = TRANSFER_MAX;
    if (*not_socket)
        return write_other(fd, buffer, length, count);
    do {
        rc = send(fd, buffer, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (rc < 0 && errno == EINTR);
    if (rc < 0 && errno == ENOTSOCK) {
        *not_socket = true;
        return write_other(fd, buffer, length, count);
    }
    return result(rc, count);
}

bool runtime_transfer_zero_is_end(async_fd_t fd)
{
    struct pollfd pfd = {.fd = fd, .events = POLLRDHUP};
    int type = 0;
    socklen_t size = sizeof(type);

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 ||
        (type != SOCK_DGRAM && type != SOCK_RAW))
        return true;
    return poll(&pfd, 1, 0) > 0 && pfd.revents & POLLRDHUP;
}

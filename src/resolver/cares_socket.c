/* SPDX-License-Identifier: MIT */
/*
 * c-ares takes all of these functions or none, and leaves the options of a socket alone that it has
 * from us: non-blocking, close-on-exec and TCP_NODELAY are set here.
 */
#include "resolver/cares_socket.h"
#include "port/port_fd.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static ares_socket_t make(int family, int type, int protocol, void *data)
{
    int fd = socket(family, type, protocol), err = port_fd_set_up(&fd), on = 1;

    (void)data;
    if (err != 0)
        errno = err;
    else if (type == SOCK_STREAM)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

static int end(ares_socket_t fd, void *data)
{
    (void)data;
    return close(fd);
}

static int start(ares_socket_t fd, const struct sockaddr *address, ares_socklen_t size, void *data)
{
    (void)data;
    return connect(fd, address, size);
}

static ares_ssize_t receive(ares_socket_t fd, void *buffer, size_t size, int flags,
                            struct sockaddr *from, ares_socklen_t *from_size, void *data)
{
    (void)data;
    return recvfrom(fd, buffer, size, flags, from, from_size);
}

/* As writev(), without SIGPIPE. */
static ares_ssize_t transmit(ares_socket_t fd, const struct iovec *parts, int count, void *data)
{
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count};

    (void)data;
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static const struct ares_socket_functions functions = {
    .asocket = make,
    .aclose = end,
    .aconnect = start,
    .arecvfrom = receive,
    .asendv = transmit,
};

void cares_socket_use(ares_channel channel)
{
    ares_set_socket_functions(channel, &functions, NULL);
}

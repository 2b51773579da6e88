/* SPDX-License-Identifier: MIT */
/*
 * net.h - the few differences between BSD sockets and Winsock that the examples meet
 *
 * libasyncrt takes descriptors and SOCKETs alike and needs none of this; making, reading and
 * closing them is the program's own work.
 */
#ifndef EXAMPLES_NET_H
#define EXAMPLES_NET_H

#include <asyncrt.h>

#include <stdio.h>
#include <string.h>

#ifdef _WIN32
#include <winsock2.h>
#include <ws2tcpip.h>
#define MSG_NOSIGNAL 0
#define NET_BLOCKED WSAEWOULDBLOCK
#define NET_CONNECTING WSAEWOULDBLOCK
#define NET_OUTPUT SD_SEND
#define popen _popen
#define pclose _pclose
typedef int net_size_t;
#else
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#define NET_BLOCKED EAGAIN
#define NET_CONNECTING EINPROGRESS
#define NET_OUTPUT SHUT_WR
typedef size_t net_size_t;
#endif

enum { NET_END = 0, NET_WAIT = -1, NET_FAILED = -2 };

static inline int net_error(void)
{
#ifdef _WIN32
    return WSAGetLastError();
#else
    return errno;
#endif
}

/* Once, before anything else here. */
static inline int net_start(void)
{
#ifdef _WIN32
    WSADATA data;
    return WSAStartup(MAKEWORD(2, 2), &data) == 0 ? 0 : -1;
#else
    return 0;
#endif
}

static inline void net_close(async_fd_t fd)
{
#ifdef _WIN32
    closesocket(fd);
#else
    close(fd);
#endif
}

/* Non-blocking, and not inherited by the commands that a program runs. */
static inline void net_prepare(async_fd_t fd)
{
    int on = 1;
#ifdef _WIN32
    u_long yes = 1;
    ioctlsocket(fd, (long)FIONBIO, &yes);
    SetHandleInformation((HANDLE)fd, HANDLE_FLAG_INHERIT, 0);
#else
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
#endif
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, (const char *)&on, sizeof(on));
}

static inline int net_address(struct sockaddr_in *to, const char *address, unsigned short port)
{
    memset(to, 0, sizeof(*to));
    to->sin_family = AF_INET;
    to->sin_port = htons(port);
    return inet_pton(AF_INET, address, &to->sin_addr) == 1 ? 0 : -1;
}

static inline async_fd_t net_listen(const char *address, unsigned short port)
{
    struct sockaddr_in at;
    int on = 1;
    async_fd_t fd = (async_fd_t)socket(AF_INET, SOCK_STREAM, 0);

    if (fd == ASYNC_INVALID_FD)
        return fd;
#ifndef _WIN32
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, (const char *)&on, sizeof(on));
#endif
    net_prepare(fd);
    (void)on;
    if (net_address(&at, address, port) != 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 ||
        listen(fd, 1024) != 0) {
        net_close(fd);
        return ASYNC_INVALID_FD;
    }
    return fd;
}

static inline unsigned short net_port(async_fd_t fd)
{
    struct sockaddr_in at;
    socklen_t length = sizeof(at);

    memset(&at, 0, sizeof(at));
    getsockname(fd, (struct sockaddr *)&at, &length);
    return ntohs(at.sin_port);
}

/* The next connection, or ASYNC_INVALID_FD. */
static inline async_fd_t net_accept(async_fd_t listener)
{
    async_fd_t fd = (async_fd_t)accept(listener, NULL, NULL);

    if (fd != ASYNC_INVALID_FD)
        net_prepare(fd);
    return fd;
}

/* A connection under way: WRITE tells when it has ended, and net_connected() how. */
static inline async_fd_t net_connect_to(const struct sockaddr *to, socklen_t length)
{
    async_fd_t fd = (async_fd_t)socket(to->sa_family, SOCK_STREAM, 0);

    if (fd == ASYNC_INVALID_FD)
        return fd;
    net_prepare(fd);
    if (connect(fd, to, length) != 0 && net_error() != NET_CONNECTING) {
        net_close(fd);
        return ASYNC_INVALID_FD;
    }
    return fd;
}

static inline async_fd_t net_connect(const char *address, unsigned short port)
{
    struct sockaddr_in to;

    if (net_address(&to, address, port) != 0)
        return ASYNC_INVALID_FD;
    return net_connect_to((const struct sockaddr *)&to, sizeof(to));
}

static inline bool net_connected(async_fd_t fd)
{
    int error = 0;
    socklen_t length = sizeof(error);

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, (char *)&error, &length) == 0 && error == 0;
}

/* The peer reads an end; what it sends still comes. */
static inline void net_end_output(async_fd_t fd)
{
    shutdown(fd, NET_OUTPUT);
}

/* Bytes read, NET_END, NET_WAIT (nothing there) or NET_FAILED. */
static inline int net_recv(async_fd_t fd, char *buffer, size_t size)
{
    int n = (int)recv(fd, buffer, (net_size_t)size, 0);

    return n >= 0 ? n : net_error() == NET_BLOCKED ? NET_WAIT : NET_FAILED;
}

/* Bytes sent, NET_WAIT (no room) or NET_FAILED. */
static inline int net_send(async_fd_t fd, const char *buffer, size_t size)
{
    int n = (int)send(fd, buffer, (net_size_t)size, MSG_NOSIGNAL);

    return n >= 0 ? n : net_error() == NET_BLOCKED ? NET_WAIT : NET_FAILED;
}

#endif /* EXAMPLES_NET_H */

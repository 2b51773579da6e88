/* SPDX-License-Identifier: MIT */
#include "port/port_winsock.h"
#include "port/port_win32.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

int port_winsock_start(void)
{
    /* Each start needs its own clean-up, and nobody can say when the last user has gone: one that
     * lasts as long as the process.  Two threads may both start it, which is harmless. */
    static _Atomic int started;
    WSADATA data;
    int error;

    if (atomic_load_explicit(&started, memory_order_acquire))
        return 0;
    error = WSAStartup(MAKEWORD(2, 2), &data);
    if (error != 0)
        return error == WSASYSNOTREADY ? ENOTSUP : port_winsock_errno((unsigned long)error);
    atomic_store_explicit(&started, 1, memory_order_release);
    return 0;
}

static const struct {
    unsigned long error;
    int err;
} errors[] = {
    {0, 0},
    {WSA_NOT_ENOUGH_MEMORY, ENOMEM},
    {ERROR_OUTOFMEMORY, ENOMEM},
    {ERROR_NO_SYSTEM_RESOURCES, ENOMEM},
    {ERROR_NOT_ENOUGH_QUOTA, ENOMEM},
    {ERROR_COMMITMENT_LIMIT, ENOMEM},
    {ERROR_TOO_MANY_OPEN_FILES, EMFILE},
    {ERROR_ACCESS_DENIED, EACCES},
    {WSA_INVALID_HANDLE, EBADF},
    {WSA_INVALID_PARAMETER, EINVAL},
    {ERROR_NOT_SUPPORTED, ENOTSUP},
    {ERROR_BROKEN_PIPE, EPIPE},
    {ERROR_NO_DATA, EPIPE},
    {ERROR_PIPE_NOT_CONNECTED, EPIPE},
    {ERROR_NETNAME_DELETED, ECONNRESET},
    {ERROR_SEM_TIMEOUT, ETIMEDOUT},
    {ERROR_MORE_DATA, EMSGSIZE},
    {WSA_OPERATION_ABORTED, ECANCELED},
    {ERROR_CONNECTION_REFUSED, ECONNREFUSED},
    {ERROR_CONNECTION_ABORTED, ECONNABORTED},
    {ERROR_GRACEFUL_DISCONNECT, EPIPE},
    {ERROR_NETWORK_UNREACHABLE, ENETUNREACH},
    {ERROR_HOST_UNREACHABLE, EHOSTUNREACH},
    {ERROR_PORT_UNREACHABLE, ECONNREFUSED},
    {ERROR_PROTOCOL_UNREACHABLE, EHOSTUNREACH},
    {WSAEINTR, EINTR},
    {WSAEBADF, EBADF},
    {WSAEACCES, EACCES},
    {WSAEFAULT, EFAULT},
    {WSAEINVAL, EINVAL},
    {WSAEMFILE, EMFILE},
    {WSAEWOULDBLOCK, EAGAIN},
    {WSAEINPROGRESS, EINPROGRESS},
    {WSAEALREADY, EALREADY},
    {WSAENOTSOCK, ENOTSOCK},
    {WSAEDESTADDRREQ, EDESTADDRREQ},
    {WSAEMSGSIZE, EMSGSIZE},
    {WSAEPROTOTYPE, EPROTOTYPE},
    {WSAENOPROTOOPT, ENOPROTOOPT},
    {WSAEPROTONOSUPPORT, EPROTONOSUPPORT},
    {WSAESOCKTNOSUPPORT, EPROTONOSUPPORT},
    {WSAEOPNOTSUPP, EOPNOTSUPP},
    {WSAEAFNOSUPPORT, EAFNOSUPPORT},
    {WSAEADDRINUSE, EADDRINUSE},
    {WSAEADDRNOTAVAIL, EADDRNOTAVAIL},
    {WSAENETDOWN, ENETDOWN},
    {WSAENETUNREACH, ENETUNREACH},
    {WSAENETRESET, ENETRESET},
    {WSAECONNABORTED, ECONNABORTED},
    {WSAECONNRESET, ECONNRESET},
    {WSAENOBUFS, ENOBUFS},
    {WSAEISCONN, EISCONN},
    {WSAENOTCONN, ENOTCONN},
    {WSAESHUTDOWN, EPIPE},
    {WSAETIMEDOUT, ETIMEDOUT},
    {WSAECONNREFUSED, ECONNREFUSED},
    {WSAEHOSTDOWN, EHOSTUNREACH},
    {WSAEHOSTUNREACH, EHOSTUNREACH},
    {WSAEPROCLIM, EAGAIN},
    {WSAVERNOTSUPPORTED, ENOTSUP},
    {WSANOTINITIALISED, ENOTSUP},
    {WSAEDISCON, EPIPE},
};

int port_winsock_errno(unsigned long error)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (errors[i].error == error)
            return errors[i].err;
    }
    return EIO;
}

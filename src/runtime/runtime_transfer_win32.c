/* SPDX-License-Identifier: MIT */
/*
 * runtime_transfer_win32.c - for standard input from a file only: sockets have overlapped calls
 */
#include "runtime/runtime_transfer.h"
#include "port/port_win32.h"
#include "port/port_winsock.h"

#include <errno.h>

#define TRANSFER_MAX ((size_t)1 << 30)

int runtime_transfer_read(async_fd_t fd, bool *not_socket, void *buffer, size_t length,
                          size_t *count)
{
    DWORD moved = 0, size = (DWORD)(length < TRANSFER_MAX ? length : TRANSFER_MAX), error;

    *not_socket = true;
    if (!ReadFile((HANDLE)fd, buffer, size, &moved, NULL)) {
        error = GetLastError();
        if (error != ERROR_BROKEN_PIPE && error != ERROR_HANDLE_EOF)
            return port_winsock_errno(error);
    }
    *count = moved;
    return 0;
}

int runtime_transfer_write(async_fd_t fd, bool *not_socket, const void *buffer, size_t length,
                           size_t *count)
{
    DWORD moved = 0, size = (DWORD)(length < TRANSFER_MAX ? length : TRANSFER_MAX);

    *not_socket = true;
    if (!WriteFile((HANDLE)fd, buffer, size, &moved, NULL))
        return port_winsock_errno(GetLastError());
    *count = moved;
    return 0;
}

bool runtime_transfer_zero_is_end(async_fd_t fd)
{
    int type = 0, size = sizeof(type);

    return getsockopt((SOCKET)fd, SOL_SOCKET, SO_TYPE, (char *)&type, &size) != 0 ||
           (type != SOCK_DGRAM && type != SOCK_RAW);
}

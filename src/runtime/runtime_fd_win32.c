/* SPDX-License-Identifier: MIT */
#include "runtime/runtime_fd.h"

#include <windows.h>

bool runtime_fd_is_open(async_fd_t fd)
{
    DWORD flags;

    return GetHandleInformation((HANDLE)fd, &flags) != 0;
}

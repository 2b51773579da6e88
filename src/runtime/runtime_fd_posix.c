/* SPDX-License-Identifier: MIT */
#include "runtime/runtime_fd.h"

#include <fcntl.h>

bool runtime_fd_is_open(async_fd_t fd)
{
    return fcntl(fd, F_GETFD) != -1;
}

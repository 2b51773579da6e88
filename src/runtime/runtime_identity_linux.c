/* SPDX-License-Identifier: MIT */
#include "runtime/runtime_identity.h"
#include "port/port_fd.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

int runtime_identity_open(runtime_identity_t *identity)
{
    identity->set = epoll_create1(EPOLL_CLOEXEC);
    return port_fd_above_standard(&identity->set);
}

void runtime_identity_close(runtime_identity_t *identity)
{
    close(identity->set);
}

static int control(runtime_identity_t *identity, int what, int fd)
{
    struct epoll_event event = {.events = EPOLLET | EPOLLONESHOT};

    if (epoll_ctl(identity->set, what, fd, &event) == 0)
        return 0;
    return errno == ELOOP || errno == EINVAL ? EPERM : errno;
}

int runtime_identity_add(runtime_identity_t *identity, int fd, uint64_t *value)
{
    *value = 1;
    return control(identity, EPOLL_CTL_ADD, fd);
}

int runtime_identity_check(runtime_identity_t *identity, int fd, uint64_t value)
{
    (void)value;
    return control(identity, EPOLL_CTL_MOD, fd);
}

int runtime_identity_remove(runtime_identity_t *identity, int fd, uint64_t value)
{
    (void)value;
    return control(identity, EPOLL_CTL_DEL, fd);
}

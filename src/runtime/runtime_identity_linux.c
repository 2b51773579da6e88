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

/* An addition that fails because the file is there already costs the least: a modification asks the
 * file for its state as well. */
int runtime_identity_check(runtime_identity_t *identity, int fd, uint64_t value)
{
    int err = control(identity, EPOLL_CTL_ADD, fd);

    (void)value;
    if (err == EEXIST)
        return 0;
    if (err == 0)
        (void)control(identity, EPOLL_CTL_DEL, fd);
    /* refused before it was looked for, as a set that is nested too deep by now */
    if (err == EPERM)
        err = control(identity, EPOLL_CTL_MOD, fd);
    else if (err != EBADF)
        err = ENOENT;
    return err == EPERM ? ENOENT : err;
}

int runtime_identity_remove(runtime_identity_t *identity, int fd, uint64_t value)
{
    (void)value;
    return control(identity, EPOLL_CTL_DEL, fd);
}

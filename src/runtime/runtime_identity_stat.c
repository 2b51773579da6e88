/* SPDX-License-Identifier: MIT */
#include "runtime/runtime_identity.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

int runtime_identity_open(runtime_identity_t *identity)
{
    identity->set = -1;
    return 0;
}

void runtime_identity_close(runtime_identity_t *identity)
{
    (void)identity;
}

/* Devices that poll() calls ready at any time; epoll refuses them, and so do we. */
static bool is_always_ready(const struct stat *st)
{
    static const char *const devices[] = {"/dev/null", "/dev/zero"};
    struct stat device;

    if (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode) || S_ISBLK(st->st_mode))
        return true;
    for (size_t i = 0; S_ISCHR(st->st_mode) && i < sizeof(devices) / sizeof(devices[0]); i++) {
        if (stat(devices[i], &device) == 0 && device.st_rdev == st->st_rdev)
            return true;
    }
    return false;
}

/* The identity of the file that is open under fd.  Sockets and pipes have inodes of their own. */
static int identify(int fd, uint64_t *identity, bool *refused)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return errno;
    /* never 0: that is no registration */
    *identity = ((uint64_t)st.st_ino ^ (uint64_t)st.st_dev * UINT64_C(0x9E3779B97F4A7C15) ^
                 (uint64_t)st.st_rdev << 40) |
                UINT64_C(1) << 63;
    if (refused != NULL)
        *refused = is_always_ready(&st);
    return 0;
}

int runtime_identity_add(runtime_identity_t *identity, int fd, uint64_t *value)
{
    uint64_t before = *value;
    bool refused;
    int err = identify(fd, value, &refused);

    (void)identity;
    if (err != 0)
        return err;
    if (refused)
        return EPERM;
    return *value == before ? EEXIST : 0;
}

int runtime_identity_check(runtime_identity_t *identity, int fd, uint64_t value)
{
    uint64_t now;
    int err = identify(fd, &now, NULL);

    (void)identity;
    if (err != 0)
        return err;
    return now == value ? 0 : ENOENT;
}

int runtime_identity_remove(runtime_identity_t *identity, int fd, uint64_t value)
{
    return runtime_identity_check(identity, fd, value);
}

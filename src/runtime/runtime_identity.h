/* SPDX-License-Identifier: MIT */
/*
 * runtime_identity.h - whether a descriptor is still the file that was registered
 *
 * For backends whose system call keeps no registrations.  _linux.c asks an epoll set that nobody
 * waits on: it is keyed by number and file, and forgets what is closed.  _stat.c compares device
 * and inode numbers; files that share an inode it cannot tell apart.
 */
#ifndef RUNTIME_IDENTITY_H
#define RUNTIME_IDENTITY_H

#include <stdint.h>

typedef struct runtime_identity {
    int set; /* -1 in _stat.c */
} runtime_identity_t;

int runtime_identity_open(runtime_identity_t *identity); /* 0, EMFILE, ENFILE, ENOMEM */
void runtime_identity_close(runtime_identity_t *identity);

/*
 * Remembers fd.  *value: kept by the caller for the registration; on entry that of the one before
 * of this number, 0: none.  Returns 0, EEXIST (the same file is known already), EBADF, EPERM (a
 * regular file, a directory, or a device that is always ready), ENOMEM, ENOSPC.
 */
int runtime_identity_add(runtime_identity_t *identity, int fd, uint64_t *value);

/* 0, EBADF (closed) or ENOENT (another file now); remove forgets it as well. */
int runtime_identity_check(runtime_identity_t *identity, int fd, uint64_t value);
int runtime_identity_remove(runtime_identity_t *identity, int fd, uint64_t value);

#endif /* RUNTIME_IDENTITY_H */

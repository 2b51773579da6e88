/* SPDX-License-Identifier: MIT */
/*
 * runtime_transfer.h - one read or write that does not block, whatever the descriptor's mode
 */
#ifndef RUNTIME_TRANSFER_H
#define RUNTIME_TRANSFER_H

#include <asyncrt/async_types.h>

/*
 * Reads or writes up to length bytes (at least 1).  Returns 0 with *count (reading 0: end of
 * file, or an empty datagram), EAGAIN, or another errno value.  *not_socket remembers what fd is;
 * false at first.  Writing raises no SIGPIPE.
 */
int runtime_transfer_read(async_fd_t fd, bool *not_socket, void *buffer, size_t length,
                          size_t *count);
int runtime_transfer_write(async_fd_t fd, bool *not_socket, const void *buffer, size_t length,
                           size_t *count);

/* Whether a read of 0 bytes is the end of file; of a datagram socket: its reading half is shut. */
bool runtime_transfer_zero_is_end(async_fd_t fd);

#endif /* RUNTIME_TRANSFER_H */

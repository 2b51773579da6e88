/* SPDX-License-Identifier: MIT */
/*
 * port_fd.h - descriptors of the library's own (POSIX)
 *
 * A program may run with descriptor 0, 1 or 2 closed, and the system gives out the lowest number
 * first.  A descriptor of ours under one of those numbers would get what anybody prints, so
 * whatever the library opens for longer than a call goes through here at once.
 */
#ifndef PORT_FD_H
#define PORT_FD_H

/* A close-on-exec copy of fd above the standard ones.  0, EBADF or EMFILE: *copy is -1 then. */
int port_fd_copy(int fd, int *copy);

/*
 * Moves a new descriptor, close-on-exec and in nobody else's hands, above the standard ones.  *fd
 * may be -1, with errno as the call has left it that was to make it.  Returns 0, or an errno value
 * (that one, or EMFILE): *fd is closed and -1 then.
 */
int port_fd_above_standard(int *fd);

/* The same, and makes it close-on-exec and non-blocking. */
int port_fd_set_up(int *fd);

/* A pipe, set up so: ends[0] to read, ends[1] to write.  0, EMFILE or ENFILE: both are -1 then. */
int port_fd_pipe(int ends[2]);

#endif /* PORT_FD_H */

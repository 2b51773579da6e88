/* SPDX-License-Identifier: MIT */
/*
 * port_winsock.h - the sockets of Windows: their start, and their errors as errno values
 */
#ifndef PORT_WINSOCK_H
#define PORT_WINSOCK_H

/* Loads the socket library of this process, once; it stays loaded.  Returns 0 or an errno value. */
int port_winsock_start(void);

/* The errno value of an error of Winsock, or of the system when it does Winsock's work; EIO for
 * those that have none. */
int port_winsock_errno(unsigned long error);

#endif /* PORT_WINSOCK_H */

/* SPDX-License-Identifier: MIT */
/*
 * cares_socket.h - sockets for c-ares that are never descriptor 0, 1 or 2
 */
#ifndef CARES_SOCKET_H
#define CARES_SOCKET_H

#include <ares.h>

/* The channel makes its sockets so from here on. */
void cares_socket_use(ares_channel channel);

#endif /* CARES_SOCKET_H */

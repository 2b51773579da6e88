/* SPDX-License-Identifier: MIT */
/*
 * echo.h - what the echo servers of bench/runtime share
 */
#ifndef ECHO_H
#define ECHO_H

#define ECHO_REQUEST 64
#define ECHO_BUFFER 4096

/* The next connection, not blocking and without delay; -1: none. */
int echo_accept(int listener);

void echo_no_delay(int fd);

#endif /* ECHO_H */

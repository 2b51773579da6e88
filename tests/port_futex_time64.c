/* SPDX-License-Identifier: MIT */
/*
 * port_futex_time64.c - the futex as on 32-bit systems that have the call with 64-bit times only
 */
#include <sys/syscall.h>

#undef SYS_futex
#include "port/port_futex_linux.c"

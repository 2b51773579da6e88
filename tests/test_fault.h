/* SPDX-License-Identifier: MIT */
/*
 * test_fault.h - refuse allocations and threads; for test programs that are linked with the
 * library's objects, and their test_fault_posix.c or _win32.c with the call that it replaces
 */
#ifndef TEST_FAULT_H
#define TEST_FAULT_H

#include "port/port_memory.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* What is left before the next one is refused; below 0: never.  Then `refused` counts. */
extern _Atomic int test_allocations_left;
extern _Atomic int test_threads_left;
extern _Atomic int test_refused;
extern _Atomic int test_refuse_for_good;

/* Takes one; false when it is to be refused. */
bool test_take(_Atomic int *left);

bool test_memory_hook(size_t size);

/* For a fixture: nothing is refused. */
void test_fault_reset(void);

#endif /* TEST_FAULT_H */

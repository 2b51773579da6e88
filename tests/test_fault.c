/* SPDX-License-Identifier: MIT */
#include "test_fault.h"

_Atomic int test_allocations_left = -1;
_Atomic int test_threads_left = -1;
_Atomic int test_refused;
_Atomic int test_refuse_for_good;

bool test_take(_Atomic int *left)
{
    int before = atomic_load(left);

    if (before < 0)
        return true;
    if (before == 0) {
        atomic_fetch_add(&test_refused, 1);
        if (!atomic_load(&test_refuse_for_good))
            atomic_store(left, -1);
        return false;
    }
    atomic_store(left, before - 1);
    return true;
}

bool test_memory_hook(size_t size)
{
    (void)size;
    return test_take(&test_allocations_left);
}

void test_fault_reset(void)
{
    port_memory_set_hook(NULL);
    atomic_store(&test_allocations_left, -1);
    atomic_store(&test_threads_left, -1);
    atomic_store(&test_refused, 0);
    atomic_store(&test_refuse_for_good, 0);
}

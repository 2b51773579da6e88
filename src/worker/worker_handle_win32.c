/* SPDX-License-Identifier: MIT */
/*
 * The stop handle on Windows: a manual-reset event, whose HANDLE is what is packed.
 */
#include "worker/worker_handle.h"

#include <errno.h>

#include <windows.h>

int worker_handle_get(worker_handle_t *handle, async_handle_t *out)
{
    uint64_t made = atomic_load_explicit(&handle->made, memory_order_acquire);
    HANDLE event;

    if (made == WORKER_HANDLE_NONE) {
        event = CreateEventW(NULL, TRUE, FALSE, NULL);
        if (event == NULL)
            return ENOMEM;
        /* pairs with the load in worker_handle_signal */
        if (atomic_compare_exchange_strong_explicit(&handle->made, &made, (uintptr_t)event,
                                                    memory_order_seq_cst, memory_order_acquire))
            made = (uintptr_t)event;
        else
            CloseHandle(event); /* another thread was first */
    }
    *out = (async_handle_t)(uintptr_t)made;
    return 0;
}

void worker_handle_signal(worker_handle_t *handle)
{
    /* pairs with the compare-and-swap in worker_handle_get */
    uint64_t made = atomic_load_explicit(&handle->made, memory_order_seq_cst);

    if (made != WORKER_HANDLE_NONE)
        SetEvent((HANDLE)(uintptr_t)made);
}

void worker_handle_close(worker_handle_t *handle)
{
    uint64_t made = atomic_load_explicit(&handle->made, memory_order_acquire);

    if (made != WORKER_HANDLE_NONE)
        CloseHandle((HANDLE)(uintptr_t)made);
}

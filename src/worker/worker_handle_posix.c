/* SPDX-License-Identifier: MIT */
/*
 * The stop handle where there is no eventfd: a pipe, whose two ends are packed into one word.
 */
#include "worker/worker_handle.h"
#include "port/port_fd.h"

#include <errno.h>
#include <unistd.h>

static int read_end(uint64_t made)
{
    return (int)(made >> 32);
}

static int write_end(uint64_t made)
{
    return (int)(made & UINT32_MAX);
}

static int make(uint64_t *made)
{
    int ends[2], err = port_fd_pipe(ends);

    if (err != 0)
        return err;
    *made = (uint64_t)ends[0] << 32 | (uint64_t)ends[1];
    return 0;
}

int worker_handle_get(worker_handle_t *handle, async_handle_t *out)
{
    uint64_t made = atomic_load_explicit(&handle->made, memory_order_acquire);
    uint64_t mine = WORKER_HANDLE_NONE;
    int err;

    if (made == WORKER_HANDLE_NONE) {
        err = make(&mine);
        if (err != 0)
            return err;
        /* pairs with the load in worker_handle_signal */
        if (atomic_compare_exchange_strong_explicit(&handle->made, &made, mine,
                                                    memory_order_seq_cst, memory_order_acquire)) {
            made = mine;
        } else { /* another thread was first */
            close(read_end(mine));
            close(write_end(mine));
        }
    }
    *out = read_end(made);
    return 0;
}

void worker_handle_signal(worker_handle_t *handle)
{
    /* pairs with the compare-and-swap in worker_handle_get */
    uint64_t made = atomic_load_explicit(&handle->made, memory_order_seq_cst);
    int saved = errno;

    /* a full pipe is readable already, so a failure needs no answer */
    if (made != WORKER_HANDLE_NONE && write(write_end(made), "", 1) == -1)
        errno = saved;
}

void worker_handle_close(worker_handle_t *handle)
{
    uint64_t made = atomic_load_explicit(&handle->made, memory_order_acquire);
    int saved = errno;

    if (made != WORKER_HANDLE_NONE) {
        close(read_end(made));
        close(write_end(made));
    }
    errno = saved;
}

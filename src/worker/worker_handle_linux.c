/* SPDX-License-Identifier: MIT */
/*
 * The stop handle on Linux: an eventfd, whose number is what is packed.
 */
#include "worker/worker_handle.h"
#include "port/port_fd.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

int worker_handle_get(worker_handle_t *handle, async_handle_t *out)
{
    uint64_t made = atomic_load_explicit(&handle->made, memory_order_acquire);

    if (made == WORKER_HANDLE_NONE) {
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), err = port_fd_above_standard(&fd);

        if (err != 0)
            return err == ENODEV ? ENFILE : err;
        /* pairs with the load in worker_handle_signal */
        if (atomic_compare_exchange_strong_explicit(&handle->made, &made, (uint64_t)fd,
                                                    memory_order_seq_cst, memory_order_acquire))
            made = (uint64_t)fd;
        else
            close(fd); /* another thread was first */
    }
    *out = (int)made;
    return 0;
}

void worker_handle_signal(worker_handle_t *handle)
{
    /* pairs with the compare-and-swap in worker_handle_get */
    uint64_t made = atomic_load_explicit(&handle->made, memory_order_seq_cst);
    uint64_t one = 1;
    int saved = errno;

    /* a full counter is readable already, so a failure needs no answer */
    if (made != WORKER_HANDLE_NONE && write((int)made, &one, sizeof(one)) == -1)
        errno = saved;
}

void worker_handle_close(worker_handle_t *handle)
{
    uint64_t made = atomic_load_explicit(&handle->made, memory_order_acquire);
    int saved = errno;

    if (made != WORKER_HANDLE_NONE)
        close((int)made);
    errno = saved;
}

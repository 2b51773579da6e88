/* SPDX-License-Identifier: MIT */
#include "port/port_memory.h"
#include "port/port_compiler.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#include <malloc.h>
#endif

/* Set by tests before the threads that allocate start; read by every allocation. */
static _Atomic(port_memory_hook_t) memory_hook;

void port_memory_set_hook(port_memory_hook_t hook)
{
    atomic_store_explicit(&memory_hook, hook, memory_order_release);
}

/* No object is larger than PTRDIFF_MAX: the difference of two pointers into it would not be
 * defined. */
static bool allowed(size_t size)
{
    port_memory_hook_t hook = atomic_load_explicit(&memory_hook, memory_order_acquire);

    return size <= PTRDIFF_MAX && (PORT_LIKELY(hook == NULL) || hook(size));
}

void *port_alloc(size_t size)
{
    return allowed(size) ? malloc(size != 0 ? size : 1) : NULL;
}

void *port_zalloc(size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size)
        return NULL;
    return allowed(count * size) ? calloc(count != 0 ? count : 1, size != 0 ? size : 1) : NULL;
}

void *port_realloc(void *old, size_t size)
{
    return allowed(size) ? realloc(old, size != 0 ? size : 1) : NULL;
}

char *port_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = port_alloc(size);

    if (copy != NULL)
        memcpy(copy, text, size);
    return copy;
}

void port_free(void *memory)
{
    int saved = errno;

    free(memory);
    errno = saved;
}

void *port_alloc_aligned(size_t size, size_t align)
{
    if (!allowed(size))
        return NULL;
#ifdef _WIN32
    return _aligned_malloc(size != 0 ? size : 1, align);
#else
    void *memory = NULL;

    return posix_memalign(&memory, align, size != 0 ? size : 1) == 0 ? memory : NULL;
#endif
}

void port_free_aligned(void *memory)
{
#ifdef _WIN32
    int saved = errno;

    _aligned_free(memory);
    errno = saved;
#else
    port_free(memory);
#endif
}

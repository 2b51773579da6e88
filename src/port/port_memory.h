/* SPDX-License-Identifier: MIT */
/*
 * port_memory.h - every allocation of the library, with a hook that lets tests refuse and count
 * them
 */
#ifndef PORT_MEMORY_H
#define PORT_MEMORY_H

#include <stdbool.h>

#include <stddef.h>

/* All return NULL when there is no memory, when a size overflows, or when the hook refuses. */
void *port_alloc(size_t size);
void *port_zalloc(size_t count, size_t size); /* zeroed */
void *port_realloc(void *old, size_t size);   /* old stays valid on failure */
char *port_strdup(const char *text);
void port_free(void *memory); /* of the four above; keeps errno; NULL is ignored */

/* align: a power of two, at least sizeof(void *).  Freed by its own function. */
void *port_alloc_aligned(size_t size, size_t align);
void port_free_aligned(void *memory);

/*
 * Tests only: called before each allocation, false makes it fail.  NULL takes the hook away.  May
 * be called by any thread that allocates.
 */
typedef bool (*port_memory_hook_t)(size_t size);
void port_memory_set_hook(port_memory_hook_t hook);

#endif /* PORT_MEMORY_H */

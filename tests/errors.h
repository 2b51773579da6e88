/* SPDX-License-Identifier: MIT */
/*
 * errors.h - between test_errors.c, which compares, and errors_*.c, which provoke failures
 */
#ifndef ERRORS_H
#define ERRORS_H

#include "port/port_memory.h"

#include <asyncrt.h>
#include <errno.h>

/* More than a process has addresses for. */
#define ERRORS_STACK_TOO_LARGE (SIZE_MAX / 4 * 3)

/* Notes that the function was seen to fail so, and complains when it was not. */
void errors_note(const char *name, int code, int holds, const char *file, int line);

bool errors_no_memory(size_t size); /* a hook that refuses */

/* Sleeps, so that other threads come to where they wait. */
void errors_rest(int ms);

/* Ends the test when there is no object to test with. */
void errors_need(const void *object);

/* Runs provoke where no descriptor is left. */
void errors_without_descriptors(void (*provoke)(void));

/*
 * FAILS(queue_peek, EAGAIN, (queue, NULL) == NULL): the call async_queue_peek(queue, NULL) returns
 * NULL with errno and async_last_error() EAGAIN.
 */
#define FAILS(name, code, call_and_result)                             \
    do {                                                               \
        int holds_;                                                    \
        errno = 0;                                                     \
        holds_ = async_##name call_and_result;                         \
        errors_note("async_" #name, code, holds_, __FILE__, __LINE__); \
    } while (0)

/* The same with ENOMEM, while every allocation fails. */
#define FAILS_WITHOUT_MEMORY(name, call_and_result) \
    do {                                            \
        port_memory_set_hook(errors_no_memory);     \
        FAILS(name, ENOMEM, call_and_result);       \
        port_memory_set_hook(NULL);                 \
    } while (0)

void errors_of_queue(void);
void errors_of_worker(void);
void errors_of_runtime(void);
void errors_of_pool(void);
void errors_of_console(void);
void errors_of_resolver(void);
void errors_of_inherited(void); /* in the child of a fork */

#endif /* ERRORS_H */

/* SPDX-License-Identifier: MIT */
/*
 * async_types.h - what the other headers share: the export macro, descriptors, handles
 *
 * Not to be included by itself; every other header does.
 */
#ifndef ASYNCRT_ASYNC_TYPES_H
#define ASYNCRT_ASYNC_TYPES_H

#include <stddef.h>

#include <stdbool.h>

#include <stdint.h>

/*
 * ASYNC_API marks an exported function.  On Windows a program that links the static library defines
 * ASYNCRT_STATIC (pkg-config --static does); elsewhere nothing is needed.
 */
#if defined(_WIN32) || defined(__CYGWIN__)
#if defined(ASYNCRT_STATIC)
#define ASYNC_API
#elif defined(ASYNCRT_BUILD)
#if defined(DLL_EXPORT)
#define ASYNC_API __declspec(dllexport)
#else
#define ASYNC_API
#endif
#else
#define ASYNC_API __declspec(dllimport)
#endif
#elif defined(__GNUC__) && __GNUC__ >= 4
#define ASYNC_API __attribute__((visibility("default")))
#else
#define ASYNC_API
#endif

/* What the system waits on: a file descriptor; on Windows a SOCKET (same width, no winsock header). */
#if defined(_WIN32)
typedef uintptr_t async_fd_t;
typedef void *async_handle_t; /* HANDLE */
#else
typedef int async_fd_t;
typedef int async_handle_t;
#endif

#define ASYNC_INVALID_FD ((async_fd_t)-1)

/* What standard input is.  Values are fixed; new ones are only appended. */
typedef enum {
    ASYNC_CONSOLE_TYPE_NONE = 0, /* closed, the null device, or not asked for */
    ASYNC_CONSOLE_TYPE_REAL = 1, /* a terminal */
    ASYNC_CONSOLE_TYPE_PIPE = 2, /* a pipe, FIFO or socket */
    ASYNC_CONSOLE_TYPE_FILE = 3  /* a regular file */
} async_console_type_t;

#endif /* ASYNCRT_ASYNC_TYPES_H */

/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h - what the fuzz targets share: reading an input as a program of calls, and failing
 *
 * A target is one LLVMFuzzerTestOneInput(), which runs the library beside a model of it.  It is
 * linked with libFuzzer (tools/fuzz), or with fuzz_main.c (make check), which replays files and
 * tries a number of random inputs that are the same each time.  Targets use the internal library,
 * so that its parts can be reached one by one.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <asyncrt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef ERROR /* of <windows.h>, which comes with the resolver's header */

#if defined(__GNUC__) && !defined(_WIN32)
#define FUZZ_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define FUZZ_PRINTF(text, first)
#endif

#define FUZZ_ERRNO 4711 /* no errno value: shows that a success has left errno alone */

/* The target's own. */
extern const char fuzz_name[];      /* its corpus is tests/fuzz/corpus/NAME */
extern const unsigned fuzz_rounds;  /* random inputs in make check: a second's worth at most */
extern const size_t fuzz_max_input; /* bytes of one */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An input, read from its beginning; after its end it gives zeros. */
typedef struct fuzz_input {
    const uint8_t *at, *end;
} fuzz_input_t;

static inline bool fuzz_more(const fuzz_input_t *input)
{
    return input->at != input->end;
}

static inline uint8_t fuzz_byte(fuzz_input_t *input)
{
    return input->at != input->end ? *input->at++ : 0;
}

/* 0 to limit - 1. */
static inline unsigned fuzz_below(fuzz_input_t *input, unsigned limit)
{
    unsigned value = fuzz_byte(input);

    if (limit > 256)
        value = value << 8 | fuzz_byte(input);
    return value % limit;
}

static inline void fuzz_bytes(fuzz_input_t *input, void *to, size_t size)
{
    unsigned char *bytes = to;

    for (size_t i = 0; i < size; i++)
        bytes[i] = fuzz_byte(input);
}

/* With FUZZ_TRACE in the environment: what the program does, a line for each call. */
FUZZ_PRINTF(1, 2) static inline void fuzz_trace(const char *format, ...)
{
    va_list args;

    if (getenv("FUZZ_TRACE") == NULL)
        return;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

FUZZ_PRINTF(4, 5)
static inline void fuzz_fail(const char *file, int line, const char *what, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "%s:%d: not %s: ", file, line, what);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

/* FUZZ_CHECK(condition, FORMAT, ...): ends the program when the library has broken its promise. */
#define FUZZ_CHECK(condition, ...)                                  \
    do {                                                            \
        if (!(condition))                                           \
            fuzz_fail(__FILE__, __LINE__, #condition, __VA_ARGS__); \
    } while (0)

#endif /* FUZZ_H */

/* SPDX-License-Identifier: MIT */
/*
 * console_test.h - what the console's tests share: a console and its lines
 *
 * A helper that cannot do its work fails the test.
 */
#ifndef CONSOLE_TEST_H
#define CONSOLE_TEST_H

#include "testlib.h"

#include <stdio.h>

#define CT_WAIT_MS 20000 /* how long a test waits for what must come */
#define CT_QUIET_MS 30   /* how long a test listens for what must not come */
#define CT_KEY ((uintptr_t)-3)

/* A console with what belongs to it. */
typedef struct ct_console {
    async_runtime_t *runtime;
    async_queue_t *lines;
    async_console_t *console;
    unsigned announced; /* completions with data 0 */
    unsigned ended;     /* completions with data 1 */
    char *text;         /* the last message */
    size_t size;
    size_t max_size;
} ct_console_t;

/* ---- the console */

void ct_open(ct_console_t *ct, size_t capacity, size_t max_msg_size, async_queue_flags_t flags);
void ct_close(ct_console_t *ct);

/* Takes completions for up to timeout_ms; false when none came. */
bool ct_wait(ct_console_t *ct, int timeout_ms);

/* Takes the next line as a program does it: dequeue, and wait on EAGAIN; false at the end. */
bool ct_next(ct_console_t *ct);

/* The next line is text (without its NUL); there is no other line; the end comes, after all lines.
 */
void ct_expect(ct_console_t *ct, const char *text);
void ct_expect_bytes(ct_console_t *ct, const char *bytes, size_t size);
void ct_expect_nothing(ct_console_t *ct);
void ct_expect_end(ct_console_t *ct);

void ct_text(async_handle_t file, const char *text);

/* ---- the process */

bool ct_is_slow(void);         /* under valgrind, or under wine */
long ct_reader_switches(void); /* voluntary context switches of the console's reader; 0: not told */

/* The suites that this platform has. */
void ct_add_suites(SRunner *runner);

Suite *ct_suite_input(void);

#endif /* CONSOLE_TEST_H */

/* SPDX-License-Identifier: MIT */
/*
 * console_test.h - what the console's tests share: standard input replaced, lines awaited,
 * terminals, child processes
 *
 * A helper that cannot do its work fails the test.  Each test runs in a process of its own, so that
 * standard input may be replaced at will.
 */
#ifndef CONSOLE_TEST_H
#define CONSOLE_TEST_H

#include <asyncrt.h>

#include <check.h>

#include <errno.h>

#include <stdio.h>

#include <stdlib.h>

#include <string.h>

#include <sys/types.h>

#include <termios.h>

#include <unistd.h>

#define CT_WAIT_MS 20000 /* how long a test waits for what must come */
#define CT_QUIET_MS 30   /* how long a test listens for what must not come */
#define CT_KEY ((uintptr_t)-3)

/* ThreadSanitizer gives up on threads in the child of a fork. */
#ifdef __SANITIZE_THREAD__
#define CT_THREADS_AFTER_FORK false
#else
#define CT_THREADS_AFTER_FORK true
#endif

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

/* A pseudo-terminal. */
typedef struct ct_terminal {
    int master;
    int slave; /* kept open, so that its modes can be looked at when the child is gone */
    struct termios before;
} ct_terminal_t;

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

/* ---- standard input */

void ct_stdin(int fd);   /* becomes standard input; fd itself is closed */
int ct_stdin_pipe(void); /* returns the writing end */
void ct_stdin_file(const char *bytes, size_t size);
void ct_write(int fd, const char *bytes, size_t size);
void ct_text(int fd, const char *text);

/* ---- terminals */

void ct_terminal_open(ct_terminal_t *terminal);
void ct_terminal_stdin(ct_terminal_t *terminal); /* the slave becomes standard input */
void ct_terminal_close(ct_terminal_t *terminal);
bool ct_terminal_is_restored(const ct_terminal_t *terminal);
tcflag_t ct_terminal_flags(const ct_terminal_t *terminal); /* ICANON and ECHO bits */
void ct_terminal_shows(const ct_terminal_t *terminal, const char *text);
void ct_terminal_shows_nothing(const ct_terminal_t *terminal);

/* ---- child processes: run(arg) in a session of its own with the terminal as controlling terminal
 * and standard input; what it returns is its exit status */

typedef struct ct_child {
    pid_t pid;
    int from; /* the child's reports */
    int to;   /* what the test tells it */
} ct_child_t;

typedef int (*ct_run_t)(void *arg);

void ct_child_start(ct_child_t *child, ct_terminal_t *terminal, ct_run_t run, void *arg);
void ct_child_expect(ct_child_t *child, char report);
void ct_child_tell(ct_child_t *child, char order);
int ct_child_wait(ct_child_t *child); /* the wait status */
void ct_report(char report);          /* in the child */
char ct_await(void);                  /* in the child */

/* ---- the process */

bool ct_under_valgrind(void); /* slow, and no signal stops a process */

int ct_fd_count(void);
int ct_thread_count(void);
void ct_await_threads(int count); /* joined threads leave /proc a moment later */
long ct_reader_switches(void);    /* voluntary context switches of the console's reader */

Suite *ct_suite_input(void);
Suite *ct_suite_terminal(void);
Suite *ct_suite_process(void);

#endif /* CONSOLE_TEST_H */

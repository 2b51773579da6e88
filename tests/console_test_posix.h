/* SPDX-License-Identifier: MIT */
/*
 * console_test_posix.h - terminals and child processes for the console's tests
 */
#ifndef CONSOLE_TEST_POSIX_H
#define CONSOLE_TEST_POSIX_H

#include "console_test.h"

#include <sys/types.h>
#include <termios.h>
#include <unistd.h>

/* ThreadSanitizer gives up on threads in the child of a fork. */
#ifdef __SANITIZE_THREAD__
#define CT_THREADS_AFTER_FORK false
#else
#define CT_THREADS_AFTER_FORK true
#endif

/* A pseudo-terminal. */
typedef struct ct_terminal {
    int master;
    int slave; /* kept open, so that its modes can be looked at when the child is gone */
    struct termios before;
} ct_terminal_t;

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

bool ct_under_valgrind(void); /* no signal stops a process */

Suite *ct_suite_terminal(void);
Suite *ct_suite_process(void);
Suite *ct_suite_posix(void);

#endif /* CONSOLE_TEST_POSIX_H */

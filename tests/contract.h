/* SPDX-License-Identifier: MIT */
/*
 * contract.h - between test_contract.c, which measures, and contract_*.c, which call
 */
#ifndef CONTRACT_H
#define CONTRACT_H

#include <stddef.h>

/*
 * What the calling thread does between the two is measured: its allocations through src/port and
 * its system calls.  A case may measure several stretches.
 */
void contract_begin(void);
void contract_end(void);

/* The bytes that were allocated in the last stretch. */
size_t contract_bytes(void);

/* A case ends the process with this when the platform or the backend cannot do what it needs. */
void contract_skip(void);

#define MEASURE(statement) \
    do {                   \
        contract_begin();  \
        statement;         \
        contract_end();    \
    } while (0)

/* Sleeps, so that other threads come to where they wait. */
void contract_rest(int ms);

/* Ends the case as failed unless the condition holds. */
#define NEED(condition) contract_need((condition) ? 1 : 0, #condition, __FILE__, __LINE__)
void contract_need(int holds, const char *text, const char *file, int line);

typedef struct {
    const char *name;             /* the function; its page's table is what is asserted */
    void (*run)(void);            /* calls it in the ways that its page describes */
    void (*in_handler)(void);     /* AS-Safe functions: calls it once, in a signal handler */
    void (*before_handler)(void); /* makes what in_handler uses; NULL: nothing */
} contract_case_t;

#define CASE(name)                       \
    {                                    \
        "async_" #name, name, NULL, NULL \
    }

/* Each ends with a NULL name. */
extern const contract_case_t contract_queue[]; /* with the functions of asyncrt.h */
extern const contract_case_t contract_worker[];
extern const contract_case_t contract_runtime[];
extern const contract_case_t contract_parts[]; /* pool, console, resolver */

#endif /* CONTRACT_H */

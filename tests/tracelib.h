/* SPDX-License-Identifier: MIT */
/*
 * tracelib.h - which system calls a piece of code makes, counted by ptrace; Linux
 *
 * A scenario runs in a process of its own and marks its sections; each thread counts in the section
 * that it has begun.  The clock and the calls for memory are left out.
 */
#ifndef TRACELIB_H
#define TRACELIB_H

#include <stdbool.h>
#include <stdint.h>

#define TRACE_SECTIONS 16
#define TRACE_RINGS 8
#define TRACE_CALLS 600 /* numbers of system calls; higher ones count as the last */

struct trace_counts {
    unsigned total;
    unsigned calls[TRACE_CALLS]; /* by number */
    unsigned rings;              /* calls of io_uring_setup, and the flags of the first of them */
    uint32_t ring_flags[TRACE_RINGS];
};

/* Runs scenario in a traced child, and fills counts.  False: the system does not let us trace.  A
 * scenario that fails says so by trace_claim(). */
bool trace_run(void (*scenario)(void), struct trace_counts counts[TRACE_SECTIONS]);

/* In the scenario: the calling thread is in this section from now on (1 and up), or in none (0). */
void trace_section(unsigned section);

/* In the scenario: ends the child when the condition does not hold. */
#define trace_claim(condition) trace_claim_at((condition), __FILE__, __LINE__, #condition)
void trace_claim_at(bool condition, const char *file, int line, const char *text);

/* The names and counts of a section, for a failing test. */
const char *trace_text(const struct trace_counts *counts);

#endif /* TRACELIB_H */

/* SPDX-License-Identifier: MIT */
/*
 * tracelib.c - the tracer: it sees each thread enter each system call, marks among them
 */
#include "tracelib.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* No system call has this number: the kernel refuses it, and the tracer sees it. */
#define MARK 0x3a0000

#define CALL_IO_URING_SETUP 425 /* on every processor but alpha */

#define THREADS 16

struct traced {
    pid_t id;
    unsigned section;
};

void trace_section(unsigned section)
{
    (void)syscall(MARK + (long)section);
}

void trace_claim_at(bool condition, const char *file, int line, const char *text)
{
    if (condition)
        return;
    fprintf(stderr, "%s:%d: in the traced process: %s (errno %d)\n", file, line, text, errno);
    _exit(1);
}

const char *trace_text(const struct trace_counts *counts)
{
    static char text[1000];
    size_t length = 0;

    text[0] = '\0';
    for (unsigned i = 0; i < TRACE_CALLS && length < sizeof text - 40; i++)
        if (counts->calls[i] != 0)
            length += (size_t)snprintf(text + length, sizeof text - length, "%u x number %u, ",
                                       counts->calls[i], i);
    return text;
}

static struct traced *find(struct traced threads[THREADS], pid_t id)
{
    for (size_t i = 0; i < THREADS; i++) {
        if (threads[i].id == id)
            return &threads[i];
        if (threads[i].id == 0) {
            threads[i].id = id;
            return &threads[i];
        }
    }
    return NULL;
}

/* Whether the thread is entering a call; at its exit not. */
static bool is_entry(pid_t id, struct __ptrace_syscall_info *info)
{
    memset(info, 0, sizeof *info);
    return ptrace(PTRACE_GET_SYSCALL_INFO, id, (void *)sizeof *info, info) > 0 &&
           info->op == PTRACE_SYSCALL_INFO_ENTRY;
}

/* clock_gettime is a system call only where there is no vDSO; memory has tests of its own, and
 * under a sanitizer it comes in other portions. */
static bool is_counted(int64_t number)
{
    switch (number) {
    case SYS_clock_gettime:
    case SYS_brk:
    case SYS_madvise:
    case SYS_mprotect:
    case SYS_munmap:
#ifdef SYS_mmap
    case SYS_mmap:
#else
    case SYS_mmap2:
#endif
        return false;
    default:
        return number >= 0;
    }
}

/* The flags are the third word of its structure of parameters. */
static void count_ring(const struct traced *thread, uint64_t params, struct trace_counts *counts)
{
    uint32_t words[4] = {0};

    for (size_t at = 0; at < sizeof words; at += sizeof(long)) {
        long word = ptrace(PTRACE_PEEKDATA, thread->id, (void *)(uintptr_t)(params + at), NULL);

        memcpy((char *)words + at, &word, sizeof word);
    }
    if (counts->rings < TRACE_RINGS)
        counts->ring_flags[counts->rings] = words[2];
    counts->rings++;
}

static void count(struct traced *thread, const struct __ptrace_syscall_info *info,
                  struct trace_counts *counts)
{
    int64_t number = (int64_t)info->entry.nr;

    if (number >= MARK && number < MARK + TRACE_SECTIONS) {
        thread->section = (unsigned)(number - MARK);
        return;
    }
    if (!is_counted(number) || thread->section == 0)
        return;
    counts[thread->section].total++;
    counts[thread->section].calls[number < TRACE_CALLS ? number : TRACE_CALLS - 1]++;
    if (number == CALL_IO_URING_SETUP)
        count_ring(thread, info->entry.args[1], &counts[thread->section]);
}

/* Returns the exit status of the first child. */
static int follow(pid_t child, struct trace_counts *counts)
{
    struct traced threads[THREADS];

    memset(threads, 0, sizeof threads);
    for (;;) {
        int status;
        int pass = 0;
        pid_t id = waitpid(-1, &status, __WALL);
        struct __ptrace_syscall_info info;
        struct traced *thread;

        if (id < 0)
            return -1;
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (id == child)
                return status;
            continue;
        }
        thread = find(threads, id);
        if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
            if (thread != NULL && is_entry(id, &info))
                count(thread, &info, counts);
        } else if (WSTOPSIG(status) != SIGTRAP && WSTOPSIG(status) != SIGSTOP) {
            pass = WSTOPSIG(status);
        }
        (void)ptrace(PTRACE_SYSCALL, id, NULL, (void *)(intptr_t)pass);
    }
}

bool trace_run(void (*scenario)(void), struct trace_counts counts[TRACE_SECTIONS])
{
    const char *preload = getenv("LD_PRELOAD");
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
    int status;
    pid_t child;

    memset(counts, 0, TRACE_SECTIONS * sizeof *counts);
    if (preload != NULL && strstr(preload, "vgpreload") != NULL)
        return false; /* valgrind makes its own calls */
    child = fork();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(77);
        (void)raise(SIGSTOP);
        scenario();
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return false;
    if (!WIFSTOPPED(status))
        return false;
    if (ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)options) != 0) {
        (void)kill(child, SIGKILL);
        (void)waitpid(child, &status, 0);
        return false;
    }
    (void)ptrace(PTRACE_SYSCALL, child, NULL, NULL);
    status = follow(child, counts);
    if (status != 0) {
        fprintf(stderr, "the traced process ended with %#x\n", (unsigned)status);
        abort();
    }
    return true;
}

/* SPDX-License-Identifier: MIT */
/*
 * test_contract.c - the contract table of each manual page, asserted
 *
 * For each function the ATTRIBUTES table of its page is read, and the function is called by its
 * case (contract_queue.c and its like) in a process of its own that is traced with ptrace(2):
 *
 *   May allocate no        no call of src/port/port_memory.h by the calling thread
 *   May block no           no system call that can sleep, as its arguments say
 *   System calls           none but those that the table names
 *   Async-signal-safe yes  called in a signal handler that interrupts malloc, stdio and the library
 *
 * Functions of the runtime run on every backend that is built in, those of the resolver on both
 * engines.  Memory that the C library takes from or gives back to the kernel is not counted where
 * the function may allocate or frees.
 */
#include "contract.h"

#include "port/port_memory.h"

#include <asyncrt.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum {
    MARK = 1000001, /* no system call: marks a stretch for the tracer */
    EXIT_SKIP = 77,
    EXIT_NEED = 98,
    EXIT_ALLOCATED = 99,
    MAX_CALLS = 64,
    CASE_SECONDS = 20
};

typedef struct {
    char blocks[256], allocates[256], sigsafe[256], syscalls[2048];
} contract_t;

static int failures;

/* ---- in the traced process */

static _Thread_local int measuring;
static _Thread_local unsigned allocations;
static _Thread_local size_t allocated_bytes; /* in the present stretch */

static bool count_allocation(size_t size)
{
    if (measuring) {
        allocations++;
        allocated_bytes += size;
    }
    return true;
}

void contract_begin(void)
{
    measuring = 1;
    allocated_bytes = 0;
    syscall(MARK, 1);
}

void contract_end(void)
{
    syscall(MARK, 2);
    measuring = 0;
}

size_t contract_bytes(void)
{
    return allocated_bytes;
}

void contract_rest(int ms)
{
    poll(NULL, 0, ms);
}

void contract_skip(void)
{
    _exit(EXIT_SKIP);
}

void contract_need(int holds, const char *text, const char *file, int line)
{
    if (holds)
        return;
    if (measuring)
        contract_end();
    fprintf(stderr, "%s:%d: not so: %s (%s)\n", file, line, text, strerror(errno));
    _exit(EXIT_NEED);
}

static void run_traced(const contract_case_t *test)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(EXIT_SKIP);
    raise(SIGSTOP);
    port_memory_set_hook(count_allocation);
    test->run();
    port_memory_set_hook(NULL);
    _exit(allocations > 0 ? EXIT_ALLOCATED : 0);
}

/* ---- system calls by name */

#define CALL(name)        \
    {                     \
        SYS_##name, #name \
    }
static const struct {
    long number;
    const char *name;
} known[] = {
    CALL(read),
    CALL(write),
    CALL(close),
    CALL(fstat),
    CALL(mmap),
    CALL(mprotect),
    CALL(munmap),
    CALL(brk),
    CALL(rt_sigaction),
    CALL(rt_sigprocmask),
    CALL(ioctl),
    CALL(sched_yield),
    CALL(mremap),
    CALL(madvise),
    CALL(nanosleep),
    CALL(getpid),
    CALL(socket),
    CALL(connect),
    CALL(sendto),
    CALL(recvfrom),
    CALL(sendmsg),
    CALL(recvmsg),
    CALL(bind),
    CALL(getsockname),
    CALL(socketpair),
    CALL(setsockopt),
    CALL(getsockopt),
    CALL(clone),
    CALL(uname),
    CALL(fcntl),
    CALL(gettid),
    CALL(futex),
    CALL(epoll_ctl),
    CALL(tgkill),
    CALL(openat),
    CALL(ppoll),
    CALL(epoll_pwait),
    CALL(eventfd2),
    CALL(epoll_create1),
    CALL(pipe2),
    CALL(readv),
    CALL(writev),
    CALL(rt_sigtimedwait),
    CALL(rt_sigpending),
    CALL(signalfd4),
    CALL(clock_nanosleep),
    CALL(clock_gettime),
    CALL(getrandom),
    CALL(prctl),
    CALL(membarrier),
    CALL(inotify_init1),
    CALL(inotify_add_watch),
    CALL(inotify_rm_watch),
    CALL(io_uring_setup),
    CALL(io_uring_enter),
    CALL(io_uring_register),
    CALL(sched_getaffinity),
    CALL(sendmmsg),
    CALL(lseek),
    CALL(faccessat),
    CALL(dup),
    CALL(sched_getparam),
    CALL(sched_getscheduler),
    CALL(prlimit64),
    CALL(set_robust_list),
    CALL(restart_syscall),
    CALL(pread64),
#ifdef SYS_newfstatat
    CALL(newfstatat),
#endif
#ifdef SYS_clone3
    CALL(clone3),
#endif
#ifdef SYS_rseq
    CALL(rseq),
#endif
#ifdef SYS_epoll_pwait2
    CALL(epoll_pwait2),
#endif
#ifdef SYS_poll
    CALL(poll),
#endif
#ifdef SYS_dup2
    CALL(dup2),
#endif
#ifdef SYS_epoll_wait
    CALL(epoll_wait),
#endif
#ifdef SYS_access
    CALL(access),
#endif
#ifdef SYS_stat
    CALL(stat),
#endif
#ifdef SYS_pipe
    CALL(pipe),
#endif
};

static const char *call_name(long number)
{
    static char text[32];
    size_t i;

    for (i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].number == number)
            return known[i].name;
    snprintf(text, sizeof text, "number_%ld", number);
    return text;
}

/* Whether the time at this address of the process is not 0; a null pointer waits for ever. */
static int is_time(pid_t pid, unsigned long long address)
{
    size_t i;

    if (address == 0)
        return 1;
    for (i = 0; i < 16; i += sizeof(long)) /* two 64-bit members in the kernel's view */
        if (ptrace(PTRACE_PEEKDATA, pid, (void *)(uintptr_t)(address + i), NULL) != 0)
            return 1;
    return 0;
}

/* Whether the call can put its thread to sleep for longer than a lock is held. */
static int can_sleep(pid_t pid, long number, const unsigned long long *args)
{
    switch (number) {
    case SYS_futex:
        /* FUTEX_WAIT and FUTEX_WAIT_BITSET */
        return (args[1] & 127) == 0 || (args[1] & 127) == 9;
    case SYS_nanosleep:
    case SYS_clock_nanosleep:
        return 1;
    case SYS_epoll_pwait:
#ifdef SYS_epoll_wait
    case SYS_epoll_wait:
#endif
        return (int)args[3] != 0;
#ifdef SYS_epoll_pwait2
    case SYS_epoll_pwait2:
        return is_time(pid, args[3]);
#endif
    case SYS_ppoll:
        return is_time(pid, args[2]);
    case SYS_io_uring_enter:
        return args[2] != 0; /* completions to wait for */
#ifdef SYS_poll
    case SYS_poll:
        return (int)args[2] != 0;
#endif
    default:
        return 0;
    }
}

/* ---- the tracer */

typedef struct {
    long calls[MAX_CALLS]; /* different ones, in the order of their first appearance */
    int count;
    int slept;
    int status; /* how the process ended, from waitpid */
} trace_t;

static void note_call(pid_t pid, trace_t *trace, const struct __ptrace_syscall_info *info)
{
    long number = (long)info->entry.nr;
    int i;

    trace->slept |= can_sleep(pid, number, (const unsigned long long *)info->entry.args);
    for (i = 0; i < trace->count; i++)
        if (trace->calls[i] == number)
            return;
    if (trace->count < MAX_CALLS)
        trace->calls[trace->count++] = number;
}

/* Follows the process to its end.  Only its first thread is traced, which is the one that calls. */
static void follow(pid_t pid, trace_t *trace)
{
    struct __ptrace_syscall_info info;
    int status, signal_number, inside = 0;

    memset(trace, 0, sizeof *trace);
    if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
        trace->status = status;
        return;
    }
    ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(long)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
    signal_number = 0;
    for (;;) {
        if (ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(long)signal_number) != 0 && errno == ESRCH)
            continue; /* being killed: waitpid tells */
        if (waitpid(pid, &status, 0) != pid || WIFEXITED(status) || WIFSIGNALED(status))
            break;
        signal_number = WSTOPSIG(status);
        if (signal_number != (SIGTRAP | 0x80))
            continue; /* handed on */
        signal_number = 0;
        if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof info, &info) <= 0 ||
            info.op != PTRACE_SYSCALL_INFO_ENTRY)
            continue;
        if (info.entry.nr == MARK)
            inside = info.entry.args[0] == 1;
        else if (inside)
            note_call(pid, trace, &info);
    }
    trace->status = status;
}

/* ---- the page */

/* The cell after the row that begins with `row`: the rest of the line, or a T{ T} block. */
static void read_cell(const char *page, const char *row, char *cell, size_t size)
{
    const char *line = strstr(page, row), *end;
    size_t length;

    cell[0] = '\0';
    if (line == NULL)
        return;
    line += strlen(row);
    if (strncmp(line, "T{\n", 3) == 0) {
        line += 3;
        end = strstr(line, "\nT}");
    } else {
        end = strchr(line, '\n');
    }
    length = end != NULL ? (size_t)(end - line) : 0;
    if (length >= size)
        length = size - 1;
    memcpy(cell, line, length);
    cell[length] = '\0';
}

static int read_contract(const char *name, contract_t *contract)
{
    const char *srcdir = getenv("srcdir");
    char path[512], page[65536];
    FILE *file;

    snprintf(path, sizeof path, "%s/man/man3/%s.3", srcdir != NULL ? srcdir : ".", name);
    file = fopen(path, "r");
    if (file == NULL)
        return -1;
    page[fread(page, 1, sizeof page - 1, file)] = '\0';
    fclose(file);
    read_cell(page, "\nMay block\t", contract->blocks, sizeof contract->blocks);
    read_cell(page, "\nMay allocate\t", contract->allocates, sizeof contract->allocates);
    read_cell(page, "\nAsync-signal-safe\t", contract->sigsafe, sizeof contract->sigsafe);
    read_cell(page, "\nSystem calls\t", contract->syscalls, sizeof contract->syscalls);
    return contract->blocks[0] && contract->allocates[0] && contract->sigsafe[0] &&
                   contract->syscalls[0]
               ? 0
               : -1;
}

static int says_no(const char *cell)
{
    return strncmp(cell, "no", 2) == 0 && strncmp(cell, "none", 4) != 0;
}

static int is_memory_call(const char *call)
{
    return strcmp(call, "brk") == 0 || strcmp(call, "mmap") == 0 || strcmp(call, "munmap") == 0 ||
           strcmp(call, "mremap") == 0 || strcmp(call, "madvise") == 0 ||
           strcmp(call, "mprotect") == 0;
}

static int is_allowed(const contract_t *contract, const char *function, const char *call)
{
    int frees = strstr(function, "destroy") != NULL || strstr(function, "deinit") != NULL ||
                strstr(function, "free") != NULL || strstr(function, "clear") != NULL;
    char named[64];

    if (is_memory_call(call) && (frees || !says_no(contract->allocates)))
        return 1;
    snprintf(named, sizeof named, "\\fB%s\\fP(2)", call);
    return strstr(contract->syscalls, named) != NULL;
}

/* ---- the checks */

static void complain(const char *name, const char *backend, const char *what, const char *detail)
{
    fprintf(stderr, "FAIL: %s (%s): %s%s\n", name, backend, what, detail);
    failures++;
}

/* Returns whether the case ran (it was not skipped). */
static int check_traced(const contract_case_t *test, const contract_t *contract,
                        const char *variable, const char *backend)
{
    trace_t trace;
    pid_t pid;
    int i, code;

    fflush(NULL);
    /* Another thread may just hold a lock for its few instructions: what sleeps does so each time.
     */
    for (i = 0; i < 5; i++) {
        pid = fork();
        if (pid == 0) {
            alarm(CASE_SECONDS);
            setenv(variable, backend, 1);
            run_traced(test);
        }
        follow(pid, &trace);
        if (!trace.slept || !says_no(contract->blocks))
            break;
    }
    if (!WIFEXITED(trace.status)) {
        complain(test->name, backend, "the case died of ", strsignal(WTERMSIG(trace.status)));
        return 1;
    }
    code = WEXITSTATUS(trace.status);
    if (code == EXIT_SKIP)
        return 0;
    if (code == EXIT_NEED)
        complain(test->name, backend, "the case failed", "");
    if (code == EXIT_ALLOCATED && says_no(contract->allocates))
        complain(test->name, backend, "allocates", "");
    if (SANITIZED)
        return 1;
    if (trace.slept && says_no(contract->blocks))
        complain(test->name, backend, "makes a call that can sleep", "");
    for (i = 0; i < trace.count; i++)
        if (!is_allowed(contract, test->name, call_name(trace.calls[i])))
            complain(test->name, backend, "calls ", call_name(trace.calls[i]));
    return 1;
}

static const contract_case_t *interrupting;
static volatile sig_atomic_t interrupted;

static void on_alarm(int signal_number)
{
    int saved = errno;

    (void)signal_number;
    interrupting->in_handler();
    interrupted++;
    errno = saved;
}

/* Interrupts malloc, stdio and the library itself a few hundred times. */
static void run_in_handler(const contract_case_t *test)
{
    struct itimerval interval = {{0, 300}, {0, 300}};
    struct sigaction action;
    async_queue_t *queue = async_queue_create(4, 64, ASYNC_QUEUE_DROP_OLDEST);
    async_runtime_t *runtime = async_runtime_init();
    async_event_t event;
    FILE *null = fopen("/dev/null", "w");
    char text[64] = "";
    int i;

    if (queue == NULL || runtime == NULL || null == NULL)
        _exit(EXIT_NEED);
    if (test->before_handler != NULL)
        test->before_handler();
    interrupting = test;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_alarm;
    action.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &interval, NULL);
    while (interrupted < 300) {
        free(malloc(1 + (size_t)interrupted * 37));
        fprintf(null, "%d %s\n", (int)interrupted, text);
        async_queue_enqueue(queue, text, sizeof text);
        async_queue_dequeue(queue, text, sizeof text, NULL);
        async_runtime_post_completion(runtime, 1, 2);
        async_runtime_wait(runtime, &event, 1, 0);
        for (i = 0; i < 100; i++)
            (void)async_last_error();
    }
    _exit(0);
}

static void check_handler(const contract_case_t *test, const char *backend)
{
    int status, tenths;
    pid_t pid;

    if (test->in_handler == NULL) {
        complain(test->name, backend, "async-signal-safe, and no case says how", "");
        return;
    }
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        setenv("ASYNCRT_BACKEND", backend, 1);
        run_in_handler(test);
    }
    for (tenths = 0; tenths < CASE_SECONDS * 10; tenths++) {
        if (waitpid(pid, &status, WNOHANG) == pid) {
            if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                complain(test->name, backend, "fails in a signal handler", "");
            return;
        }
        poll(NULL, 0, 100);
    }
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    complain(test->name, backend, "hangs in a signal handler", "");
}

static const contract_case_t *const tables[] = {contract_queue, contract_worker, contract_runtime,
                                                contract_parts};
enum { TABLES = sizeof tables / sizeof tables[0] };

static int has_case(const char *name)
{
    const contract_case_t *test;
    int i;

    for (i = 0; i < TABLES; i++)
        for (test = tables[i]; test->name != NULL; test++)
            if (strcmp(test->name, name) == 0)
                return 1;
    return 0;
}

/* Every page with a contract table has a case. */
static void check_complete(void)
{
    const char *srcdir = getenv("srcdir");
    contract_t contract;
    char path[512];
    struct dirent *entry;
    DIR *directory;

    snprintf(path, sizeof path, "%s/man/man3", srcdir != NULL ? srcdir : ".");
    directory = opendir(path);
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        char *dot = strrchr(entry->d_name, '.');

        if (dot == NULL || strcmp(dot, ".3") != 0)
            continue;
        *dot = '\0';
        if (read_contract(entry->d_name, &contract) != 0)
            continue; /* an overview */
        if (!has_case(entry->d_name))
            complain(entry->d_name, "any", "has a page and no case", "");
    }
    if (directory == NULL)
        complain(path, "any", "cannot be read", "");
    else
        closedir(directory);
}

/* Returns how many times the case ran. */
static int check_function(const contract_case_t *test)
{
    static const char *const engines[] = {"libc", "cares", NULL};
    const char *const *backends = async_runtime_backends();
    const char *variable = "ASYNCRT_BACKEND";
    int everywhere = strncmp(test->name, "async_runtime_", 14) == 0;
    int i, ran = 0;
    contract_t contract;

    if (read_contract(test->name, &contract) != 0) {
        complain(test->name, "any", "no contract table", "");
        return 0;
    }
    if (strncmp(test->name, "async_resolver_", 15) == 0) {
        backends = engines;
        variable = "ASYNCRT_RESOLVER";
        everywhere = 1;
    }
    for (i = 0; backends[i] != NULL && (everywhere || i == 0); i++) {
        ran += check_traced(test, &contract, variable, backends[i]);
        if (strncmp(contract.sigsafe, "yes", 3) == 0)
            check_handler(test, backends[i]);
        else if (test->in_handler != NULL)
            complain(test->name, backends[i], "a case, and the page says no", "");
    }
    if (ran == 0)
        fprintf(stderr, "SKIP: %s\n", test->name);
    return ran;
}

static int tables_apply(void)
{
#ifdef __GLIBC__
    return sizeof(void *) == 8;
#else
    return 0;
#endif
}

int main(int argc, char **argv)
{
    const contract_case_t *test;
    int i, ran = 0;

    if (!tables_apply()) {
        printf("the tables name the calls of the GNU C library on 64-bit machines\n");
        return EXIT_SKIP;
    }
    for (i = 0; i < TABLES; i++)
        for (test = tables[i]; test->name != NULL; test++)
            if (argc < 2 || strcmp(argv[1], test->name) == 0)
                ran += check_function(test);
    if (argc < 2)
        check_complete();
    printf("%d cases, %d failures\n", ran, failures);
    if (ran == 0 && failures == 0)
        return EXIT_SKIP;
    return failures == 0 ? 0 : 1;
}

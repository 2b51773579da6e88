/* SPDX-License-Identifier: MIT */
#include "port/port_thread.h"
#include "port/port_clock.h"
#include "port/port_memory.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct start {
    port_thread_proc_t proc;
    void *arg;
    void (*on_exit)(void *arg);
    char name[PORT_THREAD_NAME_MAX + 1];
};

static void thread_exits(void *memory)
{
    const struct start *start = memory;

    if (start->on_exit != NULL)
        start->on_exit(start->arg);
}

static void *thread_main(void *memory)
{
    struct start start = *(struct start *)memory;

    port_free(memory);
#if defined(__APPLE__)
    if (start.name[0] != '\0')
        pthread_setname_np(start.name);
#elif defined(__linux__)
    if (start.name[0] != '\0')
        pthread_setname_np(pthread_self(), start.name);
#endif
    pthread_cleanup_push(thread_exits, &start);
    start.proc(start.arg);
    pthread_cleanup_pop(0);
    return NULL;
}

/* Too small a stack is raised to the least that the platform takes, in whole pages. */
static int set_stack_size(pthread_attr_t *attr, size_t size)
{
    long least = sysconf(_SC_THREAD_STACK_MIN), page = sysconf(_SC_PAGESIZE);
    size_t unit = page > 0 ? (size_t)page : 4096;

    if (least > 0 && size < (size_t)least)
        size = (size_t)least;
    if (size < 16384)
        size = 16384;
    if (size > SIZE_MAX - unit)
        return EAGAIN;
    size = (size + unit - 1) / unit * unit;
    return pthread_attr_setstacksize(attr, size) != 0 ? EAGAIN : 0;
}

/* The signals that a fault of the thread itself raises stay unblocked. */
static void block_signals(sigset_t *old)
{
    sigset_t set;

    sigfillset(&set);
    sigdelset(&set, SIGSEGV);
    sigdelset(&set, SIGBUS);
    sigdelset(&set, SIGFPE);
    sigdelset(&set, SIGILL);
    sigdelset(&set, SIGABRT);
    sigdelset(&set, SIGTRAP);
    sigdelset(&set, SIGSYS);
    pthread_sigmask(SIG_BLOCK, &set, old);
}

int port_thread_create(port_thread_t *thread, port_thread_proc_t proc, void *arg,
                       const port_thread_attr_t *options)
{
    struct start *start = port_zalloc(1, sizeof(*start));
    pthread_attr_t attr;
    sigset_t old;
    int err;

    if (start == NULL)
        return ENOMEM;
    start->proc = proc;
    start->arg = arg;
    start->on_exit = options->on_exit;
    if (options->name != NULL)
        memcpy(start->name, options->name, strnlen(options->name, PORT_THREAD_NAME_MAX));
    err = pthread_attr_init(&attr);
    if (err != 0) {
        port_free(start);
        return err;
    }
    if (options->stack_size != 0)
        err = set_stack_size(&attr, options->stack_size);
    if (err == 0) {
        if (options->block_signals)
            block_signals(&old);
        err = pthread_create(&thread->id, &attr, thread_main, start);
        if (options->block_signals)
            pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    pthread_attr_destroy(&attr);
    if (err != 0)
        port_free(start);
    return err == 0 || err == ENOMEM ? err : EAGAIN;
}

void port_thread_join(port_thread_t *thread)
{
    pthread_join(thread->id, NULL);
}

void port_thread_detach(port_thread_t *thread)
{
    pthread_detach(thread->id);
}

void port_thread_yield(void)
{
    sched_yield();
}

void port_thread_sleep(uint64_t ns)
{
    uint64_t end = port_clock_after(port_clock_now(), ns);
    struct timespec ts = {.tv_sec = (time_t)(end / PORT_NS_PER_S),
                          .tv_nsec = (long)(end % PORT_NS_PER_S)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
        continue;
}

unsigned port_cpu_count(void)
{
    long count;
#ifdef __linux__
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
        return (unsigned)CPU_COUNT(&set);
#endif
    count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (unsigned)count : 1;
}

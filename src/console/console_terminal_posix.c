/* SPDX-License-Identifier: MIT */
/*
 * 1. The process can end in any thread at any time, so that what is needed to restore the terminal
 * is in one static structure (there is one terminal on standard input), readable by signal
 * handlers: constant while `state` is not IDLE, but for the chosen mode, which is one atomic word.
 * 2. Handlers are installed for fatal signals whose disposition is SIG_DFL, no others, and taken
 * away only where they still are in place.  They restore, set SIG_DFL, and raise the signal again,
 * so that the process ends as it would have without them.  A handler that somebody puts back after
 * the console's end (an "earlier disposition") finds IDLE and lets the signal do its default work.
 * 3. A child of fork() inherits handlers and modes but not the duty: `owner` tells.
 * 4. A process in the background may change the terminal only where SIGTTOU is blocked.  There the
 *    modes are put back only if they are still those that were chosen: else they are the shell's,
 * or those of the program in the foreground.
 */
#include "console/console_terminal_posix.h"

#include <asyncrt/async_console.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <termios.h>
#include <unistd.h>

enum { IDLE, CHANGED, DYING };

static struct terminal {
    _Atomic uint32_t
        state; /* IDLE -> CHANGED: set_mode; -> IDLE: restore; -> DYING: a fatal signal */
    _Atomic uint32_t mode; /* set_mode writes it; handlers read it */
    pid_t owner; /* these three: console_terminal_open() writes them while state is IDLE */
    int fd;
    struct termios saved;
} terminal;

/* The classic signals whose default ends the process and that can be caught; the real-time ones are
 * such too. */
static const int fatal_signals[] = {
    SIGHUP,    SIGINT,  SIGQUIT, SIGILL,  SIGTRAP, SIGABRT, SIGBUS,    SIGFPE,  SIGUSR1, SIGSEGV,
    SIGUSR2,   SIGPIPE, SIGALRM, SIGTERM, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGSYS,
#ifdef SIGPOLL
    SIGPOLL,
#endif
#ifdef SIGSTKFLT
    SIGSTKFLT,
#endif
#ifdef SIGPWR
    SIGPWR,
#endif
};

#define FATAL_COUNT (sizeof(fatal_signals) / sizeof(fatal_signals[0]))

bool console_terminal_in_background(int fd)
{
    pid_t group = tcgetpgrp(fd);

    return group != -1 && group != getpgrp();
}

static void chosen_modes(struct termios *modes, uint32_t mode)
{
    *modes = terminal.saved;
    modes->c_lflag &= ~(tcflag_t)(ICANON | ECHO | ECHONL);
    if ((mode & ASYNC_CONSOLE_LINE) != 0) {
        modes->c_lflag |= ICANON;
    } else {
        modes->c_cc[VMIN] = 1;
        modes->c_cc[VTIME] = 0;
    }
    if ((mode & ASYNC_CONSOLE_ECHO) != 0)
        modes->c_lflag |= ECHO;
}

static bool same_modes(const struct termios *a, const struct termios *b)
{
    return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_cflag == b->c_cflag &&
           a->c_lflag == b->c_lflag && memcmp(a->c_cc, b->c_cc, sizeof(a->c_cc)) == 0;
}

/* SIGTTOU would stop a process in the background.  Does not drain the output: that could block. */
static int set_modes(const struct termios *modes)
{
    sigset_t block, old;
    int rc;

    sigemptyset(&block);
    sigaddset(&block, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &block, &old);
    do {
        rc = tcsetattr(terminal.fd, TCSANOW, modes);
    } while (rc != 0 && errno == EINTR);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

static void put_back(void)
{
    struct termios now = {0}; /* the kernel fills less of c_cc than some C libraries have */
    struct termios chosen;

    if (console_terminal_in_background(terminal.fd)) {
        chosen_modes(&chosen, atomic_load_explicit(&terminal.mode, memory_order_relaxed));
        if (tcgetattr(terminal.fd, &now) != 0 || !same_modes(&now, &chosen))
            return;
    }
    set_modes(&terminal.saved);
}

/* pairs with the release stores in console_terminal_set_mode and on_fatal: the other fields are
 * there */
static bool is_ours(void)
{
    return atomic_load_explicit(&terminal.state, memory_order_acquire) != IDLE &&
           terminal.owner == getpid();
}

void console_terminal_reapply(void)
{
    struct termios modes;

    if (!is_ours() || console_terminal_in_background(terminal.fd))
        return;
    chosen_modes(&modes, atomic_load_explicit(&terminal.mode, memory_order_relaxed));
    set_modes(&modes);
    /* restore may have run in between; its store is seen here, or its put_back comes after the line
     * above.  Pairs with the store and the fence in console_terminal_restore. */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&terminal.state, memory_order_relaxed) != CHANGED)
        set_modes(&terminal.saved);
}

static void on_fatal(int signum)
{
    int saved = errno;

    if (is_ours()) {
        atomic_store_explicit(&terminal.state, DYING, memory_order_release);
        put_back();
    }
    signal(signum, SIG_DFL);
    /* blocked until this handler returns, then delivered where the first one struck */
    raise(signum);
    errno = saved;
}

static void install(int signum, void (*handler)(int), int flags)
{
    struct sigaction action;

    if (sigaction(signum, NULL, &action) != 0 || (action.sa_flags & SA_SIGINFO) != 0 ||
        action.sa_handler != SIG_DFL)
        return;
    memset(&action, 0, sizeof(action));
    action.sa_handler = handler;
    action.sa_flags = flags;
    sigemptyset(&action.sa_mask);
    sigaction(signum, &action, NULL);
}

static void uninstall(int signum, void (*handler)(int))
{
    struct sigaction action;

    if (sigaction(signum, NULL, &action) == 0 && (action.sa_flags & SA_SIGINFO) == 0 &&
        action.sa_handler == handler)
        signal(signum, SIG_DFL);
}

/* How many on_stop() are under way, which have the default action in place of their handler. Signal
 * handlers only, of the threads that do not block SIGTSTP. */
static _Atomic unsigned stopping;

/* Whoever reads the terminal while the process is stopped finds it as it was. */
static void on_stop(int signum)
{
    int saved = errno;
    sigset_t set, old;

    if (is_ours())
        put_back();
    atomic_fetch_add_explicit(&stopping, 1, memory_order_relaxed);
    signal(signum, SIG_DFL);
    raise(signum);
    sigemptyset(&set);
    sigaddset(&set, signum);
    pthread_sigmask(SIG_UNBLOCK, &set, &old); /* stops here */
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (is_ours()) {
        install(signum, on_stop, SA_RESTART);
        console_terminal_reapply();
    }
    atomic_fetch_sub_explicit(&stopping, 1, memory_order_relaxed);
    errno = saved;
}

/* Runs before on_stop goes on: whoever sees the modes again may type the next ^Z at once. */
static void on_continue(int signum)
{
    int saved = errno;

    (void)signum;
    if (is_ours() && atomic_load_explicit(&stopping, memory_order_relaxed) != 0)
        install(SIGTSTP, on_stop, SA_RESTART);
    console_terminal_reapply();
    errno = saved;
}

static void install_all(void)
{
    for (size_t i = 0; i < FATAL_COUNT; i++)
        install(fatal_signals[i], on_fatal, SA_ONSTACK);
#ifdef SIGRTMIN
    for (int signum = SIGRTMIN; signum <= SIGRTMAX; signum++)
        install(signum, on_fatal, SA_ONSTACK);
#endif
    install(SIGTSTP, on_stop, SA_RESTART);
    install(SIGCONT, on_continue, SA_RESTART);
}

static void uninstall_all(void)
{
    for (size_t i = 0; i < FATAL_COUNT; i++)
        uninstall(fatal_signals[i], on_fatal);
#ifdef SIGRTMIN
    for (int signum = SIGRTMIN; signum <= SIGRTMAX; signum++)
        uninstall(signum, on_fatal);
#endif
    uninstall(SIGTSTP, on_stop);
    uninstall(SIGCONT, on_continue);
}

/* Also when the library is unloaded. */
static void on_exit_process(void)
{
    if (is_ours()) {
        put_back();
        uninstall_all();
    }
}

int console_terminal_open(int fd)
{
    static _Atomic uint32_t registered;

    /* the child of a fork has its parent's state; handlers leave it alone until owner is written */
    atomic_store_explicit(&terminal.state, IDLE, memory_order_relaxed);
    if (tcgetattr(fd, &terminal.saved) != 0)
        return ENOTTY;
    terminal.fd = fd;
    terminal.owner = getpid();
    if (atomic_exchange_explicit(&registered, 1, memory_order_relaxed) == 0 &&
        atexit(on_exit_process) != 0) {
        atomic_store_explicit(&registered, 0, memory_order_relaxed);
        return ENOMEM;
    }
    return 0;
}

int console_terminal_set_mode(uint32_t mode)
{
    struct termios modes;
    uint32_t idle = IDLE;

    install_all();
    atomic_store_explicit(&terminal.mode, mode, memory_order_relaxed);
    /* release: pairs with is_ours */
    atomic_compare_exchange_strong_explicit(&terminal.state, &idle, CHANGED, memory_order_release,
                                            memory_order_relaxed);
    chosen_modes(&modes, mode);
    if (set_modes(&modes) != 0)
        return ENOTTY; /* it was one: it has hung up */
    if (atomic_load_explicit(&terminal.state, memory_order_acquire) == DYING)
        set_modes(&terminal.saved);
    return 0;
}

void console_terminal_restore(void)
{
    if (!is_ours())
        return;
    put_back();
    uninstall_all();
    atomic_store_explicit(&terminal.state, IDLE, memory_order_seq_cst);
    /* pairs with the fence in console_terminal_reapply: it sees IDLE, or its modes are overwritten
     */
    atomic_thread_fence(memory_order_seq_cst);
    put_back();
}

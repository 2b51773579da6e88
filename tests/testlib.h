/* SPDX-License-Identifier: MIT */
/*
 * testlib.h - what the tests of the runtime share: connected sockets, threads, waiting with a
 * limit, the look for leaks
 *
 * Everything here works on POSIX and on Windows.  A helper that cannot do its work fails the test.
 */
#ifndef TESTLIB_H
#define TESTLIB_H

#include "testcheck.h"

#include <asyncrt.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#undef ERROR /* of <windows.h>, which comes with the resolver's header */

#define TL_WAIT_MS \
    20000 /* how long a test waits for what must come: longer than any load delays it */
#define TL_QUIET_MS 20 /* how long a test listens for what must not come */
#define TL_ERRNO 4711  /* no errno value: shows that a success has left errno alone */
#define TL_NS_PER_US 1000u
#define TL_NS_PER_MS 1000000u

/* A call that returns 0 and leaves errno alone. */
#define TL_OK(call)                                                                     \
    do {                                                                                \
        errno = TL_ERRNO;                                                               \
        int tl_result = (call);                                                         \
        int tl_errno = errno;                                                           \
        ck_assert_msg(tl_result == 0, "%s: %d, errno %d", #call, tl_result, tl_errno);  \
        ck_assert_msg(tl_errno == TL_ERRNO, "%s changed errno to %d", #call, tl_errno); \
    } while (0)

/* A call that fails with value, errno err, and the same in async_last_error(). */
#define TL_FAILS_WITH(call, value, err)                                                           \
    do {                                                                                          \
        errno = TL_ERRNO;                                                                         \
        bool tl_failed = (call) == (value);                                                       \
        int tl_errno = errno;                                                                     \
        int tl_last = async_last_error();                                                         \
        ck_assert_msg(tl_failed, "%s did not fail", #call);                                       \
        ck_assert_msg(tl_errno == (err), "%s: errno %d, not %s", #call, tl_errno, #err);          \
        ck_assert_msg(tl_last == (err), "%s: async_last_error %d, not %s", #call, tl_last, #err); \
    } while (0)

#define TL_FAILS(call, err) TL_FAILS_WITH(call, -1, err)

/* A pointer with a number's value, to be a context. */
static inline void *tl_context(uintptr_t number)
{
    return (void *)number;
}

/* ---- the program */

/* Runs the cases that add has put into a suite, on the backend that ASYNCRT_BACKEND names; 77 (to
 * be skipped) when the system refuses that one. */
int tl_main(const char *name, void (*add)(Suite *suite));

/* The backend of the tests that follow, in place of the environment's. */
void tl_use_backend(const char *name);

/* A case whose tests must leave no descriptor and no thread behind. */
TCase *tl_case(Suite *suite, const char *name);

/* The same, with a fixture that comes before the count. */
TCase *tl_case_after(Suite *suite, const char *name, void (*first)(void));

/* n, or less of it where everything is slow (ASYNCRT_TEST_DIVISOR). */
unsigned tl_scaled(unsigned n);

/* ---- the runtime */

async_runtime_t *tl_runtime(void); /* with what ASYNCRT_BACKEND and ASYNCRT_TEST_FLAGS ask for */
async_runtime_t *tl_shared_runtime(void); /* the same without flags: for a wait in any thread */
uint32_t tl_runtime_flags(void); /* ASYNCRT_TEST_FLAGS: options.flags of the runtimes under test */
bool tl_backend_is(const async_runtime_t *runtime, const char *name);

/* Waits for one event. */
void tl_one(async_runtime_t *runtime, async_event_t *event);

/* Waits until max_events or at least one have come; returns how many. */
int tl_some(async_runtime_t *runtime, async_event_t *events, int max_events);

/* Nothing comes. */
void tl_quiet(async_runtime_t *runtime);

/* The next event is about fd and has exactly these bits. */
void tl_expect_io(async_runtime_t *runtime, async_fd_t fd, uint32_t bits, void *context);

/* Takes readiness events of fd until one has all of the bits; none may have one of the others. */
uint32_t tl_until_io(async_runtime_t *runtime, async_fd_t fd, uint32_t bits, uint32_t never);

/* The next event is a completion with exactly this. */
void tl_expect_completion(async_runtime_t *runtime, uintptr_t key, uintptr_t data);

async_runtime_stats_t tl_stats(const async_runtime_t *runtime);

/* ---- sockets; all non-blocking unless tl_set_blocking() says otherwise */

void tl_pair(async_fd_t fds[2]);     /* connected streams: AF_UNIX, or TCP where there is none */
void tl_tcp_pair(async_fd_t fds[2]); /* connected TCP */
void tl_udp_pair(async_fd_t fds[2]); /* UDP, each connected to the other */
async_fd_t tl_listen(uint16_t *port);
async_fd_t tl_connect(uint16_t port); /* connecting, or connected already */
async_fd_t tl_accept(async_fd_t listener);
void tl_set_blocking(async_fd_t fd, bool blocking);
void tl_close(async_fd_t fd);
void tl_close_pair(async_fd_t fds[2]); /* those that are not ASYNC_INVALID_FD, which they become */
void tl_reset(async_fd_t fd);          /* closes so that the peer gets a reset */
void tl_shutdown_write(async_fd_t fd);
int tl_so_error(async_fd_t fd); /* reads and clears it: nonzero if an error was pending */

/* The count, or -1 with errno (EAGAIN when it would block). */
long tl_send(async_fd_t fd, const void *data, size_t size);
long tl_recv(async_fd_t fd, void *data, size_t size);

/* What the system's sockets are like: true on POSIX, false on Windows. */
bool tl_close_shows_before_data(void); /* the end of input is seen while data is unread before it */
bool tl_reset_sets_so_error(void);
bool tl_writes_wait_for_reader(void); /* a large write does not end before the peer reads */

void tl_send_text(async_fd_t fd, const char *text);
void tl_recv_text(async_fd_t fd, const char *text); /* waits for it */
size_t tl_fill(async_fd_t fd);                      /* sends until it would block */
size_t tl_drain(async_fd_t fd);                     /* receives until it would block or end */

/* ---- threads, time, the process */

typedef struct tl_thread tl_thread_t;

tl_thread_t *tl_thread_start(void (*proc)(void *arg), void *arg);
void tl_thread_join(tl_thread_t *thread);
void tl_yield(void);
void tl_sleep_ms(unsigned ms);
uint64_t tl_now_ns(void);          /* monotonic */
int tl_fd_count(void);             /* -1: the system does not tell */
int tl_thread_count(void);         /* -1: the system does not tell */
int tl_settle_threads(int wanted); /* waits until no more than wanted are there; returns how many */
void tl_setenv(const char *name, const char *value); /* value NULL: unset */

int tl_signal(void);      /* the number of a signal that add_signal takes and raise() sends */
int tl_last_signal(void); /* the last number; POSIX */

/* Of the calling thread; false, 0, -1: the system does not tell. */
bool tl_thread_name(char *name, size_t size);
size_t tl_stack_size(void);
long tl_context_switches(void); /* voluntary ones */

/* A worker's stop handle, or what is like it. */
bool tl_handle_is_set(async_handle_t handle, int timeout_ms);
bool tl_handle_is_inherited(async_handle_t handle); /* by programs that this one starts */

/* ---- standard input, which each of these replaces; the earlier one of theirs is closed */

void tl_input_become(async_handle_t file); /* file itself is closed */
async_handle_t tl_input_pipe(void);        /* returns the writing end */
void tl_input_file(const char *bytes, size_t size);
/* false: this system cannot make one, or not reliably, and ASYNCRT_TEST_TERMINAL does not ask for
 * it */
bool tl_input_terminal(async_handle_t *keyboard);
void tl_input_null(void);   /* the null device */
void tl_input_closed(void); /* none */
async_fd_t tl_input_fd(void);
long tl_input_read(void *data, size_t size); /* as a program does; 0 at the end */
void tl_file_write(async_handle_t file, const char *bytes, size_t size);
void tl_file_close(async_handle_t file);

/* A small generator of numbers that a test can repeat. */
uint32_t tl_random(uint32_t *state);

#endif /* TESTLIB_H */

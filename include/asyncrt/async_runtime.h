/* SPDX-License-Identifier: MIT */
/*
 * async_runtime.h - the event loop: one wait for descriptors, finished I/O, completions, timers,
 * signals and console input
 *
 * The loop thread pulls an array of events with async_runtime_wait(); there are no callbacks.  Any
 * thread may call async_runtime_post_completion() and async_runtime_wakeup(); everything else
 * belongs to the loop thread (see ASYNC_RUNTIME_SINGLE_THREAD).
 */
#ifndef ASYNCRT_ASYNC_RUNTIME_H
#define ASYNCRT_ASYNC_RUNTIME_H

#include <asyncrt/async_queue.h>

#include <asyncrt/async_types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct async_runtime async_runtime_t;

#define ASYNC_EVENT_READ 0x01u       /* readable, or a connection to accept; a finished read */
#define ASYNC_EVENT_WRITE 0x02u      /* writable, or connected; a finished write */
#define ASYNC_EVENT_ERROR 0x04u      /* an error is pending on the descriptor (SO_ERROR) */
#define ASYNC_EVENT_CLOSE 0x08u      /* the peer has closed or shut its writing half; end of file */
#define ASYNC_EVENT_COMPLETION 0x10u /* posted by a thread, a bound queue, or a finished operation */
#define ASYNC_EVENT_TIMER 0x20u      /* a timer has expired */
#define ASYNC_EVENT_SIGNAL 0x40u     /* a signal has come */
#define ASYNC_EVENT_CONSOLE 0x80u    /* with READ: standard input, from async_runtime_add_console() */
#define ASYNC_EVENT_ONESHOT 0x1000u  /* add and modify only: report once, then silent until modify */

/*
 * async_runtime_options_t.flags: the runtime belongs to the thread that makes it, for good.  That
 * thread is the loop thread; in any other, the functions below that are the loop thread's fail with
 * EPERM, at once and without effect.  What any thread may call stays so, queues, workers, pools,
 * consoles and resolvers are not asked whose they are, and neither are async_runtime_get_stats() and
 * async_runtime_deinit(), which cannot fail: the latter is for the loop thread, or for any once that
 * one has ended.  io_uring is faster with it.
 */
#define ASYNC_RUNTIME_SINGLE_THREAD 0x01u

/* One thing that has happened.  Filled by async_runtime_wait(). */
typedef struct async_event {
    uint32_t event_type;      /* ASYNC_EVENT_* bits */
    int32_t error;            /* errno value of a finished operation or job, 0 if none */
    async_fd_t fd;            /* ASYNC_INVALID_FD if the event is not about a descriptor */
    uintptr_t completion_key; /* COMPLETION events */
    uintptr_t data;           /* COMPLETION: what was posted; TIMER: expirations; SIGNAL: the number */
    void *context;            /* as registered */
    void *buffer;             /* finished post_read/post_write: the buffer */
    size_t bytes_transferred; /* finished post_read/post_write: the count */
    uint64_t reserved;        /* zero */
} async_event_t;

/* Set `size` by ASYNC_RUNTIME_OPTIONS_INIT. */
typedef struct async_runtime_options {
    size_t size;             /* sizeof(async_runtime_options_t) of the caller */
    const char *backend;     /* a name of async_runtime_backends(); NULL: ASYNCRT_BACKEND, else the default */
    size_t completion_limit; /* most completions posted and not yet delivered; 0: no limit */
    uint64_t spin_us;        /* microseconds to look for completions before sleeping; 0: sleep at once */
    uint32_t flags;          /* ASYNC_RUNTIME_SINGLE_THREAD, or 0 */
} async_runtime_options_t;

/* clang-format off */
#define ASYNC_RUNTIME_OPTIONS_INIT { sizeof(async_runtime_options_t), NULL, 0, 0, 0 }
/* clang-format on */

/* Filled by async_runtime_get_stats(). */
typedef struct async_runtime_stats {
    size_t registered;              /* descriptors registered, the console included */
    size_t timers;                  /* timers pending */
    size_t completions_pending;     /* completions posted and not yet delivered */
    uint64_t waits;                 /* calls of async_runtime_wait() that went to work */
    uint64_t io_events;             /* descriptor events and finished operations delivered */
    uint64_t completions_posted;    /* completions accepted, the library's own included */
    uint64_t completions_delivered; /* completions handed out */
    uint64_t wakeups_sent;          /* times that a thread had to wake the sleeping loop */
    uint64_t reserved[4];           /* zero */
} async_runtime_stats_t;

/*
 * Makes a runtime with the default options.
 *
 * The caller owns it and ends it with async_runtime_deinit().
 * Any thread; the one that waits on it becomes the loop thread.  Does not block; allocates.
 * Returns the runtime, or NULL: ENOTSUP (ASYNCRT_BACKEND names a backend that is not built in or
 * that the system refuses), ENOMEM, EMFILE, ENFILE.
 * Since 1.0.
 */
ASYNC_API async_runtime_t *async_runtime_init(void);

/*
 * Makes a runtime with options; NULL for the defaults; read during the call only.
 *
 * As async_runtime_init(), and EINVAL (options->size 0, or unknown flags).
 * Since 1.0.
 */
ASYNC_API async_runtime_t *async_runtime_init_with(const async_runtime_options_t *options);

/*
 * Ends the runtime: unbinds queues, restores signal dispositions, discards what is pending.
 * Registered descriptors stay open and the caller's.  Buffers of operations that had not ended are
 * the caller's again.  NULL is ignored.  Workers, pools, consoles and resolvers may outlive it;
 * what they post is discarded.
 *
 * Loop thread, or any when nobody waits, with ASYNC_RUNTIME_SINGLE_THREAD once that one has ended;
 * also in the child of a fork.  Does not block.
 * Since 1.0.
 */
ASYNC_API void async_runtime_deinit(async_runtime_t *runtime);

/*
 * The backend in use: "epoll", "io_uring", "poll", "iocp".  Static.
 *
 * Any thread.  Never blocks, never allocates.
 * Returns the name, or NULL: EINVAL.
 * Since 1.0.
 */
ASYNC_API const char *async_runtime_get_backend(const async_runtime_t *runtime);

/*
 * The backends that are built in, the platform's default first, NULL at the end.  Static.
 *
 * Any thread.  Never blocks, never allocates.
 * Since 1.0.
 */
ASYNC_API const char *const *async_runtime_backends(void);

/*
 * Registers a descriptor.
 *
 * fd: stays the caller's; remove it before closing it.  events: READ and WRITE bits, with ONESHOT
 * if wanted; 0 registers it silently, for posted operations or a later modify; ERROR and CLOSE are
 * accepted and change nothing.  context: handed back in each event.
 * Loop thread.  Does not block; may allocate.
 * Returns 0, or -1: EINVAL (other bits), EBADF (not open), EEXIST (registered), EPERM (a regular
 * file or directory), ENOMEM, ENOSPC (the system's limit), EPERM also after fork and in another
 * thread (ASYNC_RUNTIME_SINGLE_THREAD).
 * Since 1.0.
 */
ASYNC_API int async_runtime_add(async_runtime_t *runtime, async_fd_t fd, uint32_t events, void *context);

/*
 * Changes what is reported for a registered descriptor, and its context; re-arms ONESHOT.
 *
 * Loop thread.  Does not block.  A call that changes nothing makes no system call.
 * Returns 0, or -1: EINVAL, ENOENT (not registered), EBADF (not open), ENOMEM.
 * Since 1.0.
 */
ASYNC_API int async_runtime_modify(async_runtime_t *runtime, async_fd_t fd, uint32_t events,
                                   void *context);

/*
 * Ends a registration: none of its events appears in a later wait but the ends of its posted
 * operations, which come with ECANCELED.
 *
 * Loop thread.  Does not block.
 * Returns 0, or -1: EINVAL, ENOENT (not registered), EBADF (not open).
 * Since 1.0.
 */
ASYNC_API int async_runtime_remove(async_runtime_t *runtime, async_fd_t fd);

/*
 * Waits for events.
 *
 * events: room for max_events (at least 1), the caller's.  timeout_ms: milliseconds; 0 does not
 * wait, -1 waits for ever.
 * Loop thread.  Blocks.  Allocates nothing per event.
 * Returns the number of events (0: time over, woken, or a signal handler ran), or -1: EINVAL, EBUSY
 * (another thread waits), EPERM (in the child of a fork; in another thread).
 * Since 1.0.
 */
ASYNC_API int async_runtime_wait(async_runtime_t *runtime, async_event_t *events, int max_events,
                                 int timeout_ms);

/*
 * Makes the current or the next wait return.
 *
 * Any thread, also a signal handler.  Never blocks, never allocates.
 * Returns 0, or -1: EINVAL, EPERM (in the child of a fork).
 * Since 1.0.
 */
ASYNC_API int async_runtime_wakeup(async_runtime_t *runtime);

/*
 * Posts a completion: one event with the key and the data, all bits of them, exactly once, in the
 * order of each posting thread.
 *
 * Any thread.  Never blocks; allocates only when the backlog grows.  No system call while the loop
 * is busy.
 * Returns 0, or -1: EINVAL, EAGAIN (completion_limit), ENOMEM (the caller still owns its data),
 * EPERM (in the child of a fork).
 * Since 1.0.
 */
ASYNC_API int async_runtime_post_completion(async_runtime_t *runtime, uintptr_t completion_key,
                                            uintptr_t data);

/*
 * Announces the queue's messages by completions with the key: one for an enqueue into an empty
 * queue, the next only after the consumer has drained it (EAGAIN from dequeue or peek).  Messages
 * already there are announced.
 *
 * queue: the caller's; its destroy or the runtime's deinit unbinds it.
 * Loop thread.  Does not block; allocates.
 * Returns 0, or -1: EINVAL, EEXIST (the queue is bound), ENOMEM, EPERM (in the child of a fork).
 * Since 1.0.
 */
ASYNC_API int async_runtime_bind_queue(async_runtime_t *runtime, async_queue_t *queue,
                                       uintptr_t completion_key);

/*
 * Starts a read on a registered descriptor.  It ends in one event COMPLETION|READ with the buffer,
 * the count, the error and the registration's context: with what is there, or 0 bytes and CLOSE at
 * the end of file.  Operations of one direction are done in order.
 *
 * buffer: len bytes, at least 1; the library's until the event, also after remove.
 * Loop thread.  Does not block; may allocate.
 * Returns 0, or -1: EINVAL, ENOENT (not registered), EBADF (not open), ENOMEM.
 * Since 1.0.
 */
ASYNC_API int async_runtime_post_read(async_runtime_t *runtime, async_fd_t fd, void *buffer, size_t len);

/*
 * Starts a write on a registered descriptor.  It ends in one event COMPLETION|WRITE when all is
 * written, or with the error and the count so far.  Never raises SIGPIPE.
 *
 * buffer: len bytes; the library's until the event, also after remove.
 * Loop thread.  Does not block; may allocate.
 * Returns 0, or -1: EINVAL, ENOENT (not registered), EBADF (not open), ENOMEM.
 * Since 1.0.
 */
ASYNC_API int async_runtime_post_write(async_runtime_t *runtime, async_fd_t fd, const void *buffer,
                                       size_t len);

/*
 * Starts a timer.
 *
 * delay_us: microseconds until it expires, 0: at the next wait.  period_us: microseconds between
 * later expirations, 0: none.  context: handed back in its events, whose data counts the
 * expirations since the last one.
 * Loop thread.  Does not block; may allocate.
 * Returns its id (never reused), or 0: EINVAL, ENOMEM, EPERM (in the child of a fork).
 * Since 1.0.
 */
ASYNC_API uint64_t async_runtime_add_timer(async_runtime_t *runtime, uint64_t delay_us,
                                           uint64_t period_us, void *context);

/*
 * Stops a timer; no event of it appears any more.
 *
 * Loop thread.  Does not block or allocate.
 * Returns 0, or -1: EINVAL, ENOENT (expired, cancelled or unknown).
 * Since 1.0.
 */
ASYNC_API int async_runtime_cancel_timer(async_runtime_t *runtime, uint64_t timer_id);

/*
 * Turns a signal into events, in place of its disposition.
 *
 * Loop thread.  Does not block; may allocate.
 * Returns 0, or -1: EINVAL (no signal that can be caught), EEXIST (added already), ENOMEM; on
 * Windows ENOTSUP for others than SIGINT, SIGTERM, SIGBREAK.
 * Since 1.0.
 */
ASYNC_API int async_runtime_add_signal(async_runtime_t *runtime, int signum, void *context);

/*
 * Brings the signal's earlier disposition back and discards what is pending.
 *
 * Loop thread.  Does not block or allocate.
 * Returns 0, or -1: EINVAL, ENOENT (not added).
 * Since 1.0.
 */
ASYNC_API int async_runtime_remove_signal(async_runtime_t *runtime, int signum);

/*
 * Registers standard input.  Its events are READ|CONSOLE (and CLOSE at the end); the program reads
 * it itself.  async_runtime_remove() of standard input ends it.
 *
 * Loop thread.  Does not block; may allocate.
 * Returns 0, or -1: EINVAL, EEXIST (added already), EBADF (standard input is closed), ENOMEM.
 * Since 1.0.
 */
ASYNC_API int async_runtime_add_console(async_runtime_t *runtime, void *context);

/*
 * What standard input was at async_runtime_add_console(); NONE before it.
 *
 * Loop thread.  Never blocks, never allocates.
 * Returns the type; NONE with EINVAL for NULL.
 * Since 1.0.
 */
ASYNC_API async_console_type_t async_runtime_get_console_type(async_runtime_t *runtime);

/*
 * A descriptor to nest the runtime in another loop: readable whenever wait(0) would return
 * something other than a timer.  It stays the library's.  Call async_runtime_wait() with timeout 0
 * when it is readable, and when async_runtime_get_timeout() has passed.
 *
 * Loop thread.  Does not block; may allocate.
 * Returns the descriptor, or ASYNC_INVALID_FD: EINVAL, ENOTSUP (the backend has none); with io_uring
 * EMFILE, ENFILE, ENOMEM.
 * Since 1.0.
 */
ASYNC_API async_fd_t async_runtime_get_fd(async_runtime_t *runtime);

/*
 * Milliseconds until the next timer is due, rounded up; 0 when one is due, -1 when there is none.
 *
 * Loop thread.  Never blocks, never allocates.
 * Returns the time; -1 with EINVAL for NULL.
 * Since 1.0.
 */
ASYNC_API int async_runtime_get_timeout(async_runtime_t *runtime);

/*
 * Fills stats.
 *
 * Loop thread.  Never blocks, never allocates.
 * Since 1.0.
 */
ASYNC_API void async_runtime_get_stats(const async_runtime_t *runtime, async_runtime_stats_t *stats);

#ifdef __cplusplus
}
#endif

#endif /* ASYNCRT_ASYNC_RUNTIME_H */

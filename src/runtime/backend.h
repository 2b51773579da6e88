/* SPDX-License-Identifier: MIT */
/*
 * backend.h - the one interface between the runtime and the ways to wait on the system
 *
 * A backend translates: interests into the system's terms, and what the system says into reports.
 * What is common lives once, above it: the table of registrations, generations, ONESHOT, the
 * mapping to event bits, completions, timers, signals, fairness, the order of operations.
 *
 * Unless a member says otherwise it is called by the loop thread only, one call at a time, does not
 * block, and returns 0 or an errno value; errno itself need not be kept.
 *
 * A registration is named by its descriptor and a generation, which is never 0 and differs between
 * two registrations of the same number.  Reports carry both, so that what is left over from an
 * earlier life of the number is recognised and thrown away.
 */
#ifndef BACKEND_H
#define BACKEND_H

#include <asyncrt/async_runtime.h>

/* What a registration waits for: ASYNC_EVENT_READ and _WRITE, and _ONESHOT beside one of them.  0
 * is parked: the registration stays known and says nothing. */
#define BACKEND_INTEREST (ASYNC_EVENT_READ | ASYNC_EVENT_WRITE | ASYNC_EVENT_ONESHOT)

/*
 * What is reported: ASYNC_EVENT_READ and _WRITE (ready), _CLOSE (full hang-up), _ERROR (an error is
 * pending) and this bit: the peer has shut its writing half.  The runtime makes of them what
 * the program has asked for, so a backend may report more than the interest.
 */
#define BACKEND_PEER_SHUT 0x100u

#define BACKEND_WAIT_FOREVER UINT64_MAX

/*
 * A posted read or write.  The runtime's, but for the marked fields between start and the report of
 * its end, when buffer and the memory of this structure must stay where they are.
 */
typedef struct backend_operation backend_operation_t;
struct backend_operation {
    backend_operation_t *next;
    unsigned char *buffer;
    size_t length;      /* of the buffer */
    size_t transferred; /* so far: a transfer goes to buffer + transferred, at most length - that */
    void *context;      /* of the registration, when it has ended */
    async_fd_t fd;
    uint32_t generation;
    int32_t error; /* when it has ended */
    bool is_write;
    bool end_of_file; /* a read that met the end */
    bool started;     /* start succeeded and the end is not reported yet */
    bool cancelled;   /* its registration has gone: it ends with ECANCELED */
    /* Of those that are started and cancelled. */
    backend_operation_t *orphan_next;
    backend_operation_t **orphan_link;
    /* The backend's, for its control block (an OVERLAPPED, a request's state); zero at the first
     * start of the operation, not touched by the runtime afterwards. */
    union {
        uint64_t words[8];
        void *pointer;
    } backend;
};

typedef struct backend {
    const char *name;

    /* Makes the backend's state.  ENOTSUP: the system refuses; ENOMEM, EMFILE, ENFILE.  Descriptors
     * are close-on-exec.  runtime: for the reports below; not yet usable during open.
     * single_thread: all other calls but wake come from the calling thread, but for a close after
     * its end. */
    int (*open)(async_runtime_t *runtime, bool single_thread, void **state);

    /*
     * Ends it: cancels started operations and waits for their ends (not reported any more), so that
     * the runtime can free them; closes its descriptors; frees the state.  Registered descriptors
     * are left alone.  inherited: in the child of a fork, where the parent must not notice: no
     * cancelling, no control call on shared kernel objects; only close and free.
     */
    void (*close)(void *state, bool inherited);

    /*
     * Registers fd.  Errors: EBADF (not open), EPERM (a regular file or directory), ENOMEM, ENOSPC.
     * replace: the runtime has a registration of this number already.  If it is of the file that is
     * open under the number now: EEXIST, and nothing changes.  Else (closed, number used again) the
     * new registration takes its place; started operations of the old one are cancelled by
     * the runtime.  Without replace, what the backend may still know of this number is stale.
     */
    int (*add)(void *state, async_fd_t fd, uint32_t generation, uint32_t interest, bool replace);

    /* Changes the interest, and re-arms what a ONESHOT report has parked.  Only called when
     * something changes.  EBADF: fd is closed; ENOENT: the number is another file now; the runtime
     * drops the registration then, and the backend must have forgotten it too.  ENOMEM: nothing
     * changed. */
    int (*modify)(void *state, async_fd_t fd, uint32_t generation, uint32_t interest);

    /* Forgets fd: no later report of this generation matters.  EBADF, ENOENT as modify: forgotten
     * all the same.  Operations are cancelled by their own calls, made before this one. */
    int (*remove)(void *state, async_fd_t fd, uint32_t generation);

    /*
     * Waits up to timeout_ns (0: only looks; BACKEND_WAIT_FOREVER) for readiness, ends of
     * operations or a wake, and reports what there is: at most budget (at least 1) descriptors by
     * backend_report_ready(), each at most once, and any number of operations.  Level-triggered:
     * what is still ready is reported by the next wait again; when more is ready than fits, each
     * gets its turn.  After a report a ONESHOT interest is parked (hang-up and errors are silent
     * too).  May return early with nothing; never late by more than the system's granularity, and
     * timeouts are rounded up.  A wake that came before counts.  Blocks.  EINTR: a signal handler
     * ran.
     */
    int (*wait)(void *state, int budget, uint64_t timeout_ns);

    /* Makes the present or the next wait return.  Any thread, also in a signal handler; keeps
     * errno; never blocks or fails.  Not called after close. */
    void (*wake)(void *state);

    /* A descriptor that is readable when wait would report something or a wake has come; called
     * once or more; the descriptor stays the backend's and the same.  NULL: ENOTSUP. */
    int (*get_fd)(void *state, async_fd_t *fd);

    /*
     * Native operations; both NULL: the runtime does them on readiness.  start begins to transfer
     * between fd and the rest of the buffer, once; its end, with whatever count, is reported by
     * backend_report_operation() from within a later wait, exactly once.  EBADF (fd is closed) at
     * once, but from within a report, where the end may tell it.  At most one operation per
     * descriptor and direction is started at a time.  A read at the end of file reports 0 bytes.
     * Writes to a closed peer give EPIPE and raise no SIGPIPE.  The descriptor may be blocking.
     * cancel asks a started operation to end soon; the report still comes (ECANCELED, or what it
     * had become).
     */
    int (*start)(void *state, backend_operation_t *operation);
    void (*cancel)(void *state, backend_operation_t *operation);
} backend_t;

/* Those that are built in; backends.c is their table. */
extern const backend_t backend_epoll;
extern const backend_t backend_poll;
extern const backend_t backend_uring;
extern const backend_t backend_iocp;

/* The backend of that name, or the default for NULL; NULL when it is not built in. */
const backend_t *backend_find(const char *name);

/* ---- What the runtime offers to backends; within wait only, but for the last. ---- */

/* fd of that generation is ready.  Returns false when there is no such registration (any more). */
bool backend_report_ready(async_runtime_t *runtime, async_fd_t fd, uint32_t generation,
                          uint32_t ready);

/* fd turned out to be closed: the registration is dropped, and the backend forgets it too. */
void backend_report_closed(async_runtime_t *runtime, async_fd_t fd, uint32_t generation);

/* A started operation has ended: error 0 with the count of this transfer, or an errno value (the
 * count may be above 0 then too).  The operation is the runtime's again. */
void backend_report_operation(async_runtime_t *runtime, backend_operation_t *operation, int error,
                              size_t count);

/* Visits each registration that the backend was told of, with the interest that it was last told
 * (0 for one that a ONESHOT report has parked).  Loop thread; visit changes no registrations. */
void backend_each_registration(async_runtime_t *runtime,
                               void (*visit)(void *arg, async_fd_t fd, uint32_t generation,
                                             uint32_t interest),
                               void *arg);

#endif /* BACKEND_H */

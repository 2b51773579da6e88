/* SPDX-License-Identifier: MIT */
/*
 * The console's handle, and its reader: a thread that takes bytes from the system's side
 * (console_platform.h), makes lines of them and puts them into the program's queue.
 *
 * Completions: the queue's hook posts the lines node, merged; the reader posts the end node after
 * the last line is in the queue.  Both live in an announcer, which is the queue's until
 * async_queue_destroy and the runtime's while a node is posted, so that it outlives the console.
 */
#include "console/console_lines.h"
#include "console/console_platform.h"
#include "port/port_clock.h"
#include "port/port_compiler.h"
#include "port/port_error.h"
#include "port/port_fork.h"
#include "port/port_futex.h"
#include "port/port_memory.h"
#include "port/port_mutex.h"
#include "port/port_thread.h"
#include "queue/queue_hook.h"
#include "queue/queue_interrupt.h"
#include "runtime/runtime_console.h"
#include "runtime/runtime_node.h"

#include <stdatomic.h>
#include <string.h>

#define RAW_SIZE 16384
#define RETRY_MS 2 /* a DROP_OLDEST queue whose places are all reserved */
#define MODE_BITS (ASYNC_CONSOLE_LINE | ASYNC_CONSOLE_ECHO)

typedef struct announcer {
    queue_hook_t hook;
    runtime_node_t lines;
    runtime_node_t end;
    async_runtime_t *runtime; /* held */
    _Atomic uint32_t refs;    /* the console, the queue, each posted node */
} announcer_t;

struct async_console {
    /* constant after create */
    async_queue_t *lines;
    announcer_t *announcer;
    console_input_t *input;
    uint32_t generation; /* of the process, port_fork_generation() */
    bool has_thread;
    port_thread_t thread;

    /* the reader's */
    console_lines_t splitter;
    const char *next; /* what is in raw and not yet split */
    size_t left;
    char *raw;

    port_mutex_t mode_lock; /* set_mode against the restoring of shutdown */
    _Atomic uint32_t mode;  /* set_mode writes it under mode_lock; the reader reads it */
    _Atomic uint32_t stop;  /* 1: shutdown was called; the reader and a waiting enqueue read it */
    _Atomic uint32_t ended; /* 1: the reader is done; shutdown sleeps on it */
    _Atomic uint32_t eof;   /* 1: the input has ended and all of it is in the queue */
};

/*
 * The one console of the process: 0, or the fork generation of its owner plus 1 (the child of a
 * fork may have one of its own beside the inherited one).
 */
static _Atomic uint64_t occupied;

static bool occupy(uint32_t generation)
{
    uint64_t seen = atomic_load_explicit(&occupied, memory_order_relaxed);
    uint64_t own = (uint64_t)generation + 1;

    do {
        if (seen == own)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&occupied, &seen, own, memory_order_acquire,
                                                    memory_order_relaxed));
    return true;
}

static void vacate(uint32_t generation)
{
    uint64_t own = (uint64_t)generation + 1;

    /* release: pairs with the acquire in occupy, for what the platform keeps between consoles */
    atomic_compare_exchange_strong_explicit(&occupied, &own, 0, memory_order_release,
                                            memory_order_relaxed);
}

static void announcer_drop(announcer_t *announcer)
{
    /* acq_rel: the last one sees what the others did before they let go */
    if (atomic_fetch_sub_explicit(&announcer->refs, 1, memory_order_acq_rel) != 1)
        return;
    runtime_drop(announcer->runtime);
    port_free(announcer);
}

static void announcer_hold(announcer_t *announcer)
{
    atomic_fetch_add_explicit(&announcer->refs, 1, memory_order_relaxed);
}

static void lines_handed_out(runtime_node_t *node)
{
    announcer_drop(PORT_CONTAINER(node, announcer_t, lines));
}

static void end_handed_out(runtime_node_t *node)
{
    announcer_drop(PORT_CONTAINER(node, announcer_t, end));
}

/* Merged, also the end, which is posted once: only such a node can be withdrawn. */
static void post(announcer_t *announcer, runtime_node_t *node)
{
    /* held before the post: the loop thread may hand the node out at once */
    announcer_hold(announcer);
    if (!runtime_post_merged(announcer->runtime, node))
        announcer_drop(announcer);
}

static void announce_lines(queue_hook_t *hook)
{
    announcer_t *announcer = PORT_CONTAINER(hook, announcer_t, hook);

    post(announcer, &announcer->lines);
}

static void queue_let_go(queue_hook_t *hook)
{
    announcer_drop(PORT_CONTAINER(hook, announcer_t, hook));
}

static announcer_t *announcer_new(async_runtime_t *runtime, uintptr_t key)
{
    announcer_t *announcer = port_zalloc(1, sizeof(*announcer));

    if (announcer == NULL)
        return NULL;
    announcer->hook.announce = announce_lines;
    announcer->hook.release = queue_let_go;
    runtime_node_init(&announcer->lines, key, NULL, lines_handed_out);
    runtime_node_init(&announcer->end, key, NULL, end_handed_out);
    announcer->end.data = 1;
    atomic_init(&announcer->refs, 1);
    runtime_hold(runtime);
    announcer->runtime = runtime;
    return announcer;
}

static void announce_end(async_console_t *console)
{
    /* release: who sees it sees the last line; pairs with async_console_is_eof */
    atomic_store_explicit(&console->eof, 1, memory_order_release);
    post(console->announcer, &console->announcer->end);
}

static bool is_stopped(const async_console_t *console)
{
    return atomic_load_explicit(&console->stop, memory_order_acquire) != 0;
}

/* Puts the splitter's message into the queue.  false: stopped, or the queue is closed. */
static bool deliver(async_console_t *console, size_t size)
{
    for (;;) {
        int err = queue_enqueue_interruptible(console->lines, console->splitter.text, size,
                                              &console->stop);

        if (err == 0)
            return true;
        if (err != EAGAIN || is_stopped(console))
            return false;
        console_input_pause(console->input, RETRY_MS);
    }
}

/* The reader splits keys only where the terminal gives them one by one. */
static bool wants_keys(const async_console_t *console)
{
    return (atomic_load_explicit(&console->mode, memory_order_acquire) & ASYNC_CONSOLE_LINE) == 0;
}

static bool deliver_all(async_console_t *console, bool keys)
{
    size_t size;

    while ((size = console_lines_next(&console->splitter, &console->next, &console->left, keys)) !=
           0) {
        if (!deliver(console, size))
            return false;
    }
    return true;
}

/* What was read and not delivered is not lost for the next reader of the input. */
static void give_back(async_console_t *console)
{
    size_t held = console_lines_rest(&console->splitter), size = held + console->left;
    char *rest = size != 0 ? port_alloc(size) : NULL;

    if (rest != NULL) {
        console_lines_save(&console->splitter, rest);
        memcpy(rest + held, console->next, console->left);
    }
    console_input_unread(console->input, rest, size);
}

static void read_all(async_console_t *console)
{
    for (;;) {
        int count = console_input_read(console->input, console->raw, RAW_SIZE);
        size_t size;

        if (count == CONSOLE_READ_STOPPED) {
            give_back(console);
            return;
        }
        if (count == CONSOLE_READ_END) {
            size = console_lines_finish(&console->splitter);
            if (size == 0 || deliver(console, size))
                announce_end(console);
            else
                give_back(console);
            return;
        }
        console->next = console->raw;
        console->left = (size_t)count;
        if (!deliver_all(console, wants_keys(console))) {
            give_back(console);
            return;
        }
    }
}

static void reader_main(void *arg)
{
    async_console_t *console = arg;

    read_all(console);
    /* release: pairs with the load in wait_end.  The console stays until the join. */
    atomic_store_explicit(&console->ended, 1, memory_order_release);
    port_futex_wake(&console->ended, PORT_FUTEX_ALL);
}

static int start(async_console_t *console)
{
    const port_thread_attr_t attr = {.name = "async-console", .block_signals = true};
    int err;

    if (console_input_type(console->input) == ASYNC_CONSOLE_TYPE_NONE) {
        announce_end(console);
        atomic_store_explicit(&console->ended, 1, memory_order_relaxed);
        return 0;
    }
    err = port_thread_create(&console->thread, reader_main, console, &attr);
    console->has_thread = err == 0;
    return err;
}

/* Neither thread nor binding is there any more. */
static void free_console(async_console_t *console)
{
    if (console->input != NULL)
        console_input_close(console->input);
    if (console->announcer != NULL)
        announcer_drop(console->announcer);
    console_lines_deinit(&console->splitter);
    port_free(console->raw);
    port_mutex_destroy(&console->mode_lock);
    port_free(console);
}

static int prepare(async_console_t *console, async_runtime_t *runtime, uintptr_t key)
{
    async_queue_stats_t stats;
    int err;

    async_queue_get_stats(console->lines, &stats);
    console->raw = port_alloc(RAW_SIZE);
    console->announcer = announcer_new(runtime, key);
    if (console->raw == NULL || console->announcer == NULL)
        return ENOMEM;
    err = console_lines_init(&console->splitter, stats.max_msg_size);
    if (err == 0)
        err = console_input_open(&console->input);
    return err;
}

static int bind_and_start(async_console_t *console)
{
    announcer_t *announcer = console->announcer;
    int err;

    announcer_hold(announcer); /* the queue's, from before the hook can be released */
    err = queue_bind(console->lines, &announcer->hook);
    if (err != 0) {
        announcer_drop(announcer);
        return err;
    }
    err = start(console);
    if (err != 0)
        queue_unbind(console->lines, &announcer->hook);
    return err;
}

static int create(async_runtime_t *runtime, async_queue_t *lines, uintptr_t key,
                  async_console_t **out)
{
    async_console_t *console = port_zalloc(1, sizeof(*console));
    int err;

    if (console == NULL)
        return ENOMEM;
    err = port_mutex_init(&console->mode_lock);
    if (err != 0) {
        port_free(console);
        return ENOMEM;
    }
    console->lines = lines;
    console->generation = port_fork_generation();
    console->next = "";
    atomic_init(&console->mode, MODE_BITS);
    err = prepare(console, runtime, key);
    if (err == 0)
        err = bind_and_start(console);
    if (err != 0) {
        free_console(console);
        return err;
    }
    *out = console;
    return 0;
}

async_console_t *async_console_create(async_runtime_t *runtime, async_queue_t *lines,
                                      uintptr_t completion_key)
{
    int saved = errno, err;
    async_console_t *console = NULL;
    async_queue_stats_t stats;

    if (runtime == NULL || lines == NULL)
        return port_fail_null(EINVAL);
    async_queue_get_stats(lines, &stats);
    if (stats.max_msg_size < 2)
        return port_fail_null(EINVAL);
    if (runtime_is_inherited(runtime))
        return port_fail_null(EPERM);
    if (port_fork_watch() != 0)
        return port_fail_null(ENOMEM);
    if (!occupy(port_fork_generation()))
        return port_fail_null(EEXIST);
    err = create(runtime, lines, completion_key, &console);
    if (err != 0) {
        vacate(port_fork_generation());
        return port_fail_null(err);
    }
    errno = saved;
    return console;
}

static bool is_inherited(const async_console_t *console)
{
    return console->generation != port_fork_generation();
}

static void request_stop(async_console_t *console)
{
    /* release: pairs with is_stopped and with the queue's look at the word */
    if (atomic_exchange_explicit(&console->stop, 1, memory_order_acq_rel) == 0) {
        console_input_stop(console->input);
        queue_interrupt(console->lines);
    }
    port_mutex_lock(&console->mode_lock);
    console_input_restore(console->input);
    port_mutex_unlock(&console->mode_lock);
}

static int wait_end(async_console_t *console, uint64_t deadline)
{
    /* acquire: pairs with reader_main */
    while (atomic_load_explicit(&console->ended, memory_order_acquire) == 0) {
        if (deadline == 0 || port_futex_wait(&console->ended, 0, deadline) == ETIMEDOUT) {
            if (atomic_load_explicit(&console->ended, memory_order_acquire) == 0)
                return ETIMEDOUT;
        }
    }
    return 0;
}

bool async_console_shutdown(async_console_t *console, int timeout_ms)
{
    int saved = errno, err;
    uint64_t deadline;

    if (console == NULL || timeout_ms < -1)
        return port_fail_false(EINVAL);
    if (is_inherited(console))
        return port_fail_false(EPERM);
    deadline = port_deadline(timeout_ms);
    request_stop(console);
    err = wait_end(console, deadline);
    if (err != 0)
        return port_fail_false(err);
    errno = saved;
    return true;
}

void async_console_destroy(async_console_t *console)
{
    int saved = errno;

    if (console == NULL)
        return;
    if (!is_inherited(console)) {
        request_stop(console);
        if (console->has_thread)
            port_thread_join(&console->thread);
        vacate(console->generation);
    }
    queue_unbind(console->lines, &console->announcer->hook);
    /* nobody wants to hear of a console that is gone */
    runtime_node_withdraw(&console->announcer->lines);
    runtime_node_withdraw(&console->announcer->end);
    free_console(console);
    errno = saved;
}

bool async_console_is_eof(const async_console_t *console)
{
    if (console == NULL) {
        port_error_set(EINVAL);
        return false;
    }
    /* acquire: pairs with announce_end */
    return atomic_load_explicit(&console->eof, memory_order_acquire) != 0;
}

int async_console_set_mode(async_console_t *console, uint32_t mode)
{
    int saved = errno, err;

    if (console == NULL || (mode & ~MODE_BITS) != 0)
        return port_fail(EINVAL);
    if (is_inherited(console))
        return port_fail(EPERM);
    if (console_input_type(console->input) != ASYNC_CONSOLE_TYPE_REAL)
        return port_fail(ENOTTY);
    port_mutex_lock(&console->mode_lock);
    if (is_stopped(console)) {
        err = EINVAL; /* the terminal has been given back */
    } else {
        /* before the terminal changes: what is read afterwards is split as it was typed; pairs with
         * wants_keys */
        atomic_store_explicit(&console->mode, mode, memory_order_release);
        err = console_input_set_mode(console->input, mode);
    }
    port_mutex_unlock(&console->mode_lock);
    return port_result(err, saved);
}

async_console_type_t async_console_get_type(const async_console_t *console)
{
    if (console == NULL) {
        port_error_set(EINVAL);
        return ASYNC_CONSOLE_TYPE_NONE;
    }
    return console_input_type(console->input);
}

async_console_type_t async_console_detect(void)
{
    return runtime_console_detect();
}

const char *async_console_type_name(async_console_type_t type)
{
    static const char *const names[] = {"NONE", "REAL", "PIPE", "FILE"};
    unsigned index = (unsigned)type;

    if (index >= sizeof(names) / sizeof(names[0]))
        return port_fail_null(EINVAL);
    return names[index];
}

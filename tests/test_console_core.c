/* SPDX-License-Identifier: MIT */
/* What needs the inside of the library: no memory at any time, and the wait that can be
 * interrupted. */
#include "port/port_memory.h"
#include "queue/queue_interrupt.h"
#include "testlib.h"

#include <stdatomic.h>

/* The allocation that fails, counted from 1; 0: none does. */
static _Atomic long countdown;
static _Atomic bool refuse_for_good;

static bool refuse(size_t size)
{
    long left = atomic_load(&countdown);

    (void)size;
    if (left == 0)
        return true;
    left = atomic_fetch_sub(&countdown, 1);
    if (left > 1)
        return true;
    if (atomic_load(&refuse_for_good))
        atomic_store(&countdown, 1);
    else
        atomic_store(&countdown, 0);
    return false;
}

/* Creates with the N-th allocation failing until it succeeds. */
static void create_without_memory(async_runtime_t *runtime, async_queue_t *lines)
{
    async_console_t *console = NULL;
    int fds = tl_fd_count();
    long n;

    for (n = 1; console == NULL; n++) {
        ck_assert_int_lt(n, 100);
        atomic_store(&countdown, n);
        console = async_console_create(runtime, lines, 1);
        if (console == NULL) {
            ck_assert_int_eq(errno, ENOMEM);
            atomic_store(&countdown, 0);
            ck_assert_int_eq(tl_fd_count(), fds);
        }
    }
    ck_assert_int_ge(n, 5);
    /* with the hook still refusing: what follows does not need memory, or does without it */
    atomic_store(&countdown, 1);
    if (async_console_get_type(console) == ASYNC_CONSOLE_TYPE_REAL) {
        ck_assert_int_eq(async_console_set_mode(console, 0), 0);
        ck_assert_int_eq(async_console_set_mode(console, ASYNC_CONSOLE_LINE), 0);
    }
    ck_assert(async_console_shutdown(console, -1));
    async_console_destroy(console);
    atomic_store(&countdown, 0);
    ck_assert_int_eq(tl_fd_count(), fds);
}

START_TEST(no_memory)
{
    async_runtime_t *runtime = async_runtime_init();
    async_queue_t *lines = async_queue_create(1, 64, 0);
    async_handle_t writer;

    ck_assert(runtime != NULL && lines != NULL);
    if (_i >= 2) {
        writer = tl_input_pipe();
        /* more than the queue holds: what is read ahead cannot be kept, and that is all */
        tl_file_write(writer, "1\n2\n3\n", 6);
    } else if (!tl_input_terminal(&writer)) {
        writer = tl_input_pipe();
    }
    atomic_store(&refuse_for_good, _i % 2 != 0);
    port_memory_set_hook(refuse);
    create_without_memory(runtime, lines);
    port_memory_set_hook(NULL);
    async_queue_destroy(lines);
    async_runtime_deinit(runtime);
    tl_file_close(writer);
    tl_input_null();
}
END_TEST

static bool count_all(size_t size)
{
    (void)size;
    atomic_fetch_add(&countdown, 1);
    return true;
}

/* Once it runs, the reader allocates nothing. */
START_TEST(reading_allocates_nothing)
{
    async_runtime_t *runtime = async_runtime_init();
    async_queue_t *lines = async_queue_create(8, 16, 0);
    async_console_t *console;
    async_handle_t writer = tl_input_pipe();
    char line[16];

    console = async_console_create(runtime, lines, 1);
    ck_assert_ptr_nonnull(console);
    atomic_store(&countdown, 0);
    for (int i = 0; i < 1000; i++) {
        async_event_t event;

        if (i == 100) {
            port_memory_set_hook(count_all);
        }
        tl_file_write(writer, "line\n", 5);
        while (!async_queue_dequeue(lines, line, sizeof(line), NULL))
            ck_assert_int_ge(async_runtime_wait(runtime, &event, 1, 20000), 0);
    }
    port_memory_set_hook(NULL);
    ck_assert_int_eq(atomic_load(&countdown), 0);
    async_console_destroy(console);
    async_queue_destroy(lines);
    async_runtime_deinit(runtime);
    tl_file_close(writer);
}
END_TEST

typedef struct sender {
    async_queue_t *queue;
    _Atomic uint32_t stop;
    int result;
} sender_t;

static void send_one(void *arg)
{
    sender_t *sender = arg;

    sender->result = queue_enqueue_interruptible(sender->queue, "x", 1, &sender->stop);
}

/* Whenever the stop comes, before the sleep or during it, the sender ends. */
START_TEST(interrupted_enqueue)
{
    static const async_queue_flags_t flags[] = {0, ASYNC_QUEUE_BLOCK_WRITER};

    for (int round = 0; round < 500; round++) {
        sender_t sender = {.queue = async_queue_create(1, 4, flags[round % 2])};
        async_queue_stats_t stats;
        tl_thread_t *thread;

        ck_assert(async_queue_enqueue(sender.queue, "full", 4));
        thread = tl_thread_start(send_one, &sender);
        if (round % 3 == 0)
            tl_sleep_ms((unsigned)round % 2);
        atomic_store(&sender.stop, 1);
        queue_interrupt(sender.queue);
        tl_thread_join(thread);
        ck_assert_int_eq(sender.result, EINTR);
        async_queue_get_stats(sender.queue, &stats);
        ck_assert_uint_eq(stats.current_size, 1);
        async_queue_destroy(sender.queue);
    }
}
END_TEST

START_TEST(interruptible_enqueue)
{
    async_queue_t *queue = async_queue_create(1, 4, ASYNC_QUEUE_DROP_OLDEST);
    _Atomic uint32_t stop = 1;
    void *slot;

    /* the stop is for waiting only */
    ck_assert_int_eq(queue_enqueue_interruptible(queue, "x", 1, &stop), 0);
    ck_assert_int_eq(queue_enqueue_interruptible(queue, "y", 1, &stop), 0);
    ck_assert_int_eq(queue_enqueue_interruptible(queue, "too long", 8, &stop), EMSGSIZE);
    ck_assert(async_queue_dequeue(queue, NULL, 0, NULL) || errno == EMSGSIZE);
    async_queue_clear(queue);
    slot = async_queue_reserve(queue, 1);
    ck_assert_ptr_nonnull(slot);
    ck_assert_int_eq(queue_enqueue_interruptible(queue, "z", 1, &stop), EAGAIN);
    async_queue_abandon(queue, slot);
    async_queue_close(queue);
    ck_assert_int_eq(queue_enqueue_interruptible(queue, "z", 1, &stop), EPIPE);
    async_queue_destroy(queue);
}
END_TEST

static void reset(void)
{
    port_memory_set_hook(NULL);
    atomic_store(&countdown, 0);
    atomic_store(&refuse_for_good, false);
}

static void add_case(Suite *suite)
{
    TCase *tcase = tl_case_after(suite, "core", tl_input_null);

    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, reset, reset);
    tcase_add_loop_test(tcase, no_memory, 0, 4);
    tcase_add_test(tcase, reading_allocates_nothing);
    tcase_add_test(tcase, interrupted_enqueue);
    tcase_add_test(tcase, interruptible_enqueue);
}

int main(void)
{
    return tl_main("console_core", add_case);
}

/* SPDX-License-Identifier: MIT */
/* What needs the inside of the library: no memory at any time, and the wait that can be
 * interrupted. */
#include "port/port_memory.h"
#include "queue/queue_interrupt.h"

#include <asyncrt.h>

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static int count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    ck_assert_ptr_nonnull(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

/* Creates with the N-th allocation failing until it succeeds. */
static void create_without_memory(async_runtime_t *runtime, async_queue_t *lines)
{
    async_console_t *console = NULL;
    int fds = count_fds();
    long n;

    for (n = 1; console == NULL; n++) {
        ck_assert_int_lt(n, 100);
        atomic_store(&countdown, n);
        console = async_console_create(runtime, lines, 1);
        if (console == NULL) {
            ck_assert_int_eq(errno, ENOMEM);
            atomic_store(&countdown, 0);
            ck_assert_int_eq(count_fds(), fds);
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
    ck_assert_int_eq(count_fds(), fds);
}

/* A terminal becomes standard input; returns its other end. */
static int open_terminal(void)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY), slave;

    ck_assert(master != -1 && grantpt(master) == 0 && unlockpt(master) == 0);
    slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    ck_assert_int_ne(slave, -1);
    ck_assert_int_eq(dup2(slave, 0), 0);
    close(slave);
    return master;
}

START_TEST(no_memory)
{
    int master = -1, fds[2] = {-1, -1};
    async_runtime_t *runtime = async_runtime_init();
    async_queue_t *lines = async_queue_create(1, 64, 0);

    ck_assert(runtime != NULL && lines != NULL);
    if (_i < 2) {
        master = open_terminal();
    } else {
        ck_assert_int_eq(pipe(fds), 0);
        ck_assert_int_eq(dup2(fds[0], 0), 0);
        close(fds[0]);
        /* more than the queue holds: what is read ahead cannot be kept, and that is all */
        ck_assert_int_eq(write(fds[1], "1\n2\n3\n", 6), 6);
    }
    atomic_store(&refuse_for_good, _i % 2 != 0);
    port_memory_set_hook(refuse);
    create_without_memory(runtime, lines);
    port_memory_set_hook(NULL);
    async_queue_destroy(lines);
    async_runtime_deinit(runtime);
    close(_i < 2 ? master : fds[1]);
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
    int fds[2];
    char line[16];

    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(dup2(fds[0], 0), 0);
    console = async_console_create(runtime, lines, 1);
    ck_assert_ptr_nonnull(console);
    atomic_store(&countdown, 0);
    for (int i = 0; i < 1000; i++) {
        async_event_t event;

        if (i == 100) {
            port_memory_set_hook(count_all);
        }
        ck_assert_int_eq(write(fds[1], "line\n", 5), 5);
        while (!async_queue_dequeue(lines, line, sizeof(line), NULL))
            ck_assert_int_ge(async_runtime_wait(runtime, &event, 1, 20000), 0);
    }
    port_memory_set_hook(NULL);
    ck_assert_int_eq(atomic_load(&countdown), 0);
    async_console_destroy(console);
    async_queue_destroy(lines);
    async_runtime_deinit(runtime);
}
END_TEST

typedef struct sender {
    async_queue_t *queue;
    _Atomic uint32_t stop;
    int result;
} sender_t;

static void *send_one(void *arg)
{
    sender_t *sender = arg;

    sender->result = queue_enqueue_interruptible(sender->queue, "x", 1, &sender->stop);
    return NULL;
}

/* Whenever the stop comes, before the sleep or during it, the sender ends. */
START_TEST(interrupted_enqueue)
{
    static const async_queue_flags_t flags[] = {0, ASYNC_QUEUE_BLOCK_WRITER};

    for (int round = 0; round < 500; round++) {
        sender_t sender = {.queue = async_queue_create(1, 4, flags[round % 2])};
        async_queue_stats_t stats;
        pthread_t thread;

        ck_assert(async_queue_enqueue(sender.queue, "full", 4));
        ck_assert_int_eq(pthread_create(&thread, NULL, send_one, &sender), 0);
        if (round % 3 == 0)
            usleep((useconds_t)(round % 50) * 10);
        atomic_store(&sender.stop, 1);
        queue_interrupt(sender.queue);
        pthread_join(thread, NULL);
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

int main(void)
{
    Suite *suite = suite_create("console_core");
    TCase *tcase = tcase_create("core");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, no_memory, 0, 4);
    tcase_add_test(tcase, reading_allocates_nothing);
    tcase_add_test(tcase, interrupted_enqueue);
    tcase_add_test(tcase, interruptible_enqueue);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}

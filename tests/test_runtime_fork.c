/* SPDX-License-Identifier: MIT */
/*
 * test_runtime_fork.c - what is left of a runtime in the child of a fork, and in what it execs;
 * POSIX
 */
#include "testlib.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define READ ASYNC_EVENT_READ
#define WRITE ASYNC_EVENT_WRITE

static async_runtime_t *runtime;
static int fds[2];
static int fds_before;

static void setup(void)
{
    tl_pair(fds);
    fds_before = tl_fd_count();
    runtime = tl_runtime();
}

static void teardown(void)
{
    async_runtime_deinit(runtime);
    tl_close_pair(fds);
}

/*
 * Runs body in a child.  Check's own messages belong to the parent, so a child says by its exit
 * status which of its claims is wrong: the line.
 */
#define CLAIM(condition)                                                                \
    do {                                                                                \
        if (!(condition)) {                                                             \
            fprintf(stderr, "%s:%d: in the child: %s (errno %d)\n", __FILE__, __LINE__, \
                    #condition, errno);                                                 \
            _exit(1);                                                                   \
        }                                                                               \
    } while (0)

#define CLAIM_EPERM(call, value)            \
    do {                                    \
        errno = 0;                          \
        CLAIM((call) == (value));           \
        CLAIM(errno == EPERM);              \
        CLAIM(async_last_error() == EPERM); \
    } while (0)

static void run_in_child(void (*body)(void))
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        body();
        _exit(0);
    }
    ck_assert_int_gt(child, 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ended with %#x",
                  (unsigned)status);
}

/* ---- the child */

/* "in the child every call on an inherited runtime but deinit fails with EPERM" */
static void every_call(void)
{
    async_queue_t *queue = async_queue_create(1, 1, 0);
    async_event_t event;
    char byte = 0;

    CLAIM_EPERM(async_runtime_add(runtime, fds[1], READ, NULL), -1);
    CLAIM_EPERM(async_runtime_modify(runtime, fds[0], WRITE, NULL), -1);
    CLAIM_EPERM(async_runtime_remove(runtime, fds[0]), -1);
    CLAIM_EPERM(async_runtime_wait(runtime, &event, 1, 0), -1);
    CLAIM_EPERM(async_runtime_wait(runtime, &event, 1, -1), -1);
    CLAIM_EPERM(async_runtime_wakeup(runtime), -1);
    CLAIM_EPERM(async_runtime_post_completion(runtime, 1, 1), -1);
    CLAIM_EPERM(async_runtime_bind_queue(runtime, queue, 1), -1);
    CLAIM_EPERM(async_runtime_post_read(runtime, fds[0], &byte, 1), -1);
    CLAIM_EPERM(async_runtime_post_write(runtime, fds[0], &byte, 1), -1);
    CLAIM_EPERM(async_runtime_add_timer(runtime, 0, 0, NULL), 0);
    CLAIM_EPERM(async_runtime_cancel_timer(runtime, 1), -1);
    CLAIM_EPERM(async_runtime_add_signal(runtime, SIGUSR1, NULL), -1);
    CLAIM_EPERM(async_runtime_remove_signal(runtime, SIGUSR2), -1);
    CLAIM_EPERM(async_runtime_add_console(runtime, NULL), -1);
    CLAIM_EPERM(async_runtime_get_fd(runtime), ASYNC_INVALID_FD);
    CLAIM_EPERM(async_runtime_get_timeout(runtime), -1);
    CLAIM_EPERM(async_runtime_get_console_type(runtime), ASYNC_CONSOLE_TYPE_NONE);
    async_queue_destroy(queue);
    async_runtime_deinit(runtime);
}

START_TEST(test_every_call_in_the_child)
{
    TL_OK(async_runtime_add(runtime, fds[0], READ, tl_context(1)));
    TL_OK(async_runtime_add_signal(runtime, SIGUSR2, NULL));
    run_in_child(every_call);
    tl_quiet(runtime); /* the child's wakeup and post are not the parent's */
    tl_send_text(fds[1], "x");
    tl_expect_io(runtime, fds[0], READ, tl_context(1));
}
END_TEST

/* "deinit there frees memory and descriptors" */
static void deinit_only(void)
{
    async_runtime_deinit(runtime);
    CLAIM(tl_fd_count() == fds_before);
}

START_TEST(test_descriptors_of_the_child)
{
    static char block[1 << 20];
    char buffer[8];

    TL_OK(async_runtime_add(runtime, fds[0], READ, NULL));
    TL_OK(async_runtime_add_signal(runtime, SIGUSR1, NULL));
    (void)async_runtime_get_fd(runtime);
    TL_OK(async_runtime_post_read(runtime, fds[0], buffer, 8));
    TL_OK(async_runtime_post_write(runtime, fds[0], block, sizeof block));
    tl_quiet(runtime);
    run_in_child(deinit_only);
}
END_TEST

/* "and does not disturb the parent": everything that was pending or registered comes all the same
 */
START_TEST(test_parent_goes_on)
{
    async_queue_t *queue = async_queue_create(4, 4, 0);
    async_event_t event;
    char buffer[8];
    int other[2];
    uint64_t timer;

    ck_assert_ptr_nonnull(queue);
    tl_pair(other);
    fds_before += 2;
    TL_OK(async_runtime_add(runtime, fds[0], READ, tl_context(1)));
    TL_OK(async_runtime_add(runtime, other[0], 0, tl_context(2)));
    TL_OK(async_runtime_post_read(runtime, other[0], buffer, 8));
    TL_OK(async_runtime_add_signal(runtime, SIGUSR1, tl_context(3)));
    TL_OK(async_runtime_bind_queue(runtime, queue, 4));
    timer = async_runtime_add_timer(runtime, 60000000, 0, NULL);
    ck_assert_uint_ne(timer, 0);
    tl_quiet(runtime);
    for (int i = 0; i < 3; i++)
        run_in_child(deinit_only);

    tl_send_text(fds[1], "x");
    tl_expect_io(runtime, fds[0], READ, tl_context(1));
    (void)tl_drain(fds[0]);
    tl_send_text(other[1], "data");
    tl_one(runtime, &event);
    ck_assert_uint_eq(event.event_type, ASYNC_EVENT_COMPLETION | READ);
    ck_assert_uint_eq(event.bytes_transferred, 4);
    ck_assert_int_eq(kill(getpid(), SIGUSR1), 0);
    tl_one(runtime, &event);
    ck_assert_uint_eq(event.event_type, ASYNC_EVENT_SIGNAL);
    ck_assert(async_queue_enqueue(queue, "abc", 3));
    tl_expect_completion(runtime, 4, 0);
    TL_OK(async_runtime_cancel_timer(runtime, timer));
    TL_OK(async_runtime_modify(runtime, fds[0], WRITE, tl_context(5)));
    tl_expect_io(runtime, fds[0], WRITE, tl_context(5));
    TL_OK(async_runtime_remove(runtime, fds[0]));
    TL_OK(async_runtime_remove(runtime, other[0]));
    tl_quiet(runtime);
    async_queue_destroy(queue);
    tl_close_pair(other);
}
END_TEST

/* Events that were there at the fork are the parent's, each once. */
START_TEST(test_pending_at_the_fork)
{
    for (uintptr_t i = 0; i < 10; i++)
        TL_OK(async_runtime_post_completion(runtime, 1, i));
    tl_expect_completion(runtime, 1, 0); /* some are fetched */
    run_in_child(deinit_only);
    for (uintptr_t i = 1; i < 10; i++)
        tl_expect_completion(runtime, 1, i);
    TL_OK(async_runtime_wakeup(runtime));
    run_in_child(deinit_only);
    TL_OK(async_runtime_wait(runtime, &(async_event_t){0}, 1, -1));
    tl_quiet(runtime);
}
END_TEST

static void own_runtime(void)
{
    async_runtime_t *own = async_runtime_init();
    async_event_t event;
    int pair[2];

    CLAIM(own != NULL);
    tl_pair(pair);
    CLAIM(async_runtime_add(own, pair[0], READ, NULL) == 0);
    CLAIM(async_runtime_post_completion(own, 1, 2) == 0);
    CLAIM(async_runtime_wait(own, &event, 1, -1) == 1 && event.data == 2);
    CLAIM(write(pair[1], "x", 1) == 1);
    CLAIM(async_runtime_wait(own, &event, 1, -1) == 1 && event.fd == pair[0]);
    async_runtime_deinit(runtime);
    CLAIM(async_runtime_wait(own, &event, 1, -1) == 1 && event.fd == pair[0]);
    CLAIM(async_runtime_add_signal(own, SIGUSR1, NULL) == 0);
    CLAIM(kill(getpid(), SIGUSR1) == 0);
    CLAIM(read(pair[0], &event, 1) == 1);
    while (async_runtime_wait(own, &event, 1, -1) == 0)
        continue;
    CLAIM(event.event_type == ASYNC_EVENT_SIGNAL);
    async_runtime_deinit(own);
}

START_TEST(test_own_runtime_in_the_child)
{
    TL_OK(async_runtime_add(runtime, fds[0], READ, tl_context(1)));
    run_in_child(own_runtime);
    tl_quiet(runtime);
}
END_TEST

static void grandchild(void)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        CLAIM_EPERM(async_runtime_wakeup(runtime), -1);
        async_runtime_deinit(runtime);
        _exit(0);
    }
    CLAIM(waitpid(child, &status, 0) == child);
    CLAIM(status == 0);
    CLAIM_EPERM(async_runtime_wakeup(runtime), -1);
    async_runtime_deinit(runtime);
}

START_TEST(test_grandchild)
{
    run_in_child(grandchild);
    TL_OK(async_runtime_post_completion(runtime, 1, 1));
    tl_expect_completion(runtime, 1, 1);
}
END_TEST

/* A signal that the child gets before it has let go of the runtime is no event of the parent. */
static void signal_to_the_child(void)
{
    CLAIM(kill(getpid(), SIGUSR1) == 0);
    async_runtime_deinit(runtime);
}

START_TEST(test_signal_in_the_child)
{
    async_event_t event;

    TL_OK(async_runtime_add_signal(runtime, SIGUSR1, tl_context(1)));
    run_in_child(signal_to_the_child);
    tl_quiet(runtime);
    ck_assert_int_eq(kill(getpid(), SIGUSR1), 0);
    tl_one(runtime, &event);
    ck_assert_uint_eq(event.event_type, ASYNC_EVENT_SIGNAL);
    tl_quiet(runtime);
}
END_TEST

/* The fork comes from one thread while another one sleeps in wait. */
struct sleeper {
    async_event_t event;
    int count;
};

static void sleeper_main(void *arg)
{
    struct sleeper *sleeper = arg;

    do {
        sleeper->count = async_runtime_wait(runtime, &sleeper->event, 1, -1);
    } while (sleeper->count == 0);
}

START_TEST(test_fork_during_wait)
{
    if (tl_runtime_flags() & ASYNC_RUNTIME_SINGLE_THREAD)
        return;
    for (uintptr_t i = 0; i < 10; i++) {
        struct sleeper sleeper;
        static tl_thread_t *thread; /* static: the child's leak checker finds it here */

        thread = tl_thread_start(sleeper_main, &sleeper);

        if (i % 2 == 0)
            tl_sleep_ms(2);
        run_in_child(deinit_only);
        TL_OK(async_runtime_post_completion(runtime, i, i));
        tl_thread_join(thread);
        ck_assert_int_eq(sleeper.count, 1);
        ck_assert_uint_eq(sleeper.event.data, i);
    }
}
END_TEST

/* A queue that was bound before the fork is an unbound queue in the child. */
static async_queue_t *bound;

static void use_bound_queue(void)
{
    char buffer[4];

    CLAIM(async_queue_enqueue(bound, "a", 1));
    async_runtime_deinit(runtime);
    CLAIM(async_queue_enqueue(bound, "b", 1));
    CLAIM(async_queue_dequeue(bound, buffer, sizeof buffer, NULL));
    CLAIM(async_queue_dequeue(bound, buffer, sizeof buffer, NULL));
    CLAIM(!async_queue_dequeue(bound, buffer, sizeof buffer, NULL));
    async_queue_destroy(bound);
}

START_TEST(test_bound_queue)
{
    bound = async_queue_create(4, 4, 0);
    ck_assert_ptr_nonnull(bound);
    TL_OK(async_runtime_bind_queue(runtime, bound, 9));
    run_in_child(use_bound_queue);
    tl_quiet(runtime);
    ck_assert(async_queue_enqueue(bound, "c", 1));
    tl_expect_completion(runtime, 9, 0);
    async_queue_destroy(bound);
}
END_TEST

/* ---- exec: "All descriptors are close-on-exec." */

static bool was_open[4096];

static void look_at_descriptors(bool check)
{
    DIR *dir = opendir("/proc/self/fd");

    if (dir == NULL)
        return; /* the system does not tell */
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        int fd = atoi(entry->d_name);

        if (entry->d_name[0] == '.' || fd == dirfd(dir) || fd >= 4096)
            continue;
        if (!check) {
            was_open[fd] = true;
        } else if (!was_open[fd]) {
            int flags = fcntl(fd, F_GETFD);

            ck_assert_msg((flags & FD_CLOEXEC) != 0, "descriptor %d would be inherited", fd);
        }
    }
    closedir(dir);
}

START_TEST(test_close_on_exec)
{
    static char block[1 << 20];
    async_runtime_t *other;
    char buffer[8];
    int input[2];

    ck_assert_int_eq(pipe(input), 0);
    ck_assert_int_eq(dup2(input[0], STDIN_FILENO), STDIN_FILENO);
    tl_close_pair(input);
    memset(was_open, 0, sizeof was_open);
    look_at_descriptors(false);
    other = tl_runtime();
    look_at_descriptors(true);
    TL_OK(async_runtime_add(other, fds[0], READ | WRITE, NULL));
    TL_OK(async_runtime_add_signal(other, SIGUSR1, NULL));
    TL_OK(async_runtime_add_console(other, NULL));
    TL_OK(async_runtime_post_read(other, fds[0], buffer, 8));
    TL_OK(async_runtime_post_write(other, fds[0], block, sizeof block));
    TL_OK(async_runtime_post_completion(other, 1, 1));
    TL_OK(async_runtime_wakeup(other));
    ck_assert_uint_ne(async_runtime_add_timer(other, 1000, 0, NULL), 0);
    (void)async_runtime_get_fd(other);
    look_at_descriptors(true);
    for (int i = 0; i < 5; i++)
        (void)async_runtime_wait(other, &(async_event_t){0}, 1, 0);
    look_at_descriptors(true);
    async_runtime_deinit(other);
}
END_TEST

static void add_cases(Suite *suite)
{
    TCase *tcase = tl_case(suite, "child");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_every_call_in_the_child);
    tcase_add_test(tcase, test_descriptors_of_the_child);
    tcase_add_test(tcase, test_own_runtime_in_the_child);
    tcase_add_test(tcase, test_grandchild);

    tcase = tl_case(suite, "parent");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_parent_goes_on);
    tcase_add_test(tcase, test_pending_at_the_fork);
    tcase_add_test(tcase, test_signal_in_the_child);
    tcase_add_test(tcase, test_fork_during_wait);
    tcase_add_test(tcase, test_bound_queue);
    tcase_add_test(tcase, test_close_on_exec);
}

int main(void)
{
    return tl_main("runtime_fork", add_cases);
}

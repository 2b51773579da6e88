/* SPDX-License-Identifier: MIT */
/*
 * What the io_uring backend promises to sandboxes: it is refused in words where the system call is
 * refused, and is not touched when nobody asks for it.
 */
#include "testcheck.h"

#include <asyncrt.h>

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From here on these two system calls have this end in this process. */
static void filter(uint32_t call, uint32_t other, uint32_t action)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, other, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, action),
    };
    struct sock_fprog program = {.len = sizeof(rules) / sizeof(rules[0]), .filter = rules};

    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static void filter_io_uring(uint32_t action)
{
    filter(SYS_io_uring_setup, SYS_io_uring_enter, action);
}

static async_runtime_t *make(const char *backend)
{
    async_runtime_options_t options = ASYNC_RUNTIME_OPTIONS_INIT;

    options.backend = backend;
    return async_runtime_init_with(&options);
}

static bool is_built_in(const char *name)
{
    for (const char *const *at = async_runtime_backends(); *at != NULL; at++)
        if (strcmp(*at, name) == 0)
            return true;
    return false;
}

START_TEST(test_available)
{
    async_runtime_t *runtime;

    ck_assert(is_built_in("io_uring"));
    runtime = make("io_uring");
    ck_assert_ptr_nonnull(runtime);
    ck_assert_str_eq(async_runtime_get_backend(runtime), "io_uring");
    async_runtime_deinit(runtime);
}
END_TEST

static const int refusals[] = {ENOSYS, EPERM, EACCES};

START_TEST(test_refused)
{
    filter_io_uring(SECCOMP_RET_ERRNO | (uint32_t)refusals[_i]);
    errno = 0;
    ck_assert_ptr_null(make("io_uring"));
    ck_assert_int_eq(errno, ENOTSUP);
    ck_assert_int_eq(async_last_error(), ENOTSUP);
    setenv("ASYNCRT_BACKEND", "io_uring", 1);
    ck_assert_ptr_null(async_runtime_init());
    ck_assert_int_eq(errno, ENOTSUP);
}
END_TEST

START_TEST(test_half_refused)
{
    filter(SYS_io_uring_enter, SYS_io_uring_enter, SECCOMP_RET_ERRNO | (uint32_t)refusals[_i]);
    errno = 0;
    ck_assert_ptr_null(make("io_uring"));
    ck_assert_int_eq(errno, ENOTSUP);
}
END_TEST

/* What every backend needs. */
START_TEST(test_all_refused)
{
    const char *const *names = async_runtime_backends();

    filter(SYS_eventfd2, SYS_epoll_create1, SECCOMP_RET_ERRNO | (uint32_t)refusals[_i]);
    for (size_t i = 0; names[i] != NULL; i++) {
        errno = 0;
        ck_assert_ptr_null(make(names[i]));
        ck_assert_int_eq(errno, ENOTSUP);
    }
}
END_TEST

/* A sandbox that ends who merely probes it: the other backends live there. */
START_TEST(test_not_probed)
{
    const char *const *names = async_runtime_backends();
    async_event_t event;
    int fds[2];

    filter_io_uring(SECCOMP_RET_KILL_PROCESS);
    unsetenv("ASYNCRT_BACKEND");
    for (int i = -1; i < 0 || names[i] != NULL; i++) {
        async_runtime_t *runtime;
        char byte;

        if (i >= 0 && strcmp(names[i], "io_uring") == 0)
            continue;
        runtime = make(i < 0 ? NULL : names[i]);
        ck_assert_ptr_nonnull(runtime);
        ck_assert_int_eq(pipe(fds), 0);
        ck_assert_int_eq(async_runtime_add(runtime, fds[0], 0, NULL), 0);
        ck_assert_int_eq(async_runtime_post_read(runtime, fds[0], &byte, 1), 0);
        ck_assert_int_eq(write(fds[1], "x", 1), 1);
        ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, 10000), 1);
        ck_assert_uint_eq(event.bytes_transferred, 1);
        async_runtime_deinit(runtime);
        close(fds[0]);
        close(fds[1]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("uring");
    TCase *tcase = tcase_create("sandbox");
    SRunner *runner;
    int failed;

    tcase_add_test(tcase, test_available);
    tcase_add_loop_test(tcase, test_refused, 0, sizeof(refusals) / sizeof(refusals[0]));
    tcase_add_loop_test(tcase, test_half_refused, 0, sizeof(refusals) / sizeof(refusals[0]));
    tcase_add_loop_test(tcase, test_all_refused, 0, sizeof(refusals) / sizeof(refusals[0]));
    tcase_add_test(tcase, test_not_probed);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

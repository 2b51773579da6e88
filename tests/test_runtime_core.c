/* SPDX-License-Identifier: MIT */
/*
 * What is inside the runtime: the completion ring, the timers' heap, and memory that runs out at every
 * allocation; and a first look at the whole on every backend.
 */
#include "port/port_clock.h"
#include "port/port_memory.h"
#include "port/port_thread.h"
#include "runtime/runtime_completion.h"
#include "runtime/runtime_timer.h"

#include <asyncrt.h>

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MANY 100000u

static int descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    while (dir != NULL && readdir(dir) != NULL)
        count++;
    if (dir != NULL)
        closedir(dir);
    return count;
}

/* A runtime on the n-th backend; NULL when the system refuses that. */
static async_runtime_t *make(int n)
{
    async_runtime_options_t options = ASYNC_RUNTIME_OPTIONS_INIT;
    async_runtime_t *rt;

    options.backend = async_runtime_backends()[n];
    rt = async_runtime_init_with(&options);
    ck_assert(rt != NULL || errno == ENOTSUP);
    return rt;
}

/* ---- The whole. ---- */

START_TEST(smoke)
{
    int before = descriptors(), sv[2];
    async_runtime_t *rt = make(_i);
    async_event_t ev[8];
    char context, text[8] = "";
    async_runtime_stats_t stats;

    if (rt == NULL)
        return;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
    ck_assert_int_eq(async_runtime_add(rt, sv[0], ASYNC_EVENT_READ, &context), 0);
    ck_assert_int_eq(async_runtime_wait(rt, ev, 8, 0), 0);
    ck_assert_int_eq(write(sv[1], "x", 1), 1);
    ck_assert_int_eq(async_runtime_post_completion(rt, 7, UINTPTR_MAX), 0);
    ck_assert_int_eq(async_runtime_wait(rt, ev, 8, -1), 2);
    ck_assert_uint_eq(ev[0].event_type, ASYNC_EVENT_READ);
    ck_assert_int_eq(ev[0].fd, sv[0]);
    ck_assert_ptr_eq(ev[0].context, &context);
    ck_assert_uint_eq(ev[1].event_type, ASYNC_EVENT_COMPLETION);
    ck_assert_uint_eq(ev[1].completion_key, 7);
    ck_assert_uint_eq(ev[1].data, UINTPTR_MAX);
    ck_assert_int_eq(ev[1].fd, ASYNC_INVALID_FD);
    ck_assert_int_eq(async_runtime_modify(rt, sv[0], 0, &context), 0);
    ck_assert_int_eq(async_runtime_wait(rt, ev, 8, 0), 0);
    ck_assert_int_eq(async_runtime_post_read(rt, sv[0], text, sizeof(text)), 0);
    ck_assert_int_eq(async_runtime_wait(rt, ev, 8, -1), 1);
    ck_assert_uint_eq(ev[0].event_type, ASYNC_EVENT_COMPLETION | ASYNC_EVENT_READ);
    ck_assert_uint_eq(ev[0].bytes_transferred, 1);
    ck_assert_int_eq(async_runtime_post_read(rt, sv[0], text, sizeof(text)), 0);
    ck_assert_int_eq(async_runtime_wait(rt, ev, 8, 10), 0);
    ck_assert_int_eq(write(sv[1], "yz", 2), 2);
    ck_assert_int_eq(async_runtime_wait(rt, ev, 8, -1), 1);
    ck_assert_uint_eq(ev[0].bytes_transferred, 2);
    ck_assert_uint_ne(async_runtime_add_timer(rt, 1000, 0, &context), 0);
    ck_assert_int_eq(async_runtime_wait(rt, ev, 8, -1), 1);
    ck_assert_uint_eq(ev[0].event_type, ASYNC_EVENT_TIMER);
    ck_assert_uint_eq(ev[0].data, 1);
    ck_assert_int_eq(async_runtime_add_signal(rt, SIGUSR1, &context), 0);
    raise(SIGUSR1);
    ck_assert_int_eq(async_runtime_wait(rt, ev, 8, -1), 1);
    ck_assert_uint_eq(ev[0].event_type, ASYNC_EVENT_SIGNAL);
    ck_assert_uint_eq(ev[0].data, SIGUSR1);
    ck_assert_int_eq(async_runtime_wakeup(rt), 0);
    ck_assert_int_eq(async_runtime_wait(rt, ev, 8, -1), 0);
    async_runtime_get_stats(rt, &stats);
    ck_assert_uint_eq(stats.registered, 1);
    ck_assert_uint_eq(stats.completions_delivered, 1);
    ck_assert_int_eq(async_runtime_remove(rt, sv[0]), 0);
    async_runtime_deinit(rt);
    close(sv[0]);
    close(sv[1]);
    ck_assert_int_eq(descriptors(), before);
}
END_TEST

static void poster(void *arg)
{
    async_runtime_t *rt = arg;

    for (uintptr_t i = 0; i < MANY; i++)
        ck_assert_int_eq(async_runtime_post_completion(rt, port_thread_token(), i), 0);
}

/* Every post arrives once, in its thread's order. */
START_TEST(posters)
{
    async_runtime_t *rt = make(_i);
    port_thread_attr_t attr = {.name = "poster"};
    uintptr_t keys[3] = {0}, next[3] = {0};
    port_thread_t threads[3];
    async_event_t ev[64];
    size_t left = 3 * MANY;

    if (rt == NULL)
        return;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(port_thread_create(&threads[i], poster, rt, &attr), 0);
    while (left > 0) {
        int n = async_runtime_wait(rt, ev, 64, 10000);

        ck_assert_int_gt(n, 0);
        for (int i = 0; i < n; i++) {
            int k = 0;

            while (keys[k] != ev[i].completion_key && keys[k] != 0)
                k++;
            keys[k] = ev[i].completion_key;
            ck_assert_uint_eq(ev[i].data, next[k]);
            next[k]++;
        }
        left -= (size_t)n;
    }
    for (int i = 0; i < 3; i++)
        port_thread_join(&threads[i]);
    ck_assert_int_eq(async_runtime_wait(rt, ev, 64, 0), 0);
    async_runtime_deinit(rt);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("runtime core");
    TCase *tc = tcase_create("whole");
    SRunner *runner;
    int failed, backends = 0;

    while (async_runtime_backends()[backends] != NULL)
        backends++;
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, smoke, 0, backends);
    tcase_add_loop_test(tc, posters, 0, backends);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

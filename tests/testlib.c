/* SPDX-License-Identifier: MIT */
/*
 * testlib.c - the part of testlib.h that is the same everywhere
 */
#include "testlib.h"

#include <stdio.h>

#define SKIPPED 77

static const char *backend_before; /* ASYNCRT_BACKEND at the start; NULL: not set */
static int fds_before;
static int threads_before;

static void do_nothing(void *arg)
{
    (void)arg;
}

static void remember_process(void)
{
    /* where there is no fork, an earlier test may have changed it */
    tl_setenv("ASYNCRT_BACKEND", backend_before);
    /* The first thread of a process may start others: a sanitizer's own. */
    tl_thread_join(tl_thread_start(do_nothing, NULL));
    fds_before = tl_fd_count();
    threads_before = tl_thread_count();
}

static void check_process(void)
{
    int threads = tl_settle_threads(threads_before); /* a joined one is listed for a moment */
    int fds = tl_fd_count();

    ck_assert_msg(fds == fds_before, "%d descriptors before, %d after", fds_before, fds);
    ck_assert_msg(threads <= threads_before, "%d threads before, %d after", threads_before,
                  threads);
}

TCase *tl_case(Suite *suite, const char *name)
{
    return tl_case_after(suite, name, NULL);
}

TCase *tl_case_after(Suite *suite, const char *name, void (*first)(void))
{
    TCase *tcase = tcase_create(name);

    tcase_set_timeout(tcase, 60);
    if (first != NULL)
        tcase_add_checked_fixture(tcase, first, NULL);
    tcase_add_checked_fixture(tcase, remember_process, check_process);
    suite_add_tcase(suite, tcase);
    return tcase;
}

static bool is_built_in(const char *backend)
{
    for (const char *const *name = async_runtime_backends(); *name != NULL; name++)
        if (strcmp(*name, backend) == 0)
            return true;
    return false;
}

/* Whether the system has the backend that the environment asks for.  The others are always there.
 */
static bool is_refused(void)
{
    const char *backend = getenv("ASYNCRT_BACKEND");
    async_runtime_t *runtime;

    if (backend == NULL || strcmp(backend, "io_uring") != 0)
        return false;
    runtime = async_runtime_init();
    if (runtime == NULL && errno == ENOTSUP) {
        printf("the backend %s is %s\n", backend,
               is_built_in(backend) ? "refused by the system" : "not built in");
        return true;
    }
    async_runtime_deinit(runtime);
    return false;
}

void tl_use_backend(const char *name)
{
    backend_before = name;
    tl_setenv("ASYNCRT_BACKEND", name);
}

int tl_main(const char *name, void (*add)(Suite *suite))
{
    char *backend = NULL;
    Suite *suite;
    SRunner *runner;
    int failed;

    if (is_refused())
        return SKIPPED;
    if (getenv("ASYNCRT_BACKEND") != NULL) {
        backend = malloc(strlen(getenv("ASYNCRT_BACKEND")) + 1);
        if (backend == NULL)
            return EXIT_FAILURE;
        backend_before = strcpy(backend, getenv("ASYNCRT_BACKEND"));
    }
    suite = suite_create(name);
    runner = srunner_create(suite);
    add(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    free(backend);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

unsigned tl_scaled(unsigned n)
{
    const char *text = getenv("ASYNCRT_TEST_DIVISOR");
    unsigned long divisor = text != NULL ? strtoul(text, NULL, 10) : 1;

    if (divisor == 0)
        divisor = 1;
    return n / divisor > 0 ? (unsigned)(n / divisor) : 1;
}

uint32_t tl_runtime_flags(void)
{
    const char *text = getenv("ASYNCRT_TEST_FLAGS");

    return text != NULL ? (uint32_t)strtoul(text, NULL, 0) : 0;
}

static async_runtime_t *runtime_with(uint32_t flags)
{
    const char *backend = getenv("ASYNCRT_BACKEND");
    async_runtime_options_t options = ASYNC_RUNTIME_OPTIONS_INIT;
    async_runtime_t *runtime;

    options.flags = flags;
    runtime = async_runtime_init_with(&options);
    ck_assert_msg(runtime != NULL, "async_runtime_init: errno %d", errno);
    if (backend != NULL)
        ck_assert_str_eq(async_runtime_get_backend(runtime), backend);
    return runtime;
}

async_runtime_t *tl_runtime(void)
{
    return runtime_with(tl_runtime_flags());
}

async_runtime_t *tl_shared_runtime(void)
{
    return runtime_with(0);
}

bool tl_backend_is(const async_runtime_t *runtime, const char *name)
{
    return strcmp(async_runtime_get_backend(runtime), name) == 0;
}

int tl_some(async_runtime_t *runtime, async_event_t *events, int max_events)
{
    uint64_t end = tl_now_ns() + (uint64_t)TL_WAIT_MS * TL_NS_PER_MS;
    int count;

    /* A wait may return 0 before its time, for a signal or a late wake-up. */
    do {
        errno = TL_ERRNO;
        count = async_runtime_wait(runtime, events, max_events, 1000);
        if (count != 0)
            break;
    } while (tl_now_ns() < end);
    ck_assert_msg(count > 0, "wait: %d, errno %d", count, errno);
    ck_assert_int_le(count, max_events);
    ck_assert_int_eq(errno, TL_ERRNO);
    return count;
}

void tl_one(async_runtime_t *runtime, async_event_t *event)
{
    memset(event, 0xa5, sizeof *event);
    (void)tl_some(runtime, event, 1);
    ck_assert_uint_eq(event->reserved, 0);
}

void tl_quiet(async_runtime_t *runtime)
{
    async_event_t event;
    int count;

    for (int i = 0; i < 2; i++) {
        memset(&event, 0, sizeof event);
        count = async_runtime_wait(runtime, &event, 1, i * TL_QUIET_MS);
        ck_assert_msg(count == 0, "wait: %d, event %#x of descriptor %ld, data %lu", count,
                      event.event_type, (long)event.fd, (unsigned long)event.data);
    }
}

void tl_expect_io(async_runtime_t *runtime, async_fd_t fd, uint32_t bits, void *context)
{
    async_event_t event;

    tl_one(runtime, &event);
    ck_assert_msg(event.event_type == bits, "event %#x, not %#x", event.event_type, bits);
    ck_assert(event.fd == fd);
    ck_assert_ptr_eq(event.context, context);
    ck_assert_int_eq(event.error, 0);
    ck_assert_uint_eq(event.completion_key, 0);
    ck_assert_uint_eq(event.data, 0);
    ck_assert_ptr_null(event.buffer);
    ck_assert_uint_eq(event.bytes_transferred, 0);
}

uint32_t tl_until_io(async_runtime_t *runtime, async_fd_t fd, uint32_t bits, uint32_t never)
{
    uint64_t end = tl_now_ns() + (uint64_t)TL_WAIT_MS * TL_NS_PER_MS;
    async_event_t event;

    do {
        tl_one(runtime, &event);
        ck_assert(event.fd == fd);
        ck_assert_msg((event.event_type & never) == 0, "event %#x with one of %#x",
                      event.event_type, never);
        ck_assert_msg(tl_now_ns() < end, "event %#x, and not %#x", event.event_type, bits);
    } while ((event.event_type & bits) != bits);
    return event.event_type;
}

void tl_expect_completion(async_runtime_t *runtime, uintptr_t key, uintptr_t data)
{
    async_event_t event;

    tl_one(runtime, &event);
    ck_assert_uint_eq(event.event_type, ASYNC_EVENT_COMPLETION);
    ck_assert_uint_eq(event.completion_key, key);
    ck_assert_uint_eq(event.data, data);
    ck_assert(event.fd == ASYNC_INVALID_FD);
    ck_assert_int_eq(event.error, 0);
    ck_assert_ptr_null(event.context);
    ck_assert_ptr_null(event.buffer);
    ck_assert_uint_eq(event.bytes_transferred, 0);
}

async_runtime_stats_t tl_stats(const async_runtime_t *runtime)
{
    async_runtime_stats_t stats;

    memset(&stats, 0xa5, sizeof stats);
    async_runtime_get_stats(runtime, &stats);
    for (size_t i = 0; i < sizeof stats.reserved / sizeof stats.reserved[0]; i++)
        ck_assert_uint_eq(stats.reserved[i], 0);
    return stats;
}

void tl_close_pair(async_fd_t fds[2])
{
    for (int i = 0; i < 2; i++) {
        if (fds[i] != ASYNC_INVALID_FD)
            tl_close(fds[i]);
        fds[i] = ASYNC_INVALID_FD;
    }
}

void tl_tcp_pair(async_fd_t fds[2])
{
    uint16_t port;
    async_fd_t listener = tl_listen(&port);

    fds[0] = tl_connect(port);
    fds[1] = tl_accept(listener);
    tl_close(listener);
}

void tl_send_text(async_fd_t fd, const char *text)
{
    size_t size = strlen(text);

    ck_assert_int_eq(tl_send(fd, text, size), (long)size);
}

void tl_recv_text(async_fd_t fd, const char *text)
{
    uint64_t end = tl_now_ns() + (uint64_t)TL_WAIT_MS * TL_NS_PER_MS;
    size_t size = strlen(text);
    size_t done = 0;
    char buffer[256];

    ck_assert_uint_le(size, sizeof buffer);
    while (done < size) {
        long count = tl_recv(fd, buffer + done, size - done);

        ck_assert_msg(count > 0 || (count < 0 && errno == EAGAIN), "recv: %ld, errno %d", count,
                      errno);
        ck_assert(tl_now_ns() < end);
        if (count > 0)
            done += (size_t)count;
        else
            tl_sleep_ms(1);
    }
    ck_assert_mem_eq(buffer, text, size);
}

size_t tl_fill(async_fd_t fd)
{
    static const char block[16384];
    size_t total = 0;
    int refused = 0;

    /* The system may move what was sent to the peer's side and take more: insist. */
    while (refused < 3) {
        long count = tl_send(fd, block, sizeof block);

        if (count > 0) {
            total += (size_t)count;
            refused = 0;
            continue;
        }
        ck_assert_int_eq(count, -1);
        ck_assert_int_eq(errno, EAGAIN);
        refused++;
        tl_sleep_ms(5);
    }
    return total;
}

size_t tl_drain(async_fd_t fd)
{
    static char block[16384];
    size_t total = 0;
    long count;

    while ((count = tl_recv(fd, block, sizeof block)) > 0)
        total += (size_t)count;
    return total;
}

int tl_settle_threads(int wanted)
{
    uint64_t end = tl_now_ns() + (uint64_t)TL_WAIT_MS * TL_NS_PER_MS;
    int count;

    while ((count = tl_thread_count()) > wanted && tl_now_ns() < end)
        tl_sleep_ms(1);
    return count;
}

uint32_t tl_random(uint32_t *state)
{
    uint32_t x = *state != 0 ? *state : 2463534242u;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    *state = x;
    return x;
}

/* SPDX-License-Identifier: MIT */
/*
 * test_uring_single.c - ASYNC_RUNTIME_SINGLE_THREAD on io_uring: the ring's flags, and what comes
 * of a kernel that does its part of an operation only when it is asked
 */
#include "testlib.h"
#include "tracelib.h"

#include <liburing.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define READ ASYNC_EVENT_READ
#define WRITE ASYNC_EVENT_WRITE
#define DONE ASYNC_EVENT_COMPLETION
#define SINGLE ASYNC_RUNTIME_SINGLE_THREAD

enum { IO_URING_SETUP = 425, IO_URING_ENTER, IO_URING_REGISTER }; /* on every processor but alpha */

static async_runtime_t *runtime;
static int fds[2];

/* ---- a kernel that refuses rings */

static unsigned refusals;   /* so many more */
static int refused_with;    /* an errno value */
static unsigned last_flags; /* of the last ring that was made */

int __real_io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
                                      struct io_uring_params *params);
int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
                                      struct io_uring_params *params);

int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
                                      struct io_uring_params *params)
{
    if (refusals > 0) {
        refusals--;
        return -refused_with;
    }
    last_flags = params->flags;
    return __real_io_uring_queue_init_params(entries, ring, params);
}

static async_runtime_t *make(uint32_t flags)
{
    async_runtime_options_t options = ASYNC_RUNTIME_OPTIONS_INIT;

    options.backend = "io_uring";
    options.flags = flags;
    return async_runtime_init_with(&options);
}

static bool is_deferred(unsigned flags)
{
    const unsigned both = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;

    return (flags & both) == both && !(flags & IORING_SETUP_COOP_TASKRUN);
}

static bool is_cooperative(unsigned flags)
{
    return !(flags & (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN)) &&
           flags & IORING_SETUP_COOP_TASKRUN;
}

static void setup(void)
{
    runtime = make(SINGLE);
    ck_assert_ptr_nonnull(runtime);
    tl_pair(fds);
    TL_OK(async_runtime_add(runtime, fds[0], 0, tl_context(11)));
}

static void teardown(void)
{
    async_runtime_deinit(runtime);
    tl_close_pair(fds);
}

static void expect_read_of(const char *text, const char *buffer)
{
    async_event_t event;

    tl_one(runtime, &event);
    ck_assert_uint_eq(event.event_type, DONE | READ);
    ck_assert_int_eq(event.error, 0);
    ck_assert_ptr_eq(event.buffer, buffer);
    ck_assert_uint_eq(event.bytes_transferred, strlen(text));
    ck_assert_mem_eq(buffer, text, strlen(text));
}

/* ---- the ring's flags */

enum { WITH = 1, WITHOUT, NESTED, NESTED_AGAIN };

static void rings_scenario(void)
{
    async_runtime_t *single;

    trace_section(WITH);
    single = make(SINGLE);
    trace_section(0);
    trace_claim(single != NULL);
    trace_section(NESTED);
    trace_claim(async_runtime_get_fd(single) >= 0);
    trace_section(NESTED_AGAIN);
    trace_claim(async_runtime_get_fd(single) >= 0);
    trace_section(0);
    async_runtime_deinit(single);
    trace_section(WITHOUT);
    single = make(0);
    trace_section(0);
    trace_claim(single != NULL);
    async_runtime_deinit(single);
}

START_TEST(test_flags)
{
    static struct trace_counts counts[TRACE_SECTIONS];

    if (!trace_run(rings_scenario, counts))
        return;
    ck_assert_uint_ge(counts[WITH].rings, 1);
    ck_assert(is_deferred(counts[WITH].ring_flags[0]));
    ck_assert(counts[WITH].ring_flags[0] & IORING_SETUP_SUBMIT_ALL);
    ck_assert_uint_eq(counts[WITHOUT].rings, 1);
    ck_assert(is_cooperative(counts[WITHOUT].ring_flags[0]));
    if (counts[WITH].rings == 1) { /* as far as the kernel knows them */
        ck_assert_uint_eq(counts[NESTED].rings, 1);
        ck_assert(is_cooperative(counts[NESTED].ring_flags[0]));
    }
    ck_assert_uint_eq(counts[NESTED_AGAIN].rings, 0);
}
END_TEST

/* "a kernel that does not know a flag says EINVAL" */
START_TEST(test_older_kernels)
{
    static const uint32_t flags[2] = {0, SINGLE};
    char buffer[8] = {0}; /* valgrind does not see the kernel write */

    refused_with = EINVAL;
    for (unsigned count = 0; count < 4; count++) {
        refusals = count;
        runtime = make(flags[_i]);
        if (count == 2u + (unsigned)_i) {
            ck_assert_ptr_null(runtime);
            ck_assert_int_eq(errno, ENOTSUP);
            break;
        }
        ck_assert_ptr_nonnull(runtime);
        ck_assert_uint_eq(refusals, 0);
        if (_i == 1 && count == 0)
            ck_assert(is_deferred(last_flags));
        else if (count == (unsigned)_i)
            ck_assert(is_cooperative(last_flags));
        else
            ck_assert(!is_deferred(last_flags) && !is_cooperative(last_flags));
        tl_pair(fds);
        TL_OK(async_runtime_add(runtime, fds[0], 0, NULL));
        TL_OK(async_runtime_post_read(runtime, fds[0], buffer, sizeof buffer));
        tl_quiet(runtime);
        tl_send_text(fds[1], "old");
        expect_read_of("old", buffer);
        TL_OK(async_runtime_post_read(runtime, fds[0], buffer, sizeof buffer));
        async_runtime_deinit(runtime);
        tl_close_pair(fds);
    }
    refusals = 0;
}
END_TEST

START_TEST(test_no_ring)
{
    static const int errors[] = {ENOMEM, EMFILE, ENFILE, EPERM};
    static const int told[] = {ENOMEM, EMFILE, ENFILE, ENOTSUP};

    refusals = 1;
    refused_with = errors[_i];
    ck_assert_ptr_null(make(SINGLE));
    ck_assert_int_eq(errno, told[_i]);
}
END_TEST

/* ---- calls */

enum { ROUNDS = 20, ECHO = 1, QUEUED, STRANGE };

static async_runtime_t *traced;

static void echo_round(char *buffer, size_t size)
{
    async_event_t event;

    trace_claim(write(fds[1], "x", 1) == 1);
    trace_section(ECHO);
    trace_claim(async_runtime_wait(traced, &event, 1, -1) == 1);
    trace_claim(async_runtime_post_write(traced, fds[0], buffer, event.bytes_transferred) == 0);
    trace_claim(async_runtime_wait(traced, &event, 1, -1) == 1);
    trace_claim(async_runtime_post_read(traced, fds[0], buffer, size) == 0);
    trace_section(0);
    trace_claim(read(fds[1], &(char){0}, 1) == 1);
}

/* The second of two reads is started by the wait that has the first one's end. */
static void queued_round(char *buffer, size_t size)
{
    async_event_t event;

    trace_claim(async_runtime_post_read(traced, fds[0], buffer, size) == 0);
    for (int i = 0; i < 2; i++) {
        trace_claim(write(fds[1], "x", 1) == 1);
        trace_section(QUEUED);
        trace_claim(async_runtime_wait(traced, &event, 1, -1) == 1);
        trace_section(0);
    }
    trace_claim(async_runtime_post_read(traced, fds[0], buffer, size) == 0);
}

static char traced_buffer[8];

static void owner_main(void *arg)
{
    (void)arg;
    traced = make(SINGLE);
    trace_claim(traced != NULL);
    trace_claim(async_runtime_add(traced, fds[0], 0, NULL) == 0);
    trace_claim(async_runtime_post_read(traced, fds[0], traced_buffer, sizeof traced_buffer) == 0);
    for (int i = 0; i < ROUNDS; i++)
        echo_round(traced_buffer, sizeof traced_buffer);
    queued_round(traced_buffer, sizeof traced_buffer);
}

static void calls_scenario(void)
{
    tl_pair(fds);
    tl_thread_join(tl_thread_start(owner_main, NULL));
    trace_section(STRANGE);
    async_runtime_deinit(traced);
    trace_section(0);
    tl_close_pair(fds);
}

/* One call for each round of waiting, also when it starts what stood behind; and none by a thread
 * that the kernel would not admit. */
START_TEST(test_calls)
{
    static struct trace_counts counts[TRACE_SECTIONS];

    if (!trace_run(calls_scenario, counts))
        return;
    ck_assert_uint_eq(counts[ECHO].calls[IO_URING_ENTER], 2 * ROUNDS);
    ck_assert_uint_eq(counts[ECHO].calls[IO_URING_REGISTER], 0);
    ck_assert_uint_eq(counts[QUEUED].calls[IO_URING_ENTER], 2);
    ck_assert_msg(counts[QUEUED].total == 2, "%s", trace_text(&counts[QUEUED]));
    ck_assert_uint_eq(counts[STRANGE].calls[IO_URING_ENTER], 0);
}
END_TEST

/* A read that can be done is done by a wait that does not sleep, also with nothing to submit. */
START_TEST(test_look)
{
    async_event_t event;
    char buffer[8] = {0};

    for (int i = 0; i < 20; i++) {
        TL_OK(async_runtime_post_read(runtime, fds[0], buffer, sizeof buffer));
        TL_OK(async_runtime_wait(runtime, &event, 1, 0));
        tl_send_text(fds[1], "look");
        ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, 0), 1);
        ck_assert_uint_eq(event.bytes_transferred, 4);
    }
}
END_TEST

static _Atomic unsigned alarms;

static void count_alarm(int signum)
{
    (void)signum;
    alarms++;
}

/* "0: a signal handler ran", also when the call that it interrupts has submitted something */
START_TEST(test_signal_handler)
{
    static const int timeouts[2] = {-1, TL_WAIT_MS};
    struct itimerval soon = {{.tv_usec = 500000}, {.tv_usec = 20000}}, never = {{0}, {0}};
    struct sigaction action = {.sa_handler = count_alarm, .sa_flags = _i % 2 == 0 ? 0 : SA_RESTART};
    const char *preload = getenv("LD_PRELOAD");
    bool first = false;

    if (preload != NULL && strstr(preload, "vgpreload") != NULL)
        return; /* valgrind makes the interrupted call again */
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    /* the first alarm may come before the wait, where the machine is slow */
    for (int round = 0; round < 5 && !first; round++) {
        unsigned before = alarms;
        async_event_t event;
        char buffer[8] = {0};

        TL_OK(async_runtime_post_read(runtime, fds[0], buffer, sizeof buffer));
        ck_assert_int_eq(setitimer(ITIMER_REAL, &soon, NULL), 0);
        TL_OK(async_runtime_wait(runtime, &event, 1, timeouts[_i / 2]));
        first = alarms == before + 1;
        TL_OK(async_runtime_wait(runtime, &event, 1, timeouts[_i / 2])); /* nothing to submit */
        ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
        tl_send_text(fds[1], "on");
        expect_read_of("on", buffer);
    }
    ck_assert(first);
}
END_TEST

/* ---- cancelling */

enum { MANY = 120 };

static int pairs[MANY][2];
static char bytes[MANY];

static bool is_at_end(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};

    return poll(&look, 1, 0) == 1 && (look.revents & POLLHUP) != 0;
}

static void post_many(void)
{
    async_event_t event;

    for (uintptr_t i = 0; i < MANY; i++) {
        tl_pair(pairs[i]);
        TL_OK(async_runtime_add(runtime, pairs[i][0], 0, tl_context(i)));
        TL_OK(async_runtime_post_read(runtime, pairs[i][0], &bytes[i], 1));
    }
    TL_OK(async_runtime_wait(runtime, &event, 1, 0));
}

/* The peer sees the end at the close, whatever the kernel has left to do for others: those that
 * are ready (_i 1), all (2) or none (0) of them. */
START_TEST(test_closed_at_once)
{
    unsigned ends[MANY] = {0}, total = 0, done = 0;

    post_many();
    for (size_t i = 0; i < MANY; i++)
        if (_i == 2 || (_i == 1 && i % 2 == 0))
            tl_send_text(pairs[i][1], "y");
    for (size_t n = MANY; n-- > 0;) {
        size_t i = _i == 1 ? (n * 7) % MANY : n; /* 7 and MANY have no common divisor */

        TL_OK(async_runtime_remove(runtime, pairs[i][0]));
        tl_close(pairs[i][0]);
        ck_assert_msg(is_at_end(pairs[i][1]), "the peer of %zu waits", i);
    }
    while (total < MANY) {
        async_event_t events[7];
        int count = tl_some(runtime, events, 7);

        for (int k = 0; k < count; k++) {
            size_t i = (uintptr_t)events[k].context;

            ck_assert_uint_eq(events[k].event_type, DONE | READ);
            ck_assert_ptr_eq(events[k].buffer, &bytes[i]);
            ck_assert_uint_eq(ends[i]++, 0);
            if (events[k].error == 0) { /* what was read is not lost */
                ck_assert_int_eq(bytes[i], 'y');
                done++;
            } else {
                ck_assert_int_eq(events[k].error, ECANCELED);
            }
        }
        total += (unsigned)count;
    }
    if (_i == 0)
        ck_assert_uint_eq(done, 0);
    tl_quiet(runtime);
    for (size_t i = 0; i < MANY; i++)
        tl_close(pairs[i][1]);
}
END_TEST

/* The number is closed when the turn of the second read comes, which has its end all the same; or
 * (_i 1) before the first one has reached the kernel. */
START_TEST(test_queued_and_closed)
{
    async_event_t event;
    char buffer[2] = {0};

    for (int i = 0; i < 2; i++)
        TL_OK(async_runtime_post_read(runtime, fds[0], &buffer[i], 1));
    if (_i == 0)
        tl_quiet(runtime);
    tl_close(fds[0]);
    if (_i == 0) {
        tl_send_text(fds[1], "x");
        expect_read_of("x", &buffer[0]);
    }
    for (int i = _i == 0 ? 1 : 0; i < 2; i++) {
        tl_one(runtime, &event);
        ck_assert_uint_eq(event.event_type, DONE | READ);
        ck_assert_int_eq(event.error, EBADF);
        ck_assert_ptr_eq(event.buffer, &buffer[i]);
        ck_assert_ptr_eq(event.context, tl_context(11));
    }
    TL_FAILS(async_runtime_post_read(runtime, fds[0], &buffer[0], 1), EBADF);
    tl_quiet(runtime);
    tl_close(fds[1]);
    tl_pair(fds);
}
END_TEST

/* The ends that a cancellation has found on its way are those of the next wait, which does not
 * sleep, and they can be cancelled themselves. */
START_TEST(test_collected)
{
    async_event_t event;
    unsigned seen = 0;
    char buffer[8] = {0};

    post_many();
    TL_OK(async_runtime_post_read(runtime, fds[0], buffer, sizeof buffer));
    TL_OK(async_runtime_wait(runtime, &event, 1, 0));
    for (size_t i = 0; i < 4; i++)
        tl_send_text(pairs[i][1], "z");
    TL_OK(async_runtime_remove(runtime, fds[0])); /* finds the four */
    TL_OK(async_runtime_remove(runtime, pairs[1][0]));
    TL_OK(async_runtime_post_read(runtime, pairs[2][0], &bytes[2], 1)); /* behind the first */
    while (seen < 5) {
        ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, -1), 1);
        if (event.context == tl_context(11)) {
            ck_assert_int_eq(event.error, ECANCELED);
        } else {
            ck_assert_int_eq(event.error, 0);
            ck_assert_uint_eq(event.bytes_transferred, 1);
        }
        seen++;
    }
    tl_quiet(runtime);
    tl_send_text(pairs[2][1], "2");
    tl_one(runtime, &event);
    ck_assert_ptr_eq(event.buffer, &bytes[2]);
    ck_assert_int_eq(bytes[2], '2');
    TL_OK(async_runtime_add(runtime, fds[0], 0, tl_context(11)));
    async_runtime_deinit(runtime); /* with more of them under way */
    runtime = NULL;
    for (size_t i = 0; i < MANY; i++)
        tl_close_pair(pairs[i]);
}
END_TEST

/* ---- more than the completion queue holds */

static bool may_have(rlim_t descriptors)
{
    struct rlimit limit;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur >= descriptors)
        return true;
    if (limit.rlim_max < descriptors)
        return false;
    limit.rlim_cur = descriptors;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static void expect_ends(unsigned wanted, int error)
{
    static async_event_t events[256];

    for (unsigned total = 0; total < wanted;) {
        int count = tl_some(runtime, events, 256);

        for (int i = 0; i < count; i++) {
            ck_assert_uint_eq(events[i].event_type & DONE, DONE);
            ck_assert_int_eq(events[i].error, error);
        }
        total += (unsigned)count;
    }
    tl_quiet(runtime);
}

/* Reads that wait, or that can be done at once, of more sockets than there are places. */
START_TEST(test_thousands)
{
    const unsigned count = tl_scaled(2500);
    int(*many)[2] = malloc(count * sizeof *many);
    char *buffer = calloc(count, 1);
    async_event_t event;

    if (!may_have(2 * count + 100)) {
        free(many);
        free(buffer);
        return;
    }
    ck_assert_ptr_nonnull(many);
    ck_assert_ptr_nonnull(buffer);
    for (unsigned i = 0; i < count; i++) {
        tl_pair(many[i]);
        for (int k = 0; k < 2; k++)
            TL_OK(async_runtime_add(runtime, many[i][k], 0, NULL));
    }
    /* 2 * count ends of requests that end when they are submitted */
    for (unsigned i = 0; i < count; i++) {
        TL_OK(async_runtime_post_write(runtime, many[i][1], "x", 1));
        TL_OK(async_runtime_post_read(runtime, many[i][0], &buffer[i], 1));
    }
    expect_ends(2 * count, 0);
    for (unsigned i = 0; i < count; i++)
        for (int k = 0; k < 2; k++)
            TL_OK(async_runtime_post_read(runtime, many[i][k], &buffer[i], 1));
    TL_OK(async_runtime_wait(runtime, &event, 1, 0));
    if (_i == 0) {
        for (unsigned i = 0; i < count; i++)
            for (int k = 0; k < 2; k++)
                tl_send_text(many[i][k], "y");
        expect_ends(2 * count, 0);
    } else if (_i == 1) {
        for (unsigned i = 0; i < count; i++)
            for (int k = 0; k < 2; k++)
                TL_OK(async_runtime_remove(runtime, many[i][k]));
        expect_ends(2 * count, ECANCELED);
    } else {
        for (unsigned i = 0; i < count; i++)
            tl_send_text(many[i][0], "y"); /* half of them have an end, and deinit takes all */
        async_runtime_deinit(runtime);
        runtime = NULL;
    }
    for (unsigned i = 0; i < count; i++)
        tl_close_pair(many[i]);
    free(many);
    free(buffer);
}
END_TEST

/* ---- nesting: the operations move to another ring */

static bool is_readable(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};

    return poll(&look, 1, 0) == 1;
}

START_TEST(test_nested_with_operations)
{
    async_event_t event;
    int ring, done = 0;

    post_many();
    tl_send_text(pairs[3][1], "3"); /* has an end, which nobody has taken */
    TL_OK(async_runtime_remove(runtime, pairs[4][0]));
    ring = async_runtime_get_fd(runtime);
    ck_assert_int_ge(ring, 0);
    ck_assert(is_cooperative(last_flags));
    for (; done < 2; done++) {
        ck_assert(is_readable(ring));
        ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, 0), 1);
        ck_assert(event.context == tl_context(3) || event.context == tl_context(4));
        ck_assert_int_eq(event.error, event.context == tl_context(3) ? 0 : ECANCELED);
    }
    while (async_runtime_wait(runtime, &event, 1, 0) != 0)
        ck_abort_msg("event %#x", event.event_type);
    ck_assert(!is_readable(ring));
    for (size_t i = 5; i < MANY; i++) {
        tl_send_text(pairs[i][1], "n");
        ck_assert(is_readable(ring));
        ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, 0), 1);
        ck_assert_ptr_eq(event.context, tl_context(i));
        ck_assert_int_eq(bytes[i], 'n');
    }
    TL_OK(async_runtime_remove(runtime, pairs[0][0]));
    tl_close(pairs[0][0]);
    ck_assert(is_at_end(pairs[0][1]));
    pairs[0][0] = ASYNC_INVALID_FD;
    for (size_t i = 0; i < MANY; i++)
        tl_close_pair(pairs[i]);
}
END_TEST

/* A descriptor that was closed without remove, and its number is another file's: that is not read.
 */
START_TEST(test_nested_with_a_closed_one)
{
    async_event_t event;
    char buffer[8] = {0};
    int number = fds[0], fresh[2];

    TL_OK(async_runtime_post_read(runtime, fds[0], buffer, sizeof buffer));
    TL_OK(async_runtime_wait(runtime, &event, 1, 0));
    tl_close(fds[0]);
    tl_pair(fresh);
    if (fresh[0] != number && _i == 0)
        ck_assert_int_eq(dup2(fresh[0], number), number);
    else if (_i == 1)
        tl_close_pair(fresh);
    ck_assert_int_ge(async_runtime_get_fd(runtime), 0);
    tl_one(runtime, &event);
    ck_assert_ptr_eq(event.buffer, buffer);
    ck_assert_int_eq(event.error, EBADF);
    if (_i == 0) {
        tl_send_text(fresh[1], "other");
        tl_quiet(runtime);
        tl_recv_text(number, "other");
        if (fresh[0] != number)
            tl_close(number);
        tl_close_pair(fresh);
    }
    fds[0] = ASYNC_INVALID_FD;
}
END_TEST

/* No second ring: get_fd fails, and nothing has changed. */
START_TEST(test_nested_without_ring)
{
    static const int errors[] = {ENOMEM, EMFILE, ENFILE};
    async_event_t event;
    char buffer[8] = {0};

    TL_OK(async_runtime_post_read(runtime, fds[0], buffer, sizeof buffer));
    TL_OK(async_runtime_wait(runtime, &event, 1, 0));
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        refusals = 1;
        refused_with = errors[i];
        TL_FAILS_WITH(async_runtime_get_fd(runtime), ASYNC_INVALID_FD, errors[i]);
    }
    tl_send_text(fds[1], "still");
    expect_read_of("still", buffer);
    ck_assert_int_ge(async_runtime_get_fd(runtime), 0);
}
END_TEST

static void add_cases(Suite *suite)
{
    TCase *tcase = tl_case(suite, "flags");

    tcase_add_test(tcase, test_flags);
    tcase_add_loop_test(tcase, test_older_kernels, 0, 2);
    tcase_add_loop_test(tcase, test_no_ring, 0, 4);

    tcase = tl_case(suite, "calls");
    tcase_add_test(tcase, test_calls);

    tcase = tl_case(suite, "operations");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_look);
    tcase_add_loop_test(tcase, test_signal_handler, 0, 4);
    tcase_add_loop_test(tcase, test_closed_at_once, 0, 3);
    tcase_add_loop_test(tcase, test_queued_and_closed, 0, 2);
    tcase_add_test(tcase, test_collected);
    tcase_add_loop_test(tcase, test_thousands, 0, 3);

    tcase = tl_case(suite, "nested");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_nested_with_operations);
    tcase_add_loop_test(tcase, test_nested_with_a_closed_one, 0, 2);
    tcase_add_test(tcase, test_nested_without_ring);
}

int main(void)
{
    tl_setenv("ASYNCRT_BACKEND", "io_uring");
    return tl_main("uring_single", add_cases);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_runtime_io.c - readiness of descriptors: what is reported, and when it is silent
 */
#include "testlib.h"

#define READ ASYNC_EVENT_READ
#define WRITE ASYNC_EVENT_WRITE
#define ERROR ASYNC_EVENT_ERROR
#define CLOSE ASYNC_EVENT_CLOSE
#define ONESHOT ASYNC_EVENT_ONESHOT

static async_runtime_t *runtime;
static async_fd_t fds[2];

static void setup(void)
{
    runtime = tl_runtime();
    tl_pair(fds);
}

static void teardown(void)
{
    async_runtime_deinit(runtime);
    tl_close_pair(fds);
}

static void use_tcp(void)
{
    tl_close_pair(fds);
    tl_tcp_pair(fds);
}

static void close_peer(void)
{
    tl_close(fds[1]);
    fds[1] = ASYNC_INVALID_FD;
}

static void reset_peer(void)
{
    tl_reset(fds[1]);
    fds[1] = ASYNC_INVALID_FD;
}

/* ---- level-triggered readiness */

/* Where the end of input hides behind data, takes the data. */
static void uncover_close(void)
{
    if (!tl_close_shows_before_data())
        (void)tl_drain(fds[0]);
}

/* "Readiness is level-triggered" */
START_TEST(test_read_level)
{
    char byte;

    TL_OK(async_runtime_add(runtime, fds[0], READ, tl_context(42)));
    tl_quiet(runtime);
    tl_send_text(fds[1], "ab");
    for (int i = 0; i < 3; i++)
        tl_expect_io(runtime, fds[0], READ, tl_context(42));
    ck_assert_int_eq(tl_recv(fds[0], &byte, 1), 1);
    tl_expect_io(runtime, fds[0], READ, tl_context(42));
    ck_assert_int_eq(tl_recv(fds[0], &byte, 1), 1);
    tl_quiet(runtime);
    tl_send_text(fds[1], "c");
    tl_expect_io(runtime, fds[0], READ, tl_context(42));
}
END_TEST

START_TEST(test_write_level)
{
    TL_OK(async_runtime_add(runtime, fds[0], WRITE, NULL));
    for (int i = 0; i < 3; i++)
        tl_expect_io(runtime, fds[0], WRITE, NULL);
    (void)tl_fill(fds[0]);
    tl_quiet(runtime);
    (void)tl_drain(fds[1]);
    tl_expect_io(runtime, fds[0], WRITE, NULL);
}
END_TEST

/* What was there before the registration counts as well. */
START_TEST(test_ready_before_add)
{
    tl_send_text(fds[1], "x");
    TL_OK(async_runtime_add(runtime, fds[0], READ, NULL));
    tl_expect_io(runtime, fds[0], READ, NULL);
}
END_TEST

/* Only what is asked for is reported. */
START_TEST(test_only_what_was_asked)
{
    tl_send_text(fds[1], "x");
    TL_OK(async_runtime_add(runtime, fds[0], WRITE, tl_context(1)));
    tl_expect_io(runtime, fds[0], WRITE, tl_context(1));
    TL_OK(async_runtime_modify(runtime, fds[0], READ, tl_context(2)));
    tl_expect_io(runtime, fds[0], READ, tl_context(2));
}
END_TEST

/* "Events for one descriptor come merged into one async_event_t." */
START_TEST(test_merged)
{
    async_event_t events[4];

    tl_send_text(fds[1], "x");
    TL_OK(async_runtime_add(runtime, fds[0], READ | WRITE, tl_context(1)));
    tl_expect_io(runtime, fds[0], READ | WRITE, tl_context(1));
    ck_assert_int_eq(async_runtime_wait(runtime, events, 4, 0), 1);
    ck_assert_uint_eq(events[0].event_type, READ | WRITE);
    close_peer();
    uncover_close();
    (void)tl_until_io(runtime, fds[0], READ | CLOSE, 0);
    ck_assert_int_eq(async_runtime_wait(runtime, events, 4, 0), 1);
    ck_assert_uint_eq(events[0].event_type & (READ | CLOSE), READ | CLOSE);
}
END_TEST

static void send_later(void *arg)
{
    async_fd_t *fd = arg;

    tl_sleep_ms(10);
    (void)tl_send(*fd, "x", 1);
}

/* A wait without end is ended by a descriptor. */
START_TEST(test_wakes_a_sleeper)
{
    async_event_t event;
    tl_thread_t *thread;

    TL_OK(async_runtime_add(runtime, fds[0], READ, NULL));
    thread = tl_thread_start(send_later, &fds[1]);
    ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, -1), 1);
    ck_assert(event.fd == fds[0]);
    ck_assert_uint_eq(event.event_type, READ);
    tl_thread_join(thread);
}
END_TEST

/* "READ: readable, or a connection to accept"; "WRITE: writable, or connected" */
START_TEST(test_connections)
{
    uint16_t port;
    async_fd_t listener = tl_listen(&port);
    async_fd_t client;
    async_fd_t server;

    TL_OK(async_runtime_add(runtime, listener, READ, tl_context(1)));
    tl_quiet(runtime);
    client = tl_connect(port);
    tl_expect_io(runtime, listener, READ, tl_context(1));
    tl_expect_io(runtime, listener, READ, tl_context(1));
    server = tl_accept(listener);
    tl_quiet(runtime);
    TL_OK(async_runtime_add(runtime, client, WRITE, tl_context(2)));
    tl_expect_io(runtime, client, WRITE, tl_context(2));
    ck_assert_int_eq(tl_so_error(client), 0);
    TL_OK(async_runtime_remove(runtime, client));
    TL_OK(async_runtime_remove(runtime, listener));
    tl_close(client);
    tl_close(server);
    tl_close(listener);
}
END_TEST

START_TEST(test_datagrams)
{
    char buffer[8];

    tl_close_pair(fds);
    tl_udp_pair(fds);
    TL_OK(async_runtime_add(runtime, fds[0], READ, tl_context(1)));
    TL_OK(async_runtime_add(runtime, fds[1], WRITE | ONESHOT, tl_context(2)));
    tl_expect_io(runtime, fds[1], WRITE, tl_context(2));
    tl_quiet(runtime);
    tl_send_text(fds[1], "one");
    tl_send_text(fds[1], "two");
    tl_expect_io(runtime, fds[0], READ, tl_context(1));
    ck_assert_int_eq(tl_recv(fds[0], buffer, sizeof buffer), 3);
    tl_expect_io(runtime, fds[0], READ, tl_context(1));
    ck_assert_int_eq(tl_recv(fds[0], buffer, sizeof buffer), 3);
    tl_quiet(runtime);
}
END_TEST

/* ---- ONESHOT */

/* "ONESHOT reports once and is silent until modify" */
START_TEST(test_oneshot)
{
    TL_OK(async_runtime_add(runtime, fds[0], READ | ONESHOT, tl_context(1)));
    tl_quiet(runtime);
    tl_send_text(fds[1], "a");
    tl_expect_io(runtime, fds[0], READ, tl_context(1));
    tl_quiet(runtime);
    tl_send_text(fds[1], "b"); /* more of it is no news */
    tl_quiet(runtime);
    /* The same again is no "change of nothing": it arms. */
    for (int i = 0; i < 3; i++) {
        TL_OK(async_runtime_modify(runtime, fds[0], READ | ONESHOT, tl_context(1)));
        tl_expect_io(runtime, fds[0], READ, tl_context(1));
        tl_quiet(runtime);
    }
    TL_OK(async_runtime_modify(runtime, fds[0], READ, tl_context(2)));
    tl_expect_io(runtime, fds[0], READ, tl_context(2));
    tl_expect_io(runtime, fds[0], READ, tl_context(2));
    TL_OK(async_runtime_modify(runtime, fds[0], READ | ONESHOT, tl_context(3)));
    tl_expect_io(runtime, fds[0], READ, tl_context(3));
    tl_quiet(runtime);
}
END_TEST

/* One report silences both directions. */
START_TEST(test_oneshot_both_directions)
{
    TL_OK(async_runtime_add(runtime, fds[0], READ | WRITE | ONESHOT, NULL));
    tl_expect_io(runtime, fds[0], WRITE, NULL);
    tl_send_text(fds[1], "a");
    tl_quiet(runtime);
    TL_OK(async_runtime_modify(runtime, fds[0], READ | WRITE | ONESHOT, NULL));
    tl_expect_io(runtime, fds[0], READ | WRITE, NULL);
    tl_quiet(runtime);
}
END_TEST

/* Silent is silent: neither a hang-up nor an error comes before modify. */
START_TEST(test_oneshot_then_hangup)
{
    TL_OK(async_runtime_add(runtime, fds[0], READ | ONESHOT, NULL));
    tl_send_text(fds[1], "a");
    tl_expect_io(runtime, fds[0], READ, NULL);
    close_peer();
    tl_quiet(runtime);
    uncover_close();
    TL_OK(async_runtime_modify(runtime, fds[0], READ | ONESHOT, NULL));
    tl_expect_io(runtime, fds[0], READ | CLOSE, NULL);
    tl_quiet(runtime);
}
END_TEST

START_TEST(test_oneshot_then_reset)
{
    use_tcp();
    TL_OK(async_runtime_add(runtime, fds[0], WRITE | ONESHOT, NULL));
    tl_expect_io(runtime, fds[0], WRITE, NULL);
    reset_peer();
    tl_quiet(runtime);
    TL_OK(async_runtime_modify(runtime, fds[0], WRITE | ONESHOT, NULL));
    ck_assert_uint_ne(tl_until_io(runtime, fds[0], ERROR, READ), 0);
    tl_quiet(runtime);
}
END_TEST

/* Many at once, a few places: each is reported once. */
START_TEST(test_oneshot_many)
{
    enum { COUNT = 20 };
    async_fd_t pairs[COUNT][2];
    int seen[COUNT] = {0};

    for (size_t i = 0; i < COUNT; i++) {
        tl_pair(pairs[i]);
        TL_OK(async_runtime_add(runtime, pairs[i][0], READ | ONESHOT, tl_context(i)));
        tl_send_text(pairs[i][1], "x");
    }
    for (int total = 0; total < COUNT;) {
        async_event_t events[3];
        int count = tl_some(runtime, events, 3);

        for (int k = 0; k < count; k++)
            seen[(uintptr_t)events[k].context]++;
        total += count;
    }
    tl_quiet(runtime);
    for (size_t i = 0; i < COUNT; i++) {
        ck_assert_int_eq(seen[i], 1);
        TL_OK(async_runtime_remove(runtime, pairs[i][0]));
        tl_close_pair(pairs[i]);
    }
}
END_TEST

/* ---- silence */

/* "With events 0 a registration is silent, whatever happens to the descriptor" */
START_TEST(test_events_zero)
{
    TL_OK(async_runtime_add(runtime, fds[0], 0, tl_context(1)));
    tl_quiet(runtime);
    tl_send_text(fds[1], "x");
    tl_quiet(runtime);
    close_peer(); /* epoll and poll tell of a hang-up unasked */
    tl_quiet(runtime);
    uncover_close();
    TL_OK(async_runtime_modify(runtime, fds[0], READ, tl_context(2)));
    tl_expect_io(runtime, fds[0], READ | CLOSE, tl_context(2));
    TL_OK(async_runtime_modify(runtime, fds[0], 0, tl_context(3)));
    tl_quiet(runtime);
}
END_TEST

START_TEST(test_events_zero_reset)
{
    use_tcp();
    TL_OK(async_runtime_add(runtime, fds[0], 0, NULL));
    reset_peer();
    tl_quiet(runtime);
    TL_OK(async_runtime_modify(runtime, fds[0], READ, NULL));
    (void)tl_until_io(runtime, fds[0], ERROR, WRITE);
    TL_OK(async_runtime_modify(runtime, fds[0], ONESHOT, NULL)); /* nothing to report once */
    tl_quiet(runtime);
    if (tl_reset_sets_so_error())
        ck_assert_int_ne(tl_so_error(fds[0]), 0);
}
END_TEST

/* "ERROR and CLOSE are accepted and change nothing" */
START_TEST(test_error_and_close_bits)
{
    TL_OK(async_runtime_add(runtime, fds[0], ERROR | CLOSE, NULL));
    tl_send_text(fds[1], "x");
    tl_quiet(runtime);
    TL_OK(async_runtime_modify(runtime, fds[0], READ | ERROR | CLOSE, NULL));
    tl_expect_io(runtime, fds[0], READ, NULL);
    TL_OK(async_runtime_modify(runtime, fds[0], CLOSE, NULL));
    close_peer();
    tl_quiet(runtime);
    uncover_close();
    TL_OK(async_runtime_modify(runtime, fds[0], READ | ERROR | CLOSE | ONESHOT, NULL));
    tl_expect_io(runtime, fds[0], READ | CLOSE, NULL);
    tl_quiet(runtime);
}
END_TEST

/* "that is how a program pauses a descriptor": also when its event is fetched already */
START_TEST(test_pause)
{
    async_fd_t other[2];
    async_event_t event;
    async_fd_t paused;

    tl_pair(other);
    TL_OK(async_runtime_add(runtime, fds[0], READ, NULL));
    TL_OK(async_runtime_add(runtime, other[0], READ, NULL));
    tl_send_text(fds[1], "x");
    tl_send_text(other[1], "x");
    tl_one(runtime, &event);
    paused = event.fd == fds[0] ? other[0] : fds[0];
    TL_OK(async_runtime_modify(runtime, paused, 0, NULL));
    for (int i = 0; i < 4; i++) {
        async_fd_t seen = event.fd;

        tl_one(runtime, &event);
        ck_assert(event.fd == seen);
    }
    TL_OK(async_runtime_remove(runtime, event.fd));
    tl_quiet(runtime);
    TL_OK(async_runtime_modify(runtime, paused, READ, NULL));
    tl_expect_io(runtime, paused, READ, NULL);
    TL_OK(async_runtime_remove(runtime, paused));
    tl_close_pair(other);
}
END_TEST

/* ---- CLOSE and ERROR */

/* "With READ registered, CLOSE comes (beside READ) when the peer has closed or shut its writing
 * half" */
static void check_half_closed(void)
{
    char buffer[8];

    TL_OK(async_runtime_add(runtime, fds[0], READ, NULL));
    tl_send_text(fds[1], "ab");
    tl_expect_io(runtime, fds[0], READ, NULL);
    tl_shutdown_write(fds[1]);
    if (!tl_close_shows_before_data())
        tl_recv_text(fds[0], "ab");
    ck_assert_uint_eq(tl_until_io(runtime, fds[0], READ | CLOSE, WRITE | ERROR), READ | CLOSE);
    if (tl_close_shows_before_data())
        tl_recv_text(fds[0], "ab");
    tl_expect_io(runtime, fds[0], READ | CLOSE, NULL);
    ck_assert_int_eq(tl_recv(fds[0], buffer, sizeof buffer), 0);
    tl_expect_io(runtime, fds[0], READ | CLOSE, NULL); /* level */
    /* The other direction still works. */
    tl_send_text(fds[0], "cd");
    tl_recv_text(fds[1], "cd");
    /* "with READ or WRITE, CLOSE on a full hang-up": this is none */
    TL_OK(async_runtime_modify(runtime, fds[0], WRITE, NULL));
    tl_expect_io(runtime, fds[0], WRITE, NULL);
    TL_OK(async_runtime_modify(runtime, fds[0], READ | WRITE, NULL));
    tl_expect_io(runtime, fds[0], READ | WRITE | CLOSE, NULL);
}

START_TEST(test_half_closed)
{
    check_half_closed();
}
END_TEST

START_TEST(test_half_closed_tcp)
{
    use_tcp();
    check_half_closed();
}
END_TEST

START_TEST(test_peer_closed_tcp)
{
    use_tcp();
    TL_OK(async_runtime_add(runtime, fds[0], READ, NULL));
    close_peer();
    tl_expect_io(runtime, fds[0], READ | CLOSE, NULL);
    tl_expect_io(runtime, fds[0], READ | CLOSE, NULL);
}
END_TEST

/* "with READ or WRITE, CLOSE on a full hang-up" */
START_TEST(test_full_hangup)
{
    use_tcp();
    tl_shutdown_write(fds[1]);
    TL_OK(async_runtime_add(runtime, fds[0], READ | ONESHOT, NULL));
    tl_expect_io(runtime, fds[0], READ | CLOSE, NULL); /* the peer's half is known to be shut */
    tl_shutdown_write(fds[0]);
    TL_OK(async_runtime_modify(runtime, fds[0], WRITE, NULL));
    (void)tl_until_io(runtime, fds[0], CLOSE, READ | ERROR);
    TL_OK(async_runtime_modify(runtime, fds[0], READ, NULL));
    tl_expect_io(runtime, fds[0], READ | CLOSE, NULL);
}
END_TEST

/* "with READ or WRITE ... ERROR on a pending error. The library never reads SO_ERROR" */
static void check_reset(uint32_t events, uint32_t never)
{
    use_tcp();
    TL_OK(async_runtime_add(runtime, fds[0], events, NULL));
    reset_peer();
    for (int i = 0; i < 3; i++)
        (void)tl_until_io(runtime, fds[0], ERROR, never);
    if (tl_reset_sets_so_error())
        ck_assert_int_eq(tl_so_error(fds[0]), ECONNRESET);
}

START_TEST(test_reset_while_reading)
{
    check_reset(READ, WRITE);
}
END_TEST

START_TEST(test_reset_while_writing)
{
    check_reset(WRITE, READ);
}
END_TEST

START_TEST(test_reset_both)
{
    check_reset(READ | WRITE, 0);
}
END_TEST

/* A connection that is refused is a pending error. */
START_TEST(test_refused)
{
    uint16_t port;

    tl_close(tl_listen(&port));
    tl_close_pair(fds);
    fds[0] = tl_connect(port);
    TL_OK(async_runtime_add(runtime, fds[0], WRITE, NULL));
    for (int i = 0; i < 3; i++)
        (void)tl_until_io(runtime, fds[0], ERROR, READ);
    ck_assert_int_eq(tl_so_error(fds[0]), ECONNREFUSED);
}
END_TEST

/* ---- many */

START_TEST(test_many_at_once)
{
    enum { COUNT = 300 };
    static async_fd_t pairs[COUNT][2];
    static async_event_t events[COUNT + 10];
    static int seen[COUNT];

    for (size_t i = 0; i < COUNT; i++) {
        tl_pair(pairs[i]);
        TL_OK(async_runtime_add(runtime, pairs[i][0], READ, tl_context(i)));
        tl_send_text(pairs[i][1], "x");
        seen[i] = 0;
    }
    ck_assert_uint_eq(tl_stats(runtime).registered, COUNT);
    /* TCP may bring some of them late; local sockets do not. */
    for (int total = 0; total < COUNT;) {
        int count = tl_some(runtime, events, COUNT + 10);

        for (int k = 0; k < count; k++) {
            size_t i = (uintptr_t)events[k].context;
            char byte;

            ck_assert_uint_eq(events[k].event_type, READ);
            ck_assert(events[k].fd == pairs[i][0]);
            ck_assert_int_eq(tl_recv(pairs[i][0], &byte, 1), 1);
            seen[i]++;
        }
        total += count;
    }
    tl_quiet(runtime);
    for (size_t i = 0; i < COUNT; i++) {
        ck_assert_int_eq(seen[i], 1);
        if (i % 2 == 0)
            TL_OK(async_runtime_remove(runtime, pairs[i][0]));
    }
    ck_assert_uint_eq(tl_stats(runtime).registered, COUNT / 2);
    async_runtime_deinit(runtime);
    runtime = NULL;
    for (size_t i = 0; i < COUNT; i++)
        tl_close_pair(pairs[i]);
}
END_TEST

static TCase *fixture_case(Suite *suite, const char *name)
{
    TCase *tcase = tl_case(suite, name);

    tcase_add_checked_fixture(tcase, setup, teardown);
    return tcase;
}

static void add_cases(Suite *suite)
{
    TCase *tcase = fixture_case(suite, "level");

    tcase_add_test(tcase, test_read_level);
    tcase_add_test(tcase, test_write_level);
    tcase_add_test(tcase, test_ready_before_add);
    tcase_add_test(tcase, test_only_what_was_asked);
    tcase_add_test(tcase, test_merged);
    tcase_add_test(tcase, test_wakes_a_sleeper);
    tcase_add_test(tcase, test_connections);
    tcase_add_test(tcase, test_datagrams);
    tcase_add_test(tcase, test_many_at_once);

    tcase = fixture_case(suite, "oneshot");
    tcase_add_test(tcase, test_oneshot);
    tcase_add_test(tcase, test_oneshot_both_directions);
    tcase_add_test(tcase, test_oneshot_then_hangup);
    tcase_add_test(tcase, test_oneshot_then_reset);
    tcase_add_test(tcase, test_oneshot_many);

    tcase = fixture_case(suite, "silence");
    tcase_add_test(tcase, test_events_zero);
    tcase_add_test(tcase, test_events_zero_reset);
    tcase_add_test(tcase, test_error_and_close_bits);
    tcase_add_test(tcase, test_pause);

    tcase = fixture_case(suite, "close and error");
    tcase_add_test(tcase, test_half_closed);
    tcase_add_test(tcase, test_half_closed_tcp);
    tcase_add_test(tcase, test_peer_closed_tcp);
    tcase_add_test(tcase, test_full_hangup);
    tcase_add_test(tcase, test_reset_while_reading);
    tcase_add_test(tcase, test_reset_while_writing);
    tcase_add_test(tcase, test_reset_both);
    tcase_add_test(tcase, test_refused);
}

int main(void)
{
    return tl_main("runtime_io", add_cases);
}

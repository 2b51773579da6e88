/* SPDX-License-Identifier: MIT */
/*
 * test_runtime_ops.c - post_read and post_write on sockets: each ends in one event, in order
 */
#include "testlib.h"

#define READ ASYNC_EVENT_READ
#define WRITE ASYNC_EVENT_WRITE
#define CLOSE ASYNC_EVENT_CLOSE
#define DONE ASYNC_EVENT_COMPLETION

static async_runtime_t *runtime;
static async_fd_t fds[2];

static void setup(void)
{
    runtime = tl_runtime();
    tl_pair(fds);
    TL_OK(async_runtime_add(runtime, fds[0], 0, tl_context(11)));
}

static void teardown(void)
{
    async_runtime_deinit(runtime);
    tl_close_pair(fds);
}

static void expect_end(async_fd_t fd, uint32_t bits, const void *buffer, size_t count, int error,
                       void *context)
{
    async_event_t event;

    tl_one(runtime, &event);
    ck_assert_msg(event.event_type == bits, "event %#x, not %#x", event.event_type, bits);
    ck_assert(event.fd == fd);
    ck_assert_ptr_eq(event.buffer, buffer);
    ck_assert_uint_eq(event.bytes_transferred, count);
    ck_assert_int_eq(event.error, error);
    ck_assert_ptr_eq(event.context, context);
}

static void expect_read(const void *buffer, size_t count)
{
    expect_end(fds[0], DONE | READ, buffer, count, 0, tl_context(11));
}

static void expect_written(const void *buffer, size_t count)
{
    expect_end(fds[0], DONE | WRITE, buffer, count, 0, tl_context(11));
}

/* ---- arguments */

START_TEST(test_arguments)
{
    char byte = 0;

    TL_FAILS(async_runtime_post_read(runtime, fds[0], NULL, 1), EINVAL);
    TL_FAILS(async_runtime_post_read(runtime, fds[0], &byte, 0), EINVAL); /* "at least 1" */
    TL_FAILS(async_runtime_post_write(runtime, fds[0], NULL, 1), EINVAL);
    TL_FAILS(async_runtime_post_read(runtime, fds[1], &byte, 1), ENOENT);
    TL_FAILS(async_runtime_post_write(runtime, fds[1], &byte, 1), ENOENT);
    tl_quiet(runtime);
}
END_TEST

/* ---- reads */

/* "A read completes with what is there" */
START_TEST(test_read_what_is_there)
{
    char buffer[16] = "";

    tl_send_text(fds[1], "hello");
    TL_OK(async_runtime_post_read(runtime, fds[0], buffer, sizeof buffer));
    expect_read(buffer, 5);
    ck_assert_mem_eq(buffer, "hello", 5);
    tl_quiet(runtime);
}
END_TEST

START_TEST(test_read_waits)
{
    char buffer[16] = "";

    TL_OK(async_runtime_post_read(runtime, fds[0], buffer, sizeof buffer));
    tl_quiet(runtime);
    tl_send_text(fds[1], "later");
    expect_read(buffer, 5);
    ck_assert_mem_eq(buffer, "later", 5);
    /* One operation, one event: more data is nobody's. */
    tl_send_text(fds[1], "more");
    tl_quiet(runtime);
    tl_recv_text(fds[0], "more");
}
END_TEST

/* What does not fit into the buffer stays. */
START_TEST(test_read_small_buffer)
{
    char buffer[4] = {0};

    tl_send_text(fds[1], "abcdefgh");
    TL_OK(async_runtime_post_read(runtime, fds[0], buffer, 3));
    expect_read(buffer, 3);
    ck_assert_mem_eq(buffer, "abc", 3);
    tl_recv_text(fds[0], "defgh");
}
END_TEST

/* "Several may be queued per descriptor, done in order." */
START_TEST(test_reads_in_order)
{
    char buffers[3][4] = {{0}};

    for (int i = 0; i < 3; i++)
        TL_OK(async_runtime_post_read(runtime, fds[0], buffers[i], 4));
    tl_send_text(fds[1], "aaaabbbbcccc");
    for (int i = 0; i < 3; i++) {
        expect_read(buffers[i], 4);
        ck_assert_mem_eq(buffers[i], &"aaaabbbbcccc"[4 * i], 4);
    }
    tl_quiet(runtime);
}
END_TEST

START_TEST(test_reads_served_one_by_one)
{
    char buffers[5][8] = {{0}};
    char text[2] = "a";

    for (int i = 0; i < 5; i++)
        TL_OK(async_runtime_post_read(runtime, fds[0], buffers[i], 8));
    for (int i = 0; i < 5; i++) {
        text[0] = (char)('a' + i);
        tl_send_text(fds[1], text);
        expect_read(buffers[i], 1);
        ck_assert_int_eq(buffers[i][0], text[0]);
        tl_quiet(runtime);
    }
}
END_TEST

/* "(0 bytes and CLOSE: end of file)"; each of those that are queued */
START_TEST(test_end_of_file)
{
    static const char text[] = "still";
    char buffers[4][8];

    for (int i = 0; i < 3; i++)
        TL_OK(async_runtime_post_read(runtime, fds[0], buffers[i], 8));
    tl_send_text(fds[1], "last");
    expect_read(buffers[0], 4);
    tl_shutdown_write(fds[1]);
    for (int i = 1; i < 3; i++)
        expect_end(fds[0], DONE | READ | CLOSE, buffers[i], 0, 0, tl_context(11));
    tl_quiet(runtime);
    TL_OK(async_runtime_post_read(runtime, fds[0], buffers[3], 8));
    expect_end(fds[0], DONE | READ | CLOSE, buffers[3], 0, 0, tl_context(11));
    /* The other direction is open. */
    TL_OK(async_runtime_post_write(runtime, fds[0], text, 5));
    expect_written(text, 5);
    tl_recv_text(fds[1], "still");
}
END_TEST

START_TEST(test_datagrams)
{
    char buffers[2][8] = {{0}};
    static const char text[] = "three";

    tl_close_pair(fds);
    tl_udp_pair(fds);
    TL_OK(async_runtime_add(runtime, fds[0], 0, tl_context(11)));
    for (int i = 0; i < 2; i++)
        TL_OK(async_runtime_post_read(runtime, fds[0], buffers[i], 8));
    tl_send_text(fds[1], "one");
    tl_send_text(fds[1], "two");
    for (int i = 0; i < 2; i++) {
        expect_read(buffers[i], 3);
        ck_assert_mem_eq(buffers[i], i == 0 ? "one" : "two", 3);
    }
    TL_OK(async_runtime_post_write(runtime, fds[0], text, 5));
    expect_written(text, 5);
    tl_recv_text(fds[1], "three");
}
END_TEST

/* An operation that cannot work ends in its event, too. */
START_TEST(test_read_of_a_listener)
{
    uint16_t port;
    async_fd_t listener = tl_listen(&port);
    async_event_t event;
    char byte;

    TL_OK(async_runtime_add(runtime, listener, 0, NULL));
    TL_OK(async_runtime_post_read(runtime, listener, &byte, 1));
    tl_one(runtime, &event);
    ck_assert_uint_eq(event.event_type & (DONE | READ), DONE | READ);
    ck_assert_ptr_eq(event.buffer, &byte);
    ck_assert_int_ne(event.error, 0);
    tl_quiet(runtime);
    TL_OK(async_runtime_remove(runtime, listener));
    tl_close(listener);
}
END_TEST

/* ---- writes */

START_TEST(test_write)
{
    static const char text[] = "hello";

    TL_OK(async_runtime_post_write(runtime, fds[0], text, 5));
    expect_written(text, 5);
    tl_recv_text(fds[1], "hello");
    tl_quiet(runtime);
}
END_TEST

/* Nothing to write is written in its turn. */
START_TEST(test_write_nothing)
{
    static const char text[] = "one";

    TL_OK(async_runtime_post_write(runtime, fds[0], text, 3));
    TL_OK(async_runtime_post_write(runtime, fds[0], NULL, 0));
    TL_OK(async_runtime_post_write(runtime, fds[0], text, 0));
    expect_written(text, 3);
    expect_written(NULL, 0);
    expect_written(text, 0);
    tl_quiet(runtime);
    tl_recv_text(fds[1], "one");
}
END_TEST

START_TEST(test_writes_in_order)
{
    static const char text[] = "aaaabbbbcccc";

    for (int i = 0; i < 3; i++)
        TL_OK(async_runtime_post_write(runtime, fds[0], text + 4 * i, 4));
    for (int i = 0; i < 3; i++)
        expect_written(text + 4 * i, 4);
    tl_recv_text(fds[1], text);
}
END_TEST

#define LARGE ((size_t)3 << 20)

static unsigned char pattern(size_t offset)
{
    return (unsigned char)(offset * 2654435761u >> 13);
}

static unsigned char *large_block(size_t first)
{
    unsigned char *block = malloc(LARGE);

    ck_assert_ptr_nonnull(block);
    for (size_t i = 0; i < LARGE; i++)
        block[i] = pattern(first + i);
    return block;
}

/* "a write completes when all is written": large ones against a reader that takes little at a time;
 * several are queued and must not be mixed */
static void check_large_writes(void)
{
    unsigned char *blocks[2] = {large_block(0), large_block(LARGE)};
    static unsigned char chunk[40000];
    size_t received = 0;
    int written = 0;

    TL_OK(async_runtime_add(runtime, fds[1], READ, NULL));
    for (int i = 0; i < 2; i++)
        TL_OK(async_runtime_post_write(runtime, fds[0], blocks[i], LARGE));
    while (received < 2 * LARGE || written < 2) {
        async_event_t event;
        long count;

        tl_one(runtime, &event);
        if (event.event_type == (DONE | WRITE)) {
            ck_assert_ptr_eq(event.buffer, blocks[written]);
            ck_assert_uint_eq(event.bytes_transferred, LARGE);
            ck_assert_int_eq(event.error, 0);
            written++;
            /* All of it is on its way: no more than a socket's buffers are missing. */
            if (tl_writes_wait_for_reader())
                ck_assert_uint_gt(received, 0);
            continue;
        }
        ck_assert_uint_eq(event.event_type, READ);
        count = tl_recv(fds[1], chunk, sizeof chunk);
        ck_assert_int_gt(count, 0);
        for (size_t i = 0; i < (size_t)count; i++)
            if (chunk[i] != pattern(received + i))
                ck_abort_msg("byte %lu is wrong", (unsigned long)(received + i));
        received += (size_t)count;
    }
    ck_assert_uint_eq(received, 2 * LARGE);
    ck_assert_int_eq(written, 2);
    tl_quiet(runtime);
    free(blocks[0]);
    free(blocks[1]);
}

START_TEST(test_large_writes)
{
    check_large_writes();
}
END_TEST

START_TEST(test_large_writes_tcp)
{
    tl_close_pair(fds);
    tl_tcp_pair(fds);
    TL_OK(async_runtime_add(runtime, fds[0], 0, tl_context(11)));
    check_large_writes();
}
END_TEST

/* Both ends by operations, both directions at once. */
START_TEST(test_both_directions)
{
    unsigned char *out[2] = {large_block(0), large_block(LARGE)};
    static unsigned char in[2][70000];
    size_t received[2] = {0, 0};
    int written = 0;

    TL_OK(async_runtime_add(runtime, fds[1], 0, tl_context(12)));
    for (int i = 0; i < 2; i++) {
        TL_OK(async_runtime_post_write(runtime, fds[i], out[i], LARGE));
        TL_OK(async_runtime_post_read(runtime, fds[i], in[i], sizeof in[i]));
    }
    while (written < 2 || received[0] < LARGE || received[1] < LARGE) {
        async_event_t event;
        int end;

        tl_one(runtime, &event);
        ck_assert_int_eq(event.error, 0);
        end = event.fd == fds[0] ? 0 : 1;
        if (event.event_type == (DONE | WRITE)) {
            ck_assert_uint_eq(event.bytes_transferred, LARGE);
            written++;
            continue;
        }
        ck_assert_uint_eq(event.event_type, DONE | READ);
        ck_assert_ptr_eq(event.buffer, in[end]);
        for (size_t i = 0; i < event.bytes_transferred; i++)
            if (in[end][i] != pattern((1 - (size_t)end) * LARGE + received[end] + i))
                ck_abort_msg("byte %lu is wrong", (unsigned long)(received[end] + i));
        received[end] += event.bytes_transferred;
        if (received[end] < LARGE)
            TL_OK(async_runtime_post_read(runtime, fds[end], in[end], sizeof in[end]));
    }
    ck_assert_uint_eq(received[0], LARGE);
    ck_assert_uint_eq(received[1], LARGE);
    tl_quiet(runtime);
    free(out[0]);
    free(out[1]);
}
END_TEST

/* "Writing to a closed peer ends with EPIPE": on TCP the first write may still be taken. */
START_TEST(test_write_to_a_closed_peer)
{
    static const char text[] = "lost";
    async_event_t event;
    int error = 0;

    tl_close_pair(fds);
    tl_tcp_pair(fds);
    TL_OK(async_runtime_add(runtime, fds[0], 0, tl_context(11)));
    tl_close(fds[1]);
    fds[1] = ASYNC_INVALID_FD;
    for (int i = 0; i < 100 && error == 0; i++) {
        TL_OK(async_runtime_post_write(runtime, fds[0], text, 4));
        tl_one(runtime, &event);
        ck_assert_uint_eq(event.event_type & (DONE | WRITE), DONE | WRITE);
        ck_assert_ptr_eq(event.buffer, text);
        error = event.error;
        if (error == 0)
            tl_sleep_ms(5);
    }
    ck_assert_int_eq(error, EPIPE);
    tl_quiet(runtime);
}
END_TEST

/* One that was closed with bytes unread resets the connection: for a write it is the same. */
START_TEST(test_write_to_a_reset_peer)
{
    static char text[8 << 20];
    async_event_t event;

    tl_close_pair(fds);
    tl_tcp_pair(fds);
    TL_OK(async_runtime_add(runtime, fds[0], 0, tl_context(11)));
    TL_OK(async_runtime_post_write(runtime, fds[0], text, sizeof text));
    if (tl_writes_wait_for_reader())
        tl_quiet(runtime);
    tl_reset(fds[1]);
    fds[1] = ASYNC_INVALID_FD;
    tl_one(runtime, &event);
    ck_assert_uint_eq(event.event_type & (DONE | WRITE), DONE | WRITE);
    if (tl_writes_wait_for_reader())
        ck_assert_int_eq(event.error, EPIPE);
    else
        ck_assert(event.error == EPIPE || event.error == 0);
    tl_quiet(runtime);
}
END_TEST

/* After the program has shut its own half as well. */
START_TEST(test_write_after_shutdown)
{
    static const char text[] = "x";

    tl_shutdown_write(fds[0]);
    TL_OK(async_runtime_post_write(runtime, fds[0], text, 1));
    expect_end(fds[0], DONE | WRITE, text, 0, EPIPE, tl_context(11));
    tl_quiet(runtime);
}
END_TEST

START_TEST(test_read_of_a_reset_peer)
{
    async_event_t event;
    char byte;

    tl_close_pair(fds);
    tl_tcp_pair(fds);
    TL_OK(async_runtime_add(runtime, fds[0], 0, tl_context(11)));
    TL_OK(async_runtime_post_read(runtime, fds[0], &byte, 1));
    tl_reset(fds[1]);
    fds[1] = ASYNC_INVALID_FD;
    tl_one(runtime, &event);
    ck_assert_uint_eq(event.event_type & (DONE | READ), DONE | READ);
    ck_assert_int_eq(event.error, ECONNRESET);
    ck_assert_uint_eq(event.bytes_transferred, 0);
    tl_quiet(runtime);
}
END_TEST

/* ---- with readiness and modify */

/* A registration may have both; neither disturbs the other. */
START_TEST(test_with_readiness)
{
    char buffer[8];
    async_event_t event;
    int writes = 0;
    int reads = 0;

    TL_OK(async_runtime_modify(runtime, fds[0], WRITE, tl_context(12)));
    TL_OK(async_runtime_post_read(runtime, fds[0], buffer, sizeof buffer));
    for (int i = 0; i < 3; i++)
        tl_expect_io(runtime, fds[0], WRITE, tl_context(12));
    tl_send_text(fds[1], "data");
    for (int i = 0; i < 20; i++) {
        tl_one(runtime, &event);
        ck_assert_ptr_eq(event.context, tl_context(12));
        if (event.event_type == WRITE) {
            writes++;
        } else {
            ck_assert_uint_eq(event.event_type, DONE | READ);
            ck_assert_uint_eq(event.bytes_transferred, 4);
            reads++;
        }
    }
    ck_assert_int_eq(reads, 1);
    ck_assert_int_eq(writes, 19);
}
END_TEST

/* A readiness report that was ONESHOT, and spent, does not stop operations; nor does a pause. */
START_TEST(test_after_oneshot_and_pause)
{
    static const char text[] = "abc";
    char buffer[8];

    TL_OK(async_runtime_modify(runtime, fds[0], WRITE | ASYNC_EVENT_ONESHOT, tl_context(11)));
    tl_expect_io(runtime, fds[0], WRITE, tl_context(11));
    TL_OK(async_runtime_post_read(runtime, fds[0], buffer, sizeof buffer));
    tl_quiet(runtime);
    TL_OK(async_runtime_post_write(runtime, fds[0], text, 3));
    expect_written(text, 3);
    tl_send_text(fds[1], "x");
    expect_read(buffer, 1);
    tl_quiet(runtime); /* and it is not armed again by them */
    TL_OK(async_runtime_post_read(runtime, fds[0], buffer, sizeof buffer));
    TL_OK(async_runtime_modify(runtime, fds[0], 0, tl_context(11)));
    tl_send_text(fds[1], "yz");
    expect_read(buffer, 2);
    tl_send_text(fds[1], "w");
    tl_quiet(runtime);
}
END_TEST

/* modify changes the context of what ends from then on; the operation itself goes on. */
START_TEST(test_modify_while_reading)
{
    char buffer[8];

    TL_OK(async_runtime_post_read(runtime, fds[0], buffer, sizeof buffer));
    for (int i = 0; i < 4; i++)
        TL_OK(async_runtime_modify(runtime, fds[0], i % 2 == 0 ? WRITE : 0, tl_context(11)));
    tl_quiet(runtime);
    tl_send_text(fds[1], "data");
    expect_read(buffer, 4);
}
END_TEST

/* ---- small arrays */

START_TEST(test_one_event_a_wait)
{
    enum { COUNT = 50 };
    char bytes[COUNT] = {0};
    char text[COUNT + 1];

    for (int i = 0; i < COUNT; i++) {
        text[i] = (char)('A' + i % 26);
        TL_OK(async_runtime_post_read(runtime, fds[0], &bytes[i], 1));
    }
    text[COUNT] = '\0';
    tl_send_text(fds[1], text);
    for (int i = 0; i < COUNT; i++)
        expect_read(&bytes[i], 1);
    ck_assert_mem_eq(bytes, text, COUNT);
    for (int i = 0; i < COUNT; i++)
        TL_OK(async_runtime_post_write(runtime, fds[0], text + i, 1));
    for (int i = 0; i < COUNT; i++)
        expect_written(text + i, 1);
    tl_recv_text(fds[1], text);
    tl_quiet(runtime);
}
END_TEST

/* io_events: "descriptor events and finished operations delivered" */
START_TEST(test_statistics)
{
    static const char text[] = "a";
    async_runtime_stats_t stats;

    TL_OK(async_runtime_post_write(runtime, fds[0], text, 1));
    expect_written(text, 1);
    stats = tl_stats(runtime);
    ck_assert_uint_eq(stats.io_events, 1);
    ck_assert_uint_eq(stats.completions_posted, stats.completions_delivered);
}
END_TEST

/* ---- one loop thread after the other */

static char handed_over[16];

static void start_and_end(void *arg)
{
    async_event_t event;

    (void)arg;
    TL_OK(async_runtime_post_read(runtime, fds[0], handed_over, sizeof handed_over));
    ck_assert_int_eq(async_runtime_wait(runtime, &event, 1, 0), 0);
}

/* The operations of a runtime are not those of the thread that has started them. */
START_TEST(test_outlives_the_thread)
{
    if (tl_runtime_flags() & ASYNC_RUNTIME_SINGLE_THREAD)
        return;
    tl_thread_join(tl_thread_start(start_and_end, NULL));
    tl_quiet(runtime);
    tl_send_text(fds[1], "hello");
    expect_read(handed_over, 5);
    ck_assert_mem_eq(handed_over, "hello", 5);
    tl_quiet(runtime);
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
    TCase *tcase = fixture_case(suite, "reads");

    tcase_add_test(tcase, test_arguments);
    tcase_add_test(tcase, test_read_what_is_there);
    tcase_add_test(tcase, test_read_waits);
    tcase_add_test(tcase, test_read_small_buffer);
    tcase_add_test(tcase, test_reads_in_order);
    tcase_add_test(tcase, test_reads_served_one_by_one);
    tcase_add_test(tcase, test_end_of_file);
    tcase_add_test(tcase, test_datagrams);
    tcase_add_test(tcase, test_read_of_a_listener);
    tcase_add_test(tcase, test_read_of_a_reset_peer);

    tcase = fixture_case(suite, "writes");
    tcase_add_test(tcase, test_write);
    tcase_add_test(tcase, test_write_nothing);
    tcase_add_test(tcase, test_writes_in_order);
    tcase_add_test(tcase, test_large_writes);
    tcase_add_test(tcase, test_large_writes_tcp);
    tcase_add_test(tcase, test_both_directions);
    tcase_add_test(tcase, test_write_to_a_closed_peer);
    tcase_add_test(tcase, test_write_to_a_reset_peer);
    tcase_add_test(tcase, test_write_after_shutdown);

    tcase = fixture_case(suite, "with readiness");
    tcase_add_test(tcase, test_with_readiness);
    tcase_add_test(tcase, test_after_oneshot_and_pause);
    tcase_add_test(tcase, test_modify_while_reading);
    tcase_add_test(tcase, test_one_event_a_wait);
    tcase_add_test(tcase, test_statistics);
    tcase_add_test(tcase, test_outlives_the_thread);
}

int main(void)
{
    return tl_main("runtime_ops", add_cases);
}

/* SPDX-License-Identifier: MIT */
/* Pipes, files, sockets, nothing at all; the queue's policies; the contract of each function. */
#include "console_test.h"

START_TEST(many_lines_in_one_read)
{
    ct_console_t ct;
    async_handle_t writer = tl_input_pipe();

    ct_open(&ct, 64, 32, 0);
    ck_assert_int_eq(async_console_get_type(ct.console), ASYNC_CONSOLE_TYPE_PIPE);
    ct_text(writer, "one\ntwo\r\n\nthree\rfour\nfi");
    ct_expect(&ct, "one\n");
    ct_expect(&ct, "two\n");
    ct_expect(&ct, "\n");
    ct_expect(&ct, "three\rfour\n");
    ct_expect_nothing(&ct);
    ck_assert(!async_console_is_eof(ct.console));
    ct_text(writer, "ve\r");
    ct_expect_nothing(&ct);
    ct_text(writer, "\nlast");
    ct_expect(&ct, "five\n");
    tl_file_close(writer);
    ct_expect(&ct, "last");
    ct_expect_end(&ct);
    ct_close(&ct);
}
END_TEST

START_TEST(long_lines_in_pieces)
{
    static const char input[] = "0123456789\n\xf0\x9f\x98\x80\xf0\x9f\x98\x80\n\0x\n";
    ct_console_t ct;

    tl_input_file(input, sizeof(input) - 1);
    ct_open(&ct, 64, 8, 0);
    ck_assert_int_eq(async_console_get_type(ct.console), ASYNC_CONSOLE_TYPE_FILE);
    ct_expect(&ct, "0123456");
    ct_expect(&ct, "789\n");
    ct_expect(&ct, "\xf0\x9f\x98\x80");
    ct_expect(&ct, "\xf0\x9f\x98\x80\n");
    ct_expect_bytes(&ct, "\0x\n", 3);
    ct_expect_end(&ct);
    ct_close(&ct);
}
END_TEST

START_TEST(files)
{
    static const char *const inputs[] = {"", "\n", "last", "one\nlast"};

    for (size_t i = 0; i < 4; i++) {
        ct_console_t ct;

        tl_input_file(inputs[i], strlen(inputs[i]));
        ct_open(&ct, 4, 16, 0);
        if (i == 1)
            ct_expect(&ct, "\n");
        if (i == 3)
            ct_expect(&ct, "one\n");
        if (i >= 2)
            ct_expect(&ct, "last");
        ct_expect_end(&ct);
        ct_close(&ct);
    }
}
END_TEST

START_TEST(sockets)
{
    ct_console_t ct;
    async_fd_t fds[2];

    tl_pair(fds);
    tl_set_blocking(fds[0], true);
    tl_input_become((async_handle_t)fds[0]);
    ct_open(&ct, 4, 16, 0);
    ck_assert_int_eq(async_console_get_type(ct.console), ASYNC_CONSOLE_TYPE_PIPE);
    ct_expect_nothing(&ct);
    tl_send_text(fds[1], "line\nlast");
    ct_expect(&ct, "line\n");
    tl_shutdown_write(fds[1]);
    ct_expect(&ct, "last");
    ct_expect_end(&ct);
    ct_close(&ct);
    tl_close(fds[1]);
}
END_TEST

START_TEST(nothing_there)
{
    for (int closed = 0; closed < 2; closed++) {
        int threads = tl_thread_count();
        ct_console_t ct;

        if (closed)
            tl_input_closed();
        else
            tl_input_null();
        ck_assert_int_eq(async_console_detect(), ASYNC_CONSOLE_TYPE_NONE);
        ct_open(&ct, 4, 16, 0);
        ck_assert_int_eq(async_console_get_type(ct.console), ASYNC_CONSOLE_TYPE_NONE);
        ck_assert(async_console_is_eof(ct.console));
        ck_assert_int_le(tl_settle_threads(threads), threads);
        ct_expect_end(&ct);
        ck_assert_int_eq(async_console_set_mode(ct.console, 0), -1);
        ck_assert_int_eq(errno, ENOTTY);
        ck_assert(async_console_shutdown(ct.console, 0));
        ct_close(&ct);
    }
    tl_input_null();
}
END_TEST

typedef struct producer {
    async_handle_t file;
    int count;
} producer_t;

/* In portions that end within lines. */
static void produce(void *arg)
{
    producer_t *producer = arg;
    char text[4000];
    size_t size = 0;

    for (int i = 0; i < producer->count; i++) {
        size += (size_t)snprintf(text + size, sizeof(text) - size, "line %d\n", i);
        if (size >= 3000) {
            tl_file_write(producer->file, text, 2999);
            memmove(text, text + 2999, size - 2999);
            size -= 2999;
        }
    }
    tl_file_write(producer->file, text, size);
    tl_file_close(producer->file);
}

START_TEST(none_is_lost)
{
    static const async_queue_flags_t flags[] = {0, ASYNC_QUEUE_BLOCK_WRITER,
                                                ASYNC_QUEUE_SIGNAL_ON_DATA};
    producer_t producer = {.count = _i == 0 ? 100000 : 20000};
    tl_thread_t *thread;
    ct_console_t ct;

    if (ct_is_slow())
        producer.count /= 50;
    producer.file = tl_input_pipe();
    ct_open(&ct, 4, 32, flags[_i]);
    thread = tl_thread_start(produce, &producer);
    for (int i = 0; i < producer.count; i++) {
        char expected[32];

        snprintf(expected, sizeof(expected), "line %d\n", i);
        ct_expect(&ct, expected);
    }
    ct_expect_end(&ct);
    tl_thread_join(thread);
    ct_close(&ct);
}
END_TEST

/* The consumer that drains after data 1 has everything, though it did not look before. */
START_TEST(the_end_comes_last)
{
    for (int round = 0; round < 300; round++) {
        async_handle_t writer = tl_input_pipe();
        int count = 0;
        ct_console_t ct;

        ct_open(&ct, 8, 16, 0);
        ct_text(writer, "1\n2\n3\n");
        tl_file_close(writer);
        while (ct.ended == 0)
            ct_wait(&ct, CT_WAIT_MS);
        while (async_queue_dequeue(ct.lines, ct.text, 16, NULL))
            count++;
        ck_assert_int_eq(count, 3);
        ct_close(&ct);
    }
}
END_TEST

/* One completion for a filling of the queue, the next after it was drained. */
START_TEST(completions_are_merged)
{
    async_handle_t writer = tl_input_pipe();
    ct_console_t ct;

    ct_open(&ct, 64, 16, 0);
    ct_text(writer, "1\n2\n3\n");
    while (ct.announced == 0)
        ct_wait(&ct, CT_WAIT_MS);
    ct_text(writer, "4\n5\n");
    for (async_queue_stats_t stats = {0}; stats.current_size < 5;)
        async_queue_get_stats(ct.lines, &stats);
    ck_assert(!ct_wait(&ct, CT_QUIET_MS));
    for (int i = 0; i < 5; i++)
        ck_assert(async_queue_dequeue(ct.lines, ct.text, 16, NULL));
    ck_assert(!async_queue_dequeue(ct.lines, ct.text, 16, NULL));
    ck_assert_uint_eq(ct.announced, 1);
    ct_text(writer, "6\n");
    while (ct.announced < 2)
        ct_wait(&ct, CT_WAIT_MS);
    ct_expect(&ct, "6\n");
    ct_close(&ct);
    tl_file_close(writer);
}
END_TEST

START_TEST(drop_oldest)
{
    static const char input[] = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
    async_queue_stats_t stats;
    ct_console_t ct;

    tl_input_file(input, sizeof(input) - 1);
    ct_open(&ct, 2, 16, ASYNC_QUEUE_DROP_OLDEST);
    while (ct.ended == 0)
        ct_wait(&ct, CT_WAIT_MS);
    ct_expect(&ct, "8\n");
    ck_assert_uint_eq(async_queue_lost(ct.lines), 7);
    ct_expect(&ct, "9\n");
    async_queue_get_stats(ct.lines, &stats);
    ck_assert_uint_eq(stats.dropped_count, 7);
    ct_close(&ct);
}
END_TEST

/* Reservations hold every place of a DROP_OLDEST queue: the reader waits. */
START_TEST(reserved_places)
{
    async_handle_t writer = tl_input_pipe();
    ct_console_t ct;
    void *slot;

    ct_open(&ct, 1, 16, ASYNC_QUEUE_DROP_OLDEST);
    slot = async_queue_reserve(ct.lines, 4);
    ck_assert_ptr_nonnull(slot);
    ct_text(writer, "1\n");
    tl_file_close(writer);
    ct_expect_nothing(&ct);
    async_queue_abandon(ct.lines, slot);
    ct_expect(&ct, "1\n");
    ct_expect_end(&ct);
    ct_close(&ct);
}
END_TEST

static void await_full(ct_console_t *ct)
{
    while (!async_queue_is_full(ct->lines))
        tl_sleep_ms(1);
    tl_sleep_ms(20); /* the reader has gone to sleep on the full queue */
}

/* A full queue holds the reader; the stop is at once, and the next console has the other lines. */
START_TEST(full_queue_and_shutdown)
{
    static const async_queue_flags_t flags[] = {0, ASYNC_QUEUE_BLOCK_WRITER};
    async_handle_t writer = tl_input_pipe();
    ct_console_t ct;

    ct_text(writer, "1\n2\r\n3\n4\n5\r");
    ct_open(&ct, 2, 16, flags[_i]);
    await_full(&ct);
    ck_assert(async_console_shutdown(ct.console, CT_WAIT_MS));
    ck_assert(async_console_shutdown(ct.console, 0));
    ck_assert(!async_console_is_eof(ct.console));
    ct_expect(&ct, "1\n");
    ct_expect(&ct, "2\n");
    ct_expect_nothing(&ct);
    ct_close(&ct);

    ct_text(writer, "\n6");
    ct_open(&ct, 1, 16, flags[_i]);
    await_full(&ct);
    ct_close(&ct);

    ct_open(&ct, 8, 3, flags[_i]);
    tl_file_close(writer);
    ct_expect(&ct, "4\n");
    ct_expect(&ct, "5\n");
    ct_expect(&ct, "6");
    ct_expect_end(&ct);
    ct_close(&ct);
}
END_TEST

/* What the console has read ahead of a file is there for the next reader, of this process or
 * another. */
START_TEST(file_is_given_back)
{
    static const char input[] = "1\r\n2\r\n3\r\n4\n";
    ct_console_t ct;
    char rest[64];

    tl_input_file(input, sizeof(input) - 1);
    ct_open(&ct, 1, 16, 0);
    await_full(&ct);
    ct_close(&ct);
    ck_assert_int_eq(tl_input_read(rest, sizeof(rest)), 8);
    ck_assert_mem_eq(rest, "2\r\n3\r\n4\n", 8);
}
END_TEST

/* Another input: nothing of the earlier one is mixed in. */
START_TEST(kept_lines_belong_to_their_input)
{
    async_handle_t writer = tl_input_pipe();
    ct_console_t ct;

    ct_text(writer, "1\n2\n3\n");
    ct_open(&ct, 1, 16, 0);
    await_full(&ct);
    ct_close(&ct);
    tl_file_close(writer);
    writer = tl_input_pipe();
    ct_text(writer, "other\n");
    ct_open(&ct, 4, 16, 0);
    ct_expect(&ct, "other\n");
    ct_expect_nothing(&ct);
    ct_close(&ct);
    tl_file_close(writer);
}
END_TEST

START_TEST(blocked_read_and_shutdown)
{
    for (int round = 0; round < 100; round++) {
        async_handle_t writer = tl_input_pipe();
        ct_console_t ct;

        ct_open(&ct, 4, 16, 0);
        if (round % 2 != 0)
            tl_sleep_ms(1);
        if (round % 3 == 0)
            ck_assert(async_console_shutdown(ct.console, -1));
        ct_close(&ct);
        tl_file_close(writer);
    }
}
END_TEST

static void shut_down(void *arg)
{
    ck_assert(async_console_shutdown(arg, CT_WAIT_MS));
}

START_TEST(shutdown_by_many)
{
    async_handle_t writer = tl_input_pipe();
    tl_thread_t *threads[4];
    ct_console_t ct;

    ct_open(&ct, 4, 16, 0);
    for (int i = 0; i < 4; i++)
        threads[i] = tl_thread_start(shut_down, ct.console);
    for (int i = 0; i < 4; i++)
        tl_thread_join(threads[i]);
    ct_text(writer, "late\n");
    ct_expect_nothing(&ct);
    ct_close(&ct);
    tl_file_close(writer);
}
END_TEST

START_TEST(closed_queue_ends_the_reader)
{
    async_handle_t writer = tl_input_pipe();
    int threads = tl_thread_count(), running;
    ct_console_t ct;

    ct_open(&ct, 1, 16, ASYNC_QUEUE_BLOCK_WRITER);
    running = tl_thread_count(); /* the reader, and where it needs one a helper */
    ck_assert_int_gt(running, threads);
    ct_text(writer, "1\n2\n");
    await_full(&ct);
    async_queue_close(ct.lines);
    ck_assert_int_lt(tl_settle_threads(running - 1), running);
    ck_assert(!async_console_is_eof(ct.console));
    ct_close(&ct);
    tl_file_close(writer);
}
END_TEST

/* The runtime may go first; the queue's binding ends with the console. */
START_TEST(outlives_the_runtime)
{
    async_handle_t writer = tl_input_pipe();
    async_runtime_t *other;
    ct_console_t ct;

    ct_open(&ct, 4, 16, 0);
    ct_text(writer, "1\n");
    ct_expect(&ct, "1\n");
    async_runtime_deinit(ct.runtime);
    ct.runtime = NULL;
    ct_text(writer, "2\n");
    tl_file_close(writer);
    while (!async_console_is_eof(ct.console))
        tl_sleep_ms(1);
    ck_assert(async_queue_dequeue(ct.lines, ct.text, 16, NULL));
    ck_assert_str_eq(ct.text, "2\n");
    async_console_destroy(ct.console);
    other = async_runtime_init();
    ck_assert_int_eq(async_runtime_bind_queue(other, ct.lines, 1), 0);
    async_queue_destroy(ct.lines);
    async_runtime_deinit(other);
    free(ct.text);
}
END_TEST

#define FAILS(call, err)                           \
    do {                                           \
        errno = 0;                                 \
        ck_assert(!(call));                        \
        ck_assert_int_eq(errno, err);              \
        ck_assert_int_eq(async_last_error(), err); \
    } while (0)

START_TEST(failures)
{
    async_handle_t writer = tl_input_pipe();
    int fds;
    async_queue_t *small = async_queue_create(1, 1, 0), *bound = async_queue_create(1, 9, 0);
    ct_console_t ct;

    ct_open(&ct, 4, 16, 0);
    fds = tl_fd_count();
    FAILS(async_console_create(NULL, bound, 0), EINVAL);
    FAILS(async_console_create(ct.runtime, NULL, 0), EINVAL);
    FAILS(async_console_create(ct.runtime, small, 0), EINVAL);
    FAILS(async_console_create(ct.runtime, bound, 0), EEXIST);
    FAILS(async_runtime_bind_queue(ct.runtime, ct.lines, 0) == 0, EEXIST);
    FAILS(async_console_shutdown(NULL, 0), EINVAL);
    FAILS(async_console_shutdown(ct.console, -2), EINVAL);
    FAILS(async_console_set_mode(NULL, 0) == 0, EINVAL);
    FAILS(async_console_set_mode(ct.console, 4) == 0, EINVAL);
    FAILS(async_console_set_mode(ct.console, 0) == 0, ENOTTY);
    FAILS(async_console_get_type(NULL) != ASYNC_CONSOLE_TYPE_NONE, EINVAL);
    FAILS(async_console_is_eof(NULL), EINVAL);
    FAILS(async_console_type_name((async_console_type_t)4), EINVAL);
    FAILS(async_console_type_name((async_console_type_t)-1), EINVAL);
    ck_assert_int_eq(tl_fd_count(), fds);
    ct_text(writer, "still there\n");
    ct_expect(&ct, "still there\n");
    async_console_destroy(ct.console);
    async_console_destroy(NULL);

    ck_assert_int_eq(async_runtime_bind_queue(ct.runtime, bound, 5), 0);
    FAILS(async_console_create(ct.runtime, bound, 0), EEXIST);
    /* neither failure has taken the place of the one console */
    ct.console = async_console_create(ct.runtime, ct.lines, CT_KEY);
    ck_assert_ptr_nonnull(ct.console);
    async_queue_destroy(bound);
    async_queue_destroy(small);
    ct_close(&ct);
    tl_file_close(writer);
}
END_TEST

START_TEST(names)
{
    ck_assert_str_eq(async_console_type_name(ASYNC_CONSOLE_TYPE_NONE), "NONE");
    ck_assert_str_eq(async_console_type_name(ASYNC_CONSOLE_TYPE_REAL), "REAL");
    ck_assert_str_eq(async_console_type_name(ASYNC_CONSOLE_TYPE_PIPE), "PIPE");
    ck_assert_str_eq(async_console_type_name(ASYNC_CONSOLE_TYPE_FILE), "FILE");
}
END_TEST

START_TEST(no_polling)
{
    async_handle_t writer = tl_input_pipe();
    uint64_t best = UINT64_MAX;
    ct_console_t ct;
    long before;

    ct_open(&ct, 4, 16, 0);
    for (int i = 0; i < 50; i++) {
        uint64_t start = tl_now_ns(), took;

        ct_text(writer, "x\n");
        ct_expect(&ct, "x\n");
        took = tl_now_ns() - start;
        if (took < best)
            best = took;
    }
    ck_assert_uint_lt(best, TL_NS_PER_MS);
    tl_sleep_ms(20);
    before = ct_reader_switches();
    tl_sleep_ms(300);
    ck_assert_int_le(ct_reader_switches() - before, 1);
    /* nor while the queue is full */
    ct_text(writer, "1\n2\n3\n4\n5\n");
    await_full(&ct);
    before = ct_reader_switches();
    tl_sleep_ms(300);
    ck_assert_int_le(ct_reader_switches() - before, 1);
    ct_close(&ct);
    tl_file_close(writer);
}
END_TEST

START_TEST(nothing_leaks)
{
    async_handle_t writer = tl_input_pipe();
    int fds = tl_fd_count(), threads = tl_thread_count();

    for (int round = 0; round < 20; round++) {
        ct_console_t ct;

        ct_open(&ct, 4, 16, 0);
        ct_text(writer, "1\n");
        if (round % 2 == 0)
            ct_expect(&ct, "1\n");
        else
            ct_wait(&ct, CT_WAIT_MS);
        ct_close(&ct);
        ck_assert_int_eq(tl_settle_threads(threads), threads);
        ck_assert_int_eq(tl_fd_count(), fds);
    }
    tl_file_close(writer);
}
END_TEST

Suite *ct_suite_input(void)
{
    Suite *suite = suite_create("console_input");
    TCase *tcase = tl_case_after(suite, "input", tl_input_null);

    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, many_lines_in_one_read);
    tcase_add_test(tcase, long_lines_in_pieces);
    tcase_add_test(tcase, files);
    tcase_add_test(tcase, sockets);
    tcase_add_test(tcase, nothing_there);
    tcase_add_loop_test(tcase, none_is_lost, 0, 3);
    tcase_add_test(tcase, the_end_comes_last);
    tcase_add_test(tcase, completions_are_merged);
    tcase_add_test(tcase, drop_oldest);
    tcase_add_test(tcase, reserved_places);
    tcase_add_loop_test(tcase, full_queue_and_shutdown, 0, 2);
    tcase_add_test(tcase, file_is_given_back);
    tcase_add_test(tcase, kept_lines_belong_to_their_input);
    tcase_add_test(tcase, blocked_read_and_shutdown);
    tcase_add_test(tcase, shutdown_by_many);
    tcase_add_test(tcase, closed_queue_ends_the_reader);
    tcase_add_test(tcase, outlives_the_runtime);
    tcase_add_test(tcase, failures);
    tcase_add_test(tcase, names);
    tcase_add_test(tcase, no_polling);
    tcase_add_test(tcase, nothing_leaks);
    return suite;
}

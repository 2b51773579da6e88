/* SPDX-License-Identifier: MIT */
/*
 * test_runtime_cancel.c - operations that do not finish: remove, reuse of the number, deinit
 */
#include "testlib.h"

#define READ ASYNC_EVENT_READ
#define WRITE ASYNC_EVENT_WRITE
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

static void expect_cancelled(async_fd_t fd, uint32_t direction, const void *buffer, void *context)
{
    async_event_t event;

    tl_one(runtime, &event);
    ck_assert_msg(event.event_type == (DONE | direction), "event %#x", event.event_type);
    ck_assert(event.fd == fd);
    ck_assert_int_eq(event.error, ECANCELED);
    ck_assert_ptr_eq(event.buffer, buffer);
    ck_assert_uint_eq(event.bytes_transferred, 0);
    ck_assert_ptr_eq(event.context, context);
}

/* "remove cancels them: each still ends in its event, with ECANCELED" */
START_TEST(test_reads_cancelled)
{
    char buffers[3][8];

    memset(buffers, 'u', sizeof buffers);
    for (int i = 0; i < 3; i++)
        TL_OK(async_runtime_post_read(runtime, fds[0], buffers[i], 8));
    tl_quiet(runtime);
    TL_OK(async_runtime_remove(runtime, fds[0]));
    for (int i = 0; i < 3; i++)
        expect_cancelled(fds[0], READ, buffers[i], tl_context(11));
    tl_quiet(runtime);
    /* They take nothing away from those who come after them. */
    tl_send_text(fds[1], "mine");
    tl_quiet(runtime);
    tl_recv_text(fds[0], "mine");
    for (size_t i = 0; i < sizeof buffers; i++)
        ck_assert_int_eq(((char *)buffers)[i], 'u');
}
END_TEST

/* A write that has got through in part says how far. */
START_TEST(test_writes_cancelled)
{
    size_t size = (size_t)8 << 20;
    char *block = calloc(1, size);
    async_event_t event;
    size_t received;

    ck_assert_ptr_nonnull(block);
    TL_OK(async_runtime_post_write(runtime, fds[0], block, size));
    TL_OK(async_runtime_post_write(runtime, fds[0], block + 1, 5));
    tl_quiet(runtime);
    TL_OK(async_runtime_remove(runtime, fds[0]));
    tl_one(runtime, &event);
    ck_assert_uint_eq(event.event_type, DONE | WRITE);
    ck_assert_int_eq(event.error, ECANCELED);
    ck_assert_ptr_eq(event.buffer, block);
    ck_assert_uint_lt(event.bytes_transferred, size);
    expect_cancelled(fds[0], WRITE, block + 1, tl_context(11));
    tl_quiet(runtime);
    /* That many bytes, and not one of the second write. */
    tl_shutdown_write(fds[0]);
    tl_sleep_ms(1);
    received = tl_drain(fds[1]);
    for (int i = 0; i < 100 && received < event.bytes_transferred; i++) {
        tl_sleep_ms(10);
        received += tl_drain(fds[1]);
    }
    ck_assert_uint_eq(received, event.bytes_transferred);
    free(block);
}
END_TEST

START_TEST(test_both_directions_cancelled)
{
    async_event_t event;
    char buffer[8];
    static char block[4096];
    int reads = 0;
    int writes = 0;

    (void)tl_fill(fds[0]);
    TL_OK(async_runtime_post_read(runtime, fds[0], buffer, sizeof buffer));
    TL_OK(async_runtime_post_write(runtime, fds[0], block, sizeof block));
    TL_OK(async_runtime_remove(runtime, fds[0]));
    for (int i = 0; i < 2; i++) {
        tl_one(runtime, &event);
        ck_assert_int_eq(event.error, ECANCELED);
        reads += event.event_type == (DONE | READ);
        writes += event.event_type == (DONE | WRITE);
    }
    ck_assert_int_eq(reads, 1);
    ck_assert_int_eq(writes, 1);
    tl_quiet(runtime);
}
END_TEST

/* An operation that had done its work before the remove ends once, and its data is somewhere. */
START_TEST(test_finished_before_remove)
{
    char buffer[8] = "";
    char rest[8] = "";
    async_event_t event;

    for (int i = 0; i < 20; i++) {
        TL_OK(async_runtime_post_read(runtime, fds[0], buffer, sizeof buffer));
        tl_send_text(fds[1], "data");
        if (i % 2 == 0) { /* it may have been fetched by a wait for something else */
            TL_OK(async_runtime_post_completion(runtime, 1, 1));
            tl_one(runtime, &event);
            if (event.event_type != DONE) {
                ck_assert_uint_eq(event.bytes_transferred, 4);
                tl_expect_completion(runtime, 1, 1);
                continue;
            }
        }
        TL_OK(async_runtime_remove(runtime, fds[0]));
        tl_one(runtime, &event);
        ck_assert_uint_eq(event.event_type, DONE | READ);
        ck_assert_ptr_eq(event.buffer, buffer);
        if (event.error == 0) {
            ck_assert_uint_eq(event.bytes_transferred, 4);
            ck_assert_mem_eq(buffer, "data", 4);
            ck_assert_int_eq(tl_recv(fds[0], rest, sizeof rest), -1);
        } else {
            ck_assert_int_eq(event.error, ECANCELED);
            ck_assert_uint_eq(event.bytes_transferred, 0);
            tl_recv_text(fds[0], "data");
        }
        tl_quiet(runtime);
        TL_OK(async_runtime_add(runtime, fds[0], 0, tl_context(11)));
    }
}
END_TEST

/* The ends of old operations and a new registration of the same descriptor do not mix. */
START_TEST(test_added_again)
{
    char buffer[2][8];
    async_event_t event;

    TL_OK(async_runtime_post_read(runtime, fds[0], buffer[0], 8));
    TL_OK(async_runtime_remove(runtime, fds[0]));
    TL_OK(async_runtime_add(runtime, fds[0], 0, tl_context(22)));
    TL_OK(async_runtime_post_read(runtime, fds[0], buffer[1], 8));
    expect_cancelled(fds[0], READ, buffer[0], tl_context(11));
    tl_quiet(runtime);
    tl_send_text(fds[1], "new");
    tl_one(runtime, &event);
    ck_assert_uint_eq(event.event_type, DONE | READ);
    ck_assert_ptr_eq(event.buffer, buffer[1]);
    ck_assert_ptr_eq(event.context, tl_context(22));
    ck_assert_uint_eq(event.bytes_transferred, 3);
    tl_quiet(runtime);
}
END_TEST

/* Removed and closed at once: the end still comes, and the number may belong to another by then. */
START_TEST(test_removed_closed_and_reused)
{
    char buffer[8];

    for (int i = 0; i < 20; i++) {
        async_fd_t old = fds[0];
        async_event_t event;
        bool cancelled = false;
        bool ready = false;

        TL_OK(async_runtime_post_read(runtime, fds[0], buffer, sizeof buffer));
        if (i % 2 == 0)
            tl_quiet(runtime);
        TL_OK(async_runtime_remove(runtime, fds[0]));
        tl_close_pair(fds);
        tl_pair(fds);
        TL_OK(async_runtime_add(runtime, fds[0], READ, tl_context(33)));
        tl_send_text(fds[1], "x");
        while (!cancelled || !ready) {
            tl_one(runtime, &event);
            if (event.event_type == READ) {
                ck_assert_ptr_eq(event.context, tl_context(33));
                ready = true;
            } else {
                ck_assert(!cancelled);
                ck_assert(event.fd == old);
                ck_assert_int_eq(event.error, ECANCELED);
                ck_assert_ptr_eq(event.context, tl_context(11));
                cancelled = true;
            }
        }
        tl_recv_text(fds[0], "x"); /* the old operation has not taken it */
        tl_quiet(runtime);
        TL_OK(async_runtime_modify(runtime, fds[0], 0, tl_context(11)));
    }
}
END_TEST

/* "closing a descriptor without remove, then adding its reused number, works": the operations of
 * the earlier life end, and take nothing from the new one */
START_TEST(test_closed_without_remove)
{
    char buffer[8];

    for (int i = 0; i < 10; i++) {
        async_event_t event;
        bool ended = false;
        bool ready = false;

        TL_OK(async_runtime_post_read(runtime, fds[0], buffer, sizeof buffer));
        if (i % 2 == 0)
            tl_quiet(runtime);
        tl_close(fds[0]);
        tl_close(fds[1]);
        tl_pair(fds);
        TL_OK(async_runtime_add(runtime, fds[0], READ, tl_context(33)));
        tl_send_text(fds[1], "x");
        while (!ended || !ready) {
            tl_one(runtime, &event);
            if (event.event_type == READ) {
                ck_assert_ptr_eq(event.context, tl_context(33));
                ready = true;
            } else {
                /* Cancelled, or the end of file that it saw when the peer was closed. */
                ck_assert(!ended);
                ck_assert_ptr_eq(event.buffer, buffer);
                ck_assert_ptr_eq(event.context, tl_context(11));
                ck_assert_uint_eq(event.bytes_transferred, 0);
                ended = true;
            }
        }
        tl_recv_text(fds[0], "x");
        tl_quiet(runtime);
        TL_OK(async_runtime_modify(runtime, fds[0], 0, tl_context(11)));
    }
}
END_TEST

/* Cancelled ends and small arrays. */
START_TEST(test_many_cancelled)
{
    enum { COUNT = 30, EACH = 4 };
    async_fd_t pairs[COUNT][2];
    char bytes[COUNT][EACH];
    int ended[COUNT] = {0};

    for (size_t i = 0; i < COUNT; i++) {
        tl_pair(pairs[i]);
        TL_OK(async_runtime_add(runtime, pairs[i][0], READ, tl_context(i)));
        for (int k = 0; k < EACH; k++)
            TL_OK(async_runtime_post_read(runtime, pairs[i][0], &bytes[i][k], 1));
    }
    for (size_t i = 0; i < COUNT; i++) {
        TL_OK(async_runtime_remove(runtime, pairs[i][0]));
        tl_close_pair(pairs[i]);
    }
    for (int total = 0; total < COUNT * EACH;) {
        async_event_t events[7];
        int count = tl_some(runtime, events, 7);

        for (int k = 0; k < count; k++) {
            size_t i = (uintptr_t)events[k].context;

            ck_assert_int_eq(events[k].error, ECANCELED);
            ck_assert_ptr_eq(events[k].buffer, &bytes[i][ended[i]]); /* in order */
            ended[i]++;
        }
        total += count;
    }
    tl_quiet(runtime);
}
END_TEST

/* "Buffers of operations that had not ended are the caller's again" after deinit: nothing may be
 * written into them, and the data is still in the socket */
START_TEST(test_deinit)
{
    char *buffer = malloc(8);
    static char block[8 << 20];

    ck_assert_ptr_nonnull(buffer);
    memset(buffer, 'u', 8);
    TL_OK(async_runtime_post_read(runtime, fds[0], buffer, 8));
    TL_OK(async_runtime_post_write(runtime, fds[0], block, sizeof block));
    tl_quiet(runtime);
    async_runtime_deinit(runtime);
    runtime = NULL;
    tl_send_text(fds[1], "data");
    tl_sleep_ms(5);
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(buffer[i], 'u');
    free(buffer);
    tl_recv_text(fds[0], "data");
    ck_assert_uint_lt(tl_drain(fds[1]), sizeof block);
}
END_TEST

/* ... also when their ends had not been taken yet */
START_TEST(test_deinit_with_ends_pending)
{
    char buffer[8];

    tl_send_text(fds[1], "data");
    TL_OK(async_runtime_post_read(runtime, fds[0], buffer, 4));
    TL_OK(async_runtime_post_write(runtime, fds[0], "x", 1));
    TL_OK(async_runtime_remove(runtime, fds[0]));
    TL_OK(async_runtime_add(runtime, fds[0], 0, NULL));
    TL_OK(async_runtime_post_read(runtime, fds[0], buffer + 4, 4));
}
END_TEST

static void add_cases(Suite *suite)
{
    TCase *tcase = tl_case(suite, "cancelled");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_reads_cancelled);
    tcase_add_test(tcase, test_writes_cancelled);
    tcase_add_test(tcase, test_both_directions_cancelled);
    tcase_add_test(tcase, test_finished_before_remove);
    tcase_add_test(tcase, test_added_again);
    tcase_add_test(tcase, test_removed_closed_and_reused);
    tcase_add_test(tcase, test_closed_without_remove);
    tcase_add_test(tcase, test_many_cancelled);

    tcase = tl_case(suite, "deinit");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_deinit);
    tcase_add_test(tcase, test_deinit_with_ends_pending);
}

int main(void)
{
    return tl_main("runtime_cancel", add_cases);
}

/* SPDX-License-Identifier: MIT */
#include "console_test.h"

void ct_open(ct_console_t *ct, size_t capacity, size_t max_msg_size, async_queue_flags_t flags)
{
    memset(ct, 0, sizeof(*ct));
    ct->max_size = max_msg_size;
    ct->text = malloc(max_msg_size);
    ck_assert_ptr_nonnull(ct->text);
    ct->runtime = async_runtime_init();
    ck_assert_msg(ct->runtime != NULL, "async_runtime_init: %s", strerror(errno));
    ct->lines = async_queue_create(capacity, max_msg_size, flags);
    ck_assert_ptr_nonnull(ct->lines);
    errno = 4711;
    ct->console = async_console_create(ct->runtime, ct->lines, CT_KEY);
    ck_assert_msg(ct->console != NULL, "async_console_create: %s", strerror(errno));
    ck_assert_int_eq(errno, 4711);
}

void ct_close(ct_console_t *ct)
{
    errno = 4711;
    async_console_destroy(ct->console);
    ck_assert_int_eq(errno, 4711);
    async_queue_destroy(ct->lines);
    async_runtime_deinit(ct->runtime);
    free(ct->text);
    memset(ct, 0, sizeof(*ct));
}

bool ct_wait(ct_console_t *ct, int timeout_ms)
{
    async_event_t events[4];
    int count = async_runtime_wait(ct->runtime, events, 4, timeout_ms);

    ck_assert_int_ge(count, 0);
    for (int i = 0; i < count; i++) {
        ck_assert_uint_eq(events[i].event_type, ASYNC_EVENT_COMPLETION);
        ck_assert_uint_eq(events[i].completion_key, CT_KEY);
        ck_assert_uint_le(events[i].data, 1);
        ck_assert(events[i].fd == ASYNC_INVALID_FD);
        if (events[i].data == 0)
            ct->announced++;
        else
            ct->ended++;
    }
    return count > 0;
}

bool ct_next(ct_console_t *ct)
{
    uint64_t limit = tl_now_ns() + CT_WAIT_MS * (uint64_t)TL_NS_PER_MS;

    while (!async_queue_dequeue(ct->lines, ct->text, ct->max_size, &ct->size)) {
        ck_assert_int_eq(errno, EAGAIN);
        if (ct->ended > 0)
            return false;
        ct_wait(ct, CT_WAIT_MS);
        ck_assert_msg(tl_now_ns() < limit, "no line comes");
    }
    ck_assert_uint_ge(ct->size, 2);
    ck_assert_int_eq(ct->text[ct->size - 1], '\0');
    return true;
}

void ct_expect_bytes(ct_console_t *ct, const char *bytes, size_t size)
{
    ck_assert_msg(ct_next(ct), "end of input instead of \"%s\"", bytes);
    ck_assert_msg(ct->size == size + 1 && memcmp(ct->text, bytes, size) == 0,
                  "\"%s\" (%zu) instead of \"%s\" (%zu)", ct->text, ct->size, bytes, size + 1);
}

void ct_expect(ct_console_t *ct, const char *text)
{
    ct_expect_bytes(ct, text, strlen(text));
}

void ct_expect_nothing(ct_console_t *ct)
{
    if (async_queue_dequeue(ct->lines, ct->text, ct->max_size, &ct->size))
        ck_abort_msg("\"%s\" instead of nothing", ct->text);
    while (ct_wait(ct, CT_QUIET_MS))
        continue;
    ck_assert_msg(async_queue_is_empty(ct->lines), "there is a line");
    ck_assert_uint_eq(ct->ended, 0);
}

void ct_expect_end(ct_console_t *ct)
{
    ck_assert_msg(!ct_next(ct), "\"%s\" instead of the end", ct->text);
    ck_assert(async_console_is_eof(ct->console));
    while (ct_wait(ct, CT_QUIET_MS))
        continue;
    ck_assert_uint_eq(ct->ended, 1);
}

void ct_text(async_handle_t file, const char *text)
{
    tl_file_write(file, text, strlen(text));
}

/* Each suite on each backend, or on the one that ASYNCRT_BACKEND names. */
int main(void)
{
    const char *chosen = getenv("ASYNCRT_BACKEND");
    const char *const *backends = async_runtime_backends();
    int failed = 0, ran = 0;

    for (size_t i = 0; backends[i] != NULL; i++) {
        async_runtime_t *runtime;
        SRunner *runner;

        if (chosen != NULL && strcmp(chosen, backends[i]) != 0)
            continue;
        tl_use_backend(backends[i]);
        runtime = async_runtime_init();
        if (runtime == NULL) {
            printf("%s: %s\n", backends[i], strerror(errno));
            continue;
        }
        async_runtime_deinit(runtime);
        printf("%s:\n", backends[i]);
        runner = srunner_create(ct_suite_input());
        ct_add_suites(runner);
        srunner_run_all(runner, CK_NORMAL);
        failed += srunner_ntests_failed(runner);
        srunner_free(runner);
        ran++;
    }
    return failed != 0 ? 1 : ran != 0 ? 0 : 77;
}

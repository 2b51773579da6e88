/* SPDX-License-Identifier: MIT */
/*
 * test_runtime_timer_core.c - the timers' heap by itself: no clock and no backend; against a sorted
 * list, with sequence numbers that wrap and slots that are used up
 */
#include "port/port_memory.h"
#include "runtime/runtime_timer.h"
#include "testlib.h"

#include <stdlib.h>

typedef struct model {
    uint64_t deadline, order, id;
    bool live;
} model_t;

static int model_first(const model_t *model, int count)
{
    int first = -1;

    for (int i = 0; i < count; i++) {
        if (model[i].live &&
            (first < 0 || model[i].deadline < model[first].deadline ||
             (model[i].deadline == model[first].deadline && model[i].order < model[first].order)))
            first = i;
    }
    return first;
}

START_TEST(against_model)
{
    runtime_timers_t timers = {.count = 0};
    model_t model[300];
    async_event_t ev;
    uint64_t order = 0, last_id = 0;
    size_t live = 0;

    timers.sequence = UINT32_MAX - 1000; /* it wraps */
    memset(model, 0, sizeof(model));
    srand(1);
    for (int step = 0; step < 20000; step++) {
        int i = rand() % 300;
        model_t *m = &model[i];

        if (!m->live) {
            m->deadline = (uint64_t)(rand() % 50);
            m->order = order++;
            ck_assert_int_eq(runtime_timer_add(&timers, m->deadline, 0, m, &m->id), 0);
            ck_assert_uint_ne(m->id, 0);
            ck_assert_uint_ne(m->id, last_id);
            last_id = m->id;
            m->live = true;
            live++;
        } else if (rand() % 3 != 0) {
            ck_assert_int_eq(runtime_timer_cancel(&timers, m->id), 0);
            ck_assert_int_eq(runtime_timer_cancel(&timers, m->id), ENOENT);
            m->live = false;
            live--;
        } else {
            int first = model_first(model, 300);

            ck_assert_int_eq(runtime_timer_take(&timers, model[first].deadline, &ev, 1), 1);
            ck_assert_ptr_eq(ev.context, &model[first]);
            ck_assert_int_eq(runtime_timer_cancel(&timers, model[first].id), ENOENT);
            model[first].live = false;
            live--;
        }
        ck_assert_uint_eq(runtime_timer_count(&timers), live);
        if (live != 0)
            ck_assert_uint_eq(runtime_timer_first(&timers),
                              model[model_first(model, 300)].deadline);
    }
    runtime_timer_close(&timers);
}
END_TEST

START_TEST(periodic)
{
    runtime_timers_t timers = {.count = 0};
    async_event_t ev[4];
    uint64_t id, distant;

    ck_assert_int_eq(runtime_timer_add(&timers, 100, 10, &ev, &id), 0);
    ck_assert_int_eq(runtime_timer_take(&timers, 99, ev, 4), 0);
    ck_assert_int_eq(runtime_timer_take(&timers, 100, ev, 4), 1);
    ck_assert_uint_eq(ev[0].data, 1);
    ck_assert_int_eq(runtime_timer_take(&timers, 139, ev, 4), 1);
    ck_assert_uint_eq(ev[0].data, 3); /* 110, 120, 130 */
    ck_assert_uint_eq(runtime_timer_first(&timers), 140);
    ck_assert_int_eq(runtime_timer_take(&timers, 140, ev, 4), 1);
    ck_assert_uint_eq(ev[0].data, 1);
    ck_assert_int_eq(runtime_timer_cancel(&timers, id), 0);
    ck_assert_int_eq(runtime_timer_cancel(&timers, 0), ENOENT);
    /* Far away never wraps. */
    ck_assert_int_eq(runtime_timer_add(&timers, UINT64_MAX - 1, UINT64_MAX - 1, NULL, &distant), 0);
    ck_assert_int_eq(runtime_timer_add(&timers, 5, UINT64_MAX - 1, NULL, &id), 0);
    ck_assert_int_eq(runtime_timer_take(&timers, 5, ev, 4), 1);
    ck_assert_uint_eq(runtime_timer_first(&timers), UINT64_MAX - 1);
    runtime_timer_close(&timers);
}
END_TEST

/* The room for periods comes with the first one; a slot whose uses are used up rests. */
START_TEST(slots)
{
    runtime_timers_t timers = {.count = 0};
    uint64_t id, last = 0, other;
    async_event_t ev[128];

    for (uint64_t i = 1; i <= 100; i++)
        ck_assert_int_eq(runtime_timer_add(&timers, i, i == 20 ? 1000 : 0, NULL, &id), 0);
    ck_assert_int_eq(runtime_timer_take(&timers, 100, ev, 128), 100);
    ck_assert_int_eq(runtime_timer_take(&timers, 1019, ev, 128), 0);
    ck_assert_int_eq(runtime_timer_take(&timers, 1020, ev, 128), 1);
    ck_assert_int_eq(runtime_timer_cancel(&timers, id), ENOENT);
    ck_assert_int_eq(runtime_timer_add(&timers, 3000, 0, NULL, &id), 0);
    ck_assert_int_eq(runtime_timer_cancel(&timers, id ^ (uint64_t)1 << 32), ENOENT);
    ck_assert_int_eq(runtime_timer_cancel(&timers, id), 0);
    timers.slots[(uint32_t)id].uses = UINT32_MAX - 1;
    ck_assert_int_eq(runtime_timer_add(&timers, 3000, 0, NULL, &last), 0);
    ck_assert_uint_eq((uint32_t)last, (uint32_t)id);
    ck_assert_int_eq(runtime_timer_cancel(&timers, last), 0);
    ck_assert_int_eq(runtime_timer_add(&timers, 4000, 0, NULL, &other), 0);
    ck_assert_uint_ne((uint32_t)other, (uint32_t)id);
    ck_assert_int_eq(runtime_timer_cancel(&timers, last), ENOENT);
    ck_assert_int_eq(runtime_timer_cancel(&timers, id), ENOENT);
    ck_assert_uint_eq(runtime_timer_count(&timers), 2);
    runtime_timer_close(&timers);
}
END_TEST

START_TEST(million)
{
    const size_t count = tl_scaled(1000000);
    runtime_timers_t timers = {.count = 0};
    uint64_t *ids = port_alloc(count * sizeof(*ids)), last = 0;
    async_event_t ev[64];
    size_t taken = 0, wrong = 0;
    int n;

    ck_assert_ptr_nonnull(ids);
    srand(2);
    for (size_t i = 0; i < count; i++)
        wrong += runtime_timer_add(&timers, (uint64_t)rand() + 1, 0, NULL, &ids[i]) != 0;
    for (size_t i = 0; i < count; i += 2)
        wrong += runtime_timer_cancel(&timers, ids[i]) != 0;
    do {
        wrong += timers.count != 0 && runtime_timer_first(&timers) < last;
        if (timers.count != 0)
            last = runtime_timer_first(&timers);
        n = runtime_timer_take(&timers, last, ev, 64);
        taken += (size_t)n;
    } while (n > 0);
    ck_assert_uint_eq(wrong, 0);
    ck_assert_uint_eq(taken, count / 2);
    runtime_timer_close(&timers);
    port_free(ids);
}
END_TEST

static void add_cases(Suite *suite)
{
    TCase *tcase = tl_case(suite, "timers");

    tcase_add_test(tcase, against_model);
    tcase_add_test(tcase, periodic);
    tcase_add_test(tcase, slots);
    tcase_add_test(tcase, million);
}

int main(void)
{
    return tl_main("runtime_timer_core", add_cases);
}

/* SPDX-License-Identifier: MIT */
/* The line splitter, without a terminal: every division of the input into reads. */
#include "console/console_lines.h"
#include "port/port_memory.h"
#include "testcheck.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What came out: each message as text, its NUL checked and written as '|'. */
typedef struct output {
    char text[8192];
    size_t size;
} output_t;

static void put(output_t *out, const char *text, size_t size)
{
    ck_assert_uint_le(out->size + size, sizeof(out->text) - 1);
    memcpy(out->text + out->size, text, size);
    out->size += size;
    out->text[out->size] = '\0';
}

static void put_message(output_t *out, const console_lines_t *lines, size_t size)
{
    ck_assert_uint_ge(size, 2);
    ck_assert_uint_le(size, lines->limit + 1);
    ck_assert_int_eq(lines->text[size - 1], '\0');
    put(out, lines->text, size - 1);
    put(out, "|", 1);
}

/* One read; it lies in memory of its own size, so that a look beyond it is found. */
static void feed(console_lines_t *lines, output_t *out, const char *input, size_t size, bool keys)
{
    char *copy = malloc(size);
    const char *next = copy;
    size_t left = size, message;

    ck_assert_ptr_nonnull(copy);
    memcpy(copy, input, size);
    while ((message = console_lines_next(lines, &next, &left, keys)) != 0)
        put_message(out, lines, message);
    ck_assert_uint_eq(left, 0);
    ck_assert_ptr_eq(next, copy + size);
    free(copy);
}

static void finish(console_lines_t *lines, output_t *out)
{
    size_t message = console_lines_finish(lines);

    if (message != 0)
        put_message(out, lines, message);
    console_lines_deinit(lines);
}

/* Feeds input in reads that end at the two places. */
static void split(output_t *out, const char *input, size_t size, size_t max, size_t first,
                  size_t second)
{
    console_lines_t lines;

    out->size = 0;
    out->text[0] = '\0';
    ck_assert_int_eq(console_lines_init(&lines, max), 0);
    if (first > 0)
        feed(&lines, out, input, first, false);
    if (second > first)
        feed(&lines, out, input + first, second - first, false);
    if (size > second)
        feed(&lines, out, input + second, size - second, false);
    finish(&lines, out);
}

static void check_split(const char *input, size_t size, size_t max, const char *expected,
                        size_t expected_size)
{
    output_t out;

    for (size_t first = 0; first <= size; first++) {
        for (size_t second = first; second <= size; second++) {
            split(&out, input, size, max, first, second);
            ck_assert_msg(out.size == expected_size && memcmp(out.text, expected, out.size) == 0,
                          "\"%s\" max %zu at %zu, %zu: \"%s\", not \"%s\"", input, max, first,
                          second, out.text, expected);
        }
    }
}

/* literals, which may hold NULs */
#define CHECK(input, max, expected) \
    check_split(input, sizeof(input) - 1, max, expected, sizeof(expected) - 1)

START_TEST(whole_lines)
{
    CHECK("", 10, "");
    CHECK("\n", 10, "\n|");
    CHECK("\n\n\n", 10, "\n|\n|\n|");
    CHECK("one\ntwo\n\nthree\n", 10, "one\n|two\n|\n|three\n|");
    CHECK("one\ntwo", 10, "one\n|two|");
    CHECK("a\0b\n\0\n\0", 10, "a\0b\n|\0\n|\0|");
}
END_TEST

START_TEST(carriage_returns)
{
    CHECK("one\r\ntwo\r\n", 10, "one\n|two\n|");
    CHECK("\r\n\r\n", 10, "\n|\n|");
    CHECK("a\rb\n", 10, "a\rb\n|");
    CHECK("a\r\r\nb\r", 10, "a\r\n|b\r|");
    CHECK("\r", 10, "\r|");
    CHECK("\r\r\r\n", 10, "\r\r\n|");
    CHECK("ab\r\n", 4, "ab\n|");
    CHECK("abc\r\n", 4, "abc|\n|");
    CHECK("ab\rcd\n", 4, "ab\r|cd\n|");
    CHECK("ab\r", 4, "ab\r|");
    CHECK("\r\r\n", 2, "\r|\n|");
}
END_TEST

START_TEST(long_lines)
{
    CHECK("abc\n", 5, "abc\n|");
    CHECK("abcd\n", 5, "abcd|\n|");
    CHECK("abcdefghij\nk\n", 5, "abcd|efgh|ij\n|k\n|");
    CHECK("abcd", 5, "abcd|");
    CHECK("abcde", 5, "abcd|e|");
    CHECK("ab\n\nc", 2, "a|b|\n|\n|c|");
}
END_TEST

START_TEST(characters_stay_whole)
{
    CHECK("\xc3\xa4\xc3\xb6\xc3\xbc\n", 4, "\xc3\xa4|\xc3\xb6|\xc3\xbc\n|");
    CHECK("a\xf0\x9f\x98\x80z\n", 6, "a\xf0\x9f\x98\x80|z\n|");
    CHECK("ab\xf0\x9f\x98\x80\xf0\x9f\x98\x80\n", 6, "ab|\xf0\x9f\x98\x80|\xf0\x9f\x98\x80\n|");
    CHECK("\xe2\x82\xac\xe2\x82\xac\n", 5, "\xe2\x82\xac|\xe2\x82\xac\n|");
    /* the character alone is too long */
    CHECK("\xf0\x9f\x98\x80\n", 3, "\xf0\x9f|\x98\x80|\n|");
    /* not UTF-8: nothing is waited for, changed or lost */
    CHECK("\xff\xfe\x80\x80\x80\x80\n", 4, "\xff\xfe\x80|\x80\x80\x80|\n|");
    CHECK("abc\xc3", 5, "abc|\xc3|");
    CHECK("abc\xc3\n", 5, "abc|\xc3\n|");
    CHECK("a\xf0\x9f\x98\n", 5, "a|\xf0\x9f\x98\n|");
}
END_TEST

/* Random bytes of a few kinds: nothing is lost, whatever the division and the size. */
START_TEST(nothing_is_lost)
{
    static const char kinds[] = "ab\r\n\xc3\xa4\xf0\x9f\x98";
    uint32_t state = 1;

    for (int round = 0; round < 3000; round++) {
        char input[40], expected[80];
        size_t size, want = 0, max;
        output_t out, joined = {.size = 0};

        state = state * 1664525u + 1013904223u;
        size = (state >> 16) % sizeof(input);
        max = 2 + (state >> 8) % 12;
        for (size_t i = 0; i < size; i++) {
            state = state * 1664525u + 1013904223u;
            input[i] = kinds[(state >> 16) % (sizeof(kinds) - 1)];
        }
        for (size_t i = 0; i < size; i++) {
            if (input[i] != '\r' || i + 1 == size || input[i + 1] != '\n')
                expected[want++] = input[i];
        }
        split(&out, input, size, max, size / 3, size / 2);
        for (size_t i = 0; i < out.size; i++) {
            if (out.text[i] != '|')
                put(&joined, out.text + i, 1);
            else if (i + 1 < out.size && out.text[i - 1] != '\n')
                ck_assert_uint_ge(i + 1, max > 5 ? max - 4 : 1);
        }
        ck_assert_uint_eq(joined.size, want);
        ck_assert_int_eq(memcmp(joined.text, expected, want), 0);
    }
}
END_TEST

static void check_keys(const char *reads[], const char *expected, size_t max)
{
    console_lines_t lines;
    output_t out = {.size = 0};

    ck_assert_int_eq(console_lines_init(&lines, max), 0);
    for (size_t i = 0; reads[i] != NULL; i++)
        feed(&lines, &out, reads[i], strlen(reads[i]), true);
    finish(&lines, &out);
    ck_assert_str_eq(out.text, expected);
}

#define CHECK_KEYS(expected, max, ...) \
    check_keys((const char *[]){__VA_ARGS__, NULL}, expected, max)

START_TEST(keys)
{
    CHECK_KEYS("a|b|c|", 10, "a", "bc");
    CHECK_KEYS("a|\n|b|\n|\r|", 10, "a\n", "b\r\n", "\r");
    CHECK_KEYS("\xc3\xa4|x|\xf0\x9f\x98\x80|y|", 10, "\xc3\xa4x\xf0\x9f\x98\x80y");
    CHECK_KEYS("\xf0\x9f\x98\x80|y|", 10, "\xf0", "\x9f\x98", "\x80y");
    CHECK_KEYS("\xc3|a|\xff|\x80|", 10,
               "\xc3"
               "a\xff\x80");
    CHECK_KEYS("\x1b[A|\x1b[1;5C|\x1bOP|\x1b[[A|\x1b[3~|x|", 10,
               "\x1b[A\x1b[1;5C\x1bOP\x1b[[A\x1b[3~x");
    CHECK_KEYS("\x1b|\x1b|[|A|", 10, "\x1b", "\x1b", "[A");
    CHECK_KEYS("\x1b|\x1bx|\x1b\xc3\xa4|\x1b|\n|", 10, "\x1b\x1bx\x1b\xc3\xa4", "\x1b\n");
    CHECK_KEYS("\x04|\x7f|", 10, "\x04\x7f");
    CHECK_KEYS("\xf0\x9f|\x98|\x80|z|", 3, "\xf0\x9f\x98\x80z");
    CHECK_KEYS("a|b|\n|", 2, "ab\n");
}
END_TEST

/* From lines to keys: what was typed of the line comes out first. */
START_TEST(keys_after_a_part_of_a_line)
{
    console_lines_t lines;
    output_t out = {.size = 0};

    ck_assert_int_eq(console_lines_init(&lines, 10), 0);
    feed(&lines, &out, "abc", 3, false);
    feed(&lines, &out, "d", 1, true);
    feed(&lines, &out, "e\r", 2, false);
    feed(&lines, &out, "f", 1, true);
    feed(&lines, &out, "g\r", 2, false);
    feed(&lines, &out, "\n", 1, true);
    finish(&lines, &out);
    ck_assert_str_eq(out.text, "abc|d|e\r|f|g|\n|");
}
END_TEST

/* save() gives back exactly the input that no delivered message holds. */
START_TEST(rest)
{
    static const char input[] = "one\r\nabcd\xc3\xa4\r\r\nxyz\r";
    const size_t size = sizeof(input) - 1;

    for (size_t max = 2; max < 12; max++) {
        for (size_t stop = 0; stop < 12; stop++) {
            console_lines_t lines, again;
            output_t whole, out = {.size = 0};
            const char *next = input;
            char saved[64];
            size_t left = size, message = 0, count = 0, held;

            split(&whole, input, size, max, 0, 0);
            ck_assert_int_eq(console_lines_init(&lines, max), 0);
            while ((message = console_lines_next(&lines, &next, &left, false)) != 0 &&
                   count++ < stop)
                put_message(&out, &lines, message);
            held = console_lines_rest(&lines);
            ck_assert_uint_le(held + left, size);
            console_lines_save(&lines, saved);
            ck_assert_mem_eq(saved, input + size - left - held, held);
            console_lines_deinit(&lines);

            ck_assert_int_eq(console_lines_init(&again, max), 0);
            if (held > 0)
                feed(&again, &out, saved, held, false);
            if (left > 0)
                feed(&again, &out, next, left, false);
            finish(&again, &out);
            ck_assert_str_eq(out.text, whole.text);
        }
    }
}
END_TEST

/* The CR of a key that came as CR and LF is given back, too. */
START_TEST(rest_of_keys)
{
    const char *next = "a\r\nb";
    console_lines_t lines;
    size_t left = 4;
    char saved[8];

    ck_assert_int_eq(console_lines_init(&lines, 8), 0);
    ck_assert_uint_eq(console_lines_next(&lines, &next, &left, true), 2);
    ck_assert_uint_eq(console_lines_next(&lines, &next, &left, true), 2);
    ck_assert_str_eq(lines.text, "\n");
    ck_assert_uint_eq(console_lines_rest(&lines) + left, 3);
    console_lines_save(&lines, saved);
    ck_assert_mem_eq(saved, "\r\n", 2);
    console_lines_deinit(&lines);
}
END_TEST

static bool refuse(size_t size)
{
    (void)size;
    return false;
}

START_TEST(no_memory)
{
    console_lines_t lines;

    port_memory_set_hook(refuse);
    ck_assert_int_eq(console_lines_init(&lines, 10), ENOMEM);
    console_lines_deinit(&lines);
    port_memory_set_hook(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("console_lines");
    TCase *tcase = tcase_create("lines");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, whole_lines);
    tcase_add_test(tcase, carriage_returns);
    tcase_add_test(tcase, long_lines);
    tcase_add_test(tcase, characters_stay_whole);
    tcase_add_test(tcase, nothing_is_lost);
    tcase_add_test(tcase, keys);
    tcase_add_test(tcase, keys_after_a_part_of_a_line);
    tcase_add_test(tcase, rest);
    tcase_add_test(tcase, rest_of_keys);
    tcase_add_test(tcase, no_memory);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}

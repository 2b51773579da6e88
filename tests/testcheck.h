/* SPDX-License-Identifier: MIT */
/*
 * testcheck.h - Check, without a note for each assertion that holds
 *
 * Check sends its parent process a message for each of them, so that it can say after which one a
 * test crashed.  Tests that assert in loops spend most of their time on that, three quarters of
 * the whole suite's under a sanitizer, which says better where a crash was.
 */
#ifndef TESTCHECK_H
#define TESTCHECK_H

#include <check.h>

#undef ck_assert
#undef ck_assert_msg
#define ck_assert(expr) ck_assert_msg(expr, "Assertion '%s' failed", #expr)
/* The failure does not return, by exit() or longjmp(): not every platform's check.h says so. */
#define ck_assert_msg(expr, ...) \
    ((expr) ? (void)0 : (ck_abort_msg(__VA_ARGS__), __builtin_unreachable()))

#endif /* TESTCHECK_H */

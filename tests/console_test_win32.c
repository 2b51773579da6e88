/* SPDX-License-Identifier: MIT */
#include "console_test.h"

bool ct_is_slow(void)
{
    return true;
}

long ct_reader_switches(void)
{
    return 0;
}

void ct_add_suites(SRunner *runner)
{
    (void)runner;
}

#!/bin/sh
# SPDX-License-Identifier: MIT
# man-synopsis.sh - what a page's SYNOPSIS shows is what the headers declare
#
# The text of each SYNOPSIS is compiled: its #include must suffice, and its prototype must agree with
# the header's.  The prototype must also be the same text, parameter names included.
. "${srcdir:-.}/tests/man-common.sh"
CC=${CC:-cc}
work=man-synopsis.tmp
rm -rf $work
mkdir $work
trap 'rm -rf $work' 0

declarations >$work/declarations
for page in $(pages); do
    name=$(basename "$page")
    function=${name%.*}
    section "$page" SYNOPSIS | plain_text >$work/synopsis.c
    grep -q '^#include <asyncrt' $work/synopsis.c || fail "$name: no #include"
    # shellcheck disable=SC2086
    $CC -std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Wpedantic -Werror \
        -I"$srcdir"/include -fsyntax-only $work/synopsis.c || fail "$name: SYNOPSIS does not compile"

    declared=$(awk -F '\t' -v name="$function" '$1 == name { print $3 }' $work/declarations)
    test -n "$declared" || continue
    shown=$(sed '/^#include/d' $work/synopsis.c | tr -s ' \n' '  ' |
        sed 's/^ *//; s/ *$//; s/( */(/')
    test "$shown" = "$declared" || fail "$name shows '$shown', the header '$declared'"
done
finish "$(wc -l <$work/declarations) prototypes"

#!/bin/sh
# SPDX-License-Identifier: MIT
# man-examples.sh - the EXAMPLES of every page are compiled without a warning, and programs are run
#
# An example with a main() is a program: it is built as a user would build it, run with an empty
# standard input, and must exit with 0; one that runs until it is told is told by SIGTERM.  What has
# no main() is compiled as the body of a function, and so is the code in a page's other sections, with
# the names that it takes for granted.
. "${srcdir:-.}/tests/man-common.sh"
CC=${CC:-cc}
work=man-examples.tmp
rm -rf $work
mkdir $work
trap 'rm -rf $work' 0

# Runs a command for at most $1 seconds, then asks it to end.
limited() {
    seconds=$1
    shift
    "$@" </dev/null >$work/output 2>&1 &
    program=$!
    (
        trap 'kill $sleeper 2>/dev/null; exit' TERM
        sleep "$seconds" & sleeper=$!
        wait $sleeper
        kill -TERM $program 2>/dev/null
    ) 2>/dev/null &
    watch=$!
    wait $program
    status=$?
    kill -TERM $watch 2>/dev/null
    wait $watch 2>/dev/null
    return $status
}

# The blocks between .EX and .EE, each in a file of its own: $1.1.c, $1.2.c, ...
extract() {
    section "$2" EXAMPLES | awk -v base="$1" '
        /^\.EX/ { inside = 1; n++; next }
        /^\.EE/ { inside = 0; close(base "." n ".c"); next }
        inside { print > (base "." n ".c") }'
    for file in "$1".*.c; do
        test -f "$file" || continue
        plain_text <"$file" >"$file.tmp" && mv "$file.tmp" "$file"
    done
}

# The blocks of the other sections that hold statements: $1.s1.c, $1.s2.c, ...
extract_snippets() {
    awk -v base="$1" '
        /^\.SH / { examples = $2 == "EXAMPLES" }
        /^\.EX/ && !examples { inside = 1; text = ""; code = 0; next }
        /^\.EE/ {
            if (inside && code) { n++; printf "%s", text > (base ".s" n ".c") }
            inside = 0
            next
        }
        inside { text = text $0 "\n"; if (/;$/) code = 1 }' "$2"
    for file in "$1".s*.c; do
        test -f "$file" || continue
        {
            echo '#include <asyncrt.h>'
            echo '#include <stdio.h>'
            echo 'void handle(), on_signal(), on_timer(), on_ready(), on_transfer(), on_key();'
            echo 'void snippet(async_runtime_t *runtime, async_event_t *events, int i, int n, int done);'
            echo 'void snippet(async_runtime_t *runtime, async_event_t *events, int i, int n, int done) {'
            echo '{'
            plain_text <"$file"
            echo '}}'
        } >"$file.tmp" && mv "$file.tmp" "$file"
    done
}

programs=0
snippets=0
for page in $(pages); do
    name=$(basename "$page")
    extract "$work/$name" "$page"
    test -f "$work/$name.1.c" || fail "$name: no example"
    extract_snippets "$work/$name" "$page"
    for source in "$work/$name".s*.c; do
        test -f "$source" || continue
        snippets=$((snippets + 1))
        # shellcheck disable=SC2086
        $CC $CFLAGS -std=c11 -Wno-strict-prototypes -I"$srcdir"/include -fsyntax-only "$source" ||
            fail "$name: the code in the description does not compile"
        rm "$source"
    done
    for source in "$work/$name".*.c; do
        test -f "$source" || continue
        if grep -q '^int main(' "$source"; then
            programs=$((programs + 1))
            if ! build_program "$source" "$work/program"; then
                fail "$name: the example does not compile"
                continue
            fi
            limit=20
            grep -q SIGTERM "$source" && limit=2
            limited $limit "$work/program" ||
                fail "$name: the example exits with $?: $(head -5 $work/output)"
        else
            {
                echo '#include <asyncrt.h>'
                echo 'void example(void); void example(void) {'
                cat "$source"
                echo '}'
            } >"$work/fragment.c"
            # shellcheck disable=SC2086
            $CC $CFLAGS -Wall -Wextra -Werror -I"$srcdir"/include -c -o "$work/fragment.o" \
                "$work/fragment.c" || fail "$name: the example does not compile"
        fi
    done
done
test "$snippets" -gt 0 || fail "no code was found in the descriptions"
finish "$programs programs, $snippets snippets"

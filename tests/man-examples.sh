#!/bin/sh
# SPDX-License-Identifier: MIT
# man-examples.sh - the EXAMPLES of every page are compiled without a warning, and programs are run
#
# An example with a main() is a program: it is built as a user would build it, run with an empty
# standard input, and must exit with 0; one that runs until it is told is told by SIGTERM.  What has
# no main() is compiled as the body of a function.
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

# The library of the build tree: the shared one straight, a static one with all that it needs.
build() {
    flags="-Wall -Wextra -Werror -I$srcdir/include"
    if test -f .libs/libasyncrt.so; then
        # shellcheck disable=SC2086
        $CC $CFLAGS $flags -o "$2" "$1" -L.libs -lasyncrt -Wl,-rpath,"$PWD/.libs"
    else
        # shellcheck disable=SC2086
        $LIBTOOL --silent --tag=CC --mode=link $CC $CFLAGS $flags -o "$2" "$1" libasyncrt.la
    fi
}

programs=0
for page in $(pages); do
    name=$(basename "$page")
    extract "$work/$name" "$page"
    test -f "$work/$name.1.c" || fail "$name: no example"
    for source in "$work/$name".*.c; do
        test -f "$source" || continue
        if grep -q '^int main(' "$source"; then
            programs=$((programs + 1))
            if ! build "$source" "$work/program"; then
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
finish "$programs programs"

#!/bin/sh
# SPDX-License-Identifier: MIT
# man-errors.sh - ERRORS of each page and the header's comment name the same errno values
#
# The comment's list begins at "Returns" (or "As"); "as async_x()" takes the list of async_x over,
# "in place of" leaves one out of it.
# EPERM in the child of a fork is stated once for all functions of a runtime and what is built on it.
. "${srcdir:-.}/tests/man-common.sh"
work=man-errors.tmp
rm -rf $work
mkdir $work
trap 'rm -rf $work' 0

# name errno, one pair a line; name =other for a list that is taken over
for header in "$srcdir"/include/asyncrt.h "$srcdir"/include/asyncrt/*.h; do
    awk '
        /^\/\*/ { list = ""; inside = 0; comment = 1 }
        comment && /^ \* (Returns|As) / { inside = 1 }
        comment && inside { list = list " " $0 }
        /\*\/$/ { comment = 0 }
        /^ASYNC_API / {
            name = $0
            sub(/\(.*/, "", name)
            sub(/.*[ *]/, "", name)
            text = list
            while (match(text, /[Aa]s async_[a-z_]*\(\)/)) {
                other = substr(text, RSTART + 3, RLENGTH - 5)
                print name, "=" other
                text = substr(text, RSTART + RLENGTH)
            }
            while (match(list, /in place of E[A-Z0-9]+/)) {
                print name, "-" substr(list, RSTART + 12, RLENGTH - 12)
                list = substr(list, 1, RSTART - 1) substr(list, RSTART + RLENGTH)
            }
            n = split(list, words, /[^A-Z0-9_]+/)
            for (i = 1; i <= n; i++)
                if (words[i] ~ /^E[A-Z0-9]+$/) print name, words[i]
            list = ""
        }' "$header"
done | sort -u >$work/raw
awk '
    $2 ~ /^=/ { from[$1] = substr($2, 2); next }
    $2 ~ /^-/ { without[$1] = substr($2, 2); next }
    { has[$1] = has[$1] " " $2 }
    END {
        for (name in has) print name, has[name]
        for (name in from) {
            n = split(has[from[name]], codes, " ")
            for (i = 1; i <= n; i++)
                if (codes[i] != without[name]) print name, codes[i]
        }
    }' $work/raw >$work/header

for page in "$srcdir"/man/man3/*.3; do
    name=$(basename "$page" .3)
    declarations | cut -f1 | grep -qx "$name" || continue
    section "$page" ERRORS | sed -n 's/^\.B \(E[A-Z0-9]*\)$/\1/p' >$work/listed
    sort -c $work/listed 2>/dev/null || fail "$name: ERRORS are not in alphabetical order"
    sort -u $work/listed >$work/page
    section "$page" ERRORS | tr '\n' ' ' | sed 's/\.TP/\
/g' | grep -q 'EINVAL.*, or ' && fail "$name: an entry of ERRORS has several causes"
    awk -v name="$name" '$1 == name { for (i = 2; i <= NF; i++) print $i }' $work/header |
        sort -u >$work/comment
    for code in $(comm -13 $work/page $work/comment); do
        fail "$name: the header names $code, the page does not"
    done
    for code in $(comm -23 $work/page $work/comment); do
        case $code:$name in
        EPERM:async_runtime_* | EPERM:async_worker_*) ;;
        EPERM:async_pool_* | EPERM:async_console_* | EPERM:async_resolver_*) ;;
        *) fail "$name: the page names $code, the header does not" ;;
        esac
    done
done
finish "$(cut -d' ' -f1 $work/header | sort -u | wc -l) functions that can fail"

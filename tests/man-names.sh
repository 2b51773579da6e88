#!/bin/sh
# SPDX-License-Identifier: MIT
# man-names.sh - every public function has a page of its own, and every page is installed
. "${srcdir:-.}/tests/man-common.sh"

overviews="async_queue async_worker async_runtime async_pool async_console async_resolver"

declarations | cut -f1 | sort >man-names.declared.tmp
for page in "$srcdir"/man/man3/*.3; do
    basename "$page" .3
done | sort >man-names.pages.tmp
sed -n 's/^ *\(async[a-z0-9_]*\);.*/\1/p' "$srcdir"/src/libasyncrt.map | sort >man-names.map.tmp
trap 'rm -f man-names.*.tmp' 0

test -s man-names.declared.tmp || fail "no declaration was found in the headers"

for name in $(cat man-names.declared.tmp); do
    grep -qx "$name" man-names.pages.tmp || fail "$name has no page"
    grep -qx "$name" man-names.map.tmp || fail "$name is declared but not exported"
done
for name in $(cat man-names.map.tmp); do
    grep -qx "$name" man-names.declared.tmp || fail "$name is exported but not declared"
done
for name in $(cat man-names.pages.tmp); do
    case " $overviews " in
    *" $name "*) continue ;;
    esac
    grep -qx "$name" man-names.declared.tmp || fail "$name.3 describes no function"
done
for name in $overviews; do
    grep -qx "$name" man-names.pages.tmp || fail "$name has no overview"
done

for page in $(pages); do
    name=$(basename "$page")
    grep -q "man/man[37]/$name\( \\\\\)*\$" "$srcdir"/man/Makefile.inc ||
        fail "$name is not in man/Makefile.inc"
    title=$(sed -n 's/^\.TH \([A-Z0-9_]*\) \([37]\) .*/\1.\2/p' "$page" | tr 'A-Z' 'a-z')
    test "$title" = "$name" || fail "$name calls itself $title"
    section "$page" NAME | grep -q "^${name%.*} \\\\- " || fail "$name: NAME names something else"
done

# One version everywhere.
version=$(sed -n 's/^#define ASYNCRT_VERSION_STRING "\(.*\)"/\1/p' "$srcdir"/include/asyncrt.h)
test -n "$version" || fail "asyncrt.h has no version"
for page in $(pages); do
    grep -q "^\.TH [^ ]* [37] [0-9-]* \"libasyncrt $version\" libasyncrt\$" "$page" ||
        fail "$page is not of version $version"
done
for file in NEWS ChangeLog; do
    test "$(head -n 1 "$srcdir/$file")" = "libasyncrt $version" || fail "$file is not of version $version"
done
grep -q "^AC_INIT(\[libasyncrt\], \[$version\])" "$srcdir"/configure.ac ||
    fail "configure.ac is not of version $version"

# A page that is referred to exists.
for page in $(pages); do
    for name in $(sed -n 's/^\.R*BR* [^ ]* *\(async[a-z_]*\) (\([37]\)).*/\1.\2/p
                          s/^\.BR \(async[a-z_]*\) (\([37]\)).*/\1.\2/p
                          s/.*\\fB\(async[a-z_]*\)\\fP(\([37]\)).*/\1.\2/p' "$page" | sort -u); do
        test -f "$srcdir/man/man${name##*.}/$name" || fail "$page refers to $name"
    done
done
# Every system call that a function's table names is in the list of asyncrt(7).
section "$srcdir"/man/man7/asyncrt.7 DESCRIPTION | sed -n '/^\.SS System calls/,/^\.SS Versions/p' |
    tr -cs 'a-z0-9_' '\n' | sort -u >man-names.calls.tmp
for page in "$srcdir"/man/man3/*.3; do
    for call in $(sed -n '/^System calls	/,/^\.TE/p' "$page" | tr ' ' '\n' |
        sed -n 's/.*\\fB\([a-z0-9_]*\)\\fP(2).*/\1/p' | sort -u); do
        grep -qx "$call" man-names.calls.tmp || fail "$page: $call is not listed in asyncrt(7)"
    done
done
finish "$(wc -l <man-names.declared.tmp) functions, $(pages | wc -l) pages"

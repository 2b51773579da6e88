# SPDX-License-Identifier: MIT
# man-common.sh - what the checks of the manual share; read by them, not run

srcdir=${srcdir:-.}
LC_ALL=C
export LC_ALL

failures=0
fail() {
    echo "FAIL: $*" >&2
    failures=$((failures + 1))
}

# A missing tool is a failure where everything must be there (CI), else the check is skipped.
need() {
    command -v "$1" >/dev/null 2>&1 && return
    if test -n "${CI:-}"; then
        echo "FAIL: $1 is not installed" >&2
        exit 1
    fi
    echo "SKIP: $1 is not installed" >&2
    exit 77
}

finish() {
    test "$failures" -eq 0 || exit 1
    echo "PASS: $*"
    exit 0
}

pages() {
    ls "$srcdir"/man/man3/*.3 "$srcdir"/man/man7/*.7
}

# The declarations of the public headers, one a line: "name<TAB>header<TAB>prototype".
declarations() {
    for header in "$srcdir"/include/asyncrt.h "$srcdir"/include/asyncrt/*.h; do
        awk -v header="${header#"$srcdir"/include/}" '
            /^#/ { next }
            !open && /^ASYNC_API / { open = 1; text = "" }
            open {
                sub(/^ASYNC_API /, "")
                text = text " " $0
                if (/;/) {
                    open = 0
                    gsub(/[ \t]+/, " ", text)
                    sub(/^ /, "", text)
                    name = text
                    sub(/\(.*/, "", name)
                    sub(/.*[ *]/, "", name)
                    print name "\t" header "\t" text
                }
            }' "$header"
    done
}

# A section of a page: its lines between .SH and the next one.
section() {
    awk -v want="$2" '
        /^\.SH / { title = substr($0, 5); gsub(/"/, "", title); inside = title == want; next }
        inside { print }' "$1"
}

# The text of request and macro lines: arguments joined, quotes and escapes resolved.
plain_text() {
    awk '
        function resolve(s) {
            gsub(/\\\(dq/, "\"", s)
            gsub(/\\\(aq/, sprintf("%c", 39), s)
            gsub(/\\\(ga/, "`", s)
            gsub(/\\\(ha/, "^", s)
            gsub(/\\\(ti/, "~", s)
            gsub(/\\-/, "-", s)
            gsub(/\\&/, "", s)
            gsub(/\\e/, "\\", s)
            return s
        }
        function join(s,    out, c, i, quoted, spaced) {
            # alternating-font macros put their arguments together, the others with a blank
            out = ""; quoted = 0; spaced = single
            for (i = 1; i <= length(s); i++) {
                c = substr(s, i, 1)
                if (c == "\"") { quoted = !quoted; continue }
                if (c == " " && !quoted) { if (spaced) out = out " "; continue }
                out = out c
            }
            return out
        }
        /^\.(B|I|BI|BR|IB|IR|RB|RI) / {
            single = /^\.(B|I) /
            sub(/^\.[A-Z]+ /, "")
            print resolve(join($0))
            next
        }
        /^\.PP/ { print ""; next }
        /^[.\047]/ { next }
        { print resolve($0) }'
}

# Builds $2 from $1 with the library of the build tree: the shared one straight, a static one with
# all that it needs.
build_program() {
    flags="-Wall -Wextra -Werror -I$srcdir/include"
    if test -f .libs/libasyncrt.so; then
        # shellcheck disable=SC2086
        $CC $CFLAGS $flags -o "$2" "$1" -L.libs -lasyncrt -Wl,-rpath,"$PWD/.libs"
    else
        # shellcheck disable=SC2086
        $LIBTOOL --silent --tag=CC --mode=link $CC $CFLAGS $flags -o "$2" "$1" libasyncrt.la
    fi
}

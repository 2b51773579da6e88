#!/bin/sh
# SPDX-License-Identifier: MIT
# man-lint.sh - mandoc and groff have nothing to say about any page, and it fits a terminal
. "${srcdir:-.}/tests/man-common.sh"
need mandoc
need groff
need tbl
need col

order="NAME LIBRARY SYNOPSIS DESCRIPTION RETURN_VALUE ERRORS ATTRIBUTES FILES ENVIRONMENT \
STANDARDS HISTORY NOTES CAVEATS EXAMPLES SEE_ALSO"

hyphen=$(printf '\342\200\220') # U+2010, what groff breaks a word with

for page in $(pages); do
    said=$(mandoc -T lint -W style "$page" 2>&1) || test -n "$said" || said="mandoc failed"
    test -z "$said" || fail "$page: $said"
    said=$(groff -man -t -Tutf8 -ww -z "$page" 2>&1) || test -n "$said" || said="groff failed"
    test -z "$said" || fail "$page: $said"

    wide=$({ mandoc -T ascii -O width=78 "$page"; groff -man -t -Tascii -rLL=78n "$page"; } |
        col -bx | awk 'length($0) > 79')
    test -z "$wide" || fail "$page: wider than 79 columns: $wide"

    # A name that is broken at the end of a line is neither found nor copied; titles stand apart.
    text=$(groff -man -t -Tutf8 -P-cbou -rLL=78n "$page")
    broken=$(echo "$text" | grep "$hyphen")
    test -z "$broken" || fail "$page: hyphenated: $broken"
    whole=$(sed 's/^\.ad l$/&\
.pl 10000v/' "$page" | groff -man -t -Tutf8 -P-cbou -rLL=78n)
    test "$whole" = "$text" || fail "$page: the end of a paper page breaks a table"
    name=$(basename "$page" | tr 'a-z' 'A-Z' | sed 's/\.\(.\)$/(\1)/')
    echo "$text" | head -1 | grep -qx "$name  *libasyncrt  *$name" || fail "$page: the title is mangled"
    said=$(sed '/^\.EX/,/^\.EE/d' "$page" | grep '@')
    test -z "$said" || fail "$page: a place left to fill in: $said"

    wide=$(awk 'length($0) > 80 && !/^\.B/' "$page")
    test -z "$wide" || fail "$page: source lines of more than 80 bytes: $wide"

    # Sections come in one order, and every page has the ones that count.
    sections=$(sed -n 's/^\.SH //p' "$page" | tr -d '"' | tr ' ' '_')
    rest=$order
    for title in $sections; do
        case " $rest " in
        *" $title "*) rest=" ${rest#*"$title"}" ;;
        *) fail "$page: section $title is unknown or out of order" ;;
        esac
    done
    for title in NAME LIBRARY SYNOPSIS DESCRIPTION HISTORY EXAMPLES SEE_ALSO; do
        echo "$sections" | grep -qx "$title" || fail "$page: no section $title"
    done

    # What stands in an example is copied from the terminal: no typographic sign may take its place.
    said=$(section "$page" EXAMPLES | awk '
        /^\.EX/ { inside = 1; next }
        /^\.EE/ { inside = 0; next }
        inside {
            line = $0
            gsub(/\\-/, "", line)
            if (line ~ /[-\047`^~]/) print
        }')
    test -z "$said" || fail "$page: needs escapes: $said"
done
finish "$(pages | wc -l) pages"

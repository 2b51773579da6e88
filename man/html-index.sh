#!/bin/sh
# SPDX-License-Identifier: MIT
# html-index.sh MANDIR PAGE... - the list of the pages: the tour, the overviews, the functions
set -e
man=$1
shift
rows() {
    for page in "$@"; do
        name=$(basename "$page")
        case $name in
        *.7) kind=tour ;;
        async_queue.3 | async_worker.3 | async_runtime.3) kind=overview ;;
        async_pool.3 | async_console.3 | async_resolver.3) kind=overview ;;
        *) kind=function ;;
        esac
        test $kind = "$want" || continue
        path=man${name##*.}/$name
        purpose=$(sed -n '/^\.SH NAME/{n;s/^[^ ]* \\- //p;q;}' "$man/$path")
        printf '<tr><td><a href="%s.html">%s(%s)</a></td><td>%s</td></tr>\n' \
            "$path" "${name%.*}" "${name##*.}" "$purpose"
    done
}
cat <<'END'
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1.0"/>
<title>libasyncrt</title>
<link rel="stylesheet" href="style.css"/>
</head>
<body>
<h1>libasyncrt</h1>
<table>
END
for want in tour overview function; do
    rows "$@"
done
printf '</table>\n</body>\n</html>\n'

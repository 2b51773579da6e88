#!/bin/sh
# SPDX-License-Identifier: MIT
# html-index.sh MANDIR PAGE... - the list of the pages: the tour, then each part and its functions
set -e
man=$1
shift

# row NAME SECTION
row() {
    purpose=$(sed -n '/^\.SH NAME/{n;s/^[^ ]* \\- //p;q;}' "$man/man$2/$1.$2")
    printf '<tr><td><a href="man%s/%s.%s.html">%s(%s)</a></td><td>%s</td></tr>\n' \
        "$2" "$1" "$2" "$1" "$2" "$purpose"
}

# part TITLE NAME...: the pages of section 3 whose names begin so
part() {
    printf '<h2>%s</h2>\n<table>\n' "$1"
    shift
    for name in "$@"; do
        for page in $pages; do
            case $(basename "$page") in
            "$name.3" | "${name}_"*.3) row "$(basename "$page" .3)" 3 ;;
            esac
        done
    done
    printf '</table>\n'
}

pages=$*
cat <<'END'
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1.0"/>
<title>libasyncrt</title>
<link rel="stylesheet" href="style.css"/>
</head>
<body class="index">
<h1>libasyncrt</h1>
<table>
END
row asyncrt 7
printf '</table>\n'
part 'The event loop' async_runtime
part 'Message queues' async_queue
part 'Managed threads' async_worker
part 'Short blocking jobs' async_pool
part 'Lines from standard input' async_console
part 'Names and addresses' async_resolver
part 'The library' async_last_error asyncrt_version
printf '</body>\n</html>\n'

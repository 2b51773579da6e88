#!/bin/sh
# SPDX-License-Identifier: MIT
# html-page.sh PAGE - a page as HTML, with links to the other pages of the library and to their list
#
# mandoc makes links of what mdoc(7) pages refer to; for man(7) pages they are put in here.  In code it
# puts an empty line before each indented one, unless an escape that is nothing stands before it, and
# forgets the empty lines that are there: a mark keeps them.
set -e
html=$(awk '
    /^\.EX/ { code = 1 }
    /^\.EE/ { code = 0 }
    code && /^ / { $0 = "\\&" $0 }
    code && /^$/ { $0 = "@empty@" }
    { print }' "$1" | mandoc -T html -O style=../style.css)
printf '%s\n' "$html" | sed '
    s|<b>\(async[a-z_]*\)</b>(\([37]\))|<a href="../man\2/\1.\2.html">\1(\2)</a>|g
    s|^@empty@$||
    s|<td class="head-vol">\(.*\)</td>|<td class="head-vol"><a href="../index.html">\1</a></td>|
    /^<p class="Pp"><\/p>$/d'

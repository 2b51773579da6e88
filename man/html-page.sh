#!/bin/sh
# SPDX-License-Identifier: MIT
# html-page.sh PAGE - a page as HTML, with links to the other pages of the library
#
# mandoc makes links of what mdoc(7) pages refer to; for man(7) pages they are put in here.
set -e
html=$(mandoc -T html -O style=../style.css "$1")
printf '%s\n' "$html" |
    sed 's|<b>\(async[a-z_]*\)</b>(\([37]\))|<a href="../man\2/\1.\2.html">\1(\2)</a>|g'

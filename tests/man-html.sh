#!/bin/sh
# SPDX-License-Identifier: MIT
# man-html.sh - in the manual as HTML each link leads somewhere, each page has a link, and code is whole
. "${srcdir:-.}/tests/man-common.sh"
need mandoc
work=man-html.tmp
rm -rf $work
mkdir -p $work/man3 $work/man7
trap 'rm -rf $work' 0
cp "$srcdir"/man/style.css $work

# shellcheck disable=SC2046
sh "$srcdir"/man/html-index.sh "$srcdir"/man $(pages) >$work/index.html || fail "no index"
for page in $(pages); do
    path=man${page##*.}/$(basename "$page")
    html=$work/$path.html
    sh "$srcdir"/man/html-page.sh "$page" >"$html" || fail "$path is not rendered"
    grep -q '</html>' "$html" || fail "$path is not rendered to its end"
    grep -q "href=\"$path.html\"" $work/index.html || fail "$path is not in the index"

    # What names a page of the library is a link to it.
    said=$(grep -n '<b>async[a-z_]*</b>([37])' "$html")
    test -z "$said" || fail "$path: no link: $said"

    # Code has the lines that it has in the page.
    sed -n '/^\.EX/,/^\.EE/{/^\.E[XE]/!p;}' "$page" >$work/source
    sed -n 's/<pre>/&\
/; /<pre>/,/<\/pre>/p' "$html" | sed '/^<pre>$/d; s/^.*<pre>//; /^<\/pre>$/d' >$work/shown
    tail -n "$(wc -l <$work/source)" $work/shown | sed 's/<[^>]*>//g; s/[^ ].*/x/' >$work/shown.indent
    sed 's/^\\&//; s/[^ ].*/x/' $work/source >$work/source.indent
    cmp -s $work/source.indent $work/shown.indent || fail "$path: code has lost or got lines"
done

# Each link: to a file that is there, and to a place in it that has the name.
links=0
for html in $work/index.html $work/man3/*.html $work/man7/*.html; do
    for link in $(grep -o ' href="[^"]*"' "$html" | sed 's/^ href="//; s/"$//' | sort -u); do
        links=$((links + 1))
        case $link in
        *://*) fail "${html#"$work"/}: a link to the network: $link" && continue ;;
        esac
        file=${link%%#*}
        if test -z "$file"; then
            target=$html
        else
            target=$(dirname "$html")/$file
        fi
        test -f "$target" || { fail "${html#"$work"/}: $link leads nowhere" && continue; }
        case $link in
        *'#'*) grep -qF " id=\"${link#*#}\"" "$target" || fail "${html#"$work"/}: no place $link" ;;
        esac
    done
done
test "$links" -gt 500 || fail "only $links links were found"
finish "$links links"

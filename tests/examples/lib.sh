# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the tests of the examples share.  They run in the build folder; $srcdir is the source folder.
srcdir=${srcdir:-.}
programs=$PWD/examples
work=$(mktemp -d) || exit 99
status=0
children=()

cleanup() {
    local child
    for child in "${children[@]}"; do
        kill "$child" 2>/dev/null
    done
    wait
    rm -rf "$work"
}
trap cleanup EXIT

fail() {
    echo "FAILED: $*"
    status=1
}

# seen FILE TEXT [SECONDS]: waits until the text is in the file
seen() {
    local i
    for ((i = 0; i < 10 * ${3:-60}; i++)); do
        grep -qF -- "$2" "$1" 2>/dev/null && return 0
        sleep 0.1
    done
    fail "'$2' did not come in $(basename "$1"):"
    cat "$1"
    return 1
}

# ended PID STATUS WHAT: it ends by itself, with that status
ended() {
    local i
    for ((i = 0; i < 300; i++)); do
        kill -0 "$1" 2>/dev/null || break
        sleep 0.1
    done
    kill -0 "$1" 2>/dev/null && fail "$3 does not end" && kill -9 "$1"
    wait "$1"
    local got=$?
    [ "$got" -eq "$2" ] || fail "$3 ended with status $got, not $2"
}

# needs PROGRAM: an example whose dependency is missing is skipped, but not in CI
needs() {
    [ -x "$programs/$1" ] && return 0
    if [ -n "${CI:-}" ]; then
        echo "FAILED: examples/$1 was not built"
        exit 1
    fi
    echo "examples/$1 was not built"
    exit 77
}

# command_needed COMMAND...
command_needed() {
    local name
    for name in "$@"; do
        command -v "$name" >/dev/null 2>&1 && continue
        echo "$name is missing"
        [ -n "${CI:-}" ] && exit 1
        exit 77
    done
}

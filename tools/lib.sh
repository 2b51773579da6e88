# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the scripts of this folder share: the Debian packages, the build folder, the logs.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${BUILD_DIR:-$top/build}
logs=$build/logs

# What a build needs; what the tests need beside it; what CI needs beside both.
packages_build='gcc make autoconf automake libtool pkg-config liburing-dev libc-ares-dev'
packages_check="$packages_build g++ check mandoc groff man-db"
# shellcheck disable=SC2034
packages_ci='clang clang-format-14 valgrind abigail-tools binutils git xz-utils bsdutils strace
    libcurl4-openssl-dev libcjson-dev libgtk-3-dev xvfb xauth xdotool imagemagick fonts-dejavu-core
    gcc-mingw-w64-x86-64 gcc-mingw-w64-i686 wine64 gcc-aarch64-linux-gnu
    libc6-dev-arm64-cross gcc-s390x-linux-gnu libc6-dev-s390x-cross qemu-user-static'

say() {
    printf '%s\n' "== $*"
}

# need_packages PACKAGE...: installs those that are missing, or says which they are.
need_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
            missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if [ "$(id -u)" -ne 0 ]; then
        say "these Debian packages are missing: ${missing[*]}"
        say "install them (apt-get install ${missing[*]}), or run this as root"
        return 1
    fi
    say "installing ${missing[*]}"
    mkdir -p "$logs"
    {
        apt-get update &&
            DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
    } >"$logs/packages.log" 2>&1 </dev/null || {
        tail -n 20 "$logs/packages.log"
        say "cannot install them; the log is $logs/packages.log"
        return 1
    }
}

# logged NAME COMMAND...: runs it with its output in a log; on failure shows the log's end.
logged() {
    local log=$logs/$1.log
    shift
    mkdir -p "$logs"
    if ! "$@" >"$log" 2>&1 </dev/null; then
        tail -n 40 "$log"
        say "failed: $*; the log is $log"
        return 1
    fi
}

# build_library [CONFIGURE ARGUMENT...]: bootstrap, configure out of tree, make; quick when done.
build_library() {
    mkdir -p "$build"
    if [ ! -x "$top/configure" ] || [ "$top/configure.ac" -nt "$top/configure" ]; then
        say "bootstrap"
        logged bootstrap "$top/bootstrap" || return 1
    fi
    if [ ! -f "$build/Makefile" ]; then
        say "configure in $build"
        (cd "$build" && logged configure "$top/configure" --prefix="$build/prefix" ${CI:+--enable-werror} "$@") || return 1
    fi
    say "make"
    logged make make -C "$build" -j"$(nproc)"
}

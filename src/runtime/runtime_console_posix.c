/* SPDX-License-Identifier: MIT */
#include "runtime/runtime_console.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

async_console_type_t runtime_console_detect(void)
{
    async_console_type_t type = ASYNC_CONSOLE_TYPE_NONE;
    int saved = errno;
    struct stat st;

    if (fstat(STDIN_FILENO, &st) == 0) {
        if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))
            type = ASYNC_CONSOLE_TYPE_FILE;
        else if (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))
            type = ASYNC_CONSOLE_TYPE_PIPE;
        else if (S_ISCHR(st.st_mode) && isatty(STDIN_FILENO))
            type = ASYNC_CONSOLE_TYPE_REAL;
    }
    errno = saved;
    return type;
}

bool runtime_console_at_end(void)
{
    bool at_end = false;
    int saved = errno;
    struct stat st, null;

    if (fstat(STDIN_FILENO, &st) == 0) {
        if (S_ISREG(st.st_mode))
            at_end = lseek(STDIN_FILENO, 0, SEEK_CUR) >= st.st_size;
        else if (S_ISCHR(st.st_mode) && stat("/dev/null", &null) == 0)
            at_end = st.st_rdev == null.st_rdev;
    }
    errno = saved;
    return at_end;
}

async_fd_t runtime_console_fd(void)
{
    return STDIN_FILENO;
}

/* SPDX-License-Identifier: MIT */
#include "runtime/runtime_console.h"

#include <windows.h>

async_console_type_t runtime_console_detect(void)
{
    DWORD saved = GetLastError(), mode;
    HANDLE input = GetStdHandle(STD_INPUT_HANDLE);
    async_console_type_t type = ASYNC_CONSOLE_TYPE_NONE;

    if (input != NULL && input != INVALID_HANDLE_VALUE) {
        switch (GetFileType(input)) {
        case FILE_TYPE_DISK:
            type = ASYNC_CONSOLE_TYPE_FILE;
            break;
        case FILE_TYPE_PIPE: /* sockets too */
            type = ASYNC_CONSOLE_TYPE_PIPE;
            break;
        case FILE_TYPE_CHAR: /* NUL too */
            if (GetConsoleMode(input, &mode))
                type = ASYNC_CONSOLE_TYPE_REAL;
            break;
        default:
            break;
        }
    }
    SetLastError(saved);
    return type;
}

bool runtime_console_at_end(void)
{
    DWORD saved = GetLastError(), mode;
    HANDLE input = GetStdHandle(STD_INPUT_HANDLE);
    LARGE_INTEGER size, at, nowhere = {.QuadPart = 0};
    bool at_end = false;

    if (GetFileType(input) == FILE_TYPE_DISK)
        at_end = GetFileSizeEx(input, &size) &&
                 SetFilePointerEx(input, nowhere, &at, FILE_CURRENT) &&
                 at.QuadPart >= size.QuadPart;
    else /* NUL */
        at_end = GetFileType(input) == FILE_TYPE_CHAR && !GetConsoleMode(input, &mode);
    SetLastError(saved);
    return at_end;
}

async_fd_t runtime_console_fd(void)
{
    HANDLE input = GetStdHandle(STD_INPUT_HANDLE);

    return input != NULL ? (async_fd_t)input : ASYNC_INVALID_FD;
}

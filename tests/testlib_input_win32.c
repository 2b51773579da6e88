/* SPDX-License-Identifier: MIT */
/*
 * testlib_input_win32.c - standard input on Windows, for testlib.h
 */
#include "testlib.h"

#include <stdio.h>

#include <windows.h>

static HANDLE own_input; /* that one of these functions has made */

/* A console without a window, and the process that it was made for: this one only joins it. */
static struct {
    void *console;
    HANDLE holder;
    HANDLE watcher;  /* the thread that takes what it shows */
    HANDLE keyboard; /* a duplicate: a console ends with its keyboard, and ends who is there */
} terminal;

typedef HRESULT(WINAPI *create_console_t)(COORD, HANDLE, HANDLE, DWORD, void **);
typedef void(WINAPI *close_console_t)(void *);

#define HOLD L"hold-the-terminal"
#define ATTRIBUTE_PSEUDOCONSOLE 0x00020016 /* not in older headers */

typedef void (*function_t)(void);

static function_t kernel_function(const char *name)
{
    return (function_t)GetProcAddress(GetModuleHandleW(L"kernel32.dll"), name);
}

/* Set by the holder of a terminal when it has it. */
static HANDLE holder_started(DWORD process)
{
    WCHAR name[64];

    swprintf(name, 64, L"asyncrt-test-holder-%lu", (unsigned long)process);
    return CreateEventW(NULL, TRUE, FALSE, name);
}

/* Before main(): this program once more, to hold a terminal until it is ended or the terminal is.
 */
__attribute__((constructor)) static void hold_terminal(void)
{
    HANDLE started;

    if (wcsstr(GetCommandLineW(), HOLD) == NULL)
        return;
    started = holder_started(GetCurrentProcessId());
    if (started != NULL)
        SetEvent(started);
    Sleep(600000);
    ExitProcess(0);
}

static void close_terminal(void)
{
    close_console_t close_console = (close_console_t)kernel_function("ClosePseudoConsole");

    if (terminal.console == NULL)
        return;
    FreeConsole();
    TerminateProcess(terminal.holder, 0);
    CloseHandle(terminal.holder);
    close_console(terminal.console);
    CloseHandle(terminal.keyboard);
    ck_assert_uint_eq(WaitForSingleObject(terminal.watcher, TL_WAIT_MS), WAIT_OBJECT_0);
    CloseHandle(terminal.watcher);
    terminal.console = NULL;
}

static void replace_input(HANDLE file)
{
    close_terminal();
    ck_assert(SetStdHandle(STD_INPUT_HANDLE, file));
    if (own_input != NULL)
        CloseHandle(own_input);
    own_input = file;
}

/* What the console shows, for a terminal that nobody looks at. */
static DWORD WINAPI look_away(void *pipe)
{
    char shown[512];
    DWORD count;

    while (ReadFile(pipe, shown, sizeof(shown), &count, NULL) && count != 0)
        continue;
    CloseHandle(pipe);
    return 0;
}

/* A console that is closed ends its processes, with status 0: not without a word here. */
static BOOL WINAPI console_closed(DWORD event)
{
    if (event == CTRL_CLOSE_EVENT) {
        fputs("the terminal was closed\n", stderr);
        TerminateProcess(GetCurrentProcess(), 99);
    }
    return FALSE;
}

static void start_holder(void)
{
    WCHAR program[MAX_PATH], line[MAX_PATH + 40] = L"\"";
    STARTUPINFOEXW start = {.StartupInfo = {.cb = sizeof(start)}};
    PROCESS_INFORMATION process;
    HANDLE started;
    SIZE_T size = 0;

    InitializeProcThreadAttributeList(NULL, 1, 0, &size);
    start.lpAttributeList = malloc(size);
    ck_assert_ptr_nonnull(start.lpAttributeList);
    ck_assert(InitializeProcThreadAttributeList(start.lpAttributeList, 1, 0, &size));
    ck_assert(UpdateProcThreadAttribute(start.lpAttributeList, 0, ATTRIBUTE_PSEUDOCONSOLE,
                                        terminal.console, sizeof(void *), NULL, NULL));
    ck_assert_uint_ne(GetModuleFileNameW(NULL, program, MAX_PATH), 0);
    wcscat(line, program);
    wcscat(line, L"\" " HOLD);
    ck_assert(CreateProcessW(program, line, NULL, NULL, FALSE, EXTENDED_STARTUPINFO_PRESENT, NULL,
                             NULL, &start.StartupInfo, &process));
    DeleteProcThreadAttributeList(start.lpAttributeList);
    free(start.lpAttributeList);
    CloseHandle(process.hThread);
    terminal.holder = process.hProcess;
    FreeConsole();
    started = holder_started(process.dwProcessId);
    ck_assert_ptr_nonnull(started);
    /* not earlier: wine's console may hang when it is joined while it begins */
    ck_assert_uint_eq(WaitForSingleObject(started, TL_WAIT_MS), WAIT_OBJECT_0);
    CloseHandle(started);
    ck_assert(AttachConsole(process.dwProcessId));
    ck_assert(SetConsoleCtrlHandler(console_closed, TRUE));
}

void tl_input_become(async_handle_t file)
{
    ck_assert(file != NULL && file != INVALID_HANDLE_VALUE);
    replace_input(file);
}

async_handle_t tl_input_pipe(void)
{
    HANDLE reader, writer;

    ck_assert(CreatePipe(&reader, &writer, NULL, 65536));
    replace_input(reader);
    return writer;
}

void tl_input_file(const char *bytes, size_t size)
{
    WCHAR folder[MAX_PATH], path[MAX_PATH];
    HANDLE file;

    ck_assert_uint_ne(GetTempPathW(MAX_PATH, folder), 0);
    ck_assert_uint_ne(GetTempFileNameW(folder, L"art", 0, path), 0);
    file = CreateFileW(path, GENERIC_READ | GENERIC_WRITE | DELETE, FILE_SHARE_READ, NULL,
                       CREATE_ALWAYS, FILE_FLAG_DELETE_ON_CLOSE, NULL);
    ck_assert(file != INVALID_HANDLE_VALUE);
    tl_file_write(file, bytes, size);
    ck_assert_uint_eq(SetFilePointer(file, 0, NULL, FILE_BEGIN), 0);
    replace_input(file);
}

bool tl_input_terminal(async_handle_t *keyboard)
{
    create_console_t create = (create_console_t)kernel_function("CreatePseudoConsole");
    HANDLE typed, shows, shown, input;

    /* asked for by name: wine's console may stand still when others start beside it */
    if (getenv("ASYNCRT_TEST_TERMINAL") == NULL || create == NULL)
        return false;
    /* where there is no standard input, the console gives one, and closes what is there later */
    tl_input_null();
    ck_assert(CreatePipe(&typed, keyboard, NULL, 0) && CreatePipe(&shown, &shows, NULL, 0));
    ck_assert_int_eq(create((COORD){80, 25}, typed, shows, 0, &terminal.console), S_OK);
    CloseHandle(typed);
    CloseHandle(shows);
    ck_assert(DuplicateHandle(GetCurrentProcess(), *keyboard, GetCurrentProcess(),
                              &terminal.keyboard, 0, FALSE, DUPLICATE_SAME_ACCESS));
    terminal.watcher = CreateThread(NULL, 0, look_away, shown, 0, NULL);
    ck_assert_ptr_nonnull(terminal.watcher);
    start_holder();
    input = CreateFileW(L"CONIN$", GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE,
                        NULL, OPEN_EXISTING, 0, NULL);
    ck_assert(input != INVALID_HANDLE_VALUE && SetStdHandle(STD_INPUT_HANDLE, input));
    CloseHandle(own_input);
    own_input = input;
    return true;
}

void tl_input_null(void)
{
    tl_input_become(CreateFileW(L"NUL", GENERIC_READ, 0, NULL, OPEN_EXISTING, 0, NULL));
}

void tl_input_closed(void)
{
    replace_input(NULL);
}

async_fd_t tl_input_fd(void)
{
    return (async_fd_t)GetStdHandle(STD_INPUT_HANDLE);
}

long tl_input_read(void *data, size_t size)
{
    DWORD count = 0;

    if (ReadFile(GetStdHandle(STD_INPUT_HANDLE), data, (DWORD)size, &count, NULL))
        return (long)count;
    return GetLastError() == ERROR_BROKEN_PIPE ? 0 : -1;
}

void tl_file_write(async_handle_t file, const char *bytes, size_t size)
{
    while (size > 0) {
        DWORD count = 0;

        ck_assert(WriteFile(file, bytes, (DWORD)size, &count, NULL));
        bytes += count;
        size -= count;
    }
}

void tl_file_close(async_handle_t file)
{
    ck_assert(CloseHandle(file));
}

/* SPDX-License-Identifier: MIT */
/* Consoles: without a window, and with keys that the tests press. */
#include "console_test.h"

#include <windows.h>

#define LINES (ENABLE_LINE_INPUT | ENABLE_ECHO_INPUT)
#define LEAVE L"leave-in-key-mode"

bool ct_is_slow(void)
{
    return true;
}

long ct_reader_switches(void)
{
    return 0;
}

typedef struct terminal {
    HANDLE keyboard; /* bytes, as a terminal sends them */
    HANDLE input;    /* the console's own, for records of keys */
    HANDLE screen;
    DWORD before;
} terminal_t;

/* Of each test. */
static terminal_t terminal;
static ct_console_t ct;

static HANDLE console_file(const WCHAR *name)
{
    HANDLE file = CreateFileW(name, GENERIC_READ | GENERIC_WRITE,
                              FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0, NULL);

    ck_assert(file != INVALID_HANDLE_VALUE);
    return file;
}

static DWORD mode_now(void)
{
    DWORD mode;

    ck_assert(GetConsoleMode(terminal.input, &mode));
    return mode;
}

static void setup(void)
{
    ck_assert(tl_input_terminal(&terminal.keyboard));
    terminal.input = console_file(L"CONIN$");
    terminal.screen = console_file(L"CONOUT$");
    terminal.before = mode_now();
    ck_assert_uint_eq(terminal.before & LINES, LINES);
    ck_assert_int_eq(async_console_detect(), ASYNC_CONSOLE_TYPE_REAL);
}

static void teardown(void)
{
    ck_assert_uint_eq(mode_now(), terminal.before);
    CloseHandle(terminal.input);
    CloseHandle(terminal.screen);
    tl_file_close(terminal.keyboard);
    tl_input_closed();
}

static void open_console(size_t max_msg_size)
{
    ct_open(&ct, 16, max_msg_size, 0);
    ck_assert_int_eq(async_console_get_type(ct.console), ASYNC_CONSOLE_TYPE_REAL);
}

static void set_mode(uint32_t mode)
{
    DWORD expected = 0;

    if ((mode & ASYNC_CONSOLE_LINE) != 0)
        expected = (mode & ASYNC_CONSOLE_ECHO) != 0 ? LINES : ENABLE_LINE_INPUT;
    TL_OK(async_console_set_mode(ct.console, mode));
    ck_assert_uint_eq(mode_now() & LINES, expected);
}

/* A key that is held down until it came `times` times, and let go. */
static void press(WORD key, WCHAR unit, WORD times)
{
    INPUT_RECORD records[2];
    DWORD count;

    memset(records, 0, sizeof(records));
    for (int i = 0; i < 2; i++) {
        KEY_EVENT_RECORD *event = &records[i].Event.KeyEvent;

        records[i].EventType = KEY_EVENT;
        event->bKeyDown = i == 0;
        event->wRepeatCount = i == 0 ? times : 1;
        event->wVirtualKeyCode = key;
        event->uChar.UnicodeChar = unit;
    }
    ck_assert(WriteConsoleInputW(terminal.input, records, 2, &count));
}

static void type_in(const WCHAR *text)
{
    for (; *text != 0; text++)
        press(*text < L' ' ? *text : 0, *text, 1); /* VK_BACK, VK_RETURN */
}

static bool shows(const char *text)
{
    WCHAR shown[80];
    DWORD count;

    ck_assert(ReadConsoleOutputCharacterW(terminal.screen, shown, 80, (COORD){0, 0}, &count));
    for (DWORD i = 0; text[i] != '\0'; i++) {
        if (i >= count || shown[i] != (WCHAR)text[i])
            return false;
    }
    return true;
}

/* The first line of the screen begins with text. */
static void expect_shown(const char *text)
{
    for (int waited = 0; !shows(text); waited++) {
        ck_assert_msg(waited < CT_WAIT_MS, "\"%s\" is not shown", text);
        tl_sleep_ms(1);
    }
}

START_TEST(lines_and_the_end)
{
    open_console(64);
    ct_text(terminal.keyboard, "hallo\r");
    ct_expect(&ct, "hallo\n");
    expect_shown("hallo");
    ct_text(terminal.keyboard, "1\r2\r3\r");
    ct_expect(&ct, "1\n");
    ct_expect(&ct, "2\n");
    ct_expect(&ct, "3\n");
    type_in(L"wronk\bg\r");
    ct_expect(&ct, "wrong\n");
    type_in(L"\x00FC\x20AC\xD83D\xDE00\r");
    ct_expect(&ct, "\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\n");
    ct_expect_nothing(&ct);
    type_in(L"\x001A\r");
    ct_expect_end(&ct);
    ct_close(&ct);
}
END_TEST

/* Longer than what one read takes: no further key is needed for the rest. */
START_TEST(a_long_line)
{
    static char line[6002];

    for (int i = 0; i < 6000; i++)
        line[i] = (char)('a' + i % 26);
    line[4096] = '\032'; /* the end only where a line begins */
    line[6000] = '\r';
    open_console(sizeof(line));
    ct_text(terminal.keyboard, line);
    line[6000] = '\n';
    ct_expect(&ct, line);
    ct_expect_nothing(&ct);
    ct_close(&ct);
}
END_TEST

START_TEST(modes)
{
    open_console(64);
    set_mode(0);
    press('K', L'k', 1);
    ct_expect(&ct, "k");
    press(VK_UP, 0, 1);
    ct_expect(&ct, "\033[A");
    press(VK_SHIFT, 0, 1);
    ct_expect_nothing(&ct);
    press(VK_RETURN, L'\r', 1);
    ct_expect(&ct, "\n");
    press(0, 0xD83D, 1);
    ct_expect_nothing(&ct);
    press(0, 0xDE00, 1);
    ct_expect(&ct, "\xf0\x9f\x98\x80");
    press('R', L'r', 3);
    for (int i = 0; i < 3; i++)
        ct_expect(&ct, "r");
    ck_assert(shows("  "));
    set_mode(ASYNC_CONSOLE_ECHO);
    press('E', L'e', 1);
    ct_expect(&ct, "e");
    expect_shown("e");
    set_mode(ASYNC_CONSOLE_LINE);
    ct_text(terminal.keyboard, "secret\r");
    ct_expect(&ct, "secret\n");
    ck_assert(shows("e  "));
    set_mode(ASYNC_CONSOLE_LINE | ASYNC_CONSOLE_ECHO);
    ct_text(terminal.keyboard, "seen\r");
    ct_expect(&ct, "seen\n");
    ct_close(&ct);
}
END_TEST

/* Takes messages until they are text together. */
static void expect_pieces(const char *text)
{
    char all[32] = "";

    while (strlen(all) < strlen(text)) {
        ck_assert(ct_next(&ct));
        strncat(all, ct.text, sizeof(all) - strlen(all) - 1);
    }
    ck_assert_str_eq(all, text);
}

/* What was typed of a line when the mode changes is not lost, nor gets it an end. */
START_TEST(from_a_line_to_keys)
{
    open_console(64);
    ct_text(terminal.keyboard, "ab");
    expect_shown("ab");
    ct_expect_nothing(&ct);
    set_mode(0);
    ct_text(terminal.keyboard, "c");
    expect_pieces("abc");
    ct_expect_nothing(&ct);
    ct_close(&ct);
}
END_TEST

/* The end of a console in the middle of a line: the next one goes on with it. */
START_TEST(from_one_console_to_the_next)
{
    open_console(64);
    ct_text(terminal.keyboard, "not lo");
    expect_shown("not lo");
    ct_expect_nothing(&ct);
    ck_assert(async_console_shutdown(ct.console, CT_WAIT_MS));
    ct_close(&ct);
    ct_open(&ct, 16, 64, 0);
    ct_expect_nothing(&ct);
    ct_text(terminal.keyboard, "st\r");
    ct_expect(&ct, "not lost\n");
    ct_expect_nothing(&ct);
    ct_close(&ct);
}
END_TEST

/* Ends and lines at the same time: every line comes whole, once, from one console or another. */
START_TEST(ends_among_lines)
{
    int next = 0, rounds = (int)tl_scaled(100);
    char line[16];

    for (int round = 0; round < rounds; round++) {
        ct_open(&ct, 16, 64, 0);
        snprintf(line, sizeof(line), "%d\r", round);
        ct_text(terminal.keyboard, line);
        if (round % 2 != 0)
            tl_sleep_ms((unsigned)round % 3);
        ck_assert(async_console_shutdown(ct.console, CT_WAIT_MS));
        while (async_queue_dequeue(ct.lines, ct.text, ct.max_size, &ct.size)) {
            snprintf(line, sizeof(line), "%d\n", next++);
            ck_assert_str_eq(ct.text, line);
        }
        if (round == rounds - 1) {
            ct_close(&ct);
            ct_open(&ct, 16, 64, 0);
            while (next < rounds) {
                snprintf(line, sizeof(line), "%d\n", next++);
                ct_expect(&ct, line);
            }
            ct_expect_nothing(&ct);
        }
        ct_close(&ct);
    }
}
END_TEST

/* The queue is full: the reader waits, and its end is not held up. */
START_TEST(a_full_queue)
{

    ct_open(&ct, 1, 64, 0);
    ct_text(terminal.keyboard, "1\r2\r3\r4\r");
    for (int i = 1; i <= 3; i++)
        ct_expect(&ct, (char[]){(char)('0' + i), '\n', '\0'});
    ck_assert(async_console_shutdown(ct.console, CT_WAIT_MS));
    ct_close(&ct);
    ct_open(&ct, 1, 64, 0);
    ct_text(terminal.keyboard, "5\r");
    while (ct_next(&ct) && ct.text[0] != '5')
        ck_assert_str_eq(ct.text, "4\n");
    ct_close(&ct);
}
END_TEST

/* In a process of its own, before main(): ends without a word, by `exit`. */
__attribute__((constructor)) static void leave_in_key_mode(void)
{
    async_runtime_t *runtime;
    async_queue_t *lines;
    async_console_t *console;

    if (wcsstr(GetCommandLineW(), LEAVE) == NULL)
        return;
    SetStdHandle(STD_INPUT_HANDLE, console_file(L"CONIN$"));
    runtime = async_runtime_init();
    lines = async_queue_create(4, 64, 0);
    console = async_console_create(runtime, lines, 1);
    exit(async_console_set_mode(console, 0) == 0 ? 7 : 8);
}

START_TEST(exit_restores)
{
    WCHAR program[MAX_PATH], line[MAX_PATH + 40] = L"\"";
    STARTUPINFOW start = {.cb = sizeof(start)};
    PROCESS_INFORMATION process;
    DWORD status;

    ck_assert_uint_ne(GetModuleFileNameW(NULL, program, MAX_PATH), 0);
    wcscat(line, program);
    wcscat(line, L"\" " LEAVE);
    ck_assert(CreateProcessW(program, line, NULL, NULL, FALSE, 0, NULL, NULL, &start, &process));
    ck_assert_uint_eq(WaitForSingleObject(process.hProcess, TL_WAIT_MS), WAIT_OBJECT_0);
    ck_assert(GetExitCodeProcess(process.hProcess, &status));
    ck_assert_uint_eq(status, 7);
    CloseHandle(process.hThread);
    CloseHandle(process.hProcess);
}
END_TEST

void ct_add_suites(SRunner *runner)
{
    TCase *tcase;
    Suite *suite;

    if (getenv("ASYNCRT_TEST_TERMINAL") == NULL)
        return; /* see tl_input_terminal */
    suite = suite_create("terminal");
    tcase = tcase_create("terminal");
    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, lines_and_the_end);
    tcase_add_test(tcase, a_long_line);
    tcase_add_test(tcase, modes);
    tcase_add_test(tcase, from_a_line_to_keys);
    tcase_add_test(tcase, from_one_console_to_the_next);
    tcase_add_test(tcase, ends_among_lines);
    tcase_add_test(tcase, a_full_queue);
    tcase_add_test(tcase, exit_restores);
    suite_add_tcase(suite, tcase);
    srunner_add_suite(runner, suite);
}

/* SPDX-License-Identifier: MIT */
/*
 * 1. Lines come by ReadConsoleW, which edits them as every Windows program does; keys by
 *    ReadConsoleInputW.
 * 2. A read of a line that has begun cannot be cancelled on every system.  It ends when an Enter is
 * put into the console's input.  That key is marked, so that one that came too late is taken out.
 * What the user had typed of the line is not lost: it is a part of the line to come.
 * 3. The console's mode outlives the process that has changed it: it is put back at exit, and when
 * the user ends the program from the console.
 */
#include "console/console_terminal_win32.h"
#include "console/console_platform.h"
#include "port/port_memory.h"
#include "port/port_mutex.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_SIZE 4096
#define KEY_SIZE 8  /* bytes of a key, at most */
#define MARK 0x7A5A /* a scan code that no keyboard sends */
#define CTRL_Z 0x1A
/* beside CONSOLE_READ_* */
#define LOOK_AGAIN (-2) /* nothing for the program */
#define WAITED (-3)     /* something is there */

struct console_terminal {
    HANDLE input;          /* an own one, for reading and writing */
    HANDLE output;         /* to echo single keys; may be NULL */
    _Atomic uint32_t mode; /* ASYNC_CONSOLE_*: set_mode writes, the reader reads */
    port_mutex_t lock;     /* of the two below */
    bool in_line;          /* a read of a line is under way or about to be */
    bool woken;            /* the Enter was sent */
    /* the reader's */
    bool cut;   /* the last piece of a line filled the text: the rest waits in the console */
    WCHAR high; /* the first half of a pair that has not come whole */
    WCHAR text[TEXT_SIZE];
};

/* For the end of the process: the mode to put back.  handle is set last and taken by an exchange.
 */
static struct {
    _Atomic(HANDLE) handle;
    DWORD mode;
    _Atomic int registered;
} saved;

static void put_back(void)
{
    HANDLE handle = atomic_exchange_explicit(&saved.handle, NULL, memory_order_acq_rel);

    if (handle != NULL)
        SetConsoleMode(handle, saved.mode);
}

static BOOL WINAPI console_event(DWORD event)
{
    HANDLE handle = atomic_load_explicit(&saved.handle, memory_order_acquire);

    (void)event;
    /* The program may go on with its own handler, so the console stays ours. */
    if (handle != NULL)
        SetConsoleMode(handle, saved.mode);
    return FALSE;
}

static void save_mode(const console_terminal_t *terminal)
{
    if (atomic_load_explicit(&saved.handle, memory_order_acquire) != NULL)
        return;
    if (!GetConsoleMode(terminal->input, &saved.mode))
        return;
    atomic_store_explicit(&saved.handle, terminal->input, memory_order_release);
    if (!atomic_exchange_explicit(&saved.registered, 1, memory_order_relaxed)) {
        atexit(put_back);
        SetConsoleCtrlHandler(console_event, TRUE);
    }
}

int console_terminal_open(HANDLE source, console_terminal_t **out)
{
    console_terminal_t *terminal = port_zalloc(1, sizeof(*terminal));

    if (terminal == NULL || port_mutex_init(&terminal->lock) != 0) {
        port_free(terminal);
        return ENOMEM;
    }
    atomic_init(&terminal->mode, ASYNC_CONSOLE_LINE | ASYNC_CONSOLE_ECHO);
    terminal->input = CreateFileW(L"CONIN$", GENERIC_READ | GENERIC_WRITE,
                                  FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0, NULL);
    if (terminal->input == INVALID_HANDLE_VALUE &&
        !DuplicateHandle(GetCurrentProcess(), source, GetCurrentProcess(), &terminal->input, 0,
                         FALSE, DUPLICATE_SAME_ACCESS)) {
        port_mutex_destroy(&terminal->lock);
        port_free(terminal);
        return ENOTTY;
    }
    terminal->output =
        CreateFileW(L"CONOUT$", GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE,
                    NULL, OPEN_EXISTING, 0, NULL);
    if (terminal->output == INVALID_HANDLE_VALUE)
        terminal->output = NULL;
    *out = terminal;
    return 0;
}

void console_terminal_close(console_terminal_t *terminal)
{
    console_terminal_restore(terminal);
    CloseHandle(terminal->input);
    if (terminal->output != NULL)
        CloseHandle(terminal->output);
    port_mutex_destroy(&terminal->lock);
    port_free(terminal);
}

static bool is_marked(const INPUT_RECORD *record)
{
    return record->EventType == KEY_EVENT && record->Event.KeyEvent.wVirtualScanCode == MARK;
}

/* Takes out what is before the first key pressed.  Returns whether there is one. */
static bool next_key(console_terminal_t *terminal, INPUT_RECORD *record)
{
    DWORD count;

    while (PeekConsoleInputW(terminal->input, record, 1, &count) && count != 0) {
        if (record->EventType == KEY_EVENT && record->Event.KeyEvent.bKeyDown && !is_marked(record))
            return true;
        if (!ReadConsoleInputW(terminal->input, record, 1, &count))
            break;
    }
    return false;
}

/* ---- Characters. ---- */

/* UTF-16 to UTF-8; a half of a pair at the end waits for the other.  size: at least 4 for each
 * unit. */
static int to_utf8(console_terminal_t *terminal, WCHAR *text, int length, char *buffer, size_t size)
{
    WCHAR pair[2];
    int count = 0;

    if (terminal->high != 0 && length > 0) {
        pair[0] = terminal->high;
        pair[1] = text[0];
        terminal->high = 0;
        count = WideCharToMultiByte(CP_UTF8, 0, pair, 2, buffer, (int)size, NULL, NULL);
        text++;
        length--;
    }
    if (length > 0 && IS_HIGH_SURROGATE(text[length - 1]))
        terminal->high = text[--length];
    if (length > 0)
        count += WideCharToMultiByte(CP_UTF8, 0, text, length, buffer + count, (int)size - count,
                                     NULL, NULL);
    return count;
}

/* What the keys without a character send elsewhere. */
static const char *sequence_of(WORD key)
{
    static const struct {
        WORD key;
        const char *text;
    } keys[] = {
        {VK_UP, "\033[A"},     {VK_DOWN, "\033[B"},  {VK_RIGHT, "\033[C"},   {VK_LEFT, "\033[D"},
        {VK_HOME, "\033[H"},   {VK_END, "\033[F"},   {VK_INSERT, "\033[2~"}, {VK_DELETE, "\033[3~"},
        {VK_PRIOR, "\033[5~"}, {VK_NEXT, "\033[6~"}, {VK_F1, "\033OP"},      {VK_F2, "\033OQ"},
        {VK_F3, "\033OR"},     {VK_F4, "\033OS"},    {VK_F5, "\033[15~"},    {VK_F6, "\033[17~"},
        {VK_F7, "\033[18~"},   {VK_F8, "\033[19~"},  {VK_F9, "\033[20~"},    {VK_F10, "\033[21~"},
        {VK_F11, "\033[23~"},  {VK_F12, "\033[24~"},
    };

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (keys[i].key == key)
            return keys[i].text;
    }
    return NULL;
}

/* The bytes of one key. */
static int key_bytes(console_terminal_t *terminal, const KEY_EVENT_RECORD *key, char *buffer,
                     size_t size)
{
    WCHAR unit = key->uChar.UnicodeChar;
    const char *sequence;
    DWORD count;

    if (unit == 0) {
        sequence = sequence_of(key->wVirtualKeyCode);
        if (sequence == NULL)
            return 0;
        memcpy(buffer, sequence, strlen(sequence));
        return (int)strlen(sequence);
    }
    if (unit == L'\r')
        unit = L'\n';
    if (terminal->output != NULL &&
        atomic_load_explicit(&terminal->mode, memory_order_relaxed) & ASYNC_CONSOLE_ECHO)
        WriteConsoleW(terminal->output, &unit, 1, &count, NULL);
    return to_utf8(terminal, &unit, 1, buffer, size);
}

/* The next key, which is there, as often as it was repeated.  Returns the count of its bytes, or
 * LOOK_AGAIN when it sends nothing. */
static int read_key(console_terminal_t *terminal, char *buffer, size_t size)
{
    INPUT_RECORD record;
    const KEY_EVENT_RECORD *key = &record.Event.KeyEvent;
    DWORD count;
    int bytes = 0;

    if (!ReadConsoleInputW(terminal->input, &record, 1, &count) || count == 0)
        return LOOK_AGAIN;
    for (WORD i = 0; i < key->wRepeatCount && (size_t)bytes + KEY_SIZE <= size; i++)
        bytes += key_bytes(terminal, key, buffer + bytes, size - (size_t)bytes);
    return bytes != 0 ? bytes : LOOK_AGAIN;
}

/* ---- Lines. ---- */

static bool reads_lines(const console_terminal_t *terminal)
{
    return (atomic_load_explicit(&terminal->mode, memory_order_acquire) & ASYNC_CONSOLE_LINE) != 0;
}

static void begin_line(console_terminal_t *terminal)
{
    port_mutex_lock(&terminal->lock);
    terminal->in_line = true;
    port_mutex_unlock(&terminal->lock);
}

/* The Enter of console_terminal_wake(), when no read has taken it: nobody else may get it.  It may
 * stand behind much that was typed ahead.  Returns whether it was there. */
static bool take_marked_out(console_terminal_t *terminal)
{
    INPUT_RECORD *records;
    DWORD count, left = 0;
    bool found = false;

    if (!GetNumberOfConsoleInputEvents(terminal->input, &count) || count == 0)
        return false;
    records = port_alloc(count * sizeof(*records));
    if (records == NULL)
        return false;
    if (!PeekConsoleInputW(terminal->input, records, count, &count))
        count = 0;
    for (DWORD i = 0; i < count && !found; i++)
        found = is_marked(&records[i]);
    if (!found || !ReadConsoleInputW(terminal->input, records, count, &count))
        count = 0;
    found = false;
    for (DWORD i = 0; i < count; i++) {
        if (!is_marked(&records[i]))
            records[left++] = records[i];
        else if (records[i].Event.KeyEvent.bKeyDown)
            found = true;
    }
    if (left != 0)
        WriteConsoleInputW(terminal->input, records, left, &count);
    port_free(records);
    return found;
}

/* Returns whether the read was ended by the Enter of console_terminal_wake(). */
static bool end_line(console_terminal_t *terminal)
{
    bool woken;

    port_mutex_lock(&terminal->lock);
    terminal->in_line = false;
    woken = terminal->woken;
    terminal->woken = false;
    port_mutex_unlock(&terminal->lock);
    return woken && !take_marked_out(terminal);
}

/* A line, of which something is there.  Returns as console_terminal_read, or LOOK_AGAIN. */
static int read_line(console_terminal_t *terminal, HANDLE stop, char *buffer, size_t size)
{
    DWORD length = 0, most = (DWORD)(size / 4 < TEXT_SIZE ? size / 4 : TEXT_SIZE);
    bool first = !terminal->cut, ended;
    int bytes;

    begin_line(terminal);
    /* what has changed before is seen here; what changes later sees us in the line */
    if (WaitForSingleObject(stop, 0) == WAIT_OBJECT_0 || !reads_lines(terminal)) {
        end_line(terminal);
        return LOOK_AGAIN;
    }
    if (!ReadConsoleW(terminal->input, terminal->text, most, &length, NULL)) {
        end_line(terminal);
        return CONSOLE_READ_END;
    }
    ended = end_line(terminal);
    terminal->cut = length == most && terminal->text[length - 1] != L'\n';
    /* this line's end is ours, the program did not get it from the user */
    while (ended && length > 0 &&
           (terminal->text[length - 1] == L'\n' || terminal->text[length - 1] == L'\r'))
        length--;
    if (first && length > 0 && terminal->text[0] == CTRL_Z)
        return CONSOLE_READ_END;
    bytes = to_utf8(terminal, terminal->text, (int)length, buffer, size);
    return bytes != 0 ? bytes : LOOK_AGAIN;
}

/* Waits for a key.  Returns WAITED or CONSOLE_READ_*. */
static int wait_key(console_terminal_t *terminal, HANDLE stop)
{
    HANDLE handles[2] = {stop, terminal->input};
    INPUT_RECORD record;
    DWORD rc;

    do {
        rc = WaitForMultipleObjects(2, handles, FALSE, INFINITE);
        if (rc != WAIT_OBJECT_0 + 1)
            return rc == WAIT_OBJECT_0 ? CONSOLE_READ_STOPPED : CONSOLE_READ_END;
    } while (!next_key(terminal, &record));
    return WAITED;
}

int console_terminal_read(console_terminal_t *terminal, HANDLE stop, char *buffer, size_t size)
{
    int result;

    do {
        if (terminal->cut && reads_lines(terminal)) /* no key announces the rest of a line */
            result = WaitForSingleObject(stop, 0) == WAIT_OBJECT_0 ? CONSOLE_READ_STOPPED : WAITED;
        else
            result = wait_key(terminal, stop);
        if (result != WAITED)
            return result;
        /* the mode may have changed meanwhile */
        if (reads_lines(terminal))
            result = read_line(terminal, stop, buffer, size);
        else
            result = terminal->cut ? wait_key(terminal, stop) : WAITED;
        if (result == WAITED)
            result = read_key(terminal, buffer, size);
    } while (result == LOOK_AGAIN);
    return result;
}

void console_terminal_wake(console_terminal_t *terminal)
{
    INPUT_RECORD keys[2];
    DWORD count;

    memset(keys, 0, sizeof(keys));
    for (int i = 0; i < 2; i++) {
        keys[i].EventType = KEY_EVENT;
        keys[i].Event.KeyEvent.bKeyDown = i == 0;
        keys[i].Event.KeyEvent.wRepeatCount = 1;
        keys[i].Event.KeyEvent.wVirtualKeyCode = VK_RETURN;
        keys[i].Event.KeyEvent.wVirtualScanCode = MARK;
        keys[i].Event.KeyEvent.uChar.UnicodeChar = L'\r';
    }
    port_mutex_lock(&terminal->lock);
    if (terminal->in_line && !terminal->woken)
        terminal->woken = WriteConsoleInputW(terminal->input, keys, 2, &count) != 0;
    port_mutex_unlock(&terminal->lock);
}

/* ---- Modes. ---- */

int console_terminal_set_mode(console_terminal_t *terminal, uint32_t mode)
{
    const DWORD lines = ENABLE_LINE_INPUT | ENABLE_ECHO_INPUT;
    DWORD console_mode;

    save_mode(terminal);
    if (!GetConsoleMode(terminal->input, &console_mode))
        return ENOTTY;
    console_mode &= ~lines;
    if (mode & ASYNC_CONSOLE_LINE)
        console_mode |= mode & ASYNC_CONSOLE_ECHO ? lines : ENABLE_LINE_INPUT;
    if (!SetConsoleMode(terminal->input, console_mode))
        return ENOTTY;
    atomic_store_explicit(&terminal->mode, mode, memory_order_seq_cst);
    if (!(mode & ASYNC_CONSOLE_LINE))
        console_terminal_wake(terminal);
    return 0;
}

void console_terminal_restore(console_terminal_t *terminal)
{
    if (atomic_load_explicit(&saved.handle, memory_order_acquire) == terminal->input)
        put_back();
}

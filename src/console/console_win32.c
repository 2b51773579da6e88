/* SPDX-License-Identifier: MIT */
/*
 * Standard input on Windows: a console, a pipe or socket, or a file, each read in its own way.
 */
#include "console/console_platform.h"
#include "console/console_pump_win32.h"
#include "console/console_terminal_win32.h"
#include "port/port_memory.h"
#include "runtime/runtime_console.h"

#include <errno.h>
#include <string.h>

struct console_input {
    async_console_type_t type; /* constant */
    HANDLE source;             /* standard input as it was at open; names it only */
    HANDLE stop;               /* manual-reset: stopped */
    console_terminal_t *terminal;
    console_pump_t *pump;
    HANDLE file;
    char *rest; /* what an earlier console gave back; the reader's */
    size_t rest_size;
    size_t rest_taken;
};

/*
 * What a console had read from a pipe or a console and not delivered when it was stopped; the next
 * one on the same input begins with it.  Written by the reader at its end, read by the next open:
 * the join of the reader is between.
 */
static struct {
    char *data;
    size_t size;
    HANDLE source; /* a duplicate: a number may be used again */
} kept;

static void take_kept(console_input_t *input)
{
    if (kept.data == NULL)
        return;
    if (console_pump_is_same(kept.source, input->source)) {
        input->rest = kept.data;
        input->rest_size = kept.size;
    } else {
        port_free(kept.data);
    }
    CloseHandle(kept.source);
    kept.data = NULL;
}

static int open_source(console_input_t *input)
{
    int err = 0;

    input->stop = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (input->stop == NULL)
        return ENOMEM;
    if (input->type == ASYNC_CONSOLE_TYPE_REAL)
        err = console_terminal_open(input->source, &input->terminal);
    else if (input->type == ASYNC_CONSOLE_TYPE_PIPE)
        err = console_pump_open(input->source, &input->pump);
    else if (!DuplicateHandle(GetCurrentProcess(), input->source, GetCurrentProcess(), &input->file,
                              0, FALSE, DUPLICATE_SAME_ACCESS))
        err = EMFILE;
    if (err == 0)
        take_kept(input);
    return err;
}

int console_input_open(console_input_t **out)
{
    console_input_t *input = port_zalloc(1, sizeof(*input));
    int err = 0;

    if (input == NULL)
        return ENOMEM;
    input->source = GetStdHandle(STD_INPUT_HANDLE);
    input->type = runtime_console_detect();
    if (input->type != ASYNC_CONSOLE_TYPE_NONE)
        err = open_source(input);
    if (err == ENOTTY) {
        /* closed while we looked at it */
        input->type = ASYNC_CONSOLE_TYPE_NONE;
        err = 0;
    }
    if (err != 0) {
        console_input_close(input);
        return err;
    }
    *out = input;
    return 0;
}

void console_input_close(console_input_t *input)
{
    int saved = errno;

    if (input->terminal != NULL)
        console_terminal_close(input->terminal);
    if (input->pump != NULL)
        console_pump_close(input->pump);
    if (input->file != NULL)
        CloseHandle(input->file);
    if (input->stop != NULL)
        CloseHandle(input->stop);
    port_free(input->rest);
    port_free(input);
    errno = saved;
}

async_console_type_t console_input_type(const console_input_t *input)
{
    return input->type;
}

void console_input_stop(console_input_t *input)
{
    if (input->stop == NULL)
        return;
    SetEvent(input->stop);
    if (input->terminal != NULL)
        console_terminal_wake(input->terminal);
}

void console_input_pause(console_input_t *input, int ms)
{
    WaitForSingleObject(input->stop, (DWORD)ms);
}

static int read_file(console_input_t *input, char *buffer, size_t size)
{
    DWORD count = 0;

    if (WaitForSingleObject(input->stop, 0) == WAIT_OBJECT_0)
        return CONSOLE_READ_STOPPED;
    if (!ReadFile(input->file, buffer, (DWORD)size, &count, NULL) || count == 0)
        return CONSOLE_READ_END;
    return (int)count;
}

static int read_rest(console_input_t *input, char *buffer, size_t size)
{
    size_t count = input->rest_size - input->rest_taken;

    if (count > size)
        count = size;
    memcpy(buffer, input->rest + input->rest_taken, count);
    input->rest_taken += count;
    if (input->rest_taken == input->rest_size) {
        port_free(input->rest);
        input->rest = NULL;
    }
    return (int)count;
}

int console_input_read(console_input_t *input, char *buffer, size_t size)
{
    if (input->rest != NULL)
        return read_rest(input, buffer, size);
    if (input->terminal != NULL)
        return console_terminal_read(input->terminal, input->stop, buffer, size);
    if (input->pump != NULL)
        return console_pump_read(input->pump, input->stop, buffer, size);
    return read_file(input, buffer, size);
}

/* The read bytes before the rest of an earlier console, should that not be used up either. */
static void keep(console_input_t *input, char *rest, size_t size)
{
    size_t old = input->rest != NULL ? input->rest_size - input->rest_taken : 0;

    if (old != 0) {
        char *both = port_realloc(rest, size + old);

        if (both != NULL) {
            memcpy(both + size, input->rest + input->rest_taken, old);
            rest = both;
            size += old;
        }
    }
    if (rest == NULL || !DuplicateHandle(GetCurrentProcess(), input->source, GetCurrentProcess(),
                                         &kept.source, 0, FALSE, DUPLICATE_SAME_ACCESS)) {
        port_free(rest);
        return;
    }
    kept.data = rest;
    kept.size = size;
}

void console_input_unread(console_input_t *input, char *rest, size_t size)
{
    LARGE_INTEGER back = {.QuadPart = -(LONGLONG)size};

    if (input->type == ASYNC_CONSOLE_TYPE_FILE &&
        SetFilePointerEx(input->file, back, NULL, FILE_CURRENT))
        port_free(rest);
    else
        keep(input, rest, size);
}

int console_input_set_mode(console_input_t *input, uint32_t mode)
{
    return input->terminal != NULL ? console_terminal_set_mode(input->terminal, mode) : ENOTTY;
}

void console_input_restore(console_input_t *input)
{
    if (input->terminal != NULL)
        console_terminal_restore(input->terminal);
}

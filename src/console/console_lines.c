/* SPDX-License-Identifier: MIT */
#include "console/console_lines.h"
#include "port/port_memory.h"

#include <errno.h>
#include <string.h>

#define ESC 0x1b

int console_lines_init(console_lines_t *lines, size_t max_msg_size)
{
    memset(lines, 0, sizeof(*lines));
    lines->text = port_alloc(max_msg_size);
    lines->limit = max_msg_size - 1;
    return lines->text != NULL ? 0 : ENOMEM;
}

void console_lines_deinit(console_lines_t *lines)
{
    port_free(lines->text);
    lines->text = NULL;
}

/* How long the UTF-8 sequence is that begins with byte; 1 for what begins none. */
static size_t utf8_length(unsigned char byte)
{
    if (byte < 0xc2 || byte > 0xf4)
        return 1;
    return byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

static bool utf8_continues(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

/* The length of the incomplete sequence at the end of text, 0 when it ends with a whole one. */
static size_t utf8_tail(const char *text, size_t size)
{
    for (size_t n = 1; n <= CONSOLE_LINES_TAIL && n <= size; n++) {
        if (!utf8_continues(text[size - n]))
            return utf8_length((unsigned char)text[size - n]) > n ? n : 0;
    }
    return 0;
}

/* Hands out the first `size` bytes of text; the others begin the next message. */
static size_t hand_out(console_lines_t *lines, size_t size)
{
    lines->tail_size = lines->fill - size;
    memcpy(lines->tail, lines->text + size, lines->tail_size);
    lines->text[size] = '\0';
    lines->fill = 0;
    lines->ready = size;
    return size + 1;
}

/* Text is full: a piece, cut where a character ends. */
static size_t hand_out_piece(console_lines_t *lines)
{
    size_t tail = utf8_tail(lines->text, lines->fill);

    return hand_out(lines, tail < lines->fill ? lines->fill - tail : lines->fill);
}

/* The message that was handed out is done with. */
static void begin_next(console_lines_t *lines)
{
    if (lines->ready == 0)
        return;
    memcpy(lines->text, lines->tail, lines->tail_size);
    lines->fill = lines->tail_size;
    lines->ready = 0;
    lines->tail_size = 0;
    lines->crlf = false;
}

/* Copies bytes up to the next CR or LF, and no more than fit. */
static void take_run(console_lines_t *lines, const char **input, size_t *size)
{
    size_t room = lines->limit - lines->fill, count = 0;

    if (room > *size)
        room = *size;
    while (count < room && (*input)[count] != '\n' && (*input)[count] != '\r')
        count++;
    memcpy(lines->text + lines->fill, *input, count);
    lines->fill += count;
    *input += count;
    *size -= count;
}

static size_t next_line(console_lines_t *lines, const char **input, size_t *size)
{
    while (*size > 0) {
        char byte = **input;

        if (lines->cr && byte != '\n') {
            lines->text[lines->fill++] = '\r';
            lines->cr = false;
        } else if (byte == '\n') {
            lines->text[lines->fill++] = '\n';
            lines->crlf = lines->cr;
            lines->cr = false;
            ++*input, --*size;
            return hand_out(lines, lines->fill);
        } else if (byte == '\r') {
            lines->cr = true;
            ++*input, --*size;
        } else {
            take_run(lines, input, size);
        }
        if (lines->fill == lines->limit)
            return hand_out_piece(lines);
    }
    return 0;
}

/* Whether byte belongs to the escape sequence in text: CSI (ESC [ ... final), SS3 (ESC O x), or a
 * key with Alt (ESC and a character).  The Linux console sends ESC [ [ A for F1. */
static bool escape_continues(const char *text, size_t size, char byte)
{
    unsigned char b = (unsigned char)byte, last = (unsigned char)text[size - 1];

    if (size == 1)
        return b >= 0x20;
    if (text[1] != '[' && text[1] != 'O')
        return utf8_tail(text + 1, size - 1) != 0 && utf8_continues(byte);
    if (b < 0x20 || b > 0x7e)
        return false;
    if (size == 2 || text[1] == 'O')
        return size == 2;
    return last < 0x40 || (size == 3 && last == '[');
}

static bool key_continues(const console_lines_t *lines, char byte)
{
    if (lines->text[0] == ESC)
        return escape_continues(lines->text, lines->fill, byte);
    return utf8_tail(lines->text, lines->fill) != 0 && utf8_continues(byte);
}

/* What arrives in one read and could be an escape sequence is taken for one; the rest of a
 * character is waited for. */
static size_t next_key(console_lines_t *lines, const char **input, size_t *size)
{
    if (lines->cr && *size > 0 && **input != '\n') {
        lines->text[lines->fill++] = '\r';
        lines->cr = false;
        return hand_out(lines, lines->fill);
    }
    while (*size > 0) {
        if (lines->fill > 0 && !key_continues(lines, **input))
            return hand_out(lines, lines->fill);
        if (**input == '\r' && *size > 1 && (*input)[1] == '\n') {
            lines->cr = true;
            ++*input, --*size;
        }
        if (**input == '\n') {
            lines->crlf = lines->cr;
            lines->cr = false;
        }
        lines->text[lines->fill++] = **input;
        ++*input, --*size;
        if (lines->fill == lines->limit)
            return hand_out(lines, lines->fill);
    }
    if (lines->fill > 0 && utf8_tail(lines->text, lines->fill) == 0)
        return hand_out(lines, lines->fill);
    return 0;
}

size_t console_lines_next(console_lines_t *lines, const char **input, size_t *size, bool keys)
{
    begin_next(lines);
    return keys ? next_key(lines, input, size) : next_line(lines, input, size);
}

size_t console_lines_finish(console_lines_t *lines)
{
    begin_next(lines);
    if (lines->cr) {
        lines->text[lines->fill++] = '\r';
        lines->cr = false;
    }
    return lines->fill > 0 ? hand_out(lines, lines->fill) : 0;
}

size_t console_lines_rest(const console_lines_t *lines)
{
    return lines->ready + lines->tail_size + lines->fill + (lines->crlf ? 1 : 0) +
           (lines->cr ? 1 : 0);
}

void console_lines_save(const console_lines_t *lines, char *rest)
{
    memcpy(rest, lines->text, lines->ready + lines->fill);
    rest += lines->ready + lines->fill;
    if (lines->crlf) {
        rest[-1] = '\r';
        *rest++ = '\n';
    }
    memcpy(rest, lines->tail, lines->tail_size);
    if (lines->cr)
        rest[lines->tail_size] = '\r';
}

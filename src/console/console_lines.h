/* SPDX-License-Identifier: MIT */
/*
 * console_lines.h - makes messages of the bytes that a console reads: lines, or single keys
 *
 * A message is text with a NUL behind it that its size counts.  In line mode it ends with '\n'
 * (CRLF becomes '\n', a lone CR stays), or it is a piece of a line that is longer than a message; a
 * piece never ends within a UTF-8 sequence unless the sequence alone is longer than a message.  In
 * key mode it is what one key sends: a character or an escape sequence.
 */
#ifndef CONSOLE_LINES_H
#define CONSOLE_LINES_H

#include <stdbool.h>

#include <stddef.h>

#define CONSOLE_LINES_TAIL 3 /* an incomplete UTF-8 sequence is at most this long */

/* One thread at a time. */
typedef struct console_lines {
    char *text;   /* limit + 1 bytes: the message that was handed out, then the one that grows */
    size_t limit; /* bytes of text in a message, without the NUL */
    size_t fill;  /* bytes that grow in text; below limit between calls */
    size_t ready; /* bytes of the message that was handed out last, 0 if none */
    bool cr;      /* a CR has come and is not in text: the next byte tells whether it is kept */
    bool crlf;    /* the message that was handed out ended with CRLF */
    char tail[CONSOLE_LINES_TAIL]; /* what follows a piece, while the piece is in text */
    size_t tail_size;
} console_lines_t;

/* max_msg_size: bytes with the NUL, at least 2.  Returns 0 or ENOMEM. */
int console_lines_init(console_lines_t *lines, size_t max_msg_size);
void console_lines_deinit(console_lines_t *lines);

/*
 * Takes bytes from *input, moves it on and lessens *size.  Returns the size of the next message,
 * which is at lines->text until the next call; 0: all input is taken and no message is complete.
 */
size_t console_lines_next(console_lines_t *lines, const char **input, size_t *size, bool keys);

/* The input has ended: returns the size of the last message, a line without a newline, or 0. */
size_t console_lines_finish(console_lines_t *lines);

/*
 * The input that was taken and has not been delivered, the message that was handed out last
 * included: how many bytes, and a copy of them.
 */
size_t console_lines_rest(const console_lines_t *lines);
void console_lines_save(const console_lines_t *lines, char *rest);

#endif /* CONSOLE_LINES_H */

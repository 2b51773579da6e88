/* SPDX-License-Identifier: MIT */
/*
 * The input is a stream of bytes and how it comes in pieces.  The messages that the console makes
 * of it must be those of a plain reading of the whole, whatever the pieces; what is given back in
 * the middle must be the end of what was taken.
 */
#include "console/console_lines.h"
#include "fuzz.h"

#define CHUNKS 8u
#define LIMIT_MAX 40u

const char fuzz_name[] = "lines";
const unsigned fuzz_rounds = 20000;
const size_t fuzz_max_input = 300;

typedef struct stream {
    const uint8_t *bytes;
    size_t size;
    uint8_t chunks[CHUNKS]; /* the sizes of the pieces, in turn */
    size_t limit;           /* bytes in a message */
} stream_t;

/* Messages, one after the other. */
typedef struct messages {
    uint8_t *text; /* the stream without the CR of each CRLF: the messages are parts of it */
    size_t size;
    size_t *ends; /* of each message, in text */
    size_t count;
    size_t origin; /* where the stream goes on behind them */
} messages_t;

/* Length of the well-formed UTF-8 sequence at the beginning, 1 where there is none. */
static size_t sequence(const uint8_t *at, const uint8_t *end)
{
    size_t length = *at >= 0xf0 && *at <= 0xf4   ? 4
                    : *at >= 0xe0 && *at <= 0xef ? 3
                    : *at >= 0xc2 && *at <= 0xdf ? 2
                                                 : 1;

    for (size_t i = 1; i < length; i++) {
        if (at + i == end || (at[i] & 0xc0) != 0x80)
            return 1;
    }
    return length;
}

/* ---- messages */

/* 0 stands for all that is left. */
static size_t chunk_size(const stream_t *stream, unsigned turn, size_t taken)
{
    size_t chunk = stream->chunks[turn % CHUNKS] % 128, left = stream->size - taken;

    return chunk == 0 || chunk > left ? left : chunk;
}

/* One message, its NUL included, goes behind those that are there. */
static void add(messages_t *messages, const stream_t *stream, const console_lines_t *lines,
                size_t size)
{
    FUZZ_CHECK(size >= 2 && size - 1 <= lines->limit, "%zu bytes", size);
    FUZZ_CHECK(lines->text[size - 1] == '\0', "no NUL");
    fuzz_trace("message: %zu bytes", size - 1);
    memcpy(messages->text + messages->size, lines->text, size - 1);
    messages->size += size - 1;
    for (size_t i = 0; i < size - 1; i++) {
        if (lines->text[i] == '\n' && stream->bytes[messages->origin] == '\r')
            messages->origin++;
        FUZZ_CHECK(messages->origin < stream->size &&
                       stream->bytes[messages->origin] == (uint8_t)lines->text[i],
                   "byte %zu of the message is not the stream's", i);
        messages->origin++;
    }
    messages->ends[messages->count++] = messages->size;
}

/* What the next reader would get: all that was taken from begin on, as it came. */
static void check_rest(const console_lines_t *lines, const stream_t *stream, size_t begin,
                       size_t taken)
{
    size_t rest = console_lines_rest(lines);
    char *saved = malloc(rest + 1);

    FUZZ_CHECK(saved != NULL && rest == taken - begin, "%zu of %zu", rest, taken - begin);
    console_lines_save(lines, saved);
    FUZZ_CHECK(memcmp(saved, stream->bytes + begin, rest) == 0,
               "the %zu bytes from %zu on are given back changed", rest, begin);
    free(saved);
}

enum { LINES, KEYS, BOTH };

static void run(const stream_t *stream, int mode, messages_t *messages)
{
    console_lines_t lines;
    size_t taken = 0, begin, size;

    if (console_lines_init(&lines, stream->limit + 1) != 0)
        abort();
    for (unsigned turn = 0; taken < stream->size; turn++) {
        size_t chunk = chunk_size(stream, turn, taken), left;
        bool keys = mode == KEYS || (mode == BOTH && stream->chunks[turn % CHUNKS] >= 128);
        const char *at;
        char *copy;

        copy = malloc(chunk); /* so that reading beyond it can be seen */
        if (copy == NULL)
            abort();
        memcpy(copy, stream->bytes + taken, chunk);
        at = copy;
        left = chunk;
        fuzz_trace("input: %zu bytes", chunk);
        while ((size = console_lines_next(&lines, &at, &left, keys)) != 0) {
            FUZZ_CHECK(at + left == copy + chunk, "at and size do not agree");
            begin = messages->origin;
            add(messages, stream, &lines, size);
            check_rest(&lines, stream, begin, taken + chunk - left);
        }
        FUZZ_CHECK(left == 0, "%zu bytes are left", left);
        taken += chunk;
        check_rest(&lines, stream, messages->origin, taken);
        free(copy);
    }
    size = console_lines_finish(&lines);
    if (size != 0)
        add(messages, stream, &lines, size);
    size = console_lines_finish(&lines);
    FUZZ_CHECK(size == 0, "a second end, %zu bytes", size);
    console_lines_deinit(&lines);
}

/* ---- the plain reading */

static size_t without_cr(const uint8_t *from, size_t size, uint8_t *to)
{
    size_t count = 0;

    for (size_t i = 0; i < size; i++) {
        if (from[i] != '\r' || i + 1 == size || from[i + 1] != '\n')
            to[count++] = from[i];
    }
    return count;
}

/* A piece of a line that goes on: full, or less by a character that would be cut. */
static void check_piece(const messages_t *is, size_t from, size_t to, size_t end, size_t limit)
{
    size_t size = to - from, at = from;

    if (size < limit) {
        FUZZ_CHECK(size + 4 > limit, "a piece of %zu bytes of %zu", size, limit);
        FUZZ_CHECK(is->text[to] >= 0xc2 && is->text[to] <= 0xf4,
                   "a piece of %zu bytes ends before no character", size);
    }
    while (at < to)
        at += sequence(is->text + at, is->text + end);
    FUZZ_CHECK(at == to || sequence(is->text + from, is->text + end) > limit,
               "a piece ends in a character");
}

static void check_lines(const stream_t *stream, const messages_t *is)
{
    size_t from = 0, message = 0;

    while (from < is->size) {
        const uint8_t *newline = memchr(is->text + from, '\n', is->size - from);
        size_t end = newline != NULL ? (size_t)(newline - is->text) + 1 : is->size;

        /* its messages end with it */
        while (from < end) {
            size_t to;

            FUZZ_CHECK(message < is->count, "too few messages");
            to = is->ends[message++];
            FUZZ_CHECK(to <= end, "a message goes on behind a newline");
            if (to < end)
                check_piece(is, from, to, end, stream->limit);
            from = to;
        }
    }
    FUZZ_CHECK(message == is->count, "too many messages");
}

/* A message is one character, or begins with ESC. */
static void check_keys(const messages_t *is, size_t limit)
{
    size_t from = 0;

    for (size_t i = 0; i < is->count; i++) {
        size_t size = is->ends[i] - from;

        FUZZ_CHECK(is->text[from] == 0x1b || size <= 4, "a key of %zu bytes", size);
        if (is->text[from] != 0x1b && size > 1 && size < limit)
            FUZZ_CHECK(is->text[from] >= 0xc2 && is->text[from] <= 0xf4, "%zu bytes for a key",
                       size);
        from = is->ends[i];
    }
}

static messages_t messages_for(const stream_t *stream)
{
    messages_t messages = {malloc(stream->size + 1), 0, NULL, 0, 0};

    messages.ends = malloc((stream->size + 1) * sizeof(*messages.ends));
    if (messages.text == NULL || messages.ends == NULL)
        abort();
    return messages;
}

static void messages_free(messages_t *messages)
{
    free(messages->text);
    free(messages->ends);
}

static void test_lines(const stream_t *stream)
{
    messages_t pieces = messages_for(stream), whole = messages_for(stream);
    stream_t at_once = *stream;
    uint8_t *text = malloc(stream->size + 1);
    size_t size;

    if (text == NULL)
        abort();
    run(stream, LINES, &pieces);
    size = without_cr(stream->bytes, stream->size, text);
    FUZZ_CHECK(size == pieces.size && memcmp(text, pieces.text, size) == 0,
               "%zu bytes in messages, not %zu, or others", pieces.size, size);
    check_lines(stream, &pieces);

    memset(at_once.chunks, 0, sizeof(at_once.chunks));
    run(&at_once, LINES, &whole);
    FUZZ_CHECK(pieces.count == whole.count &&
                   memcmp(pieces.ends, whole.ends, whole.count * sizeof(*whole.ends)) == 0,
               "other messages when the input comes in pieces");
    messages_free(&pieces);
    messages_free(&whole);
    free(text);
}

/* A CR and an LF are one key when they come together. */
static void test_keys(const stream_t *stream)
{
    messages_t keys = messages_for(stream);
    uint8_t *text = malloc(stream->size + 1);
    size_t size = 0, taken = 0;

    if (text == NULL)
        abort();
    run(stream, KEYS, &keys);
    for (unsigned turn = 0; taken < stream->size; turn++) {
        size_t chunk = chunk_size(stream, turn, taken);

        size += without_cr(stream->bytes + taken, chunk, text + size);
        taken += chunk;
    }
    FUZZ_CHECK(size == keys.size && memcmp(text, keys.text, size) == 0,
               "%zu bytes in keys, not %zu, or others", keys.size, size);
    check_keys(&keys, stream->limit);
    messages_free(&keys);
    free(text);
}

/* As when a program changes the mode while input comes. */
static void test_both(const stream_t *stream)
{
    messages_t messages = messages_for(stream);

    run(stream, BOTH, &messages);
    FUZZ_CHECK(messages.origin == stream->size, "%zu bytes of %zu", messages.origin, stream->size);
    messages_free(&messages);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input_t input = {data, data + size};
    stream_t stream;

    stream.limit = 1 + fuzz_below(&input, LIMIT_MAX);
    fuzz_bytes(&input, stream.chunks, CHUNKS);
    stream.bytes = input.at;
    stream.size = (size_t)(input.end - input.at);
    if (stream.size == 0)
        return 0;
    fuzz_trace("%zu bytes, messages of %zu", stream.size, stream.limit);
    test_lines(&stream);
    fuzz_trace("the same, keys");
    test_keys(&stream);
    fuzz_trace("the same, now lines, now keys");
    test_both(&stream);
    return 0;
}

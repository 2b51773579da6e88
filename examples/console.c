/* SPDX-License-Identifier: MIT */
/*
 * console - an interactive shell: what arrives while you type is shown without spoiling your line
 *
 * In character mode (the default on a terminal) the program edits the line itself: a message erases
 * it, is printed, and the line is drawn again.  In line mode the terminal edits, and messages wait
 * until the line is done.  Either way nothing is lost: `history` shows all that came while typing.
 *
 *     help | say TEXT | news COUNT | history | mode line | mode char | quit
 */
#include <asyncrt.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 256, HISTORY = 100, KEY_INPUT = 1, KEY_NEWS = 2 };

static struct shell {
    async_runtime_t *runtime;
    async_console_t *console;
    async_queue_t *input; /* lines, or keys in character mode */
    async_queue_t *news;  /* from the worker */
    async_worker_t *worker;
    bool terminal, characters, quit;
    int wanted; /* how many news the worker is to send */
    size_t size;
    char line[LINE_BYTES]; /* character mode: what has been typed */
    int arrived;
    char history[HISTORY][LINE_BYTES]; /* what came while something was typed, a ring */
} shell;

static void draw(void)
{
    if (shell.terminal)
        printf("> %.*s", shell.characters ? (int)shell.size : 0, shell.line);
    fflush(stdout);
}

static void *send_news(void *context)
{
    struct shell *all = context;
    char text[64];

    for (int i = 1; i <= all->wanted; i++) {
        if (async_worker_wait_stop(NULL, 200))
            break;
        snprintf(text, sizeof(text), "news %d of %d", i, all->wanted);
        if (!async_queue_enqueue(all->news, text, strlen(text) + 1))
            break;
    }
    return NULL;
}

static void stop_news(void)
{
    if (shell.worker == NULL)
        return;
    async_worker_signal_stop(shell.worker);
    async_worker_join(shell.worker, -1);
    async_worker_destroy(shell.worker);
    shell.worker = NULL;
}

static void show_news(void)
{
    char text[LINE_BYTES];

    while (async_queue_dequeue(shell.news, text, sizeof(text), NULL)) {
        bool typing = shell.characters && shell.size > 0;

        if (shell.characters)
            printf("\r\033[K");
        printf("* %s\n", text);
        if (typing)
            snprintf(shell.history[shell.arrived++ % HISTORY], LINE_BYTES, "%s", text);
        if (shell.characters)
            draw();
    }
    fflush(stdout);
}

static void set_mode(bool characters)
{
    uint32_t mode = characters ? 0 : ASYNC_CONSOLE_LINE | ASYNC_CONSOLE_ECHO;

    if (async_console_set_mode(shell.console, mode) != 0) {
        printf("no terminal: %s\n", strerror(async_last_error()));
        return;
    }
    shell.characters = characters;
}

static void command(const char *line)
{
    if (strcmp(line, "help") == 0) {
        puts("help | say TEXT | news COUNT | history | mode line | mode char | quit");
    } else if (strncmp(line, "say ", 4) == 0) {
        puts(line + 4);
    } else if (strncmp(line, "news ", 5) == 0 && atoi(line + 5) > 0) {
        stop_news();
        shell.wanted = atoi(line + 5);
        shell.worker = async_worker_create(send_news, &shell, 0);
    } else if (strcmp(line, "history") == 0) {
        int first = shell.arrived > HISTORY ? shell.arrived - HISTORY : 0;

        printf("%d came while you typed\n", shell.arrived);
        for (int i = first; i < shell.arrived; i++)
            printf("  %s\n", shell.history[i % HISTORY]);
    } else if (strcmp(line, "mode line") == 0 || strcmp(line, "mode char") == 0) {
        set_mode(line[5] == 'c');
    } else if (strcmp(line, "quit") == 0) {
        shell.quit = true;
    } else if (line[0] != '\0') {
        printf("unknown: %s (try help)\n", line);
    }
}

/* Character mode: one key, as the terminal sends it. */
static void key(char c)
{
    if (c == '\r' || c == '\n') {
        shell.line[shell.size] = '\0';
        shell.size = 0;
        putchar('\n');
        command(shell.line);
        if (!shell.quit)
            draw();
    } else if (c == 4 && shell.size == 0) { /* ^D */
        shell.quit = true;
    } else if (c == 127 || c == '\b') {
        while (shell.size > 0 && ((unsigned char)shell.line[--shell.size] & 0xc0) == 0x80)
            continue; /* a whole UTF-8 character */
        printf("\r\033[K");
        draw();
    } else if ((unsigned char)c >= ' ' && shell.size + 1 < sizeof(shell.line)) {
        shell.line[shell.size++] = c;
        putchar(c);
    }
    fflush(stdout);
}

static void take_input(void)
{
    char text[LINE_BYTES];
    size_t size;

    while (!shell.quit && async_queue_dequeue(shell.input, text, sizeof(text), &size)) {
        if (shell.characters) {
            for (size_t i = 0; i + 1 < size && !shell.quit; i++)
                key(text[i]);
        } else {
            text[strcspn(text, "\n")] = '\0';
            command(text);
            if (!shell.quit)
                draw();
        }
    }
}

static void loop(void)
{
    async_event_t events[16];

    draw();
    while (!shell.quit) {
        int n = async_runtime_wait(shell.runtime, events, 16, -1);

        for (int i = 0; i < n; i++) {
            if ((events[i].event_type & ASYNC_EVENT_SIGNAL) != 0) {
                shell.quit = true;
            } else if (events[i].completion_key == KEY_NEWS) {
                show_news();
            } else {
                take_input();
                shell.quit = shell.quit || events[i].data == 1; /* the end of the input */
            }
        }
    }
}

int main(void)
{
    async_runtime_stats_t stats;

    shell.runtime = async_runtime_init();
    shell.input = async_queue_create(64, LINE_BYTES, ASYNC_QUEUE_BLOCK_WRITER);
    shell.news = async_queue_create(64, LINE_BYTES, ASYNC_QUEUE_BLOCK_WRITER);
    if (shell.news == NULL || async_runtime_bind_queue(shell.runtime, shell.news, KEY_NEWS) != 0 ||
        async_runtime_add_signal(shell.runtime, SIGTERM, NULL) != 0 ||
        async_runtime_add_signal(shell.runtime, SIGINT, NULL) != 0 ||
        (shell.console = async_console_create(shell.runtime, shell.input, KEY_INPUT)) == NULL) {
        fprintf(stderr, "console: cannot start: %s\n", strerror(async_last_error()));
        return 1;
    }
    printf("input is %s; help tells what there is\n",
           async_console_type_name(async_console_get_type(shell.console)));
    shell.terminal = async_console_get_type(shell.console) == ASYNC_CONSOLE_TYPE_REAL;
    if (shell.terminal)
        set_mode(true);
    loop();
    async_console_destroy(shell.console); /* the terminal is as it was */
    async_queue_close(shell.news);
    stop_news();
    async_runtime_get_stats(shell.runtime, &stats);
    printf("\nbye; the loop waited %llu times and was never blocked\n",
           (unsigned long long)stats.waits);
    async_queue_destroy(shell.input);
    async_queue_destroy(shell.news);
    async_runtime_deinit(shell.runtime);
    return 0;
}

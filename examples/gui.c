/* SPDX-License-Identifier: MIT */
/*
 * gui - a GTK window whose main loop has a runtime nested in it
 *
 *     gui [SECONDS]            ends by itself after SECONDS
 *
 * The runtime is one GSource: its descriptor (async_runtime_get_fd) is polled by GLib, its next
 * timer (async_runtime_get_timeout) bounds GLib's sleep, and when either is due
 * async_runtime_wait() with timeout 0 hands out the events.  What is typed goes to a worker through
 * one queue, and its answers come back through another; the window never waits for either.
 */
#include <asyncrt.h>

#include <ctype.h>
#include <gtk/gtk.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 256, KEY_ANSWER = 1 };

static struct gui {
    async_runtime_t *runtime;
    async_queue_t *to_worker, *from_worker;
    async_worker_t *worker;
    GtkWidget *window, *entry, *list, *status;
    unsigned ticks, answers, left;
    uint64_t tick, end;
    GSource *source;
} gui;

struct runtime_source {
    GSource base;
    gpointer tag;
};

/* The worker: something that takes its time. */
static void *work(void *context)
{
    struct gui *all = context;
    char text[TEXT_BYTES];
    size_t size;

    while (async_queue_wait(all->to_worker, -1)) {
        while (async_queue_dequeue(all->to_worker, text, sizeof(text), &size)) {
            if (async_worker_wait_stop(NULL, 300))
                return NULL;
            for (size_t i = 0; i < size; i++)
                text[i] = (char)toupper((unsigned char)text[i]);
            async_queue_enqueue(all->from_worker, text, size);
        }
    }
    return NULL;
}

static void show(const char *text)
{
    GtkWidget *label = gtk_label_new(text);

    gtk_label_set_xalign(GTK_LABEL(label), 0);
    gtk_list_box_insert(GTK_LIST_BOX(gui.list), label, 0);
    gtk_widget_show_all(gui.list);
}

static void show_answers(void)
{
    char text[TEXT_BYTES], line[TEXT_BYTES + 32];

    while (async_queue_dequeue(gui.from_worker, text, sizeof(text), NULL)) {
        g_snprintf(line, sizeof(line), "the worker answers: %s", text);
        show(line);
        gui.answers++;
    }
}

static void show_status(void)
{
    async_runtime_stats_t stats;
    char line[TEXT_BYTES];

    async_runtime_get_stats(gui.runtime, &stats);
    g_snprintf(line, sizeof(line), "%s runtime: %u ticks, %u answers, %lu completions",
               async_runtime_get_backend(gui.runtime), gui.ticks, gui.answers,
               (unsigned long)stats.completions_delivered);
    gtk_label_set_text(GTK_LABEL(gui.status), line);
}

static gboolean source_prepare(GSource *source, gint *timeout)
{
    (void)source;
    *timeout = async_runtime_get_timeout(gui.runtime);
    return *timeout == 0;
}

static gboolean source_check(GSource *source)
{
    const struct runtime_source *own = (struct runtime_source *)source;

    return g_source_query_unix_fd(source, own->tag) != 0 ||
           async_runtime_get_timeout(gui.runtime) == 0;
}

static gboolean source_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    async_event_t events[16];
    int n = async_runtime_wait(gui.runtime, events, 16, 0);

    (void)source;
    (void)callback;
    (void)data;
    for (int i = 0; i < n; i++) {
        if ((events[i].event_type & ASYNC_EVENT_SIGNAL) != 0) {
            gtk_main_quit();
        } else if ((events[i].event_type & ASYNC_EVENT_TIMER) != 0) {
            if (events[i].context == &gui.end)
                gtk_main_quit();
            else
                gui.ticks += (unsigned)events[i].data;
        } else if (events[i].completion_key == KEY_ANSWER) {
            show_answers();
        }
    }
    show_status();
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_functions = {
    .prepare = source_prepare, .check = source_check, .dispatch = source_dispatch};

static void entered(GtkEntry *entry, gpointer data)
{
    const char *text = gtk_entry_get_text(entry);

    (void)data;
    if (text[0] == '\0')
        return;
    /* a full queue is an answer too: the window does not wait */
    if (!async_queue_enqueue(gui.to_worker, text, MIN(strlen(text) + 1, TEXT_BYTES)))
        show("the worker has enough to do");
    gtk_entry_set_text(entry, "");
}

static void build_window(void)
{
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 6);
    GtkWidget *scroll = gtk_scrolled_window_new(NULL, NULL);

    gui.window = gtk_window_new(GTK_WINDOW_TOPLEVEL);
    gtk_window_set_title(GTK_WINDOW(gui.window), "libasyncrt in a GLib main loop");
    gtk_window_set_default_size(GTK_WINDOW(gui.window), 480, 320);
    gtk_container_set_border_width(GTK_CONTAINER(gui.window), 8);
    gui.entry = gtk_entry_new();
    gtk_entry_set_placeholder_text(GTK_ENTRY(gui.entry), "type something for the worker");
    gtk_entry_set_max_length(GTK_ENTRY(gui.entry), TEXT_BYTES / 4 - 1);
    gui.list = gtk_list_box_new();
    gui.status = gtk_label_new("");
    gtk_label_set_xalign(GTK_LABEL(gui.status), 0);
    gtk_container_add(GTK_CONTAINER(scroll), gui.list);
    gtk_box_pack_start(GTK_BOX(box), gui.entry, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), scroll, TRUE, TRUE, 0);
    gtk_box_pack_start(GTK_BOX(box), gui.status, FALSE, FALSE, 0);
    gtk_container_add(GTK_CONTAINER(gui.window), box);
    g_signal_connect(gui.entry, "activate", G_CALLBACK(entered), NULL);
    g_signal_connect(gui.window, "destroy", G_CALLBACK(gtk_main_quit), NULL);
    gtk_widget_show_all(gui.window);
}

static bool start(unsigned seconds)
{
    async_fd_t fd;

    gui.runtime = async_runtime_init();
    gui.to_worker = async_queue_create(4, TEXT_BYTES, ASYNC_QUEUE_SIGNAL_ON_DATA);
    gui.from_worker = async_queue_create(16, TEXT_BYTES, ASYNC_QUEUE_BLOCK_WRITER);
    if (gui.to_worker == NULL || gui.from_worker == NULL ||
        async_runtime_bind_queue(gui.runtime, gui.from_worker, KEY_ANSWER) != 0)
        return false;
    fd = async_runtime_get_fd(gui.runtime);
    if (fd == ASYNC_INVALID_FD)
        return false; /* the poll backend cannot be nested */
    gui.worker = async_worker_create(work, &gui, 0);
    if (gui.worker == NULL || async_runtime_add_signal(gui.runtime, SIGTERM, NULL) != 0 ||
        async_runtime_add_timer(gui.runtime, 500000, 500000, &gui.tick) == 0 ||
        (seconds > 0 &&
         async_runtime_add_timer(gui.runtime, seconds * 1000000ull, 0, &gui.end) == 0))
        return false;
    gui.source = g_source_new(&source_functions, sizeof(struct runtime_source));
    ((struct runtime_source *)gui.source)->tag = g_source_add_unix_fd(gui.source, fd, G_IO_IN);
    g_source_attach(gui.source, NULL);
    return true;
}

int main(int argc, char **argv)
{
    unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 0;

    if (!gtk_init_check(&argc, &argv)) {
        fprintf(stderr, "gui: there is no display\n");
        return 1;
    }
    if (!start(seconds)) {
        fprintf(stderr, "gui: cannot start: %s\n", strerror(async_last_error()));
        return 1;
    }
    build_window();
    show("a timer of the runtime ticks twice a second");
    async_queue_enqueue(gui.to_worker, "hello from the window", 22);
    gtk_main();
    printf("%u ticks, %u answers; GLib's loop was never blocked\n", gui.ticks, gui.answers);
    g_source_destroy(gui.source);
    g_source_unref(gui.source);
    async_worker_signal_stop(gui.worker);
    async_queue_close(gui.to_worker);
    async_queue_close(gui.from_worker);
    async_worker_join(gui.worker, -1);
    async_worker_destroy(gui.worker);
    async_queue_destroy(gui.to_worker);
    async_queue_destroy(gui.from_worker);
    async_runtime_deinit(gui.runtime);
    return 0;
}

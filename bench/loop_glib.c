/* SPDX-License-Identifier: MIT */
/* loop_glib.c - GLib: sources with a descriptor or a ready time; a post is an idle source */
#include "loop.h"

#ifdef HAVE_GLIB
#include "bench.h"

#include <glib-unix.h>
#include <glib.h>

typedef struct gl {
    loop_t loop;
    GMainContext *context;
} gl_t;

typedef struct fd_source {
    GSource source;
    gpointer tag;
    watch_t *watch;
} fd_source_t;

typedef struct alarm_source {
    GSource source;
    loop_alarm_t *alarm;
} alarm_source_t;

typedef struct idle_post {
    loop_t *loop;
    uintptr_t key, data;
} idle_post_t;

static GMainContext *of(loop_t *loop)
{
    return ((gl_t *)loop)->context;
}

static loop_t *gl_open(const loop_kind_t *kind)
{
    gl_t *gl = loop_make(kind, sizeof(*gl));

    gl->context = g_main_context_new();
    return &gl->loop;
}

static void gl_close(loop_t *loop)
{
    g_main_context_unref(of(loop));
    free(loop);
}

static void gl_run(loop_t *loop)
{
    for (loop->stopped = false; !loop->stopped;)
        g_main_context_iteration(of(loop), TRUE);
}

static void gl_once(loop_t *loop)
{
    g_main_context_iteration(of(loop), FALSE);
}

static void gl_stop(loop_t *loop)
{
    loop->stopped = true;
}

static gboolean arrived(gpointer arg)
{
    idle_post_t *post = arg;

    post->loop->posted(post->loop, post->data);
    return G_SOURCE_REMOVE;
}

static void gl_post(loop_t *loop, uintptr_t data)
{
    GSource *source = g_idle_source_new();
    idle_post_t *post = g_new(idle_post_t, 1);

    post->loop = loop;
    post->key = 1;
    post->data = data;
    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, arrived, post, g_free);
    g_source_attach(source, of(loop));
    g_source_unref(source);
}

static gboolean fd_dispatch(GSource *source, GSourceFunc callback, gpointer arg)
{
    watch_t *watch = ((fd_source_t *)source)->watch;

    (void)callback;
    (void)arg;
    watch->ready(watch);
    return G_SOURCE_CONTINUE;
}

static GIOCondition interest(unsigned events)
{
    return (events & LOOP_READ ? G_IO_IN : 0) | (events & LOOP_WRITE ? G_IO_OUT : 0);
}

static void gl_watch(loop_t *loop, watch_t *watch, unsigned events)
{
    static GSourceFuncs functions = {.dispatch = fd_dispatch};
    fd_source_t *source = (fd_source_t *)g_source_new(&functions, sizeof(*source));

    source->watch = watch;
    source->tag = g_source_add_unix_fd(&source->source, watch->fd, interest(events));
    watch->handle = source;
    g_source_attach(&source->source, of(loop));
}

static void gl_change(loop_t *loop, watch_t *watch, unsigned events)
{
    fd_source_t *source = watch->handle;

    (void)loop;
    g_source_modify_unix_fd(&source->source, source->tag, interest(events));
}

static void gl_unwatch(loop_t *loop, watch_t *watch)
{
    (void)loop;
    g_source_destroy(watch->handle);
    g_source_unref(watch->handle);
}

static gboolean alarm_dispatch(GSource *source, GSourceFunc callback, gpointer arg)
{
    loop_alarm_t *alarm = ((alarm_source_t *)source)->alarm;

    (void)callback;
    (void)arg;
    g_source_set_ready_time(source, -1);
    alarm->expired(alarm);
    return G_SOURCE_CONTINUE;
}

static void gl_arm(loop_t *loop, loop_alarm_t *alarm, uint64_t us)
{
    static GSourceFuncs functions = {.dispatch = alarm_dispatch};
    alarm_source_t *source = alarm->handle;

    if (source == NULL) {
        source = (alarm_source_t *)g_source_new(&functions, sizeof(*source));
        source->alarm = alarm;
        alarm->handle = source;
        g_source_attach(&source->source, of(loop));
    }
    g_source_set_ready_time(&source->source, g_get_monotonic_time() + (gint64)us);
}

static void gl_disarm(loop_t *loop, loop_alarm_t *alarm)
{
    (void)loop;
    g_source_set_ready_time(alarm->handle, -1);
}

static void gl_forget(loop_t *loop, loop_alarm_t *alarm)
{
    (void)loop;
    g_source_destroy(alarm->handle);
    g_source_unref(alarm->handle);
    alarm->handle = NULL;
}

const loop_kind_t loop_glib = {
    .name = "GLib",
    .slow = true,
    .open = gl_open,
    .close = gl_close,
    .run = gl_run,
    .once = gl_once,
    .stop = gl_stop,
    .post = gl_post,
    .watch = gl_watch,
    .change = gl_change,
    .unwatch = gl_unwatch,
    .arm = gl_arm,
    .disarm = gl_disarm,
    .forget = gl_forget,
};
#else
const loop_kind_t loop_glib = {.name = "GLib"};
#endif

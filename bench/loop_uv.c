/* SPDX-License-Identifier: MIT */
/* loop_uv.c - libuv: uv_poll_t, uv_timer_t, a mailbox with uv_async_send() after each post, streams
 * to echo */
#include "loop.h"

#ifdef HAVE_LIBUV
#include "bench.h"
#include "echo.h"

#include <uv.h>

typedef struct uvl {
    loop_t loop;
    mailbox_t box;
    uv_loop_t uv;
    uv_async_t async;
} uvl_t;

static uvl_t *of(loop_t *loop)
{
    return (uvl_t *)loop;
}

static void woken(uv_async_t *async)
{
    uvl_t *uvl = async->data;

    mailbox_deliver(&uvl->box, &uvl->loop);
}

static loop_t *uvl_open(const loop_kind_t *kind)
{
    uvl_t *uvl = loop_make(kind, sizeof(*uvl));

    mailbox_init(&uvl->box);
    bench_check(uv_loop_init(&uvl->uv) == 0, "uv_loop_init");
    uv_async_init(&uvl->uv, &uvl->async, woken);
    uvl->async.data = uvl;
    return &uvl->loop;
}

static void uvl_close(loop_t *loop)
{
    uvl_t *uvl = of(loop);

    uv_close((uv_handle_t *)&uvl->async, NULL);
    uv_run(&uvl->uv, UV_RUN_DEFAULT);
    bench_check(uv_loop_close(&uvl->uv) == 0, "uv_loop_close");
    mailbox_free(&uvl->box);
    free(uvl);
}

static void uvl_run(loop_t *loop)
{
    uv_run(&of(loop)->uv, UV_RUN_DEFAULT);
}

static void uvl_once(loop_t *loop)
{
    uv_run(&of(loop)->uv, UV_RUN_NOWAIT);
}

static void uvl_stop(loop_t *loop)
{
    uv_stop(&of(loop)->uv);
}

static void uvl_post(loop_t *loop, uintptr_t data)
{
    mailbox_put(&of(loop)->box, data);
    uv_async_send(&of(loop)->async);
}

static void polled(uv_poll_t *poll, int status, int events)
{
    watch_t *watch = poll->data;

    (void)status;
    (void)events;
    watch->ready(watch);
}

static void uvl_change(loop_t *loop, watch_t *watch, unsigned events)
{
    (void)loop;
    uv_poll_start(watch->handle,
                  (events & LOOP_READ ? UV_READABLE : 0) | (events & LOOP_WRITE ? UV_WRITABLE : 0),
                  polled);
}

static void uvl_watch(loop_t *loop, watch_t *watch, unsigned events)
{
    uv_poll_t *poll = malloc(sizeof(*poll));

    bench_check(poll != NULL, "malloc");
    bench_check(uv_poll_init(&of(loop)->uv, poll, watch->fd) == 0, "uv_poll_init");
    poll->data = watch;
    watch->handle = poll;
    uvl_change(loop, watch, events);
}

static void closed(uv_handle_t *handle)
{
    free(handle);
}

static void uvl_unwatch(loop_t *loop, watch_t *watch)
{
    (void)loop;
    uv_close(watch->handle, closed);
}

static void timed(uv_timer_t *timer)
{
    loop_alarm_t *alarm = timer->data;

    alarm->expired(alarm);
}

static void uvl_arm(loop_t *loop, loop_alarm_t *alarm, uint64_t us)
{
    uv_timer_t *timer = alarm->handle;

    if (timer == NULL) {
        timer = malloc(sizeof(*timer));
        bench_check(timer != NULL, "malloc");
        uv_timer_init(&of(loop)->uv, timer);
        timer->data = alarm;
        alarm->handle = timer;
    }
    uv_timer_start(timer, timed, (us + 999) / 1000, 0);
}

static void uvl_disarm(loop_t *loop, loop_alarm_t *alarm)
{
    (void)loop;
    uv_timer_stop(alarm->handle);
}

static void uvl_forget(loop_t *loop, loop_alarm_t *alarm)
{
    (void)loop;
    uv_close(alarm->handle, closed);
    alarm->handle = NULL;
}

/* ---- An echo server of streams. ---- */

typedef struct connection {
    uv_tcp_t tcp;
    uv_write_t write;
    char buffer[ECHO_BUFFER];
} connection_t;

static void give_buffer(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    connection_t *connection = handle->data;

    (void)size;
    *buf = uv_buf_init(connection->buffer, ECHO_BUFFER);
}

static void have_written(uv_write_t *write, int status)
{
    (void)write;
    (void)status;
}

static void have_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    connection_t *connection = stream->data;
    uv_buf_t out;

    if (count < 0)
        uv_close((uv_handle_t *)stream, closed);
    if (count <= 0)
        return;
    out = uv_buf_init(buf->base, (unsigned)count);
    uv_write(&connection->write, stream, &out, 1, have_written);
}

static void have_connection(uv_stream_t *server, int status)
{
    connection_t *connection = calloc(1, sizeof(*connection));

    bench_check(connection != NULL && status == 0, "uv_listen");
    uv_tcp_init(server->loop, &connection->tcp);
    connection->tcp.data = connection;
    uv_accept(server, (uv_stream_t *)&connection->tcp);
    uv_tcp_nodelay(&connection->tcp, 1);
    uv_read_start((uv_stream_t *)&connection->tcp, give_buffer, have_read);
}

static void uvl_serve(loop_t *loop, int listener)
{
    uv_tcp_t server;

    uv_tcp_init(&of(loop)->uv, &server);
    uv_tcp_open(&server, listener);
    uv_listen((uv_stream_t *)&server, 1024, have_connection);
    uv_run(&of(loop)->uv, UV_RUN_DEFAULT);
}

const loop_kind_t loop_uv = {
    .name = "libuv",
    .many = true,
    .open = uvl_open,
    .close = uvl_close,
    .run = uvl_run,
    .once = uvl_once,
    .stop = uvl_stop,
    .post = uvl_post,
    .watch = uvl_watch,
    .change = uvl_change,
    .unwatch = uvl_unwatch,
    .arm = uvl_arm,
    .disarm = uvl_disarm,
    .forget = uvl_forget,
    .serve = uvl_serve,
};
#else
const loop_kind_t loop_uv = {.name = "libuv"};
#endif

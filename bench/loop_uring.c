/* SPDX-License-Identifier: MIT */
/* loop_uring.c - io_uring by hand: an echo server, one request in flight for each connection */
#include "loop.h"

#ifdef BACKEND_URING
#include "bench.h"
#include "echo.h"

#include <liburing.h>
#include <unistd.h>

typedef struct connection {
    int fd;
    bool writing;
    char buffer[ECHO_BUFFER];
} connection_t;

typedef struct ring {
    loop_t loop;
    struct io_uring uring;
} ring_t;

static loop_t *ring_open(const loop_kind_t *kind)
{
    ring_t *ring = loop_make(kind, sizeof(*ring));

    if (io_uring_queue_init(1024, &ring->uring,
                            IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN) == 0)
        return &ring->loop;
    free(ring);
    return NULL;
}

static void ring_close(loop_t *loop)
{
    ring_t *ring = (ring_t *)loop;

    io_uring_queue_exit(&ring->uring);
    free(ring);
}

static struct io_uring_sqe *place(struct io_uring *uring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(uring);

    if (sqe == NULL) {
        io_uring_submit(uring);
        sqe = io_uring_get_sqe(uring);
    }
    if (sqe == NULL)
        abort();
    return sqe;
}

static void start_read(struct io_uring *uring, connection_t *connection)
{
    struct io_uring_sqe *sqe = place(uring);

    io_uring_prep_recv(sqe, connection->fd, connection->buffer, ECHO_BUFFER, 0);
    io_uring_sqe_set_data(sqe, connection);
    connection->writing = false;
}

static void start_accept(struct io_uring *uring, int listener)
{
    struct io_uring_sqe *sqe = place(uring);

    io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, 0);
    io_uring_sqe_set_data(sqe, NULL);
}

static void ended(struct io_uring *uring, connection_t *connection, int result)
{
    struct io_uring_sqe *sqe;

    if (result <= 0) {
        close(connection->fd);
        free(connection);
    } else if (connection->writing) {
        start_read(uring, connection);
    } else {
        sqe = place(uring);
        io_uring_prep_send(sqe, connection->fd, connection->buffer, (size_t)result, MSG_NOSIGNAL);
        io_uring_sqe_set_data(sqe, connection);
        connection->writing = true;
    }
}

static void ring_serve(loop_t *loop, int listener)
{
    struct io_uring *uring = &((ring_t *)loop)->uring;

    start_accept(uring, listener);
    for (;;) {
        struct io_uring_cqe *cqe;
        unsigned head, count = 0;

        io_uring_submit_and_wait(uring, 1);
        io_uring_for_each_cqe(uring, head, cqe)
        {
            connection_t *connection = io_uring_cqe_get_data(cqe);

            count++;
            if (connection != NULL) {
                ended(uring, connection, cqe->res);
            } else {
                connection = malloc(sizeof(*connection));
                bench_check(connection != NULL && cqe->res >= 0, "accept");
                connection->fd = cqe->res;
                echo_no_delay(connection->fd);
                start_read(uring, connection);
                if (!(cqe->flags & IORING_CQE_F_MORE))
                    start_accept(uring, listener);
            }
        }
        io_uring_cq_advance(uring, count);
    }
}

const loop_kind_t loop_uring = {
    .name = "raw io_uring",
    .many = true,
    .only = "echo",
    .open = ring_open,
    .close = ring_close,
    .serve = ring_serve,
};
#else
const loop_kind_t loop_uring = {.name = "raw io_uring"};
#endif

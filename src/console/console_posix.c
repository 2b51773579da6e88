/* SPDX-License-Identifier: MIT */
/*
 * 1. The reader sleeps in poll() on the input and a stop descriptor and reads once when there is
 * something. O_NONBLOCK is a property of the open file, which other processes share: it is never
 * touched.
 * 2. Somebody else may take the input between poll and read, and a read that then blocks could not
 * be interrupted.  So a terminal or a FIFO is opened once more, for an open file of our own that
 * may be non-blocking; a socket has MSG_DONTWAIT.  Where the system refuses, the shared one is
 * read.
 * 3. Descriptors are our own: the program may close number 0 and use it for something else.
 * 4. In the background a read fails with EIO, since the reader blocks SIGTTIN, and there is no
 * event that tells of the foreground: the reader looks again after a while, only as long as there
 * is unread input.
 */
#include "console/console_platform.h"
#include "console/console_terminal_posix.h"
#include "port/port_fd.h"
#include "port/port_memory.h"
#include "runtime/runtime_console.h"
#include "runtime/runtime_wakefd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKGROUND_MS 100
#define EIO_TRIES 3 /* an EIO that finds us in the foreground: we may just have come there */

struct console_input {
    async_console_type_t type; /* constant, as are the descriptors; NONE has none */
    bool is_socket;
    int fd;                /* standard input as it was at open */
    int read_fd;           /* an open file of our own, or fd */
    runtime_wakefd_t stop; /* readable: stopped */
    int failed_reads;      /* EIO in a row; the reader's */
    char *rest;            /* what an earlier console gave back; the reader's */
    size_t rest_size;
    size_t rest_taken;
};

/*
 * What a console had read from a pipe or a terminal and not delivered when it was stopped; the next
 * one on the same input begins with it.  Written by the reader at its end, read by the next open:
 * the join of the reader is between.
 */
static struct {
    char *data;
    size_t size;
    dev_t device;
    ino_t inode;
    pid_t owner;
} kept;

static int reopen(int fd)
{
    char path[32];
    int opened;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    opened = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    (void)port_fd_above_standard(&opened);
    return opened;
}

static void take_kept(console_input_t *input, const struct stat *st)
{
    if (kept.data == NULL)
        return;
    if (kept.owner == getpid() && kept.device == st->st_dev && kept.inode == st->st_ino) {
        input->rest = kept.data;
        input->rest_size = kept.size;
    } else {
        port_free(kept.data);
    }
    kept.data = NULL;
}

static int open_files(console_input_t *input)
{
    struct stat st;
    int err = port_fd_copy(STDIN_FILENO, &input->fd);

    if (err != 0)
        return err;
    if (fstat(input->fd, &st) != 0)
        return errno;
    input->is_socket = S_ISSOCK(st.st_mode);
    if (input->type == ASYNC_CONSOLE_TYPE_REAL)
        err = console_terminal_open(input->fd);
    if (err == 0)
        err = runtime_wakefd_open(&input->stop);
    if (err != 0)
        return err;
    if (input->type == ASYNC_CONSOLE_TYPE_REAL || S_ISFIFO(st.st_mode))
        input->read_fd = reopen(input->fd);
    if (input->read_fd == -1)
        input->read_fd = input->fd;
    take_kept(input, &st);
    return 0;
}

int console_input_open(console_input_t **out)
{
    console_input_t *input = port_zalloc(1, sizeof(*input));
    int err = 0;

    if (input == NULL)
        return ENOMEM;
    input->fd = -1;
    input->read_fd = -1;
    input->stop.fd = -1;
    input->type = runtime_console_detect();
    if (input->type != ASYNC_CONSOLE_TYPE_NONE)
        err = open_files(input);
    if (err == EBADF || err == ENOTTY) {
        /* closed, or hung up, while we looked at it */
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

    if (input->read_fd != input->fd)
        close(input->read_fd);
    if (input->fd != -1)
        close(input->fd);
    if (input->stop.fd != -1)
        runtime_wakefd_close(&input->stop);
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
    if (input->stop.fd != -1)
        runtime_wakefd_signal(&input->stop);
}

void console_input_pause(console_input_t *input, int ms)
{
    struct pollfd stop = {.fd = input->stop.fd, .events = POLLIN};

    (void)poll(&stop, 1, ms);
}

/* Whether a read that failed with err is to be tried again. */
static bool may_recover(console_input_t *input, int err)
{
    if (err == EINTR || err == EAGAIN || err == EWOULDBLOCK)
        return true;
    if (err != EIO || input->type != ASYNC_CONSOLE_TYPE_REAL)
        return false;
    if (console_terminal_in_background(input->fd)) {
        console_input_pause(input, BACKGROUND_MS);
        if (!console_terminal_in_background(input->fd))
            console_terminal_reapply();
        input->failed_reads = 0;
        return true;
    }
    return tcgetpgrp(input->fd) != -1 && ++input->failed_reads <= EIO_TRIES;
}

static size_t read_rest(console_input_t *input, char *buffer, size_t size)
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
    return count;
}

int console_input_read(console_input_t *input, char *buffer, size_t size)
{
    struct pollfd fds[2] = {{.fd = input->stop.fd, .events = POLLIN},
                            {.fd = input->fd, .events = POLLIN}};
    ssize_t count;

    if (input->rest != NULL)
        return (int)read_rest(input, buffer, size);
    for (;;) {
        if (poll(fds, 2, -1) == -1) {
            if (errno == EINTR)
                continue;
            if (errno != ENOMEM && errno != EAGAIN)
                return CONSOLE_READ_END;
            console_input_pause(input, BACKGROUND_MS);
            continue;
        }
        if (fds[0].revents != 0)
            return CONSOLE_READ_STOPPED;
        if (input->is_socket)
            count = recv(input->read_fd, buffer, size, MSG_DONTWAIT);
        else
            count = read(input->read_fd, buffer, size);
        if (count >= 0) {
            input->failed_reads = 0;
            return (int)count;
        }
        if (!may_recover(input, errno))
            return CONSOLE_READ_END;
    }
}

/* The read bytes before the rest of an earlier console, should that not be used up either. */
static void keep(console_input_t *input, char *rest, size_t size)
{
    size_t old = input->rest != NULL ? input->rest_size - input->rest_taken : 0;
    struct stat st;

    if (old != 0) {
        char *both = port_realloc(rest, size + old);

        if (both != NULL) {
            memcpy(both + size, input->rest + input->rest_taken, old);
            rest = both;
            size += old;
        }
    }
    if (rest == NULL || fstat(input->fd, &st) != 0) {
        port_free(rest);
        return;
    }
    kept.data = rest;
    kept.size = size;
    kept.device = st.st_dev;
    kept.inode = st.st_ino;
    kept.owner = getpid();
}

void console_input_unread(console_input_t *input, char *rest, size_t size)
{
    if (input->type == ASYNC_CONSOLE_TYPE_FILE &&
        lseek(input->read_fd, -(off_t)size, SEEK_CUR) != (off_t)-1)
        port_free(rest);
    else
        keep(input, rest, size);
}

int console_input_set_mode(console_input_t *input, uint32_t mode)
{
    return input->type == ASYNC_CONSOLE_TYPE_REAL ? console_terminal_set_mode(mode) : ENOTTY;
}

void console_input_restore(console_input_t *input)
{
    if (input->type == ASYNC_CONSOLE_TYPE_REAL)
        console_terminal_restore();
}

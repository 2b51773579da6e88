/* SPDX-License-Identifier: MIT */
/*
 * testlib_posix.c - testlib.h on POSIX
 */
#include "testlib.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct tl_thread {
    pthread_t id;
    void (*proc)(void *arg);
    void *arg;
};

void tl_set_blocking(async_fd_t fd, bool blocking)
{
    int flags = fcntl(fd, F_GETFL);

    ck_assert_int_ge(flags, 0);
    flags = blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
    ck_assert_int_eq(fcntl(fd, F_SETFL, flags), 0);
}

void tl_close(async_fd_t fd)
{
    ck_assert_int_eq(close(fd), 0);
}

void tl_pair(async_fd_t fds[2])
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

static async_fd_t bound_socket(int type, struct sockaddr_in *address)
{
    socklen_t length = sizeof *address;
    int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    memset(address, 0, sizeof *address);
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)address, sizeof *address), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)address, &length), 0);
    return fd;
}

void tl_udp_pair(async_fd_t fds[2])
{
    struct sockaddr_in address[2];

    for (int i = 0; i < 2; i++)
        fds[i] = bound_socket(SOCK_DGRAM, &address[i]);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(connect(fds[i], (struct sockaddr *)&address[1 - i], sizeof address[0]), 0);
}

async_fd_t tl_listen(uint16_t *port)
{
    struct sockaddr_in address;
    int fd = bound_socket(SOCK_STREAM, &address);

    ck_assert_int_eq(listen(fd, 16), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

async_fd_t tl_connect(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        ck_assert_int_eq(errno, EINPROGRESS);
    return fd;
}

async_fd_t tl_accept(async_fd_t listener)
{
    struct pollfd pollfd = {.fd = listener, .events = POLLIN};
    int fd;

    ck_assert_int_eq(poll(&pollfd, 1, TL_WAIT_MS), 1);
    fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    return fd;
}

void tl_reset(async_fd_t fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    tl_close(fd);
}

void tl_shutdown_write(async_fd_t fd)
{
    ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
}

int tl_so_error(async_fd_t fd)
{
    int error = 0;
    socklen_t length = sizeof error;

    ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length), 0);
    return error;
}

long tl_send(async_fd_t fd, const void *data, size_t size)
{
    ssize_t count;

    do {
        count = send(fd, data, size, MSG_NOSIGNAL);
        if (count < 0 && errno == ENOTSOCK)
            count = write(fd, data, size);
    } while (count < 0 && errno == EINTR);
    return (long)count;
}

long tl_recv(async_fd_t fd, void *data, size_t size)
{
    ssize_t count;

    do {
        count = read(fd, data, size);
    } while (count < 0 && errno == EINTR);
    return (long)count;
}

static void *thread_main(void *arg)
{
    tl_thread_t *thread = arg;

    thread->proc(thread->arg);
    return NULL;
}

tl_thread_t *tl_thread_start(void (*proc)(void *arg), void *arg)
{
    tl_thread_t *thread = malloc(sizeof *thread);

    ck_assert_ptr_nonnull(thread);
    thread->proc = proc;
    thread->arg = arg;
    ck_assert_int_eq(pthread_create(&thread->id, NULL, thread_main, thread), 0);
    return thread;
}

void tl_thread_join(tl_thread_t *thread)
{
    ck_assert_int_eq(pthread_join(thread->id, NULL), 0);
    free(thread);
}

void tl_yield(void)
{
    (void)sched_yield();
}

void tl_sleep_ms(unsigned ms)
{
    struct timespec rest = {(time_t)(ms / 1000), (long)(ms % 1000) * (long)TL_NS_PER_MS};

    while (nanosleep(&rest, &rest) != 0 && errno == EINTR)
        continue;
}

uint64_t tl_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 * TL_NS_PER_MS + (uint64_t)now.tv_nsec;
}

static int entries(const char *path)
{
    DIR *dir = opendir(path);
    int count = 0;

    if (dir == NULL)
        return -1;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        if (entry->d_name[0] != '.')
            count++;
    closedir(dir);
    return count;
}

int tl_fd_count(void)
{
    int count = entries("/proc/self/fd");

    return count > 0 ? count - 1 : -1; /* without the directory itself */
}

int tl_thread_count(void)
{
    return entries("/proc/self/task");
}

int tl_signal(void)
{
    return SIGUSR1;
}

/* What goes ahead of the test: valgrind, qemu; "" where nothing does. */
static const char *runner(void)
{
    const char *text = getenv("TEST_RUNNER");

    return text != NULL ? text : "";
}

int tl_last_signal(void)
{
    /* valgrind and qemu keep the last ones to themselves */
    return runner()[0] != '\0' ? SIGRTMAX - 3 : SIGRTMAX;
}

#ifdef __linux__
bool tl_thread_name(char *name, size_t size)
{
    return pthread_getname_np(pthread_self(), name, size) == 0;
}

size_t tl_stack_size(void)
{
    pthread_attr_t attr;
    size_t size = 0;

    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        pthread_attr_getstacksize(&attr, &size);
        pthread_attr_destroy(&attr);
    }
    return size;
}

long tl_context_switches(void)
{
    struct rusage usage;

    if (strstr(runner(), "qemu") != NULL)
        return -1; /* it waits for locks of its own */
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nvcsw : -1;
}
#else
bool tl_thread_name(char *name, size_t size)
{
    (void)name;
    (void)size;
    return false;
}

size_t tl_stack_size(void)
{
    return 0;
}

long tl_context_switches(void)
{
    return -1;
}
#endif

bool tl_handle_is_set(async_handle_t handle, int timeout_ms)
{
    struct pollfd pollfd = {.fd = handle, .events = POLLIN};

    return poll(&pollfd, 1, timeout_ms) == 1 && (pollfd.revents & POLLIN) != 0;
}

bool tl_handle_is_inherited(async_handle_t handle)
{
    int flags = fcntl(handle, F_GETFD);

    ck_assert_int_ge(flags, 0);
    return (flags & FD_CLOEXEC) == 0;
}

void tl_input_become(async_handle_t file)
{
    ck_assert_int_ge(file, 0);
    if (file != STDIN_FILENO) {
        ck_assert_int_eq(dup2(file, STDIN_FILENO), STDIN_FILENO);
        tl_close(file);
    }
}

async_handle_t tl_input_pipe(void)
{
    int fds[2];

    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    tl_input_become(fds[0]);
    if (fds[1] != STDIN_FILENO)
        return fds[1];
    ck_abort_msg("standard input was closed");
}

void tl_input_file(const char *bytes, size_t size)
{
    char path[] = "/tmp/asyncrt-test-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(unlink(path), 0);
    tl_file_write(fd, bytes, size);
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    tl_input_become(fd);
}

bool tl_input_terminal(async_handle_t *keyboard)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

    ck_assert_int_ge(master, 0);
    ck_assert_int_eq(grantpt(master), 0);
    ck_assert_int_eq(unlockpt(master), 0);
    tl_input_become(open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC));
    *keyboard = master;
    return true;
}

void tl_input_null(void)
{
    tl_input_become(open("/dev/null", O_RDONLY));
}

void tl_input_closed(void)
{
    tl_close(STDIN_FILENO);
}

async_fd_t tl_input_fd(void)
{
    return STDIN_FILENO;
}

long tl_input_read(void *data, size_t size)
{
    return tl_recv(STDIN_FILENO, data, size);
}

void tl_file_write(async_handle_t file, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t count = write(file, bytes, size);

        ck_assert_msg(count > 0, "write: errno %d", errno);
        bytes += count;
        size -= (size_t)count;
    }
}

void tl_file_close(async_handle_t file)
{
    tl_close(file);
}

void tl_setenv(const char *name, const char *value)
{
    if ((value != NULL ? setenv(name, value, 1) : unsetenv(name)) != 0) /* also outside of tests */
        ck_abort_msg("setenv: errno %d", errno);
}

bool tl_close_shows_before_data(void)
{
    return true;
}

bool tl_reset_sets_so_error(void)
{
    return true;
}

bool tl_writes_wait_for_reader(void)
{
    return true;
}

/* SPDX-License-Identifier: MIT */
#include "console_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>

void ct_open(ct_console_t *ct, size_t capacity, size_t max_msg_size, async_queue_flags_t flags)
{
    memset(ct, 0, sizeof(*ct));
    ct->max_size = max_msg_size;
    ct->text = malloc(max_msg_size);
    ck_assert_ptr_nonnull(ct->text);
    ct->runtime = async_runtime_init();
    ck_assert_msg(ct->runtime != NULL, "async_runtime_init: %s", strerror(errno));
    ct->lines = async_queue_create(capacity, max_msg_size, flags);
    ck_assert_ptr_nonnull(ct->lines);
    errno = 4711;
    ct->console = async_console_create(ct->runtime, ct->lines, CT_KEY);
    ck_assert_msg(ct->console != NULL, "async_console_create: %s", strerror(errno));
    ck_assert_int_eq(errno, 4711);
}

void ct_close(ct_console_t *ct)
{
    errno = 4711;
    async_console_destroy(ct->console);
    ck_assert_int_eq(errno, 4711);
    async_queue_destroy(ct->lines);
    async_runtime_deinit(ct->runtime);
    free(ct->text);
    memset(ct, 0, sizeof(*ct));
}

bool ct_wait(ct_console_t *ct, int timeout_ms)
{
    async_event_t events[4];
    int count = async_runtime_wait(ct->runtime, events, 4, timeout_ms);

    ck_assert_int_ge(count, 0);
    for (int i = 0; i < count; i++) {
        ck_assert_uint_eq(events[i].event_type, ASYNC_EVENT_COMPLETION);
        ck_assert_uint_eq(events[i].completion_key, CT_KEY);
        ck_assert_uint_le(events[i].data, 1);
        ck_assert_int_eq(events[i].fd, ASYNC_INVALID_FD);
        if (events[i].data == 0)
            ct->announced++;
        else
            ct->ended++;
    }
    return count > 0;
}

static uint64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

bool ct_next(ct_console_t *ct)
{
    uint64_t limit = now_ms() + CT_WAIT_MS;

    while (!async_queue_dequeue(ct->lines, ct->text, ct->max_size, &ct->size)) {
        ck_assert_int_eq(errno, EAGAIN);
        if (ct->ended > 0)
            return false;
        ct_wait(ct, CT_WAIT_MS);
        ck_assert_msg(now_ms() < limit, "no line comes");
    }
    ck_assert_uint_ge(ct->size, 2);
    ck_assert_int_eq(ct->text[ct->size - 1], '\0');
    return true;
}

void ct_expect_bytes(ct_console_t *ct, const char *bytes, size_t size)
{
    ck_assert_msg(ct_next(ct), "end of input instead of \"%s\"", bytes);
    ck_assert_msg(ct->size == size + 1 && memcmp(ct->text, bytes, size) == 0,
                  "\"%s\" (%zu) instead of \"%s\" (%zu)", ct->text, ct->size, bytes, size + 1);
}

void ct_expect(ct_console_t *ct, const char *text)
{
    ct_expect_bytes(ct, text, strlen(text));
}

void ct_expect_nothing(ct_console_t *ct)
{
    if (async_queue_dequeue(ct->lines, ct->text, ct->max_size, &ct->size))
        ck_abort_msg("\"%s\" instead of nothing", ct->text);
    while (ct_wait(ct, CT_QUIET_MS))
        continue;
    ck_assert_msg(async_queue_is_empty(ct->lines), "there is a line");
    ck_assert_uint_eq(ct->ended, 0);
}

void ct_expect_end(ct_console_t *ct)
{
    ck_assert_msg(!ct_next(ct), "\"%s\" instead of the end", ct->text);
    ck_assert(async_console_is_eof(ct->console));
    while (ct_wait(ct, CT_QUIET_MS))
        continue;
    ck_assert_uint_eq(ct->ended, 1);
}

void ct_stdin(int fd)
{
    ck_assert_int_eq(dup2(fd, 0), 0);
    if (fd != 0)
        close(fd);
}

int ct_stdin_pipe(void)
{
    int fds[2];

    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    ct_stdin(fds[0]);
    return fds[1];
}

void ct_stdin_file(const char *bytes, size_t size)
{
    char path[] = "/tmp/console-test-XXXXXX";
    int fd = mkstemp(path);

    ck_assert_int_ne(fd, -1);
    unlink(path);
    ct_write(fd, bytes, size);
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    ct_stdin(fd);
}

void ct_write(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t count = write(fd, bytes, size);

        ck_assert_msg(count > 0, "write: %s", strerror(errno));
        bytes += count;
        size -= (size_t)count;
    }
}

void ct_text(int fd, const char *text)
{
    ct_write(fd, text, strlen(text));
}

void ct_terminal_open(ct_terminal_t *terminal)
{
    terminal->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ne(terminal->master, -1);
    ck_assert_int_eq(grantpt(terminal->master), 0);
    ck_assert_int_eq(unlockpt(terminal->master), 0);
    terminal->slave = open(ptsname(terminal->master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ne(terminal->slave, -1);
    ck_assert_int_eq(tcgetattr(terminal->slave, &terminal->before), 0);
    ck_assert_uint_eq(terminal->before.c_lflag & (ICANON | ECHO), ICANON | ECHO);
}

void ct_terminal_stdin(ct_terminal_t *terminal)
{
    ck_assert_int_eq(dup2(terminal->slave, 0), 0);
}

void ct_terminal_close(ct_terminal_t *terminal)
{
    close(terminal->slave);
    close(terminal->master);
}

bool ct_terminal_is_restored(const ct_terminal_t *terminal)
{
    struct termios now;

    ck_assert_int_eq(tcgetattr(terminal->slave, &now), 0);
    return now.c_lflag == terminal->before.c_lflag && now.c_iflag == terminal->before.c_iflag &&
           now.c_oflag == terminal->before.c_oflag && now.c_cflag == terminal->before.c_cflag &&
           memcmp(now.c_cc, terminal->before.c_cc, sizeof(now.c_cc)) == 0;
}

tcflag_t ct_terminal_flags(const ct_terminal_t *terminal)
{
    struct termios now;

    ck_assert_int_eq(tcgetattr(terminal->slave, &now), 0);
    return now.c_lflag & (tcflag_t)(ICANON | ECHO);
}

void ct_terminal_shows(const ct_terminal_t *terminal, const char *text)
{
    char shown[256];
    size_t size = 0, want = strlen(text);

    while (size < want) {
        struct pollfd fd = {.fd = terminal->master, .events = POLLIN};
        ssize_t count;

        ck_assert_msg(poll(&fd, 1, CT_WAIT_MS) == 1, "\"%s\" is not shown", text);
        count = read(terminal->master, shown + size, want - size);
        ck_assert_int_gt(count, 0);
        size += (size_t)count;
        ck_assert_mem_eq(shown, text, size);
    }
}

void ct_terminal_shows_nothing(const ct_terminal_t *terminal)
{
    struct pollfd fd = {.fd = terminal->master, .events = POLLIN};

    ck_assert_int_eq(poll(&fd, 1, CT_QUIET_MS), 0);
}

/* The child's ends; set in the child only. */
static int report_fd = -1, order_fd = -1;

void ct_child_start(ct_child_t *child, ct_terminal_t *terminal, ct_run_t run, void *arg)
{
    int reports[2], orders[2];

    ck_assert_int_eq(pipe2(reports, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(orders, O_CLOEXEC), 0);
    child->pid = fork();
    ck_assert_int_ne(child->pid, -1);
    if (child->pid == 0) {
        report_fd = reports[1];
        order_fd = orders[0];
        close(reports[0]);
        close(orders[1]);
        close(terminal->master);
        if (setsid() == -1 || ioctl(terminal->slave, TIOCSCTTY, 0) != 0 ||
            dup2(terminal->slave, 0) != 0)
            _exit(99);
        close(terminal->slave);
        exit(run(arg));
    }
    close(reports[1]);
    close(orders[0]);
    child->from = reports[0];
    child->to = orders[1];
}

static char get_byte(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    char byte = 0;
    int rc;

    do {
        rc = poll(&wait, 1, CT_WAIT_MS);
    } while (rc == -1 && errno == EINTR);
    return rc == 1 && read(fd, &byte, 1) == 1 ? byte : '\0';
}

void ct_child_expect(ct_child_t *child, char report)
{
    char got = get_byte(child->from);

    ck_assert_msg(got == report, "the child reports '%c' (%d), not '%c'", got, got, report);
}

void ct_child_tell(ct_child_t *child, char order)
{
    ct_write(child->to, &order, 1);
}

int ct_child_wait(ct_child_t *child)
{
    int status;

    ck_assert_int_eq(waitpid(child->pid, &status, 0), child->pid);
    close(child->from);
    close(child->to);
    return status;
}

void ct_report(char report)
{
    if (write(report_fd, &report, 1) != 1)
        _exit(98);
}

char ct_await(void)
{
    return get_byte(order_fd);
}

bool ct_under_valgrind(void)
{
    const char *preload = getenv("LD_PRELOAD");

    return preload != NULL && strstr(preload, "vgpreload") != NULL;
}

static int count_entries(const char *path)
{
    DIR *dir = opendir(path);
    int count = 0;

    ck_assert_ptr_nonnull(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

int ct_fd_count(void)
{
    return count_entries("/proc/self/fd");
}

static void *do_nothing(void *arg)
{
    return arg;
}

int ct_thread_count(void)
{
    static bool settled;

    if (!settled) {
        /* a sanitizer starts one of its own beside the first */
        pthread_t thread;

        ck_assert_int_eq(pthread_create(&thread, NULL, do_nothing, NULL), 0);
        pthread_join(thread, NULL);
        usleep(10000);
        settled = true;
    }
    return count_entries("/proc/self/task");
}

void ct_await_threads(int count)
{
    for (int i = 0; ct_thread_count() != count; i++) {
        ck_assert_int_lt(i, CT_WAIT_MS);
        usleep(1000);
    }
}

static long find_reader_switches(void)
{
    DIR *dir = opendir("/proc/self/task");
    long switches = -1;

    ck_assert_ptr_nonnull(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[300], line[200];
        bool ours = false;
        FILE *file;

        snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
        file = entry->d_name[0] != '.' ? fopen(path, "re") : NULL;
        while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
            if (strcmp(line, "Name:\tasync-console\n") == 0)
                ours = true;
            if (ours)
                sscanf(line, "voluntary_ctxt_switches: %ld", &switches);
        }
        if (file != NULL)
            fclose(file);
    }
    closedir(dir);
    return switches;
}

long ct_reader_switches(void)
{
    long switches;

    /* the thread gives itself its name */
    for (int i = 0; (switches = find_reader_switches()) == -1; i++) {
        ck_assert_int_lt(i, CT_WAIT_MS);
        usleep(1000);
    }
    return switches;
}

/* Each suite on each backend, or on the one that ASYNCRT_BACKEND names. */
int main(void)
{
    const char *chosen = getenv("ASYNCRT_BACKEND");
    const char *const *backends = async_runtime_backends();
    int failed = 0, ran = 0;

    for (size_t i = 0; backends[i] != NULL; i++) {
        async_runtime_t *runtime;
        SRunner *runner;

        if (chosen != NULL && strcmp(chosen, backends[i]) != 0)
            continue;
        setenv("ASYNCRT_BACKEND", backends[i], 1);
        runtime = async_runtime_init();
        if (runtime == NULL) {
            printf("%s: %s\n", backends[i], strerror(errno));
            continue;
        }
        async_runtime_deinit(runtime);
        printf("%s:\n", backends[i]);
        runner = srunner_create(ct_suite_input());
        srunner_add_suite(runner, ct_suite_terminal());
        srunner_add_suite(runner, ct_suite_process());
        srunner_run_all(runner, CK_NORMAL);
        failed += srunner_ntests_failed(runner);
        srunner_free(runner);
        ran++;
    }
    return failed != 0 ? 1 : ran != 0 ? 0 : 77;
}

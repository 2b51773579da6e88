/* SPDX-License-Identifier: MIT */
#include "console_test_posix.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

void ct_terminal_open(ct_terminal_t *terminal)
{
    /* the kernel fills less of c_cc than some C libraries have */
    *terminal = (ct_terminal_t){0};
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
    struct termios now = {0};

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
    tl_file_write(child->to, &order, 1);
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

bool ct_is_slow(void)
{
    return ct_under_valgrind();
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
        tl_sleep_ms(1);
    }
    return switches;
}

void ct_add_suites(SRunner *runner)
{
    srunner_add_suite(runner, ct_suite_terminal());
    srunner_add_suite(runner, ct_suite_process());
    srunner_add_suite(runner, ct_suite_posix());
}

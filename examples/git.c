/* SPDX-License-Identifier: MIT */
/*
 * git - runs git commands side by side and streams their output and progress as they come
 *
 *     git [-t SECONDS] "clone --progress URL FOLDER" "-C FOLDER log --oneline" ...
 *
 * Each argument is one git command line (words between blanks).  All run at once, as child
 * processes whose output pipes are registered in the runtime; SIGCHLD comes as an event and
 * delivers the exit status; a timer cancels what takes too long; SIGINT and SIGTERM cancel
 * everything. For POSIX systems: it is about processes and pipes.
 */
#include <asyncrt.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORDS = 64, LINE_BYTES = 4096 };

extern char **environ;

struct command {
    int number;
    char *text; /* cut into words */
    pid_t pid;  /* 0: not running */
    int pipe;   /* -1: at its end */
    int status;
    bool cancelled, reported;
    size_t size;
    char line[LINE_BYTES];
};

static struct jobs {
    async_runtime_t *runtime;
    struct command *commands;
    int count, left;
    unsigned long lines, events;
} jobs;

/* Starts it in a process group of its own, so that a cancel reaches git's helpers too. */
static int start(struct command *command)
{
    static char name[] = "git";
    char *words[WORDS + 2] = {name};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    int ends[2], count = 1, err;

    for (char *word = strtok(command->text, " "); word != NULL && count <= WORDS;
         word = strtok(NULL, " "))
        words[count++] = word;
    if (pipe(ends) != 0)
        return errno;
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &none);
    err = posix_spawnp(&command->pid, "git", &actions, &attributes, words, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (err == 0 && async_runtime_add(jobs.runtime, ends[0], ASYNC_EVENT_READ, command) != 0) {
        err = errno;
        kill(-command->pid, SIGKILL);
    }
    if (err != 0) {
        close(ends[0]);
        return err;
    }
    command->pipe = ends[0];
    return 0;
}

static void print_line(struct command *command, const char *line, size_t size)
{
    if (size == 0)
        return;
    printf("[%d] %.*s\n", command->number, (int)size, line);
    fflush(stdout);
    jobs.lines++;
}

/* Lines end with \n; git's progress lines with \r. */
static void print_lines(struct command *command)
{
    size_t start = 0;

    for (size_t i = 0; i < command->size; i++) {
        if (command->line[i] == '\n' || command->line[i] == '\r') {
            print_line(command, command->line + start, i - start);
            start = i + 1;
        }
    }
    if (start == 0 && command->size == sizeof(command->line)) {
        print_line(command, command->line, command->size);
        start = command->size;
    }
    command->size -= start;
    memmove(command->line, command->line + start, command->size);
}

/* A command is over when its process has ended and its pipe is empty, in either order. */
static void report(struct command *command)
{
    if (command->pid != 0 || command->pipe != -1 || command->reported)
        return;
    command->reported = true;
    jobs.left--;
    if (command->cancelled)
        printf("[%d] = cancelled\n", command->number);
    else if (WIFEXITED(command->status))
        printf("[%d] = exit status %d\n", command->number, WEXITSTATUS(command->status));
    else
        printf("[%d] = ended by signal %d\n", command->number, WTERMSIG(command->status));
    fflush(stdout);
}

static void read_pipe(struct command *command)
{
    ssize_t n =
        read(command->pipe, command->line + command->size, sizeof(command->line) - command->size);

    if (n > 0) {
        command->size += (size_t)n;
        print_lines(command);
        return;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    print_line(command, command->line, command->size);
    command->size = 0;
    async_runtime_remove(jobs.runtime, command->pipe);
    close(command->pipe);
    command->pipe = -1;
    report(command);
}

/* Signals merge, so one SIGCHLD may stand for several children. */
static void reap(void)
{
    for (int i = 0; i < jobs.count; i++) {
        struct command *command = &jobs.commands[i];

        if (command->pid != 0 && waitpid(command->pid, &command->status, WNOHANG) == command->pid) {
            command->pid = 0;
            report(command);
        }
    }
}

static void cancel_all(void)
{
    for (int i = 0; i < jobs.count; i++) {
        struct command *command = &jobs.commands[i];

        if (command->pid != 0) {
            command->cancelled = true;
            kill(-command->pid, SIGTERM);
        }
    }
}

static void loop(void)
{
    async_event_t events[16];

    while (jobs.left > 0) {
        int n = async_runtime_wait(jobs.runtime, events, 16, -1);

        for (int i = 0; i < n; i++) {
            jobs.events++;
            if ((events[i].event_type & ASYNC_EVENT_SIGNAL) != 0) {
                if (events[i].data == SIGCHLD)
                    reap();
                else
                    cancel_all();
            } else if ((events[i].event_type & ASYNC_EVENT_TIMER) != 0) {
                cancel_all();
            } else {
                read_pipe(events[i].context);
            }
        }
    }
}

int main(int argc, char **argv)
{
    long seconds = 0;
    int first = 1, bad = 0;

    if (argc > 2 && strcmp(argv[1], "-t") == 0) {
        seconds = strtol(argv[2], NULL, 10);
        first = seconds > 0 ? 3 : argc;
    }
    if (first >= argc) {
        fprintf(stderr, "usage: git [-t SECONDS] \"GIT COMMAND LINE\"...\n");
        return 2;
    }
    jobs.count = argc - first;
    jobs.commands = calloc((size_t)jobs.count, sizeof(*jobs.commands));
    jobs.runtime = async_runtime_init();
    if (jobs.commands == NULL || jobs.runtime == NULL ||
        async_runtime_add_signal(jobs.runtime, SIGCHLD, NULL) != 0 ||
        async_runtime_add_signal(jobs.runtime, SIGINT, NULL) != 0 ||
        async_runtime_add_signal(jobs.runtime, SIGTERM, NULL) != 0 ||
        (seconds > 0 &&
         async_runtime_add_timer(jobs.runtime, (uint64_t)seconds * 1000000, 0, NULL) == 0)) {
        fprintf(stderr, "git: cannot start: %s\n", strerror(errno));
        return 1;
    }
    for (int i = 0; i < jobs.count; i++) {
        struct command *command = &jobs.commands[i];
        int err;

        command->number = i + 1;
        command->text = argv[first + i];
        command->pipe = -1;
        jobs.left++;
        printf("[%d] git %s\n", command->number, command->text);
        fflush(stdout);
        err = start(command);
        if (err != 0) {
            fprintf(stderr, "git: cannot run it: %s\n", strerror(err));
            command->status = 127 << 8;
            report(command);
        }
    }
    loop();
    for (int i = 0; i < jobs.count; i++)
        bad += jobs.commands[i].cancelled || jobs.commands[i].status != 0;
    printf("%d commands, %d failed; %lu lines in %lu events, and the loop was never blocked\n",
           jobs.count, bad, jobs.lines, jobs.events);
    async_runtime_deinit(jobs.runtime);
    free(jobs.commands);
    return bad == 0 ? 0 : 1;
}

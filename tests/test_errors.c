/* SPDX-License-Identifier: MIT */
/*
 * test_errors.c - every errno value that a manual page lists is provoked, and no other
 *
 * Each FAILS() of errors_*.c makes a call that must fail with the given value, in errno and in
 * async_last_error(), and notes the pair.  At the end the pairs are compared with the ERRORS
 * sections of the pages: what a page lists and nothing provokes is a failure, and so is what was
 * provoked and is not listed.  A few that a machine cannot be brought to are named in `unprovoked`.
 */
#include "errors.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAIRS = 1024, EXIT_SKIP = 77 };

typedef struct {
    int count, failures;
    struct {
        char name[48];
        int code;
    } pair[PAIRS];
} notes_t;

static notes_t *notes; /* shared with forked children, which write while their parent waits */
static pthread_mutex_t notes_lock = PTHREAD_MUTEX_INITIALIZER; /* workers and jobs write, too */

static const struct {
    const char *name;
    int code;
} unprovoked[] = {
    {"async_worker_get_stop_handle", ENFILE},
    {"async_runtime_init", ENFILE},
    {"async_runtime_init_with", ENFILE},
    {"async_console_create", ENFILE},
    {"async_runtime_add", ENOSPC},
    {"async_runtime_modify", ENOMEM},
    {"async_worker_get_stop_handle", ENOMEM},
    {"async_runtime_add_signal", ENOTSUP},
    {"async_runtime_get_fd", EMFILE}, /* of io_uring: test_uring_single */
    {"async_runtime_get_fd", ENFILE},
    {"async_runtime_get_fd", ENOMEM},
    {"async_console_shutdown", ETIMEDOUT},
    {"async_console_create", EAGAIN},
    {"async_console_create", EMFILE},
    {"async_resolver_create", EMFILE},
    {"async_resolver_create", ENFILE},
};

void errors_note(const char *name, int code, int holds, const char *file, int line)
{
    int seen = errno, last = async_last_error();

    pthread_mutex_lock(&notes_lock);
    if (!holds || seen != code || last != code) {
        fprintf(stderr, "FAIL: %s:%d: %s %s; errno %d, async_last_error() %d, not %d (%s)\n", file,
                line, name, holds ? "fails" : "does not fail", seen, last, code, strerror(code));
        notes->failures++;
    }
    snprintf(notes->pair[notes->count].name, sizeof notes->pair[0].name, "%s", name);
    notes->pair[notes->count].code = code;
    notes->count += notes->count < PAIRS - 1;
    pthread_mutex_unlock(&notes_lock);
}

void errors_rest(int ms)
{
    poll(NULL, 0, ms);
}

void errors_need(const void *object)
{
    if (object != NULL)
        return;
    perror("test_errors");
    exit(EXIT_FAILURE);
}

bool errors_no_memory(size_t size)
{
    (void)size;
    return false;
}

/* Runs provoke with no descriptor left, in a child. */
void errors_without_descriptors(void (*provoke)(void))
{
    struct rlimit limit = {64, 64};
    int status;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        setrlimit(RLIMIT_NOFILE, &limit);
        while (dup(STDERR_FILENO) >= 0)
            continue;
        provoke();
        _exit(0);
    }
    if (waitpid(pid, &status, 0) != pid || status != 0)
        notes->failures++;
}

/* ---- the pages */

static const struct {
    const char *text;
    int code;
} codes[] = {
    {"EAFNOSUPPORT", EAFNOSUPPORT},
    {"EAGAIN", EAGAIN},
    {"EALREADY", EALREADY},
    {"EBADF", EBADF},
    {"EBUSY", EBUSY},
    {"EDEADLK", EDEADLK},
    {"EEXIST", EEXIST},
    {"EINVAL", EINVAL},
    {"EMFILE", EMFILE},
    {"EMSGSIZE", EMSGSIZE},
    {"ENFILE", ENFILE},
    {"ENOENT", ENOENT},
    {"ENOMEM", ENOMEM},
    {"ENOSPC", ENOSPC},
    {"ENOTSUP", ENOTSUP},
    {"ENOTTY", ENOTTY},
    {"EPERM", EPERM},
    {"EPIPE", EPIPE},
    {"ETIMEDOUT", ETIMEDOUT},
};
enum { CODES = sizeof codes / sizeof codes[0] };

/* Bit i: the page lists codes[i]. */
static unsigned listed(const char *path)
{
    unsigned set = 0;
    int inside = 0, i;
    char line[512];
    FILE *file = fopen(path, "r");

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, ".SH ", 4) == 0)
            inside = strcmp(line, ".SH ERRORS") == 0;
        for (i = 0; i < CODES && inside; i++)
            if (strncmp(line, ".B ", 3) == 0 && strcmp(line + 3, codes[i].text) == 0)
                set |= 1u << i;
    }
    if (file != NULL)
        fclose(file);
    return set;
}

static unsigned provoked(const char *name)
{
    unsigned set = 0;
    int i, k;

    for (i = 0; i < notes->count; i++)
        for (k = 0; k < CODES; k++)
            if (strcmp(notes->pair[i].name, name) == 0 && notes->pair[i].code == codes[k].code)
                set |= 1u << k;
    return set;
}

static int is_excused(const char *name, int code)
{
    size_t i;

    for (i = 0; i < sizeof unprovoked / sizeof unprovoked[0]; i++)
        if (strcmp(unprovoked[i].name, name) == 0 && unprovoked[i].code == code)
            return 1;
    return 0;
}

static void compare(void)
{
    const char *srcdir = getenv("srcdir");
    char path[512], directory_name[256];
    struct dirent *entry;
    DIR *directory;
    int k;

    snprintf(directory_name, sizeof directory_name, "%s/man/man3", srcdir != NULL ? srcdir : ".");
    directory = opendir(directory_name);
    errors_need(directory);
    while ((entry = readdir(directory)) != NULL) {
        char *dot = strrchr(entry->d_name, '.');
        unsigned page, seen;

        if (dot == NULL || strcmp(dot, ".3") != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", directory_name, entry->d_name);
        *dot = '\0';
        page = listed(path);
        seen = provoked(entry->d_name);
        for (k = 0; k < CODES; k++) {
            const char *problem = "";

            if ((seen & ~page) >> k & 1)
                problem = "was provoked, and the page does not list it";
            else if ((page & ~seen) >> k & 1 && !is_excused(entry->d_name, codes[k].code))
                problem = "is in the page, and nothing provokes it";
            else
                continue;
            fprintf(stderr, "FAIL: %s: %s %s\n", entry->d_name, codes[k].text, problem);
            notes->failures++;
        }
    }
    closedir(directory);
}

int main(void)
{
    notes = mmap(NULL, sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (notes == MAP_FAILED)
        return EXIT_SKIP;
    alarm(60);
    errors_of_queue();
    errors_of_worker();
    errors_of_runtime();
    errors_of_pool();
    errors_of_console();
    errors_of_resolver();
    errors_of_inherited();
    compare();
    printf("%d failures provoked, %d wrong\n", notes->count, notes->failures);
    return notes->failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* SPDX-License-Identifier: MIT */
/*
 * fuzz_main.c - runs a fuzz target without libFuzzer
 *
 *     fuzz_NAME [-n ROUNDS] [-s SEED] [FILE or FOLDER...]
 *
 * Replays the files; without any, the target's corpus of the source folder, and then ROUNDS random
 * inputs.  An input that ends the program is left in fuzz_NAME.crash.
 */
#include "fuzz.h"

#include <dirent.h>
#include <signal.h>

#define FILE_MAX (1u << 20)

static const uint8_t *now;
static size_t now_size;
static unsigned long played;

/* The program is at its end: what a handler may not do cannot make it worse. */
static void on_crash(int number)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof(path), "fuzz_%s.crash", fuzz_name);
    file = fopen(path, "wb");
    if (file != NULL) {
        fwrite(now, 1, now_size, file);
        fclose(file);
        fprintf(stderr, "the input, %zu bytes, is in %s\n", now_size, path);
    }
    signal(number, SIG_DFL);
    raise(number);
}

static void play(const uint8_t *data, size_t size)
{
    /* a block of its own, so that reading beyond its end can be seen */
    uint8_t *copy = malloc(size + (size == 0));

    if (copy == NULL)
        exit(99);
    if (size != 0)
        memcpy(copy, data, size);
    now = copy;
    now_size = size;
    LLVMFuzzerTestOneInput(copy, size);
    now = NULL;
    now_size = 0;
    free(copy);
    played++;
}

static int play_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(FILE_MAX);
    size_t size;

    if (file == NULL || data == NULL) {
        fprintf(stderr, "cannot read %s\n", path);
        return -1;
    }
    size = fread(data, 1, FILE_MAX, file);
    fclose(file);
    fuzz_trace("== %s", path);
    play(data, size);
    free(data);
    return 0;
}

/* A file, or all files of a folder. */
static int play_path(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    int status = 0;

    if (folder == NULL)
        return play_file(path);
    while ((entry = readdir(folder)) != NULL) {
        char name[1024];

        if (entry->d_name[0] == '.')
            continue;
        if (snprintf(name, sizeof(name), "%s/%s", path, entry->d_name) >= (int)sizeof(name))
            status = -1;
        else
            status |= play_file(name);
    }
    closedir(folder);
    return status;
}

static uint32_t draw(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

static void play_random(unsigned long rounds, uint64_t seed)
{
    uint8_t *data = malloc(fuzz_max_input);

    if (data == NULL)
        exit(99);
    for (unsigned long i = 0; i < rounds; i++) {
        size_t size = draw(&seed) % (fuzz_max_input + 1);
        uint32_t mask = draw(&seed) % 4 == 0 ? 0x0f : 0xff; /* small numbers: the first calls */

        for (size_t at = 0; at < size; at++)
            data[at] = (uint8_t)(draw(&seed) & mask);
        play(data, size);
    }
    free(data);
}

static int play_corpus(void)
{
    const char *top = getenv("srcdir");
    char path[1024];

    snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/%s", top != NULL ? top : ".", fuzz_name);
    if (play_path(path) != 0 || played == 0) {
        fprintf(stderr, "there is no corpus in %s\n", path);
        return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *divisor = getenv("ASYNCRT_TEST_DIVISOR");
    unsigned long rounds = fuzz_rounds;
    uint64_t seed = 1;
    int at = 1, status = 0;

    if (divisor != NULL && atoi(divisor) > 0)
        rounds = rounds / (unsigned)atoi(divisor) + 1;
    signal(SIGABRT, on_crash);
    signal(SIGSEGV, on_crash);
    for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
        if (argv[at][1] == 'n')
            rounds = strtoul(argv[at + 1], NULL, 10);
        else
            seed = strtoull(argv[at + 1], NULL, 10);
    }
    if (at == argc) {
        status = play_corpus();
        play_random(rounds, seed);
    }
    for (; at < argc; at++)
        status |= play_path(argv[at]);
    printf("fuzz_%s: %lu inputs\n", fuzz_name, played);
    return status == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

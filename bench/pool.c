/* SPDX-License-Identifier: MIT */
/*
 * pool.c - jobs beside uv_queue_work and GThreadPool; joins beside pthread_clockjoin_np
 *
 * Each measurement runs all candidates in turn, many times over, and prints medians and ratios: the
 * candidates see the same state of the machine.  Jobs are empty, two threads run them, one thread
 * submits them and takes their ends.
 */
#include <asyncrt.h>

#include "bench.h"
#include "config.h"

#include <pthread.h>
#include <string.h>

#ifdef HAVE_LIBUV
#include <uv.h>
#endif
#ifdef HAVE_GLIB
#include <glib.h>
#endif

#define JOBS 100000
#define WINDOW 64
#define SINGLES 2000
#define ROUNDS 15
#define JOINS 400
#define THREADS 2

/* Runs jobs, at most window of them submitted and not ended; the time is the caller's to take. */
struct candidate {
    const char *name;
    void (*open)(void);
    void (*run)(int jobs, int window);
    void (*close)(void);
};

/* ---- libasyncrt ---- */

static async_runtime_t *runtime;
static async_pool_t *pool;

static void *rt_job(void *arg)
{
    return arg;
}

static void rt_open(void)
{
    async_pool_options_t options = ASYNC_POOL_OPTIONS_INIT;

    options.threads = THREADS;
    runtime = async_runtime_init();
    bench_check(runtime != NULL, "async_runtime_init");
    pool = async_pool_create(runtime, &options);
    bench_check(pool != NULL, "async_pool_create");
}

static void rt_run(int jobs, int window)
{
    async_event_t events[64];
    int submitted = 0, ended = 0;

    while (ended < jobs) {
        while (submitted < jobs && submitted - ended < window) {
            bench_check(async_pool_submit(pool, rt_job, NULL, 1) != 0, "async_pool_submit");
            submitted++;
        }
        ended += async_runtime_wait(runtime, events, 64, -1);
    }
}

static void rt_close(void)
{
    async_pool_destroy(pool);
    async_runtime_deinit(runtime);
}

/* ---- libuv ---- */

#ifdef HAVE_LIBUV
static uv_loop_t uv;
static uv_work_t *uv_requests;
static int uv_submitted, uv_ended, uv_jobs;

static void uv_job(uv_work_t *request)
{
    (void)request;
}

static void uv_job_ended(uv_work_t *request, int status)
{
    (void)status;
    uv_ended++;
    if (uv_submitted < uv_jobs) {
        uv_submitted++;
        uv_queue_work(&uv, request, uv_job, uv_job_ended);
    }
}

static void uv_open(void)
{
    uv_loop_init(&uv);
    uv_requests = calloc(JOBS, sizeof(*uv_requests));
}

static void uv_pool_run(int jobs, int window)
{
    uv_jobs = jobs;
    uv_ended = 0;
    for (uv_submitted = 0; uv_submitted < jobs && uv_submitted < window; uv_submitted++)
        uv_queue_work(&uv, &uv_requests[uv_submitted], uv_job, uv_job_ended);
    uv_run(&uv, UV_RUN_DEFAULT);
}

static void uv_close_all(void)
{
    uv_loop_close(&uv);
    free(uv_requests);
}
#endif

/* ---- GLib: the ends go through a GAsyncQueue ---- */

#ifdef HAVE_GLIB
static GThreadPool *glib_pool;
static GAsyncQueue *glib_ends;

static void glib_job(void *data, void *user_data)
{
    (void)user_data;
    g_async_queue_push(glib_ends, data);
}

static void glib_open(void)
{
    glib_ends = g_async_queue_new();
    glib_pool = g_thread_pool_new(glib_job, NULL, THREADS, TRUE, NULL);
}

static void glib_run(int jobs, int window)
{
    int submitted = 0, ended = 0;

    while (ended < jobs) {
        while (submitted < jobs && submitted - ended < window) {
            g_thread_pool_push(glib_pool, (void *)1, NULL);
            submitted++;
        }
        g_async_queue_pop(glib_ends);
        ended++;
    }
}

static void glib_close(void)
{
    g_thread_pool_free(glib_pool, FALSE, TRUE);
    g_async_queue_unref(glib_ends);
}
#endif

static const struct candidate candidates[] = {
    {"libasyncrt", rt_open, rt_run, rt_close},
#ifdef HAVE_LIBUV
    {"libuv", uv_open, uv_pool_run, uv_close_all},
#endif
#ifdef HAVE_GLIB
    {"GThreadPool", glib_open, glib_run, glib_close},
#endif
};

#define CANDIDATES (sizeof(candidates) / sizeof(candidates[0]))

/* Nanoseconds a job, of the clock and of all processors; medians over the rounds. */
static void measure(const char *what, int jobs, int window)
{
    double times[CANDIDATES][ROUNDS], cpu[CANDIDATES][ROUNDS], median[CANDIDATES], used[CANDIDATES];

    for (int round = 0; round < ROUNDS; round++)
        for (size_t c = 0; c < CANDIDATES; c++) {
            uint64_t start = bench_now(), start_cpu = bench_cpu();

            candidates[c].run(jobs, window);
            times[c][round] = (double)(bench_now() - start) / jobs;
            cpu[c][round] = (double)(bench_cpu() - start_cpu) / jobs;
        }
    printf("%s\n", what);
    for (size_t c = 0; c < CANDIDATES; c++) {
        median[c] = bench_median(times[c], ROUNDS);
        used[c] = bench_median(cpu[c], ROUNDS);
        printf("  %-20s %9.0f ns/job  %6.2f M/s  x%.2f   cpu %7.0f ns/job  x%.2f\n",
               candidates[c].name, median[c], 1e3 / median[c], median[c] / median[0], used[c],
               used[c] / used[0]);
    }
}

/* ---- joins: from the last act of the procedure to the return of the join ---- */

static uint64_t ended_at;

static void *end_later(void *arg)
{
    struct timespec ts = {.tv_nsec = 200000};

    nanosleep(&ts, NULL);
    ended_at = bench_now();
    return arg;
}

static double join_worker(void)
{
    async_worker_t *worker = async_worker_create(end_later, NULL, 0);
    uint64_t now;

    bench_check(worker != NULL && async_worker_join(worker, 10000), "async_worker_join");
    now = bench_now();
    async_worker_destroy(worker);
    return (double)(now - ended_at);
}

static double join_pthread(void)
{
    struct timespec limit;
    pthread_t thread;

    bench_check(pthread_create(&thread, NULL, end_later, NULL) == 0, "pthread_create");
    clock_gettime(CLOCK_MONOTONIC, &limit);
    limit.tv_sec += 10;
    bench_check(pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &limit) == 0, "clockjoin");
    return (double)(bench_now() - ended_at);
}

static void measure_join(void)
{
    double worker[JOINS], thread[JOINS], w, t;

    for (int i = 0; i < JOINS; i++) {
        worker[i] = join_worker();
        thread[i] = join_pthread();
    }
    w = bench_median(worker, JOINS);
    t = bench_median(thread, JOINS);
    printf("join after the end\n");
    printf("  %-20s %9.0f ns\n", "async_worker_join", w);
    printf("  %-20s %9.0f ns  x%.2f\n", "pthread_clockjoin_np", t, t / w);
}

int main(void)
{
    char threads[16];

    snprintf(threads, sizeof(threads), "%d", THREADS);
    setenv("UV_THREADPOOL_SIZE", threads, 1);
    for (size_t c = 0; c < CANDIDATES; c++) {
        candidates[c].open();
        candidates[c].run(1000, WINDOW);
    }
    measure("all jobs submitted at once", JOBS, JOBS);
    measure("64 jobs in flight", JOBS, WINDOW);
    measure("one job at a time (submit to completion)", SINGLES, 1);
    for (size_t c = 0; c < CANDIDATES; c++)
        candidates[c].close();
    measure_join();
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * The structures that callers fill, of any size and content: what they reach counts, what they do
 * not reach keeps its default, nothing behind their size is read, and what is wrong with them gives
 * the errno value that is promised.
 */
#include "fuzz.h"
#include "pool/pool.h"
#include "resolver/resolver_core.h"
#include "runtime/runtime.h"

#include <errno.h>

#define SIZE_MAX_OF_ALL 256u

const char fuzz_name[] = "options";
const unsigned fuzz_rounds = 1500;
const size_t fuzz_max_input = 80;

static async_runtime_t *shared; /* for what belongs to one; made once */

/* A structure of the caller's in a block of just its size, and what the library has to make of it.
 */
typedef struct given {
    void *options; /* NULL: not given */
    size_t size;
} given_t;

/* expected holds the defaults, of own bytes; it gets what the caller's structure reaches.  It is
 * filled with numbers; set_pointer() comes after. */
static given_t draw(fuzz_input_t *input, void *expected, size_t own)
{
    static const uint64_t numbers[] = {0, 1, 2, 5, 1000, 70000, UINT64_MAX / 2, UINT64_MAX};
    given_t given = {NULL, fuzz_below(input, (unsigned)own + 24)};
    uint64_t words[SIZE_MAX_OF_ALL / sizeof(uint64_t)];
    size_t room = given.size < sizeof(size_t) ? sizeof(size_t) : given.size;

    if (fuzz_below(input, 16) == 0)
        return given;
    /* most often a structure of this library's or an older or newer one's */
    if (fuzz_below(input, 2) == 0)
        room = given.size = given.size < sizeof(size_t) ? own : given.size / 8 * 8;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        words[i] = numbers[fuzz_below(input, 8)];
    given.options = malloc(room);
    if (given.options == NULL)
        abort();
    memcpy(given.options, words, room);
    memcpy(given.options, &given.size, sizeof(size_t));
    if (given.size >= sizeof(size_t))
        memcpy(expected, given.options, given.size < own ? given.size : own);
    return given;
}

/* One that is cut in two is NULL. */
static void set_pointer(given_t *given, void *expected, size_t offset, const char *text)
{
    static const char *const none = NULL;
    size_t end = offset + sizeof(text);

    if (given->options == NULL || given->size <= offset || given->size < sizeof(size_t))
        return;
    if (given->size < end) {
        memset((char *)given->options + offset, 0, given->size - offset);
        memcpy((char *)expected + offset, &none, sizeof(none));
        return;
    }
    memcpy((char *)given->options + offset, &text, sizeof(text));
    memcpy((char *)expected + offset, &text, sizeof(text));
}

/* What create has given; true: a handle.  refusal: an errno value, 0: the members are good. */
static bool check_for(const given_t *given, const void *handle, int err, int refusal)
{
    bool too_small = given->options != NULL && given->size < sizeof(size_t);
    int wanted = too_small ? EINVAL : refusal != 0 ? refusal : FUZZ_ERRNO;

    fuzz_trace("%zu bytes: errno %d", given->options != NULL ? given->size : 0, err);
    FUZZ_CHECK(err == wanted, "errno %d, not %d", err, wanted);
    FUZZ_CHECK((handle != NULL) == (wanted == FUZZ_ERRNO), "a handle, or none");
    return handle != NULL;
}

static bool check(const given_t *given, const void *handle, int err, bool is_known)
{
    return check_for(given, handle, err, is_known ? 0 : ENOTSUP);
}

static void test_runtime(fuzz_input_t *input)
{
    static const char *const names[] = {NULL, "", "nonsense"};
    async_runtime_options_t expected = ASYNC_RUNTIME_OPTIONS_INIT;
    given_t given = draw(input, &expected, sizeof(expected));
    unsigned name = fuzz_below(input, 4);
    async_runtime_t *runtime;
    uint64_t spin_ns;
    int refusal = 0;

    set_pointer(&given, &expected, offsetof(async_runtime_options_t, backend),
                name < 3 ? names[name] : async_runtime_backends()[0]);
    if (expected.flags & ~ASYNC_RUNTIME_SINGLE_THREAD)
        refusal = EINVAL;
    else if (expected.backend != NULL && name != 3)
        refusal = ENOTSUP;
    errno = FUZZ_ERRNO;
    runtime = async_runtime_init_with(given.options);
    if (check_for(&given, runtime, errno, refusal)) {
        spin_ns = expected.spin_us > 1000000000 ? UINT64_C(1000000000000) : expected.spin_us * 1000;
        FUZZ_CHECK(runtime->completions.limit == expected.completion_limit, "completion_limit");
        FUZZ_CHECK(runtime->spin_ns == spin_ns, "spin_us");
        FUZZ_CHECK((runtime->owner != 0) == (expected.flags != 0), "flags");
    }
    async_runtime_deinit(runtime);
    free(given.options);
}

static void test_pool(fuzz_input_t *input)
{
    async_pool_options_t expected = ASYNC_POOL_OPTIONS_INIT;
    given_t given = draw(input, &expected, sizeof(expected));
    async_pool_t *pool;

    set_pointer(&given, &expected, offsetof(async_pool_options_t, name),
                fuzz_below(input, 2) == 0 ? NULL : "a name that is longer than a thread's");
    errno = FUZZ_ERRNO;
    pool = async_pool_create(shared, given.options);
    if (check(&given, pool, errno, true)) {
        FUZZ_CHECK(expected.threads == 0 ? pool->cap >= 2 && pool->cap <= 64
                                         : pool->cap == expected.threads,
                   "%zu threads", pool->cap);
        FUZZ_CHECK(pool->queue_limit == expected.queue_limit &&
                       pool->stack_size == expected.stack_size &&
                       pool->idle_ns == (expected.idle_ms > UINT64_MAX / 1000000
                                             ? UINT64_MAX
                                             : expected.idle_ms * 1000000),
                   "queue_limit, stack_size, idle_ms");
        FUZZ_CHECK(strncmp(pool->name, expected.name == NULL ? "async_pool" : expected.name, 15) ==
                       0,
                   "%s", pool->name);
    }
    async_pool_destroy(pool);
    free(given.options);
}

static void test_resolver(fuzz_input_t *input)
{
    static const char *const names[] = {NULL, "libc", "nonsense"};
    async_resolver_options_t expected = ASYNC_RESOLVER_OPTIONS_INIT;
    given_t given = draw(input, &expected, sizeof(expected));
    unsigned name = fuzz_below(input, 3);
    async_resolver_t *resolver;

    set_pointer(&given, &expected, offsetof(async_resolver_options_t, servers), NULL);
    set_pointer(&given, &expected, offsetof(async_resolver_options_t, engine), names[name]);
    errno = FUZZ_ERRNO;
    resolver = async_resolver_create(shared, 1, given.options);
    if (check(&given, resolver, errno, expected.engine == NULL || name == 1)) {
        const async_resolver_options_t *is = &resolver->options;

        FUZZ_CHECK(is->threads == (expected.threads == 0 ? 4 : expected.threads) &&
                       is->max_in_flight ==
                           (expected.max_in_flight == 0 ? 64 : expected.max_in_flight) &&
                       is->queue_limit == expected.queue_limit,
                   "threads, max_in_flight, queue_limit");
        FUZZ_CHECK(is->timeout_ms == expected.timeout_ms &&
                       is->cache_entries == expected.cache_entries &&
                       resolver->cache.limit == expected.cache_entries &&
                       is->forward_ttl_ms == expected.forward_ttl_ms &&
                       is->reverse_ttl_ms == expected.reverse_ttl_ms &&
                       is->negative_ttl_ms == expected.negative_ttl_ms &&
                       is->refresh_ms == expected.refresh_ms,
                   "times and the cache");
        FUZZ_CHECK(is->forward_quota == expected.forward_quota &&
                       is->reverse_quota == expected.reverse_quota &&
                       is->refresh_quota == expected.refresh_quota,
                   "quotas");
    }
    async_resolver_destroy(resolver);
    free(given.options);
}

static void *proc(void *context)
{
    return context;
}

static void test_worker(fuzz_input_t *input)
{
    async_worker_options_t expected = ASYNC_WORKER_OPTIONS_INIT;
    given_t given = draw(input, &expected, sizeof(expected));
    async_worker_t *worker;
    int err;

    set_pointer(&given, &expected, offsetof(async_worker_options_t, name), "a worker");
    set_pointer(&given, &expected, offsetof(async_worker_options_t, runtime), NULL);
    errno = FUZZ_ERRNO;
    worker = async_worker_create_with(proc, &given, given.options);
    err = errno;
    /* no system has that much room for a stack */
    if (worker == NULL && expected.stack_size > 1000000 && given.size >= sizeof(size_t))
        FUZZ_CHECK(err == EAGAIN || err == ENOMEM, "errno %d", err);
    else if (check(&given, worker, err, true))
        FUZZ_CHECK(async_worker_join(worker, -1) && async_worker_get_result(worker) == &given,
                   "its result");
    async_worker_destroy(worker);
    free(given.options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input_t input = {data, data + size};

    if (shared == NULL)
        shared = async_runtime_init();
    FUZZ_CHECK(shared != NULL, "no runtime, errno %d", errno);
    switch (fuzz_below(&input, 4)) {
    case 0:
        test_runtime(&input);
        break;
    case 1:
        test_pool(&input);
        break;
    case 2:
        test_resolver(&input);
        break;
    default:
        test_worker(&input);
        break;
    }
    return 0;
}

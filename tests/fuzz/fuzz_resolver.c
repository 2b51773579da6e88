/* SPDX-License-Identifier: MIT */
/*
 * The parts of the resolver that ask nobody: the keys under which equal questions meet, the cache
 * beside a plain list, the copies of answers, numeric names beside getaddrinfo(), and the public
 * functions with names that are numeric or refused.
 */
#include "fuzz.h"
#include "resolver/resolver_core.h"

#include <ctype.h>
#include <errno.h>

#if !defined(_WIN32)
#include <arpa/inet.h>
#endif

#define NAME_MAX_SIZE 24u
#define QUESTIONS 6u
#define CACHED_MAX 12u
#define NAMES 20u

const char fuzz_name[] = "resolver";
const unsigned fuzz_rounds = 2000;
const size_t fuzz_max_input = 200;

static async_runtime_t *runtime; /* made once */

/* One of few characters, so that equal names and numeric ones come often. */
static char *draw_name(fuzz_input_t *input, char *space, const char *letters)
{
    size_t size = fuzz_below(input, NAME_MAX_SIZE), kinds = strlen(letters);

    if (size == NAME_MAX_SIZE - 1)
        return NULL;
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = fuzz_byte(input);

        space[i] = byte < 128 ? letters[byte % kinds] : (char)byte;
        if (space[i] == '\0')
            space[i] = '.';
    }
    space[size] = '\0';
    return space;
}

/* ---- keys */

typedef struct names {
    char host[RESOLVER_HOST_MAX + 1], service[RESOLVER_SERVICE_MAX + 1];
} names_t;

static void draw_lookup(fuzz_input_t *input, resolver_question_t *question, names_t *names)
{
    struct addrinfo hints;
    unsigned shape = fuzz_byte(input);

    memset(&hints, 0xa5, sizeof(hints)); /* the pointers must not count */
    hints.ai_flags = (int)fuzz_below(input, 3) - 1;
    hints.ai_family = (int)fuzz_below(input, 2);
    hints.ai_socktype = (int)fuzz_below(input, 2);
    hints.ai_protocol = (int)fuzz_below(input, 2);
    memset(names->host, 'H' + (int)(shape >> 6 & 1), RESOLVER_HOST_MAX);
    names->host[shape & 1 ? fuzz_below(input, 3) : RESOLVER_HOST_MAX] = '\0';
    memset(names->service, 's' - (int)(shape >> 7), RESOLVER_SERVICE_MAX);
    names->service[shape & 2 ? fuzz_below(input, 3) : RESOLVER_SERVICE_MAX] = '\0';
    if (shape & 16 && names->host[0] != '\0')
        names->host[0] = (char)fuzz_byte(input);
    resolver_question_lookup(question, shape & 4 ? NULL : names->host,
                             shape & 8 ? NULL : names->service, shape & 32 ? NULL : &hints);
}

static void draw_reverse(fuzz_input_t *input, resolver_question_t *question)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        unsigned char bytes[128];
    } address;
    unsigned shape = fuzz_byte(input);
    size_t size = shape & 1 ? sizeof(address.in) : sizeof(address.in6);

    memset(&address, (int)fuzz_below(input, 2), sizeof(address)); /* also what must not count */
    if (shape & 1) {
        address.in.sin_family = AF_INET;
        address.in.sin_port = (uint16_t)fuzz_below(input, 2);
        memset(&address.in.sin_addr, 0, sizeof(address.in.sin_addr));
        ((uint8_t *)&address.in.sin_addr)[fuzz_below(input, 4)] = fuzz_byte(input);
    } else {
        address.in6.sin6_family = AF_INET6;
        address.in6.sin6_port = (uint16_t)fuzz_below(input, 2);
        address.in6.sin6_scope_id = fuzz_below(input, 2);
        memset(&address.in6.sin6_addr, 0, sizeof(address.in6.sin6_addr));
        ((uint8_t *)&address.in6.sin6_addr)[fuzz_below(input, 16)] = fuzz_byte(input);
    }
    if (resolver_question_reverse(question, &address.any, (socklen_t)(size + (shape >> 1) % 8)) !=
        0)
        abort();
    /* any other size or family is refused, and never looked at beyond its end */
    size = fuzz_below(input, 32);
    address.any.sa_family = shape & 2 ? AF_INET : shape & 4 ? AF_INET6 : (uint16_t)(shape << 8);
    if (size < (shape & 2 ? sizeof(address.in) : sizeof(address.in6))) {
        unsigned char *copy = malloc(size + 1);
        resolver_question_t other;

        if (copy == NULL)
            abort();
        memcpy(copy, &address, size);
        FUZZ_CHECK(resolver_question_reverse(&other, (struct sockaddr *)(void *)copy,
                                             (socklen_t)size) != 0 ||
                       (size >= sizeof(address.in) && address.any.sa_family == AF_INET),
                   "%zu bytes of family %d", size, address.any.sa_family);
        free(copy);
    }
}

static bool equal_names(const char *a, const char *b, bool fold)
{
    if (a == NULL || b == NULL)
        return a == b;
    for (; *a != '\0' && *b != '\0'; a++, b++) {
        unsigned char x = (unsigned char)*a, y = (unsigned char)*b;

        if (fold && x < 128 && y < 128) {
            x = (unsigned char)tolower(x);
            y = (unsigned char)tolower(y);
        }
        if (x != y)
            return false;
    }
    return *a == *b;
}

static bool equal_questions(const resolver_question_t *a, const resolver_question_t *b)
{
    if (a->reverse != b->reverse)
        return false;
    if (!a->reverse)
        return a->has_hints == b->has_hints && a->flags == b->flags && a->family == b->family &&
               a->socktype == b->socktype && a->protocol == b->protocol &&
               equal_names(a->host, b->host, true) && equal_names(a->service, b->service, false);
    if (a->address.any.sa_family != b->address.any.sa_family)
        return false;
    if (a->address.any.sa_family == AF_INET)
        return a->address.in.sin_port == b->address.in.sin_port &&
               memcmp(&a->address.in.sin_addr, &b->address.in.sin_addr,
                      sizeof(a->address.in.sin_addr)) == 0;
    return a->address.in6.sin6_port == b->address.in6.sin6_port &&
           a->address.in6.sin6_scope_id == b->address.in6.sin6_scope_id &&
           memcmp(&a->address.in6.sin6_addr, &b->address.in6.sin6_addr,
                  sizeof(a->address.in6.sin6_addr)) == 0;
}

static void test_keys(fuzz_input_t *input)
{
    static resolver_question_t questions[QUESTIONS];
    static names_t names[QUESTIONS];
    static resolver_key_t keys[QUESTIONS];
    uint64_t seed = fuzz_byte(input);

    for (unsigned i = 0; i < QUESTIONS; i++) {
        if (fuzz_below(input, 4) == 0)
            draw_reverse(input, &questions[i]);
        else
            draw_lookup(input, &questions[i], &names[i]);
        resolver_question_key(&questions[i], seed, &keys[i]);
        FUZZ_CHECK(keys[i].size <= sizeof(keys[i].bytes), "%zu bytes", keys[i].size);
        for (unsigned j = 0; j < i; j++) {
            bool same = keys[i].size == keys[j].size &&
                        memcmp(keys[i].bytes, keys[j].bytes, keys[i].size) == 0;

            FUZZ_CHECK(same == equal_questions(&questions[i], &questions[j]),
                       "questions %u and %u have %s key", i, j, same ? "the same" : "another");
            FUZZ_CHECK(!same || keys[i].hash == keys[j].hash, "equal keys, other hashes");
        }
    }
}

/* ---- the cache */

typedef struct cached {
    unsigned name;
    uint64_t expires;
    int status;
    unsigned value;
} cached_t;

/* Most recently used first. */
typedef struct cache_model {
    cached_t entries[CACHED_MAX];
    size_t count, limit;
} cache_model_t;

static cached_t model_remove(cache_model_t *model, size_t at)
{
    cached_t entry = model->entries[at];

    model->count--;
    memmove(&model->entries[at], &model->entries[at + 1],
            (model->count - at) * sizeof(model->entries[0]));
    return entry;
}

static void model_put_first(cache_model_t *model, cached_t entry)
{
    memmove(&model->entries[1], &model->entries[0], model->count * sizeof(model->entries[0]));
    model->entries[0] = entry;
    model->count++;
}

static bool model_find(const cache_model_t *model, unsigned name, size_t *at)
{
    for (*at = 0; *at < model->count; ++*at) {
        if (model->entries[*at].name == name)
            return true;
    }
    return false;
}

/* Of many names some have the same hash, and others the same bucket. */
static void key_of(unsigned name, unsigned hashes, resolver_key_t *key)
{
    resolver_question_t question;
    char text[16];

    snprintf(text, sizeof(text), "name%u", name);
    resolver_question_lookup(&question, text, NULL, NULL);
    resolver_question_key(&question, 0, key);
    key->hash = hashes == 0 ? key->hash : (name % hashes) * 16;
}

static void cache_store(fuzz_input_t *input, resolver_cache_t *cache, cache_model_t *model,
                        const resolver_key_t *key, cached_t entry)
{
    resolver_outcome_t outcome = {.status = 0};
    char text[16];
    size_t at;

    snprintf(text, sizeof(text), "%u", entry.value);
    if (fuzz_below(input, 4) == 0) {
        outcome.status = entry.status = EAI_NONAME;
    } else {
        outcome.answer = resolver_answer_of_names(text, fuzz_below(input, 2) != 0 ? text : NULL);
        FUZZ_CHECK(outcome.answer != NULL, "no answer");
    }
    fuzz_trace("store %u until %u: %d, %u", entry.name, (unsigned)entry.expires, entry.status,
               entry.value);
    if (model_find(model, entry.name, &at))
        model_remove(model, at);
    if (model->limit != 0) {
        if (model->count == model->limit)
            model_remove(model, model->count - 1);
        model_put_first(model, entry);
    }
    resolver_cache_store(cache, key->bytes, key->size, key->hash, &outcome, entry.expires);
    resolver_answer_drop(outcome.answer);
}

static void cache_find(resolver_cache_t *cache, cache_model_t *model, const resolver_key_t *key,
                       unsigned name, uint64_t now)
{
    resolver_cache_entry_t *entry = resolver_cache_find(cache, key, now);
    cached_t wanted = {0, 0, 0, 0};
    bool there = false;
    size_t at;

    if (model_find(model, name, &at)) {
        wanted = model_remove(model, at);
        there = wanted.expires > now;
        if (there)
            model_put_first(model, wanted);
    }
    fuzz_trace("find %u at %u: %s", name, (unsigned)now, there ? "there" : "not there");
    FUZZ_CHECK((entry != NULL) == there, "%u is %s there", name, there ? "not" : "still");
    if (entry == NULL)
        return;
    FUZZ_CHECK(entry->status == wanted.status && entry->expires == wanted.expires, "%d, %u",
               entry->status, (unsigned)entry->expires);
    FUZZ_CHECK((entry->answer == NULL) == (wanted.status != 0), "an answer, or none");
    if (entry->answer != NULL)
        FUZZ_CHECK((unsigned)atoi(entry->answer->host) == wanted.value, "%s, not %u",
                   entry->answer->host, wanted.value);
}

static void test_cache(fuzz_input_t *input)
{
    cache_model_t model = {.limit = fuzz_below(input, CACHED_MAX + 1)};
    unsigned hashes = fuzz_below(input, 4), value = 0;
    resolver_answer_t *held = NULL;
    resolver_cache_t cache;
    uint64_t now = 1;

    FUZZ_CHECK(resolver_cache_init(&cache, model.limit) == 0, "init");
    while (fuzz_more(input)) {
        unsigned what = fuzz_below(input, 16), name = fuzz_below(input, NAMES);
        cached_t entry = {name, now + fuzz_below(input, 8), 0, ++value};
        resolver_key_t key;

        key_of(name, hashes, &key);
        if (what < 7) {
            cache_store(input, &cache, &model, &key, entry);
        } else if (what < 14) {
            cache_find(&cache, &model, &key, name, now);
        } else if (what == 14) {
            now += fuzz_below(input, 4);
        } else if (fuzz_below(input, 8) == 0) {
            fuzz_trace("clear");
            resolver_cache_clear(&cache);
            model.count = 0;
        } else if (held == NULL && model.count != 0 && model.entries[0].status == 0) {
            key_of(model.entries[0].name, hashes, &key);
            held = resolver_cache_find(&cache, &key, 0)->answer;
            resolver_answer_hold(held);
            value++;
        }
        FUZZ_CHECK(cache.table.count == model.count, "%zu entries, not %zu", cache.table.count,
                   model.count);
    }
    resolver_cache_free(&cache);
    if (held != NULL)
        FUZZ_CHECK(atoi(held->host) != 0, "the answer went with the cache");
    resolver_answer_drop(held);
}

/* ---- answers */

static bool equal_texts(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void compare_lists(const struct addrinfo *is, const struct addrinfo *wanted)
{
    for (; wanted != NULL; wanted = wanted->ai_next, is = is->ai_next) {
        FUZZ_CHECK(is != NULL, "too few addresses");
        FUZZ_CHECK(is->ai_family == wanted->ai_family && is->ai_socktype == wanted->ai_socktype &&
                       is->ai_protocol == wanted->ai_protocol && is->ai_flags == wanted->ai_flags,
                   "%d %d %d %d", is->ai_family, is->ai_socktype, is->ai_protocol, is->ai_flags);
        FUZZ_CHECK(is->ai_addrlen == wanted->ai_addrlen &&
                       memcmp(is->ai_addr, wanted->ai_addr, (size_t)is->ai_addrlen) == 0,
                   "another address");
        FUZZ_CHECK(equal_texts(is->ai_canonname, wanted->ai_canonname), "%s, not %s",
                   is->ai_canonname, wanted->ai_canonname);
    }
    FUZZ_CHECK(is == NULL, "too many addresses");
}

static void test_answer(fuzz_input_t *input)
{
    struct addrinfo list[8];
    unsigned char addresses[8][64];
    char names[8][NAME_MAX_SIZE];
    size_t count = fuzz_below(input, 9);
    resolver_answer_t *answer;

    memset(list, 0, sizeof(list));
    for (size_t i = 0; i < count; i++) {
        fuzz_bytes(input, addresses[i], sizeof(addresses[i]));
        list[i].ai_flags = fuzz_byte(input);
        list[i].ai_family = fuzz_byte(input);
        list[i].ai_addr = (struct sockaddr *)(void *)addresses[i];
        list[i].ai_addrlen = (socklen_t)fuzz_below(input, 65);
        list[i].ai_canonname = draw_name(input, names[i], "abc.");
        list[i].ai_next = i + 1 < count ? &list[i + 1] : NULL;
    }
    answer = resolver_answer_of_addresses(count != 0 ? list : NULL);
    FUZZ_CHECK(answer != NULL, "no memory");
    compare_lists(answer->addresses, count != 0 ? list : NULL);
    resolver_answer_hold(answer);
    resolver_answer_drop(answer);
    resolver_answer_drop(answer);
}

/* ---- numeric names */

static struct addrinfo *draw_hints(fuzz_input_t *input, struct addrinfo *space)
{
    static const int flags[] = {AI_PASSIVE, AI_CANONNAME, AI_NUMERICHOST, AI_NUMERICSERV};
    static const int families[] = {AF_UNSPEC, AF_INET, AF_INET6, 4711};
    static const int types[] = {0, SOCK_STREAM, SOCK_DGRAM, 4711};
    static const int protocols[] = {0, IPPROTO_TCP, IPPROTO_UDP, 47};
    unsigned mask = fuzz_byte(input), kinds = fuzz_byte(input);

    if (mask & 128)
        return NULL;
    memset(space, 0, sizeof(*space));
    for (unsigned i = 0; i < 4; i++)
        space->ai_flags |= mask & 1u << i ? flags[i] : 0;
    space->ai_family = families[kinds & 3];
    space->ai_socktype = types[kinds >> 2 & 3];
    space->ai_protocol = protocols[kinds >> 4 & 3];
    return space;
}

static const char *draw_service(fuzz_input_t *input, char *space)
{
    static const char *const services[] = {NULL, "80", "http", "65535", "65536", "", "-1", "08"};
    unsigned which = fuzz_below(input, 10);

    return which < 8 ? services[which] : draw_name(input, space, "0123456789 x");
}

static const char *draw_host(fuzz_input_t *input, char *space)
{
    static const char *const hosts[] = {"127.0.0.1",      "::1", "1",        "0x7f.1",
                                        "::ffff:1.2.3.4", "",    "fe80::1%1"};
    unsigned which = fuzz_below(input, 16);

    if (which < 7)
        return hosts[which];
    return draw_name(input, space, which < 13 ? "0123456789.xabcdef" : "0123456789abcdef::::%.");
}

static bool is_address(const char *host)
{
    unsigned char bytes[16];

    return host != NULL &&
           (inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1);
}

/* An answer is the one that the system gives without asking anybody; no answer: it would ask. */
static void check_numeric(const resolver_question_t *question, const struct addrinfo *given,
                          bool answered, const resolver_outcome_t *outcome)
{
    struct addrinfo hints, *list = NULL;
    int status;

    memset(&hints, 0, sizeof(hints));
    if (given != NULL)
        hints = *given;
    hints.ai_flags |= AI_NUMERICHOST;
    status = question->host != NULL && question->host[0] == '\0'
                 ? EAI_NONAME
                 : getaddrinfo(question->host, question->service, &hints, &list);
    fuzz_trace("numeric %s %s: %d, by the system %d", question->host ? question->host : "NULL",
               question->service ? question->service : "NULL", answered ? outcome->status : 4711,
               status);
    if (!answered) {
        FUZZ_CHECK(question->host != NULL && !is_address(question->host), "%s is an address",
                   question->host);
        FUZZ_CHECK(given == NULL || (given->ai_flags & AI_NUMERICHOST) == 0, "AI_NUMERICHOST");
        FUZZ_CHECK(status != 0, "the system knows %s", question->host);
        return;
    }
    FUZZ_CHECK(outcome->status == status, "%d, not %d", outcome->status, status);
    FUZZ_CHECK((outcome->answer != NULL) == (status == 0), "an answer, or none");
    if (status != 0)
        return;
    compare_lists(outcome->answer->addresses, list);
    resolver_answer_drop(outcome->answer);
    freeaddrinfo(list);
}

static void test_numeric(fuzz_input_t *input)
{
    char host[NAME_MAX_SIZE], service[NAME_MAX_SIZE];
    resolver_outcome_t outcome = {.status = 4711};
    struct addrinfo space, *hints = draw_hints(input, &space);
    resolver_question_t question;
    bool answered;

    resolver_question_lookup(&question, draw_host(input, host), draw_service(input, service),
                             hints);
    if (question.host == NULL && question.service == NULL)
        return;
    answered = resolver_numeric_answer(&question, &outcome);
    check_numeric(&question, hints, answered, &outcome);
}

/* ---- the public functions */

#define PENDING_MAX 32u

typedef struct asked {
    uint64_t id;
    char host[NAME_MAX_SIZE];
    struct addrinfo hints;
} asked_t;

static void check_result(async_resolver_t *resolver, const asked_t *asked)
{
    async_resolver_result_t *result = async_resolver_next(resolver);
    struct addrinfo *list = NULL;
    int status;

    FUZZ_CHECK(result != NULL, "no result for %s", asked->host);
    FUZZ_CHECK(result->request_id == asked->id && result->context == (const void *)asked,
               "another request's result");
    FUZZ_CHECK(strcmp(result->host, asked->host) == 0 && result->service == NULL, "%s",
               result->host);
    FUZZ_CHECK(result->flags == 0 && result->reserved[0] == 0 && result->reserved[1] == 0, "%u",
               (unsigned)result->flags);
    status =
        asked->host[0] == '\0' ? EAI_NONAME : getaddrinfo(asked->host, NULL, &asked->hints, &list);
    FUZZ_CHECK(result->status == status, "%s: %d, not %d", asked->host, result->status, status);
    FUZZ_CHECK((result->addresses != NULL) == (status == 0), "addresses, or none");
    if (status == 0) {
        compare_lists(result->addresses, list);
        freeaddrinfo(list);
    }
    async_resolver_free_result(result);
}

static void ask(fuzz_input_t *input, async_resolver_t *resolver, asked_t *asked)
{
    char space[NAME_MAX_SIZE];
    const char *host = draw_host(input, space);

    memset(&asked->hints, 0, sizeof(asked->hints));
    draw_hints(input, &asked->hints);
    asked->hints.ai_flags |= AI_NUMERICHOST; /* it must not ask anybody */
    snprintf(asked->host, sizeof(asked->host), "%s", host != NULL ? host : "1.2.3.4");
    errno = FUZZ_ERRNO;
    asked->id = async_resolver_lookup(resolver, asked->host, NULL, &asked->hints, asked);
    FUZZ_CHECK(asked->id != 0 && errno == FUZZ_ERRNO, "%s: errno %d", asked->host, errno);
    FUZZ_CHECK(async_resolver_cancel(resolver, asked->id) == -1 && errno == ENOENT,
               "what has ended was cancelled");
}

static void test_public(fuzz_input_t *input)
{
    async_resolver_options_t options = ASYNC_RESOLVER_OPTIONS_INIT;
    asked_t asked[PENDING_MAX];
    async_resolver_stats_t stats;
    async_resolver_t *resolver;
    async_event_t event;
    size_t first = 0, count = 0;

    options.engine = "libc";
    options.queue_limit = fuzz_below(input, 3); /* does not count for numeric names */
    options.cache_entries = fuzz_below(input, 3);
    resolver = async_resolver_create(runtime, 7, &options);
    FUZZ_CHECK(resolver != NULL, "errno %d", errno);
    while (fuzz_more(input) && count < PENDING_MAX) {
        if (fuzz_below(input, 3) != 0)
            ask(input, resolver, &asked[count++]);
        else if (first < count)
            check_result(resolver, &asked[first++]);
        else
            FUZZ_CHECK(async_resolver_next(resolver) == NULL && errno == EAGAIN, "a result");
    }
    async_resolver_get_stats(resolver, &stats);
    FUZZ_CHECK(stats.admitted == count && stats.completed + stats.failed == count, "%u of %u",
               (unsigned)(stats.completed + stats.failed), (unsigned)count);
    /* told of at least once, merged; the rest goes with the resolver */
    FUZZ_CHECK((async_runtime_wait(runtime, &event, 1, 0) == 1) == (count != 0), "no announcement");
    while (first < count && fuzz_more(input))
        check_result(resolver, &asked[first++]);
    async_resolver_destroy(resolver);
    while (async_runtime_wait(runtime, &event, 1, 0) == 1)
        ;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input_t input = {data, data + size};

    if (runtime == NULL)
        runtime = async_runtime_init();
    FUZZ_CHECK(runtime != NULL, "no runtime, errno %d", errno);
    switch (fuzz_below(&input, 5)) {
    case 0:
        test_keys(&input);
        break;
    case 1:
        test_cache(&input);
        break;
    case 2:
        test_answer(&input);
        break;
    case 3:
        while (fuzz_more(&input))
            test_numeric(&input);
        break;
    default:
        test_public(&input);
        break;
    }
    return 0;
}

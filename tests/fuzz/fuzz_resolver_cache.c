/* SPDX-License-Identifier: MIT */
/*
 * The keys under which equal questions meet, beside a comparison of the questions; and the cache of
 * the resolver's answers, beside a plain list.
 */
#include "fuzz.h"
#include "resolver/resolver_cache.h"

#include <ctype.h>

#define QUESTIONS 6u
#define CACHED_MAX 12u
#define NAMES 20u

const char fuzz_name[] = "resolver_cache";
const unsigned fuzz_rounds = 3000;
const size_t fuzz_max_input = 200;

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
    memset(names->host, shape & 64 ? 'h' : 'H', RESOLVER_HOST_MAX);
    names->host[shape & 1 ? fuzz_below(input, 3) : RESOLVER_HOST_MAX] = '\0';
    memset(names->service, shape & 128 ? 's' : 'S', RESOLVER_SERVICE_MAX);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input_t input = {data, data + size};

    if (fuzz_below(&input, 2) == 0)
        test_keys(&input);
    else
        test_cache(&input);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * What the resolver answers without asking anybody: the copies that it makes of answers, numeric
 * names beside getaddrinfo(), and the public functions with names that are numeric or refused.
 */
#include "fuzz.h"
#include "resolver/resolver_core.h"

#include <errno.h>

#if !defined(_WIN32)
#include <arpa/inet.h>
#endif

#define NAME_MAX_SIZE 24u

const char fuzz_name[] = "resolver";
const unsigned fuzz_rounds = 1500;
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
    switch (fuzz_below(&input, 4)) {
    case 0:
        test_answer(&input);
        break;
    case 1:
        test_public(&input);
        break;
    default:
        while (fuzz_more(&input))
            test_numeric(&input);
        break;
    }
    return 0;
}

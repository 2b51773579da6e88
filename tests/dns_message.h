/* SPDX-License-Identifier: MIT */
/*
 * dns_message.h - what the test's DNS server answers, as bytes; see dns_responder.h for the rules
 */
#ifndef DNS_MESSAGE_H
#define DNS_MESSAGE_H

#include <stdbool.h>

#include <stddef.h>

#define DNS_MESSAGE_MAX 16384

typedef struct dns_query {
    char name[256]; /* in lower case, without a dot at its end */
    int type;
    size_t question_end; /* in the message */
} dns_query_t;

/* Whether the message is a query that the server understands. */
bool dns_message_parse(const unsigned char *message, size_t size, dns_query_t *query);

/* The number behind a label of the name that begins so, or -1: there is none such. */
long dns_message_rule(const char *name, const char *rule);

/* Makes the answer to a query, the count-th for its name and type.  Returns its size. */
size_t dns_message_answer(const unsigned char *message, const dns_query_t *query, unsigned count,
                          bool tcp, unsigned char *answer);

#endif /* DNS_MESSAGE_H */

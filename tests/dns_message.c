/* SPDX-License-Identifier: MIT */
#include "dns_message.h"
#include "dns_responder.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TYPE_CNAME = 5, RCODE_SERVFAIL = 2, RCODE_NXDOMAIN = 3, FLAG_TC = 0x02 };

typedef struct writer {
    unsigned char *bytes;
    size_t size;
    unsigned records;
} writer_t;

static void put16(writer_t *out, unsigned value)
{
    out->bytes[out->size++] = (unsigned char)(value >> 8);
    out->bytes[out->size++] = (unsigned char)value;
}

static void put_name(writer_t *out, const char *name)
{
    while (*name != '\0') {
        size_t length = strcspn(name, ".");

        out->bytes[out->size++] = (unsigned char)length;
        memcpy(out->bytes + out->size, name, length);
        out->size += length;
        name += length + (name[length] == '.');
    }
    out->bytes[out->size++] = 0;
}

bool dns_message_parse(const unsigned char *message, size_t size, dns_query_t *query)
{
    size_t at = 12, length = 0;

    if (size < 17 || (message[2] & 0xf8) != 0 || message[4] != 0 || message[5] != 1)
        return false;
    while (at < size && message[at] != 0) {
        size_t label = message[at++];

        if (label > 63 || at + label >= size || length + label + 1 >= sizeof(query->name))
            return false;
        if (length != 0)
            query->name[length++] = '.';
        for (size_t i = 0; i < label; i++)
            query->name[length++] = (char)tolower(message[at + i]);
        at += label;
    }
    query->name[length] = '\0';
    if (at + 5 > size)
        return false;
    query->type = message[at + 1] << 8 | message[at + 2];
    query->question_end = at + 5;
    return true;
}

long dns_message_rule(const char *name, const char *rule)
{
    size_t length = strlen(rule);

    while (*name != '\0') {
        size_t label = strcspn(name, ".");

        if (label >= length && memcmp(name, rule, length) == 0) {
            char *end;
            long value = strtol(name + length, &end, 10);

            if (end == name + label)
                return value;
        }
        name += label + (name[label] == '.');
    }
    return -1;
}

/* The owner is the question's name, by a pointer, or a name of its own. */
static void put_record(writer_t *out, const char *owner, int type, long ttl)
{
    if (owner == NULL)
        put16(out, 0xc00c);
    else
        put_name(out, owner);
    put16(out, (unsigned)type);
    put16(out, 1);
    put16(out, (unsigned)(ttl >> 16));
    put16(out, (unsigned)(ttl & 0xffff));
    out->records++;
}

static void put_record_name(writer_t *out, int type, long ttl, const char *name)
{
    size_t length_at;

    put_record(out, NULL, type, ttl);
    length_at = out->size;
    put16(out, 0);
    put_name(out, name);
    out->bytes[length_at] = (unsigned char)((out->size - length_at - 2) >> 8);
    out->bytes[length_at + 1] = (unsigned char)(out->size - length_at - 2);
}

static void put_addresses(writer_t *out, const dns_query_t *query, unsigned count)
{
    long many = dns_message_rule(query->name, "many"), ttl = dns_message_rule(query->name, "ttl");
    bool serial = dns_message_rule(query->name, "serial") >= 0, v6 = query->type == DNS_TYPE_AAAA;
    const char *owner = NULL;

    if (ttl < 0)
        ttl = 3600;
    if (dns_message_rule(query->name, v6 ? "v4" : "v6") >= 0)
        return;
    if (dns_message_rule(query->name, "alias") >= 0) {
        owner = "canon.test";
        put_record_name(out, TYPE_CNAME, ttl, owner);
    }
    for (long i = 1; i <= (many > 0 ? many : 1); i++) {
        long last = serial ? (long)count : i;

        put_record(out, owner, query->type, ttl);
        put16(out, v6 ? 16 : 4);
        if (v6) {
            memset(out->bytes + out->size, 0, 16);
            out->bytes[out->size] = 0xfd;
            out->size += 14;
        } else {
            put16(out, 10 << 8);
        }
        put16(out, (unsigned)last);
    }
}

/* Returns whether the address has a name. */
static bool put_pointer(writer_t *out, const dns_query_t *query)
{
    unsigned a, b, c;
    char name[32];
    long ttl = 3600;

    if (strstr(query->name, "ip6.arpa") != NULL) {
        put_record_name(out, DNS_TYPE_PTR, ttl, "host6.test");
        return true;
    }
    if (sscanf(query->name, "%u.%u.%u.10.in-addr.arpa", &a, &b, &c) != 3 || c == 9)
        return false;
    snprintf(name, sizeof(name), "host%u.test", a);
    put_record_name(out, DNS_TYPE_PTR, ttl, name);
    return true;
}

size_t dns_message_answer(const unsigned char *message, const dns_query_t *query, unsigned count,
                          bool tcp, unsigned char *answer)
{
    bool cut = !tcp && dns_message_rule(query->name, "cut") >= 0;
    writer_t out = {.bytes = answer, .size = query->question_end};
    unsigned rcode = 0;

    memcpy(answer, message, query->question_end);
    memset(answer + 4, 0, 8);
    answer[5] = 1;
    if (dns_message_rule(query->name, "nx") >= 0)
        rcode = RCODE_NXDOMAIN;
    else if (dns_message_rule(query->name, "fail") >= 0)
        rcode = RCODE_SERVFAIL;
    else if (query->type == DNS_TYPE_PTR)
        rcode = put_pointer(&out, query) ? 0 : RCODE_NXDOMAIN;
    else if (!cut && (query->type == DNS_TYPE_A || query->type == DNS_TYPE_AAAA) &&
             dns_message_rule(query->name, "nodata") < 0)
        put_addresses(&out, query, count);
    answer[2] = (unsigned char)(0x84 | (message[2] & 1) | (cut ? FLAG_TC : 0));
    answer[3] = (unsigned char)(0x80 | rcode);
    answer[6] = (unsigned char)(out.records >> 8);
    answer[7] = (unsigned char)out.records;
    return out.size;
}

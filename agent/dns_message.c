/* DNS messages, as far as a forwarder reads them. SPDX-License-Identifier: Apache-2.0 */
#include "dns_message.h"

#include <string.h>

enum {
    FLAGS = 2,        /* offset of the two bytes of flags */
    QUESTIONS = 4,    /* offsets of the counts */
    ANSWERS = 6,      /* … */
    RESPONSE = 0x80,  /* in the first byte of flags, */
    OPCODE = 0x78,    /* … */
    TRUNCATED = 0x02, /* … */
    RA = 0x80,        /* and in the second: recursion available, */
    RCODE = 0x0f,     /* and the outcome */
    SERVFAIL = 2,
    LABEL_MAX = 63, /* RFC 1035 2.3.4 */
    NAME_MAX_BYTES = 255,
    TYPE_AND_CLASS = 4,
};

static unsigned u16(const uint8_t *at) {
    return (unsigned)at[0] << 8 | at[1];
}

/* The offset behind the question at DNS_HEADER; 0 when it is no whole, plain question. */
static size_t question_end(const uint8_t *m, size_t len) {
    size_t at = DNS_HEADER;
    while (at < len && m[at] != 0) {
        if (m[at] > LABEL_MAX) { /* a compression pointer has no place in the first name */
            return 0;
        }
        at += 1u + m[at];
        if (at - DNS_HEADER >= NAME_MAX_BYTES) {
            return 0;
        }
    }
    at += 1 + TYPE_AND_CLASS;
    return at <= len ? at : 0;
}

size_t dns_message_query(const uint8_t *m, size_t len) {
    if (len < DNS_HEADER || (m[FLAGS] & (RESPONSE | OPCODE)) != 0 || u16(m + QUESTIONS) != 1) {
        return 0;
    }
    return question_end(m, len);
}

/* Equal without regard to the case of letters, as names are (RFC 1035 2.3.3). */
static bool same_name(const uint8_t *a, const uint8_t *b, size_t len) {
    for (size_t i = 0; i < len; i++) {
        uint8_t x = a[i] >= 'A' && a[i] <= 'Z' ? a[i] | 0x20 : a[i];
        uint8_t y = b[i] >= 'A' && b[i] <= 'Z' ? b[i] | 0x20 : b[i];
        if (x != y) {
            return false;
        }
    }
    return true;
}

bool dns_message_answers(const uint8_t *query, size_t question, const uint8_t *answer, size_t len) {
    if (len < DNS_HEADER || !(answer[FLAGS] & RESPONSE) || (answer[FLAGS] & OPCODE) != 0 ||
        u16(answer) != u16(query)) {
        return false;
    }
    if (u16(answer + QUESTIONS) == 0) { /* a server may fail without reading the question */
        return (answer[FLAGS + 1] & RCODE) != 0 && u16(answer + ANSWERS) == 0;
    }
    size_t name_end = question - TYPE_AND_CLASS;
    return u16(answer + QUESTIONS) == 1 && question_end(answer, len) == question &&
           same_name(answer + DNS_HEADER, query + DNS_HEADER, name_end - DNS_HEADER) &&
           memcmp(answer + name_end, query + name_end, TYPE_AND_CLASS) == 0;
}

uint16_t dns_message_id(const uint8_t *m) {
    return (uint16_t)u16(m);
}

void dns_message_set_id(uint8_t *m, uint16_t id) {
    m[0] = (uint8_t)(id >> 8);
    m[1] = (uint8_t)id;
}

/* Keeps header and question only. */
static size_t cut(uint8_t *m, size_t len) {
    memset(m + ANSWERS, 0, DNS_HEADER - ANSWERS);
    return question_end(m, len);
}

size_t dns_message_fail(uint8_t *m, size_t len) {
    m[FLAGS] |= RESPONSE;
    m[FLAGS + 1] = RA | SERVFAIL;
    return cut(m, len);
}

size_t dns_message_truncate(uint8_t *m, size_t len) {
    m[FLAGS] |= RESPONSE | TRUNCATED;
    m[FLAGS + 1] = RA;
    return cut(m, len);
}

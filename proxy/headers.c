/* Writes heads anew. SPDX-License-Identifier: Apache-2.0 */
#include "headers.h"

#include <string.h>

#include "bounds.h"

/* What we add to a head at most: forwarded fields with an address and an id, date, framing, and
 * the line's own words. */
enum { HEAD_EXTRA = 768 };

size_t head_size_max(const struct http_head *head) {
    /* The authority stands in Host and X-Forwarded-Host; each field may gain a space. */
    return head->bytes + 2 * head->facts.authority.len + 2 * head->header_count + HEAD_EXTRA;
}

static char *put(char *at, struct http_text text) {
    if (text.len) {
        memcpy(at, text.at, text.len);
    }
    return at + text.len;
}

/* A string literal. */
#define PUT(at, words) (memcpy(at, words, sizeof(words) - 1), (at) + sizeof(words) - 1)

static char *put_field(char *at, struct http_text name, struct http_text value) {
    at = put(at, name);
    at = PUT(at, ": ");
    at = put(at, value);
    return PUT(at, "\r\n");
}

static char *put_number(char *at, uint64_t number) {
    char digits[20];
    size_t n = sizeof digits;
    do {
        digits[--n] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    return put(at, (struct http_text){ digits + n, sizeof digits - n });
}

static char *put_length(char *at, uint64_t length) {
    at = PUT(at, "Content-Length: ");
    at = put_number(at, length);
    return PUT(at, "\r\n");
}

static char *put_upgrade(char *at, struct http_text upgrade) {
    at = PUT(at, "Connection: Upgrade\r\nUpgrade: ");
    at = put(at, upgrade);
    return PUT(at, "\r\n");
}

/* Fields that are not passed on as they came. */
static bool request_field_dropped(const struct http_header *h) {
    switch (h->field) {
    case FIELD_HOST:
    case FIELD_CONTENT_LENGTH:
    case FIELD_FORWARDED:
    case FIELD_X_FORWARDED_FOR:
    case FIELD_X_FORWARDED_HOST:
    case FIELD_X_FORWARDED_PROTO:
    case FIELD_X_REQUEST_ID:
        return true;
    default:
        return h->hop;
    }
}

static char *put_forwarded(
    char *at, const struct http_head *head, const struct request_facts *facts) {
    at = PUT(at, "X-Forwarded-For: ");
    at = put(at, facts->client);
    at = facts->secure ? PUT(at, "\r\nX-Forwarded-Proto: https\r\n")
                       : PUT(at, "\r\nX-Forwarded-Proto: http\r\n");
    if (head->facts.authority.len) {
        at = PUT(at, "X-Forwarded-Host: ");
        at = put(at, head->facts.authority);
        at = PUT(at, "\r\n");
    }
    at = PUT(at, "X-Request-Id: ");
    at = put(at, facts->id);
    return PUT(at, "\r\n");
}

static char *put_target(char *at, const struct http_target *target) {
    at = put(at, target->path);
    if (target->query.at) {
        *at++ = '?';
        at = put(at, target->query);
    }
    return at;
}

size_t head_write_request(
    char *to, const struct http_head *head, const struct request_facts *facts) {
    char *at = put(to, head->method_name);
    *at++ = ' ';
    at = put_target(at, &head->target);
    at = PUT(at, " HTTP/1.1\r\nHost: ");
    at = put(at, head->facts.authority);
    at = PUT(at, "\r\n");
    for (size_t i = 0; i < head->header_count; i++) {
        if (!request_field_dropped(&head->headers[i])) {
            at = put_field(at, head->headers[i].name, head->headers[i].value);
        }
    }
    at = put_forwarded(at, head, facts);
    if (head->facts.framing == BODY_CHUNKED) {
        at = PUT(at, "Transfer-Encoding: chunked\r\n");
    } else if (head->facts.has_length || head->facts.framing == BODY_LENGTH) {
        at = put_length(at, head->facts.length);
    }
    if (head->facts.upgrade.len) {
        at = put_upgrade(at, head->facts.upgrade);
    }
    at = PUT(at, "\r\n");
    return (size_t)(at - to);
}

static char *put_status_line(char *at, const struct http_head *head) {
    at = PUT(at, "HTTP/1.1 ");
    at = put_number(at, (uint64_t)head->status);
    *at++ = ' ';
    at = put(at, head->reason);
    return PUT(at, "\r\n");
}

size_t head_write_answer(char *to, const struct http_head *head, const struct answer_facts *facts) {
    bool has_date = false, has_id = false;
    char *at = put_status_line(to, head);
    for (size_t i = 0; i < head->header_count; i++) {
        const struct http_header *h = &head->headers[i];
        has_date |= h->field == FIELD_DATE;
        has_id |= h->field == FIELD_X_REQUEST_ID;
        if (!h->hop && h->field != FIELD_CONTENT_LENGTH) {
            at = put_field(at, h->name, h->value);
        }
    }
    if (!has_date) {
        at = put_field(at, (struct http_text){ "Date", 4 }, facts->date);
    }
    if (!has_id) {
        at = put_field(at, (struct http_text){ "X-Request-Id", 12 }, facts->id);
    }
    if (facts->chunked) {
        at = PUT(at, "Transfer-Encoding: chunked\r\n");
    } else if (head->facts.has_length) {
        at = put_length(at, head->facts.length);
    }
    if (!facts->keep_alive) {
        at = PUT(at, "Connection: close\r\n");
    } else if (!facts->client_is_1_1) {
        at = PUT(at, "Connection: keep-alive\r\n");
    }
    at = PUT(at, "\r\n");
    return (size_t)(at - to);
}

size_t head_write_interim(char *to, const struct http_head *head) {
    char *at = put_status_line(to, head);
    for (size_t i = 0; i < head->header_count; i++) {
        const struct http_header *h = &head->headers[i];
        if (!h->hop && h->field != FIELD_CONTENT_LENGTH) {
            at = put_field(at, h->name, h->value);
        }
    }
    if (head->status == 101) {
        at = put_upgrade(at, head->facts.upgrade);
    }
    at = PUT(at, "\r\n");
    return (size_t)(at - to);
}

size_t trailers_size_max(const struct http_header *trailers, size_t count) {
    size_t size = 2;
    for (size_t i = 0; i < count; i++) {
        size += trailers[i].name.len + trailers[i].value.len + 4;
    }
    return size;
}

size_t trailers_write(char *to, const struct http_header *trailers, size_t count) {
    char *at = to;
    for (size_t i = 0; i < count; i++) {
        at = put_field(at, trailers[i].name, trailers[i].value);
    }
    at = PUT(at, "\r\n");
    return (size_t)(at - to);
}

size_t chunk_line_write(char *to, size_t len) {
    static const char hex[] = "0123456789abcdef";
    char digits[16];
    size_t n = sizeof digits;
    do {
        digits[--n] = hex[len & 15];
        len >>= 4;
    } while (len);
    char *at = put(to, (struct http_text){ digits + n, sizeof digits - n });
    at = PUT(at, "\r\n");
    return (size_t)(at - to);
}

bool request_id_is_valid(struct http_text id) {
    if (id.len == 0 || id.len > REQUEST_ID_MAX) {
        return false;
    }
    for (size_t i = 0; i < id.len; i++) {
        char c = id.at[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.') {
            return false;
        }
    }
    return true;
}

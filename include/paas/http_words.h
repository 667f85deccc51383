/* The words of HTTP: slices, character classes, methods, fields, phrases.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Pure: no allocation, no locale.
 */
#ifndef PAAS_HTTP_WORDS_H
#define PAAS_HTTP_WORDS_H

#include <stdbool.h>
#include <stddef.h>

/* A slice of somebody's bytes; no NUL follows. An absent one has at == NULL. */
struct http_text {
    const char *at;
    size_t len;
};

/* What a byte may be part of. */
enum http_class {
    CLASS_TOKEN = 1,  /* RFC 9110 5.6.2 */
    CLASS_VALUE = 2,  /* field-vchar, obs-text, SP and TAB */
    CLASS_TARGET = 4, /* visible ASCII but '#' */
    CLASS_HOST = 8,   /* unreserved and sub-delims of RFC 3986 but ',', which would make a list */
    CLASS_DIGIT = 16,
    CLASS_HEX = 32,
};

extern const unsigned char http_classes[256]; /* bits of enum http_class */

static inline bool http_byte_is(char c, enum http_class class) {
    return http_classes[(unsigned char)c] & class;
}
/* Every byte is of the class; true of an empty text. */
bool http_all(struct http_text text, enum http_class class);
/* The bytes from `from` up to `to`. */
static inline struct http_text http_slice(struct http_text text, size_t from, size_t to) {
    return (struct http_text){ from ? text.at + from : text.at, to - from }; /* at may be NULL */
}
/* A string as a slice. */
struct http_text http_text_of(const char *word);

/* The methods that both supported versions of llhttp know; any other one is 501. */
#define HTTP_METHODS(X)                                                                            \
    X(GET, "GET")                                                                                  \
    X(HEAD, "HEAD")                                                                                \
    X(POST, "POST")                                                                                \
    X(PUT, "PUT")                                                                                  \
    X(DELETE, "DELETE")                                                                            \
    X(OPTIONS, "OPTIONS")                                                                          \
    X(PATCH, "PATCH")                                                                              \
    X(TRACE, "TRACE")                                                                              \
    X(COPY, "COPY")                                                                                \
    X(LOCK, "LOCK")                                                                                \
    X(MKCOL, "MKCOL")                                                                              \
    X(MOVE, "MOVE")                                                                                \
    X(PROPFIND, "PROPFIND")                                                                        \
    X(PROPPATCH, "PROPPATCH")                                                                      \
    X(SEARCH, "SEARCH")                                                                            \
    X(UNLOCK, "UNLOCK")                                                                            \
    X(BIND, "BIND")                                                                                \
    X(REBIND, "REBIND")                                                                            \
    X(UNBIND, "UNBIND")                                                                            \
    X(ACL, "ACL")                                                                                  \
    X(REPORT, "REPORT")                                                                            \
    X(MKACTIVITY, "MKACTIVITY")                                                                    \
    X(CHECKOUT, "CHECKOUT")                                                                        \
    X(MERGE, "MERGE")                                                                              \
    X(MSEARCH, "M-SEARCH")                                                                         \
    X(NOTIFY, "NOTIFY")                                                                            \
    X(SUBSCRIBE, "SUBSCRIBE")                                                                      \
    X(UNSUBSCRIBE, "UNSUBSCRIBE")                                                                  \
    X(PURGE, "PURGE")                                                                              \
    X(MKCALENDAR, "MKCALENDAR")                                                                    \
    X(LINK, "LINK")                                                                                \
    X(UNLINK, "UNLINK")

enum http_method {
    METHOD_NONE, /* so that a zeroed table row ends a table */
#define X(id, name) METHOD_##id,
    HTTP_METHODS(X)
#undef X
        METHOD_COUNT
};

/* Header fields, by the length of their names, that framing, routing or forwarding must know; `hop`
 * ones end at each hop (RFC 9110 7.6.1). */
#define HTTP_FIELDS(X)                                                                             \
    X(TE, "te", 1)                                                                                 \
    X(HOST, "host", 0)                                                                             \
    X(DATE, "date", 0)                                                                             \
    X(EXPECT, "expect", 0)                                                                         \
    X(SERVER, "server", 0)                                                                         \
    X(UPGRADE, "upgrade", 1)                                                                       \
    X(TRAILER, "trailer", 1)                                                                       \
    X(IF_MATCH, "if-match", 0)                                                                     \
    X(FORWARDED, "forwarded", 0)                                                                   \
    X(CONNECTION, "connection", 1)                                                                 \
    X(KEEP_ALIVE, "keep-alive", 1)                                                                 \
    X(TRACEPARENT, "traceparent", 0)                                                               \
    X(CONTENT_TYPE, "content-type", 0)                                                             \
    X(X_REQUEST_ID, "x-request-id", 0)                                                             \
    X(AUTHORIZATION, "authorization", 0)                                                           \
    X(CONTENT_LENGTH, "content-length", 0)                                                         \
    X(X_FORWARDED_FOR, "x-forwarded-for", 0)                                                       \
    X(PROXY_CONNECTION, "proxy-connection", 1)                                                     \
    X(X_FORWARDED_HOST, "x-forwarded-host", 0)                                                     \
    X(TRANSFER_ENCODING, "transfer-encoding", 1)                                                   \
    X(X_FORWARDED_PROTO, "x-forwarded-proto", 0)                                                   \
    X(PROXY_AUTHORIZATION, "proxy-authorization", 1)

enum http_field {
    FIELD_OTHER,
#define X(id, name, hop) FIELD_##id,
    HTTP_FIELDS(X)
#undef X
        FIELD_COUNT
};

/* Equal without regard to ASCII case. */
bool http_same(struct http_text a, struct http_text b);
bool http_is(struct http_text a, const char *word);
/* The next element of a comma-separated list, trimmed, empty ones skipped; false at the end.
 * `list` advances. */
bool http_list_next(struct http_text *list, struct http_text *element);
/* Without spaces and tabs around it. */
struct http_text http_trim(struct http_text text);
/* A token of RFC 9110 5.6.2, not empty. */
bool http_is_token(struct http_text text);

/* METHOD_NONE when unknown. Methods are case-sensitive. */
enum http_method http_method_of(struct http_text name);
const char *http_method_name(enum http_method method);
/* Safe to repeat (RFC 9110 9.2.2). */
bool http_method_idempotent(enum http_method method);
enum http_field http_field_of(struct http_text name);
/* "Not Found"; "" for a status without a phrase. */
const char *http_phrase(int status);
/* A field that ends at each hop by its kind. */
bool http_field_is_hop(enum http_field field);
/* A trailer field that may be forwarded: an allow-list of those that are made for the end. */
bool http_trailer_allowed(struct http_text name);

#endif

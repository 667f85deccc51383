/* What an HTTP parser leaves to its user: one verdict for every version of it.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Pure: no allocation, no I/O, no locale. The rules are those of RFC 9110 and RFC 9112, at their
 * strict end: whatever two implementations could read in two ways is refused, nothing is repaired,
 * nothing valid is refused. Each check answers a `struct http_verdict`: status 0 when all is well,
 * else the HTTP status of the refusal and words that quote no byte of the input.
 */
#ifndef PAAS_HTTP_CHECK_H
#define PAAS_HTTP_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <paas/http_words.h>

struct http_verdict {
    int status;        /* 0, or 400, 413, 414, 417, 431, 501, 505 */
    const char *words; /* static; NULL when status is 0 */
};

struct http_header {
    struct http_text name;  /* as sent; compare without regard to case */
    struct http_text value; /* without white space around it */
    enum http_field field;
    bool hop; /* not to be forwarded: hop-by-hop by its kind, or named by Connection */
};

/* The form of a request's target (RFC 9112 3.2); authority-form (CONNECT) is 501. */
enum http_form { FORM_ORIGIN, FORM_ABSOLUTE, FORM_ASTERISK };

struct http_target {
    enum http_form form;
    struct http_text path;      /* "/..." ("/" for an empty absolute path), or "*" */
    struct http_text query;     /* what follows '?'; absent when there is none */
    struct http_text authority; /* host[:port] of absolute-form; absent otherwise */
    bool https;                 /* scheme of absolute-form */
};

/* host[:port], split. */
struct http_authority {
    struct http_text host; /* name or address; of an IPv6 literal with its brackets; may be empty */
    int port;              /* 0..65535, or -1 when there is none */
};

/* How a message's body is framed. */
enum http_framing { BODY_NONE, BODY_LENGTH, BODY_CHUNKED, BODY_UNTIL_CLOSE };

/* What all header fields of one message say about the message itself. */
struct http_facts {
    enum http_framing framing;  /* a length of 0 is BODY_NONE */
    uint64_t length;            /* of BODY_LENGTH */
    bool has_length;            /* Content-Length was there (HEAD and 304 carry it bodyless) */
    bool keep_alive;            /* the connection may carry another message */
    bool expect_continue;       /* requests: 100-continue is awaited */
    struct http_text upgrade;   /* protocols asked for or agreed to; absent unless Connection says
                                   upgrade, there is no body, and it is not h2c */
    struct http_text authority; /* requests: the Host, or absolute-form's; absent only in 1.0 */
    struct http_authority host; /* that, split */
};

/* The first line of a request without its CRLF: one space between the three parts, a method that
 * is a known token (else 501), HTTP/1.0 or 1.1 (else 505), a target of a form that fits. */
struct http_verdict http_check_request_line(
    struct http_text line, enum http_method *method, struct http_text *target, int *minor);
struct http_verdict http_check_target(
    struct http_text target, enum http_method method, struct http_target *out);
/* The first line of a response without its CRLF: version, three digits in 100..599, a phrase or
 * none. Refusals are 502. */
struct http_verdict http_check_status_line(struct http_text line, int *status, int *minor);
/* A Host value or an authority: no userinfo, no second port, no list. */
struct http_verdict http_check_authority(struct http_text text, struct http_authority *out);
/* One field's bytes: a token for a name, no control byte but TAB in the value. */
struct http_verdict http_check_field(struct http_text name, struct http_text value);
/* All fields of a request: Host, framing, connection, expectation, upgrade. Marks `hop`. */
struct http_verdict http_check_request(enum http_method method, const struct http_target *target,
    int minor, struct http_header *headers, size_t count, struct http_facts *out);
/* All fields of a response with `status` to a request with `method`. Refusals are 502. */
struct http_verdict http_check_response(enum http_method method, int status, int minor,
    struct http_header *headers, size_t count, struct http_facts *out);

#endif

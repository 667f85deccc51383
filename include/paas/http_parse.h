/* An incremental parser of HTTP/1 messages with bounds. SPDX-License-Identifier: Apache-2.0
 *
 * Feed it what was read; it answers one event at a time and how many bytes that took:
 *
 *     while (len > 0 || event != HTTP_NEED_MORE) {
 *         event = http_parse_feed(&p, bytes, len, &r);
 *         bytes += r.consumed, len -= r.consumed;
 *         switch (event) {
 *         case HTTP_NEED_MORE: read more
 *         case HTTP_HEAD:      p.head is filled; all bytes of the head were consumed
 *         case HTTP_BODY:      r.body is a slice of `bytes`, never empty, framing taken off
 *         case HTTP_TRAILERS:  p.trailers are filled; only if there are some to be kept
 *         case HTTP_END:       the message is whole; http_parse_next() before more is fed
 *         case HTTP_ERROR:     r.verdict says why; the connection must end
 *
 * Events never depend on how the bytes were cut into reads. The head is collected in an arena that
 * the caller owns, so its slices stay valid until http_parse_next(); bodies are never copied. No
 * call allocates. llhttp splits the head; http_check.h judges it, and chunks are read here, since
 * llhttp's versions differ on both.
 */
#ifndef PAAS_HTTP_PARSE_H
#define PAAS_HTTP_PARSE_H

#include <paas/http_check.h>

/* What a peer may send. */
struct http_limits {
    size_t uri;           /* bytes of a request's target (414) */
    size_t header_bytes;  /* of the head but the request line (431) */
    size_t header_count;  /* (431) */
    size_t chunk_line;    /* bytes of one chunk's size and extensions (400) */
    size_t trailer_bytes; /* (431) */
    uint64_t body_max;    /* (413) */
};

/* Bounds that suit the control traffic and are a proxy's defaults. */
extern const struct http_limits http_limits_default;

enum http_event {
    HTTP_NEED_MORE,
    HTTP_HEAD,
    HTTP_BODY,
    HTTP_TRAILERS,
    HTTP_END,
    HTTP_ERROR,
};

struct http_result {
    size_t consumed;             /* bytes of the input that this event took */
    struct http_text body;       /* HTTP_BODY */
    struct http_verdict verdict; /* HTTP_ERROR; of a response always 502 */
};

/* The head of a message. Slices point into the arena. */
struct http_head {
    /* requests */
    enum http_method method;
    struct http_text method_name;
    struct http_text target_text; /* as sent */
    struct http_target target;
    /* responses */
    int status;
    struct http_text reason;
    /* both */
    int minor; /* 0 or 1 */
    struct http_header *headers;
    size_t header_count;
    struct http_facts facts;
    size_t bytes; /* of the head as it came */
};

enum http_parser_kind { HTTP_PARSE_REQUESTS, HTTP_PARSE_RESPONSES };

struct http_parser {
    struct http_head head;
    struct http_header *trailers; /* after HTTP_TRAILERS */
    size_t trailer_count;
    uint64_t body_bytes; /* handed out so far */

    /* private */
    const struct http_limits *limits;
    enum http_parser_kind kind;
    int state;
    char *arena;
    struct http_header *fields; /* in the arena, behind the text */
    size_t used;                /* bytes of text in the arena */
    size_t line_start;          /* where the present line begins */
    size_t block_start;         /* where the header or trailer section begins */
    size_t lines;               /* of that section */
    bool skipped;               /* an empty line before a request was passed over */
    uint64_t left;              /* of the body, or of the chunk */
    int chunk_state;
    size_t chunk_line; /* bytes of the present chunk line */
    enum http_method answer_to;
    const char *upgrade_asked;
    int informational; /* 1xx so far */
    struct http_verdict failed;
};

enum { HTTP_INFORMATIONAL_MAX = 16 /* 1xx before one answer: more is a broken or hostile app */ };

/* Bytes of an arena for `limits`: text, then headers and trailers. */
size_t http_arena_size(const struct http_limits *limits);
/* Makes a parser without an arena. `limits` must outlive it. */
void http_parse_init(
    struct http_parser *p, enum http_parser_kind kind, const struct http_limits *limits);
/* Begins the next message, whose head goes to `arena` of http_arena_size() bytes, aligned as
 * malloc does. The same arena may serve again; slices of the message before it are gone. */
void http_parse_next(struct http_parser *p, void *arena);
/* Responses, after http_parse_next: which method is answered, and the Upgrade value that was sent,
 * or NULL (must outlive the message). A 101 is accepted only if it names one of its protocols. */
void http_parse_expect(struct http_parser *p, enum http_method method, const char *upgrade);
/* Takes bytes; see above. A 1xx response gives HTTP_HEAD, and HTTP_END at once, after which
 * http_parse_again() goes on. After an upgrade HTTP_END is given and what follows is not ours. */
enum http_event http_parse_feed(
    struct http_parser *p, const char *bytes, size_t len, struct http_result *r);
/* Responses: begins the next head that answers the same request, after a 1xx. */
void http_parse_again(struct http_parser *p, void *arena);
/* The peer will send no more: HTTP_END (a body until close is whole), HTTP_NEED_MORE (nothing had
 * begun: a clean end) or HTTP_ERROR (cut inside a message). */
enum http_event http_parse_eof(struct http_parser *p, struct http_result *r);
/* True until the first byte of a message came. */
bool http_parse_idle(const struct http_parser *p);

/* The value of the first header of this name, or absent. */
struct http_text http_head_get(const struct http_head *head, const char *name);

#endif

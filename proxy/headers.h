/* What is added, removed and rewritten in heads. SPDX-License-Identifier: Apache-2.0
 *
 * Pure. Heads are written anew from what was parsed: no byte of framing is passed on.
 */
#ifndef PAAS_PROXY_HEADERS_H
#define PAAS_PROXY_HEADERS_H

#include <stdbool.h>
#include <stddef.h>

#include <paas/http_parse.h>

struct request_facts {
    struct http_text client; /* its address */
    struct http_text id;     /* X-Request-Id */
    bool secure;             /* it came over TLS */
};

struct answer_facts {
    struct http_text id;
    struct http_text date; /* used when the answer has none */
    bool client_is_1_1;
    bool keep_alive; /* the client's connection goes on */
    bool chunked;    /* the body leaves in chunks */
};

/* Bytes that are always enough for a head. */
size_t head_size_max(const struct http_head *head);
/* Writes a request's head as an instance gets it; returns its length. What a client says about
 * itself in X-Forwarded-* and Forwarded is dropped: it may be a lie. */
size_t head_write_request(
    char *to, const struct http_head *head, const struct request_facts *facts);
/* Writes an answer's head as the client gets it. */
size_t head_write_answer(char *to, const struct http_head *head, const struct answer_facts *facts);
/* Writes an interim answer's (1xx) head; of 101 with what was agreed on. */
size_t head_write_interim(char *to, const struct http_head *head);
/* Writes trailers and the empty line behind them. */
size_t trailers_write(char *to, const struct http_header *trailers, size_t count);
size_t trailers_size_max(const struct http_header *trailers, size_t count);
/* "1a2b\r\n": CHUNK_LINE_MAX bytes are enough. */
enum { CHUNK_LINE_MAX = 18 };
size_t chunk_line_write(char *to, size_t len);
/* A client's own request id that may be passed on: short, and of harmless bytes. */
bool request_id_is_valid(struct http_text id);

#endif

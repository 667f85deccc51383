/* Runs a parser over a stream and tells what it said. SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_HTTP_TRACE_H
#define TEST_HTTP_TRACE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <paas/buf.h>
#include <paas/http_parse.h>

struct trace_run {
    enum http_parser_kind kind;
    const struct http_limits *limits;
    enum http_method answer_to;
    const char *upgrade;
    size_t cut; /* bytes of a read; 0: all at once */
    bool eof;   /* then the peer ends */
};

static void trace_facts(const struct http_head *head, struct buf *out) {
    const struct http_facts *f = &head->facts;
    switch (f->framing) {
    case BODY_NONE:
        break;
    case BODY_LENGTH:
        buf_printf(out, " length=%llu", (unsigned long long)f->length);
        break;
    case BODY_CHUNKED:
        buf_puts(out, " chunked");
        break;
    case BODY_UNTIL_CLOSE:
        buf_puts(out, " until-close");
        break;
    }
    if (!f->keep_alive) {
        buf_puts(out, " close");
    }
    if (f->expect_continue) {
        buf_puts(out, " continue");
    }
    if (f->upgrade.at) {
        buf_printf(out, " upgrade=%.*s", (int)f->upgrade.len, f->upgrade.at);
    }
}

static void trace_head(const struct http_parser *p, struct buf *out) {
    const struct http_head *h = &p->head;
    if (p->kind == HTTP_PARSE_RESPONSES) {
        buf_printf(out, "%d", h->status);
    } else {
        buf_printf(out, "%s %.*s", http_method_name(h->method), (int)h->target.path.len,
            h->target.path.at);
        if (h->target.query.at) {
            buf_printf(out, "?%.*s", (int)h->target.query.len, h->target.query.at);
        }
        if (h->facts.authority.at) {
            buf_printf(out, " @%.*s", (int)h->facts.host.host.len, h->facts.host.host.at);
        }
        if (h->facts.host.port >= 0) {
            buf_printf(out, ":%d", h->facts.host.port);
        }
    }
    trace_facts(h, out);
    buf_puts(out, "\n");
}

static void trace_trailers(const struct http_parser *p, struct buf *out) {
    for (size_t i = 0; i < p->trailer_count; i++) {
        const struct http_header *t = &p->trailers[i];
        buf_printf(
            out, "+%.*s=%.*s\n", (int)t->name.len, t->name.at, (int)t->value.len, t->value.at);
    }
}

/* Appends what one event says; true while there is more to come. */
static bool trace_event(struct http_parser *p, enum http_event event, const struct http_result *r,
    struct buf *out, char *arena) {
    switch (event) {
    case HTTP_NEED_MORE:
        break;
    case HTTP_HEAD:
        trace_head(p, out);
        break;
    case HTTP_BODY:
        buf_append(out, r->body.at, r->body.len);
        break;
    case HTTP_TRAILERS:
        trace_trailers(p, out);
        break;
    case HTTP_END:
        buf_puts(out, "|\n");
        if (p->kind == HTTP_PARSE_RESPONSES && p->head.status < 200 && p->head.status != 101) {
            http_parse_again(p, arena);
            return true;
        }
        if (p->kind == HTTP_PARSE_RESPONSES || !p->head.facts.keep_alive) {
            return false;
        }
        http_parse_next(p, arena);
        break;
    case HTTP_ERROR:
        buf_printf(out, "%d %s", r->verdict.status, r->verdict.words);
        return false;
    }
    return true;
}

/* The whole story of `len` bytes; free it with buf_free(). What is left over when the message is
 * over is told as "left N". */
static struct buf trace(const struct trace_run *run, const char *bytes, size_t len) {
    struct buf out;
    struct http_parser p;
    struct http_result r;
    char *arena = malloc(http_arena_size(run->limits));
    buf_init(&out, 1 << 24);
    http_parse_init(&p, run->kind, run->limits);
    http_parse_next(&p, arena);
    http_parse_expect(&p, run->answer_to, run->upgrade);
    bool more = true;
    for (size_t at = 0; more && at < len;) {
        /* A copy of exactly what was read, so that a read past it is caught. */
        size_t size = run->cut && run->cut < len - at ? run->cut : len - at;
        char *piece = malloc(size);
        memcpy(piece, bytes + at, size);
        size_t used = 0;
        enum http_event event = HTTP_HEAD;
        while (more && event != HTTP_NEED_MORE) {
            event = http_parse_feed(&p, piece + used, size - used, &r);
            used += r.consumed;
            more = trace_event(&p, event, &r, &out, arena);
        }
        free(piece);
        at += used;
        if (!more && at < len && out.len && out.data[out.len - 1] == '\n') {
            buf_printf(&out, "left %zu", len - at);
        }
    }
    if (more && run->eof) {
        enum http_event event = http_parse_eof(&p, &r);
        trace_event(&p, event, &r, &out, arena);
    }
    free(arena);
    return out;
}

#endif

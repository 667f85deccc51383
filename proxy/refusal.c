/* The proxy's own answers. SPDX-License-Identifier: Apache-2.0 */
#include "refusal.h"

#include <string.h>

#include <paas/buf.h>

#include "client.h"
#include "worker.h"

enum { REFUSAL_SIZE_MAX = 4096 /* bytes of a body: words of ours with a host name in them */ };

static bool wants_page(const struct client *c) {
    static const char html[] = "text/html";
    struct http_text accept = http_head_get(&c->parser.head, "Accept");
    return accept.at && memmem(accept.at, accept.len, html, sizeof html - 1);
}

static void put_json_member(struct buf *b, const char *name, const char *value) {
    buf_printf(b, ",\"%s\":", name);
    buf_json_string(b, value, strlen(value));
}

static void write_problem(struct buf *b, const struct client *c, const struct refusal *r) {
    buf_printf(b, "{\"type\":\"urn:paas:error:%s\",\"title\":", err_name(r->code));
    buf_json_string(b, err_title(r->code), strlen(err_title(r->code)));
    buf_printf(b, ",\"status\":%d", r->status);
    put_json_member(b, "code", err_name(r->code));
    put_json_member(b, "detail", r->detail);
    if (r->hint[0]) {
        put_json_member(b, "hint", r->hint);
    }
    if (c->exchange.id_len) {
        buf_printf(b, ",\"request\":\"%.*s\"", (int)c->exchange.id_len, c->exchange.id);
    }
    buf_puts(b, "}\n");
}

static void put_escaped(struct buf *b, const char *text) {
    for (; *text; text++) {
        switch (*text) {
        case '<':
            buf_puts(b, "&lt;");
            break;
        case '>':
            buf_puts(b, "&gt;");
            break;
        case '&':
            buf_puts(b, "&amp;");
            break;
        case '"':
            buf_puts(b, "&quot;");
            break;
        default:
            buf_putc(b, *text);
        }
    }
}

static void write_page(struct buf *b, const struct refusal *r) {
    buf_printf(b,
        "<!doctype html><html lang=en><meta charset=utf-8><title>%d %s</title>"
        "<body style='font:1.1em/1.5 system-ui;margin:15vh auto;max-width:34em'><h1>",
        r->status, http_phrase(r->status));
    put_escaped(b, http_phrase(r->status));
    buf_puts(b, "</h1><p>");
    put_escaped(b, r->detail);
    buf_puts(b, ".</p>");
    if (r->hint[0]) {
        buf_puts(b, "<p>Try: <code>");
        put_escaped(b, r->hint);
        buf_puts(b, "</code></p>");
    }
    buf_puts(b, "</body></html>\n");
}

static void write_head(
    struct buf *b, const struct client *c, const struct refusal *r, const char *type, bool keep) {
    struct proxy_worker *w = c->flow.worker;
    const char *phrase = http_phrase(r->status);
    size_t body = b->len;
    struct buf head;
    buf_init(&head, REFUSAL_SIZE_MAX);
    buf_printf(&head,
        "HTTP/1.1 %d %s\r\nDate: %.29s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n", r->status,
        phrase, worker_date(w), type, body);
    buf_puts(&head, "Cache-Control: no-store\r\n");
    if (r->retry_after) {
        buf_printf(&head, "Retry-After: %d\r\n", r->retry_after);
    }
    if (c->exchange.id_len) {
        buf_printf(&head, "X-Request-Id: %.*s\r\n", (int)c->exchange.id_len, c->exchange.id);
    }
    buf_puts(&head, keep ? "\r\n" : "Connection: close\r\n\r\n");
    char *to = flow_reserve((struct flow *)&c->flow, 2 * REFUSAL_SIZE_MAX);
    bool bodyless = c->parser.head.method == METHOD_HEAD;
    memcpy(to, buf_str(&head), head.len);
    memcpy(to + head.len, buf_str(b), bodyless ? 0 : body);
    flow_commit((struct flow *)&c->flow, head.len + (bodyless ? 0 : body));
    buf_free(&head);
}

void refuse(struct client *c, const struct refusal *r) {
    struct exchange *x = &c->exchange;
    struct proxy_worker *w = c->flow.worker;
    if (x->state == EXCHANGE_ANSWERING || x->state == EXCHANGE_TUNNEL) {
        client_cut(c, true); /* an answer is on its way already */
        return;
    }
    bool keep = x->request_whole && x->keep_alive && c->state == CLIENT_BUSY && !w->draining &&
                !c->half_closed && c->parser.head.minor > 0;
    bool page = wants_page(c);
    struct buf body;
    buf_init(&body, REFUSAL_SIZE_MAX);
    if (page) {
        write_page(&body, r);
    } else {
        write_problem(&body, c, r);
    }
    write_head(&body, c, r, page ? "text/html; charset=utf-8" : "application/problem+json", keep);
    buf_free(&body);
    count_add(&w->counters.requests_refused_total, 1);
    if (x->app) {
        gauge_add(&x->app->gauge->answers[r->status >= 500 ? 3 : 2], 1);
    }
    exchange_abort(c);
    client_done(c, keep);
}

static enum err_code code_of(int status) {
    switch (status) {
    case 413:
        return ERR_TOO_LARGE;
    case 414:
        return ERR_URI_TOO_LONG;
    case 431:
        return ERR_HEADERS_TOO_LARGE;
    case 501:
        return ERR_NOT_IMPLEMENTED;
    case 505:
        return ERR_VERSION_NOT_SUPPORTED;
    default:
        return ERR_BAD_REQUEST;
    }
}

void refuse_verdict(struct client *c, int status, const char *words) {
    count_add(&c->flow.worker->counters.requests_malformed_total, 1);
    c->exchange.request_whole = false; /* where the next one begins is not known */
    refuse(c, &(struct refusal){
                  .status = status, .code = code_of(status), .detail = words, .hint = "" });
}

/* Lists in pages. SPDX-License-Identifier: Apache-2.0 */
#include <paas/http_page.h>

#include <string.h>

#include <paas/str.h>

#include "http_call.h"

enum { PAGE_BYTES_MAX = 16 << 20 /* of a page's rows: 16 KiB each */ };

int http_page_begin(struct http_page *p, struct call *c) {
    struct err err;
    const char *after = call_query(c, "after");
    *p = (struct http_page){ .call = c, .after = after ? after : "" };
    if (call_query_int(c, "limit", 1, PAGE_ROWS_MAX, PAGE_ROWS_MAX, &p->limit, &err) < 0) {
        call_fail(c, &err);
        return -1;
    }
    buf_init(&p->text, PAGE_BYTES_MAX);
    buf_putc(&p->text, '[');
    return 0;
}

void http_page_row(struct http_page *p, const char *key, const void *row) {
    if (p->more || strcmp(key, p->after) <= 0) {
        return;
    }
    if (p->count == p->limit) {
        p->more = true;
        return;
    }
    if (p->count++) {
        buf_putc(&p->text, ',');
    }
    json_encode(p->call->row->out, row, &p->text);
    str_copy(p->last, sizeof p->last, key);
}

/* The query as it came, without the place of this page. */
static void put_rest_of_query(struct buf *out, struct http_text query) {
    while (query.len > 0) {
        const char *end = memchr(query.at, '&', query.len);
        size_t len = end ? (size_t)(end - query.at) : query.len;
        if (len > 0 && !(len >= 6 && memcmp(query.at, "after=", 6) == 0)) {
            buf_append(out, query.at, len);
            buf_putc(out, '&');
        }
        len += end != NULL;
        query.at += len;
        query.len -= len;
    }
}

static void put_link(struct http_page *p) {
    struct http_text path = call_path(p->call);
    struct buf link;
    buf_init(&link, CALL_FIELDS_MAX / 2);
    buf_printf(&link, "<%.*s?", (int)path.len, path.at);
    put_rest_of_query(&link, call_query_text(p->call));
    buf_printf(&link, "after=%s>; rel=\"next\"", p->last);
    if (!link.failed) {
        call_header_set(p->call, "Link", "%s", buf_str(&link));
    }
    buf_free(&link);
}

enum call_result http_page_end(struct http_page *p) {
    if (p->more) {
        put_link(p);
    }
    buf_puts(&p->text, "]\n");
    return call_reply_buf(p->call, "application/json", &p->text);
}

/* A whole head to its parts, by llhttp. SPDX-License-Identifier: Apache-2.0 */
#include "http_split.h"

#include <llhttp.h>
#include <string.h>

/* What the callbacks fill. */
struct splitting {
    struct http_split *out;
    struct http_text name, value;
};

/* A span may come in pieces, which are neighbours. */
static int extend(struct http_text *span, const char *at, size_t len) {
    if (!span->at) {
        span->at = at;
    }
    if (span->at + span->len != at) {
        return HPE_USER;
    }
    span->len += len;
    return HPE_OK;
}

static int on_url(llhttp_t *h, const char *at, size_t len) {
    struct splitting *s = h->data;
    return extend(&s->out->url, at, len);
}

static int on_field(llhttp_t *h, const char *at, size_t len) {
    struct splitting *s = h->data;
    return extend(&s->name, at, len);
}

static int on_value(llhttp_t *h, const char *at, size_t len) {
    struct splitting *s = h->data;
    return extend(&s->value, at, len);
}

static int on_value_complete(llhttp_t *h) {
    struct splitting *s = h->data;
    struct http_split *out = s->out;
    if (out->count == out->max) {
        return HPE_USER;
    }
    out->to[out->count++] = (struct http_header){ .name = s->name, .value = http_trim(s->value) };
    s->name = s->value = (struct http_text){ NULL, 0 };
    return HPE_OK;
}

static int on_headers_complete(llhttp_t *h) {
    (void)h;
    return HPE_PAUSED; /* bodies are not llhttp's */
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
};

int http_split(
    enum http_split_kind kind, const char *first, struct http_text text, struct http_split *out) {
    llhttp_t h;
    struct splitting s = { .out = out };
    out->count = 0;
    out->url = (struct http_text){ NULL, 0 };
    llhttp_init(&h, kind == HTTP_SPLIT_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
    h.data = &s;
    if (first && llhttp_execute(&h, first, strlen(first)) != HPE_OK) {
        return -1;
    }
    return llhttp_execute(&h, text.at, text.len) == HPE_PAUSED ? 0 : -1;
}

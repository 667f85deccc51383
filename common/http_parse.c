/* An incremental parser of HTTP/1 messages. SPDX-License-Identifier: Apache-2.0
 *
 * A head is collected line by line into the arena, each line is looked at when it is whole, and
 * the whole head goes through llhttp once. Whatever is refused is refused at a byte that depends
 * on the stream alone, so no cut into reads changes a verdict. llhttp never sees a body.
 */
#include <paas/http_parse.h>

#include <assert.h>
#include <string.h>

#include "http_chunk.h"
#include "http_split.h"

const struct http_limits http_limits_default = {
    .uri = 8192,           /* what browsers and nginx take */
    .header_bytes = 32768, /* nginx's 4 x 8 KiB; cookies reach 16 */
    .header_count = 100,   /* HAProxy's 101 */
    .chunk_line = 1024,    /* a size and a signature of an upload */
    .trailer_bytes = 4096,
    .body_max = UINT64_MAX,
};

enum {
    FIRST_LINE_EXTRA = 64, /* bytes beside its target: method, version */
    STATUS_LINE_MAX = 1024,
};

enum {
    STATE_NONE,  /* no message was begun */
    STATE_START, /* nothing of the first line */
    STATE_FIRST_LINE,
    STATE_FIELDS,
    STATE_LENGTH,
    STATE_CHUNK_LINE,
    STATE_CHUNK_DATA,
    STATE_CHUNK_CR,
    STATE_CHUNK_LF,
    STATE_TRAILERS,
    STATE_UNTIL_CLOSE,
    STATE_END, /* the last byte was taken, HTTP_END not yet given */
    STATE_DONE,
    STATE_FAILED,
};

static size_t first_line_max(const struct http_parser *p) {
    return p->kind == HTTP_PARSE_REQUESTS ? p->limits->uri + FIRST_LINE_EXTRA : STATUS_LINE_MAX;
}

static size_t text_size(const struct http_limits *limits) {
    size_t first = limits->uri + FIRST_LINE_EXTRA;
    first = first > STATUS_LINE_MAX ? first : STATUS_LINE_MAX;
    size_t text = first + 2 + limits->header_bytes + limits->trailer_bytes;
    size_t align = _Alignof(struct http_header);
    return (text + align - 1) / align * align;
}

size_t http_arena_size(const struct http_limits *limits) {
    return text_size(limits) + 2 * limits->header_count * sizeof(struct http_header);
}

void http_parse_init(
    struct http_parser *p, enum http_parser_kind kind, const struct http_limits *limits) {
    *p = (struct http_parser){ .kind = kind, .limits = limits, .state = STATE_NONE };
}

static void begin(struct http_parser *p, void *arena) {
    p->head = (struct http_head){ .minor = 0 };
    p->trailers = NULL;
    p->trailer_count = 0;
    p->body_bytes = 0;
    p->arena = arena;
    p->fields = (struct http_header *)(void *)(p->arena + text_size(p->limits));
    p->used = p->line_start = 0;
    p->skipped = false;
    p->state = STATE_START;
}

void http_parse_next(struct http_parser *p, void *arena) {
    begin(p, arena);
    p->answer_to = METHOD_GET;
    p->upgrade_asked = NULL;
    p->informational = 0;
}

void http_parse_again(struct http_parser *p, void *arena) {
    begin(p, arena);
}

void http_parse_expect(struct http_parser *p, enum http_method method, const char *upgrade) {
    p->answer_to = method;
    p->upgrade_asked = upgrade;
}

bool http_parse_idle(const struct http_parser *p) {
    return p->state == STATE_START && p->used == 0;
}

static struct http_verdict verdict(int status, const char *words) {
    return (struct http_verdict){ status, words };
}

static enum http_event fail(struct http_parser *p, struct http_result *r, struct http_verdict why) {
    if (p->kind == HTTP_PARSE_RESPONSES) {
        why.status = 502;
    }
    p->state = STATE_FAILED;
    p->failed = r->verdict = why;
    return HTTP_ERROR;
}

/* ---- Lines ---- */

enum line { LINE_PART, LINE_WHOLE, LINE_FULL };

/* Moves bytes up to the end of a line into the arena, whose text may not pass `cap`. */
static enum line collect(
    struct http_parser *p, const char *bytes, size_t len, size_t cap, struct http_result *r) {
    size_t room = cap - p->used;
    size_t most = len < room ? len : room;
    const char *feed = most ? memchr(bytes, '\n', most) : NULL;
    size_t take = feed ? (size_t)(feed - bytes) + 1 : most;
    if (take) {
        memcpy(p->arena + p->used, bytes, take);
    }
    p->used += take;
    r->consumed += take;
    return feed ? LINE_WHOLE : p->used == cap ? LINE_FULL : LINE_PART;
}

/* Takes the whole line that was collected, without its CRLF; false when it has a bare LF. */
static bool take_line(struct http_parser *p, struct http_text *line) {
    size_t len = p->used - p->line_start;
    *line = (struct http_text){ p->arena + p->line_start, len - 1 };
    if (len < 2 || line->at[len - 2] != '\r') {
        return false;
    }
    line->len = len - 2;
    p->line_start = p->used;
    return true;
}

/* A line of a header or trailer section, which is whole with an empty line. */
static struct http_verdict check_section_line(struct http_parser *p, bool *last) {
    struct http_text line;
    if (!take_line(p, &line)) {
        return verdict(400, "a line does not end in CRLF");
    }
    *last = line.len == 0;
    if (*last) {
        return verdict(0, NULL);
    }
    if (line.at[0] == ' ' || line.at[0] == '\t') {
        return verdict(400, "a header field is folded");
    }
    if (++p->lines > p->limits->header_count) {
        return verdict(431, "too many header fields");
    }
    const char *colon = memchr(line.at, ':', line.len);
    if (!colon) {
        return verdict(400, "a header field has no colon");
    }
    size_t name = (size_t)(colon - line.at);
    return http_check_field(http_slice(line, 0, name), http_slice(line, name + 1, line.len));
}

static void begin_section(struct http_parser *p) {
    p->block_start = p->line_start = p->used;
    p->lines = 0;
}

/* Splits the collected section, which follows `first` or has its own first line. */
static struct http_verdict split(struct http_parser *p, const char *first, struct http_split *s) {
    size_t from = first ? p->block_start : 0;
    struct http_text text = { p->arena + from, p->used - from };
    bool request = p->kind == HTTP_PARSE_REQUESTS && !first;
    if (http_split(request ? HTTP_SPLIT_REQUEST : HTTP_SPLIT_RESPONSE, first, text, s) ||
        s->count != p->lines) {
        return verdict(400, "the header can't be parsed");
    }
    return verdict(0, NULL);
}

/* llhttp takes a space after a length or a coding for what it is, but not a tab, which means the
 * same (RFC 9110 5.6.3). */
static void level_trailing_tabs(struct http_text line) {
    char *at = (char *)line.at;
    for (size_t i = line.len; i > 0 && (at[i - 1] == '\t' || at[i - 1] == ' '); i--) {
        at[i - 1] = ' ';
    }
}

/* ---- Heads ---- */

static struct http_verdict check_first_line(struct http_parser *p, struct http_text line) {
    struct http_head *head = &p->head;
    if (p->kind == HTTP_PARSE_RESPONSES) {
        struct http_verdict v = http_check_status_line(line, &head->status, &head->minor);
        if (!v.status && line.len > 13) {
            head->reason = http_slice(line, 13, line.len);
        }
        return v;
    }
    struct http_verdict v =
        http_check_request_line(line, &head->method, &head->target_text, &head->minor);
    if (v.status) {
        return v;
    }
    const char *space = memchr(line.at, ' ', line.len);
    head->method_name = http_slice(line, 0, (size_t)(space - line.at));
    if (head->target_text.len > p->limits->uri) {
        return verdict(414, "the target is too long");
    }
    return http_check_target(head->target_text, head->method, &head->target);
}

/* What can be said of a first line before it is whole. */
static struct http_verdict check_first_bytes(const struct http_parser *p) {
    static const char response[] = "HTTP/1.";
    char first = p->used ? p->arena[0] : 'G';
    if (p->kind == HTTP_PARSE_REQUESTS) {
        bool blank = (first == '\r' && !p->skipped);
        return blank || http_byte_is(first, CLASS_TOKEN) ? verdict(0, NULL)
                                                         : verdict(400, "what came is not HTTP");
    }
    size_t have = p->used < sizeof response - 1 ? p->used : sizeof response - 1;
    return memcmp(p->arena, response, have) == 0
               ? verdict(0, NULL)
               : verdict(502, "the answer does not begin like HTTP/1");
}

static enum http_event first_line(
    struct http_parser *p, const char *bytes, size_t len, struct http_result *r) {
    p->state = STATE_FIRST_LINE;
    enum line got = collect(p, bytes, len, first_line_max(p) + 2, r);
    struct http_verdict v = check_first_bytes(p);
    if (v.status) {
        return fail(p, r, v);
    }
    if (got == LINE_FULL) {
        return fail(p, r, verdict(414, "the first line is too long"));
    }
    if (got == LINE_PART) {
        p->state = p->used ? STATE_FIRST_LINE : STATE_START;
        return HTTP_NEED_MORE;
    }
    struct http_text line;
    if (!take_line(p, &line)) {
        return fail(p, r, verdict(400, "a line does not end in CRLF"));
    }
    if (line.len == 0 && p->kind == HTTP_PARSE_REQUESTS && !p->skipped) {
        p->skipped = true; /* RFC 9112 2.2: one empty line is forgiven */
        p->used = p->line_start = 0;
        p->state = STATE_START;
        return HTTP_NEED_MORE;
    }
    v = check_first_line(p, line);
    if (v.status) {
        return fail(p, r, v);
    }
    begin_section(p);
    p->state = STATE_FIELDS;
    return HTTP_NEED_MORE;
}

static bool upgrade_was_asked(struct http_text given, const char *asked) {
    struct http_text one, other;
    bool any = false;
    while (http_list_next(&given, &one)) {
        struct http_text list = http_text_of(asked ? asked : "");
        bool found = false;
        while (!found && http_list_next(&list, &other)) {
            found = http_same(one, other);
        }
        if (!found) {
            return false;
        }
        any = true;
    }
    return any;
}

static struct http_verdict check_head(struct http_parser *p) {
    struct http_head *head = &p->head;
    if (p->kind == HTTP_PARSE_REQUESTS) {
        return http_check_request(head->method, &head->target, head->minor, head->headers,
            head->header_count, &head->facts);
    }
    struct http_verdict v = http_check_response(
        p->answer_to, head->status, head->minor, head->headers, head->header_count, &head->facts);
    if (v.status) {
        return v;
    }
    if (head->status < 200 && ++p->informational > HTTP_INFORMATIONAL_MAX) {
        return verdict(502, "too many interim answers");
    }
    if (head->status == 101 && !upgrade_was_asked(head->facts.upgrade, p->upgrade_asked)) {
        return verdict(502, "an upgrade that was not asked for");
    }
    return v;
}

static int state_after_head(struct http_parser *p) {
    p->left = p->head.facts.length;
    p->chunk_state = CHUNK_SIZE_FIRST;
    p->chunk_line = 0;
    switch (p->head.facts.framing) {
    case BODY_LENGTH:
        return STATE_LENGTH;
    case BODY_CHUNKED:
        return STATE_CHUNK_LINE;
    case BODY_UNTIL_CLOSE:
        return STATE_UNTIL_CLOSE;
    case BODY_NONE:
        break;
    }
    return STATE_END;
}

static enum http_event finish_head(struct http_parser *p, struct http_result *r) {
    struct http_split s = { .to = p->fields, .max = p->limits->header_count };
    struct http_verdict v = split(p, NULL, &s);
    if (!v.status && p->kind == HTTP_PARSE_REQUESTS &&
        (s.url.at != p->head.target_text.at || s.url.len != p->head.target_text.len)) {
        v = verdict(400, "the target can't be parsed");
    }
    p->head.headers = s.to;
    p->head.header_count = s.count;
    p->head.bytes = p->used;
    if (!v.status) {
        v = check_head(p);
    }
    if (!v.status && p->head.facts.framing == BODY_LENGTH &&
        p->head.facts.length > p->limits->body_max) {
        v = verdict(413, "the body is too large");
    }
    if (v.status) {
        return fail(p, r, v);
    }
    p->state = state_after_head(p);
    return HTTP_HEAD;
}

/* ---- Sections of fields ---- */

static enum http_event finish_trailers(struct http_parser *p, struct http_result *r) {
    p->state = STATE_END;
    if (p->lines == 0) {
        return HTTP_NEED_MORE;
    }
    size_t max = p->limits->header_count;
    struct http_split s = { .to = p->fields + max, .max = max };
    struct http_verdict v = split(p, "HTTP/1.1 200 OK\r\n", &s);
    if (v.status) {
        return fail(p, r, v);
    }
    p->trailers = s.to;
    for (size_t i = 0; i < s.count; i++) {
        if (http_trailer_allowed(s.to[i].name)) {
            p->trailers[p->trailer_count++] = s.to[i];
        }
    }
    return p->trailer_count ? HTTP_TRAILERS : HTTP_NEED_MORE;
}

static enum http_event section(
    struct http_parser *p, const char *bytes, size_t len, struct http_result *r) {
    bool head = p->state == STATE_FIELDS;
    size_t max = head ? p->limits->header_bytes : p->limits->trailer_bytes;
    switch (collect(p, bytes, len, p->block_start + max, r)) {
    case LINE_PART:
        return HTTP_NEED_MORE;
    case LINE_FULL:
        return fail(p, r, verdict(431, "the header is too large"));
    case LINE_WHOLE:
        break;
    }
    struct http_text line = { p->arena + p->line_start, p->used - p->line_start };
    bool last = false;
    struct http_verdict v = check_section_line(p, &last);
    if (v.status) {
        return fail(p, r, v);
    }
    if (!last) {
        level_trailing_tabs(http_slice(line, 0, line.len - 2));
        return HTTP_NEED_MORE;
    }
    return head ? finish_head(p, r) : finish_trailers(p, r);
}

/* ---- Bodies ---- */

static enum http_event body(
    struct http_parser *p, const char *bytes, size_t len, struct http_result *r) {
    bool endless = p->state == STATE_UNTIL_CLOSE;
    uint64_t left = endless ? p->limits->body_max - p->body_bytes : p->left;
    size_t take = len < left ? len : (size_t)left;
    if (endless && len > 0 && left == 0) {
        return fail(p, r, verdict(413, "the body is too large"));
    }
    if (take == 0) {
        return HTTP_NEED_MORE;
    }
    r->body = (struct http_text){ bytes, take };
    r->consumed += take;
    p->body_bytes += take;
    if (!endless) {
        p->left -= take;
        if (p->left == 0) {
            p->state = p->state == STATE_LENGTH ? STATE_END : STATE_CHUNK_CR;
        }
    }
    return HTTP_BODY;
}

static enum http_event chunk_begins(struct http_parser *p, struct http_result *r) {
    p->chunk_state = CHUNK_SIZE_FIRST;
    p->chunk_line = 0;
    if (p->left > p->limits->body_max || p->body_bytes > p->limits->body_max - p->left) {
        return fail(p, r, verdict(413, "the body is too large"));
    }
    p->state = p->left ? STATE_CHUNK_DATA : STATE_TRAILERS;
    if (!p->left) {
        begin_section(p);
    }
    return HTTP_NEED_MORE;
}

static enum http_event chunk_line(
    struct http_parser *p, const char *bytes, size_t len, struct http_result *r) {
    for (size_t i = 0; i < len; i++) {
        r->consumed++;
        p->chunk_state = (int)chunk_step((enum chunk_state)p->chunk_state, bytes[i], &p->left);
        if (p->chunk_state == CHUNK_WRONG) {
            return fail(p, r, verdict(400, "a chunk is malformed"));
        }
        if (++p->chunk_line > p->limits->chunk_line) {
            return fail(p, r, verdict(400, "a chunk's line is too long"));
        }
        if (p->chunk_state == CHUNK_WHOLE) {
            return chunk_begins(p, r);
        }
    }
    return HTTP_NEED_MORE;
}

/* The CRLF behind a chunk. */
static enum http_event chunk_end(
    struct http_parser *p, const char *bytes, size_t len, struct http_result *r) {
    if (len == 0) {
        return HTTP_NEED_MORE;
    }
    r->consumed++;
    if (bytes[0] != (p->state == STATE_CHUNK_CR ? '\r' : '\n')) {
        return fail(p, r, verdict(400, "a chunk is longer than it says"));
    }
    p->state = p->state == STATE_CHUNK_CR ? STATE_CHUNK_LF : STATE_CHUNK_LINE;
    return HTTP_NEED_MORE;
}

/* ---- Feeding ---- */

/* One step in the present state; HTTP_NEED_MORE also when the state just changed. */
static enum http_event step(
    struct http_parser *p, const char *bytes, size_t len, struct http_result *r) {
    switch (p->state) {
    case STATE_START:
    case STATE_FIRST_LINE:
        return first_line(p, bytes, len, r);
    case STATE_FIELDS:
    case STATE_TRAILERS:
        return section(p, bytes, len, r);
    case STATE_LENGTH:
    case STATE_CHUNK_DATA:
    case STATE_UNTIL_CLOSE:
        return body(p, bytes, len, r);
    case STATE_CHUNK_LINE:
        return chunk_line(p, bytes, len, r);
    case STATE_CHUNK_CR:
    case STATE_CHUNK_LF:
        return chunk_end(p, bytes, len, r);
    case STATE_END:
        p->state = STATE_DONE;
        return HTTP_END;
    case STATE_FAILED:
        r->verdict = p->failed;
        return HTTP_ERROR;
    default:
        assert(!"fed without http_parse_next");
        return HTTP_ERROR;
    }
}

enum http_event http_parse_feed(
    struct http_parser *p, const char *bytes, size_t len, struct http_result *r) {
    *r = (struct http_result){ .consumed = 0 };
    for (;;) {
        int before = p->state;
        size_t at = r->consumed;
        enum http_event event = step(p, len ? bytes + at : bytes, len - at, r);
        if (event != HTTP_NEED_MORE || (r->consumed == at && p->state == before)) {
            return event;
        }
    }
}

enum http_event http_parse_eof(struct http_parser *p, struct http_result *r) {
    *r = (struct http_result){ .consumed = 0 };
    switch (p->state) {
    case STATE_NONE:
    case STATE_DONE:
        return HTTP_NEED_MORE;
    case STATE_START:
        return HTTP_NEED_MORE;
    case STATE_UNTIL_CLOSE:
    case STATE_END:
        p->state = STATE_DONE;
        return HTTP_END;
    default:
        return fail(p, r, verdict(400, "the message was cut"));
    }
}

struct http_text http_head_get(const struct http_head *head, const char *name) {
    for (size_t i = 0; i < head->header_count; i++) {
        if (http_is(head->headers[i].name, name)) {
            return head->headers[i].value;
        }
    }
    return (struct http_text){ NULL, 0 };
}

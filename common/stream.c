/* Streams of JSON lines: points, lines and snapshots. SPDX-License-Identifier: Apache-2.0 */
#include <paas/stream.h>

#include <string.h>

#include <paas/json_bind.h>
#include <paas/str.h>

#include "stream_frame.h"

int stream_compare(struct stream_point a, struct stream_point b) {
    if (a.term != b.term) {
        return a.term < b.term ? -1 : 1;
    }
    return (a.revision > b.revision) - (a.revision < b.revision);
}

int stream_point_parse(const char *text, struct stream_point *out, struct err *err) {
    char term[24] = "";
    const char *dot = strchr(text, '.');
    size_t len = dot ? (size_t)(dot - text) : sizeof term;
    if (len >= sizeof term) {
        return err_set(err, ERR_BAD_VALUE, "after: not TERM.REVISION");
    }
    memcpy(term, text, len);
    if (str_int(term, 0, INT64_MAX, "after", &out->term, err) < 0) {
        return -1;
    }
    return str_int(dot + 1, 0, INT64_MAX, "after", &out->revision, err);
}

bool stream_next_line(const char **lines, size_t *len, struct http_text *line) {
    const char *end = *len ? memchr(*lines, '\n', *len) : NULL;
    if (!end) {
        return false;
    }
    *line = (struct http_text){ *lines, (size_t)(end - *lines) };
    *len -= line->len + 1;
    *lines = end + 1;
    return true;
}

/* ---- Framing ---- */

struct header {
    int64_t term, revision, count;
};

static const struct json_field header_fields[] = {
    F_INT(header, term, 0, INT64_MAX, 0, JF_REQUIRED, "of the scheduler"),
    F_INT(header, revision, 0, INT64_MAX, 0, JF_REQUIRED, "within the term"),
    F_INT(header, count, 0, INT32_MAX, 0, JF_REQUIRED, "lines that follow"),
    { 0 },
};
static const struct json_type header_json = { "header", sizeof(struct header), header_fields };

void frame_put_header(struct buf *out, struct stream_point at, size_t count) {
    struct header h = { at.term, at.revision, (int64_t)count };
    json_encode(&header_json, &h, out);
    buf_putc(out, '\n');
}

void frame_init(
    struct frame *f, enum follow_framing framing, size_t line_max, size_t snapshot_max) {
    *f = (struct frame){ .framing = framing };
    buf_init(&f->line, line_max);
    buf_init(&f->lines, snapshot_max);
}

void frame_free(struct frame *f) {
    buf_free(&f->line);
    buf_free(&f->lines);
}

void frame_reset(struct frame *f) {
    buf_reset(&f->line);
    buf_reset(&f->lines);
    f->in_snapshot = f->taken = false;
    f->left = 0;
}

/* Frees what a large snapshot took once it was handed out. */
static void forget_taken(struct frame *f) {
    if (f->taken) {
        f->taken = false;
        buf_reset(&f->line);
        buf_free(&f->lines);
    }
}

static enum frame_event hand_out(struct frame *f) {
    f->snapshot.lines = buf_str(&f->lines);
    f->snapshot.len = f->lines.len;
    f->in_snapshot = false;
    f->taken = true;
    return FRAME_SNAPSHOT;
}

static enum frame_event begin_snapshot(struct frame *f, struct err *err) {
    struct header h;
    if (json_decode(&header_json, f->line.data, f->line.len, &h, err) < 0) {
        err_wrap(err, "the header of a snapshot");
        return FRAME_WRONG;
    }
    f->snapshot = (struct follow_snapshot){
        .at = { h.term, h.revision },
        .count = (size_t)h.count,
    };
    f->left = (size_t)h.count;
    f->in_snapshot = true;
    buf_reset(&f->line);
    return f->left ? FRAME_MORE : hand_out(f);
}

static enum frame_event add_to_snapshot(struct frame *f, struct err *err) {
    if (buf_append(&f->lines, f->line.data, f->line.len) || buf_putc(&f->lines, '\n')) {
        err_set(err, ERR_TOO_LARGE, "a snapshot is larger than %zu bytes", f->lines.max);
        return FRAME_WRONG;
    }
    buf_reset(&f->line);
    return --f->left ? FRAME_MORE : hand_out(f);
}

/* A line is whole. */
static enum frame_event take_line(struct frame *f, struct err *err) {
    if (f->line.len == 0) {
        return FRAME_MORE; /* a heartbeat */
    }
    if (f->framing == FOLLOW_LINES) {
        f->taken = true;
        return FRAME_LINE;
    }
    return f->in_snapshot ? add_to_snapshot(f, err) : begin_snapshot(f, err);
}

enum frame_event frame_feed(struct frame *f, const char **bytes, size_t *len, struct err *err) {
    forget_taken(f);
    while (*len > 0) {
        const char *end = memchr(*bytes, '\n', *len);
        size_t take = end ? (size_t)(end - *bytes) : *len;
        if (buf_append(&f->line, *bytes, take)) {
            err_set(err, ERR_TOO_LARGE, "a line is longer than %zu bytes", f->line.max);
            return FRAME_WRONG;
        }
        *bytes += take + (end != NULL);
        *len -= take + (end != NULL);
        enum frame_event event = end ? take_line(f, err) : FRAME_MORE;
        if (event != FRAME_MORE) {
            return event;
        }
    }
    return FRAME_MORE;
}

/* The server's side of streams: one truth, many watchers. SPDX-License-Identifier: Apache-2.0
 *
 * A watcher of snapshots that does not keep up is sent only the newest one, when its queue has
 * emptied; a watcher of lines cannot skip any, so past STREAM_QUEUE_MAX its answer is cut, and it
 * resumes. One that reads nothing at all is ended by the server's stall timeout.
 */
#include <paas/stream.h>

#include <stdlib.h>
#include <string.h>

#include <paas/list.h>

#include "stream_frame.h"

struct feed {
    uv_timer_t heartbeat; /* runs while there are watchers */
    struct list watchers;
    size_t count;
    struct buf snapshot; /* with its header; empty while there is none */
    struct stream_point at;
    uint64_t dropped;
};

struct watcher {
    struct list link;
    struct feed *feed;
    struct call *call;
    char *key;   /* of lines; NULL: all */
    bool lines;  /* else snapshots */
    bool behind; /* the newest snapshot is owed to it */
};

static const char ndjson[] = "application/x-ndjson";

int feed_create(uv_loop_t *loop, struct feed **out, struct err *err) {
    struct feed *f = calloc(1, sizeof *f);
    if (!f) {
        return err_no_memory(err);
    }
    list_init(&f->watchers);
    buf_init(&f->snapshot, STREAM_SNAPSHOT_MAX);
    f->at = (struct stream_point){ -1, -1 };
    uv_timer_init(loop, &f->heartbeat);
    f->heartbeat.data = f;
    *out = f;
    return 0;
}

static void forget(struct watcher *w) {
    struct feed *f = w->feed;
    list_remove(&w->link);
    if (--f->count == 0) {
        uv_timer_stop(&f->heartbeat);
    }
    free(w->key);
    free(w);
}

static void on_closed(struct call *c, void *data) {
    (void)c;
    forget(data);
}

static void on_feed_closed(uv_handle_t *handle) {
    free(handle->data);
}

void feed_destroy(struct feed *f) {
    if (!f) {
        return;
    }
    LIST_FOREACH_SAFE (item, next, &f->watchers) {
        struct watcher *w = LIST_ITEM(item, struct watcher, link);
        call_stream_end(w->call);
        forget(w);
    }
    buf_free(&f->snapshot);
    uv_close((uv_handle_t *)&f->heartbeat, on_feed_closed);
}

static void send_snapshot(struct watcher *w) {
    struct feed *f = w->feed;
    w->behind = call_stream_queued(w->call) > HTTP_STREAM_HIGH;
    if (!w->behind && f->snapshot.len) {
        call_stream_write(w->call, f->snapshot.data, f->snapshot.len);
    }
}

static void on_writable(struct call *c, void *data) {
    struct watcher *w = data;
    (void)c;
    if (w->behind) {
        send_snapshot(w);
    }
}

static void on_heartbeat(uv_timer_t *timer) {
    struct feed *f = timer->data;
    LIST_FOREACH (item, &f->watchers) {
        struct watcher *w = LIST_ITEM(item, struct watcher, link);
        if (call_stream_queued(w->call) == 0) {
            call_stream_write(w->call, "\n", 1);
        }
    }
}

/* Makes a watcher of a call whose answer has begun. NULL when there is no room. */
static struct watcher *join(struct feed *f, struct call *c, const char *key) {
    struct watcher *w = f->count < STREAM_WATCHERS ? calloc(1, sizeof *w) : NULL;
    if (!w || (key && !(w->key = strdup(key)))) {
        free(w);
        return NULL;
    }
    w->feed = f;
    w->call = c;
    list_append(&f->watchers, &w->link);
    if (f->count++ == 0) {
        uv_timer_start(&f->heartbeat, on_heartbeat, STREAM_HEARTBEAT, STREAM_HEARTBEAT);
    }
    call_on_closed(c, on_closed, w);
    return w;
}

/* ---- Snapshots ---- */

int feed_set(struct feed *f, struct stream_point at, size_t count, const void *lines, size_t len,
    struct err *err) {
    if (stream_compare(at, f->at) <= 0) {
        return 0;
    }
    struct buf next;
    buf_init(&next, STREAM_SNAPSHOT_MAX);
    frame_put_header(&next, at, count);
    buf_append(&next, lines, len);
    if (next.failed) {
        buf_free(&next);
        return err_set(err, ERR_TOO_LARGE, "no room for a snapshot of %zu bytes", len);
    }
    buf_free(&f->snapshot);
    f->snapshot = next;
    f->at = at;
    LIST_FOREACH (item, &f->watchers) {
        struct watcher *w = LIST_ITEM(item, struct watcher, link);
        if (!w->lines) {
            send_snapshot(w);
        }
    }
    return 0;
}

struct stream_point feed_point(const struct feed *f) {
    return f->at;
}

static bool wants_to_watch(const struct call *c) {
    const char *watch = call_query(c, "watch");
    return watch && strcmp(watch, "0") != 0 && strcmp(watch, "false") != 0 &&
           call_method(c) != METHOD_HEAD;
}

enum call_result feed_watch(struct feed *f, struct call *c) {
    struct stream_point after = { -1, -1 };
    struct err err;
    const char *text = call_query(c, "after");
    if (text && stream_point_parse(text, &after, &err) < 0) {
        return call_fail(c, &err);
    }
    if (!wants_to_watch(c)) {
        return f->snapshot.len ? call_reply_bytes(c, ndjson, f->snapshot.data, f->snapshot.len)
                               : call_fail_with(c, ERR_UNAVAILABLE, "it is not known yet");
    }
    struct watcher *w = join(f, c, NULL);
    if (!w) {
        return call_fail_with(c, ERR_BUSY, "there are %d watchers already", STREAM_WATCHERS);
    }
    call_on_writable(c, on_writable, w);
    call_stream_begin(c, ndjson, -1);
    if (stream_compare(f->at, after) > 0) {
        send_snapshot(w);
    }
    return CALL_PENDING;
}

/* ---- Lines ---- */

enum call_result feed_join(struct feed *f, struct call *c, const char *key) {
    struct watcher *w = join(f, c, key);
    if (!w) {
        return call_fail_with(c, ERR_BUSY, "there are %d watchers already", STREAM_WATCHERS);
    }
    w->lines = true;
    if (!call_is_streaming(c)) {
        call_stream_begin(c, ndjson, -1);
    }
    return CALL_PENDING;
}

void feed_line(struct feed *f, const char *key, const char *line, size_t len) {
    struct buf whole;
    buf_init(&whole, STREAM_QUEUE_MAX);
    buf_append(&whole, line, len);
    buf_putc(&whole, '\n');
    LIST_FOREACH_SAFE (item, next, &f->watchers) {
        struct watcher *w = LIST_ITEM(item, struct watcher, link);
        if (!w->lines || (w->key && (!key || strcmp(w->key, key) != 0))) {
            continue;
        }
        /* A line that cannot be had is a gap: the watcher must resume. */
        if (whole.failed || call_stream_write(w->call, whole.data, whole.len) > STREAM_QUEUE_MAX) {
            f->dropped++;
            call_stream_abort(w->call);
            forget(w);
        }
    }
    buf_free(&whole);
}

size_t feed_watchers(const struct feed *f) {
    return f->count;
}

uint64_t feed_dropped(const struct feed *f) {
    return f->dropped;
}

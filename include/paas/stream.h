/* Streams of JSON lines that resume. SPDX-License-Identifier: Apache-2.0
 *
 * Snapshots: a header line {"term":T,"revision":R,"count":N} and N item lines are one whole
 * snapshot; a receiver applies it when it is complete and newer by (term, revision), so a repeated,
 * late or cut one does no harm. Lines: any sequence of lines, each a thing of its own (events,
 * logs). In both an empty line each second says that the peer lives.
 */
#ifndef PAAS_STREAM_H
#define PAAS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include <paas/buf.h>
#include <paas/clock.h>
#include <paas/err.h>
#include <paas/http_client.h>
#include <paas/http_server.h>

/* When something was true. */
struct stream_point {
    int64_t term, revision;
};
/* Negative, zero or positive as `a` is before, at or after `b`. */
int stream_compare(struct stream_point a, struct stream_point b);
/* "TERM.REV", both in 0..INT64_MAX. */
int stream_point_parse(const char *text, struct stream_point *out, struct err *err);

enum {
    STREAM_HEARTBEAT = 1000,        /* ms */
    STREAM_SILENCE = 3000,          /* ms: three heartbeats missed, the stream is lost */
    STREAM_BACKOFF_MIN = 50,        /* ms */
    STREAM_BACKOFF_MAX = 1000,      /* ms: a part is back in under a second, so are we */
    STREAM_SNAPSHOT_MAX = 64 << 20, /* bytes: 10,000 routes of 6 KB */
    STREAM_QUEUE_MAX = 1 << 20,     /* bytes beyond the snapshot itself that a watcher may lag */
    STREAM_WATCHERS = 4096,         /* of one feed */
};

/* ---- The server's side ---- */

struct feed;

int feed_create(uv_loop_t *loop, struct feed **out, struct err *err);
/* Ends every watcher's answer; the feed is gone. NULL is fine. */
void feed_destroy(struct feed *f);
/* The current snapshot, its term or revision above 0: `count` lines, each ended by '\n', copied. It
 * is sent to every watcher. A point that is not after the present one is ignored. -1 without
 * memory: nothing changed. */
int feed_set(struct feed *f, struct stream_point at, size_t count, const void *lines, size_t len,
    struct err *err);
struct stream_point feed_point(const struct feed *f);
/* Answers a call on a snapshot endpoint, always for the caller to return: with ?watch it joins the
 * watchers, beginning with the snapshot unless ?after=TERM.REV is at or past it; without, the
 * snapshot is the answer (503 while there is none). */
enum call_result feed_watch(struct feed *f, struct call *c);
/* Joins a call to a feed of plain lines. If call_stream_begin() was not called yet (the caller may
 * have written older lines first), it is here. Lines whose key differs are not sent; `key` NULL
 * takes all; it is copied. Returns CALL_PENDING; or CALL_DONE, having refused it. */
enum call_result feed_join(struct feed *f, struct call *c, const char *key);
/* Sends one line, without its '\n', to those who joined with this key or with none. */
void feed_line(struct feed *f, const char *key, const char *line, size_t len);
size_t feed_watchers(const struct feed *f);
/* Watchers dropped because they did not keep up. */
uint64_t feed_dropped(const struct feed *f);

/* ---- The client's side ---- */

struct follow;

struct follow_snapshot {
    struct stream_point at;
    size_t count;
    const char *lines; /* `count` lines, each ended by '\n' */
    size_t len;
};
/* The next line of `lines` without its '\n'; false at the end. Both arguments advance. */
bool stream_next_line(const char **lines, size_t *len, struct http_text *line);

enum follow_framing { FOLLOW_SNAPSHOTS, FOLLOW_LINES };

struct follow_options {
    struct http_client *client;
    enum follow_framing framing;
    const char *url; /* without `watch` and `after`, which are added; copied, as the next two */
    const char *unix_path;
    const char *token;
    /* Writes where to resume plain lines ("17"), or "": nothing is added. NULL: never. */
    void (*after)(void *data, char *text, size_t size);
    size_t line_max;     /* bytes; 0: JSON_LINE_MAX */
    size_t snapshot_max; /* bytes; 0: STREAM_SNAPSHOT_MAX */
    bool once; /* plain lines: a clean end of the answer ends it (`ended`) instead of reopening */

    void (*snapshot)(void *data, const struct follow_snapshot *s);
    void (*line)(void *data, const char *line, size_t len); /* without its '\n', NUL-terminated */
    void (*opened)(void *data);                             /* may be NULL */
    /* The stream broke or fell silent; it is opened again by itself. Called once per loss. May be
     * NULL. */
    void (*lost)(void *data, const struct err *err);
    void (*ended)(void *data); /* with `once` */
    void *data;
};

/* Opens it from the loop. `from` is what is known already (snapshots); {0} when nothing is: every
 * snapshot is after that. */
int follow_open(const struct follow_options *options, struct stream_point from, struct follow **out,
    struct err *err);
/* No callback comes afterwards; memory goes when its timer is closed. NULL is fine. */
void follow_close(struct follow *f);
/* True between `opened` and `lost`. */
bool follow_is_open(const struct follow *f);
/* The last snapshot handed out. */
struct stream_point follow_point(const struct follow *f);

#endif

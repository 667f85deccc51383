/* The scheduler's routes. SPDX-License-Identifier: Apache-2.0
 *
 * A snapshot is parsed and turned into a table on a thread of its own, so that ten thousand routes
 * do not hold up the control loop; then it is published, and then written to the file. Only the
 * newest of those that come meanwhile is built next.
 */
#include "routes_feed.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <paas/buf.h>
#include <paas/file.h>
#include <paas/list.h>
#include <paas/log.h>
#include <paas/loop.h>
#include <paas/stream.h>
#include <paas/str.h>
#include <paas/wire.h>

#include "proxy.h"
#include "route_table.h"

enum { HEAD_LINE_MAX = 256 /* bytes of a snapshot's header line: three numbers */ };

static const char file_name[] = "routes";

/* A snapshot on its way to a table and to the file. */
struct build {
    struct worker_job job;
    struct routes_feed *feed;
    struct stream_point at;
    char *text;                /* its header line and items, as the file has them */
    size_t len, items;         /* `items`: where the items begin */
    struct route_table *table; /* NULL: it could not be built, see err */
    size_t refused;
    bool published;
    struct err err;
};

struct routes_feed {
    struct proxy *proxy;
    char *data;
    struct worker *disk;
    struct http_client *client;
    struct follow *follow;
    struct build *busy, *next;
};

static void build_free(struct build *b) {
    if (b) {
        route_table_unref(b->table);
        free(b->text);
        free(b);
    }
}

static struct build *build_create(struct routes_feed *f, const struct follow_snapshot *s) {
    struct snapshot_head head = { s->at.term, s->at.revision, (int64_t)s->count };
    struct build *b = calloc(1, sizeof *b);
    struct buf text;
    buf_init(&text, s->len + HEAD_LINE_MAX);
    json_encode(&snapshot_head_json, &head, &text);
    buf_putc(&text, '\n');
    size_t items = text.len;
    buf_append(&text, s->lines, s->len);
    size_t len = text.len;
    char *bytes = buf_take(&text);
    if (!b || !bytes) {
        free(b);
        free(bytes);
        return NULL;
    }
    *b = (struct build){ .feed = f, .at = s->at, .text = bytes, .len = len, .items = items };
    return b;
}

/* ---- On the disk's thread ---- */

static void make_table(struct build *b, bool fresh) {
    b->table =
        route_table_build(b->text + b->items, b->len - b->items, fresh, &b->refused, &b->err);
}

static void write_file(struct build *b) {
    int dir = open(b->feed->data, O_PATH | O_DIRECTORY | O_CLOEXEC);
    err_clear(&b->err);
    file_write_whole(dir < 0 ? AT_FDCWD : dir, file_name, b->text, b->len, 0600, 0, &b->err);
    file_close(&dir);
}

static void run(struct worker_job *job) {
    struct build *b = LIST_ITEM(job, struct build, job);
    if (b->published) {
        write_file(b);
    } else {
        make_table(b, true);
    }
}

/* ---- On the control loop ---- */

static void submit(struct routes_feed *f, struct build *b);

static void begin_next(struct routes_feed *f) {
    struct build *b = f->next;
    f->busy = f->next = NULL;
    if (b) {
        submit(f, b);
    }
}

static void on_done(struct worker_job *job) {
    struct build *b = LIST_ITEM(job, struct build, job);
    struct routes_feed *f = b->feed;
    if (job->cancelled) {
        build_free(b);
        return;
    }
    if (b->err.code != ERR_OK) {
        log_error("%s: %s",
            b->published ? "the routes were not kept" : "the routes stay as they are", b->err.text);
    }
    if (b->published || !b->table) {
        build_free(b);
        begin_next(f);
        return;
    }
    if (b->refused) {
        log_warn("%zu routes have a host or path that is none; they are left out", b->refused);
    }
    proxy_publish_routes(f->proxy, b->table, b->at);
    b->table = NULL;
    b->published = true;
    submit(f, b);
}

static void submit(struct routes_feed *f, struct build *b) {
    struct err err;
    f->busy = b;
    b->job.run = run;
    b->job.done = on_done;
    if (worker_submit(f->disk, &b->job, &err) < 0) {
        log_error("the routes stay as they are: %s", err.text);
        f->busy = NULL;
        build_free(b);
    }
}

static void on_snapshot(void *data, const struct follow_snapshot *s) {
    struct routes_feed *f = data;
    struct build *b = build_create(f, s);
    if (!b) {
        log_error("the routes stay as they are: out of memory");
    } else if (f->busy) {
        build_free(f->next);
        f->next = b;
    } else {
        submit(f, b);
    }
}

static void on_lost(void *data, const struct err *err) {
    (void)data;
    log_warn("the scheduler's routes are not followed: %s; the last ones stay in force", err->text);
}

/* ---- Begin and end ---- */

/* The table of a kept snapshot; NULL with *err when it is damaged or cut. */
static struct route_table *table_of_file(const struct buf *text, struct err *err) {
    const char *lines = text->data;
    size_t len = text->len, refused;
    struct http_text line;
    struct snapshot_head head;
    if (!stream_next_line(&lines, &len, &line)) {
        err_set(err, ERR_BAD_VALUE, "it is cut");
        return NULL;
    }
    if (json_decode(&snapshot_head_json, line.at, line.len, &head, err) < 0) {
        return NULL;
    }
    struct route_table *t = route_table_build(lines, len, false, &refused, err);
    if (t && (int64_t)(t->count + refused) != head.count) {
        err_set(err, ERR_BAD_VALUE, "it is cut");
        route_table_unref(t);
        return NULL;
    }
    return t;
}

/* Publishes what the last run kept. Whatever is wrong with the file, the scheduler will tell. */
static void load_file(struct routes_feed *f) {
    struct buf text;
    struct err err = { .code = ERR_OK };
    buf_init(&text, STREAM_SNAPSHOT_MAX);
    int dir = open(f->data, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0 && file_read_whole(dir, file_name, &text, &err) == 0) {
        struct route_table *table = table_of_file(&text, &err);
        if (table) {
            proxy_publish_routes(f->proxy, table, (struct stream_point){ 0, 0 });
        }
    }
    if (err.code != ERR_OK && err.code != ERR_NOT_FOUND) {
        log_warn("the kept routes can't be used: %s", err.text);
    }
    file_close(&dir);
    buf_free(&text);
}

static int follow(
    struct routes_feed *f, const struct routes_feed_options *options, struct err *err) {
    struct follow_options follow = {
        .client = f->client,
        .framing = FOLLOW_SNAPSHOTS,
        .url = "http://paas/v1/routes",
        .unix_path = options->api_socket,
        .snapshot = on_snapshot,
        .lost = on_lost,
        .data = f,
    };
    return follow_open(&follow, (struct stream_point){ 0, 0 }, &f->follow, err);
}

struct routes_feed *routes_feed_open(const struct routes_feed_options *options, struct err *err) {
    struct routes_feed *f = calloc(1, sizeof *f);
    if (!f || !(f->data = strdup(options->data))) {
        free(f);
        err_no_memory(err);
        return NULL;
    }
    f->proxy = options->proxy;
    load_file(f);
    f->disk = worker_create(options->loop, "routes", err);
    if (!f->disk || http_client_create(options->loop, &f->client, err) < 0 ||
        follow(f, options, err) < 0) {
        routes_feed_close(f);
        return NULL;
    }
    return f;
}

static void on_client_closed(void *data) {
    struct routes_feed *f = data;
    free(f->data);
    free(f);
}

void routes_feed_close(struct routes_feed *f) {
    if (!f) {
        return;
    }
    follow_close(f->follow);
    worker_destroy(f->disk);
    build_free(f->next);
    if (f->client) {
        http_client_close(f->client, on_client_closed, f);
    } else {
        on_client_closed(f);
    }
}

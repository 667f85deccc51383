/* What the scheduler grants this node. SPDX-License-Identifier: Apache-2.0 */
#include "grants.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <paas/file.h>
#include <paas/log.h>
#include <paas/wire.h>

enum { GRANTS_FILE_MAX = 16 << 20 /* bytes: 20,000 rows of 800 */ };

struct grants {
    struct grants_options options;
    char *file;
    struct follow *follow;
    struct stream_point point;
    struct grant *rows;
    size_t count;
};

/* Decodes `count` lines into a new array. NULL with *err; `count` 0 gives an array, too. */
static struct grant *decode_rows(const char *lines, size_t len, size_t count, struct err *err) {
    struct grant *rows = calloc(count + 1, sizeof *rows);
    if (!rows) {
        err_no_memory(err);
        return NULL;
    }
    struct http_text line;
    for (size_t i = 0; i < count; i++) {
        if (!stream_next_line(&lines, &len, &line) ||
            json_decode(&grant_json, line.at, line.len, &rows[i], err) < 0) {
            free(rows);
            return NULL;
        }
    }
    return rows;
}

struct save {
    struct worker_job job;
    char *file;
    struct buf text;
};

static void save_run(struct worker_job *job) {
    struct save *save = (struct save *)job;
    struct err err;
    if (file_write_whole(
            AT_FDCWD, save->file, save->text.data, save->text.len, 0600, FILE_DURABLE, &err) < 0) {
        log_warn("keeping the grants: %s", err.text);
    }
}

static void save_done(struct worker_job *job) {
    struct save *save = (struct save *)job;
    buf_free(&save->text);
    free(save->file);
    free(save);
}

static void keep(struct grants *g, const struct follow_snapshot *s) {
    struct snapshot_head head = { s->at.term, s->at.revision, (int64_t)s->count };
    struct save *save = calloc(1, sizeof *save);
    struct err err;
    if (!save) {
        return;
    }
    save->job = (struct worker_job){ .run = save_run, .done = save_done };
    save->file = strdup(g->file);
    buf_init(&save->text, GRANTS_FILE_MAX);
    json_encode(&snapshot_head_json, &head, &save->text);
    buf_putc(&save->text, '\n');
    buf_append(&save->text, s->lines, s->len);
    if (!save->file || save->text.failed || worker_submit(g->options.disk, &save->job, &err) < 0) {
        save_done(&save->job);
    }
}

static void on_snapshot(void *data, const struct follow_snapshot *s) {
    struct grants *g = data;
    struct err err;
    struct grant *rows = decode_rows(s->lines, s->len, s->count, &err);
    if (!rows) {
        log_error("a set of grants can't be used: %s", err.text);
        return;
    }
    free(g->rows);
    g->rows = rows;
    g->count = s->count;
    g->point = s->at;
    keep(g, s);
    log_info("grants %" PRId64 ".%" PRId64 " rows=%zu", s->at.term, s->at.revision, s->count);
    g->options.changed(g->options.data);
}

static void on_opened(void *data) {
    struct grants *g = data;
    g->options.connected(g->options.data, true);
}

static void on_lost(void *data, const struct err *err) {
    struct grants *g = data;
    log_info("the scheduler's stream is lost, going on within the grants: %s", err->text);
    g->options.connected(g->options.data, false);
}

static int load(struct grants *g, struct err *err) {
    struct buf text;
    struct snapshot_head head;
    struct http_text line;
    buf_init(&text, GRANTS_FILE_MAX);
    int result = file_read_whole(AT_FDCWD, g->file, &text, err);
    const char *rest = text.data;
    size_t len = text.len;
    if (result == 0) {
        result = stream_next_line(&rest, &len, &line)
                     ? json_decode(&snapshot_head_json, line.at, line.len, &head, err)
                     : err_set(err, ERR_BAD_VALUE, "%s is empty", g->file);
    }
    if (result == 0) {
        g->rows = decode_rows(rest, len, (size_t)head.count, err);
        g->count = g->rows ? (size_t)head.count : 0;
        g->point = (struct stream_point){ head.term, head.revision };
        result = g->rows ? 0 : -1;
    }
    buf_free(&text);
    return result;
}

/* A file that is not there is no error; one that is not understood is moved away. */
static void load_or_set_aside(struct grants *g) {
    struct err err;
    char aside[PATH_MAX];
    if (load(g, &err) == 0 || err.code == ERR_NOT_FOUND) {
        return;
    }
    log_error("the kept grants can't be read, waiting for the scheduler's: %s", err.text);
    g->point = (struct stream_point){ 0 };
    if (snprintf(aside, sizeof aside, "%s.bad", g->file) < (int)sizeof aside &&
        rename(g->file, aside) < 0) {
        log_warn("setting %s aside: %s", g->file, strerror(errno));
    }
}

struct grants *grants_open(const struct grants_options *options, struct err *err) {
    struct grants *g = calloc(1, sizeof *g);
    char url[128];
    if (!g || !(g->file = strdup(options->file))) {
        free(g);
        err_no_memory(err);
        return NULL;
    }
    g->options = *options;
    load_or_set_aside(g);
    snprintf(url, sizeof url, "http://paas/v1/nodes/%s/grants", options->node);
    struct follow_options follow = {
        .client = options->client,
        .framing = FOLLOW_SNAPSHOTS,
        .url = url,
        .unix_path = options->api,
        .snapshot = on_snapshot,
        .opened = on_opened,
        .lost = on_lost,
        .data = g,
    };
    if (follow_open(&follow, g->point, &g->follow, err) < 0) {
        grants_close(g);
        return NULL;
    }
    return g;
}

void grants_close(struct grants *g) {
    if (g) {
        follow_close(g->follow);
        free(g->rows);
        free(g->file);
        free(g);
    }
}

const struct grant *grants_rows(const struct grants *g, size_t *count) {
    *count = g->count;
    return g->rows;
}

struct stream_point grants_point(const struct grants *g) {
    return g->point;
}

/* Logs of instances as an answer. SPDX-License-Identifier: Apache-2.0
 *
 * First what there is: a merge of one reader for each instance that fits, after skipping all but
 * the last `tail` lines; written until the client's queue is full, and on when it has room. Then,
 * with `follow`, one follower for each of them and for those that come later (a timer looks).
 */
#include "log_stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <paas/file.h>
#include <paas/log.h>
#include <paas/map.h>
#include <paas/str.h>
#include <paas/wire.h>

#include "logs.h"
#include "record.h"

enum {
    SOURCES_MAX = 256,                        /* instances of one answer: each has two files open */
    LOOK_MS = 250,                            /* for instances that started meanwhile */
    PIECES_A_TURN = 1024,                     /* the loop's other work comes in between */
    LINE_BYTES_MAX = LOG_TEXT_MAX * 6 + 1024, /* every byte escaped, and the rest */
};

struct source {
    struct log_answer *stream;
    char id[ID_SIZE];
    char app[NAME_SIZE];
    char slot[SLOT_NAME_SIZE];
    uint64_t seq; /* of the last piece written */
    struct log_follow *follow;
    bool ended;
};

struct log_answer {
    struct call *call;
    struct fleet *fleet;
    const struct instance_host *host;
    struct log_query query;
    struct source *sources[SOURCES_MAX];
    size_t count;
    struct log_merge *merge; /* while the past is being written */
    uv_idle_t writer;
    uv_timer_t look;
    int handles;
};

static void on_closed(uv_handle_t *handle) {
    struct log_answer *s = handle->data;
    if (--s->handles == 0) {
        for (size_t n = 0; n < s->count; n++) {
            free(s->sources[n]);
        }
        free(s);
    }
}

/* Lets go of everything but the memory, which goes with the handles. */
static void stream_close(struct log_answer *s) {
    log_merge_close(s->merge);
    s->merge = NULL;
    for (size_t n = 0; n < s->count; n++) {
        log_follow_close(s->sources[n]->follow);
        s->sources[n]->follow = NULL;
    }
    s->call = NULL;
    uv_close((uv_handle_t *)&s->writer, on_closed);
    uv_close((uv_handle_t *)&s->look, on_closed);
}

static void on_client_gone(struct call *c, void *data) {
    (void)c;
    stream_close(data);
}

static void write_piece(struct source *source, const struct log_piece *piece) {
    static const char *const streams[] = { "out", "err", "paas" };
    char text[LOG_TEXT_MAX + 1];
    size_t len = piece->len < LOG_TEXT_MAX ? piece->len : LOG_TEXT_MAX;
    struct buf out;
    struct log_line line = {
        .at = piece->wall,
        .sequence = (int64_t)piece->seq,
        .dropped = (int64_t)(piece->dropped + piece->missed),
        .text = text,
    };
    for (size_t n = 0; n < len; n++) {
        text[n] = piece->text[n] ? piece->text[n] : '?';
    }
    text[len] = '\0';
    memcpy(line.app, source->app, sizeof line.app);
    memcpy(line.slot, source->slot, sizeof line.slot);
    memcpy(line.instance, source->id, sizeof line.instance);
    str_copy(line.stream, sizeof line.stream,
        piece->stream <= LOG_STREAM_INIT ? streams[piece->stream] : "paas");
    buf_init(&out, LINE_BYTES_MAX);
    json_encode(&log_line_json, &line, &out);
    buf_putc(&out, '\n');
    source->seq = piece->seq;
    if (!out.failed) {
        call_stream_write(source->stream->call, out.data, out.len);
    }
    buf_free(&out);
}

/* --- what comes ------------------------------------------------------------------------------- */

static void on_line(void *arg, const struct log_piece *piece) {
    struct source *source = arg;
    struct log_answer *s = source->stream;
    write_piece(source, piece);
    if (call_stream_queued(s->call) > HTTP_STREAM_HIGH) {
        for (size_t n = 0; n < s->count; n++) {
            if (s->sources[n]->follow) {
                log_follow_pause(s->sources[n]->follow);
            }
        }
    }
}

static void on_follow_ended(void *arg) {
    struct source *source = arg;
    log_follow_close(source->follow);
    source->follow = NULL;
}

static void follow_source(struct source *source) {
    static const struct log_follow_events events = { .line = on_line, .ended = on_follow_ended };
    struct log_answer *s = source->stream;
    char path[PATH_SIZE * 2];
    struct err err;
    CLEANUP_FD int dir = record_open(s->host->directory_fd, source->id, &err);
    struct log_reader *reader = dir < 0 ? NULL : log_reader_open(dir, &err);
    if (reader) {
        log_reader_after(reader, source->seq);
        snprintf(path, sizeof path, "%s/%s", s->host->directory, source->id);
        source->follow = log_follow_open(s->host->loop, path, reader, &events, source, &err);
    }
    if (!source->follow) {
        source->ended = true;
    }
}

/* --- sources ---------------------------------------------------------------------------------- */

static bool fits(const struct log_query *q, const struct agent_instance *i) {
    bool before = i->phase >= PHASE_DESTROY && i->row.created_at < q->since;
    return !before && (!q->app[0] || strcmp(q->app, i->row.app) == 0) &&
           (!q->process[0] || strcmp(q->process, i->row.process) == 0) &&
           (!q->instance[0] || strcmp(q->instance, i->row.id) == 0 ||
               strcmp(q->instance, i->row.slot) == 0);
}

static struct source *find_source(struct log_answer *s, const char *id) {
    for (size_t n = 0; n < s->count; n++) {
        if (strcmp(s->sources[n]->id, id) == 0) {
            return s->sources[n];
        }
    }
    return NULL;
}

static void add_source(void *data, struct agent_instance *i) {
    struct log_answer *s = data;
    struct source *source = find_source(s, i->row.id);
    bool over = i->phase >= PHASE_DESTROY;
    if (source) {
        if (over && source->follow && !source->ended) {
            source->ended = true;
            log_follow_end(source->follow);
        }
        return;
    }
    if (i->phase < PHASE_START || s->count == SOURCES_MAX || !fits(&s->query, i) ||
        !(source = calloc(1, sizeof *source))) {
        return;
    }
    source->stream = s;
    source->ended = over;
    memcpy(source->id, i->row.id, sizeof source->id);
    memcpy(source->app, i->row.app, sizeof source->app);
    memcpy(source->slot, i->row.slot, sizeof source->slot);
    s->sources[s->count++] = source;
}

static void on_look(uv_timer_t *timer) {
    struct log_answer *s = timer->data;
    size_t before = s->count;
    fleet_each(s->fleet, true, add_source, s);
    for (size_t n = before; n < s->count; n++) {
        follow_source(s->sources[n]);
    }
}

/* --- what there is ---------------------------------------------------------------------------- */

/* A merge of all sources' last lines; NULL when there is nothing to read. */
static struct log_merge *open_merge(struct log_answer *s, struct err *err) {
    struct log_reader *readers[SOURCES_MAX];
    size_t count = 0;
    /* Of none, too, the last line is looked for: it says where to follow from. */
    size_t tail = s->query.tail > 0 ? (size_t)s->query.tail : 1;
    for (size_t n = 0; n < s->count; n++) {
        CLEANUP_FD int dir = record_open(s->host->directory_fd, s->sources[n]->id, err);
        struct log_reader *reader = dir < 0 ? NULL : log_reader_open(dir, err);
        if (reader && log_reader_last(reader, tail, err) < 0) {
            log_reader_close(reader);
            reader = NULL;
        }
        if (!reader) {
            /* Its directory went meanwhile: the source, too. */
            free(s->sources[n]);
            s->sources[n--] = s->sources[--s->count];
            continue;
        }
        readers[count++] = reader;
    }
    return log_merge_open(readers, count, err);
}

/* The last `tail` of all: those before are counted in a first pass, and skipped in a second. */
static int open_past(struct log_answer *s, struct err *err) {
    struct log_piece piece;
    size_t which;
    int64_t lines = 0;
    struct log_merge *counting = open_merge(s, err);
    if (!counting) {
        return -1;
    }
    while (log_merge_next(counting, &which, &piece)) {
        lines++;
    }
    log_merge_close(counting);
    s->merge = open_merge(s, err);
    if (!s->merge) {
        return -1;
    }
    for (; lines > s->query.tail && log_merge_next(s->merge, &which, &piece); lines--) {
        s->sources[which]->seq = piece.seq;
    }
    return 0;
}

static void end_of_past(struct log_answer *s) {
    log_merge_close(s->merge);
    s->merge = NULL;
    if (!s->query.follow) {
        struct call *c = s->call;
        stream_close(s);
        call_stream_end(c);
        return;
    }
    for (size_t n = 0; n < s->count; n++) {
        if (!s->sources[n]->ended) {
            follow_source(s->sources[n]);
        }
    }
    uv_timer_start(&s->look, on_look, LOOK_MS, LOOK_MS);
}

static void on_write(uv_idle_t *idle) {
    struct log_answer *s = idle->data;
    struct log_piece piece;
    size_t which;
    for (int n = 0; n < PIECES_A_TURN; n++) {
        if (call_stream_queued(s->call) > HTTP_STREAM_HIGH) {
            uv_idle_stop(idle);
            return;
        }
        if (!log_merge_next(s->merge, &which, &piece)) {
            uv_idle_stop(idle);
            end_of_past(s);
            return;
        }
        write_piece(s->sources[which], &piece);
    }
}

static void on_writable(struct call *c, void *data) {
    struct log_answer *s = data;
    (void)c;
    if (s->merge) {
        uv_idle_start(&s->writer, on_write);
        return;
    }
    for (size_t n = 0; n < s->count; n++) {
        if (s->sources[n]->follow) {
            log_follow_resume(s->sources[n]->follow);
        }
    }
}

enum call_result log_stream_answer(struct call *c, struct fleet *fleet,
    const struct instance_host *host, const struct log_query *query) {
    struct err err = { 0 };
    struct log_answer *s = calloc(1, sizeof *s);
    if (!s) {
        err_no_memory(&err);
        return call_fail(c, &err);
    }
    s->call = c;
    s->fleet = fleet;
    s->host = host;
    s->query = *query;
    s->writer.data = s->look.data = s;
    uv_idle_init(host->loop, &s->writer);
    uv_timer_init(host->loop, &s->look);
    s->handles = 2;
    fleet_each(fleet, true, add_source, s);
    if (open_past(s, &err) < 0) {
        stream_close(s);
        return call_fail(c, &err);
    }
    call_on_closed(c, on_client_gone, s);
    call_on_writable(c, on_writable, s);
    call_stream_begin(c, "application/x-ndjson", -1);
    uv_idle_start(&s->writer, on_write);
    return CALL_PENDING;
}

/* Uploads of the registry: bodies become blobs. SPDX-License-Identifier: Apache-2.0
 *
 * The story: a request brings bytes (on_data); they gather in `pending` while the writer's thread
 * writes and hashes what came before; upload_pump() hands it the next piece, or, when the body has
 * ended, the commit, or answers. Past UPLOAD_HIGH the client is paused.
 *
 * It fails: the disk is full, or the digest is another one: the answer says so and the upload is
 * given up. The client goes away: an upload whose only request it was is given up; one made of
 * several requests keeps what came, until it has been idle for UPLOAD_IDLE. A job that is with the
 * worker is always awaited: `busy` guards the memory.
 */
#include "registry_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <paas/clock.h>
#include <paas/str.h>

enum {
    UPLOADS_MAX = 64,         /* at once; each has a file and up to two buffers */
    UPLOAD_HIGH = 1 << 20,    /* bytes that may wait for the disk */
    UPLOAD_IDLE = 10 * 60000, /* ms until an upload that nobody goes on with is given up */
};

enum upload_request {
    UPLOAD_WHOLE,  /* POST with ?digest=: the one request */
    UPLOAD_APPEND, /* PATCH */
    UPLOAD_FINISH, /* PUT */
};

enum upload_task { TASK_APPEND, TASK_COMMIT, TASK_ABORT };

struct upload {
    struct list link;
    struct registry *registry;
    struct blob_writer file; /* the worker's while `busy` */
    char app[NAME_SIZE];
    char digest[DIGEST_SIZE]; /* what it must be */
    int64_t received;         /* bytes */
    msec touched;

    struct call *call; /* the request in progress; NULL between two */
    enum upload_request request;
    struct buf pending;
    bool ended;  /* the body is whole */
    bool paused; /* the client waits for us */
    bool over;   /* to be freed as soon as no job is out */

    bool busy;
    struct worker_job job;
    enum upload_task task;
    struct buf piece; /* what the job writes */
    struct err err;   /* what came of it */
};

static void upload_pump(struct upload *u);

static void upload_free(struct upload *u) {
    list_remove(&u->link);
    u->registry->upload_count--;
    buf_free(&u->pending);
    buf_free(&u->piece);
    free(u);
}

/* ---- the worker's side ---- */

static void on_job_run(struct worker_job *job) {
    struct upload *u = (struct upload *)((char *)job - offsetof(struct upload, job));
    const struct blob_store *store = &u->registry->store;
    switch (u->task) {
    case TASK_APPEND:
        blob_writer_append(store, &u->file, u->piece.data, u->piece.len, &u->err);
        break;
    case TASK_COMMIT:
        blob_writer_commit(store, &u->file, u->digest, &u->err);
        break;
    case TASK_ABORT:
        blob_writer_abort(store, &u->file);
        break;
    }
}

/* ---- the loop's side ---- */

static void upload_fail(struct upload *u, const struct err *err) {
    struct call *c = u->call;
    u->call = NULL;
    u->over = true;
    if (c) {
        call_fail(c, err);
    }
}

static void on_job_done(struct worker_job *job) {
    struct upload *u = (struct upload *)((char *)job - offsetof(struct upload, job));
    u->busy = false;
    u->touched = clock_msec();
    buf_reset(&u->piece);
    if (job->cancelled) {
        blob_writer_abort(&u->registry->store, &u->file);
        u->task = TASK_ABORT;
    }
    if (u->task == TASK_ABORT) {
        upload_free(u);
        return;
    }
    if (u->err.code != ERR_OK) {
        upload_fail(u, &u->err);
    } else if (u->task == TASK_COMMIT) {
        struct call *c = u->call;
        u->call = NULL;
        u->over = true;
        if (c) {
            registry_reply_stored(c, "blobs", u->digest);
        }
    }
    upload_pump(u);
}

static void start(struct upload *u, enum upload_task task) {
    struct err err;
    u->task = task;
    u->err = (struct err){ 0 };
    u->job = (struct worker_job){ .run = on_job_run, .done = on_job_done };
    u->busy = true;
    if (worker_submit(u->registry->writer, &u->job, &err) == 0) {
        return;
    }
    u->busy = false;
    upload_fail(u, &err);
    blob_writer_abort(&u->registry->store, &u->file);
    upload_free(u);
}

static void reply_accepted(struct upload *u) {
    struct call *c = u->call;
    u->call = NULL;
    u->ended = false;
    call_header_set(c, "Location", "/v2/%s/blobs/uploads/%s", u->app, u->file.id);
    call_header_set(c, "Docker-Upload-UUID", "%s", u->file.id);
    call_header_set(c, "Range", "0-%lld", (long long)(u->received > 0 ? u->received - 1 : 0));
    call_status(c, 202);
    call_reply_empty(c);
}

/* Does what is next; may free the upload. */
static void upload_pump(struct upload *u) {
    if (u->busy) {
        return;
    }
    if (u->over && u->registry->closing) {
        blob_writer_abort(&u->registry->store, &u->file);
        upload_free(u);
        return;
    }
    if (u->over) {
        start(u, TASK_ABORT);
        return;
    }
    if (u->pending.len) {
        struct buf empty = u->piece;
        u->piece = u->pending;
        u->pending = empty;
        if (u->paused && u->call) {
            u->paused = false;
            call_body_resume(u->call);
        }
        start(u, TASK_APPEND);
    } else if (u->call && u->ended && u->request == UPLOAD_APPEND) {
        reply_accepted(u);
    } else if (u->call && u->ended) {
        start(u, TASK_COMMIT);
    }
}

/* ---- the request's side ---- */

static void on_data(struct call *c, void *data, const char *bytes, size_t len) {
    struct upload *u = data;
    struct err err;
    if (!u->call) {
        return;
    }
    if ((int64_t)len > LAYER_BYTES_MAX - u->received) {
        char limit[STR_AMOUNT_MAX];
        err_set(&err, ERR_TOO_LARGE, "a blob is larger than %s",
            str_format_size(LAYER_BYTES_MAX, limit));
        upload_fail(u, &err);
    } else if (buf_append(&u->pending, bytes, len) < 0) {
        err_no_memory(&err);
        upload_fail(u, &err);
    } else {
        u->received += (int64_t)len;
        if (u->pending.len >= UPLOAD_HIGH && u->busy) {
            u->paused = true;
            call_body_pause(c);
        }
    }
    upload_pump(u);
}

static void on_end(struct call *c, void *data) {
    struct upload *u = data;
    (void)c;
    u->ended = true;
    upload_pump(u);
}

static void on_closed(struct call *c, void *data) {
    struct upload *u = data;
    (void)c;
    u->call = NULL;
    u->ended = false;
    u->paused = false;
    u->over |= u->request != UPLOAD_APPEND;
    upload_pump(u);
}

static enum call_result receive(
    struct upload *u, struct call *c, enum upload_request request, const char *digest) {
    static const struct call_body_events events = { on_data, on_end };
    str_copy(u->digest, sizeof u->digest, digest);
    u->request = request;
    u->call = c;
    u->ended = u->paused = false;
    u->touched = clock_msec();
    call_on_closed(c, on_closed, u);
    call_on_body(c, &events, u);
    return CALL_PENDING;
}

static struct upload *upload_create(struct registry *r, const char *app, struct err *err) {
    char id[ID_SIZE];
    if (r->upload_count == UPLOADS_MAX) {
        err_set(err, ERR_BUSY, "%d uploads are under way already", UPLOADS_MAX);
        return NULL;
    }
    if (id_make(id, err) < 0) {
        return NULL;
    }
    struct upload *u = calloc(1, sizeof *u);
    if (!u) {
        err_no_memory(err);
        return NULL;
    }
    u->registry = r;
    u->touched = clock_msec();
    blob_writer_init(&u->file, id);
    str_copy(u->app, sizeof u->app, app);
    /* What one read brings on top of the mark. */
    buf_init(&u->pending, 4 * UPLOAD_HIGH);
    buf_init(&u->piece, 4 * UPLOAD_HIGH);
    list_append(&r->uploads, &u->link);
    r->upload_count++;
    return u;
}

enum call_result registry_upload_begin(struct call *c) {
    struct registry *r = registry_of_call(c);
    const char *app = registry_app(c), *digest = call_query(c, "digest");
    const char *mount = call_query(c, "mount");
    struct err err;
    if (!app) {
        return CALL_DONE;
    }
    if (digest && !str_is_digest(digest)) {
        return call_fail_with(c, ERR_BAD_VALUE, "\"%.80s\" is not a sha256 digest", digest);
    }
    const char *known = digest ? digest : mount;
    if (known && blob_touch(&r->store, known) >= 0) {
        registry_reply_stored(c, "blobs", known);
        return CALL_DONE;
    }
    struct upload *u = upload_create(r, app, &err);
    if (!u) {
        return call_fail(c, &err);
    }
    return receive(u, c, digest ? UPLOAD_WHOLE : UPLOAD_APPEND, digest ? digest : "");
}

/* The upload that the path names, with no request in progress; NULL after an answer. */
static struct upload *find(struct call *c) {
    struct registry *r = registry_of_call(c);
    const char *app = registry_app(c), *id = call_param(c, "upload");
    if (!app) {
        return NULL;
    }
    LIST_FOREACH (item, &r->uploads) {
        struct upload *u = LIST_ITEM(item, struct upload, link);
        if (strcmp(u->file.id, id) == 0 && strcmp(u->app, app) == 0 && !u->over) {
            if (!u->call) {
                return u;
            }
            call_fail_with(c, ERR_CONFLICT, "another request goes on with this upload");
            return NULL;
        }
    }
    call_fail_with(c, ERR_NOT_FOUND, "there is no upload \"%.40s\"", id);
    return NULL;
}

enum call_result registry_upload_state(struct call *c) {
    struct upload *u = find(c);
    if (!u) {
        return CALL_DONE;
    }
    call_header_set(c, "Location", "/v2/%s/blobs/uploads/%s", u->app, u->file.id);
    call_header_set(c, "Range", "0-%lld", (long long)(u->received > 0 ? u->received - 1 : 0));
    call_status(c, 204);
    return call_reply_empty(c);
}

/* A piece that says where it belongs must belong here. */
static bool is_next_piece(const struct upload *u, struct call *c) {
    struct http_text range = call_header(c, "content-range");
    char text[32];
    size_t digits = 0;
    int64_t from;
    while (digits < range.len && digits < sizeof text - 1 && range.at[digits] != '-') {
        text[digits] = range.at[digits];
        digits++;
    }
    text[digits] = '\0';
    return !range.at ||
           (str_int(text, 0, INT64_MAX, "Content-Range", &from, NULL) == 0 && from == u->received);
}

enum call_result registry_upload_append(struct call *c) {
    struct upload *u = find(c);
    if (!u) {
        return CALL_DONE;
    }
    if (!is_next_piece(u, c)) {
        return call_fail_with(
            c, ERR_CONFLICT, "the next piece begins at byte %lld", (long long)u->received);
    }
    return receive(u, c, UPLOAD_APPEND, "");
}

enum call_result registry_upload_finish(struct call *c) {
    struct upload *u = find(c);
    if (!u) {
        return CALL_DONE;
    }
    const char *digest = call_query(c, "digest");
    if (!digest || !str_is_digest(digest)) {
        return call_fail_with(c, ERR_BAD_VALUE, "?digest= must be a sha256 digest");
    }
    return receive(u, c, UPLOAD_FINISH, digest);
}

enum call_result registry_upload_cancel(struct call *c) {
    struct upload *u = find(c);
    if (!u) {
        return CALL_DONE;
    }
    u->over = true;
    upload_pump(u);
    return call_reply_empty(c);
}

void registry_expire_uploads(struct registry *r) {
    msec now = clock_msec();
    LIST_FOREACH_SAFE (item, after, &r->uploads) {
        struct upload *u = LIST_ITEM(item, struct upload, link);
        if (!u->call && !u->busy && now - u->touched > UPLOAD_IDLE) {
            u->over = true;
            upload_pump(u);
        }
    }
}

void registry_end_uploads(struct registry *r) {
    LIST_FOREACH_SAFE (item, after, &r->uploads) {
        struct upload *u = LIST_ITEM(item, struct upload, link);
        u->call = NULL;
        u->over = true;
        upload_pump(u);
    }
}

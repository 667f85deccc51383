/* Reading blobs from the registry. SPDX-License-Identifier: Apache-2.0
 *
 * The story: a read opens the file, announces its length, and then one piece after the other is
 * read by the reader's thread and queued for the client; while the client does not take them, none
 * is read. It fails: the disk can't be read: the answer is cut, visibly. The client goes away: the
 * piece that is being read is awaited, then all is freed.
 */
#include "registry_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <paas/file.h>
#include <paas/log.h>
#include <paas/str.h>

enum { READ_PIECE = 256 * 1024 /* bytes; HTTP_STREAM_HIGH */ };

struct blob_reading {
    struct registry *registry;
    struct call *call; /* NULL: the client went away */
    int fd;
    int64_t at, end; /* bytes */
    bool busy;
    struct worker_job job;
    ssize_t got; /* by the last job; -1 with `sys` */
    int sys;
    char piece[READ_PIECE];
};

static void reading_free(struct blob_reading *b) {
    file_close(&b->fd);
    free(b);
}

static void on_job_run(struct worker_job *job) {
    struct blob_reading *b =
        (struct blob_reading *)((char *)job - offsetof(struct blob_reading, job));
    int64_t left = b->end - b->at;
    do {
        b->got = pread(b->fd, b->piece, left < READ_PIECE ? (size_t)left : READ_PIECE, b->at);
    } while (b->got < 0 && errno == EINTR);
    b->sys = b->got < 0 ? errno : 0;
}

static void on_closed(struct call *c, void *data) {
    struct blob_reading *b = data;
    (void)c;
    b->call = NULL;
    if (!b->busy) {
        reading_free(b);
    }
}

static void read_more(struct blob_reading *b);

static void on_writable(struct call *c, void *data) {
    (void)c;
    read_more(data);
}

/* Gives the call and the memory up. */
static void finish(struct blob_reading *b, bool whole) {
    struct call *c = b->call;
    call_on_closed(c, NULL, NULL);
    call_on_writable(c, NULL, NULL);
    reading_free(b);
    if (whole) {
        call_stream_end(c);
    } else {
        call_stream_abort(c);
    }
}

static void on_job_done(struct worker_job *job) {
    struct blob_reading *b =
        (struct blob_reading *)((char *)job - offsetof(struct blob_reading, job));
    b->busy = false;
    if (!b->call) {
        reading_free(b);
        return;
    }
    if (job->cancelled || b->got <= 0) {
        log_error("reading a blob: %s", b->sys ? strerror(b->sys) : "it became shorter");
        finish(b, false);
        return;
    }
    b->at += b->got;
    size_t queued = call_stream_write(b->call, b->piece, (size_t)b->got);
    if (b->at == b->end) {
        finish(b, true);
    } else if (queued <= HTTP_STREAM_HIGH) {
        read_more(b);
    }
}

static void read_more(struct blob_reading *b) {
    if (b->busy || !b->call) {
        return;
    }
    b->job = (struct worker_job){ .run = on_job_run, .done = on_job_done };
    b->busy = true;
    if (worker_submit(b->registry->reader, &b->job, NULL) < 0) {
        b->busy = false;
        finish(b, false);
    }
}

/* "bytes=FIRST-[LAST]" within `size`: fills *at and *end. False for anything else: the whole blob
 * is sent then (RFC 9110 14.2). */
static bool parse_range(struct http_text range, int64_t size, int64_t *at, int64_t *end) {
    char text[64];
    if (!range.at || range.len >= sizeof text) {
        return false;
    }
    memcpy(text, range.at, range.len);
    text[range.len] = '\0';
    char *dash = strchr(text, '-');
    if (!str_starts(text, "bytes=") || !dash) {
        return false;
    }
    *dash = '\0';
    int64_t last = size - 1;
    if (str_int(text + strlen("bytes="), 0, size - 1, "Range", at, NULL) < 0 ||
        (dash[1] && str_int(dash + 1, *at, INT64_MAX - 1, "Range", &last, NULL) < 0)) {
        return false;
    }
    *end = (last < size ? last : size - 1) + 1;
    return true;
}

static void begin_answer(
    struct call *c, const char *digest, int64_t size, int64_t *at, int64_t *end) {
    call_header_set(c, "Docker-Content-Digest", "%s", digest);
    call_header_set(c, "Accept-Ranges", "bytes");
    call_header_set(c, "ETag", "\"%s\"", digest);
    *at = 0;
    *end = size;
    if (parse_range(call_header(c, "range"), size, at, end)) {
        call_header_set(c, "Content-Range", "bytes %lld-%lld/%lld", (long long)*at,
            (long long)(*end - 1), (long long)size);
        call_status(c, 206);
    }
    call_stream_begin(c, "application/octet-stream", *end - *at);
}

enum call_result registry_blob_get(struct call *c) {
    struct registry *r = registry_of_call(c);
    const char *app = registry_app(c), *digest = call_param(c, "digest");
    struct err err;
    int64_t size, at, end;
    if (!app) {
        return CALL_DONE;
    }
    int fd = blob_open(&r->store, digest, &size, &err);
    if (fd < 0) {
        return call_fail(c, &err);
    }
    /* Who asks for it is about to push what refers to it. */
    blob_touch(&r->store, digest);
    struct blob_reading *b = malloc(sizeof *b);
    if (!b) {
        file_close(&fd);
        err_no_memory(&err);
        return call_fail(c, &err);
    }
    begin_answer(c, digest, size, &at, &end);
    if (call_method(c) == METHOD_HEAD || at == end) {
        file_close(&fd);
        free(b);
        return call_stream_end(c);
    }
    *b = (struct blob_reading){ .registry = r, .call = c, .fd = fd, .at = at, .end = end };
    call_on_closed(c, on_closed, b);
    call_on_writable(c, on_writable, b);
    read_more(b);
    return CALL_PENDING;
}

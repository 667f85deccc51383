/* One layer on its way from the registry into the store. SPDX-License-Identifier: Apache-2.0
 *
 * The story: a helper is started on the reading end of a pipe; the registry's answer goes into the
 * other end (on_data), hashed as it passes; past LAYER_HIGH the registry is paused until the helper
 * has read (on_written). When the answer is whole and its digest right, the pipe is closed after
 * the last write; the helper ends, which layer_unpacked() is told.
 *
 * It fails: the registry can't be reached, breaks off, or gives other bytes: that is the outcome,
 * whatever the helper says of its cut input. The helper ends early: the write fails with EPIPE, the
 * fetch is cancelled, and the helper's words are the outcome. In every case the helper's end is
 * awaited before the outcome is told, so that none works on a layer that is tried anew.
 */
#include "layer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <paas/file.h>
#include <paas/str.h>

enum {
    LAYER_HIGH = 1 << 20,   /* bytes queued for the helper: as much as its pipe holds */
    LAYER_LOW = 256 * 1024, /* when to go on */
    LAYER_PIPE = 1 << 20,   /* bytes; /proc/sys/fs/pipe-max-size allows it to all */
};

struct layer_write {
    uv_write_t request;
    struct layer *layer;
    char bytes[];
};

struct layer *layer_create(
    const struct layer_host *host, const char *diff_id, const char *blob, const char *app) {
    struct layer *l = calloc(1, sizeof *l);
    if (!l) {
        return NULL;
    }
    l->host = host;
    list_init(&l->link);
    list_init(&l->waits);
    str_copy(l->hex, sizeof l->hex, digest_hex(diff_id));
    str_copy(l->blob, sizeof l->blob, blob);
    str_copy(l->app, sizeof l->app, app);
    return l;
}

static void on_pipe_closed(uv_handle_t *handle) {
    struct layer *l = handle->data;
    l->piped = false;
    if (l->state == LAYER_OVER) {
        layer_destroy(l);
    }
}

/* The helper reads the end of its input, or of what there is. */
static void end_pipe(struct layer *l) {
    if (l->piped && !uv_is_closing((uv_handle_t *)&l->pipe)) {
        uv_close((uv_handle_t *)&l->pipe, on_pipe_closed);
    }
}

static void end_fetch(struct layer *l) {
    http_cancel(l->fetch);
    l->fetch = NULL;
    l->state = LAYER_LEAVING;
}

static void on_written(uv_write_t *request, int status) {
    struct layer_write *w = (struct layer_write *)request;
    struct layer *l = w->layer;
    free(w);
    l->writes--;
    if (status < 0) {
        end_fetch(l);
        end_pipe(l);
        return;
    }
    if (l->state == LAYER_LEAVING && l->writes == 0) {
        end_pipe(l);
    } else if (l->paused && l->pipe.write_queue_size <= LAYER_LOW && l->fetch) {
        l->paused = false;
        http_resume(l->fetch);
    }
}

static void on_head(void *data, int status, struct http_fetch *fetch) {
    struct layer *l = data;
    const char *length = http_fetch_header(fetch, "Content-Length");
    int64_t total;
    if (status == 200 && length &&
        str_int(length, 0, LAYER_BYTES_MAX, "Content-Length", &total, NULL) == 0) {
        l->total = (uint64_t)total;
    }
}

/* Ends the fetch with a failure of its own. */
static void fetch_failed(struct layer *l) {
    end_fetch(l);
    end_pipe(l);
}

static void on_data(void *data, const char *bytes, size_t len) {
    struct layer *l = data;
    if (l->state != LAYER_FETCHED) {
        return;
    }
    l->received += len;
    if (l->received > LAYER_BYTES_MAX) {
        err_set(&l->failure, ERR_TOO_LARGE, "the layer is larger than its limit");
        fetch_failed(l);
        return;
    }
    digest_update(l->sum, bytes, len);
    struct layer_write *w = malloc(sizeof *w + len);
    if (!w) {
        err_no_memory(&l->failure);
        fetch_failed(l);
        return;
    }
    w->layer = l;
    memcpy(w->bytes, bytes, len);
    uv_buf_t buf = uv_buf_init(w->bytes, (unsigned)len);
    if (uv_write(&w->request, (uv_stream_t *)&l->pipe, &buf, 1, on_written) < 0) {
        free(w);
        fetch_failed(l);
        return;
    }
    l->writes++;
    if (l->pipe.write_queue_size > LAYER_HIGH && !l->paused) {
        l->paused = true;
        http_pause(l->fetch);
    }
    l->host->progress(l);
}

static void on_done(void *data, struct http_answer *answer, const struct err *err) {
    struct layer *l = data;
    char found[DIGEST_SIZE];
    (void)answer;
    l->fetch = NULL;
    l->state = LAYER_LEAVING;
    digest_finish(l->sum, found);
    if (err->code != ERR_OK) {
        l->failure = *err;
        err_wrap(&l->failure, "fetching the layer");
        end_pipe(l);
        return;
    }
    if (strcmp(found, l->blob) != 0) {
        err_set(&l->failure, ERR_DIGEST, "the registry gave %s for %s", found, l->blob);
    }
    if (l->writes == 0 || l->failure.code != ERR_OK) {
        end_pipe(l);
    }
}

static int start_fetch(struct layer *l, struct err *err) {
    char url[256];
    snprintf(url, sizeof url, "http://paas/v2/%s/blobs/%s", l->app, l->blob);
    struct http_fetch_options o = {
        .method = METHOD_GET,
        .url = url,
        .unix_path = l->host->registry,
        .head = on_head,
        .data = on_data,
        .done = on_done,
        .context = l,
    };
    l->fetch = http_fetch_start(l->host->client, &o, err);
    return l->fetch ? 0 : -1;
}

/* Opens the pipe to a new helper. */
static int start_helper(struct layer *l, struct err *err) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return err_sys(err, errno, "making a pipe");
    }
    fcntl(ends[1], F_SETPIPE_SZ, LAYER_PIPE);
    uv_pipe_init(l->host->loop, &l->pipe, 0);
    l->pipe.data = l;
    l->piped = true;
    int failed = uv_pipe_open(&l->pipe, ends[1]);
    if (failed) {
        close(ends[1]);
        err_sys(err, -failed, "opening a pipe");
    } else {
        failed = l->host->unpack(l->host->ctx, l->hex, ends[0], err);
    }
    close(ends[0]);
    if (failed) {
        end_pipe(l);
    }
    return failed ? -1 : 0;
}

int layer_fetch(struct layer *l, struct err *err) {
    err_clear(&l->failure);
    l->received = l->total = 0;
    l->given_up = l->paused = false;
    if (!l->sum && !(l->sum = digest_create())) {
        return err_no_memory(err);
    }
    if (start_helper(l, err) < 0) {
        return -1;
    }
    l->state = LAYER_FETCHED;
    if (start_fetch(l, &l->failure) < 0) {
        /* The helper runs already: its end is awaited as always. */
        fetch_failed(l);
    }
    return 0;
}

void layer_give_up(struct layer *l) {
    l->given_up = true;
    if (l->state == LAYER_FETCHED) {
        fetch_failed(l);
    }
}

void layer_unpacked(struct layer *l, const struct err *err) {
    struct err outcome = l->failure.code != ERR_OK ? l->failure : *err;
    /* A helper that is content with half of the bytes would be a bug of ours. */
    if (l->state == LAYER_FETCHED && outcome.code == ERR_OK) {
        err_set(&outcome, ERR_INTERNAL, "the helper ended before its input");
    }
    end_fetch(l);
    end_pipe(l);
    l->state = LAYER_OVER;
    l->host->over(l, &outcome);
}

void layer_destroy(struct layer *l) {
    if (!l) {
        return;
    }
    http_cancel(l->fetch);
    l->fetch = NULL;
    l->state = LAYER_OVER;
    if (l->piped) {
        end_pipe(l);
        return;
    }
    digest_destroy(l->sum);
    free(l);
}

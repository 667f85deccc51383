/* Brings an image's blobs and manifest to the platform's registry. SPDX-License-Identifier:
 * Apache-2.0 */
#include "upload.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ANSWER_MAX = 65536 /* bytes: the registry answers with a problem or nothing */ };

/* A file that is read while it is sent. */
struct sending {
    int fd;
    int64_t at;
    int64_t before, total; /* bytes of the blobs before this one, and of all */
    void (*progress)(void *data, int64_t sent, int64_t total);
    void *data;
};

static ssize_t on_read(void *data, char *bytes, size_t size) {
    struct sending *s = data;
    ssize_t n = pread(s->fd, bytes, size, s->at);
    if (n < 0) {
        return -1;
    }
    s->at += n;
    if (s->progress) {
        s->progress(s->data, s->before + s->at, s->total);
    }
    return n;
}

static int fetch(struct client *c, const struct http_fetch_options *options, struct err *err) {
    struct http_answer answer;
    int result = http_fetch_now(client_http(c), options, &answer, err);
    buf_free(&answer.body);
    return result;
}

static int send_blob(struct client *c, const char *app, const struct bundle_blob *blob,
    struct sending *s, struct err *err) {
    char path[CLIENT_PATH_MAX], url[CLIENT_PATH_MAX * 2];
    snprintf(path, sizeof path, "/v2/%s/blobs/uploads/?digest=%s", app, blob->digest);
    if (client_url(c, path, url, sizeof url, err) < 0) {
        return -1;
    }
    s->fd = blob->fd;
    s->at = 0;
    struct http_fetch_options options = {
        .method = METHOD_POST,
        .url = url,
        .unix_path = client_socket(c),
        .token = client_token(c),
        .content_type = "application/octet-stream",
        .read = on_read,
        .read_size = blob->size,
        .collect_max = ANSWER_MAX,
        .context = s,
    };
    return fetch(c, &options, err) < 0 ? err_wrap(err, "uploading %.19s", blob->digest) : 0;
}

static int has_blob(struct client *c, const char *app, const char *digest, struct err *err) {
    char path[CLIENT_PATH_MAX];
    snprintf(path, sizeof path, "/v2/%s/blobs/%s", app, digest);
    if (client_call(c, METHOD_HEAD, path, NULL, NULL, NULL, err) == 0) {
        return 1;
    }
    return err->code == ERR_NOT_FOUND ? 0 : -1;
}

static int send_manifest(
    struct client *c, const char *app, const struct bundle *bundle, struct err *err) {
    char path[CLIENT_PATH_MAX], url[CLIENT_PATH_MAX * 2];
    snprintf(path, sizeof path, "/v2/%s/manifests/%s", app, bundle->digest);
    if (client_url(c, path, url, sizeof url, err) < 0) {
        return -1;
    }
    struct http_fetch_options options = {
        .method = METHOD_PUT,
        .url = url,
        .unix_path = client_socket(c),
        .token = client_token(c),
        .content_type = bundle->media_type,
        .body = bundle->manifest.data,
        .body_len = bundle->manifest.len,
        .collect_max = ANSWER_MAX,
    };
    return fetch(c, &options, err) < 0 ? err_wrap(err, "uploading the manifest") : 0;
}

int upload_image(struct client *c, const char *app, const struct bundle *bundle,
    void (*progress)(void *data, int64_t sent, int64_t total), void *data, struct upload *out,
    struct err *err) {
    struct sending s = { .progress = progress, .data = data };
    *out = (struct upload){ .blobs = bundle->count };
    for (size_t i = 0; i < bundle->count; i++) {
        s.total += bundle->blobs[i].size;
    }
    for (size_t i = 0; i < bundle->count; i++) {
        const struct bundle_blob *blob = &bundle->blobs[i];
        int there = has_blob(c, app, blob->digest, err);
        if (there < 0 || (!there && send_blob(c, app, blob, &s, err) < 0)) {
            return -1;
        }
        s.before += blob->size;
        out->sent += !there;
        out->bytes += there ? 0 : blob->size;
    }
    err_clear(err);
    return send_manifest(c, app, bundle, err);
}

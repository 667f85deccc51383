/* The registry: its life, its manifests, its images. SPDX-License-Identifier: Apache-2.0 */
#include "registry_parts.h"

#include <stdlib.h>
#include <string.h>

#include <paas/file.h>
#include <paas/str.h>

enum {
    EXPIRE_EVERY = 60000, /* ms between looks at idle uploads */
    COLLECT_AGE = 3600,   /* seconds for which what was pushed or asked for stays */
    REFERENCE_SIZE = DIGEST_SIZE + OCI_REF_SIZE,
};

/* ---- life ---- */

static void on_timer(uv_timer_t *timer) {
    registry_expire_uploads(timer->data);
}

struct registry *registry_open(uv_loop_t *loop, const char *directory, struct err *err) {
    struct registry *r = calloc(1, sizeof *r);
    if (!r) {
        err_no_memory(err);
        return NULL;
    }
    r->loop = loop;
    list_init(&r->uploads);
    if (blob_store_open(&r->store, directory, err) < 0) {
        err_wrap(err, "opening the registry");
        free(r);
        return NULL;
    }
    r->writer = worker_create(loop, "registry-write", err);
    r->reader = r->writer ? worker_create(loop, "registry-read", err) : NULL;
    if (!r->reader) {
        worker_destroy(r->writer);
        blob_store_close(&r->store);
        free(r);
        return NULL;
    }
    uv_timer_init(loop, &r->timer);
    r->timer.data = r;
    uv_timer_start(&r->timer, on_timer, EXPIRE_EVERY, EXPIRE_EVERY);
    uv_unref((uv_handle_t *)&r->timer);
    return r;
}

static void on_timer_closed(uv_handle_t *handle) {
    struct registry *r = handle->data;
    if (r->closed) {
        r->closed(r->closed_data);
    }
    free(r);
}

void registry_close(struct registry *r, void (*closed)(void *data), void *data) {
    if (!r) {
        if (closed) {
            closed(data);
        }
        return;
    }
    r->closing = true;
    r->closed = closed;
    r->closed_data = data;
    registry_end_uploads(r);
    worker_destroy(r->reader);
    worker_destroy(r->writer);
    blob_store_close(&r->store);
    uv_close((uv_handle_t *)&r->timer, on_timer_closed);
}

/* ---- what the files share ---- */

const char *registry_app(struct call *c) {
    const char *app = call_param(c, "app");
    if (str_is_name(app)) {
        return app;
    }
    call_fail_with(c, ERR_BAD_VALUE, "\"%.80s\" is not the name of an app", app);
    return NULL;
}

void registry_reply_stored(struct call *c, const char *kind, const char *digest) {
    call_header_set(c, "Location", "/v2/%s/%s/%s", call_param(c, "app"), kind, digest);
    call_header_set(c, "Docker-Content-Digest", "%s", digest);
    call_status(c, 201);
    call_reply_empty(c);
}

enum call_result registry_root(struct call *c) {
    static const char body[] = "{}";
    call_header_set(c, "Docker-Distribution-API-Version", "registry/2.0");
    return call_reply_bytes(c, "application/json", body, sizeof body - 1);
}

/* ---- images ---- */

/* Reads manifest and config of an image; `manifest` may be filled already. */
static int read_image(const struct blob_store *store, const char *digest, struct buf *manifest,
    struct oci_image *out, struct err *err) {
    struct oci_manifest m;
    struct buf config;
    if (!manifest->len && blob_read(store, digest, manifest, err) < 0) {
        return -1;
    }
    if (oci_manifest_decode(buf_str(manifest), manifest->len, &m, err) < 0) {
        return -1;
    }
    buf_init(&config, MANIFEST_BYTES_MAX);
    int result = blob_read(store, m.config.digest, &config, err) < 0
                     ? err_wrap(err, "config")
                     : oci_image_decode(digest, buf_str(manifest), manifest->len, buf_str(&config),
                           config.len, out, err);
    buf_free(&config);
    json_free(&oci_manifest_json, &m);
    return result;
}

int registry_image(struct registry *r, const char *digest, struct oci_image *out, struct err *err) {
    struct buf manifest;
    buf_init(&manifest, MANIFEST_BYTES_MAX);
    int result = read_image(&r->store, digest, &manifest, out, err);
    buf_free(&manifest);
    return result;
}

enum call_result registry_manifest_get(struct call *c) {
    struct registry *r = registry_of_call(c);
    const char *app = registry_app(c), *reference = call_param(c, "reference");
    char digest[DIGEST_SIZE];
    struct oci_manifest m;
    struct err err;
    struct buf text;
    if (!app) {
        return CALL_DONE;
    }
    if (str_is_digest(reference)) {
        str_copy(digest, sizeof digest, reference);
    } else if (!blob_is_tag(reference)) {
        return call_fail_with(c, ERR_BAD_VALUE, "\"%.80s\" is neither digest nor tag", reference);
    } else if (blob_tag_get(&r->store, app, reference, digest, &err) < 0) {
        return call_fail(c, &err);
    }
    buf_init(&text, MANIFEST_BYTES_MAX);
    if (blob_read(&r->store, digest, &text, &err) < 0) {
        buf_free(&text);
        return call_fail(c, &err);
    }
    if (oci_manifest_decode(buf_str(&text), text.len, &m, NULL) < 0) {
        buf_free(&text);
        return call_fail_with(c, ERR_NOT_FOUND, "%s is not a manifest", digest);
    }
    blob_touch(&r->store, digest);
    const char *type = m.media_type[0] ? m.media_type : OCI_MEDIA_MANIFEST;
    call_header_set(c, "Docker-Content-Digest", "%s", digest);
    enum call_result result = call_reply_bytes(c, type, buf_str(&text), text.len);
    json_free(&oci_manifest_json, &m);
    buf_free(&text);
    return result;
}

/* ---- a manifest comes ---- */

struct manifest_job {
    struct worker_job job;
    struct registry *registry;
    struct call *call; /* NULL: the client went away; it is stored all the same */
    char app[NAME_SIZE];
    char reference[REFERENCE_SIZE];
    struct buf text;
    char digest[DIGEST_SIZE]; /* of the text */
    struct err err;
};

/* Everything that the manifest names is here, and as large as it says. */
static int check_present(
    const struct blob_store *store, const struct oci_descriptor *d, struct err *err) {
    int64_t size = blob_touch(store, d->digest);
    if (size < 0) {
        return err_set(err, ERR_BAD_IMAGE, "the blob %s was not uploaded", d->digest);
    }
    if (size != d->size) {
        return err_set(err, ERR_BAD_IMAGE, "the blob %s has %lld bytes, the manifest says %lld",
            d->digest, (long long)size, (long long)d->size);
    }
    return 0;
}

static int check_blobs(
    const struct blob_store *store, const struct oci_image *image, struct err *err) {
    const struct oci_descriptor *layers = image->manifest.layers.items;
    if (check_present(store, &image->manifest.config, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < image->manifest.layers.count; i++) {
        if (check_present(store, &layers[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int store_manifest(struct manifest_job *j, struct err *err) {
    const struct blob_store *store = &j->registry->store;
    struct oci_image image;
    if (digest_of(j->text.data, j->text.len, j->digest) < 0) {
        return err_no_memory(err);
    }
    bool by_digest = str_is_digest(j->reference);
    if (by_digest && strcmp(j->reference, j->digest) != 0) {
        return err_set(err, ERR_DIGEST, "the manifest is %s, not %s", j->digest, j->reference);
    }
    if (read_image(store, j->digest, &j->text, &image, err) < 0) {
        /* A config that is not here is the image's fault, not the address's. */
        if (err->code == ERR_NOT_FOUND) {
            err->code = ERR_BAD_IMAGE;
        }
        return -1;
    }
    int result = check_blobs(store, &image, err);
    oci_image_free(&image);
    if (result == 0) {
        result = blob_put(store, j->digest, &j->text, err);
    }
    return result < 0 || by_digest ? result
                                   : blob_tag_set(store, j->app, j->reference, j->digest, err);
}

static void on_manifest_run(struct worker_job *job) {
    struct manifest_job *j = (struct manifest_job *)job;
    store_manifest(j, &j->err);
}

static void on_manifest_done(struct worker_job *job) {
    struct manifest_job *j = (struct manifest_job *)job;
    struct call *c = j->call;
    if (c) {
        call_on_closed(c, NULL, NULL);
        if (j->err.code == ERR_OK && !job->cancelled) {
            registry_reply_stored(c, "manifests", j->digest);
        } else {
            call_fail(c, &j->err);
        }
    }
    buf_free(&j->text);
    free(j);
}

static void on_manifest_closed(struct call *c, void *data) {
    (void)c;
    ((struct manifest_job *)data)->call = NULL;
}

enum call_result registry_manifest_put(struct call *c) {
    struct registry *r = registry_of_call(c);
    const char *app = registry_app(c), *reference = call_param(c, "reference");
    struct http_text body = call_body_bytes(c);
    struct err err;
    if (!app) {
        return CALL_DONE;
    }
    if (!str_is_digest(reference) && !blob_is_tag(reference)) {
        return call_fail_with(c, ERR_BAD_VALUE, "\"%.80s\" is neither digest nor tag", reference);
    }
    struct manifest_job *j = calloc(1, sizeof *j);
    if (!j) {
        err_no_memory(&err);
        return call_fail(c, &err);
    }
    j->job = (struct worker_job){ .run = on_manifest_run, .done = on_manifest_done };
    j->registry = r;
    j->call = c;
    str_copy(j->app, sizeof j->app, app);
    str_copy(j->reference, sizeof j->reference, reference);
    buf_init(&j->text, MANIFEST_BYTES_MAX);
    if (buf_append(&j->text, body.at, body.len) < 0) {
        err_set(&err, ERR_TOO_LARGE, "a manifest is larger than %d bytes", MANIFEST_BYTES_MAX);
    } else if (worker_submit(r->writer, &j->job, &err) == 0) {
        call_on_closed(c, on_manifest_closed, j);
        return CALL_PENDING;
    }
    buf_free(&j->text);
    free(j);
    return call_fail(c, &err);
}

/* ---- collecting ---- */

struct collect_job {
    struct worker_job job;
    struct registry *registry;
    struct strings images; /* digests of manifests to keep */
    uint64_t freed;
    struct err err;
    void (*done)(void *data, uint64_t freed);
    void *data;
};

/* The keys are all that counts. */
static int keep_digest(struct map *keep, const char *digest) {
    return map_set(keep, digest, keep);
}

static int keep_image(struct collect_job *j, const char *digest, struct map *keep) {
    struct oci_manifest m;
    struct buf text;
    buf_init(&text, MANIFEST_BYTES_MAX);
    if (keep_digest(keep, digest) < 0) {
        return err_no_memory(&j->err);
    }
    /* Without its manifest nothing says what else to keep: then nothing is removed. */
    if (blob_read(&j->registry->store, digest, &text, &j->err) < 0 ||
        oci_manifest_decode(buf_str(&text), text.len, &m, &j->err) < 0) {
        buf_free(&text);
        return -1;
    }
    const struct oci_descriptor *layers = m.layers.items;
    int result = keep_digest(keep, m.config.digest);
    for (size_t i = 0; result == 0 && i < m.layers.count; i++) {
        result = keep_digest(keep, layers[i].digest);
    }
    json_free(&oci_manifest_json, &m);
    buf_free(&text);
    return result < 0 ? err_no_memory(&j->err) : 0;
}

static void on_collect_run(struct worker_job *job) {
    struct collect_job *j = (struct collect_job *)job;
    struct map keep;
    int result = 0;
    map_init(&keep);
    for (size_t i = 0; result == 0 && i < j->images.count; i++) {
        result = keep_image(j, j->images.items[i], &keep);
    }
    if (result == 0) {
        blob_collect(&j->registry->store, &keep, COLLECT_AGE, &j->freed, &j->err);
    }
    map_free(&keep);
}

static void on_collect_done(struct worker_job *job) {
    struct collect_job *j = (struct collect_job *)job;
    if (j->done) {
        j->done(j->data, j->freed);
    }
    strings_free(&j->images);
    free(j);
}

int registry_collect(struct registry *r, const char *const *keep, size_t keep_count,
    void (*done)(void *data, uint64_t freed), void *data, struct err *err) {
    struct collect_job *j = calloc(1, sizeof *j);
    if (!j) {
        return err_no_memory(err);
    }
    j->job = (struct worker_job){ .run = on_collect_run, .done = on_collect_done };
    j->registry = r;
    j->done = done;
    j->data = data;
    int result = 0;
    for (size_t i = 0; result == 0 && i < keep_count; i++) {
        result = strings_add(&j->images, keep[i]);
    }
    result = result < 0 ? err_no_memory(err) : worker_submit(r->writer, &j->job, err);
    if (result < 0) {
        strings_free(&j->images);
        free(j);
    }
    return result;
}

/* What a push uploads: blobs and a manifest. SPDX-License-Identifier: Apache-2.0 */
#include "bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <paas/digest.h>
#include <paas/file.h>
#include <paas/oci.h>
#include <paas/str.h>

#include "bundle_tree.h"
#include "tar_writer.h"

enum {
    BUNDLE_CHUNK = 65536,  /* bytes of one read */
    INDEX_NESTING_MAX = 3, /* indexes in indexes; more is a loop */
};

void bundle_free(struct bundle *a) {
    for (size_t i = 0; i < a->count; i++) {
        file_close(&a->blobs[i].fd);
    }
    free(a->blobs);
    buf_free(&a->manifest);
    *a = (struct bundle){ 0 };
}

/* Takes `fd` over, also when it fails. A blob that is there already stays the only one. */
static int add_blob(struct bundle *a, const char *digest, int64_t size, int fd, struct err *err) {
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->blobs[i].digest, digest) == 0) {
            close(fd);
            return 0;
        }
    }
    struct bundle_blob *blobs = reallocarray(a->blobs, a->count + 1, sizeof *blobs);
    if (!blobs) {
        close(fd);
        return err_no_memory(err);
    }
    a->blobs = blobs;
    blobs[a->count] = (struct bundle_blob){ .size = size, .fd = fd };
    return str_copy(blobs[a->count++].digest, DIGEST_SIZE, digest);
}

/* ---- from a directory ---- */

/* A file without a name. */
static int open_temporary(struct err *err) {
    const char *dir = getenv("TMPDIR");
    dir = dir && dir[0] ? dir : "/tmp";
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
        char path[512];
        snprintf(path, sizeof path, "%s/paas-push.XXXXXX", dir);
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0) {
            unlink(path);
        }
    }
    return fd < 0 ? err_sys(err, errno, "making a temporary file in %s", dir) : fd;
}

static int add_bytes(
    struct bundle *a, const struct buf *bytes, char digest[DIGEST_SIZE], struct err *err) {
    if (bytes->failed || digest_of(bytes->data, bytes->len, digest) < 0) {
        return err_no_memory(err);
    }
    int fd = open_temporary(err);
    if (fd < 0) {
        return -1;
    }
    if (file_write_all(fd, bytes->data, bytes->len, err) < 0) {
        close(fd);
        return -1;
    }
    return add_blob(a, digest, (int64_t)bytes->len, fd, err);
}

static int add_layer(struct bundle *a, const char *path, struct err *err) {
    struct bundle_count count = { 0 };
    char digest[DIGEST_SIZE];
    int64_t size;
    struct tar_writer *tar = NULL;
    int fd = open_temporary(err);
    if (fd < 0) {
        return -1;
    }
    int result = tar_writer_open(fd, LAYER_BYTES_MAX, &tar, err);
    if (result == 0) {
        result = bundle_tree(path, tar, &count, err) < 0 ||
                         tar_writer_finish(tar, digest, &size, err) < 0
                     ? -1
                     : 0;
    }
    tar_writer_close(tar);
    a->files = count.files;
    a->skipped = count.skipped;
    if (result < 0) {
        close(fd);
        return -1;
    }
    return add_blob(a, digest, size, fd, err);
}

/* How to run what bundle_tree() packs. A plain tar's digest is its diff id. */
static void write_config(const struct bundle_blob *layer, struct buf *config) {
    buf_printf(config,
        "{\"architecture\":\"%s\",\"os\":\"linux\",\"config\":{\"User\":\"%d:%d\","
        "\"WorkingDir\":\"/" BUNDLE_APP_DIR "\"},"
        "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\"]}}",
        oci_machine(), BUNDLE_OWNER, BUNDLE_OWNER, layer->digest);
}

static int write_manifest(struct bundle *a, const char *config_digest, size_t config_size,
    const struct bundle_blob *layer, struct err *err) {
    buf_printf(&a->manifest,
        "{\"schemaVersion\":2,\"mediaType\":\"" OCI_MEDIA_MANIFEST "\","
        "\"config\":{\"mediaType\":\"" OCI_MEDIA_CONFIG "\",\"digest\":\"%s\",\"size\":%zu},"
        "\"layers\":[{\"mediaType\":\"" OCI_MEDIA_LAYER "\",\"digest\":\"%s\",\"size\":%lld}]}",
        config_digest, config_size, layer->digest, (long long)layer->size);
    if (a->manifest.failed || digest_of(a->manifest.data, a->manifest.len, a->digest) < 0) {
        return err_no_memory(err);
    }
    return str_copy(a->media_type, sizeof a->media_type, OCI_MEDIA_MANIFEST);
}

static int describe(struct bundle *a, struct err *err) {
    struct buf config;
    char digest[DIGEST_SIZE];
    struct bundle_blob layer = a->blobs[0];
    buf_init(&config, MANIFEST_BYTES_MAX);
    write_config(&layer, &config);
    int result = add_bytes(a, &config, digest, err);
    if (result == 0) {
        result = write_manifest(a, digest, config.len, &layer, err);
    }
    buf_free(&config);
    return result;
}

static void bundle_init(struct bundle *a) {
    *a = (struct bundle){ 0 };
    buf_init(&a->manifest, MANIFEST_BYTES_MAX);
}

int bundle_directory(const char *path, struct bundle *out, struct err *err) {
    bundle_init(out);
    if (add_layer(out, path, err) < 0 || describe(out, err) < 0) {
        bundle_free(out);
        return -1;
    }
    return 0;
}

/* ---- from an image layout ---- */

static int open_blob(int layout, const char *digest, struct err *err) {
    char path[sizeof "blobs/sha256/" + DIGEST_HEX_SIZE];
    snprintf(path, sizeof path, "blobs/sha256/%s", digest_hex(digest));
    int fd = file_open_beneath(layout, path, O_RDONLY | O_NONBLOCK, 0, err);
    if (fd < 0) {
        return err_set(err, ERR_BAD_IMAGE, "the layout has no blob %s", digest);
    }
    return fd;
}

/* Reads all of `fd` to its digest, and to `copy` if that is not NULL. */
static int digest_file(
    int fd, int64_t size, char digest[DIGEST_SIZE], struct buf *copy, struct err *err) {
    char chunk[BUNDLE_CHUNK];
    struct digest *sum = digest_create();
    int64_t at = 0;
    ssize_t n = 0;
    if (!sum) {
        return err_no_memory(err);
    }
    while (at <= size && (n = pread(fd, chunk, sizeof chunk, at)) > 0) {
        digest_update(sum, chunk, (size_t)n);
        at += n;
        if (copy) {
            buf_append(copy, chunk, (size_t)n);
        }
    }
    int sys = errno;
    digest_finish(sum, digest);
    digest_destroy(sum);
    if (n < 0) {
        return err_sys(err, sys, "reading a blob");
    }
    if (at != size) {
        return err_set(err, ERR_BAD_IMAGE, "%s than its %lld bytes",
            at < size ? "shorter" : "longer", (long long)size);
    }
    return copy && copy->failed ? err_no_memory(err) : 0;
}

/* Opens what `d` describes, verified. Its bytes are appended to `copy` if that is not NULL. */
static int open_verified(
    int layout, const struct oci_descriptor *d, struct buf *copy, struct err *err) {
    char digest[DIGEST_SIZE];
    int fd = open_blob(layout, d->digest, err);
    if (fd < 0) {
        return -1;
    }
    int result = digest_file(fd, d->size, digest, copy, err);
    if (result < 0) {
        err_wrap(err, "blob %s", d->digest);
    } else if (strcmp(digest, d->digest) != 0) {
        result = err_set(err, ERR_DIGEST, "blob %s: its content is %s", d->digest, digest);
    }
    if (result < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int add_described(
    struct bundle *a, int layout, const struct oci_descriptor *d, struct err *err) {
    int fd = open_verified(layout, d, NULL, err);
    return fd < 0 ? -1 : add_blob(a, d->digest, d->size, fd, err);
}

/* The config is read to see that it fits the manifest, before anything is sent. */
static int check_config(
    const struct bundle *a, const struct oci_descriptor *config, int layout, struct err *err) {
    struct buf text;
    struct oci_image image;
    buf_init(&text, MANIFEST_BYTES_MAX);
    int fd = open_verified(layout, config, &text, err);
    int result = fd < 0 ? -1
                        : oci_image_decode(a->digest, buf_str(&a->manifest), a->manifest.len,
                              buf_str(&text), text.len, &image, err);
    if (result == 0) {
        oci_image_free(&image);
    }
    file_close(&fd);
    buf_free(&text);
    return result;
}

static int add_image(struct bundle *a, int layout, const struct oci_manifest *m, struct err *err) {
    const struct oci_descriptor *layers = m->layers.items;
    if (check_config(a, &m->config, layout, err) < 0 ||
        add_described(a, layout, &m->config, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < m->layers.count; i++) {
        if (add_described(a, layout, &layers[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Reads the document that `d` describes. */
static int read_document(
    int layout, const struct oci_descriptor *d, struct buf *text, struct err *err) {
    buf_reset(text);
    if (d->size > MANIFEST_BYTES_MAX) {
        return err_set(err, ERR_BAD_IMAGE, "blob %s: larger than a manifest may be", d->digest);
    }
    CLEANUP_FD int fd = open_verified(layout, d, text, err);
    return fd < 0 ? -1 : 0;
}

static int choose(
    const char *text, size_t len, const char *tag, struct oci_descriptor *out, struct err *err) {
    struct oci_index index;
    if (oci_index_decode(text, len, &index, err) < 0) {
        return -1;
    }
    const struct oci_descriptor *found = oci_index_choose(&index, tag, err);
    if (found) {
        *out = *found;
        out->annotations = (struct pairs){ 0 };
    }
    json_free(&oci_index_json, &index);
    return found ? 0 : -1;
}

/* Follows index.json to the manifest for this machine, which is left in a->manifest. */
static int find_manifest(
    struct bundle *a, int layout, const char *tag, struct oci_descriptor *found, struct err *err) {
    struct err why;
    if (file_read_whole(layout, "index.json", &a->manifest, &why) < 0) {
        return err_set(err, ERR_NOT_FOUND, "no OCI image layout: %s", why.text);
    }
    for (int depth = 0; depth < INDEX_NESTING_MAX; depth++) {
        /* The tag names an entry of the outermost index; those inside differ by platform. */
        if (choose(buf_str(&a->manifest), a->manifest.len, depth ? "" : tag, found, err) < 0 ||
            read_document(layout, found, &a->manifest, err) < 0) {
            return -1;
        }
        if (oci_kind_of(found->media_type) == OCI_MANIFEST) {
            return 0;
        }
    }
    return err_set(err, ERR_BAD_IMAGE, "indexes in indexes without an end");
}

static int read_layout(struct bundle *a, int layout, const char *tag, struct err *err) {
    struct oci_descriptor found;
    struct oci_manifest manifest;
    if (find_manifest(a, layout, tag, &found, err) < 0) {
        return -1;
    }
    str_copy(a->digest, sizeof a->digest, found.digest);
    str_copy(a->media_type, sizeof a->media_type, found.media_type);
    if (oci_manifest_decode(buf_str(&a->manifest), a->manifest.len, &manifest, err) < 0) {
        return -1;
    }
    int result = add_image(a, layout, &manifest, err);
    json_free(&oci_manifest_json, &manifest);
    return result;
}

/* "DIR:TAG" in its parts; a directory whose name has a ':' needs none. */
static int open_layout(const char *reference, const char **tag, struct err *err) {
    char path[4096];
    *tag = "";
    int fd = open(reference, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *colon = strrchr(reference, ':');
    if (fd < 0 && colon && (size_t)(colon - reference) < sizeof path) {
        memcpy(path, reference, (size_t)(colon - reference));
        path[colon - reference] = '\0';
        *tag = colon + 1;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd < 0) {
        int sys = errno;
        err_sys(err, sys, "opening the image layout %s", reference);
        if (err && (sys == ENOENT || sys == ENOTDIR)) {
            err->code = ERR_NOT_FOUND;
        }
    }
    return fd;
}

int bundle_oci_layout(const char *reference, struct bundle *out, struct err *err) {
    const char *tag;
    bundle_init(out);
    CLEANUP_FD int layout = open_layout(reference, &tag, err);
    if (layout < 0) {
        return -1;
    }
    if (read_layout(out, layout, tag, err) < 0) {
        bundle_free(out);
        return err_wrap(err, "%s", reference);
    }
    return 0;
}

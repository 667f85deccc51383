/* Content-addressed files: a blob's name is its digest, and it has it only when it is whole.
 * SPDX-License-Identifier: Apache-2.0
 *
 *   DIR/blobs/sha256/HEX   whole blobs, never changed
 *   DIR/uploads/ID         blobs that are being written; what is left at a start is removed
 *   DIR/tags/APP/TAG       the digest of a manifest, by name
 *
 * All of it blocks on the disk. One thread may write while others read.
 */
#ifndef API_BLOB_STORE_H
#define API_BLOB_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <paas/buf.h>
#include <paas/digest.h>
#include <paas/err.h>
#include <paas/id.h>
#include <paas/map.h>

struct blob_store {
    int blobs, uploads, tags; /* directories */
};

int blob_store_open(struct blob_store *s, const char *directory, struct err *err);
void blob_store_close(struct blob_store *s);

/* Opens a blob for reading; *size are its bytes. ERR_NOT_FOUND when it is not here. */
int blob_open(const struct blob_store *s, const char *digest, int64_t *size, struct err *err);
/* Its size, and when it was last asked for becomes now; -1 when it is not here. */
int64_t blob_touch(const struct blob_store *s, const char *digest);
/* Appends a small blob to `out`. */
int blob_read(const struct blob_store *s, const char *digest, struct buf *out, struct err *err);
/* Stores bytes that `digest` names. */
int blob_put(
    const struct blob_store *s, const char *digest, const struct buf *bytes, struct err *err);

/* A blob that comes in pieces. */
struct blob_writer {
    int fd; /* -1: not begun */
    char id[ID_SIZE];
    struct digest *sum;
};
void blob_writer_init(struct blob_writer *w, const char *id);
int blob_writer_append(const struct blob_store *s, struct blob_writer *w, const void *bytes,
    size_t len, struct err *err);
/* Gives it its name, durably, if its content is `digest` (ERR_DIGEST otherwise). The writer is
 * empty afterwards, whatever comes of it. */
int blob_writer_commit(
    const struct blob_store *s, struct blob_writer *w, const char *digest, struct err *err);
void blob_writer_abort(const struct blob_store *s, struct blob_writer *w);

/* A tag's digest; ERR_NOT_FOUND. */
int blob_tag_get(const struct blob_store *s, const char *app, const char *tag,
    char digest[DIGEST_SIZE], struct err *err);
int blob_tag_set(const struct blob_store *s, const char *app, const char *tag, const char *digest,
    struct err *err);
/* [A-Za-z0-9_][A-Za-z0-9._-]{0,127} */
bool blob_is_tag(const char *text);

/* Removes blobs whose digests are not keys of `keep` and that nobody asked for in the last
 * `age_seconds`. Adds what became free to *freed. */
int blob_collect(const struct blob_store *s, const struct map *keep, int64_t age_seconds,
    uint64_t *freed, struct err *err);

#endif

/* What a push uploads: a directory, or an image layout, as blobs and a manifest.
 * SPDX-License-Identifier: Apache-2.0
 *
 * All of it blocks on the disk. Blobs are files that stay where they are, or nameless temporary
 * ones: they are read from their descriptors, not from memory.
 */
#ifndef CLI_BUNDLE_H
#define CLI_BUNDLE_H

#include <stddef.h>
#include <stdint.h>

#include <paas/buf.h>
#include <paas/err.h>
#include <paas/limits.h>

struct bundle_blob {
    char digest[DIGEST_SIZE];
    int64_t size; /* bytes */
    int fd;       /* at its beginning; read with pread(2) */
};

struct bundle {
    struct bundle_blob *blobs; /* config and layers, each once; upload them before the manifest */
    size_t count;
    struct buf manifest;      /* its bytes as they are */
    char digest[DIGEST_SIZE]; /* of the manifest: the image's name */
    char media_type[128];     /* of the manifest */
    size_t files;             /* of a directory: how many entries went in */
    size_t skipped;           /* and how many sockets, pipes and devices did not */
};

enum {
    BUNDLE_OWNER = 1000,         /* uid and gid of the app's files, and of the app */
    BUNDLE_ENTRIES_MAX = 200000, /* files of a directory; more is a wrong directory */
    BUNDLE_DEPTH_MAX = 100,      /* directories in each other */
};
#define BUNDLE_APP_DIR "app" /* where an app's files are in its image, and where it starts */

/* Packs the tree under `path` as one layer app/…: the same bytes for the same files, modes (755 or
 * 644) and links, whenever and wherever. Leaves out .git and what .dockerignore says. ERR_NOT_FOUND
 * when there is no such directory, ERR_TOO_LARGE with the bound and where it was met. */
int bundle_directory(const char *path, struct bundle *out, struct err *err);
/* Reads the OCI image layout "DIR" or "DIR:TAG" and verifies size and digest of every blob.
 * ERR_NOT_FOUND when it is none; ERR_BAD_IMAGE or ERR_DIGEST with what is wrong. */
int bundle_oci_layout(const char *reference, struct bundle *out, struct err *err);
/* Closes and frees everything; *a is empty afterwards. */
void bundle_free(struct bundle *a);

#endif

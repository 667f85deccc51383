/* Brings an image's blobs and manifest to the platform's registry. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef CLI_UPLOAD_H
#define CLI_UPLOAD_H

#include <stddef.h>
#include <stdint.h>

#include <paas/err.h>

#include "bundle.h"
#include "client.h"

struct upload {
    size_t blobs;  /* of the image */
    size_t sent;   /* of those, that were not there */
    int64_t bytes; /* sent */
};

/* Sends the blobs of `bundle` that the registry lacks, then its manifest, under the name `app`.
 * `progress` (may be NULL) is called while bytes go. */
int upload_image(struct client *c, const char *app, const struct bundle *bundle,
    void (*progress)(void *data, int64_t sent, int64_t total), void *data, struct upload *out,
    struct err *err);

#endif

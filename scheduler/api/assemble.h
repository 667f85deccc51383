/* A release's configuration from an image, a request and an app. SPDX-License-Identifier:
 * Apache-2.0
 *
 * Pure. Environment: the image's, over it paas.json's, over that what commands set. A process
 * without a command runs the image's entrypoint and command.
 */
#ifndef API_ASSEMBLE_H
#define API_ASSEMBLE_H

#include <paas/intent.h>

struct assembly {
    const char *app;
    int64_t release;
    const struct release_request *request; /* NULL: nothing changes but environment and number */
    const struct oci_image *image;         /* NULL: as in `current` */
    const struct config *current;          /* NULL: none yet */
    const struct pairs *app_env;
};

/* NULL with *err: ERR_BAD_MANIFEST, ERR_BAD_VALUE, ERR_BAD_REQUEST, ERR_TOO_LARGE. */
struct config *assemble(const struct assembly *a, struct err *err);

#endif

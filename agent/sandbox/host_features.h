/* What this kernel can do, asked once. SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_HOST_FEATURES_H
#define SANDBOX_HOST_FEATURES_H

#include <paas/err.h>

#include <stdbool.h>
#include <stdint.h>

struct features {
    bool overlay_fds;    /* overlayfs takes layers by descriptor, also of detached mounts (6.15);
                            else they are attached and named by path */
    uint32_t mask_files; /* bit i: plan_masks[i] is a file here that everyone may read */
    uint32_t mask_dirs;  /* the same for directories */
};

/* Asks. `proc` is the host's /proc. */
int features_probe(int proc, struct features *out, struct err *err);

#endif

/* The root of an instance: read-only layers under a bounded writable file system.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the instance must find in its root (mount points, resolv.conf, hosts, hostname) is written
 * into the upper directory before the layers are put together: there is nothing of the image yet
 * that could lead a path astray, and an image's own files and links of those names are covered.
 */
#ifndef SANDBOX_ROOTFS_H
#define SANDBOX_ROOTFS_H

#include <paas/err.h>
#include <paas/sandbox.h>

struct rootfs {
    const struct sandbox_spec *spec;
    uint32_t ids;           /* host's id of the instance's root */
    struct in_addr address; /* for /etc/hosts; 0: none */
    bool overlay_fds;       /* features.overlay_fds */

    int writable;                       /* mount: upper, work, tmp, shm */
    int root;                           /* mount, attached at NS_ROOT */
    int n_layers;                       /* opened so far */
    int layers[SANDBOX_LAYERS_MAX + 1]; /* mounts, uppermost first */
};

/* Sets every descriptor to -1. */
void rootfs_init(struct rootfs *r);

/* Fills the writable file system and attaches it at NS_WRITABLE; makes it, in memory, where
 * `writable` is none yet. */
int rootfs_make_writable(struct rootfs *r, struct err *err);
/* Opens the next lower layer: `index` in the spec, mapped through `userns`, or, when it is
 * spec->n_layers, the host stack's skeleton. */
int rootfs_open_layer(struct rootfs *r, uint32_t index, int userns, struct err *err);
/* Puts all of it together and attaches it at NS_ROOT. */
int rootfs_mount(struct rootfs *r, struct err *err);

#endif

/* /dev of every instance: one small read-only tree, made once and cloned.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_DEVICE_H
#define SANDBOX_DEVICE_H

#include <paas/err.h>

/* The devices that an instance has. */
enum { DEVICE_NODES = 6 };
struct device_node {
    const char *name; /* in /dev */
    unsigned major, minor;
};
extern const struct device_node device_nodes[DEVICE_NODES];

/* Has the kernel refuse every other device, and making any, to the processes below `cgroup`, a
 * directory of the v2 tree: a second lock behind `nodev` and the missing capability. It stays with
 * the cgroup and replaces an older one of ours. Returns 0, 1 when this kernel can't, or -1 with
 * *err. */
int device_guard(int cgroup, struct err *err);

/* Makes the tree as a detached, read-only mount: six device nodes, the usual links, and the
 * directories `pts` and `shm` to mount on. Returns the mount. */
int device_tree(struct err *err);

#endif

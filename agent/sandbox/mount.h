/* Mounts by descriptor: made detached, attached where no symbolic link can lead astray.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_MOUNT_H
#define SANDBOX_MOUNT_H

#include <paas/err.h>

/* Makes a file system of type `fs`, configured by `params`: keys and values in turn, ended by NULL;
 * params may be NULL. `attr` are MOUNT_ATTR_ flags. Returns the detached mount. */
int mount_new(const char *fs, const char *const params[], unsigned attr, struct err *err);

/* Closes `context`, an fsopen(2) descriptor, and fills *err with what the kernel said about `fs`
 * there and with `sys`. Returns -1. */
int mount_failed(int context, const char *fs, int sys, struct err *err);

enum mount_clone_flags {
    MOUNT_WITH_CHILDREN = 1 << 0, /* mounts below it as well */
};

/* Copies the mount at `path` below `dir` ("" for `dir` itself) as a detached, private one with the
 * attributes `attr`. Where `userns` is not -1, ids are mapped through that user namespace. The
 * original must lie in the caller's mount namespace. Returns the new mount. */
struct mount_clone {
    int dir; /* or AT_FDCWD */
    const char *path;
    unsigned flags;
    unsigned attr;
    int userns;
};
int mount_clone(const struct mount_clone *from, struct err *err);

/* Attaches the detached mount `fd` on `path` below `dir`, which must exist there; no component of
 * it may be a symbolic link. */
int mount_attach(int fd, int dir, const char *path, struct err *err);

#endif

/* /dev of every instance. SPDX-License-Identifier: Apache-2.0 */
#include "device.h"
#include "mount.h"

#include <paas/file.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

const struct device_node device_nodes[DEVICE_NODES] = {
    { "null", 1, 3 },
    { "zero", 1, 5 },
    { "full", 1, 7 },
    { "random", 1, 8 },
    { "urandom", 1, 9 },
    { "tty", 5, 0 },
};

static const struct {
    const char *name, *target;
} links[] = {
    { "ptmx", "pts/ptmx" },
    { "fd", "/proc/self/fd" },
    { "stdin", "/proc/self/fd/0" },
    { "stdout", "/proc/self/fd/1" },
    { "stderr", "/proc/self/fd/2" },
};

static const char *const directories[] = { "pts", "shm" };

static int fill(int dir, struct err *err) {
    for (size_t i = 0; i < DEVICE_NODES; i++) {
        dev_t device = makedev(device_nodes[i].major, device_nodes[i].minor);
        if (mknodat(dir, device_nodes[i].name, S_IFCHR | 0666, device) < 0 ||
            fchmodat(dir, device_nodes[i].name, 0666, 0) < 0) {
            return err_sys(err, errno, "make /dev/%s", device_nodes[i].name);
        }
    }
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        if (symlinkat(links[i].target, dir, links[i].name) < 0) {
            return err_sys(err, errno, "make /dev/%s", links[i].name);
        }
    }
    for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++) {
        if (mkdirat(dir, directories[i], 0755) < 0) {
            return err_sys(err, errno, "make /dev/%s", directories[i]);
        }
    }
    return 0;
}

int device_tree(struct err *err) {
    const char *const params[] = { "mode", "0755", "size", "64k", "nr_inodes", "32", NULL, NULL };
    CLEANUP_FD int dev = mount_new("tmpfs", params, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, err);
    if (dev < 0 || fill(dev, err) < 0) {
        return -1;
    }
    struct mount_attr read_only = { .attr_set = MOUNT_ATTR_RDONLY };
    if (mount_setattr(dev, "", AT_EMPTY_PATH, &read_only, sizeof read_only) < 0) {
        return err_sys(err, errno, "make /dev read-only");
    }
    int made = dev;
    dev = -1;
    return made;
}

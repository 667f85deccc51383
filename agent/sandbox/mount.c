/* Mounts by descriptor. SPDX-License-Identifier: Apache-2.0 */
#include "mount.h"

#include <paas/file.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

enum { MESSAGE_MAX = 256 /* bytes of one line of the kernel's log in an fsopen descriptor */ };

int mount_failed(int context, const char *fs, int sys, struct err *err) {
    char line[MESSAGE_MAX];
    ssize_t n = read(context, line, sizeof line - 1);
    close(context);
    if (n <= 0) {
        return err_sys(err, sys, "mount %s", fs);
    }
    line[n] = '\0';
    line[strcspn(line, "\n")] = '\0';
    return err_sys(err, sys, "mount %s: %s", fs, line);
}

int mount_new(const char *fs, const char *const params[], unsigned attr, struct err *err) {
    int context = fsopen(fs, FSOPEN_CLOEXEC);
    if (context < 0) {
        return err_sys(err, errno, "mount %s", fs);
    }
    for (; params && params[0]; params += 2) {
        if (fsconfig(context, FSCONFIG_SET_STRING, params[0], params[1], 0) < 0) {
            return mount_failed(context, fs, errno, err);
        }
    }
    if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
        return mount_failed(context, fs, errno, err);
    }
    int mount = fsmount(context, FSMOUNT_CLOEXEC, attr);
    if (mount < 0) {
        return mount_failed(context, fs, errno, err);
    }
    close(context);
    return mount;
}

int mount_clone(const struct mount_clone *from, struct err *err) {
    const char *name = from->path[0] ? from->path : ".";
    unsigned recursive = from->flags & MOUNT_WITH_CHILDREN ? AT_RECURSIVE : 0;
    CLEANUP_FD int fd = open_tree(from->dir, from->path,
        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | recursive);
    if (fd < 0) {
        return err_sys(err, errno, "bind %s", name);
    }
    struct mount_attr attr = { .attr_set = from->attr, .propagation = MS_PRIVATE };
    if (from->userns >= 0) {
        attr.attr_set |= MOUNT_ATTR_IDMAP;
        attr.userns_fd = (unsigned)from->userns;
    }
    if (mount_setattr(fd, "", AT_EMPTY_PATH | recursive, &attr, sizeof attr) < 0) {
        return err_sys(err, errno, "set attributes of %s", name);
    }
    int made = fd;
    fd = -1;
    return made;
}

int mount_attach(int fd, int dir, const char *path, struct err *err) {
    CLEANUP_FD int target = file_open_beneath(dir, path, O_PATH | O_CLOEXEC, 0, err);
    if (target < 0) {
        return err_wrap(err, "mount point");
    }
    if (move_mount(fd, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0) {
        return err_sys(err, errno, "attach at %s", path);
    }
    return 0;
}

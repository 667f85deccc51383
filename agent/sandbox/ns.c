/* Namespaces and processes. SPDX-License-Identifier: Apache-2.0 */
#include "ns.h"
#include "device.h"
#include "mount.h"
#include "skeleton.h"

#include <paas/file.h>
#include <paas/sandbox.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t ns_clone(const struct ns_clone *how, int *pidfd) {
    struct clone_args args = {
        .flags = how->flags | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
        .pidfd = (uint64_t)(uintptr_t)pidfd,
        .exit_signal = SIGCHLD,
    };
    if (how->cgroup >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)how->cgroup;
    }
    lean_begin(how->lean);
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    if (pid != 0) {
        int sys = errno;
        lean_end(how->lean);
        errno = sys;
    }
    if (pid < 0) {
        *pidfd = -1; /* the kernel may have written one that it took back */
    }
    return pid;
}

void ns_kill_and_reap(int pidfd) {
    syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    siginfo_t info;
    while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0 && errno == EINTR) {
    }
}

int ns_enter_user(int userns, struct err *err) {
    if (setns(userns, CLONE_NEWUSER) < 0) {
        return err_sys(err, errno, "enter the user namespace");
    }
    /* Groups first: without CAP_SETGID they would silently stay. */
    if (syscall(SYS_setgroups, 0, NULL) < 0 ||
        syscall(SYS_setresgid, SANDBOX_INIT_ID, SANDBOX_INIT_ID, SANDBOX_INIT_ID) < 0) {
        return err_sys(err, errno, "drop the groups");
    }
    /* Keeps what is permitted across the change of user; cleared by the next execve. */
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 ||
        syscall(SYS_setresuid, SANDBOX_INIT_ID, SANDBOX_INIT_ID, SANDBOX_INIT_ID) < 0) {
        return err_sys(err, errno, "change the user");
    }
    return 0;
}

int ns_pivot(int root, struct err *err) {
    if (fchdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0) {
        return err_sys(err, errno, "pivot_root");
    }
    /* The old root now lies over the new one at "."; taken off, only the new one is left. */
    if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0) {
        return err_sys(err, errno, "detach the old root");
    }
    return 0;
}

/* What of the host the small root shows. */
static const struct small_mount {
    const char *from; /* NULL: the store */
    const char *to;
    unsigned flags; /* enum mount_clone_flags */
    unsigned attr;
    bool optional;
} small_mounts[] = {
    { "/proc", "proc", 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, false },
    { NULL, "store", 0, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, false },
    { "/usr", "usr", MOUNT_WITH_CHILDREN, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
        false },
    { "/etc/ssl", "ssl", 0,
        MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, true },
};

enum { SMALL_MOUNTS = sizeof small_mounts / sizeof small_mounts[0] };

static const char *const small_dirs[] = { "proc", "store", "usr", "ssl", "dev", "skeleton", "empty",
    "writable", "root", "layers" };

static int make_small_dirs(int root, struct err *err) {
    for (size_t i = 0; i < sizeof small_dirs / sizeof small_dirs[0]; i++) {
        if (mkdirat(root, small_dirs[i], 0755) < 0) {
            return err_sys(err, errno, "mkdir %s", small_dirs[i]);
        }
    }
    for (int i = 0; i <= SANDBOX_LAYERS_MAX; i++) {
        char path[32];
        snprintf(path, sizeof path, "layers/%d", i);
        if (mkdirat(root, path, 0755) < 0) {
            return err_sys(err, errno, "mkdir %s", path);
        }
    }
    return 0;
}

/* Copies have to be taken before the namespace changes: a mount can only be copied from the one
 * that it is in. */
static int clone_small_mounts(int store, int fds[SMALL_MOUNTS], struct err *err) {
    for (size_t i = 0; i < SMALL_MOUNTS; i++) {
        const struct small_mount *m = &small_mounts[i];
        fds[i] = mount_clone(&(struct mount_clone){ .dir = m->from ? AT_FDCWD : store,
                                 .path = m->from ? m->from : "",
                                 .flags = m->flags,
                                 .attr = m->attr,
                                 .userns = -1 },
            err);
        if (fds[i] < 0 && !(m->optional && err->sys == ENOENT)) {
            return -1;
        }
    }
    return 0;
}

static int attach_small_mounts(int root, const int fds[SMALL_MOUNTS], struct err *err) {
    for (size_t i = 0; i < SMALL_MOUNTS; i++) {
        if (fds[i] >= 0 && mount_attach(fds[i], root, small_mounts[i].to, err) < 0) {
            return -1;
        }
    }
    CLEANUP_FD int dev = device_tree(err);
    if (dev < 0) {
        return -1;
    }
    return mount_attach(dev, root, "dev", err);
}

static int build_small_root(int root, const int fds[SMALL_MOUNTS], struct err *err) {
    if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        return err_sys(err, errno, "unshare the mount namespace");
    }
    /* Any directory does as its first place: pivot_root takes it away from there. */
    if (move_mount(root, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH) < 0) {
        return err_sys(err, errno, "attach the small root");
    }
    if (make_small_dirs(root, err) < 0 || skeleton_make(root, "skeleton", err) < 0 ||
        attach_small_mounts(root, fds, err) < 0 || ns_pivot(root, err) < 0) {
        return -1;
    }
    struct mount_attr read_only = { .attr_set = MOUNT_ATTR_RDONLY };
    if (mount_setattr(AT_FDCWD, "/", 0, &read_only, sizeof read_only) < 0) {
        return err_sys(err, errno, "make the small root read-only");
    }
    return 0;
}

int ns_enter_small_root(int store, struct err *err) {
    const char *const params[] = { "mode", "0755", "size", "16m", NULL, NULL };
    CLEANUP_FD int root = mount_new("tmpfs", params, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, err);
    int fds[SMALL_MOUNTS] = { -1, -1, -1, -1 };
    _Static_assert(SMALL_MOUNTS == 4, "all of fds start as -1");
    int result = -1;
    if (root >= 0 && clone_small_mounts(store, fds, err) == 0) {
        result = build_small_root(root, fds, err);
    }
    for (size_t i = 0; i < SMALL_MOUNTS; i++) {
        file_close(&fds[i]);
    }
    return result < 0 ? err_wrap(err, "small root") : 0;
}

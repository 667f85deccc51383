/* The trees of a platform: found, made, removed. SPDX-License-Identifier: Apache-2.0 */
#include "cgroup.h"

#include <paas/file.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
    PROC_TEXT_MAX = 256 * 1024, /* mountinfo of a host with a thousand mounts */
    REMOVE_DAEMONS_MAX = 64,    /* leaves of NAME/system */
};

static const char *const v1_controllers[CGROUP_V1] = { "memory", "cpu", "pids" };

static int read_proc(const char *path, struct buf *out, struct err *err) {
    buf_init(out, PROC_TEXT_MAX);
    return file_read_whole(AT_FDCWD, path, out, err);
}

/* Opens D in one hierarchy; -1 without an error in *err->code when the host has no such one. */
static int open_delegated(const char *name, const char *controller, struct err *err) {
    struct buf mounts, membership;
    char path[CGROUP_PATH_MAX];
    int fd = -1;
    bool read = read_proc("/proc/self/mountinfo", &mounts, err) == 0;
    bool both = read_proc("/proc/self/cgroup", &membership, err) == 0 && read;
    if (both && cgroup_find(buf_str(&mounts), buf_str(&membership), controller, name, path) < 0) {
        err_set(err, ERR_NOT_FOUND, "no cgroup hierarchy %s is mounted",
            controller ? controller : "v2");
    } else if (both) {
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) {
            err_sys(err, errno, "open cgroup %s", path);
        }
    }
    buf_free(&mounts);
    buf_free(&membership);
    return fd;
}

/* Opens D/NAME/instances. */
static int open_instances(int delegated, const char *name, int flags, struct err *err) {
    int (*enter)(int, const char *, struct err *) =
        flags & CGROUP_MAKE ? cgroup_make_dir : cgroup_open_dir;
    CLEANUP_FD int own = enter(delegated, name, err);
    return own < 0 ? -1 : enter(own, "instances", err);
}

/* Whether the v2 tree has the controllers at `dir`. */
static bool has_controllers(int dir) {
    char text[CGROUP_TEXT_MAX];
    return cgroup_read(dir, "cgroup.controllers", text, NULL) >= 0 && strstr(text, "memory") &&
           strstr(text, "pids");
}

/* Passes the controllers on from D to D/NAME and D/NAME/instances. */
static int pass_controllers(int delegated, const char *name, int instances, struct err *err) {
    CLEANUP_FD int own = cgroup_open_dir(delegated, name, err);
    if (own < 0 ||
        cgroup_write(delegated, "cgroup.subtree_control", CGROUP_V2_CONTROLLERS, err) < 0) {
        return own < 0 || err->sys != EBUSY
                   ? -1
                   : err_hint(err, "the delegated cgroup holds processes itself; move them into "
                                   "a cgroup below it first");
    }
    if (cgroup_write(own, "cgroup.subtree_control", CGROUP_V2_CONTROLLERS, err) < 0) {
        return -1;
    }
    return cgroup_write(instances, "cgroup.subtree_control", CGROUP_V2_CONTROLLERS, err);
}

static int open_v1(struct sandbox_cgroups *c, const char *name, int flags, struct err *err) {
    c->backend = &cgroup_v1;
    for (int i = 0; i < CGROUP_V1; i++) {
        CLEANUP_FD int delegated = open_delegated(name, v1_controllers[i], err);
        if (delegated < 0) {
            return -1;
        }
        c->v1[i] = open_instances(delegated, name, flags, err);
        if (c->v1[i] < 0) {
            return -1;
        }
        c->tasks[i] = flags & CGROUP_MAKE ? openat(c->v1[i], "tasks", O_WRONLY | O_CLOEXEC) : -1;
        if (flags & CGROUP_MAKE && c->tasks[i] < 0) {
            return err_sys(err, errno, "open tasks");
        }
    }
    return 0;
}

static int open_all(struct sandbox_cgroups *c, const char *name, int flags, struct err *err) {
    CLEANUP_FD int delegated = open_delegated(name, NULL, err);
    if (delegated < 0) {
        return -1;
    }
    c->instances = open_instances(delegated, name, flags, err);
    if (c->instances < 0) {
        return -1;
    }
    if (!has_controllers(delegated)) {
        return open_v1(c, name, flags, err);
    }
    c->backend = &cgroup_v2;
    return flags & CGROUP_MAKE ? pass_controllers(delegated, name, c->instances, err) : 0;
}

int cgroup_open(struct sandbox_cgroups *c, const char *name, int flags, struct err *err) {
    *c = (struct sandbox_cgroups){
        .proc = -1, .instances = -1, .v1 = { -1, -1, -1 }, .tasks = { -1, -1, -1 }
    };
    struct err own;
    if (!err) {
        err = &own;
    }
    if (open_all(c, name, flags, err) < 0) {
        cgroup_close(c);
        return err_wrap(err, "cgroups");
    }
    return 0;
}

void cgroup_close(struct sandbox_cgroups *c) {
    file_close(&c->instances);
    for (int i = 0; i < CGROUP_V1; i++) {
        file_close(&c->v1[i]);
        file_close(&c->tasks[i]);
    }
}

/* ---- leaving ---- */

/* Removes the empty leaves of NAME/system. Leaves with a daemon in them are busy and stay. */
static void clear_daemons(int own) {
    int fd = openat(own, "system", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        file_close(&fd);
        return;
    }
    struct dirent *entry;
    for (int n = 0; n < REMOVE_DAEMONS_MAX && (entry = readdir(dir)); n++) {
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
            unlinkat(fd, entry->d_name, AT_REMOVEDIR);
        }
    }
    closedir(dir);
    unlinkat(own, "system", AT_REMOVEDIR);
}

static int clear_tree(int instances, const char *name, struct err *err) {
    CLEANUP_FD int own = openat(instances, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_FD int delegated = own < 0 ? -1 : openat(own, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (delegated < 0) {
        return err_sys(err, errno, "open the delegated cgroup");
    }
    if (cgroup_remove_dir(own, "instances", err) < 0) {
        return -1;
    }
    clear_daemons(own);
    unlinkat(delegated, name, AT_REMOVEDIR);
    return 0;
}

int cgroup_clear(const struct sandbox_cgroups *c, const char *name, struct err *err) {
    for (int i = 0; i < CGROUP_V1; i++) {
        if (c->v1[i] >= 0 && clear_tree(c->v1[i], name, err) < 0) {
            return -1;
        }
    }
    return clear_tree(c->instances, name, err);
}

int sandbox_cgroup_enter(const char *cgroup, const char *leaf, struct err *err) {
    CLEANUP_FD int delegated = open_delegated(cgroup, NULL, err);
    CLEANUP_FD int own = delegated < 0 ? -1 : cgroup_make_dir(delegated, cgroup, err);
    CLEANUP_FD int system = own < 0 ? -1 : cgroup_make_dir(own, "system", err);
    CLEANUP_FD int dir = system < 0 ? -1 : cgroup_make_dir(system, leaf, err);
    return dir < 0 ? -1 : cgroup_write(dir, "cgroup.procs", "0", err);
}

/* The root of an instance. SPDX-License-Identifier: Apache-2.0 */
#include "rootfs.h"
#include "mount.h"
#include "ns.h"

#include <paas/file.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    INODE_BYTES = 4096, /* of the writable file system for each file it may hold */
    INODES_MIN = 256,   /* what we put there, and some */
    TEXT_MAX = 4096,    /* bytes of a file in /etc that we write, and of mount options, of which
                           the kernel takes one page */
};

void rootfs_init(struct rootfs *r) {
    r->writable = r->root = -1;
    r->n_layers = 0;
    for (int i = 0; i <= SANDBOX_LAYERS_MAX; i++) {
        r->layers[i] = -1;
    }
}

/* ---- the writable part ---- */

/* Directories of the writable file system, in order. Those below `upper` shape the root. */
static const struct {
    const char *path;
    mode_t mode;
} directories[] = {
    { "upper", 0755 },
    { "work", 0755 },
    { "tmp", 01777 },
    { "shm", 01777 },
    { "upper/proc", 0555 },
    { "upper/dev", 0755 },
    { "upper/tmp", 01777 },
    { "upper/etc", 0755 },
};

static int make_directories(const struct rootfs *r, struct err *err) {
    for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++) {
        if (mkdirat(r->writable, directories[i].path, directories[i].mode) < 0) {
            return err_sys(err, errno, "mkdir %s", directories[i].path);
        }
    }
    return 0;
}

/* On the stack of a child that may not allocate; see spawn.h. */
struct text {
    char bytes[TEXT_MAX];
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void text_printf(
    struct text *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->bytes + t->len, sizeof t->bytes - t->len, format, args);
    va_end(args);
    /* One that does not fit is full: TEXT_MAX bytes are never a whole text. */
    t->len += n < 0 || (size_t)n >= sizeof t->bytes - t->len ? sizeof t->bytes - t->len : (size_t)n;
}

static bool text_is_full(const struct text *t) {
    return t->len == sizeof t->bytes;
}

static void hostname_text(const struct rootfs *r, struct text *t) {
    text_printf(t, "%s\n", r->spec->hostname);
}

static void hosts_text(const struct rootfs *r, struct text *t) {
    char own[INET_ADDRSTRLEN] = "127.0.1.1";
    if (r->address.s_addr) {
        inet_ntop(AF_INET, &r->address, own, sizeof own);
    }
    text_printf(t, "127.0.0.1\tlocalhost\n::1\tlocalhost\n%s\t%s\n", own, r->spec->hostname);
}

static void resolvers_text(const struct rootfs *r, struct text *t) {
    for (uint32_t i = 0; i < r->spec->n_resolvers; i++) {
        char address[INET_ADDRSTRLEN];
        inet_ntop(AF_INET, &r->spec->resolvers[i], address, sizeof address);
        text_printf(t, "nameserver %s\n", address);
    }
}

static const struct {
    const char *path;
    void (*text)(const struct rootfs *r, struct text *t);
} files[] = {
    { "upper/etc/hostname", hostname_text },
    { "upper/etc/hosts", hosts_text },
    { "upper/etc/resolv.conf", resolvers_text },
};

static int make_files(const struct rootfs *r, struct err *err) {
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct text text = { .len = 0 };
        files[i].text(r, &text);
        if (text_is_full(&text)) {
            return err_set(err, ERR_TOO_LARGE, "%s would be too large", files[i].path);
        }
        CLEANUP_FD int fd =
            openat(r->writable, files[i].path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0) {
            return err_sys(err, errno, "create %s", files[i].path);
        }
        if (file_write_all(fd, text.bytes, text.len, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Fills it as the instance's root, which then owns what is made. */
static int fill(const struct rootfs *r, struct err *err) {
    mode_t mask = umask(0);
    setfsgid(r->ids);
    setfsuid(r->ids);
    int result = make_directories(r, err) < 0 ? -1 : make_files(r, err);
    setfsuid(0);
    setfsgid(0);
    umask(mask);
    return result;
}

static int make_in_memory(const struct rootfs *r, struct err *err) {
    char size[24], inodes[24], owner[16];
    uint64_t files_max = r->spec->rootfs_bytes / INODE_BYTES;
    snprintf(size, sizeof size, "%llu", (unsigned long long)r->spec->rootfs_bytes);
    snprintf(inodes, sizeof inodes, "%llu",
        (unsigned long long)(files_max < INODES_MIN ? INODES_MIN : files_max));
    snprintf(owner, sizeof owner, "%u", r->ids);
    const char *const params[] = { "size", size, "nr_inodes", inodes, "mode", "0755", "uid", owner,
        "gid", owner, NULL, NULL };
    return mount_new("tmpfs", params, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, err);
}

int rootfs_make_writable(struct rootfs *r, struct err *err) {
    if (r->writable < 0) {
        r->writable = make_in_memory(r, err);
    }
    if (r->writable < 0 || fill(r, err) < 0) {
        return -1;
    }
    return mount_attach(r->writable, AT_FDCWD, NS_WRITABLE, err);
}

/* ---- the layers ---- */

int rootfs_open_layer(struct rootfs *r, uint32_t index, int userns, struct err *err) {
    char path[sizeof NS_STORE + 1 + SANDBOX_DIGEST_LEN];
    bool skeleton = index == r->spec->n_layers;
    if (skeleton) {
        snprintf(path, sizeof path, "%s", NS_SKELETON);
    } else {
        snprintf(
            path, sizeof path, "%s/%.*s", NS_STORE, SANDBOX_DIGEST_LEN, r->spec->layers[index]);
    }
    struct mount_clone from = { .dir = AT_FDCWD,
        .path = path,
        .attr = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
        .userns = skeleton ? -1 : userns };
    int fd = mount_clone(&from, err);
    if (fd < 0) {
        return -1;
    }
    r->layers[r->n_layers++] = fd;
    return 0;
}

/* Nothing in a layer may point at other data: of overlayfs's marks, an image has whiteouts alone.
 */
#define NO_REDIRECTS "nofollow"
#define NO_METACOPY "off"
#define UPPER "/" NS_WRITABLE "/upper"
#define WORK "/" NS_WRITABLE "/work"

static int configure(struct rootfs *r, int context, struct err *err) {
    for (int i = 0; i < r->n_layers; i++) {
        if (fsconfig(context, FSCONFIG_SET_FD, "lowerdir+", NULL, r->layers[i]) < 0) {
            return err_sys(err, errno, "add layer %d", i);
        }
    }
    if (fsconfig(context, FSCONFIG_SET_STRING, "upperdir", UPPER, 0) < 0 ||
        fsconfig(context, FSCONFIG_SET_STRING, "workdir", WORK, 0) < 0 ||
        fsconfig(context, FSCONFIG_SET_STRING, "redirect_dir", NO_REDIRECTS, 0) < 0 ||
        fsconfig(context, FSCONFIG_SET_STRING, "metacopy", NO_METACOPY, 0) < 0) {
        return err_sys(err, errno, "configure overlay");
    }
    return 0;
}

/* Names the layers by descriptor. */
static int mount_by_fd(struct rootfs *r, struct err *err) {
    CLEANUP_FD int context = fsopen("overlay", FSOPEN_CLOEXEC);
    if (context < 0) {
        return err_sys(err, errno, "open overlay");
    }
    if (configure(r, context, err) < 0) {
        return -1;
    }
    if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
        int sys = errno, failed = context;
        context = -1;
        return mount_failed(failed, "overlay", sys, err);
    }
    r->root = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    if (r->root < 0) {
        return err_sys(err, errno, "mount the root");
    }
    return mount_attach(r->root, AT_FDCWD, NS_ROOT, err);
}

/* Attaches the layers in the process's own mount namespace and lists their paths in `options`. */
static int attach_layers(struct rootfs *r, struct text *options, struct err *err) {
    for (int i = 0; i < r->n_layers; i++) {
        char path[sizeof NS_LAYERS + 12];
        snprintf(path, sizeof path, "%s/%d", NS_LAYERS, i);
        if (mount_attach(r->layers[i], AT_FDCWD, path, err) < 0) {
            return -1;
        }
        text_printf(options, "%s%s", i ? ":" : "lowerdir=", path);
    }
    return 0;
}

/* Names the layers by path: older kernels have no other way, and only mount(2) takes so many of
 * them. The paths vanish with the old root; the file system keeps what it opened. */
static int mount_by_path(struct rootfs *r, struct err *err) {
    struct text options = { .len = 0 };
    if (attach_layers(r, &options, err) < 0) {
        return -1;
    }
    text_printf(&options, "%s",
        ",upperdir=" UPPER ",workdir=" WORK ",redirect_dir=" NO_REDIRECTS ",metacopy=" NO_METACOPY);
    if (text_is_full(&options)) {
        return err_set(err, ERR_TOO_LARGE, "too many layers");
    }
    if (mount("overlay", NS_ROOT, "overlay", MS_NOSUID | MS_NODEV, options.bytes) < 0) {
        return err_sys(err, errno, "mount overlay");
    }
    r->root = open(NS_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return r->root < 0 ? err_sys(err, errno, "open the root") : 0;
}

int rootfs_mount(struct rootfs *r, struct err *err) {
    return r->overlay_fds ? mount_by_fd(r, err) : mount_by_path(r, err);
}

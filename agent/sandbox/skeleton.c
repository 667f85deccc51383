/* The lowest layer of stack `host`. SPDX-License-Identifier: Apache-2.0 */
#include "skeleton.h"

#include <paas/file.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    COPY_MAX = 1 << 20,      /* bytes of a copied table; ld.so.cache of a big host has 200 KB */
    ALTERNATIVES_MAX = 4096, /* links in /etc/alternatives; a desktop has some 400 */
};

static const char *const directories[] = { "app", "dev", "etc", "etc/alternatives", "etc/ssl",
    "home", "proc", "root", "run", "srv", "sys", "tmp", "usr", "var", "var/lib", "var/cache",
    "var/log" };

static const struct {
    const char *name, *target;
} links[] = {
    { "var/tmp", "../tmp" },
    { "var/run", "../run" },
};

static const struct {
    const char *name, *text;
} files[] = {
    { "etc/passwd", "root:x:0:0:root:/root:/usr/sbin/nologin\n"
                    "app:x:1000:1000:app:/app:/usr/sbin/nologin\n"
                    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n" },
    { "etc/group", "root:x:0:\ntty:x:5:\napp:x:1000:\nnogroup:x:65534:\n" },
    { "etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\nnetworks: files\n"
                           "protocols: files\nservices: files\n" },
};

/* Where the host has them as links into /usr, so has the instance. */
static const char *const merged[] = { "bin", "sbin", "lib", "lib32", "lib64", "libx32" };

/* Copied where they are there; each can be read by everyone on the host. */
static const char *const copied[] = { "etc/ld.so.cache", "etc/localtime", "etc/mime.types",
    "etc/protocols", "etc/services", "etc/os-release", "etc/ethertypes" };

static int make_link(int dir, const char *name, const char *target, struct err *err) {
    return symlinkat(target, dir, name) < 0 ? err_sys(err, errno, "link %s", name) : 0;
}

static int write_file(int dir, const char *name, const void *bytes, size_t len, struct err *err) {
    CLEANUP_FD int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    return fd < 0 ? err_sys(err, errno, "create %s", name) : file_write_all(fd, bytes, len, err);
}

static int link_merged(int dir, struct err *err) {
    for (size_t i = 0; i < sizeof merged / sizeof merged[0]; i++) {
        char path[32], target[PATH_MAX];
        snprintf(path, sizeof path, "/%s", merged[i]);
        ssize_t n = readlink(path, target, sizeof target - 1);
        if (n < 0) {
            continue;
        }
        target[n] = '\0';
        if (make_link(dir, merged[i], target, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int copy_files(int dir, struct err *err) {
    struct buf content;
    buf_init(&content, COPY_MAX);
    int result = 0;
    for (size_t i = 0; result == 0 && i < sizeof copied / sizeof copied[0]; i++) {
        char path[64];
        snprintf(path, sizeof path, "/%s", copied[i]);
        buf_reset(&content);
        /* One that is missing or strange is left out: it serves comfort only. */
        if (file_read_whole(AT_FDCWD, path, &content, NULL) == 0) {
            result = write_file(dir, copied[i], buf_str(&content), content.len, err);
        }
    }
    buf_free(&content);
    return result;
}

/* Programs such as awk or java are links through /etc/alternatives. */
static int copy_alternatives(int dir, struct err *err) {
    DIR *from = opendir("/etc/alternatives");
    if (!from) {
        return 0;
    }
    CLEANUP_FD int to = openat(dir, "etc/alternatives", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int result = to < 0 ? err_sys(err, errno, "open etc/alternatives") : 0;
    struct dirent *entry;
    for (int n = 0; result == 0 && n < ALTERNATIVES_MAX && (entry = readdir(from)); n++) {
        char target[PATH_MAX];
        ssize_t len = readlinkat(dirfd(from), entry->d_name, target, sizeof target - 1);
        if (len > 0) {
            target[len] = '\0';
            result = make_link(to, entry->d_name, target, err);
        }
    }
    closedir(from);
    return result;
}

int skeleton_make(int dir, const char *name, struct err *err) {
    CLEANUP_FD int root = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (root < 0) {
        return err_sys(err, errno, "open %s", name);
    }
    for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++) {
        if (mkdirat(root, directories[i], 0755) < 0) {
            return err_sys(err, errno, "mkdir %s", directories[i]);
        }
    }
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        if (make_link(root, links[i].name, links[i].target, err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (write_file(root, files[i].name, files[i].text, strlen(files[i].text), err) < 0) {
            return -1;
        }
    }
    return link_merged(root, err) < 0 || copy_files(root, err) < 0 ? -1
                                                                   : copy_alternatives(root, err);
}

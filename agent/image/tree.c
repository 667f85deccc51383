/* Files made beneath one directory. SPDX-License-Identifier: Apache-2.0 */
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <paas/file.h>

enum { IMPLIED_MODE = 0755 /* of directories that an archive uses and does not describe */ };

void tree_init(struct tree *t, int root) {
    *t = (struct tree){ .root = root, .parent = -1 };
}

static void forget_parent(struct tree *t) {
    file_close(&t->parent);
}

void tree_finish(struct tree *t) {
    forget_parent(t);
    strings_free(&t->implied);
}

int tree_error(struct err *err, int sys, const char *what, const char *path) {
    if (sys == ELOOP) {
        return err_set(
            err, ERR_BAD_IMAGE, "%s %.200s: its path goes through a symbolic link", what, path);
    }
    if (sys == ENOTDIR) {
        return err_set(err, ERR_BAD_IMAGE, "%s %.200s: its path goes through a file", what, path);
    }
    err_sys(err, sys, "%s %.200s", what, path);
    return err_mark_full(err);
}

/* ---- paths ---- */

/* Appends one name to `out`. */
static int add_name(
    const char *name, size_t len, struct tree_path *out, size_t *used, uint32_t bytes_max) {
    size_t need = *used + (*used ? 1 : 0) + len;
    if (len > TREE_NAME_MAX || need >= sizeof out->text || need > bytes_max) {
        return -1;
    }
    if (*used) {
        out->text[(*used)++] = '/';
    }
    memcpy(out->text + *used, name, len);
    *used += len;
    out->text[*used] = '\0';
    out->depth++;
    return 0;
}

int tree_path_parse(const char *text, uint32_t bytes_max, uint32_t depth_max, struct tree_path *out,
    struct err *err) {
    size_t used = 0;
    *out = (struct tree_path){ 0 };
    if (text[0] == '/') {
        return err_set(err, ERR_BAD_IMAGE, "%.200s: an absolute path", text);
    }
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, "/");
        if (len == 2 && p[0] == '.' && p[1] == '.') {
            return err_set(err, ERR_BAD_IMAGE, "%.200s: a path with \"..\"", text);
        }
        bool here = len == 0 || (len == 1 && p[0] == '.');
        if (!here && add_name(p, len, out, &used, bytes_max) < 0) {
            return err_set(err, ERR_BAD_IMAGE, "%.200s…: a path that is too long", text);
        }
        if (out->depth > depth_max) {
            return err_set(err, ERR_BAD_IMAGE, "%.200s…: deeper than %u names", text, depth_max);
        }
        p += len + (p[len] == '/');
    }
    return 0;
}

const char *tree_path_name(const struct tree_path *path) {
    const char *slash = strrchr(path->text, '/');
    return slash ? slash + 1 : path->text;
}

/* ---- directories on the way ---- */

static int open_beneath(int dir, const char *path, int flags, mode_t mode) {
    struct open_how how = {
        .flags = (unsigned)flags | O_CLOEXEC,
        .mode = mode,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
    };
    return (int)syscall(SYS_openat2, dir, path[0] ? path : ".", &how, sizeof how);
}

int tree_open(int root, const char *path, int flags) {
    return open_beneath(root, path, flags | O_NOFOLLOW, 0);
}

DIR *tree_list(int directory) {
    int copy = open_beneath(directory, ".", O_RDONLY | O_DIRECTORY, 0);
    DIR *entries = copy < 0 ? NULL : fdopendir(copy);
    if (!entries) {
        int sys = errno;
        file_close(&copy);
        errno = sys;
    }
    return entries;
}

/* Makes the directories of `path` that are missing, from the top. */
static int make_parents(struct tree *t, char *path) {
    for (char *p = path;; p++) {
        if (*p && *p != '/') {
            continue;
        }
        char end = *p;
        *p = '\0';
        char *name = strrchr(path, '/');
        int fd = t->root;
        if (name) {
            *name = '\0';
            fd = open_beneath(t->root, path, O_PATH | O_DIRECTORY, 0);
            *name = '/';
        }
        int made = fd < 0 ? -1 : mkdirat(fd, name ? name + 1 : path, IMPLIED_MODE);
        int sys = errno;
        if (name) {
            file_close(&fd);
        }
        if (made == 0 && strings_add(&t->implied, path) < 0) {
            made = -1;
            sys = ENOMEM;
        }
        *p = end;
        if (made < 0 && sys != EEXIST) {
            errno = sys;
            return -1;
        }
        if (!end) {
            return 0;
        }
    }
}

/* The directory that `path` (not the root) lies in, kept in t->parent; made if it is not there and
 * `make` is set. -1 with errno. */
static int open_parent(struct tree *t, const struct tree_path *path, bool make) {
    char parent[TREE_PATH_SIZE];
    const char *name = tree_path_name(path);
    size_t len = name == path->text ? 0 : (size_t)(name - path->text) - 1;
    memcpy(parent, path->text, len);
    parent[len] = '\0';
    if (t->parent >= 0 && strcmp(parent, t->parent_path) == 0) {
        return t->parent;
    }
    forget_parent(t);
    t->parent = open_beneath(t->root, parent, O_PATH | O_DIRECTORY, 0);
    if (t->parent < 0 && errno == ENOENT && make && make_parents(t, parent) == 0) {
        t->parent = open_beneath(t->root, parent, O_PATH | O_DIRECTORY, 0);
    }
    if (t->parent >= 0) {
        memcpy(t->parent_path, parent, len + 1);
    }
    return t->parent;
}

/* Opens the parent and makes sure that nothing has the name. Returns the parent. */
static int open_place(
    struct tree *t, const struct tree_path *path, const char *what, struct err *err) {
    const char *name = tree_path_name(path);
    if (!name[0]) {
        return err_set(err, ERR_BAD_IMAGE, "%s in place of the root directory", what);
    }
    int parent = open_parent(t, path, true);
    if (parent < 0) {
        return tree_error(err, errno, what, path->text);
    }
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) {
        return parent;
    }
    /* The parent is no directory that goes away, and it stays open. */
    if (errno == EISDIR && unlinkat(parent, name, AT_REMOVEDIR) == 0) {
        return parent;
    }
    if (errno == ENOTEMPTY) {
        return err_set(err, ERR_BAD_IMAGE,
            "%s %.200s: the same layer has a directory with files there", what, path->text);
    }
    return tree_error(err, errno, what, path->text);
}

/* ---- things ---- */

int tree_file(struct tree *t, const struct tree_path *path, struct err *err) {
    int parent = open_place(t, path, "file", err);
    if (parent < 0) {
        return -1;
    }
    int fd = open_beneath(parent, tree_path_name(path), O_WRONLY | O_CREAT | O_EXCL, 0600);
    return fd < 0 ? tree_error(err, errno, "file", path->text) : fd;
}

int tree_own(int fd, const struct tree_owner *owner, struct err *err) {
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, owner->mtime };
    /* The mode after the owner: a change of owner takes set-id bits away. */
    if (fchown(fd, owner->uid, owner->gid) < 0 || fchmod(fd, owner->mode) < 0 ||
        futimens(fd, times) < 0) {
        return tree_error(err, errno, "owner, mode and time", "");
    }
    return 0;
}

int tree_directory(struct tree *t, const struct tree_path *path, struct err *err) {
    const char *name = tree_path_name(path);
    int parent = name[0] ? open_parent(t, path, true) : t->root;
    if (parent < 0) {
        return tree_error(err, errno, "directory", path->text);
    }
    if (name[0] && mkdirat(parent, name, IMPLIED_MODE) < 0) {
        struct stat there;
        if (errno != EEXIST || fstatat(parent, name, &there, AT_SYMLINK_NOFOLLOW) < 0) {
            return tree_error(err, errno, "directory", path->text);
        }
        if (!S_ISDIR(there.st_mode) &&
            (unlinkat(parent, name, 0) < 0 || mkdirat(parent, name, IMPLIED_MODE) < 0)) {
            return tree_error(err, errno, "directory", path->text);
        }
    }
    int fd = open_beneath(parent, name, O_RDONLY | O_DIRECTORY, 0);
    return fd < 0 ? tree_error(err, errno, "directory", path->text) : fd;
}

static int own_link(int parent, const char *name, const struct tree_owner *owner, struct err *err) {
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, owner->mtime };
    if (fchownat(parent, name, owner->uid, owner->gid, AT_SYMLINK_NOFOLLOW) < 0 ||
        utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) < 0) {
        return tree_error(err, errno, "owner and time of", name);
    }
    return 0;
}

int tree_symlink(struct tree *t, const struct tree_path *path, const char *target,
    const struct tree_owner *owner, struct err *err) {
    int parent = open_place(t, path, "symbolic link", err);
    if (parent < 0) {
        return -1;
    }
    const char *name = tree_path_name(path);
    if (symlinkat(target, parent, name) < 0) {
        return tree_error(err, errno, "symbolic link", path->text);
    }
    return own_link(parent, name, owner, err);
}

int tree_fifo(
    struct tree *t, const struct tree_path *path, const struct tree_owner *owner, struct err *err) {
    int parent = open_place(t, path, "pipe", err);
    if (parent < 0) {
        return -1;
    }
    const char *name = tree_path_name(path);
    /* No umask: the helper has none. */
    if (mknodat(parent, name, S_IFIFO | (owner->mode & 0777), 0) < 0) {
        return tree_error(err, errno, "pipe", path->text);
    }
    return own_link(parent, name, owner, err);
}

int tree_link(
    struct tree *t, const struct tree_path *path, const struct tree_path *target, struct err *err) {
    if (strcmp(path->text, target->text) == 0) {
        return 0;
    }
    if (open_parent(t, target, false) < 0) {
        int sys = errno;
        return sys == ENOENT
                   ? err_set(err, ERR_BAD_IMAGE, "hard link %.100s: %.100s is not in this layer",
                         path->text, target->text)
                   : tree_error(err, sys, "hard link to", target->text);
    }
    CLEANUP_FD int from = t->parent;
    t->parent = -1;
    const char *name = tree_path_name(target);
    struct stat there;
    if (!name[0] || fstatat(from, name, &there, AT_SYMLINK_NOFOLLOW) < 0) {
        return err_set(err, ERR_BAD_IMAGE, "hard link %.100s: %.100s is not in this layer",
            path->text, target->text);
    }
    if (S_ISDIR(there.st_mode)) {
        return err_set(err, ERR_BAD_IMAGE, "hard link %.100s: %.100s is a directory", path->text,
            target->text);
    }
    int parent = open_place(t, path, "hard link", err);
    if (parent < 0) {
        return -1;
    }
    if (linkat(from, name, parent, tree_path_name(path), 0) < 0) {
        return tree_error(err, errno, "hard link", path->text);
    }
    return 0;
}

int tree_whiteout(struct tree *t, const struct tree_path *path, struct err *err) {
    const char *name = tree_path_name(path);
    int parent = open_parent(t, path, true);
    if (parent < 0) {
        return errno == ENOTDIR ? 0 : tree_error(err, errno, "whiteout", path->text);
    }
    if (mknodat(parent, name, S_IFCHR, makedev(0, 0)) == 0) {
        return 0;
    }
    if (errno != EEXIST) {
        return tree_error(err, errno, "whiteout", path->text);
    }
    if (file_remove_tree(parent, name, err) < 0) {
        return -1;
    }
    return mknodat(parent, name, S_IFCHR, makedev(0, 0)) < 0
               ? tree_error(err, errno, "whiteout", path->text)
               : 0;
}

int tree_mark(struct tree *t, const struct tree_path *path, mode_t mode, struct err *err) {
    const char *name = tree_path_name(path);
    int parent = open_parent(t, path, true);
    if (parent < 0) {
        return errno == ENOTDIR ? 0 : tree_error(err, errno, "directory", path->text);
    }
    if (mkdirat(parent, name, IMPLIED_MODE) < 0 && errno != EEXIST) {
        return tree_error(err, errno, "directory", path->text);
    }
    CLEANUP_FD int fd = tree_open(parent, name, O_RDONLY | O_DIRECTORY);
    if (fd < 0) {
        return errno == ENOTDIR ? 0 : tree_error(err, errno, "directory", path->text);
    }
    return fchmod(fd, mode) < 0 ? tree_error(err, errno, "mode of", path->text) : 1;
}

int tree_touch(struct tree *t, const char *path, struct timespec mtime, struct err *err) {
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, mtime };
    CLEANUP_FD int fd = tree_open(t->root, path, O_RDONLY | O_DIRECTORY);
    /* A later entry may have put something else in its place. */
    if (fd < 0) {
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
                   ? 0
                   : tree_error(err, errno, "time of", path);
    }
    return futimens(fd, times) < 0 ? tree_error(err, errno, "time of", path) : 0;
}

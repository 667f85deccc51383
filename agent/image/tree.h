/* Files made beneath one directory, wherever their paths would like to go.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Every path is resolved by openat2(2): beneath the root, across no symbolic link, no mount. What a
 * path names is made new; what was there under its name goes away first.
 */
#ifndef IMAGE_TREE_H
#define IMAGE_TREE_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include <paas/err.h>
#include <paas/strings.h>

enum {
    TREE_PATH_SIZE = 4096, /* PATH_MAX: the kernel takes no longer ones */
    TREE_NAME_MAX = 255,   /* NAME_MAX */
};

struct tree {
    int root;
    struct strings implied;           /* directories that were made on the way to others */
    int parent;                       /* the directory used last, -1: none */
    char parent_path[TREE_PATH_SIZE]; /* its path, "" for the root */
};

/* A path in its one form: names with one '/' between, "" for the root. */
struct tree_path {
    char text[TREE_PATH_SIZE];
    size_t depth; /* names */
};

struct tree_owner {
    uint32_t uid, gid;
    mode_t mode; /* permissions with set-id and sticky bits */
    struct timespec mtime;
};

void tree_init(struct tree *t, int root);
void tree_finish(struct tree *t);

/* Brings a path from an archive to its one form: "." and doubled '/' go, a leading '/' or a ".." is
 * refused, as is anything longer or deeper than the bounds (ERR_BAD_IMAGE). Pure. */
int tree_path_parse(const char *text, uint32_t bytes_max, uint32_t depth_max, struct tree_path *out,
    struct err *err);
/* The last name of a path, "" for the root. */
const char *tree_path_name(const struct tree_path *path);

/* A new file to be written; returns its descriptor. */
int tree_file(struct tree *t, const struct tree_path *path, struct err *err);
/* Owner, mode and time of an open file or directory. */
int tree_own(int fd, const struct tree_owner *owner, struct err *err);
/* Makes a directory, or takes the one that is there; returns its descriptor. */
int tree_directory(struct tree *t, const struct tree_path *path, struct err *err);
int tree_symlink(struct tree *t, const struct tree_path *path, const char *target,
    const struct tree_owner *owner, struct err *err);
int tree_fifo(
    struct tree *t, const struct tree_path *path, const struct tree_owner *owner, struct err *err);
/* Another name for the file or link `target`, which must be in this tree. */
int tree_link(
    struct tree *t, const struct tree_path *path, const struct tree_path *target, struct err *err);
/* A character device 0:0, over whatever is there; nothing where a name above is one already. */
int tree_whiteout(struct tree *t, const struct tree_path *path, struct err *err);
/* Makes a directory with the given mode, or gives it to the one that is there. Returns 1, or 0
 * where something else has the name or lies on the way. */
int tree_mark(struct tree *t, const struct tree_path *path, mode_t mode, struct err *err);
/* Sets the time of the directory `path`. */
int tree_touch(struct tree *t, const char *path, struct timespec mtime, struct err *err);
/* Opens what lies at `path`, not following a link, for looking at it (O_PATH), or a directory for
 * reading. -1 with errno: ENOENT, or ENOTDIR or ELOOP where something else lies on the way. */
int tree_open(int root, const char *path, int flags);
/* Lists a directory, whose descriptor stays the caller's. NULL with errno. */
DIR *tree_list(int directory);

/* As err_sys, with ERR_FULL for a full disk. */
int tree_error(struct err *err, int sys, const char *what, const char *path);

#endif

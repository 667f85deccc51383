/* A cover: the directories of an image whose topmost layer does not describe them, as the one that
 * does has them. SPDX-License-Identifier: Apache-2.0
 *
 * collect() finds the marks of all layers; each marked path, and the directories on the way to it,
 * is looked for from the top: past the layers that have nothing there or only use it, to the one
 * that describes it, or to what ends it (another kind of file, a whiteout): below that lies
 * something else, and the directory is as new.
 */
#include "cover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <paas/file.h>
#include <paas/map.h>
#include <paas/str.h>

#include "times.h"
#include "tree.h"

/* ---- marks ---- */

struct marks {
    struct map paths; /* a directory before what is in it */
    uint64_t paths_max;
};

static int add_path(struct marks *m, const char *path, struct err *err) {
    if (map_get(&m->paths, path)) {
        return 0;
    }
    if (m->paths.count >= m->paths_max) {
        return err_set(err, ERR_TOO_LARGE, "the image's layers use more than %llu directories",
            (unsigned long long)m->paths_max);
    }
    return map_set(&m->paths, path, m) < 0 ? err_no_memory(err) : 0;
}

/* The path and all that are on the way to it. */
static int add_mark(struct marks *m, const char *path, struct err *err) {
    char part[TREE_PATH_SIZE];
    for (const char *end = strchr(path, '/'); end; end = strchr(end + 1, '/')) {
        memcpy(part, path, (size_t)(end - path));
        part[end - path] = '\0';
        if (add_path(m, part, err) < 0) {
            return -1;
        }
    }
    return add_path(m, path, err);
}

static int collect(struct marks *m, int directory, char *path, struct err *err);

static int collect_one(
    struct marks *m, int directory, const char *name, char *path, struct err *err) {
    struct stat st;
    size_t len = strlen(path), more = strlen(name);
    if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return tree_error(err, errno, "a mark in", path);
    }
    if (!S_ISDIR(st.st_mode)) {
        return 0;
    }
    if (len + 1 + more >= TREE_PATH_SIZE) {
        return err_set(err, ERR_BAD_IMAGE, "%.200s…: a path that is too long", path);
    }
    if (len > 0) {
        path[len] = '/';
    }
    memcpy(path + len + (len > 0), name, more + 1);
    int result = (st.st_mode & 07777) == COVER_IMPLIED_MODE ? add_mark(m, path, err) : 0;
    if (result == 0) {
        CLEANUP_FD int below = tree_open(directory, name, O_RDONLY | O_DIRECTORY);
        result =
            below < 0 ? tree_error(err, errno, "marks in", path) : collect(m, below, path, err);
    }
    path[len] = '\0';
    return result;
}

/* `path` is the directory's own, in a buffer of TREE_PATH_SIZE that is used on the way. */
static int collect(struct marks *m, int directory, char *path, struct err *err) {
    DIR *entries = tree_list(directory);
    if (!entries) {
        return tree_error(err, errno, "marks in", path);
    }
    int result = 0;
    struct dirent *entry;
    while (result == 0 && (entry = readdir(entries))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            result = collect_one(m, dirfd(entries), entry->d_name, path, err);
        }
    }
    closedir(entries);
    return result;
}

/* ---- a directory as it should be ---- */

struct seen {
    bool visible;
    int source; /* where its attributes are; -1: nowhere */
    struct tree_owner owner;
};

/* 1: a directory is there, 0: nothing; -1: something ends the path. *failed: an error of errno. */
static int look(int root, const char *path, struct stat *st, bool *failed) {
    CLEANUP_FD int fd = tree_open(root, path, O_PATH);
    if (fd < 0) {
        *failed = errno != ENOENT && errno != ENOTDIR && errno != ELOOP;
        return errno == ENOENT ? 0 : -1;
    }
    *failed = fstat(fd, st) < 0;
    return S_ISDIR(st->st_mode) ? 1 : -1;
}

static void see_new(struct seen *seen, const struct stat *st) {
    if (!seen->visible) {
        seen->visible = true;
        seen->owner = (struct tree_owner){ .mode = 0755, .mtime = st->st_mtim };
    }
}

/* Looks at one layer. Returns 1 when there is nothing more to see below. */
static int see_in(
    const struct unpack_layer *layer, const char *path, struct seen *seen, bool *failed) {
    struct stat here, mark;
    int used = look(layer->layer, path, &here, failed);
    if (used < 0) {
        return 1;
    }
    int marked = layer->hidden < 0 ? 0 : look(layer->hidden, path, &mark, failed);
    if (used > 0) {
        see_new(seen, &here);
    } else if (marked > 0) {
        see_new(seen, &mark);
    }
    if (used > 0 && (marked <= 0 || (mark.st_mode & 07777) != COVER_IMPLIED_MODE)) {
        *seen = (struct seen){ true, layer->layer,
            { here.st_uid, here.st_gid, here.st_mode & 07777, here.st_mtim } };
        return 1;
    }
    /* What the layer hides lies below its own directory. */
    return marked < 0;
}

static int see(
    const struct unpack_cover *job, const char *path, struct seen *seen, struct err *err) {
    bool failed = false;
    *seen = (struct seen){ .source = -1 };
    for (size_t i = job->count; i > 0 && !failed; i--) {
        if (see_in(&job->layers[i - 1], path, seen, &failed)) {
            break;
        }
    }
    return failed ? tree_error(err, errno, "directory", path) : 0;
}

/* ---- making it ---- */

static int copy_xattr(int from, int to, const char *name, struct err *err) {
    char value[XATTR_SIZE_MAX];
    ssize_t size = fgetxattr(from, name, value, sizeof value);
    if (size < 0 || (fsetxattr(to, name, value, (size_t)size, 0) < 0 && errno != EOPNOTSUPP)) {
        return tree_error(err, errno, "extended attribute", name);
    }
    return 0;
}

/* All that the unpacker sets. */
static int copy_xattrs(int source, const char *path, int to, struct err *err) {
    char names[XATTR_LIST_MAX];
    CLEANUP_FD int from = tree_open(source, path, O_RDONLY | O_DIRECTORY);
    ssize_t size = from < 0 ? -1 : flistxattr(from, names, sizeof names);
    if (size < 0) {
        return from >= 0 && errno == EOPNOTSUPP
                   ? 0
                   : tree_error(err, errno, "extended attributes of", path);
    }
    for (const char *name = names; name < names + size; name += strlen(name) + 1) {
        if (str_starts(name, "user.") && copy_xattr(from, to, name, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int make_one(const struct unpack_cover *job, struct tree *cover, const char *text,
    struct times *times, struct err *err) {
    struct tree_path path;
    struct seen seen;
    if (see(job, text, &seen, err) < 0) {
        return -1;
    }
    if (!seen.visible) {
        return 0;
    }
    if (tree_path_parse(text, TREE_PATH_SIZE - 1, UINT32_MAX, &path, err) < 0) {
        return -1;
    }
    CLEANUP_FD int fd = tree_directory(cover, &path, err);
    if (fd < 0 || tree_own(fd, &seen.owner, err) < 0 ||
        (seen.source >= 0 && copy_xattrs(seen.source, text, fd, err) < 0)) {
        return -1;
    }
    return times_add(times, text, seen.owner.mtime, err);
}

static int collect_all(const struct unpack_cover *job, struct marks *m, struct err *err) {
    char path[TREE_PATH_SIZE] = "";
    for (size_t i = 0; i < job->count; i++) {
        int hidden = job->layers[i].hidden;
        if (hidden >= 0 && collect(m, hidden, path, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int cover_make(const struct unpack_cover *job, uint64_t paths_max, struct err *err) {
    struct marks marks = { .paths_max = paths_max };
    struct times times;
    struct tree cover;
    map_init(&marks.paths);
    times_init(&times);
    tree_init(&cover, job->cover);
    int result = collect_all(job, &marks, err);
    struct map_entry *entries = marks.paths.entries;
    for (size_t i = 0; result == 0 && i < marks.paths.used; i++) {
        result = make_one(job, &cover, entries[i].key, &times, err);
    }
    if (result == 0) {
        result = times_set(&times, &cover, err);
    }
    if (result == 0 && syncfs(job->cover) < 0) {
        result = tree_error(err, errno, "writing to disk", "");
    }
    tree_finish(&cover);
    times_free(&times);
    map_free(&marks.paths);
    return result;
}

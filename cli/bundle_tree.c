/* A directory becomes one layer. SPDX-License-Identifier: Apache-2.0 */
#include "bundle_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <paas/file.h>
#include <paas/strings.h>

#include "bundle.h"
#include "ignore.h"

#define IGNORE_FILE ".dockerignore"
enum {
    WALK_PATH_MAX = 4096, /* PATH_MAX */
    WALK_CHUNK = 65536,   /* bytes of one read */
};

struct walk {
    struct tar_writer *tar;
    struct bundle_count *count;
    struct ignore ignore;
    char path[WALK_PATH_MAX]; /* in the tar: "app/…" */
    size_t len;
    size_t owed; /* bytes of `path` up to the first directory that is ignored and has not been
                    written, with its '/'; 0: none. It is written when something in it is. */
    int depth;
};

/* The path as .dockerignore and people see it. */
static const char *own_path(const struct walk *w) {
    return w->path + sizeof BUNDLE_APP_DIR;
}

static int compare(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in the directory `fd` (taken over), sorted. */
static int list_names(int fd, struct strings *names, struct err *err) {
    DIR *entries = fdopendir(fd);
    if (!entries) {
        int sys = errno;
        close(fd);
        return err_sys(err, sys, "reading a directory");
    }
    int result = 0;
    struct dirent *entry;
    errno = 0;
    while (result == 0 && (entry = readdir(entries))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            result = names->count == BUNDLE_ENTRIES_MAX ? -1 : strings_add(names, entry->d_name);
        }
    }
    if (result < 0 && names->count == BUNDLE_ENTRIES_MAX) {
        err_set(err, ERR_TOO_LARGE, "more than %d files", BUNDLE_ENTRIES_MAX);
    } else if (result < 0) {
        err_no_memory(err);
    }
    closedir(entries);
    if (names->count) {
        qsort(names->items, names->count, sizeof *names->items, compare);
    }
    return result;
}

static int write_named(struct walk *w, const char *name, char type, const char *target,
    unsigned mode, int64_t size, struct err *err) {
    struct tar_member m = {
        .name = name,
        .type = type,
        .target = target,
        .mode = mode,
        .owner = BUNDLE_OWNER,
        .size = size,
    };
    if (++w->count->files > BUNDLE_ENTRIES_MAX) {
        return err_set(err, ERR_TOO_LARGE, "more than %d files", BUNDLE_ENTRIES_MAX);
    }
    return tar_writer_member(w->tar, &m, err);
}

static int write_owed(struct walk *w, struct err *err) {
    char path[WALK_PATH_MAX];
    for (size_t end = w->owed; end && end < w->len;) {
        memcpy(path, w->path, end);
        path[end] = '\0';
        if (write_named(w, path, '5', NULL, 0755, 0, err) < 0) {
            return -1;
        }
        const char *slash = strchr(w->path + end, '/');
        end = slash ? (size_t)(slash - w->path) + 1 : 0;
    }
    w->owed = 0;
    return 0;
}

/* Writes an entry with the current path. */
static int write_member(
    struct walk *w, char type, const char *target, unsigned mode, int64_t size, struct err *err) {
    return write_owed(w, err) < 0 ? -1 : write_named(w, w->path, type, target, mode, size, err);
}

static int write_file(struct walk *w, int dir, const char *name, struct err *err) {
    char chunk[WALK_CHUNK];
    struct stat st;
    CLEANUP_FD int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        return err_sys(err, errno, "opening %s", own_path(w));
    }
    if (write_member(w, '0', NULL, st.st_mode & 0111 ? 0755 : 0644, st.st_size, err) < 0) {
        return -1;
    }
    for (int64_t left = st.st_size; left > 0;) {
        ssize_t n = read(fd, chunk, left < WALK_CHUNK ? (size_t)left : WALK_CHUNK);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return err_sys(err, errno, "reading %s", own_path(w));
        }
        if (n == 0) {
            return err_set(err, ERR_CONFLICT, "%s became shorter while it was read", own_path(w));
        }
        if (tar_writer_data(w->tar, chunk, (size_t)n, err) < 0) {
            return -1;
        }
        left -= n;
    }
    return 0;
}

static int write_link(struct walk *w, int dir, const char *name, struct err *err) {
    char target[WALK_PATH_MAX];
    ssize_t n = readlinkat(dir, name, target, sizeof target - 1);
    if (n < 0) {
        return err_sys(err, errno, "reading the link %s", own_path(w));
    }
    target[n] = '\0';
    return write_member(w, '2', target, 0777, 0, err);
}

static int write_directory(struct walk *w, int fd, struct err *err);

static int write_subdirectory(
    struct walk *w, int dir, const char *name, bool ignored, struct err *err) {
    if (w->depth == BUNDLE_DEPTH_MAX) {
        return err_set(
            err, ERR_TOO_LARGE, "%s: more than %d directories deep", own_path(w), BUNDLE_DEPTH_MAX);
    }
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return err_sys(err, errno, "opening %s", own_path(w));
    }
    strcpy(w->path + w->len++, "/");
    w->depth++;
    if (ignored) {
        w->owed = w->owed ? w->owed : w->len;
    } else if (write_member(w, '5', NULL, 0755, 0, err) < 0) {
        close(fd);
        return -1;
    }
    size_t len = w->len;
    int result = write_directory(w, fd, err);
    w->owed = w->owed < len ? w->owed : 0;
    w->depth--;
    return result;
}

static int write_entry(struct walk *w, int dir, const char *name, struct err *err) {
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return err_sys(err, errno, "looking at %s", own_path(w));
    }
    bool ignored = ignore_matches(&w->ignore, own_path(w));
    if (S_ISDIR(st.st_mode)) {
        return ignored && ignore_skips_all(&w->ignore, own_path(w))
                   ? 0
                   : write_subdirectory(w, dir, name, ignored, err);
    }
    if (ignored) {
        return 0;
    }
    if (S_ISREG(st.st_mode)) {
        return write_file(w, dir, name, err);
    }
    if (S_ISLNK(st.st_mode)) {
        return write_link(w, dir, name, err);
    }
    w->count->skipped++;
    return 0;
}

/* Takes `fd` over; w->path ends in '/'. */
static int write_directory(struct walk *w, int fd, struct err *err) {
    struct strings names = { 0 };
    size_t len = w->len;
    CLEANUP_FD int dir = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    int result = list_names(fd, &names, err);
    for (size_t i = 0; result == 0 && i < names.count; i++) {
        int n = snprintf(w->path + len, sizeof w->path - len, "%s", names.items[i]);
        w->len = len + (size_t)n;
        /* A '/' and a NUL must fit, too. */
        result = w->len + 2 > sizeof w->path
                     ? err_set(err, ERR_TOO_LARGE, "%.200s…: a path too long", own_path(w))
                     : write_entry(w, dir, names.items[i], err);
        w->len = len;
        w->path[len] = '\0';
    }
    strings_free(&names);
    return result;
}

static int read_ignore(struct walk *w, int dir, struct err *err) {
    struct buf text;
    struct err why;
    buf_init(&text, IGNORE_BYTES_MAX);
    int result = file_read_whole(dir, IGNORE_FILE, &text, &why);
    if (result == 0) {
        result = ignore_parse(buf_str(&text), text.len, &w->ignore, &why);
    } else if (why.code == ERR_NOT_FOUND) {
        result = 0;
    }
    buf_free(&text);
    if (result == 0) {
        return 0;
    }
    bool foul = why.code == ERR_BAD_VALUE || why.code == ERR_TOO_LARGE;
    return err_set(err, foul ? ERR_BAD_MANIFEST : why.code, IGNORE_FILE ": %s", why.text);
}

int bundle_tree(
    const char *path, struct tar_writer *tar, struct bundle_count *count, struct err *err) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        int sys = errno;
        err_sys(err, sys, "opening the directory %s", path);
        if (err && (sys == ENOENT || sys == ENOTDIR)) {
            err->code = ERR_NOT_FOUND;
        }
        return -1;
    }
    struct walk *w = calloc(1, sizeof *w);
    if (!w) {
        close(fd);
        return err_no_memory(err);
    }
    w->tar = tar;
    w->count = count;
    w->len = sizeof BUNDLE_APP_DIR;
    strcpy(w->path, BUNDLE_APP_DIR "/");
    int result = read_ignore(w, fd, err);
    if (result == 0) {
        result = write_member(w, '5', NULL, 0755, 0, err);
    }
    if (result < 0) {
        close(fd);
    } else {
        result = write_directory(w, fd, err);
    }
    ignore_free(&w->ignore);
    free(w);
    return result;
}

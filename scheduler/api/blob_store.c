/* Content-addressed files. SPDX-License-Identifier: Apache-2.0 */
#include "blob_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <paas/file.h>
#include <paas/limits.h>
#include <paas/str.h>

enum { TAG_MAX = 128 /* bytes (distribution specification) */ };
#define DISK_RESERVE (256ULL << 20) /* bytes left to all else on the disk, or a twentieth of it */

/* A full disk has a code of its own. */
static int disk_error(struct err *err, int sys, const char *what) {
    err_sys(err, sys, "%s", what);
    err_mark_full(err);
    if (err && err->code == ERR_FULL) {
        err_hint(err, "make room where the platform keeps its data");
    }
    return -1;
}

/* The same for an error that file.h made. */
static int blame_disk(struct err *err) {
    return err && err->sys ? disk_error(err, err->sys, "writing to the registry") : -1;
}

/* A push must not take the room in which the store commits. */
static int check_room(int directory, size_t more, struct err *err) {
    struct statvfs disk;
    if (fstatvfs(directory, &disk) < 0) {
        return err_sys(err, errno, "measuring the disk");
    }
    uint64_t block = disk.f_frsize, left = disk.f_bavail * block;
    uint64_t reserve = disk.f_blocks * block / 20;
    reserve = reserve < DISK_RESERVE ? reserve : DISK_RESERVE;
    return left < reserve + more ? disk_error(err, ENOSPC, "writing to the registry") : 0;
}

/* ---- opening ---- */

static int open_directory(const char *base, const char *name, struct err *err) {
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", base, name) >= (int)sizeof path) {
        return err_set(err, ERR_BAD_VALUE, "path too long: %.80s…", base);
    }
    if (file_make_dirs(path, 0700, err) < 0) {
        return -1;
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? err_sys(err, errno, "opening %s", path) : fd;
}

/* Calls `each` for every name in a directory until it fails. */
static int for_names(int directory, int (*each)(void *data, int directory, const char *name),
    void *data, struct err *err) {
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    if (!entries) {
        int sys = errno;
        file_close(&fd);
        return err_sys(err, sys, "reading a directory of the registry");
    }
    int result = 0;
    struct dirent *entry;
    while (result == 0 && (entry = readdir(entries))) {
        if (entry->d_name[0] != '.') {
            result = each(data, directory, entry->d_name);
        }
    }
    closedir(entries);
    return result;
}

static int remove_upload(void *data, int directory, const char *name) {
    (void)data;
    unlinkat(directory, name, 0);
    return 0;
}

int blob_store_open(struct blob_store *s, const char *directory, struct err *err) {
    *s = (struct blob_store){ -1, -1, -1 };
    s->blobs = open_directory(directory, "blobs/sha256", err);
    s->uploads = s->blobs < 0 ? -1 : open_directory(directory, "uploads", err);
    s->tags = s->uploads < 0 ? -1 : open_directory(directory, "tags", err);
    if (s->tags < 0 || for_names(s->uploads, remove_upload, NULL, err) < 0) {
        blob_store_close(s);
        return -1;
    }
    return 0;
}

void blob_store_close(struct blob_store *s) {
    file_close(&s->blobs);
    file_close(&s->uploads);
    file_close(&s->tags);
}

/* ---- whole blobs ---- */

int blob_open(const struct blob_store *s, const char *digest, int64_t *size, struct err *err) {
    struct stat st;
    if (!str_is_digest(digest)) {
        return err_set(err, ERR_BAD_VALUE, "\"%.80s\" is not a sha256 digest", digest);
    }
    int fd = openat(s->blobs, digest_hex(digest), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        return err_set(err, ERR_NOT_FOUND, "the registry has no %s", digest);
    }
    if (fd < 0 || fstat(fd, &st) < 0) {
        int sys = errno;
        file_close(&fd);
        return err_sys(err, sys, "opening %s", digest);
    }
    *size = st.st_size;
    return fd;
}

int64_t blob_touch(const struct blob_store *s, const char *digest) {
    struct stat st;
    if (!str_is_digest(digest) ||
        fstatat(s->blobs, digest_hex(digest), &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return -1;
    }
    utimensat(s->blobs, digest_hex(digest), NULL, AT_SYMLINK_NOFOLLOW);
    return st.st_size;
}

int blob_read(const struct blob_store *s, const char *digest, struct buf *out, struct err *err) {
    struct err why;
    if (!str_is_digest(digest)) {
        return err_set(err, ERR_BAD_VALUE, "\"%.80s\" is not a sha256 digest", digest);
    }
    if (file_read_whole(s->blobs, digest_hex(digest), out, &why) == 0) {
        return 0;
    }
    if (why.code == ERR_NOT_FOUND) {
        return err_set(err, ERR_NOT_FOUND, "the registry has no %s", digest);
    }
    return err_set(err, why.code, "%s", why.text);
}

int blob_put(
    const struct blob_store *s, const char *digest, const struct buf *bytes, struct err *err) {
    return file_write_whole(
               s->blobs, digest_hex(digest), bytes->data, bytes->len, 0600, FILE_DURABLE, err) < 0
               ? blame_disk(err)
               : 0;
}

/* ---- blobs in pieces ---- */

void blob_writer_init(struct blob_writer *w, const char *id) {
    *w = (struct blob_writer){ .fd = -1 };
    str_copy(w->id, sizeof w->id, id);
}

static int begin(const struct blob_store *s, struct blob_writer *w, struct err *err) {
    if (w->fd >= 0) {
        return 0;
    }
    w->sum = digest_create();
    if (!w->sum) {
        return err_no_memory(err);
    }
    w->fd = openat(s->uploads, w->id, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return w->fd < 0 ? disk_error(err, errno, "making an upload") : 0;
}

int blob_writer_append(const struct blob_store *s, struct blob_writer *w, const void *bytes,
    size_t len, struct err *err) {
    if (begin(s, w, err) < 0 || check_room(s->uploads, len, err) < 0) {
        return -1;
    }
    digest_update(w->sum, bytes, len);
    return file_write_all(w->fd, bytes, len, err) < 0 ? blame_disk(err) : 0;
}

static int name_it(
    const struct blob_store *s, struct blob_writer *w, const char *digest, struct err *err) {
    char found[DIGEST_SIZE];
    digest_finish(w->sum, found);
    if (strcmp(found, digest) != 0) {
        return err_set(err, ERR_DIGEST, "what came is %s, not %s", found, digest);
    }
    if (fsync(w->fd) < 0) {
        return disk_error(err, errno, "writing a blob to disk");
    }
    if (renameat(s->uploads, w->id, s->blobs, digest_hex(digest)) < 0) {
        return disk_error(err, errno, "naming a blob");
    }
    return fsync(s->blobs) < 0 ? disk_error(err, errno, "writing a blob's name to disk") : 0;
}

int blob_writer_commit(
    const struct blob_store *s, struct blob_writer *w, const char *digest, struct err *err) {
    int result = begin(s, w, err) < 0 ? -1 : name_it(s, w, digest, err);
    /* What has its name is no upload any more: then this removes nothing. */
    blob_writer_abort(s, w);
    return result;
}

void blob_writer_abort(const struct blob_store *s, struct blob_writer *w) {
    if (w->fd >= 0) {
        unlinkat(s->uploads, w->id, 0);
        file_close(&w->fd);
    }
    digest_destroy(w->sum);
    w->sum = NULL;
}

/* ---- tags ---- */

bool blob_is_tag(const char *text) {
    static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    static const char more[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t len = strlen(text);
    return len > 0 && len <= TAG_MAX && strchr(first, text[0]) && strspn(text, more) == len;
}

enum { TAG_PATH_SIZE = NAME_SIZE + 1 + TAG_MAX + 1 };

int blob_tag_get(const struct blob_store *s, const char *app, const char *tag,
    char digest[DIGEST_SIZE], struct err *err) {
    char path[TAG_PATH_SIZE];
    struct buf text;
    snprintf(path, sizeof path, "%s/%s", app, tag);
    buf_init(&text, DIGEST_SIZE);
    int result = file_read_whole(s->tags, path, &text, NULL);
    if (result < 0 || !str_is_digest(buf_str(&text)) ||
        str_copy(digest, DIGEST_SIZE, buf_str(&text)) < 0) {
        result = err_set(err, ERR_NOT_FOUND, "the registry has no image %s:%s", app, tag);
    }
    buf_free(&text);
    return result;
}

int blob_tag_set(const struct blob_store *s, const char *app, const char *tag, const char *digest,
    struct err *err) {
    char path[TAG_PATH_SIZE];
    if (mkdirat(s->tags, app, 0700) < 0 && errno != EEXIST) {
        return disk_error(err, errno, "making a tag");
    }
    snprintf(path, sizeof path, "%s/%s", app, tag);
    return file_write_whole(s->tags, path, digest, strlen(digest), 0600, FILE_DURABLE, err) < 0
               ? blame_disk(err)
               : 0;
}

/* ---- collecting ---- */

struct collection {
    const struct map *keep;
    time_t before;
    uint64_t freed;
};

static int collect_one(void *data, int directory, const char *name) {
    struct collection *c = data;
    char digest[DIGEST_SIZE + NAME_MAX];
    struct stat st;
    snprintf(digest, sizeof digest, "sha256:%s", name);
    if (map_get(c->keep, digest) || fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        st.st_mtime > c->before) {
        return 0;
    }
    if (unlinkat(directory, name, 0) == 0) {
        c->freed += (uint64_t)st.st_size;
    }
    return 0;
}

int blob_collect(const struct blob_store *s, const struct map *keep, int64_t age_seconds,
    uint64_t *freed, struct err *err) {
    struct collection c = { .keep = keep, .before = time(NULL) - (time_t)age_seconds };
    int result = for_names(s->blobs, collect_one, &c, err);
    *freed += c.freed;
    return result;
}

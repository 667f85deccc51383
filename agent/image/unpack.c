/* A layer's tar becomes directories. SPDX-License-Identifier: Apache-2.0
 *
 * packed.c gives the bytes of the tar, libarchive reads its entries, tree.c makes files of them.
 * Here is what stands between: every entry is judged before anything of it is made.
 */
#include <paas/unpack.h>

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <paas/file.h>
#include <paas/str.h>

#include "cover.h"
#include "packed.h"
#include "times.h"
#include "tree.h"

const struct unpack_limits unpack_limits_default = {
    .bytes = UNPACKED_BYTES_MAX,
    .entries = 1000000,         /* the largest images have a few hundred thousand */
    .ratio = 400,               /* text packs to a tenth, runs of zeroes to a thousandth */
    .ratio_free = 256ULL << 20, /* small layers may pack as well as they like */
    .depth = 128,
    .path = TREE_PATH_SIZE - 1,
    .xattrs = 65536, /* XATTR_SIZE_MAX */
    .seconds = 900,
    .memory = 1ULL << 30, /* zstd's largest window is 128 MiB */
};

#define WHITEOUT_PREFIX ".wh."
#define WHITEOUT_META ".wh..wh." /* names that aufs keeps for itself */
#define WHITEOUT_OPAQUE ".wh..wh..opq"
enum { ID_MAX = 65535 /* the namespace maps no more */ };
#define DISK_RESERVE (256ULL << 20) /* bytes left to all else on the disk, or a twentieth of it */

struct unpack {
    const struct unpack_limits *limits;
    struct unpack_report *report;
    uint64_t room; /* bytes that the disk has for this layer */
    struct packed *packed;
    struct archive *tar;
    struct tree layer, hidden;
    struct times times; /* of the directories that entries describe */
    uint32_t implied;   /* directories that none does */
    bool complete;      /* the last file was whole, and nothing came after it */
    struct err source;  /* why the source of the tar's bytes failed, if it did */
};

static la_ssize_t on_tar_read(struct archive *a, void *data, const void **bytes) {
    struct unpack *u = data;
    ssize_t n = packed_read(u->packed, bytes, &u->source);
    if (n < 0) {
        archive_set_error(a, EIO, "%s", u->source.text);
        return ARCHIVE_FATAL;
    }
    return n;
}

static int tar_error(const struct unpack *u, struct err *err) {
    if (u->source.code != ERR_OK) {
        if (err) {
            *err = u->source;
        }
        return -1;
    }
    const char *words = archive_error_string(u->tar);
    return err_set(err, ERR_BAD_IMAGE, "the layer's tar is damaged: %.200s", words ? words : "");
}

/* ---- judging an entry ---- */

struct entry {
    struct archive_entry *entry;
    struct tree_path path;
    struct tree_owner owner;
    uint64_t size;
};

static int judge_budget(struct unpack *u, const struct entry *e, struct err *err) {
    struct unpack_report *r = u->report;
    char limit[STR_AMOUNT_MAX];
    r->entries++;
    if (r->entries + u->layer.implied.count + u->hidden.implied.count > u->limits->entries) {
        return err_set(err, ERR_TOO_LARGE, "the layer has more than %llu files",
            (unsigned long long)u->limits->entries);
    }
    if (e->size > u->limits->bytes - r->bytes) {
        return err_set(err, ERR_TOO_LARGE, "%.200s: with it the layer is larger than %s",
            e->path.text, str_format_size((int64_t)u->limits->bytes, limit));
    }
    if (e->size > u->room - r->bytes) {
        return err_set(err, ERR_FULL, "%.200s: the disk has %s left for the layer", e->path.text,
            str_format_size((int64_t)u->room, limit));
    }
    r->bytes += e->size;
    return 0;
}

static int judge_xattrs(const struct unpack *u, const struct entry *e, struct err *err) {
    const char *name;
    const void *value;
    size_t size, sum = 0;
    archive_entry_xattr_reset(e->entry);
    while (archive_entry_xattr_next(e->entry, &name, &value, &size) == ARCHIVE_OK) {
        if (size > u->limits->xattrs || strlen(name) > TREE_NAME_MAX ||
            (sum += size + strlen(name)) > u->limits->xattrs) {
            return err_set(err, ERR_TOO_LARGE, "%.200s: extended attributes over %u bytes",
                e->path.text, u->limits->xattrs);
        }
    }
    return 0;
}

static int judge(struct unpack *u, struct archive_entry *entry, struct entry *e, struct err *err) {
    const char *path = archive_entry_pathname(entry);
    *e = (struct entry){ .entry = entry };
    if (!path || !path[0]) {
        return err_set(err, ERR_BAD_IMAGE, "an entry without a readable name");
    }
    if (tree_path_parse(path, u->limits->path, u->limits->depth, &e->path, err) < 0) {
        return -1;
    }
    la_int64_t uid = archive_entry_uid(entry), gid = archive_entry_gid(entry);
    if (uid < 0 || uid > ID_MAX || gid < 0 || gid > ID_MAX) {
        return err_set(err, ERR_BAD_IMAGE, "%.200s: owner %lld:%lld, ids above %d can't be mapped",
            e->path.text, (long long)uid, (long long)gid, ID_MAX);
    }
    long nanoseconds = archive_entry_mtime_nsec(entry);
    e->owner = (struct tree_owner){
        .uid = (uint32_t)uid,
        .gid = (uint32_t)gid,
        .mode = archive_entry_perm(entry) & 07777,
        .mtime = { archive_entry_mtime(entry),
            nanoseconds >= 0 && nanoseconds < 1000000000 ? nanoseconds : 0 },
    };
    if (archive_entry_filetype(entry) == AE_IFREG && !archive_entry_hardlink(entry)) {
        la_int64_t size = archive_entry_size(entry);
        if (size < 0) {
            return err_set(err, ERR_BAD_IMAGE, "%.200s: a negative size", e->path.text);
        }
        e->size = (uint64_t)size;
    }
    return judge_budget(u, e, err) < 0 || judge_xattrs(u, e, err) < 0 ? -1 : 0;
}

/* ---- making it ---- */

/* Only attributes that any user may set, and none that an overlay would obey. */
static int set_xattrs(int fd, const struct entry *e, struct err *err) {
    const char *name;
    const void *value;
    size_t size;
    archive_entry_xattr_reset(e->entry);
    while (archive_entry_xattr_next(e->entry, &name, &value, &size) == ARCHIVE_OK) {
        if (!str_starts(name, "user.") || str_starts(name, "user.overlay.")) {
            continue;
        }
        if (fsetxattr(fd, name, value, size, 0) < 0 && errno != EOPNOTSUPP) {
            return tree_error(err, errno, "extended attributes of", e->path.text);
        }
    }
    return 0;
}

static int write_block(int fd, const void *bytes, size_t len, la_int64_t offset,
    const struct entry *e, struct err *err) {
    const char *from = bytes;
    if (offset < 0 || (uint64_t)offset > e->size || len > e->size - (uint64_t)offset) {
        return err_set(err, ERR_BAD_IMAGE, "%.200s: longer than it says", e->path.text);
    }
    while (len > 0) {
        ssize_t n = pwrite(fd, from, len, offset);
        if (n < 0 && errno != EINTR) {
            return tree_error(err, errno, "file", e->path.text);
        }
        if (n > 0) {
            from += n;
            offset += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

/* Holes at the end have no block. */
static int set_size(int fd, const struct entry *e, struct err *err) {
    return ftruncate(fd, (off_t)e->size) < 0 ? tree_error(err, errno, "file", e->path.text) : 0;
}

static int write_content(struct unpack *u, int fd, const struct entry *e, struct err *err) {
    uint64_t end = 0;
    for (;;) {
        const void *bytes;
        size_t len;
        la_int64_t offset;
        int result = archive_read_data_block(u->tar, &bytes, &len, &offset);
        if (result == ARCHIVE_EOF) {
            return set_size(fd, e, err);
        }
        /* Some writers (umoci insert) leave out the padding of the last file and what ends a tar:
         * nothing of the content is missing then. */
        u->complete = result < ARCHIVE_WARN && end == e->size && packed_ended(u->packed) &&
                      u->source.code == ERR_OK;
        if (u->complete) {
            return set_size(fd, e, err);
        }
        if (result < ARCHIVE_WARN) {
            return tar_error(u, err);
        }
        if (write_block(fd, bytes, len, offset, e, err) < 0) {
            return -1;
        }
        end = (uint64_t)offset + len;
    }
}

static int make_file(struct unpack *u, const struct entry *e, struct err *err) {
    CLEANUP_FD int fd = tree_file(&u->layer, &e->path, err);
    return fd < 0 || write_content(u, fd, e, err) < 0 || set_xattrs(fd, e, err) < 0
               ? -1
               : tree_own(fd, &e->owner, err);
}

static int make_directory(struct unpack *u, const struct entry *e, struct err *err) {
    CLEANUP_FD int fd = tree_directory(&u->layer, &e->path, err);
    if (fd < 0 || tree_own(fd, &e->owner, err) < 0 || set_xattrs(fd, e, err) < 0) {
        return -1;
    }
    return times_add(&u->times, e->path.text, e->owner.mtime, err);
}

static int make_symlink(struct unpack *u, const struct entry *e, struct err *err) {
    const char *target = archive_entry_symlink(e->entry);
    if (!target || !target[0] || strlen(target) > u->limits->path) {
        return err_set(err, ERR_BAD_IMAGE, "%.200s: a link without a usable target", e->path.text);
    }
    return tree_symlink(&u->layer, &e->path, target, &e->owner, err);
}

static int make_link(struct unpack *u, const struct entry *e, struct err *err) {
    struct tree_path target;
    if (tree_path_parse(archive_entry_hardlink(e->entry), u->limits->path, u->limits->depth,
            &target, err) < 0) {
        return err_wrap(err, "hard link %.200s", e->path.text);
    }
    return tree_link(&u->layer, &e->path, &target, err);
}

static int make_entry(struct unpack *u, const struct entry *e, struct err *err) {
    if (archive_entry_hardlink(e->entry)) {
        return make_link(u, e, err);
    }
    switch (archive_entry_filetype(e->entry)) {
    case AE_IFREG:
        return make_file(u, e, err);
    case AE_IFDIR:
        return make_directory(u, e, err);
    case AE_IFLNK:
        return make_symlink(u, e, err);
    case AE_IFIFO:
        return tree_fifo(&u->layer, &e->path, &e->owner, err);
    default:
        /* Devices and sockets: an instance has its own /dev, and no device works elsewhere. */
        return 0;
    }
}

/* ---- what a layer hides ---- */

/* Cuts the last name off; the path of its directory is left. */
static void cut_name(struct tree_path *path) {
    char *slash = strrchr(path->text, '/');
    *(slash ? slash : path->text) = '\0';
    path->depth--;
}

static int hide(struct unpack *u, const struct tree_path *path, struct err *err) {
    u->report->hides++;
    return tree_whiteout(&u->hidden, path, err);
}

/* All of a directory's former content: the directory below is hidden as a whole, and this layer has
 * one of its own over it. For the root, where nothing lies beside it to say so, the marker itself
 * does; see image_layer_names(). */
static int hide_content(struct unpack *u, const struct tree_path *marker, struct err *err) {
    struct tree_path directory = *marker;
    cut_name(&directory);
    if (!directory.text[0]) {
        return hide(u, marker, err);
    }
    CLEANUP_FD int fd = tree_directory(&u->layer, &directory, err);
    return fd < 0 ? -1 : hide(u, &directory, err);
}

static int hide_name(struct unpack *u, const struct tree_path *marker, struct err *err) {
    struct tree_path path = *marker;
    char *name = path.text + (tree_path_name(&path) - path.text);
    size_t len = strlen(name) - strlen(WHITEOUT_PREFIX);
    memmove(name, name + strlen(WHITEOUT_PREFIX), len + 1);
    if (!name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return err_set(err, ERR_BAD_IMAGE, "%.200s: a whiteout of nothing", marker->text);
    }
    return hide(u, &path, err);
}

/* True for what lies in a directory that aufs keeps for itself. */
static bool is_aufs_own(const char *path) {
    return str_starts(path, WHITEOUT_META) || strstr(path, "/" WHITEOUT_META);
}

static int unpack_entry(struct unpack *u, struct archive_entry *entry, struct err *err) {
    struct entry e;
    if (judge(u, entry, &e, err) < 0) {
        return -1;
    }
    const char *name = tree_path_name(&e.path);
    if (strcmp(name, WHITEOUT_OPAQUE) == 0) {
        return hide_content(u, &e.path, err);
    }
    if (is_aufs_own(e.path.text)) {
        return 0;
    }
    if (str_starts(name, WHITEOUT_PREFIX)) {
        return hide_name(u, &e.path, err);
    }
    return make_entry(u, &e, err);
}

/* ---- the whole of it ---- */

/* What other users of the disk need is not taken, so that a large layer can't stop them. */
static int measure_room(struct unpack *u, int directory, struct err *err) {
    struct statfs disk;
    if (fstatfs(directory, &disk) < 0) {
        return err_sys(err, errno, "measuring the disk");
    }
    uint64_t block = (uint64_t)disk.f_bsize, left = disk.f_bavail * block;
    uint64_t reserve = disk.f_blocks * block / 20;
    reserve = reserve < DISK_RESERVE ? reserve : DISK_RESERVE;
    u->room = left > reserve ? left - reserve : 0;
    return 0;
}

static int open_tar(struct unpack *u, struct err *err) {
    u->tar = archive_read_new();
    if (!u->tar) {
        return err_no_memory(err);
    }
    if (archive_read_support_format_tar(u->tar) != ARCHIVE_OK ||
        archive_read_support_format_empty(u->tar) != ARCHIVE_OK ||
        archive_read_open(u->tar, u, NULL, on_tar_read, NULL) != ARCHIVE_OK) {
        return tar_error(u, err);
    }
    return 0;
}

static int unpack_entries(struct unpack *u, struct err *err) {
    while (!u->complete) {
        struct archive_entry *entry;
        int result = archive_read_next_header(u->tar, &entry);
        if (result == ARCHIVE_EOF) {
            return 0;
        }
        /* A warning is about a name or attribute in a foreign encoding: its bytes are used. */
        if (result < ARCHIVE_WARN) {
            return tar_error(u, err);
        }
        if (unpack_entry(u, entry, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Directories of `made` that no entry described later. */
static int mark_implied(struct unpack *u, const struct strings *made, struct err *err) {
    for (size_t i = 0; i < made->count; i++) {
        struct tree_path path;
        if (times_have(&u->times, made->items[i])) {
            continue;
        }
        int marked =
            tree_path_parse(made->items[i], u->limits->path, u->limits->depth, &path, err) < 0
                ? -1
                : tree_mark(&u->hidden, &path, COVER_IMPLIED_MODE, err);
        if (marked < 0) {
            return -1;
        }
        u->implied += (uint32_t)marked;
    }
    return 0;
}

/* What covers of images with this layer will have to know. */
static int record_implied(struct unpack *u, struct err *err) {
    static const struct tree_path marker = { .text = UNPACK_COVER_MARKER, .depth = 1 };
    if (mark_implied(u, &u->layer.implied, err) < 0 ||
        mark_implied(u, &u->hidden.implied, err) < 0) {
        return -1;
    }
    u->report->hides += u->implied;
    return u->implied > 0 ? tree_whiteout(&u->hidden, &marker, err) : 0;
}

static int verify(struct unpack *u, const char *diff_id, struct err *err) {
    char digest[DIGEST_SIZE];
    if (packed_finish(u->packed, digest, err) < 0) {
        return -1;
    }
    if (strcmp(digest_hex(digest), diff_id) != 0) {
        return err_set(err, ERR_DIGEST, "the layer unpacks to %.19s…, the image says sha256:%.12s…",
            digest, diff_id);
    }
    return 0;
}

static void unpack_free(struct unpack *u) {
    times_free(&u->times);
    archive_read_free(u->tar);
    packed_close(u->packed);
    tree_finish(&u->layer);
    tree_finish(&u->hidden);
}

int unpack_unconfined(const struct unpack_job *job, const struct unpack_limits *limits,
    struct unpack_report *report, struct err *err) {
    struct unpack u = { .limits = limits, .report = report };
    *report = (struct unpack_report){ 0 };
    times_init(&u.times);
    tree_init(&u.layer, job->layer);
    tree_init(&u.hidden, job->hidden);
    int result = measure_room(&u, job->layer, err) < 0 ||
                         packed_open(job->tar, limits, &u.packed, err) < 0 ||
                         open_tar(&u, err) < 0 || unpack_entries(&u, err) < 0 ||
                         record_implied(&u, err) < 0 || times_set(&u.times, &u.layer, err) < 0 ||
                         verify(&u, job->diff_id, err) < 0
                     ? -1
                     : 0;
    unpack_free(&u);
    /* The name that says "whole" must not reach the disk before the files. */
    if (result == 0 && syncfs(job->layer) < 0) {
        result = tree_error(err, errno, "writing to disk", "");
    }
    return result;
}

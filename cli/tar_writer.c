/* A tar, written to a file while its digest is computed. SPDX-License-Identifier: Apache-2.0 */
#include "tar_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <paas/file.h>

enum {
    TAR_BLOCK = 512,
    TAR_BUFFER = 256 * 1024, /* bytes between two writes */
    TAR_NAME = 100,          /* bytes of a name, and of a target, without extension */
    TAR_PREFIX = 155,        /* bytes of the directories before it */
};

/* A header block, as POSIX has it. */
struct tar_header {
    char name[TAR_NAME], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type,
        target[TAR_NAME], magic[8], user[32], group[32], major[8], minor[8], prefix[TAR_PREFIX],
        rest[12];
};
_Static_assert(sizeof(struct tar_header) == TAR_BLOCK, "a header is one block");

struct tar_writer {
    int fd;
    int64_t size, max; /* bytes so far, and at most */
    struct digest *digest;
    size_t used;
    char buffer[TAR_BUFFER];
};

int tar_writer_open(int fd, int64_t max, struct tar_writer **out, struct err *err) {
    struct tar_writer *w = calloc(1, sizeof *w);
    *out = w;
    if (!w) {
        return err_no_memory(err);
    }
    w->fd = fd;
    w->max = max;
    w->digest = digest_create();
    if (!w->digest) {
        free(w);
        *out = NULL;
        return err_no_memory(err);
    }
    return 0;
}

static int flush(struct tar_writer *w, struct err *err) {
    digest_update(w->digest, w->buffer, w->used);
    int result = file_write_all(w->fd, w->buffer, w->used, err);
    w->used = 0;
    return result;
}

static int put(struct tar_writer *w, const void *bytes, size_t len, struct err *err) {
    const char *from = bytes;
    if ((int64_t)len > w->max - w->size) {
        return err_set(
            err, ERR_TOO_LARGE, "the files are larger than %lld bytes together", (long long)w->max);
    }
    w->size += (int64_t)len;
    while (len > 0) {
        size_t part = len < sizeof w->buffer - w->used ? len : sizeof w->buffer - w->used;
        memcpy(w->buffer + w->used, from, part);
        w->used += part;
        from += part;
        len -= part;
        if (w->used == sizeof w->buffer && flush(w, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int put_padding(struct tar_writer *w, struct err *err) {
    static const char zeroes[TAR_BLOCK];
    return put(w, zeroes, (size_t)((TAR_BLOCK - w->size % TAR_BLOCK) % TAR_BLOCK), err);
}

/* Copies text that may fill its field, without a NUL then. */
static void set_text(char *field, size_t size, const char *text, size_t len) {
    memcpy(field, text, len < size ? len : size);
}

static int put_header(struct tar_writer *w, const struct tar_member *m, const char *name,
    size_t name_len, size_t prefix_len, struct err *err) {
    struct tar_header h = { .type = m->type, .magic = "ustar\00000" };
    set_text(h.prefix, sizeof h.prefix, name, prefix_len);
    size_t from = prefix_len ? prefix_len + 1 : 0;
    set_text(h.name, sizeof h.name, name + from, name_len - from);
    snprintf(h.mode, sizeof h.mode, "%07o", m->mode & 07777);
    snprintf(h.uid, sizeof h.uid, "%07o", m->owner);
    snprintf(h.gid, sizeof h.gid, "%07o", m->owner);
    snprintf(h.size, sizeof h.size, "%011llo", (unsigned long long)m->size);
    snprintf(h.mtime, sizeof h.mtime, "%011o", 0);
    if (m->target) {
        set_text(h.target, sizeof h.target, m->target, strlen(m->target));
    }
    memset(h.checksum, ' ', sizeof h.checksum);
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof h; i++) {
        sum += ((const unsigned char *)&h)[i];
    }
    snprintf(h.checksum, sizeof h.checksum, "%06o", sum);
    return put(w, &h, sizeof h, err);
}

/* One record of an extended header: its length, which counts itself, key and value. */
static int add_record(struct buf *records, const char *key, const char *value) {
    size_t rest = strlen(key) + strlen(value) + 3, total = rest;
    while ((size_t)snprintf(NULL, 0, "%zu", total) + rest != total) {
        total = (size_t)snprintf(NULL, 0, "%zu", total) + rest;
    }
    return buf_printf(records, "%zu %s=%s\n", total, key, value);
}

static int put_extension(
    struct tar_writer *w, const char *path, const char *target, struct err *err) {
    struct buf records;
    struct tar_member m = { .type = 'x', .mode = 0644 };
    static const char name[] = "extended";
    buf_init(&records, 16384);
    if (path) {
        add_record(&records, "path", path);
    }
    if (target) {
        add_record(&records, "linkpath", target);
    }
    m.size = (int64_t)records.len;
    int result = records.failed ? err_no_memory(err) : 0;
    if (result == 0 && (put_header(w, &m, name, sizeof name - 1, 0, err) < 0 ||
                           put(w, records.data, records.len, err) < 0)) {
        result = -1;
    }
    buf_free(&records);
    return result < 0 ? -1 : put_padding(w, err);
}

/* Where a long name can be cut in two for the header: the length of the first part, 0 when it needs
 * no cut, -1 when there is no place. */
static int cut_of(const char *name, size_t len) {
    if (len <= TAR_NAME) {
        return 0;
    }
    for (size_t i = len > TAR_PREFIX ? TAR_PREFIX : len - 1; i > 0 && len - i - 1 <= TAR_NAME;
         i--) {
        if (name[i] == '/' && i < len - 1) {
            return (int)i;
        }
    }
    return -1;
}

int tar_writer_member(struct tar_writer *w, const struct tar_member *m, struct err *err) {
    size_t len = strlen(m->name);
    int cut = cut_of(m->name, len);
    const char *long_target = m->target && strlen(m->target) > TAR_NAME ? m->target : NULL;
    if (put_padding(w, err) < 0) {
        return -1;
    }
    if ((cut < 0 || long_target) &&
        put_extension(w, cut < 0 ? m->name : NULL, long_target, err) < 0) {
        return -1;
    }
    return put_header(w, m, m->name, len, cut > 0 ? (size_t)cut : 0, err);
}

int tar_writer_data(struct tar_writer *w, const void *bytes, size_t len, struct err *err) {
    return put(w, bytes, len, err);
}

int tar_writer_finish(
    struct tar_writer *w, char digest[DIGEST_SIZE], int64_t *size, struct err *err) {
    static const char zeroes[2 * TAR_BLOCK];
    if (put_padding(w, err) < 0 || put(w, zeroes, sizeof zeroes, err) < 0 || flush(w, err) < 0) {
        return -1;
    }
    digest_finish(w->digest, digest);
    *size = w->size;
    return 0;
}

void tar_writer_close(struct tar_writer *w) {
    if (w) {
        digest_destroy(w->digest);
        free(w);
    }
}

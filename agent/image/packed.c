/* A packed layer as the bytes of its tar. SPDX-License-Identifier: Apache-2.0
 *
 * libarchive unpacks: its "raw" format over one forced filter, so that nothing guesses and nothing
 * is unpacked twice. A plain tar passes by without it.
 */
#include "packed.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PACKED_CHUNK = 128 * 1024, /* bytes of one read: two fillings of a pipe */
    PACKED_MAGIC = 4,          /* bytes that tell gzip and zstd from the rest */
};

struct packed {
    const struct unpack_limits *limits;
    int fd;
    struct archive *filter; /* NULL: plain */
    struct digest *digest;
    uint64_t in, out; /* bytes read, bytes given */
    size_t ahead;     /* bytes at the start of `chunk` that were read to look at them */
    bool ended;
    int sys; /* errno of a failed read */
    char chunk[PACKED_CHUNK];
};

/* Reads up to a chunk from the input, first what was read ahead. */
static ssize_t read_input(struct packed *p) {
    if (p->ahead) {
        ssize_t n = (ssize_t)p->ahead;
        p->ahead = 0;
        return n;
    }
    ssize_t n;
    do {
        n = read(p->fd, p->chunk, sizeof p->chunk);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        p->sys = errno;
        return -1;
    }
    p->in += (uint64_t)n;
    return n;
}

static la_ssize_t on_filter_read(struct archive *a, void *data, const void **bytes) {
    struct packed *p = data;
    ssize_t n = read_input(p);
    if (n < 0) {
        archive_set_error(a, p->sys, "reading the layer: %s", strerror(p->sys));
        return ARCHIVE_FATAL;
    }
    *bytes = p->chunk;
    return n;
}

/* The filter that the first bytes ask for, or ARCHIVE_FILTER_NONE. */
static int sniff(const char *bytes, size_t len) {
    static const unsigned char gzip[] = { 0x1f, 0x8b }, zstd[] = { 0x28, 0xb5, 0x2f, 0xfd };
    if (len >= sizeof gzip && memcmp(bytes, gzip, sizeof gzip) == 0) {
        return ARCHIVE_FILTER_GZIP;
    }
    if (len >= sizeof zstd && memcmp(bytes, zstd, sizeof zstd) == 0) {
        return ARCHIVE_FILTER_ZSTD;
    }
    return ARCHIVE_FILTER_NONE;
}

static int look_ahead(struct packed *p, struct err *err) {
    while (p->ahead < PACKED_MAGIC) {
        ssize_t n = read(p->fd, p->chunk + p->ahead, sizeof p->chunk - p->ahead);
        if (n < 0 && errno != EINTR) {
            return err_sys(err, errno, "reading the layer");
        }
        if (n == 0) {
            break;
        }
        p->ahead += n > 0 ? (size_t)n : 0;
    }
    p->in = p->ahead;
    return 0;
}

static int filter_error(struct packed *p, struct err *err) {
    int number = archive_errno(p->filter);
    if (p->sys) {
        return err_sys(err, p->sys, "reading the layer");
    }
    if (number == ENOMEM) {
        return err_no_memory(err);
    }
    const char *words = archive_error_string(p->filter);
    return err_set(
        err, ERR_BAD_IMAGE, "the layer can't be unpacked: %.200s", words ? words : "damaged");
}

static int open_filter(struct packed *p, int filter, struct err *err) {
    struct archive_entry *entry;
    p->filter = archive_read_new();
    if (!p->filter) {
        return err_no_memory(err);
    }
    if (archive_read_support_format_raw(p->filter) != ARCHIVE_OK ||
        archive_read_append_filter(p->filter, filter) != ARCHIVE_OK) {
        return filter_error(p, err);
    }
    if (archive_read_open(p->filter, p, NULL, on_filter_read, NULL) != ARCHIVE_OK) {
        return filter_error(p, err);
    }
    int result = archive_read_next_header(p->filter, &entry);
    if (result == ARCHIVE_EOF) {
        p->ended = true;
    } else if (result != ARCHIVE_OK) {
        return filter_error(p, err);
    }
    return 0;
}

int packed_open(int fd, const struct unpack_limits *limits, struct packed **out, struct err *err) {
    struct packed *p = calloc(1, sizeof *p);
    *out = p;
    if (!p) {
        return err_no_memory(err);
    }
    p->fd = fd;
    p->limits = limits;
    p->digest = digest_create();
    if (!p->digest) {
        err_no_memory(err);
    } else if (look_ahead(p, err) == 0) {
        int filter = sniff(p->chunk, p->ahead);
        if (filter == ARCHIVE_FILTER_NONE || open_filter(p, filter, err) == 0) {
            return 0;
        }
    }
    packed_close(p);
    *out = NULL;
    return -1;
}

static int check_growth(const struct packed *p, struct err *err) {
    const struct unpack_limits *l = p->limits;
    /* The tar has headers and padding beside the files: twice their bound is more than enough. */
    if (p->out / 2 > l->bytes) {
        return err_set(err, ERR_TOO_LARGE, "the layer is larger than its limit");
    }
    if (p->out > l->ratio_free && p->out / l->ratio > p->in) {
        return err_set(err, ERR_TOO_LARGE, "the layer unpacks to over %llu times its size",
            (unsigned long long)l->ratio);
    }
    return 0;
}

ssize_t packed_read(struct packed *p, const void **bytes, struct err *err) {
    size_t len = 0;
    if (p->ended) {
        return 0;
    }
    if (p->filter) {
        la_int64_t offset;
        int result = archive_read_data_block(p->filter, bytes, &len, &offset);
        if (result != ARCHIVE_OK && result != ARCHIVE_EOF) {
            return filter_error(p, err);
        }
        p->ended = result == ARCHIVE_EOF;
    } else {
        ssize_t n = read_input(p);
        if (n < 0) {
            return err_sys(err, p->sys, "reading the layer");
        }
        *bytes = p->chunk;
        len = (size_t)n;
        p->ended = n == 0;
    }
    p->out += len;
    digest_update(p->digest, *bytes, len);
    return check_growth(p, err) < 0 ? -1 : (ssize_t)len;
}

bool packed_ended(const struct packed *p) {
    return p->ended;
}

int packed_finish(struct packed *p, char digest[DIGEST_SIZE], struct err *err) {
    const void *bytes;
    ssize_t n;
    while ((n = packed_read(p, &bytes, err)) > 0) {
    }
    if (n < 0) {
        return -1;
    }
    /* Whoever writes must not meet a closed pipe. */
    while ((n = read_input(p)) > 0 && p->in <= LAYER_BYTES_MAX) {
    }
    if (n != 0) {
        return n < 0 ? err_sys(err, p->sys, "reading the layer")
                     : err_set(err, ERR_TOO_LARGE, "the layer is larger than its limit");
    }
    digest_finish(p->digest, digest);
    return 0;
}

void packed_close(struct packed *p) {
    if (p) {
        archive_read_free(p->filter);
        digest_destroy(p->digest);
        free(p);
    }
}

/* Tars for tests. SPDX-License-Identifier: Apache-2.0 */
#include "tar_maker.h"

#include <archive.h>
#include <archive_entry.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 512 };

static void pad(struct buf *tar) {
    static const char zeroes[BLOCK];
    buf_append(tar, zeroes, (BLOCK - tar->len % BLOCK) % BLOCK);
}

/* Octal, or base 256 where octal has too few digits. */
static void number(char *field, size_t size, uint64_t value) {
    if (value >> (3 * (size - 1)) == 0) {
        snprintf(field, size, "%0*llo", (int)size - 1, (unsigned long long)value);
        return;
    }
    for (size_t i = size - 1; i > 0; i--, value >>= 8) {
        field[i] = (char)(value & 255);
    }
    field[0] = (char)0x80;
}

static void header(struct buf *tar, const struct tar_entry *e, uint64_t size) {
    char h[BLOCK] = { 0 };
    snprintf(h, 100, "%s", e->name);
    number(h + 100, 8, e->mode ? e->mode : 0644);
    number(h + 108, 8, e->uid);
    number(h + 116, 8, e->gid);
    number(h + 124, 12, size);
    number(h + 136, 12, 1000000000);
    h[156] = e->type;
    if (e->link) {
        snprintf(h + 157, 100, "%s", e->link);
    }
    memcpy(h + 257, "ustar\00000", 8);
    memset(h + 148, ' ', 8);
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof h; i++) {
        sum += (unsigned char)h[i];
    }
    snprintf(h + 148, 8, "%06o", sum);
    buf_append(tar, h, sizeof h);
}

static void extended(struct buf *tar, const char *records) {
    struct buf body;
    buf_init(&body, 1 << 20);
    while (*records) {
        int len = (int)strcspn(records, "\n"), total = len + 3;
        while (snprintf(NULL, 0, "%d", total) + len + 2 != total) {
            total++;
        }
        buf_printf(&body, "%d %.*s\n", total, len, records);
        records += len + (records[len] == '\n');
    }
    header(tar, &(struct tar_entry){ .name = "PaxHeader", .type = 'x' }, body.len);
    buf_append(tar, body.data, body.len);
    pad(tar);
    buf_free(&body);
}

void tar_add(struct buf *tar, const struct tar_entry *e) {
    size_t len = e->data ? strlen(e->data) : 0;
    if (e->pax) {
        extended(tar, e->pax);
    }
    header(tar, e, e->size ? e->size : len);
    buf_append(tar, e->data, len);
    pad(tar);
}

void tar_end(struct buf *tar) {
    static const char zeroes[2 * BLOCK];
    buf_append(tar, zeroes, sizeof zeroes);
}

void tar_gzip(const struct buf *tar, struct buf *out) {
    size_t room = tar->len + tar->len / 100 + 4096, used = 0;
    char *to = buf_reserve(out, room);
    struct archive *a = archive_write_new();
    struct archive_entry *entry = archive_entry_new();
    assert(to && a && entry);
    archive_write_set_format_raw(a);
    archive_write_add_filter_gzip(a);
    archive_write_set_bytes_per_block(a, 0);
    archive_entry_set_filetype(entry, AE_IFREG);
    int result = archive_write_open_memory(a, to, room, &used);
    result |= archive_write_header(a, entry);
    la_ssize_t n = archive_write_data(a, tar->data, tar->len);
    result |= archive_write_close(a);
    assert(result == ARCHIVE_OK && n == (la_ssize_t)tar->len);
    (void)n;
    archive_write_free(a);
    archive_entry_free(entry);
    out->len += used;
}

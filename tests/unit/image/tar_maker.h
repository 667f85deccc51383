/* Tars for tests, also such as no tool would write. SPDX-License-Identifier: Apache-2.0 */
#ifndef TAR_MAKER_H
#define TAR_MAKER_H

#include <stddef.h>
#include <stdint.h>

#include <paas/buf.h>

struct tar_entry {
    const char *name;
    char type; /* '0' file, '1' hard link, '2' symbolic link, '3' char, '5' directory, '6' fifo */
    const char *link;
    const char *data;
    uint64_t size; /* claimed; 0: that of `data` */
    unsigned mode; /* 0: 0644 */
    uint64_t uid, gid;
    const char *pax; /* records of an extended header before it: "path=a\n…" without lengths */
};

/* Appends an entry, with its padding. */
void tar_add(struct buf *tar, const struct tar_entry *e);
/* Ends the tar. */
void tar_end(struct buf *tar);
/* The same bytes in one gzip member, in stored blocks or, of zeroes, packed. */
void tar_gzip(const struct buf *tar, struct buf *out);

#endif

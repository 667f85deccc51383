/* A tar, written to a file while its digest is computed. SPDX-License-Identifier: Apache-2.0
 *
 * Plain ustar (POSIX 1003.1-1988), with an extended header (2001) only where a name is too long for
 * it: the same entries give the same bytes.
 */
#ifndef CLI_TAR_WRITER_H
#define CLI_TAR_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include <paas/digest.h>
#include <paas/err.h>

struct tar_writer;

struct tar_member {
    const char *name;   /* relative; of a directory with '/' at the end */
    char type;          /* '0' file, '2' symbolic link, '5' directory */
    const char *target; /* of a link */
    unsigned mode;      /* permissions */
    uint32_t owner;     /* uid and gid */
    int64_t size;       /* of a file; exactly so many bytes follow by tar_writer_data() */
};

/* Writes to `fd` (borrowed); more than `max` bytes are refused (ERR_TOO_LARGE). */
int tar_writer_open(int fd, int64_t max, struct tar_writer **out, struct err *err);
int tar_writer_member(struct tar_writer *w, const struct tar_member *m, struct err *err);
int tar_writer_data(struct tar_writer *w, const void *bytes, size_t len, struct err *err);
/* Writes the end, and says what was written. */
int tar_writer_finish(
    struct tar_writer *w, char digest[DIGEST_SIZE], int64_t *size, struct err *err);
void tar_writer_close(struct tar_writer *w);

#endif

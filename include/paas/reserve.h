/* Room on a disk, kept for what must be written when it is full. SPDX-License-Identifier:
 * Apache-2.0
 *
 * A file of zeros. Who finds the disk full where that must not be gives it up, writes, and keeps
 * what is left; with room again it grows to its size.
 */
#ifndef PAAS_RESERVE_H
#define PAAS_RESERVE_H

#include <stddef.h>
#include <sys/types.h>

#include <paas/err.h>

/* The name of a reserve in a directory of small files. */
#define RESERVE_NAME "reserve"

struct reserve {
    int dir;          /* or AT_FDCWD */
    const char *path; /* below `dir` */
    size_t bytes;
};

/* Keeps the room, or as much as there is. Blocks. */
void reserve_keep(const struct reserve *r);
/* Gives up what is kept. */
void reserve_give(const struct reserve *r);

/* file_write_whole() of `name` below r->dir, of what need not survive power loss, and mkdirat(2)
 * there: on a full disk they use the room that is kept. */
int reserve_write(const struct reserve *r, const char *name, const void *bytes, size_t len,
    mode_t mode, struct err *err);
int reserve_mkdir(const struct reserve *r, const char *name, mode_t mode);

#endif

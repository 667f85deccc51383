/* Files written whole or not at all, and paths that cannot leave their root.
 * SPDX-License-Identifier: Apache-2.0
 *
 * All of it blocks on the disk: call it off the loop, or on tmpfs. Descriptors are close-on-exec.
 */
#ifndef PAAS_FILE_H
#define PAAS_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include <paas/buf.h>
#include <paas/err.h>

enum file_flags {
    FILE_DURABLE = 1, /* fsync file and directory: survives power loss */
};

/* Writes `len` bytes to `name` below the directory `dir` (AT_FDCWD for a path): a temporary beside
 * it, fsync when FILE_DURABLE, then rename. A crash leaves the old content or the new. */
int file_write_whole(int dir, const char *name, const void *bytes, size_t len, mode_t mode,
    int flags, struct err *err);
/* Appends the whole file to `out`; ERR_NOT_FOUND when it is not there, ERR_TOO_LARGE past
 * out->max. */
int file_read_whole(int dir, const char *name, struct buf *out, struct err *err);
/* open(2) of a relative `path` that is resolved strictly beneath `dir`, following no symbolic link
 * (openat2(2) RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS). Returns the fd. */
int file_open_beneath(int dir, const char *path, int flags, mode_t mode, struct err *err);
/* mkdir -p of `path` with `mode` for every directory that it makes; existing ones stay as they
 * are. */
int file_make_dirs(const char *path, mode_t mode, struct err *err);
/* Removes a tree that this process may write, `name` below `dir`, without following links; nothing
 * there is no error. */
int file_remove_tree(int dir, const char *name, struct err *err);
/* Writes all `len` bytes to `fd`, whatever short writes come. */
int file_write_all(int fd, const void *bytes, size_t len, struct err *err);
/* Closes *fd unless it is -1 and makes it -1. For __attribute__((cleanup)). */
void file_close(int *fd);
#define CLEANUP_FD __attribute__((cleanup(file_close)))

/* Writes this boot's id (/proc/sys/kernel/random/boot_id) as a string. */
enum { BOOT_ID_SIZE = 37 };
int file_boot_id(char id[BOOT_ID_SIZE], struct err *err);

#endif

/* Room on a disk. SPDX-License-Identifier: Apache-2.0 */
#include <paas/reserve.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <paas/file.h>

enum { LEAST = 4096 /* a block */ };

void reserve_keep(const struct reserve *r) {
    struct stat there;
    if (fstatat(r->dir, r->path, &there, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(there.st_mode) &&
        there.st_size >= (off_t)r->bytes) {
        return;
    }
    CLEANUP_FD int fd = openat(r->dir, r->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || fstat(fd, &there) < 0 || there.st_size >= (off_t)r->bytes) {
        return;
    }
    off_t size = there.st_size;
    for (off_t step = (off_t)r->bytes - size; step >= LEAST; step /= 2) {
        while (size + step <= (off_t)r->bytes && fallocate(fd, 0, size, step) == 0) {
            size += step;
        }
        /* What an attempt without room took before it failed goes back with the file's size. */
        if (ftruncate(fd, size) < 0) {
            return;
        }
    }
}

void reserve_give(const struct reserve *r) {
    unlinkat(r->dir, r->path, 0);
}

int reserve_write(const struct reserve *r, const char *name, const void *bytes, size_t len,
    mode_t mode, struct err *err) {
    struct err first;
    int result = file_write_whole(r->dir, name, bytes, len, mode, 0, &first);
    if (result < 0 && first.sys == ENOSPC) {
        reserve_give(r);
        result = file_write_whole(r->dir, name, bytes, len, mode, 0, &first);
    }
    if (result < 0 && err) {
        *err = first;
    }
    reserve_keep(r);
    return result;
}

int reserve_mkdir(const struct reserve *r, const char *name, mode_t mode) {
    if (mkdirat(r->dir, name, mode) == 0) {
        return 0;
    }
    if (errno != ENOSPC) {
        return -1;
    }
    reserve_give(r);
    int result = mkdirat(r->dir, name, mode), sys = errno;
    reserve_keep(r);
    errno = sys;
    return result;
}

/* Room on a disk. SPDX-License-Identifier: Apache-2.0 */
#include <paas/reserve.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <paas/file.h>

enum { LEAST = 4096 /* a block */ };

void reserve_keep(const char *path, size_t bytes) {
    struct stat there;
    CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || fstat(fd, &there) < 0 || there.st_size >= (off_t)bytes) {
        return;
    }
    /* What an attempt without room took before it failed goes back with the file's size. */
    for (; bytes >= LEAST && bytes > (size_t)there.st_size; bytes /= 2) {
        if (fallocate(fd, 0, 0, (off_t)bytes) == 0 || ftruncate(fd, there.st_size) < 0) {
            return;
        }
    }
}

void reserve_give(const char *path) {
    unlink(path);
}

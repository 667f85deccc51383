/* Any bytes as a layer stay inside the layer's directory. SPDX-License-Identifier: Apache-2.0
 *
 * Beside the two directories of the layer lies a third, whose content must never change. Each input
 * is unpacked as it is; the digest at the end is wrong nearly always, after everything was made.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <paas/file.h>
#include <paas/unpack.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool true_always) {
    if (!true_always) {
        abort();
    }
}

static int make_directory(int base, const char *name) {
    must(mkdirat(base, name, 0755) == 0);
    int fd = openat(base, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(fd >= 0);
    return fd;
}

/* The neighbour has one file with one byte, untouched since it was made. */
static void check_neighbour(int base, const struct timespec *made) {
    struct stat st;
    must(fstatat(base, "neighbour", &st, 0) == 0 && st.st_nlink == 2 &&
         st.st_mtim.tv_sec == made->tv_sec && st.st_mtim.tv_nsec == made->tv_nsec);
    must(fstatat(base, "neighbour/file", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
         st.st_size == 1 && st.st_nlink == 1 && st.st_uid == getuid());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct unpack_limits limits = { .bytes = 1 << 20,
        .entries = 200,
        .ratio = 100,
        .ratio_free = 1 << 20,
        .depth = 16,
        .path = 1000,
        .xattrs = 4096,
        .seconds = 60 };
    char path[] = "/dev/shm/paas-fuzz-unpack.XXXXXX";
    struct unpack_report report;
    struct err err = { 0 };
    struct stat st;
    must(mkdtemp(path) != NULL);
    int base = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int tar = memfd_create("layer", MFD_CLOEXEC), neighbour = make_directory(base, "neighbour");
    struct unpack_job job = {
        .tar = tar,
        .layer = make_directory(base, "layer"),
        .hidden = make_directory(base, "hidden"),
        .report = -1,
    };
    must(file_write_whole(neighbour, "file", "x", 1, 0600, 0, NULL) == 0);
    must(fstat(neighbour, &st) == 0);
    must(file_write_all(tar, data, size, NULL) == 0 && lseek(tar, 0, SEEK_SET) == 0);
    umask(0);
    int result = unpack_unconfined(&job, &limits, &report, &err);
    must((result == 0) == (err.code == ERR_OK) && report.bytes <= limits.bytes);
    check_neighbour(base, &st.st_mtim);
    close(tar);
    close(neighbour);
    close(job.layer);
    close(job.hidden);
    close(base);
    must(file_remove_tree(AT_FDCWD, path, NULL) == 0);
    return 0;
}

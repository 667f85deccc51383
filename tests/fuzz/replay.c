/* Runs a fuzz target over the files of folders, without a fuzzer. SPDX-License-Identifier:
 * Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { INPUT_MAX = 1 << 20 /* bytes of one file */ };

static void run_file(int dir, const char *name) {
    uint8_t *bytes = malloc(INPUT_MAX);
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, bytes, INPUT_MAX) : -1;
    if (len >= 0) {
        printf("%s\n", name);
        fflush(stdout);
        LLVMFuzzerTestOneInput(bytes, (size_t)len);
    }
    if (fd >= 0) {
        close(fd);
    }
    free(bytes);
}

int main(int argc, char **argv) {
    int ran = 0;
    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        if (!dir) {
            perror(argv[i]);
            return 1;
        }
        for (struct dirent *entry; (entry = readdir(dir));) {
            if (entry->d_type == DT_REG) {
                run_file(dirfd(dir), entry->d_name);
                ran++;
            }
        }
        closedir(dir);
    }
    return ran ? 0 : 1;
}

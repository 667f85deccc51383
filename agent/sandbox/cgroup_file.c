/* Files and directories of a cgroup tree. SPDX-License-Identifier: Apache-2.0 */
#include "cgroup.h"

#include <paas/clock.h>
#include <paas/file.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BUSY_WAIT_MS = 200, /* a cgroup stays busy for a moment after its last process */
    BUSY_STEP_MS = 2,
};

int cgroup_write(int dir, const char *file, const char *text, struct err *err) {
    CLEANUP_FD int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);
    size_t len = strlen(text);
    if (fd < 0 || write(fd, text, len) != (ssize_t)len) {
        return err_sys(err, errno, "write %s to cgroup file %s", text, file);
    }
    return 0;
}

int cgroup_write_number(int dir, const char *file, uint64_t number, struct err *err) {
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    return cgroup_write(dir, file, text, err);
}

int cgroup_give(int dir, const char *file, uid_t uid, struct err *err) {
    return fchownat(dir, file, uid, uid, 0) < 0 ? err_sys(err, errno, "give away %s", file) : 0;
}

void cgroup_count_anew(int dir) {
    char text[CGROUP_TEXT_MAX];
    cgroup_read(dir, "memory.stat", text, NULL);
}

int cgroup_not_found_or(struct err *err, int sys, const char *what) {
    return sys == ENOENT || sys == ENODEV ? err_set(err, ERR_NOT_FOUND, "no %s", what)
                                          : err_sys(err, sys, "%s", what);
}

int cgroup_read(int dir, const char *file, char text[CGROUP_TEXT_MAX], struct err *err) {
    CLEANUP_FD int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, CGROUP_TEXT_MAX - 1);
    if (n < 0) {
        return cgroup_not_found_or(err, errno, file);
    }
    text[n] = '\0';
    return (int)n;
}

uint64_t cgroup_value(const char *text, const char *key) {
    size_t n = strlen(key);
    for (const char *line = text; line && *line;) {
        if (strncmp(line, key, n) == 0 && line[n] == ' ') {
            return strtoull(line + n + 1, NULL, 10);
        }
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    return 0;
}

uint64_t cgroup_read_number(int dir, const char *file) {
    char text[CGROUP_TEXT_MAX];
    return cgroup_read(dir, file, text, NULL) < 0 ? 0 : strtoull(text, NULL, 10);
}

int cgroup_open_dir(int dir, const char *name, struct err *err) {
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? cgroup_not_found_or(err, errno, name) : fd;
}

int cgroup_make_dir(int dir, const char *name, struct err *err) {
    if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST) {
        return err_sys(err, errno, "make cgroup %s", name);
    }
    return cgroup_open_dir(dir, name, err);
}

int cgroup_remove_dir(int dir, const char *name, struct err *err) {
    msec deadline = clock_msec() + BUSY_WAIT_MS;
    while (unlinkat(dir, name, AT_REMOVEDIR) < 0) {
        if (errno == ENOENT) {
            return 0;
        }
        if (errno != EBUSY || clock_msec() >= deadline) {
            return err_sys(err, errno, "remove cgroup %s", name);
        }
        poll(NULL, 0, BUSY_STEP_MS);
    }
    return 0;
}

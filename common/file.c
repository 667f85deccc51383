/* Files written whole or not at all. SPDX-License-Identifier: Apache-2.0 */
#include <paas/file.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 /* PATH_MAX: longer paths are refused by the kernel too */ };

void file_close(int *fd) {
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

int file_write_all(int fd, const void *bytes, size_t len, struct err *err) {
    const char *p = bytes;
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno != EINTR) {
            return err_sys(err, errno, "writing %zu bytes", len);
        }
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

/* fsync of the directory that holds `name`, so that the rename lasts. */
static int sync_directory(int dir, const char *name, struct err *err) {
    char path[PATH_BYTES];
    const char *slash = strrchr(name, '/');
    size_t len = slash ? (size_t)(slash - name) : 1;
    if (len >= sizeof path) {
        return err_set(err, ERR_BAD_VALUE, "path too long: %.80s…", name);
    }
    memcpy(path, slash ? name : ".", len);
    path[len] = '\0';
    CLEANUP_FD int fd = openat(dir, len ? path : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0) {
        return err_sys(err, errno, "fsync of the directory of %s", name);
    }
    return 0;
}

static int fill(int fd, const char *name, const void *bytes, size_t len, mode_t mode, int flags,
    struct err *err) {
    if (file_write_all(fd, bytes, len, err) < 0) {
        return err_wrap(err, "%s", name);
    }
    if (fchmod(fd, mode) < 0) {
        return err_sys(err, errno, "fchmod of %s", name);
    }
    if ((flags & FILE_DURABLE) && fsync(fd) < 0) {
        return err_sys(err, errno, "fsync of %s", name);
    }
    return 0;
}

int file_write_whole(int dir, const char *name, const void *bytes, size_t len, mode_t mode,
    int flags, struct err *err) {
    char temporary[PATH_BYTES];
    if (snprintf(temporary, sizeof temporary, "%s.%d.tmp", name, (int)getpid()) >=
        (int)sizeof temporary) {
        return err_set(err, ERR_BAD_VALUE, "path too long: %.80s…", name);
    }
    CLEANUP_FD int fd =
        openat(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_sys(err, errno, "creating %s", temporary);
    }
    if (fill(fd, temporary, bytes, len, mode, flags, err) < 0) {
        unlinkat(dir, temporary, 0);
        return -1;
    }
    if (renameat(dir, temporary, dir, name) < 0) {
        err_sys(err, errno, "renaming %s to %s", temporary, name);
        unlinkat(dir, temporary, 0);
        return -1;
    }
    return (flags & FILE_DURABLE) ? sync_directory(dir, name, err) : 0;
}

int file_read_whole(int dir, const char *name, struct buf *out, struct err *err) {
    CLEANUP_FD int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int sys = errno;
        err_sys(err, sys, "opening %s", name);
        if (err && sys == ENOENT) {
            err->code = ERR_NOT_FOUND;
        }
        return -1;
    }
    for (;;) {
        char chunk[16384];
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return err_sys(err, errno, "reading %s", name);
        }
        if (n == 0) {
            return 0;
        }
        bool fits = (size_t)n <= out->max - out->len;
        if (buf_append(out, chunk, (size_t)n) < 0 && fits) {
            return err_no_memory(err);
        }
        if (!fits) {
            return err_set(err, ERR_TOO_LARGE, "%s is larger than %zu bytes", name, out->max);
        }
    }
}

int file_open_beneath(int dir, const char *path, int flags, mode_t mode, struct err *err) {
    struct open_how how = {
        .flags = (unsigned)(flags | O_CLOEXEC),
        .mode = flags & (O_CREAT | __O_TMPFILE) ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    int fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
    return fd < 0 ? err_sys(err, errno, "opening %s", path) : fd;
}

int file_make_dirs(const char *path, mode_t mode, struct err *err) {
    char partial[PATH_BYTES];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof partial) {
        return err_set(err, ERR_BAD_VALUE, "not a usable path: \"%.80s\"", path);
    }
    memcpy(partial, path, len + 1);
    for (char *p = partial + 1;; p++) {
        if (*p && *p != '/') {
            continue;
        }
        char end = *p;
        *p = '\0';
        if (mkdir(partial, mode) < 0 && errno != EEXIST) {
            return err_sys(err, errno, "making directory %s", partial);
        }
        if (!end) {
            return 0;
        }
        *p = end;
    }
}

static int remove_entries(int fd, struct err *err);

static int remove_entry(int dir, const char *name, struct err *err) {
    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT) {
        return 0;
    }
    if (errno != EISDIR && errno != EPERM) {
        return err_sys(err, errno, "removing %s", name);
    }
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return err_sys(err, errno, "opening directory %s", name);
    }
    if (remove_entries(fd, err) < 0) {
        return err_wrap(err, "%s", name);
    }
    if (unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT) {
        return err_sys(err, errno, "removing directory %s", name);
    }
    return 0;
}

/* Removes everything in the directory `fd` and closes it. */
static int remove_entries(int fd, struct err *err) {
    DIR *entries = fdopendir(fd);
    if (!entries) {
        close(fd);
        return err_sys(err, errno, "reading a directory");
    }
    int result = 0;
    struct dirent *entry;
    while (result == 0 && (entry = readdir(entries))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            result = remove_entry(dirfd(entries), entry->d_name, err);
        }
    }
    closedir(entries);
    return result;
}

int file_remove_tree(int dir, const char *name, struct err *err) {
    return remove_entry(dir, name, err);
}

int file_boot_id(char id[BOOT_ID_SIZE], struct err *err) {
    static _Thread_local char known[BOOT_ID_SIZE]; /* it stays as long as the process */
    struct buf text;
    if (known[0]) {
        memcpy(id, known, BOOT_ID_SIZE);
        return 0;
    }
    buf_init(&text, 64);
    int result = file_read_whole(AT_FDCWD, "/proc/sys/kernel/random/boot_id", &text, err);
    if (result == 0 && text.len < BOOT_ID_SIZE - 1) {
        result = err_set(err, ERR_SYSTEM, "the kernel's boot id is too short");
    }
    if (result == 0) {
        memcpy(id, text.data, BOOT_ID_SIZE - 1);
        id[BOOT_ID_SIZE - 1] = '\0';
        memcpy(known, id, BOOT_ID_SIZE);
    }
    buf_free(&text);
    return result;
}

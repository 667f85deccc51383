/* Directories of a platform and whom they belong to. SPDX-License-Identifier: Apache-2.0 */
#include "owners.h"

#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <paas/buf.h>
#include <paas/file.h>

/* A directory below the data or run directory: who owns it, who may enter. */
struct owned {
    bool run;
    const char *name;
    uint32_t user, group; /* ids within slot 0; 0 is root */
    mode_t mode;
};

static const struct owned owned[] = {
    { false, "", 0, 0, 0711 },
    { false, "log", 0, 0, 0750 },
    { false, "scheduler", 1, 1, 0700 },
    { false, "agent", 2, 2, 0700 },
    { false, "proxy", 3, 3, 0700 },
    { true, "", 0, 0, 0755 },
    { true, "agent", 2, 2, 0711 },
    { true, "proxy", 3, 3, 0711 },
    /* The spawner's; the agent looks at what is there. After those above: what
     * they move to new ids removes it. */
    { false, "layers", 0, 2, 0751 },
};

static void number_path(const struct places *places, char path[PLACES_SIZE + 16]) {
    snprintf(path, PLACES_SIZE + 16, "%s/platform", places->data);
}

int owners_number(const struct places *places) {
    char path[PLACES_SIZE + 16];
    number_path(places, path);
    struct buf text;
    buf_init(&text, 64);
    int number = file_read_whole(AT_FDCWD, path, &text, NULL) == 0 ? atoi(buf_str(&text)) : -1;
    buf_free(&text);
    return number;
}

static int give_tree(int fd, uid_t id, struct err *err);

static int give_entry(int dir, const char *name, uid_t id, struct err *err) {
    if (fchownat(dir, name, id, id, AT_SYMLINK_NOFOLLOW) < 0) {
        return err_sys(err, errno, "giving %s to user %u", name, (unsigned)id);
    }
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOTDIR || errno == ELOOP ? 0 : err_sys(err, errno, "opening %s", name);
    }
    return give_tree(fd, id, err);
}

/* Gives everything in the directory `fd` to `id` and closes it. */
static int give_tree(int fd, uid_t id, struct err *err) {
    DIR *entries = fdopendir(fd);
    if (!entries) {
        close(fd);
        return err_sys(err, errno, "reading a directory");
    }
    int result = 0;
    struct dirent *entry;
    while (result == 0 && (entry = readdir(entries))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            result = give_entry(dirfd(entries), entry->d_name, id, err);
        }
    }
    closedir(entries);
    return result;
}

static void owned_path(
    const struct places *places, const struct owned *o, char *path, size_t size) {
    snprintf(
        path, size, "%s%s%s", o->run ? places->run : places->data, o->name[0] ? "/" : "", o->name);
}

static int set_one(
    const struct places *places, const struct owned *o, uint32_t id_base, struct err *err) {
    char path[PLACES_SIZE * 2];
    uid_t id = o->user ? id_base + o->user : 0;
    gid_t group = o->group ? id_base + o->group : 0;
    owned_path(places, o, path, sizeof path);
    if (file_make_dirs(path, o->mode, err) < 0) {
        return -1;
    }
    CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchown(fd, id, group) < 0 || fchmod(fd, o->mode) < 0) {
        return err_sys(err, errno, "giving %s to user %u", path, (unsigned)id);
    }
    return 0;
}

/* Unpacked layers: whose files have ids of the old number. */
static const char *layers_path(const struct places *places, char *path, size_t size) {
    snprintf(path, size, "%s/layers", places->data);
    return path;
}

/* What a part wrote under another platform number becomes its new id's. The directory itself
 * follows in set_one(): until then it tells that its content may be another's. */
static int move_one(
    const struct places *places, const struct owned *o, uint32_t id_base, struct err *err) {
    char path[PLACES_SIZE * 2];
    struct stat facts;
    uid_t id = id_base + o->user;
    owned_path(places, o, path, sizeof path);
    if (o->run || !o->user || stat(path, &facts) < 0 || facts.st_uid == id) {
        return 0;
    }
    if (file_remove_tree(AT_FDCWD, layers_path(places, path, sizeof path), err) < 0) {
        return -1;
    }
    owned_path(places, o, path, sizeof path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? err_sys(err, errno, "opening %s", path) : give_tree(fd, id, err);
}

int owners_set(const struct places *places, int number, uint32_t id_base, struct err *err) {
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) {
        if (move_one(places, &owned[i], id_base, err) < 0 ||
            set_one(places, &owned[i], id_base, err) < 0) {
            return -1;
        }
    }
    if (owners_number(places) == number) {
        return 0;
    }
    char path[PLACES_SIZE + 16], text[16];
    number_path(places, path);
    int len = snprintf(text, sizeof text, "%d\n", number);
    return file_write_whole(AT_FDCWD, path, text, (size_t)len, 0644, FILE_DURABLE, err);
}

/* User namespaces. SPDX-License-Identifier: Apache-2.0 */
#include "idmap.h"
#include "ns.h"

#include <paas/file.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PATH_SIZE = 48, /* "4194304/ns/user" and the like */
    MAP_SIZE = 40,  /* three 32-bit numbers, blanks, newline */
};

/* One line of a uid_map, used for users and groups alike. */
struct idmap {
    uint32_t inside, outside, count;
};

void idmap_cache_init(struct idmap_cache *cache, uint32_t id_base, const struct lean *lean) {
    *cache = (struct idmap_cache){ .id_base = id_base, .proc = -1, .lean = lean };
    for (size_t i = 0; i < IDMAP_SLOTS; i++) {
        cache->slots[i] = (struct idmap_pair){ -1, -1 };
    }
}

static void forget(struct idmap_cache *cache, uint32_t slot) {
    struct idmap_pair *pair = &cache->slots[slot];
    if (pair->app >= 0 || pair->layers >= 0) {
        cache->kept--;
    }
    file_close(&pair->app);
    file_close(&pair->layers);
}

void idmap_cache_finish(struct idmap_cache *cache) {
    for (uint32_t i = 0; i < IDMAP_SLOTS; i++) {
        forget(cache, i);
    }
}

static int write_map(
    int proc, pid_t pid, const char *file, const struct idmap *map, struct err *err) {
    char path[PATH_SIZE], line[MAP_SIZE];
    snprintf(path, sizeof path, "%d/%s", pid, file);
    int len = snprintf(line, sizeof line, "%u %u %u\n", map->inside, map->outside, map->count);
    CLEANUP_FD int fd = openat(proc, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, line, (size_t)len) != len) {
        return err_sys(err, errno, "write %s", file);
    }
    return 0;
}

static int map_and_open(int proc, pid_t pid, const struct idmap *map, struct err *err) {
    if (write_map(proc, pid, "uid_map", map, err) < 0 ||
        write_map(proc, pid, "gid_map", map, err) < 0) {
        return -1;
    }
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%d/ns/user", pid);
    int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? err_sys(err, errno, "open the namespace") : fd;
}

static int make(const struct idmap_cache *cache, const struct idmap *map, struct err *err) {
    CLEANUP_FD int pidfd = -1;
    struct ns_clone how = { .flags = CLONE_NEWUSER, .cgroup = -1, .lean = cache->lean };
    pid_t pid = ns_clone(&how, &pidfd);
    if (pid < 0) {
        return err_sys(err, errno, "make a user namespace");
    }
    if (pid == 0) {
        /* It only has to be there; it is killed as soon as the namespace is held, or with its
         * maker. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            pause();
        }
    }
    int fd = map_and_open(cache->proc, pid, map, err);
    ns_kill_and_reap(pidfd);
    return fd < 0 ? err_wrap(err, "user namespace") : fd;
}

static struct idmap map_of(const struct idmap_cache *cache, uint32_t slot, bool layers) {
    uint32_t ids = sandbox_ids(cache->id_base, slot);
    uint32_t store = sandbox_ids(cache->id_base, SANDBOX_SLOT_STORE);
    /* A layer never names paas-init's id, so the map for mounts ends one before it. */
    return layers ? (struct idmap){ store, ids, SANDBOX_IDS_PER_SLOT - 1 }
                  : (struct idmap){ 0, ids, SANDBOX_IDS_PER_SLOT };
}

/* The next namespace that `slot` lacks, or NULL. */
static int *missing(struct idmap_pair *pair) {
    return pair->app < 0 ? &pair->app : pair->layers < 0 ? &pair->layers : NULL;
}

static int make_next(struct idmap_cache *cache, uint32_t slot, struct err *err) {
    struct idmap_pair *pair = &cache->slots[slot];
    bool first = pair->app < 0 && pair->layers < 0;
    int *next = missing(pair);
    if (!next) {
        return 0;
    }
    struct idmap map = map_of(cache, slot, next == &pair->layers);
    *next = make(cache, &map, err);
    if (*next < 0) {
        return -1;
    }
    cache->kept += first;
    return 1;
}

int idmap_prepare(struct idmap_cache *cache, uint32_t slot, struct err *err) {
    return cache->kept >= IDMAP_KEPT_MAX ? 0 : make_next(cache, slot, err);
}

int idmap_get(struct idmap_cache *cache, uint32_t slot, struct idmap_pair *out, struct err *err) {
    int made;
    do {
        made = make_next(cache, slot, err);
    } while (made > 0);
    if (made < 0) {
        return -1;
    }
    *out = cache->slots[slot];
    return 0;
}

void idmap_put(struct idmap_cache *cache, uint32_t slot) {
    if (cache->kept > IDMAP_KEPT_MAX) {
        forget(cache, slot);
    }
}

/* How much memory the cgroups above all sandboxes leave them. SPDX-License-Identifier: Apache-2.0
 */
#include "cgroup.h"

#include <paas/buf.h>
#include <paas/file.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEVELS_MAX = 32,       /* deeper nobody nests; ends a walk that would not end */
    STAT_TEXT_MAX = 16384, /* memory.stat has some sixty lines */
};

/* Page cache of the group that the kernel lets go of when somebody needs the room, as MemAvailable
 * counts it: what was not used lately, and half of what was. */
static int64_t reclaimable(const struct cgroup_backend *backend, int dir) {
    struct buf text;
    buf_init(&text, STAT_TEXT_MAX);
    int64_t bytes = 0;
    if (file_read_whole(dir, "memory.stat", &text, NULL) == 0) {
        bytes = (int64_t)(cgroup_value(buf_str(&text), backend->inactive_file) +
                          cgroup_value(buf_str(&text), backend->active_file) / 2);
    }
    buf_free(&text);
    return bytes;
}

/* Takes one level's limit into account. False where there is none above. */
static bool look_at(
    const struct cgroup_backend *backend, int dir, int64_t *total, int64_t *available) {
    char text[CGROUP_TEXT_MAX];
    if (cgroup_read(dir, backend->memory_limit, text, NULL) < 0) {
        return false;
    }
    uint64_t limit = strtoull(text, NULL, 10);
    if (strncmp(text, "max", 3) == 0 || limit >= (uint64_t)*total) {
        return true; /* v1 says "no limit" by a number no machine has */
    }
    int64_t used = (int64_t)cgroup_read_number(dir, backend->memory_usage);
    int64_t left = (int64_t)limit - used + reclaimable(backend, dir);
    left = left < 0 ? 0 : left > (int64_t)limit ? (int64_t)limit : left;
    *total = (int64_t)limit;
    *available = left < *available ? left : *available;
    return true;
}

void sandbox_memory_room(const struct sandbox_cgroups *c, int64_t *total, int64_t *available) {
    CLEANUP_FD int dir = openat(c->v1[0] >= 0 ? c->v1[0] : c->instances, ".", O_RDONLY | O_CLOEXEC);
    for (int level = 0; dir >= 0 && level < LEVELS_MAX; level++) {
        if (!look_at(c->backend, dir, total, available)) {
            return;
        }
        int above = openat(dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        file_close(&dir);
        dir = above;
    }
}

/* Children without the libraries that they never use. SPDX-License-Identifier: Apache-2.0 */
#include "lean.h"

#include <paas/file.h>

#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { MAPS_TEXT_MAX = 1 << 20 /* bytes of /proc/self/maps: some 10,000 mappings */ };

/* Whether the program's calls are all bound: a call bound late would search libraries that are not
 * there. */
static bool is_bound(void) {
    for (const ElfW(Dyn) *d = _DYNAMIC; d->d_tag != DT_NULL; d++) {
        if (d->d_tag == DT_BIND_NOW || (d->d_tag == DT_FLAGS && d->d_un.d_val & DF_BIND_NOW) ||
            (d->d_tag == DT_FLAGS_1 && d->d_un.d_val & DF_1_NOW)) {
            return true;
        }
    }
    return false;
}

/* A library's own segment, but of none that the child runs on. */
static bool is_dispensable(const char *path) {
    const char *name = strrchr(path, '/');
    return name && strstr(name, ".so") && strncmp(name, "/libc.", 6) != 0 &&
           strncmp(name, "/libc-", 6) != 0 && strncmp(name, "/ld-", 4) != 0 &&
           strncmp(name, "/ld.", 4) != 0;
}

static void add(struct lean *lean, uintptr_t from, uintptr_t to) {
    if (lean->count > 0) {
        size_t last = lean->count - 1;
        if ((uintptr_t)lean->ranges[last].at + lean->ranges[last].len == from) {
            lean->ranges[last].len += to - from;
            return;
        }
    }
    if (lean->count < LEAN_RANGES_MAX) {
        lean->ranges[lean->count].at = (void *)from;
        lean->ranges[lean->count].len = to - from;
        lean->count++;
    }
}

void lean_find(struct lean *lean) {
    lean->count = 0;
    if (LEAN_SANITIZED || !is_bound() || getenv("LD_PRELOAD") || getenv("LD_AUDIT")) {
        return;
    }
    struct buf maps;
    buf_init(&maps, MAPS_TEXT_MAX);
    if (file_read_whole(AT_FDCWD, "/proc/self/maps", &maps, NULL) == 0) {
        char *save = NULL;
        for (char *line = strtok_r(maps.data, "\n", &save); line;
             line = strtok_r(NULL, "\n", &save)) {
            unsigned long from, to;
            const char *path = strchr(line, '/');
            if (path && is_dispensable(path) && sscanf(line, "%lx-%lx", &from, &to) == 2) {
                add(lean, from, to);
            }
        }
    }
    buf_free(&maps);
}

static void advise(const struct lean *lean, int advice) {
    for (size_t i = 0; lean && i < lean->count; i++) {
        madvise(lean->ranges[i].at, lean->ranges[i].len, advice);
    }
}

void lean_begin(const struct lean *lean) {
    advise(lean, MADV_DONTFORK);
}

void lean_end(const struct lean *lean) {
    advise(lean, MADV_DOFORK);
}

/* What this host has and has left. SPDX-License-Identifier: Apache-2.0 */
#include "capacity.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <paas/buf.h>
#include <paas/file.h>

enum { MEMINFO_MAX = 16384 };

/* The kibibytes on the line that starts with `name`, in bytes; 0 without one. */
static int64_t read_line(const char *text, const char *name) {
    const char *at = strstr(text, name);
    return at ? strtoll(at + strlen(name), NULL, 10) * 1024 : 0;
}

int capacity_read(const struct sandbox_cgroups *cgroups, struct capacity *out, struct err *err) {
    struct buf text;
    buf_init(&text, MEMINFO_MAX);
    int result = file_read_whole(AT_FDCWD, "/proc/meminfo", &text, err);
    if (result == 0) {
        out->memory_total = read_line(buf_str(&text), "MemTotal:");
        out->memory_available = read_line(buf_str(&text), "MemAvailable:");
        out->swap_total = read_line(buf_str(&text), "SwapTotal:");
        out->swap_free = read_line(buf_str(&text), "SwapFree:");
        sandbox_memory_room(cgroups, &out->memory_total, &out->memory_available);
        out->cpus = sysconf(_SC_NPROCESSORS_ONLN) * 1000;
    }
    buf_free(&text);
    return result;
}

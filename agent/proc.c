/* What /proc says of processes. SPDX-License-Identifier: Apache-2.0 */
#include "proc.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <paas/file.h>

enum { PROC_FILE_MAX = 65536 /* bytes: 8,000 children of one process */ };

static char *read_file(const char *path) {
    struct buf text;
    buf_init(&text, PROC_FILE_MAX);
    if (file_read_whole(AT_FDCWD, path, &text, NULL) < 0) {
        buf_free(&text);
        return NULL;
    }
    return buf_take(&text);
}

int proc_start_time(pid_t pid, uint64_t *ticks) {
    enum { STATE_FIELD = 3, START_FIELD = 22 };
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    char *text = read_file(path);
    /* The name in field 2 may hold anything; it ends with the last parenthesis. */
    const char *at = text ? strrchr(text, ')') : NULL;
    for (int field = STATE_FIELD; at && field <= START_FIELD; field++) {
        at = strchr(at + 1, ' ');
    }
    int result = at ? 0 : -1;
    if (at) {
        *ticks = strtoull(at, NULL, 10);
    }
    free(text);
    return result;
}

/* The last number of the line "NSpid:" of /proc/pid/status: its pid in its own namespace. */
static pid_t inner_pid(pid_t pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    char *text = read_file(path);
    char *line = text ? strstr(text, "\nNSpid:") : NULL;
    pid_t found = 0;
    if (line) {
        char *end = strchr(line + 1, '\n');
        if (end) {
            *end = '\0';
        }
        char *last = strrchr(line, '\t');
        found = last ? (pid_t)strtol(last, NULL, 10) : 0;
    }
    free(text);
    return found;
}

pid_t proc_child(pid_t parent, pid_t inner) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
    char *text = read_file(path);
    char *at = text;
    pid_t found = 0;
    while (at && *at && !found) {
        pid_t child = (pid_t)strtol(at, &at, 10);
        if (child <= 0) {
            break;
        }
        if (inner_pid(child) == inner) {
            found = child;
        }
    }
    free(text);
    return found;
}

/* What the agent may do with a sandbox's cgroup. SPDX-License-Identifier: Apache-2.0 */
#include "cgroup.h"

#include <paas/file.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sandbox_cgroups *sandbox_cgroups_open(const char *cgroup, struct err *err) {
    struct sandbox_cgroups *c = malloc(sizeof *c);
    if (!c) {
        err_no_memory(err);
        return NULL;
    }
    if (cgroup_open(c, cgroup, 0, err) < 0) {
        free(c);
        return NULL;
    }
    return c;
}

void sandbox_cgroups_close(struct sandbox_cgroups *c) {
    if (c) {
        cgroup_close(c);
        free(c);
    }
}

/* Opens ID/app. */
static int open_app(const struct sandbox_cgroups *c, const char *id, struct err *err) {
    char path[SANDBOX_ID_MAX + sizeof "/app"];
    if (strnlen(id, SANDBOX_ID_MAX) == SANDBOX_ID_MAX || !id[0] || strchr(id, '/') ||
        id[0] == '.') {
        return err_set(err, ERR_BAD_VALUE, "bad id");
    }
    snprintf(path, sizeof path, "%s/app", id);
    int fd = openat(c->instances, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? cgroup_not_found_or(err, errno, "sandbox with this id") : fd;
}

int sandbox_usage(
    const struct sandbox_cgroups *c, const char *id, struct sandbox_usage *out, struct err *err) {
    char text[CGROUP_TEXT_MAX];
    *out = (struct sandbox_usage){ 0 };
    CLEANUP_FD int app = open_app(c, id, err);
    if (app < 0 || cgroup_read(app, "cgroup.events", text, err) < 0) {
        return -1;
    }
    out->populated = cgroup_value(text, "populated") != 0;
    out->frozen = cgroup_value(text, "frozen") != 0;
    if (cgroup_read(app, "cpu.stat", text, err) < 0) {
        return -1;
    }
    out->cpu_usec = cgroup_value(text, "usage_usec");
    return c->backend->usage(c, id, app, out, err);
}

int sandbox_freeze(const struct sandbox_cgroups *c, const char *id, bool frozen, struct err *err) {
    CLEANUP_FD int app = open_app(c, id, err);
    return app < 0 ? -1 : cgroup_write(app, "cgroup.freeze", frozen ? "1" : "0", err);
}

int sandbox_swap(const struct sandbox_cgroups *c, const char *id, bool allowed, struct err *err) {
    CLEANUP_FD int app = open_app(c, id, err);
    return app < 0 ? -1 : c->backend->swap(c, id, app, allowed, err);
}

int sandbox_give_back(const struct sandbox_cgroups *c, const char *id, struct err *err) {
    CLEANUP_FD int app = open_app(c, id, err);
    return app < 0 ? -1 : c->backend->give_back(c, id, app, err);
}

int sandbox_kill(const struct sandbox_cgroups *c, const char *id, struct err *err) {
    CLEANUP_FD int app = open_app(c, id, err);
    return app < 0 ? -1 : cgroup_write(app, "cgroup.kill", "1", err);
}

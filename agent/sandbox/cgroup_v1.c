/* Limits by v1 controllers beside a v2 tree (a hybrid host). SPDX-License-Identifier: Apache-2.0 */
#include "cgroup.h"

#include <paas/file.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MEMORY, CPU, PIDS }; /* indexes of sandbox_cgroups.v1 */

enum {
    CPU_PERIOD_USEC = 100000, /* the kernel's own default */
    CPU_SHARES_ONE = 1024,    /* cpu.shares of one cpu */
    CPU_SHARES_MIN = 2,       /* the kernel's bound */
    CPU_SHARES_MAX = 262144,

    SWAPPINESS = 100, /* memory goes to swap as readily as files are let go of */
};

/* Has the kernel signal an eventfd whenever this memory cgroup is out of memory. */
static int watch_oom(int memory, struct err *err) {
    CLEANUP_FD int control = openat(memory, "memory.oom_control", O_RDONLY | O_CLOEXEC);
    CLEANUP_FD int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (control < 0 || event < 0) {
        return err_sys(err, errno, "watch for lack of memory");
    }
    char text[32];
    snprintf(text, sizeof text, "%d %d", event, control);
    if (cgroup_write(memory, "cgroup.event_control", text, err) < 0) {
        return -1;
    }
    int made = event;
    event = -1;
    return made;
}

static int limit_memory(int dir, const struct cgroup_limits *limits, struct err *err) {
    if (cgroup_write_number(dir, "memory.limit_in_bytes", limits->memory_bytes, err) < 0) {
        return -1;
    }
    /* With swap, never above memory alone; the file is there where the kernel accounts swap. */
    struct err own;
    if (cgroup_write_number(dir, "memory.memsw.limit_in_bytes", limits->memory_bytes, &own) < 0 &&
        own.sys != ENOENT) {
        return err ? (*err = own, -1) : -1;
    }
    if (cgroup_write(dir, "memory.swappiness", "0", err) < 0 ||
        cgroup_give(dir, "memory.swappiness", limits->agent_uid, err) < 0) {
        return -1;
    }
    return cgroup_give(dir, "memory.force_empty", limits->agent_uid, err);
}

static uint64_t clamp(uint64_t value, uint64_t min, uint64_t max) {
    return value < min ? min : value > max ? max : value;
}

static int limit_cpu(int dir, const struct cgroup_limits *limits, struct err *err) {
    uint64_t milli = limits->cpu_milli;
    uint64_t shares = clamp(milli * CPU_SHARES_ONE / 1000, CPU_SHARES_MIN, CPU_SHARES_MAX);
    if (cgroup_write_number(dir, "cpu.shares", shares, err) < 0) {
        return -1;
    }
    return cgroup_write_number(dir, "cpu.cfs_quota_us", milli * CPU_PERIOD_USEC / 1000, err);
}

static int limit_pids(int dir, const struct cgroup_limits *limits, struct err *err) {
    return cgroup_write_number(dir, "pids.max", limits->pids_max, err);
}

static int (*const limit_in[CGROUP_V1])(int, const struct cgroup_limits *, struct err *) = {
    [MEMORY] = limit_memory,
    [CPU] = limit_cpu,
    [PIDS] = limit_pids,
};

static int open_tasks(int dir, struct cgroup_app *out, struct err *err) {
    int fd = openat(dir, "tasks", O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_sys(err, errno, "open tasks");
    }
    out->join[out->n_join++] = fd;
    return 0;
}

static int v1_limit(const struct sandbox_cgroups *c, const char *id, int app,
    const struct cgroup_limits *limits, struct cgroup_app *out, struct err *err) {
    (void)app;
    for (int i = 0; i < CGROUP_V1; i++) {
        CLEANUP_FD int dir = cgroup_make_dir(c->v1[i], id, err);
        if (dir < 0 || limit_in[i](dir, limits, err) < 0 || open_tasks(dir, out, err) < 0) {
            return -1;
        }
        if (i == MEMORY && (out->oom = watch_oom(dir, err)) < 0) {
            return -1;
        }
    }
    return 0;
}

static int v1_join(
    const struct sandbox_cgroups *c, const char *id, struct cgroup_app *out, struct err *err) {
    for (int i = 0; i < CGROUP_V1; i++) {
        CLEANUP_FD int dir = openat(c->v1[i], id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0) {
            return err_set(err, ERR_NOT_FOUND, "no cgroup of %s", id);
        }
        if (open_tasks(dir, out, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int v1_remove(const struct sandbox_cgroups *c, const char *id, struct err *err) {
    for (int i = 0; i < CGROUP_V1; i++) {
        if (cgroup_remove_dir(c->v1[i], id, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int v1_usage(const struct sandbox_cgroups *c, const char *id, int app,
    struct sandbox_usage *out, struct err *err) {
    (void)app;
    CLEANUP_FD int memory = openat(c->v1[MEMORY], id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_FD int pids = openat(c->v1[PIDS], id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char text[CGROUP_TEXT_MAX];
    if (memory < 0 || pids < 0) {
        return err_set(err, ERR_NOT_FOUND, "no cgroup of %s", id);
    }
    out->memory_bytes = cgroup_read_number(memory, "memory.usage_in_bytes");
    out->memory_peak = cgroup_read_number(memory, "memory.max_usage_in_bytes");
    uint64_t both = cgroup_read_number(memory, "memory.memsw.usage_in_bytes");
    out->swapped_bytes = both > out->memory_bytes ? both - out->memory_bytes : 0;
    out->pids = cgroup_read_number(pids, "pids.current");
    if (cgroup_read(memory, "memory.oom_control", text, err) < 0) {
        return -1;
    }
    out->oom_kills = cgroup_value(text, "oom_kill");
    return 0;
}

static int v1_swap(
    const struct sandbox_cgroups *c, const char *id, int app, bool allowed, struct err *err) {
    (void)app;
    CLEANUP_FD int memory = cgroup_open_dir(c->v1[MEMORY], id, err);
    if (memory < 0) {
        return -1;
    }
    return cgroup_write_number(memory, "memory.swappiness", allowed ? SWAPPINESS : 0, err);
}

/* The kernel looks at the swappiness at each step, so with 0 it soon finds nothing more to do,
 * however much the app uses meanwhile. */
static int v1_give_back(const struct sandbox_cgroups *c, const char *id, int app, struct err *err) {
    (void)app;
    CLEANUP_FD int memory = cgroup_open_dir(c->v1[MEMORY], id, err);
    if (memory < 0) {
        return -1;
    }
    cgroup_count_anew(memory);
    return cgroup_write(memory, "memory.force_empty", "0", err);
}

const struct cgroup_backend cgroup_v1 = {
    .name = "v1",
    .memory_limit = "memory.limit_in_bytes",
    .memory_usage = "memory.usage_in_bytes",
    .inactive_file = "total_inactive_file",
    .active_file = "total_active_file",
    .limit = v1_limit,
    .join = v1_join,
    .remove = v1_remove,
    .usage = v1_usage,
    .swap = v1_swap,
    .give_back = v1_give_back,
};

/* Limits by v2 controllers. SPDX-License-Identifier: Apache-2.0 */
#include "cgroup.h"

#include <paas/file.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

enum {
    CPU_PERIOD_USEC = 100000, /* the kernel's own default */
    CPU_WEIGHT_ONE = 100,     /* cpu.weight of one cpu */
    CPU_WEIGHT_MIN = 1,       /* the kernel's bounds */
    CPU_WEIGHT_MAX = 10000,
};

/* What is reclaimed by one write: a thaw meanwhile is soon rid of it. */
static const char reclaim_step[] = "16777216";

static int limit_memory(int app, const struct cgroup_limits *limits, struct err *err) {
    if (cgroup_write_number(app, "memory.max", limits->memory_bytes, err) < 0 ||
        cgroup_write(app, "memory.oom.group", "1", err) < 0) {
        return -1;
    }
    struct err own;
    if (cgroup_write(app, "memory.swap.max", "0", &own) < 0) {
        return own.sys == ENOENT ? 0 /* a kernel without swap */ : err ? (*err = own, -1) : -1;
    }
    if (cgroup_give(app, "memory.swap.max", limits->agent_uid, err) < 0) {
        return -1;
    }
    return cgroup_give(app, "memory.reclaim", limits->agent_uid, err);
}

static int limit_cpu(int app, const struct cgroup_limits *limits, struct err *err) {
    uint64_t milli = limits->cpu_milli;
    uint64_t weight = milli * CPU_WEIGHT_ONE / 1000;
    weight = weight < CPU_WEIGHT_MIN ? CPU_WEIGHT_MIN : weight;
    weight = weight > CPU_WEIGHT_MAX ? CPU_WEIGHT_MAX : weight;
    char text[48];
    snprintf(text, sizeof text, "%llu %d", (unsigned long long)(milli * CPU_PERIOD_USEC / 1000),
        CPU_PERIOD_USEC);
    if (cgroup_write(app, "cpu.max", text, err) < 0) {
        return -1;
    }
    return cgroup_write_number(app, "cpu.weight", weight, err);
}

static int v2_limit(const struct sandbox_cgroups *c, const char *id, int app,
    const struct cgroup_limits *limits, struct cgroup_app *out, struct err *err) {
    (void)c;
    (void)id;
    if (limit_memory(app, limits, err) < 0 || limit_cpu(app, limits, err) < 0 ||
        cgroup_write_number(app, "pids.max", limits->pids_max, err) < 0) {
        return -1;
    }
    out->oom = openat(app, "memory.events", O_RDONLY | O_CLOEXEC);
    return out->oom < 0 ? err_sys(err, errno, "open memory.events") : 0;
}

static int v2_join(
    const struct sandbox_cgroups *c, const char *id, struct cgroup_app *out, struct err *err) {
    (void)c;
    (void)id;
    (void)out;
    (void)err;
    return 0;
}

static int v2_remove(const struct sandbox_cgroups *c, const char *id, struct err *err) {
    (void)c;
    (void)id;
    (void)err;
    return 0;
}

static int v2_usage(const struct sandbox_cgroups *c, const char *id, int app,
    struct sandbox_usage *out, struct err *err) {
    (void)c;
    (void)id;
    char text[CGROUP_TEXT_MAX];
    out->memory_bytes = cgroup_read_number(app, "memory.current");
    out->memory_peak = cgroup_read_number(app, "memory.peak");
    out->swapped_bytes = cgroup_read_number(app, "memory.swap.current");
    out->pids = cgroup_read_number(app, "pids.current");
    if (cgroup_read(app, "memory.events", text, err) < 0) {
        return -1;
    }
    out->oom_kills = cgroup_value(text, "oom_kill");
    return 0;
}

static int v2_swap(
    const struct sandbox_cgroups *c, const char *id, int app, bool allowed, struct err *err) {
    (void)c;
    (void)id;
    /* The kernel lets the limit be set below what is there. */
    return cgroup_write_number(
        app, "memory.swap.max", allowed ? cgroup_read_number(app, "memory.max") : 0, err);
}

static int v2_give_back(const struct sandbox_cgroups *c, const char *id, int app, struct err *err) {
    (void)c;
    (void)id;
    struct err own;
    cgroup_count_anew(app);
    if (cgroup_write(app, "memory.reclaim", reclaim_step, &own) < 0 && own.sys != EAGAIN) {
        return err ? (*err = own, -1) : -1;
    }
    return 0; /* with EAGAIN, it was less than asked for */
}

const struct cgroup_backend cgroup_v2 = {
    .name = "v2",
    .memory_limit = "memory.max",
    .memory_usage = "memory.current",
    .inactive_file = "inactive_file",
    .active_file = "active_file",
    .limit = v2_limit,
    .join = v2_join,
    .remove = v2_remove,
    .usage = v2_usage,
    .swap = v2_swap,
    .give_back = v2_give_back,
};

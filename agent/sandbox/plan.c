/* The way from clone3 to execve. SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"
#include "mount.h"
#include "ns.h"

#include <assert.h>
#include <stdio.h>
#include <sys/mount.h>

/* All of /proc is read-only. Of what Docker masks, kcore, timer_list and the like belong to the
 * host's root and can't be read by an instance; these can, where the kernel has them. */
const char *const plan_masks[PLAN_MASKS] = {
    "keys",       /* names of keys of the kernel's key rings */
    "interrupts", /* tells keystrokes and other tenants' traffic */
    "scsi", "acpi", "asound", "latency_stats",
    "sched_debug", /* names of all processes, on old kernels */
};

enum {
    HIDDEN = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
    SYSTEM = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
};

/* Every root has these. Only /dev lets devices work, and nobody can make one there. */
static const struct plan_mount common_mounts[] = {
    { "proc", PLAN_PROC, NULL, 0, HIDDEN },
    { "dev", PLAN_SHARED, NS_DEV, 0, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC },
    { "dev/pts", PLAN_PTS, NULL, 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC },
    { "tmp", PLAN_WRITABLE, "tmp", 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV },
};

/* In memory it is a part of the writable file system, and shares its bounds. */
static const struct plan_mount shm_in_memory = { "dev/shm", PLAN_WRITABLE, "shm", 0,
    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };
static const struct plan_mount shm_beside_disk = { "dev/shm", PLAN_SHM, NULL, 0,
    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };

static const struct plan_mount host_mounts[] = {
    { "usr", PLAN_SHARED, NS_USR, MOUNT_WITH_CHILDREN, SYSTEM },
    { "etc/ssl", PLAN_SHARED, NS_SSL, 0, HIDDEN },
};

/* One for every mask: targets need memory that outlives the plan. */
static const char *const mask_targets[PLAN_MASKS] = { "proc/keys", "proc/interrupts", "proc/scsi",
    "proc/acpi", "proc/asound", "proc/latency_stats", "proc/sched_debug" };

static struct plan_step *add(struct plan *p, enum plan_kind kind) {
    assert(p->count < PLAN_STEPS_MAX);
    struct plan_step *step = &p->steps[p->count++];
    *step = (struct plan_step){ .kind = kind };
    return step;
}

static void add_mounts(struct plan *p, const struct plan_mount *mounts, size_t count) {
    for (size_t i = 0; i < count; i++) {
        add(p, STEP_MOUNT)->mount = mounts[i];
    }
}

static void add_masks(struct plan *p, const struct features *features) {
    for (unsigned i = 0; i < PLAN_MASKS; i++) {
        struct plan_mount mask = { mask_targets[i], PLAN_SHARED, NULL, 0, HIDDEN };
        if (features->mask_files >> i & 1) {
            /* A device it must be: only it reads as empty and takes writes. */
            mask.from = NS_DEV "/null";
            mask.attr &= ~(unsigned)MOUNT_ATTR_NODEV;
        } else if (features->mask_dirs >> i & 1) {
            mask.from = NS_EMPTY;
        } else {
            continue;
        }
        add(p, STEP_MOUNT)->mount = mask;
    }
}

static void add_root(struct plan *p, const struct sandbox_spec *spec) {
    add(p, STEP_WRITABLE);
    /* overlayfs wants the uppermost layer first. */
    for (uint32_t i = spec->n_layers; i > 0; i--) {
        add(p, STEP_LAYER)->layer = i - 1;
    }
    if (spec->stack == SANDBOX_HOST) {
        add(p, STEP_LAYER)->layer = spec->n_layers;
    }
    add(p, STEP_ROOT);
}

void plan_make(const struct sandbox_spec *spec, const struct features *features, bool network,
    struct plan *out) {
    out->count = 0;
    add(out, STEP_CGROUPS);
    add_root(out, spec);
    add_mounts(out, common_mounts, sizeof common_mounts / sizeof common_mounts[0]);
    add_mounts(out, spec->flags & SANDBOX_DISK ? &shm_beside_disk : &shm_in_memory, 1);
    add_masks(out, features);
    if (spec->stack == SANDBOX_HOST) {
        add_mounts(out, host_mounts, sizeof host_mounts / sizeof host_mounts[0]);
    }
    add(out, STEP_PIVOT);
    add(out, STEP_HOSTNAME);
    if (network) {
        add(out, STEP_NETWORK);
    }
    add(out, STEP_DESCRIPTORS);
    add(out, STEP_LIMITS);
    /* Last of the namespaces: the others belong to the host's user namespace, so that the instance
     * owns none of them. */
    add(out, STEP_USER);
    add(out, STEP_PRIVILEGES);
}

void plan_describe(const struct plan_step *step, char *text, size_t size) {
    static const char *const words[STEP_COUNT] = {
#define X(id, w) [STEP_##id] = w,
        PLAN_STEPS(X)
#undef X
    };
    const char *object = step->kind == STEP_MOUNT ? step->mount.target : NULL;
    snprintf(
        text, size, "can't %s%s%s", words[step->kind], object ? " " : "", object ? object : "");
}

/* Defaults and checks of a sandbox's spec. SPDX-License-Identifier: Apache-2.0 */
#include "ext4.h"

#include <paas/sandbox.h>

#include <string.h>

enum {
    MEBI = 1 << 20,
    MEMORY_MIN = 1 * MEBI,
    ROOTFS_MIN = 64 << 10,
    CPU_MILLI_MIN = 10, /* the kernel's least quota is 1 ms in 100 */
    CPU_MILLI_MAX = 1024 * 1000,
    PIDS_MAX = 1 << 20,
    FILES_MIN = 64, /* what paas-init itself needs, and some */
    FILES_MAX = 1 << 20,
};

static const uint64_t memory_max = 1ULL << 50; /* 1 PiB: more is a mistake, not a machine */

void sandbox_spec_init(struct sandbox_spec *spec) {
    *spec = (struct sandbox_spec){
        .cpu_milli = 1000,
        .pids_max = 512,
        .files_max = 1024,
        .memory_bytes = 128 * MEBI,
        .rootfs_bytes = 64 * MEBI,
    };
}

static bool all_of(const char *s, size_t len, const char *set) {
    for (size_t i = 0; i < len; i++) {
        if (!s[i] || !strchr(set, s[i])) {
            return false;
        }
    }
    return true;
}

static bool id_ok(const char *id) {
    size_t len = strnlen(id, SANDBOX_ID_MAX);
    return len > 0 && len < SANDBOX_ID_MAX && all_of(id, len, "abcdefghijklmnopqrstuvwxyz234567");
}

static bool hostname_ok(const char *name) {
    size_t len = strnlen(name, SANDBOX_HOSTNAME_MAX);
    return len > 0 && len < SANDBOX_HOSTNAME_MAX && name[0] != '-' && name[0] != '.' &&
           all_of(name, len, "abcdefghijklmnopqrstuvwxyz0123456789-.");
}

static bool layers_ok(const struct sandbox_spec *spec) {
    if (spec->n_layers > SANDBOX_LAYERS_MAX ||
        (spec->stack == SANDBOX_IMAGE && spec->n_layers == 0)) {
        return false;
    }
    for (uint32_t i = 0; i < spec->n_layers; i++) {
        if (!all_of(spec->layers[i], SANDBOX_DIGEST_LEN, "0123456789abcdef")) {
            return false;
        }
    }
    return true;
}

static bool within(uint64_t value, uint64_t min, uint64_t max) {
    return value >= min && value <= max;
}

int sandbox_spec_check(const struct sandbox_spec *spec, struct err *err) {
    const struct {
        const char *member;
        bool ok;
    } checks[] = {
        { "id", id_ok(spec->id) },
        { "hostname", hostname_ok(spec->hostname) },
        { "slot", within(spec->slot, SANDBOX_SLOT_MIN, SANDBOX_SLOT_MAX) },
        { "stack", spec->stack == SANDBOX_IMAGE || spec->stack == SANDBOX_HOST },
        { "flags", (spec->flags & ~(uint32_t)SANDBOX_DISK) == 0 },
        { "cpu_milli", within(spec->cpu_milli, CPU_MILLI_MIN, CPU_MILLI_MAX) },
        { "pids_max", within(spec->pids_max, 1, PIDS_MAX) },
        { "files_max", within(spec->files_max, FILES_MIN, FILES_MAX) },
        { "memory_bytes", within(spec->memory_bytes, MEMORY_MIN, memory_max) },
        { "rootfs_bytes", spec->flags & SANDBOX_DISK
                              ? within(spec->rootfs_bytes, EXT4_BYTES_MIN, EXT4_BYTES_MAX)
                              : within(spec->rootfs_bytes, ROOTFS_MIN, memory_max) },
        { "n_resolvers", spec->n_resolvers <= SANDBOX_RESOLVERS_MAX },
        { "layers", layers_ok(spec) },
    };
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        if (!checks[i].ok) {
            return err_set(err, ERR_BAD_VALUE, "sandbox: bad %s", checks[i].member);
        }
    }
    return 0;
}

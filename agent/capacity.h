/* What this host has and has left. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_CAPACITY_H
#define PAAS_CAPACITY_H

#include <stdint.h>

#include <paas/err.h>
#include <paas/sandbox.h>

struct capacity {
    int64_t memory_total, memory_available; /* bytes */
    int64_t swap_total, swap_free;          /* bytes, of the machine; zram counts as swap */
    int64_t cpus;                           /* thousandths, of those that are online */
};
/* Reads /proc/meminfo and the limits of the cgroups around (a platform in a container is as large
 * as the container): a hundred microseconds or less. */
int capacity_read(const struct sandbox_cgroups *cgroups, struct capacity *out, struct err *err);

#endif

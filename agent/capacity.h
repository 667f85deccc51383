/* What this host has and has left. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_CAPACITY_H
#define PAAS_CAPACITY_H

#include <stdint.h>

#include <paas/err.h>

struct capacity {
    int64_t memory_total, memory_available; /* bytes (proc(5), MemAvailable) */
    int64_t cpus;                           /* thousandths, of those that are online */
};
/* Reads /proc: some ten microseconds. */
int capacity_read(struct capacity *out, struct err *err);

#endif

/* The start block that tells paas-init what to run. SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_START_BLOCK_H
#define AGENT_START_BLOCK_H

#include <paas/err.h>

#include <stdint.h>

/* Borrowed for the call. 0 and NULL mean paas-init's defaults. */
struct start_block {
    const char *const *argv;  /* NULL-terminated, at least the command */
    const char *const *env;   /* NULL-terminated "NAME=value", or NULL */
    const char *cwd;          /* absolute; NULL means "/" */
    const char *user;         /* "user[:group]", names or numbers; NULL means root inside */
    uint32_t flags;           /* enum init_start_flags */
    uint32_t stop_signal;     /* 1..64 */
    uint32_t grace_ms;        /* at most INIT_GRACE_MAX_MS */
    uint32_t port;            /* what PORT in env says */
    uint32_t segment_bytes;   /* of a log segment */
    uint32_t log_rate;        /* bytes a second */
    int64_t deadline_boot_ms; /* CLOCK_BOOTTIME, with INIT_START_EXCLUSIVE */
};

/* Writes the block into a sealed memfd, which the caller owns. -1 with *err: ERR_BAD_VALUE where
 * paas-init would refuse it, ERR_TOO_LARGE, ERR_SYSTEM. */
int start_block_make(const struct start_block *block, struct err *err);

#endif

/* Resource limits of a sandbox's processes, and their place in the queue of the OOM killer.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_RLIMIT_H
#define SANDBOX_RLIMIT_H

#include <paas/err.h>

#include <stdint.h>

enum {
    RLIMIT_OOM_SCORE = 500, /* when memory of the machine runs out, apps die before daemons do */
};

/* Lowers the calling process's limits: `files` descriptors, no core dump, and what one user could
 * otherwise hold of the kernel's memory. A limit is never raised above the hard one in force. */
int rlimit_apply(uint32_t files, struct err *err);

/* Writes oom_score_adj through `fd`, the process's own /proc/self/oom_score_adj. */
int rlimit_oom_score(int fd, int score, struct err *err);
/* The present one. */
int rlimit_read_oom_score(int fd, int *score, struct err *err);

/* Raises the soft limit of descriptors to the hard one: the host process holds many. */
int rlimit_most_files(struct err *err);

#endif

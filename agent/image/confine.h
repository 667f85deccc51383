/* A process gives up what its job does not need. SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_CONFINE_H
#define IMAGE_CONFINE_H

#include <stddef.h>
#include <stdint.h>

#include <paas/err.h>

struct confine {
    const int *fds; /* all that stay open, ascending */
    size_t fd_count;
    const int *directories; /* where files may be made and removed */
    size_t directory_count;
    const int *sources; /* directories that may only be looked at */
    size_t source_count;
    uint64_t file_bytes; /* of one file */
    uint64_t memory;     /* of the address space, 0: no bound */
    uint32_t seconds;    /* of the whole job: SIGALRM ends it */
};

/* Closes all other descriptors; sets limits, a timer and signals; keeps of the capabilities only
 * those that write files of foreign ids; no new privileges; Landlock (where the kernel has it) and
 * a filter of system calls. For good. */
int confine_self(const struct confine *c, struct err *err);

#endif

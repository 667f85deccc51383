/* paas-init's own privileges. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_INIT_GUARD_H
#define PAAS_INIT_GUARD_H

#include "failure.h"

#include <stdint.h>

/* First of all: out of reach for ptrace and /proc, nothing to be gained by execve. Fails when a
 * capability is left in the bounding set, where an app that runs as root could regain it. */
int guard_early(struct failure *failure);
/* The calling process's effective and permitted capabilities become `keep` (bits); inheritable and
 * ambient ones go. 0, or -1 with errno. */
int guard_capabilities(uint32_t keep);
/* For a helper that reads hostile files: read, write and exit from now on, and death for any other
 * call. 0, or -1 with errno. */
int guard_reader(void);
/* When the app has its process: CAP_KILL alone, and a filter of exactly the calls that the loop
 * makes; others get EPERM. */
int guard_late(struct failure *failure);

#endif

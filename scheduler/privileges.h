/* Gives up what a scheduler does not need. SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_PRIVILEGES_H
#define SCHEDULER_PRIVILEGES_H

#include <paas/err.h>

/* No capability in any set, no new privileges, no core dump with secrets in it, and only the system
 * calls of seccomp.def, for all threads. Call it when everything is open. */
int privileges_drop(struct err *err);

#endif

/* A command beside the app: `paas-init exec`. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_INIT_EXEC_H
#define PAAS_INIT_EXEC_H

/* Becomes the command of the start block on INIT_FD_START, under the filter on INIT_FD_SECCOMP.
 * Called in the instance's namespaces and the app's cgroup, as INIT_ID with CAP_SETUID and
 * CAP_SETGID alone, the bounding set empty, and 0, 1 and 2 being the command's. Returns only when
 * that failed: the exit status for a shell (126, 127 where there is no such command), after it said
 * why on standard error. */
int exec_command(void);

#endif

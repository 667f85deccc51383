/* What /proc says of processes. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_PROC_H
#define PAAS_PROC_H

#include <stdint.h>
#include <sys/types.h>

/* When `pid` started, in clock ticks since boot: with the pid it names a process for good. -1 when
 * there is none. (proc(5), /proc/pid/stat, field 22) */
int proc_start_time(pid_t pid, uint64_t *ticks);
/* The child of `parent` whose pid in its own pid namespace is `inner`, as this namespace sees it;
 * 0 when there is none. */
pid_t proc_child(pid_t parent, pid_t inner);

#endif

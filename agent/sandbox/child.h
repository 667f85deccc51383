/* The way from clone3 to execve, carried out in the child. SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_CHILD_H
#define SANDBOX_CHILD_H

#include "host.h"
#include "plan.h"

#include <paas/init.h>

struct child {
    const struct sandbox_host *host;
    const struct sandbox_spec *spec;
    const struct plan *plan;
    struct idmap_pair userns;
    struct in_addr address;
    int disk;             /* detached mount of the root on disk; -1: it is in memory */
    int cgroup_ns;        /* to enter; -1: one is made */
    int netns;            /* to enter; -1: a new one is there */
    int fds[INIT_FD_END]; /* by number in paas-init; -1: none. 0, 1 and 2 are /dev/null */
};

/* Runs the plan of a struct child, up to the program. For spawn_child(). */
int child_prepare(const void *child, struct err *err);

/* A command beside the app: joins the sandbox of the process `init`. */
struct child_exec {
    const struct sandbox_host *host;
    const struct sandbox_exec_fds *fds;
    int init;           /* pidfd of the sandbox's paas-init */
    uint32_t files_max; /* its limit of descriptors */
    const int *join;
    int n_join; /* v1 `tasks` to write "0" to */
};
/* The same for a struct child_exec. */
int child_prepare_exec(const void *exec, struct err *err);

#endif

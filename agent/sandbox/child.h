/* The way from clone3 to execve, carried out in the child. SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_CHILD_H
#define SANDBOX_CHILD_H

#include "host.h"
#include "plan.h"

#include <paas/init.h>

enum {
    /* What the parent sends later, in this order: descriptors INIT_FD_EXIT … INIT_FD_PROCS but
     * INIT_FD_SECCOMP, then the joins, then the network namespace if there is one. */
    CHILD_LATE_FIXED = INIT_FD_JOIN - INIT_FD_EXIT - 1,
};

struct child {
    const struct sandbox_host *host;
    const struct sandbox_spec *spec;
    const struct plan *plan;
    struct idmap_pair userns;
    struct in_addr address;
    int cgroup_ns; /* to enter; -1: one is made */
    int block;     /* for INIT_FD_START */
    int n_join;    /* v1 hierarchies to join */
    int sync;      /* the child's end */
};

/* Runs the plan; ends in paas-init, or tells the parent why not and exits. */
_Noreturn void child_run(const struct child *child);

/* A command beside the app: joins the sandbox of the process `init` and ends in paas-init's exec
 * mode. */
struct child_exec {
    const struct sandbox_host *host;
    const struct sandbox_exec_fds *fds;
    int init;           /* pidfd of the sandbox's paas-init */
    uint32_t files_max; /* its limit of descriptors */
    const int *join;
    int n_join; /* v1 `tasks` to write "0" to */
    int sync;
};
_Noreturn void child_run_exec(const struct child_exec *exec);

#endif

/* What a host holds. Private to the library. SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_HOST_H
#define SANDBOX_HOST_H

#include "cgroup.h"
#include "disk.h"
#include "host_features.h"
#include "idmap.h"
#include "lean.h"
#include "netns.h"
#include "spawn.h"

#include <paas/sandbox.h>

enum { HOST_CGROUP_MAX = 64 /* bytes of the cgroup's name with its NUL */ };

struct sandbox_host {
    uint32_t platform;
    uint32_t id_base;
    uint32_t agent_uid;
    bool network; /* `net` is open and the firewall is set */
    uint32_t n_resolvers;
    struct in_addr resolvers[SANDBOX_RESOLVERS_MAX]; /* let through by the firewall */
    char cgroup[HOST_CGROUP_MAX];

    struct features features;
    struct lean lean;
    struct spawn_place place;
    struct sandbox_cgroups cgroups;
    struct idmap_cache ids;
    struct disk_holds disks;
    struct netns_host net;
    struct netns_made networks[IDMAP_SLOTS]; /* made ahead; fd -1: none */

    int proc;         /* /proc of the host */
    int oom_score;    /* own oom_score_adj */
    int pid_ns;       /* own pid namespace, to come back to */
    int init_program; /* sealed copy of paas-init that nobody may read */
    int seccomp_app;  /* sealed programs, see seccomp.h */
    int seccomp_exec;
};

/* Puts the firewall back where someone has flushed it: no instance starts without. */
int host_ensure_firewall(struct sandbox_host *host, struct err *err);

#endif

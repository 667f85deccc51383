/* The cgroups of a platform: one leaf for each daemon, so that it is found again by name.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Layout below the delegated cgroup: paas<N>/system/NAME for daemons (here), paas<N>/instances for
 * instances (the agent's sandboxes; here only counted, ended and removed). On a pure v2 host there
 * is one tree; on a hybrid one the unified tree holds membership and `cpu` the daemons' share.
 */
#ifndef CLI_GROUPS_H
#define CLI_GROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <paas/err.h>

enum {
    GROUPS_MAX = 16,       /* hierarchies: Linux has 13 v1 controllers and the unified tree */
    GROUPS_PATH_MAX = 512, /* bytes: mount point, delegated cgroup, paas<N> */
};

struct groups {
    /* Absolute paths of paas<N>, one for each hierarchy; the first is in the unified tree. */
    char dirs[GROUPS_MAX][GROUPS_PATH_MAX];
    size_t count;
    size_t cpu; /* index of the v1 hierarchy with cpu; 0 when there is none */
};

/* Finds where platform `number` has its cgroups: below the caller's own one in each hierarchy, but
 * at the top of the unified tree when the caller's is not delegated to it. ERR_UNAVAILABLE where no
 * cgroup v2 is mounted. */
int groups_find(struct groups *groups, int number, struct err *err);
/* Makes paas<N>/system, hands the controllers down (v2), gives daemons their share of the cpu. The
 * calling process moves to the leaf `supervisor`, but a service that need not stays where its
 * manager put it. */
int groups_make(const struct groups *groups, struct err *err);
/* Moves the calling process into the cgroups from which groups_find() found these: its children
 * then find the same ones. */
void groups_enter_delegated(const struct groups *groups);
/* Moves the calling process into the leaf `name`, made if need be. */
int groups_enter(const struct groups *groups, const char *name, struct err *err);
/* Makes the leaf `name` empty and new: kills what is left in it. */
int groups_fresh(const struct groups *groups, const char *name, struct err *err);
/* True when `pid` is in the leaf `name`. */
bool groups_holds(const struct groups *groups, const char *name, pid_t pid);

/* How many processes run in instances. */
size_t groups_instance_processes(const struct groups *groups);
/* Asks the apps of all instances to end: thaws them and sends SIGTERM to each process. */
void groups_ask_instances(const struct groups *groups);
/* Kills whatever is in instances and in all leaves but the supervisor's. */
void groups_kill(const struct groups *groups);
/* Takes the caller out of its leaf and removes paas<N> in every hierarchy, retrying for a second
 * while the kernel still counts dying processes. ERR_CONFLICT with the path that stays. */
int groups_remove(const struct groups *groups, struct err *err);

#endif

/* Namespaces and processes: clone3, setns, and the host's own small root.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_NS_H
#define SANDBOX_NS_H

#include "lean.h"

#include <paas/err.h>

#include <stdint.h>
#include <sys/types.h>

struct ns_clone {
    uint64_t flags;          /* of clone(2) */
    int cgroup;              /* directory of the cgroup to be born in; -1: the caller's */
    const struct lean *lean; /* what the child does without, or NULL */
};
/* fork(2) with namespaces; all signal handlers are reset. Returns as fork does, with errno; *pidfd
 * is set in the parent, to -1 when there is no child. */
pid_t ns_clone(const struct ns_clone *how, int *pidfd);

/* Kills a child and waits for its end. */
void ns_kill_and_reap(int pidfd);

/* Enters the user namespace `userns` for good, as SANDBOX_INIT_ID there, without groups. All
 * capabilities of that namespace are permitted and effective afterwards, none of the host's. */
int ns_enter_user(int userns, struct err *err);

/* Makes the mount `root` (attached, its own file system) the root of this process's mount
 * namespace, without what was there before. */
int ns_pivot(int root, struct err *err);

/* Names in the small root, whose top is the working directory of all that happens in it. */
#define NS_STORE "store"       /* the layers */
#define NS_USR "usr"           /* the host's, read-only */
#define NS_SSL "ssl"           /* the host's /etc/ssl, read-only; empty where it has none */
#define NS_DEV "dev"           /* what every instance sees as /dev, read-only */
#define NS_SKELETON "skeleton" /* lowest layer of stack host */
#define NS_EMPTY "empty"       /* an empty directory, for masks */
#define NS_WRITABLE "writable" /* mount point of an instance's writable file system */
#define NS_ROOT "root"         /* mount point of an instance's root */
#define NS_LAYERS "layers" /* mount points 0 … SANDBOX_LAYERS_MAX for kernels that need paths */

/* Gives the process a mount namespace of its own, with the directories above, /proc, and nothing
 * else. `store` is the directory of the layers. Every sandbox starts as a copy of it, so that a
 * start costs the same however many mounts the machine has. */
int ns_enter_small_root(int store, struct err *err);

#endif

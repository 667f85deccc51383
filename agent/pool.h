/* Sandboxes made ahead. SPDX-License-Identifier: Apache-2.0
 *
 * In each, all is there but the app: namespaces, mounts, limits, network, and paas-init, which
 * waits for its start block on a socket. A start that finds one sends the block, and neither asks
 * the spawner nor waits for it. A sandbox belongs to one configuration and process type from its
 * making on, so that nothing of one app can reach another through it.
 *
 * They are made while nothing else starts, one after the other; the processes that started
 * something last have theirs first. They have no record: when the agent dies, their sockets close,
 * paas-init leaves, and the next agent sweeps what is left, as it does with all half-made ones.
 */
#ifndef PAAS_POOL_H
#define PAAS_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <paas/err.h>
#include <paas/id.h>

#include <netinet/in.h>
#include <stdint.h>

struct configs;
struct instance_host;

enum {
    POOL_MAX = 32,         /* sandboxes of a host: each holds some 900 KiB of memory */
    POOL_SPARE_SLOTS = 32, /* slots that it leaves to instances beyond those that there are */
};

struct pool;

/* One that was taken: the taker's, who closes both descriptors. */
struct pool_sandbox {
    char id[ID_SIZE];
    pid_t init_pid;
    uint64_t start_time;
    struct in_addr address;
    int pidfd;
    int start; /* for pool_launch(); closed without it, paas-init ends */
};

/* `host` and `configs` outlive it. NULL without memory. */
struct pool *pool_create(
    const struct instance_host *host, struct configs *configs, struct err *err);
/* Lets all of them go. Memory goes in a later turn of the loop. NULL is fine. */
void pool_close(struct pool *pool);
/* Whether the process may start on this host, and so should have some ready. */
void pool_want(struct pool *pool, const char *config, const char *process, bool wanted);
/* At most so many from now on; what is over goes at once. */
void pool_limit(struct pool *pool, size_t most);
/* Takes one that is ready. False when there is none. Counts as a start in both cases. */
bool pool_take(
    struct pool *pool, const char *config, const char *process, struct pool_sandbox *out);
/* Has it run what the start block (borrowed) says, and closes `start`. */
int pool_launch(struct pool_sandbox *sandbox, int block, struct err *err);
/* How many are ready. */
size_t pool_ready(const struct pool *pool);

#endif

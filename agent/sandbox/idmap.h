/* User namespaces: an instance's own, and the one that shows it the store's layers.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Making one takes a process of its own and some 0.4 ms, so those of recent slots are kept: a slot
 * always has the same ids, and a user namespace holds nothing of who ran in it.
 */
#ifndef SANDBOX_IDMAP_H
#define SANDBOX_IDMAP_H

#include <paas/err.h>
#include <paas/sandbox.h>

enum {
    IDMAP_SLOTS = SANDBOX_SLOT_MAX + 1,
    IDMAP_KEPT_MAX = 512, /* slots whose namespaces are kept: two descriptors each */
};

struct idmap_pair {
    int app;    /* instance id X is host id ids+X; -1 when not made */
    int layers; /* for idmapped mounts: store id S+X shows as host id ids+X; -1 when not made */
};

struct idmap_cache {
    uint32_t id_base;
    int proc;                /* the host's /proc, borrowed */
    const struct lean *lean; /* see lean.h; may be NULL */
    uint32_t kept;           /* slots with something in `slots` */
    struct idmap_pair slots[IDMAP_SLOTS];
};

void idmap_cache_init(struct idmap_cache *cache, uint32_t id_base, const struct lean *lean);
void idmap_cache_finish(struct idmap_cache *cache);

/* Makes what `slot` still lacks, one namespace. Returns 1 if it made one, 0 if there was nothing to
 * make or no room to keep it, -1 with *err. */
int idmap_prepare(struct idmap_cache *cache, uint32_t slot, struct err *err);

/* Gives both namespaces of `slot`, made now where they are not there. They stay valid until
 * idmap_put. */
int idmap_get(struct idmap_cache *cache, uint32_t slot, struct idmap_pair *out, struct err *err);
/* Ends the use of what idmap_get gave. */
void idmap_put(struct idmap_cache *cache, uint32_t slot);

#endif

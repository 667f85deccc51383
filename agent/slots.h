/* Which id range each living instance has: the spawner's own state, on disk in /run.
 * SPDX-License-Identifier: Apache-2.0
 *
 * One file an instance in a directory of root's, named by its id, holding its slot. It outlives the
 * spawner, so that no range is given out twice while something may still run in it.
 */
#ifndef PAAS_SLOTS_H
#define PAAS_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include <paas/err.h>
#include <paas/limits.h>
#include <paas/sandbox.h>

struct slots {
    int dir;
    uint32_t cursor; /* where the search for a free one starts: ranges are reused late */
    uint32_t used_count;
    bool used[PLATFORM_SLOTS];
};

/* Reads what is there from `dir`, which it takes over. */
int slots_open(struct slots *s, int dir, struct err *err);
void slots_close(struct slots *s);
/* Takes a free slot for `id` and writes it down. ERR_FULL when there is none. */
int slots_take(struct slots *s, const char *id, uint32_t *slot, struct err *err);
/* The `ahead`th slot (0, 1, …) that slots_take() would give out from now on; 0 when there is none.
 */
uint32_t slots_next(const struct slots *s, unsigned ahead);
/* Frees the slot of `id`; an unknown id is fine. */
void slots_release(struct slots *s, const char *id);
/* Calls `each` for every id that has a slot; it may release it. */
int slots_each(
    struct slots *s, void (*each)(void *data, const char *id), void *data, struct err *err);

#endif

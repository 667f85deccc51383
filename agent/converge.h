/* From what a grant allows and what runs to what to do. SPDX-License-Identifier: Apache-2.0
 *
 * Pure: no clock, no I/O, the same input gives the same actions, and doing them leads to an input
 * that gives none.
 */
#ifndef PAAS_CONVERGE_H
#define PAAS_CONVERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <paas/limits.h>

/* What converge() knows of an instance that is not on its way out. */
enum converge_life { LIFE_STARTING, LIFE_HEALTHY, LIFE_UNHEALTHY, LIFE_FROZEN };
struct converge_instance {
    int number; /* 1, 2, … of its slot: "web.2" */
    enum converge_life life;
    int64_t in_flight; /* requests that it is answering */
    bool overslept;    /* frozen for so long that only a standby is still worth its memory */
    bool in_swap;      /* most of its memory is in swap: it is woken after others */
    int64_t since;     /* when it became healthy; the newest go first */
};

struct converge_input {
    int64_t wanted;  /* running instances, within the grant */
    int64_t frozen;  /* kept asleep beside them, at most */
    int64_t standby; /* asleep at least: started for it, and frozen once they are healthy */
    const struct converge_instance *instances;
    size_t count; /* at most INSTANCES_PER_NODE */
    /* For slot number n, blocked[n - 1] says that it may not start now (back-off); for n up to
     * `blocked_count`, others may. */
    const bool *blocked;
    size_t blocked_count;
};

enum converge_kind { CONVERGE_START, CONVERGE_STOP, CONVERGE_FREEZE, CONVERGE_THAW };
struct converge_action {
    enum converge_kind kind;
    int number;   /* with START: the slot */
    size_t index; /* else: of the instance */
};

/* Writes the actions and returns how many: at most INSTANCES_PER_NODE of them.
 * - An unhealthy instance is stopped, and its slot is started anew in the same step.
 * - Missing ones: thaw first, those in memory before those in swap, then start at the lowest
 * numbers that are free and not blocked; so are standbys that are missing.
 * - Surplus: those still starting go first, but for those that standbys are made of, then the
 *   idlest, then the newest, then the highest number; they are frozen while fewer than `frozen`
 * sleep, else stopped.
 * - Those that overslept are stopped down to `standby`. */
size_t converge(const struct converge_input *in, struct converge_action *out);

#endif

/* Whose start is next. SPDX-License-Identifier: Apache-2.0
 *
 * Pure. The spawner does one thing after another, so that a burst of one process would have all
 * others wait behind it. A few starts are at the spawner at once, not all of one process; those
 * that wait are taken from each process in turn, the oldest first.
 */
#ifndef PAAS_TURNS_H
#define PAAS_TURNS_H

#include <stdbool.h>

#include <paas/list.h>

enum {
    TURNS_MAX = 4, /* at once: enough to keep the spawner busy, few enough for an exec between */
    TURNS_LANE_MAX = 3, /* of one process: one is always left for the others */
};

struct turns {
    struct list lanes; /* with somebody who waits; the next first */
    unsigned running;
};

/* The starts of one process. */
struct turn_lane {
    struct list link;
    struct list waiting;
    unsigned running;
};

/* One start. */
struct turn {
    struct list link;
    struct turn_lane *lane; /* NULL: it neither waits nor runs */
    bool running;
};

void turns_init(struct turns *turns);
void turn_lane_init(struct turn_lane *lane);
void turn_init(struct turn *turn);
/* Has it wait. */
void turn_wait(struct turns *turns, struct turn_lane *lane, struct turn *turn);
/* The next that may run, which counts as running from here on, or NULL. Call it after a turn_wait()
 * or a turn_leave(), until there is none. */
struct turn *turns_next(struct turns *turns);
/* It is done, or does not want to any more. Does nothing for one that neither waits nor runs. */
void turn_leave(struct turns *turns, struct turn *turn);

#endif

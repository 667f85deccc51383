/* What a host gives up when its memory runs short. SPDX-License-Identifier: Apache-2.0
 *
 * Pure: integers, time as an argument, no allocation. A part of the host's memory is kept for the
 * platform itself, the reserve. When less than that is available, or when instances that were
 * promised have no room, things are given up, stage by stage, and no more than what lacks; what is
 * on its way out counts as given back, so that nothing is given up twice for the same need. For
 * instances that load asks for beyond what was promised, all but running ones are given up.
 *
 * What was given up is not made again before twice the reserve has been available for some seconds,
 * and then stage by stage, the last one first.
 */
#ifndef PAAS_SHORTAGE_H
#define PAAS_SHORTAGE_H

#include <stdbool.h>
#include <stdint.h>

#include <paas/clock.h>

enum {
    SHORTAGE_LOOK_MS = 1000, /* between two looks while all is well */
    SHORTAGE_STEP_MS = 200,  /* while something is on its way out */
    SHORTAGE_CALM_MS = 5000, /* with room again, before a stage may be made again */
    SHORTAGE_SHARE = 16,     /* this part of the host's memory is the reserve, */
};
#define SHORTAGE_RESERVE_MIN (INT64_C(16) << 20)  /* but at least this, */
#define SHORTAGE_RESERVE_MAX (INT64_C(512) << 20) /* and no more than this */

/* What there is to give up, in its order. */
enum shortage_stage {
    SHORTAGE_POOL,     /* sandboxes made ahead */
    SHORTAGE_KEPT,     /* sleepers of releases kept for a rollback */
    SHORTAGE_SLEEPERS, /* other sleepers: standbys, and those that load let go of */
    SHORTAGE_SURPLUS,  /* what runs beyond its floor */
    SHORTAGE_STAGES,
};
/* One word each, for metrics and logs. */
extern const char *const shortage_stage_names[SHORTAGE_STAGES];

/* Of one stage: how many there are, and what the next one to go would give back. */
struct shortage_stock {
    int64_t count, bytes_each;
};

struct shortage_input {
    msec now;                 /* monotonic; one that goes back counts as the last one */
    int64_t total, available; /* bytes of the host */
    int64_t returning;        /* bytes of what is on its way out already */
    int64_t owed;             /* bytes that promised instances lack */
    int64_t asked;            /* bytes that instances lack which load asks for */
    struct shortage_stock stock[SHORTAGE_STAGES];
};

/* Zero it. */
struct shortage {
    int stages;  /* how many stages may not be made again now */
    msec uneasy; /* when there was last no room, or a stage was allowed again */
    msec now;
};

struct shortage_decision {
    enum shortage_stage stage; /* which one gives up */
    int64_t count;             /* how many of it; 0: nothing */
    bool spent;                /* what lacks can't be had: nothing is left to give up for it */
    msec next;                 /* look again after this */
};

/* What is kept for the platform, of a host with `total` bytes. */
int64_t shortage_reserve(int64_t total);
/* Takes what is seen and decides. */
void shortage_decide(
    struct shortage *s, const struct shortage_input *in, struct shortage_decision *out);
/* Whether more of a stage may be made now. */
bool shortage_allows(const struct shortage *s, enum shortage_stage stage);
/* How many instances of `each` bytes have room in `free` bytes. One that is promised may use half
 * of the reserve: it is made up for by what is given up. */
int64_t shortage_fit(int64_t total, int64_t free, int64_t each, bool promised);

#endif

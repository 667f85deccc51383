/* What the use that is seen asks for: thousandths of instances. SPDX-License-Identifier: Apache-2.0
 *
 * Pure: integers, time as an argument. The law (demand.h) takes the largest.
 */
#ifndef PAAS_TARGETS_H
#define PAAS_TARGETS_H

#include <stdint.h>

#include <paas/clock.h>

enum {
    TARGET_MAX = 100000000,  /* thousandths; more instances than any host runs */
    TARGET_SMOOTH_MS = 5000, /* time constant of what is smoothed */
    TARGET_SETTLE_MS = 4000, /* after a change of instances answers are of both numbers */
    TARGET_SLOW_MS = 300000, /* a number that was too few is not gone back to for so long */
};

/* So many instances that each uses `percent` of `each` where all use `used` together. Nothing is
 * asked for with a bound that is none. */
int64_t target_use(int64_t used, int64_t each, int64_t percent);
/* So many that each has `per_instance` of `value` (thousandths). */
int64_t target_metric(int64_t value, int64_t per_instance);

/* A value that moves towards what is seen. Zero it to begin. */
struct smoothed {
    int64_t value;
    msec at; /* 0: nothing was seen yet */
};
int64_t smoothed_add(struct smoothed *s, msec now, int64_t seen);

/* Answers within a time. Zero it to begin. */
struct latency_target {
    int64_t ready; /* instances, as last seen */
    msec changed;  /* when that last changed */
    int64_t asked;
    int64_t slow; /* the largest number that was too few lately; 0: none */
    msec slow_at;
};
/* 99 of 100 requests were answered within `p99` ms (0: too few to tell) at `ready` instances, and
 * should be within `target`. Slow answers ask for more in proportion, at most twice as many; quick
 * ones for one fewer, but not for a number that was too few in the last TARGET_SLOW_MS. After each
 * change it waits for answers that are all of the new number. */
int64_t latency_asks(
    struct latency_target *t, msec now, int64_t p99, int64_t target, int64_t ready);

#endif

/* A coarse timer wheel: setting a later time is one store. SPDX-License-Identifier: Apache-2.0
 *
 * Pure: time is given. A timer that is set later than it was stays where it is linked and moves
 * when its slot comes up, so that a deadline which each request pushes on costs nothing.
 */
#ifndef PAAS_PROXY_WHEEL_H
#define PAAS_PROXY_WHEEL_H

#include <stddef.h>
#include <stdint.h>

#include <paas/clock.h>
#include <paas/list.h>

enum { WHEEL_SLOTS = 512 /* of WHEEL_TICK ms: later deadlines are looked at once in 51 s */ };

struct wheel_timer {
    struct list link;
    msec deadline; /* 0: off */
    uint64_t tick; /* of the slot it is linked in */
    void (*fire)(struct wheel_timer *t);
};

struct wheel {
    struct list slots[WHEEL_SLOTS];
    uint64_t tick; /* the last one that was served */
    size_t linked;
};

void wheel_init(struct wheel *w, msec now);
/* Makes a timer that is off. */
void wheel_timer_init(struct wheel_timer *t, void (*fire)(struct wheel_timer *t));
/* Fires at `deadline`, a time of the clock that wheel_advance() is given, or up to two ticks later;
 * never before it. */
void wheel_set(struct wheel *w, struct wheel_timer *t, msec deadline);
/* Off, but still linked: cheap. */
void wheel_off(struct wheel_timer *t);
/* Off and out of the wheel: before its memory goes. */
void wheel_remove(struct wheel *w, struct wheel_timer *t);
/* Fires what is due. A timer's function may set or remove any timer. */
void wheel_advance(struct wheel *w, msec now);

#endif

/* Requests that wait for an app: whose turn is next, and who waited too long.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Pure: time is given. Each client address has a lane; lanes take turns, so that who asks for much
 * waits longer, not who asks for little.
 *
 * While a queue is short, or its instances are still coming, the oldest of a lane goes first. Once
 * its oldest request is older than the target for longer than an interval, the queue *stands*: more
 * comes than can be served, and whoever waits longest has waited in vain, most likely. Then the
 * newest goes first (adaptive LIFO), new lanes come before old ones, and what is older than the
 * deadline is to be refused, early enough to ask elsewhere. A queue that empties, or whose oldest
 * is young again, stands no more.
 */
#ifndef PAAS_PROXY_QUEUE_H
#define PAAS_PROXY_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include <paas/clock.h>
#include <paas/list.h>

#include "bounds.h"

struct queue;

/* The requests of one address in one queue. */
struct queue_lane {
    struct queue *queue;
    unsigned address;
    unsigned count;
    struct list items;       /* the oldest first */
    struct list turn;        /* queue->lanes */
    struct queue_lane *next; /* of its hash slot, or spare */
};

/* The lanes of all queues of a worker: as many as requests may wait, so that none is ever missing.
 * Zeroed memory is an empty one. */
struct queue_lanes {
    struct queue_lane *slots[QUEUE_LANE_SLOTS];
    struct queue_lane *spare;
    unsigned used; /* of pool, ever */
    struct queue_lane pool[HELD_MAX + 1];
};

/* A request that waits. */
struct queue_item {
    struct list order, place; /* queue->order, lane->items */
    struct queue_lane *lane;  /* NULL: it does not wait */
    msec since;
    bool passed; /* nobody takes it in this round */
};

struct queue {
    struct queue_lanes *all;
    struct list order; /* the oldest first */
    struct list lanes; /* whose turn is next first */
    unsigned count, lane_count, passed_count;
    msec filled;   /* since when somebody waits */
    msec helpless; /* since when that is for want of more instances; 0: it is not */
    msec above;    /* since when the oldest is older than the target; 0: it is not */
    bool standing;
    int64_t service_us; /* how long an instance takes for a request, smoothed; 0: not known */
};

void queue_init(struct queue *q, struct queue_lanes *all);
/* Marks a request as waiting nowhere. */
void queue_item_init(struct queue_item *item);
/* How many may wait for one app when `waiting` wait for all of a worker's, of which `own` for this
 * one: as many as it leaves free for others, so that a few that are flooded never take all. */
unsigned queue_room(unsigned own, unsigned waiting);

/* Adds a request that came at `since`. */
void queue_add(struct queue *q, struct queue_item *item, unsigned address, msec since);
/* Takes it out: it is gone, or (served) it goes on, and its lane's next turn is after the others'.
 */
void queue_leave(struct queue *q, struct queue_item *item);
void queue_served(struct queue *q, struct queue_item *item);

/* Looks at what time has made of the queue. `growing`: more instances are on their way; that is
 * believed for QUEUE_GROWTH. `busy`: there are instances that take requests, but not now. */
void queue_look(struct queue *q, msec now, bool growing, bool busy);
/* Whose turn it is among those that were not passed over; NULL when there is none. */
struct queue_item *queue_next(const struct queue *q);
/* Passes over one until the end of this round, and ends the round. */
void queue_pass(struct queue *q, struct queue_item *item);
void queue_round_over(struct queue *q);
/* One that waited too long in a queue that stands; NULL when there is none. */
struct queue_item *queue_overdue(const struct queue *q, msec now);
/* Whom to refuse when `newcomer`, that waits already, is one too many: of the longest lane the one
 * that would be served last. */
struct queue_item *queue_victim(const struct queue *q, struct queue_item *newcomer);

/* An instance took `ms` for a request. */
void queue_learn(struct queue *q, msec ms);

#endif

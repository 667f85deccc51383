/* The law of waiting: fair between addresses, newest first once a queue stands.
 * SPDX-License-Identifier: Apache-2.0
 *
 * After CoDel (Nichols and Jacobson 2012), with the queue's age in place of the leaving packet's,
 * which says nothing where the newest leaves first; and after flow queueing (RFC 8290) for lanes.
 */
#include "queue.h"

#include <string.h>

enum {
    US = 1000,
    SERVICE_MS_MAX = 10000, /* of one request: event streams tell nothing of the others */
    SERVICE_WEIGHT = 8,     /* a sample is an eighth */
};

void queue_init(struct queue *q, struct queue_lanes *all) {
    memset(q, 0, sizeof *q);
    q->all = all;
    list_init(&q->order);
    list_init(&q->lanes);
}

void queue_item_init(struct queue_item *item) {
    *item = (struct queue_item){ .since = 0 };
    list_init(&item->order);
    list_init(&item->place);
}

unsigned queue_room(unsigned own, unsigned waiting) {
    unsigned others = waiting - own;
    unsigned room = (HELD_MAX - others) / 2;
    return room < HELD_PER_APP ? room : HELD_PER_APP;
}

/* ---- Lanes ---- */

static struct queue_lane **slot_of(const struct queue *q, unsigned address) {
    uint64_t mixed =
        ((uint64_t)(uintptr_t)q >> 4 ^ (uint64_t)address << 20) * UINT64_C(0x9e3779b97f4a7c15);
    return &q->all->slots[mixed >> 32 & (QUEUE_LANE_SLOTS - 1)];
}

static struct queue_lane *take_lane(struct queue_lanes *all) {
    struct queue_lane *lane = all->spare;
    if (lane) {
        all->spare = lane->next;
        return lane;
    }
    return &all->pool[all->used++]; /* no more lanes than requests wait */
}

static struct queue_lane *open_lane(struct queue *q, unsigned address) {
    struct queue_lane **slot = slot_of(q, address);
    for (struct queue_lane *lane = *slot; lane; lane = lane->next) {
        if (lane->queue == q && lane->address == address) {
            return lane;
        }
    }
    struct queue_lane *lane = take_lane(q->all);
    *lane = (struct queue_lane){ .queue = q, .address = address, .next = *slot };
    *slot = lane;
    list_init(&lane->items);
    if (q->standing) {
        list_prepend(&q->lanes, &lane->turn);
    } else {
        list_append(&q->lanes, &lane->turn);
    }
    q->lane_count++;
    return lane;
}

static void close_lane(struct queue *q, struct queue_lane *lane) {
    struct queue_lane **at = slot_of(q, lane->address);
    while (*at != lane) {
        at = &(*at)->next;
    }
    *at = lane->next;
    list_remove(&lane->turn);
    q->lane_count--;
    lane->next = q->all->spare;
    q->all->spare = lane;
}

static struct queue_item *item_of_place(struct list *place) {
    return LIST_ITEM(place, struct queue_item, place);
}

static struct queue_item *oldest(const struct queue *q) {
    return LIST_ITEM(q->order.next, struct queue_item, order);
}

/* ---- Coming and going ---- */

void queue_add(struct queue *q, struct queue_item *item, unsigned address, msec since) {
    struct queue_lane *lane = open_lane(q, address);
    struct list *behind = q->order.prev, *before = lane->items.prev;
    item->lane = lane;
    item->since = since;
    item->passed = false;
    /* One that failed elsewhere comes back to its place: it is older than the last ones. */
    while (behind != &q->order && LIST_ITEM(behind, struct queue_item, order)->since > since) {
        behind = behind->prev;
    }
    while (before != &lane->items && item_of_place(before)->since > since) {
        before = before->prev;
    }
    list_prepend(behind, &item->order);
    list_prepend(before, &item->place);
    lane->count++;
    if (q->count++ == 0) {
        q->filled = since;
    }
}

static struct queue_lane *take_out(struct queue *q, struct queue_item *item) {
    struct queue_lane *lane = item->lane;
    list_remove(&item->order);
    list_remove(&item->place);
    item->lane = NULL;
    if (item->passed) {
        item->passed = false;
        q->passed_count--;
    }
    if (--q->count == 0) {
        q->helpless = q->above = 0;
        q->standing = false;
    }
    if (--lane->count == 0) {
        close_lane(q, lane);
        return NULL;
    }
    return lane;
}

void queue_leave(struct queue *q, struct queue_item *item) {
    take_out(q, item);
}

void queue_served(struct queue *q, struct queue_item *item) {
    struct queue_lane *lane = take_out(q, item);
    if (lane) {
        list_remove(&lane->turn);
        list_append(&q->lanes, &lane->turn);
    }
}

/* ---- Decisions ---- */

static msec service_ms(const struct queue *q) {
    return q->service_us / US;
}

static msec target(const struct queue *q) {
    return service_ms(q) > QUEUE_TARGET ? service_ms(q) : QUEUE_TARGET;
}

/* What one may wait while the queue stands. */
static msec deadline(const struct queue *q) {
    msec patience = QUEUE_SERVICES * service_ms(q);
    return patience > QUEUE_DEADLINE ? patience : QUEUE_DEADLINE;
}

/* How long its oldest waits for instances that are there. */
static msec age(const struct queue *q, msec now) {
    msec since = oldest(q)->since;
    return now - (since > q->helpless ? since : q->helpless);
}

void queue_look(struct queue *q, msec now, bool growing, bool busy) {
    bool hope = !busy || (growing && now - q->filled < QUEUE_GROWTH);
    if (q->count == 0 || hope) {
        q->helpless = q->above = 0;
        q->standing = false;
        return;
    }
    if (q->helpless == 0) {
        q->helpless = now;
    }
    if (age(q, now) < target(q)) {
        q->above = 0;
        q->standing = false;
        return;
    }
    if (q->above == 0) {
        q->above = now;
    }
    q->standing = q->standing || now - q->above >= target(q);
}

/* The next of a lane that was not passed over. */
static struct queue_item *next_of(const struct queue *q, const struct queue_lane *lane) {
    struct list *at = q->standing ? lane->items.prev : lane->items.next;
    while (at != &lane->items && item_of_place(at)->passed) {
        at = q->standing ? at->prev : at->next;
    }
    return at == &lane->items ? NULL : item_of_place(at);
}

struct queue_item *queue_next(const struct queue *q) {
    if (q->passed_count == q->count) {
        return NULL;
    }
    LIST_FOREACH (turn, &q->lanes) {
        struct queue_item *item = next_of(q, LIST_ITEM(turn, struct queue_lane, turn));
        if (item) {
            return item;
        }
    }
    return NULL;
}

void queue_pass(struct queue *q, struct queue_item *item) {
    item->passed = true;
    q->passed_count++;
}

void queue_round_over(struct queue *q) {
    for (struct list *at = q->order.next; q->passed_count && at != &q->order; at = at->next) {
        struct queue_item *item = LIST_ITEM(at, struct queue_item, order);
        q->passed_count -= item->passed;
        item->passed = false;
    }
}

struct queue_item *queue_overdue(const struct queue *q, msec now) {
    return q->standing && age(q, now) >= deadline(q) ? oldest(q) : NULL;
}

static const struct queue_lane *longest(const struct queue *q) {
    const struct queue_lane *most = NULL;
    LIST_FOREACH (turn, &q->lanes) {
        const struct queue_lane *lane = LIST_ITEM(turn, struct queue_lane, turn);
        if (!most || lane->count > most->count) {
            most = lane;
        }
    }
    return most;
}

struct queue_item *queue_victim(const struct queue *q, struct queue_item *newcomer) {
    const struct queue_lane *lane = newcomer->lane;
    if (q->count == q->lane_count) {
        return q->standing ? oldest(q) : newcomer; /* each has one */
    }
    if (lane->count <= q->count / q->lane_count + 1) {
        lane = longest(q);
    }
    return item_of_place(q->standing ? lane->items.next : lane->items.prev);
}

void queue_learn(struct queue *q, msec ms) {
    int64_t us = ms > 0 ? (ms < SERVICE_MS_MAX ? ms : SERVICE_MS_MAX) * US : 1;
    q->service_us = q->service_us ? q->service_us + (us - q->service_us) / SERVICE_WEIGHT : us;
}

/* A coarse timer wheel. SPDX-License-Identifier: Apache-2.0 */
#include "wheel.h"

#include "bounds.h"

void wheel_init(struct wheel *w, msec now) {
    for (size_t i = 0; i < WHEEL_SLOTS; i++) {
        list_init(&w->slots[i]);
    }
    w->tick = (uint64_t)now / WHEEL_TICK;
    w->linked = 0;
}

void wheel_timer_init(struct wheel_timer *t, void (*fire)(struct wheel_timer *t)) {
    list_init(&t->link);
    t->deadline = 0;
    t->tick = 0;
    t->fire = fire;
}

static void link_timer(struct wheel *w, struct wheel_timer *t) {
    uint64_t tick = (uint64_t)t->deadline / WHEEL_TICK + 1;
    if (tick <= w->tick) {
        tick = w->tick + 1;
    } else if (tick > w->tick + WHEEL_SLOTS - 1) {
        tick = w->tick + WHEEL_SLOTS - 1;
    }
    t->tick = tick;
    list_append(&w->slots[tick % WHEEL_SLOTS], &t->link);
    w->linked++;
}

void wheel_set(struct wheel *w, struct wheel_timer *t, msec deadline) {
    t->deadline = deadline;
    if (!list_empty(&t->link)) {
        if ((uint64_t)deadline / WHEEL_TICK + 1 >= t->tick) {
            return;
        }
        list_remove(&t->link);
        w->linked--;
    }
    link_timer(w, t);
}

void wheel_off(struct wheel_timer *t) {
    t->deadline = 0;
}

void wheel_remove(struct wheel *w, struct wheel_timer *t) {
    t->deadline = 0;
    if (!list_empty(&t->link)) {
        list_remove(&t->link);
        w->linked--;
    }
}

/* Due timers are first moved to a list of their own: whatever a fired one does to the others, this
 * walk stays valid. */
static void serve_slot(struct wheel *w, struct list *slot, msec now) {
    struct list due;
    list_init(&due);
    while (!list_empty(slot)) {
        struct list *link = slot->next;
        list_remove(link);
        list_append(&due, link);
    }
    while (!list_empty(&due)) {
        struct wheel_timer *t = LIST_ITEM(due.next, struct wheel_timer, link);
        list_remove(&t->link);
        w->linked--;
        if (t->deadline && t->deadline > now) {
            link_timer(w, t);
        } else if (t->deadline) {
            t->deadline = 0;
            t->fire(t);
        }
    }
}

void wheel_advance(struct wheel *w, msec now) {
    uint64_t until = (uint64_t)now / WHEEL_TICK;
    if (until > w->tick + WHEEL_SLOTS) {
        w->tick = until - WHEEL_SLOTS; /* after a long pause each slot is served once */
    }
    while (w->tick < until) {
        w->tick++;
        serve_slot(w, &w->slots[w->tick % WHEEL_SLOTS], now);
    }
}

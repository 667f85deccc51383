/* Whose start is next. SPDX-License-Identifier: Apache-2.0 */
#include "turns.h"

void turns_init(struct turns *turns) {
    list_init(&turns->lanes);
    turns->running = 0;
}

void turn_lane_init(struct turn_lane *lane) {
    list_init(&lane->link);
    list_init(&lane->waiting);
    lane->running = 0;
}

void turn_init(struct turn *turn) {
    list_init(&turn->link);
    turn->lane = NULL;
    turn->running = false;
}

void turn_wait(struct turns *turns, struct turn_lane *lane, struct turn *turn) {
    turn->lane = lane;
    turn->running = false;
    if (list_empty(&lane->waiting)) {
        list_append(&turns->lanes, &lane->link);
    }
    list_append(&lane->waiting, &turn->link);
}

static struct turn_lane *next_lane(const struct turns *turns) {
    LIST_FOREACH (item, &turns->lanes) {
        struct turn_lane *lane = LIST_ITEM(item, struct turn_lane, link);
        if (lane->running < TURNS_LANE_MAX) {
            return lane;
        }
    }
    return NULL;
}

struct turn *turns_next(struct turns *turns) {
    struct turn_lane *lane = turns->running < TURNS_MAX ? next_lane(turns) : NULL;
    if (!lane) {
        return NULL;
    }
    struct turn *turn = LIST_ITEM(lane->waiting.next, struct turn, link);
    list_remove(&turn->link);
    list_remove(&lane->link);
    if (!list_empty(&lane->waiting)) {
        list_append(&turns->lanes, &lane->link);
    }
    turn->running = true;
    lane->running++;
    turns->running++;
    return turn;
}

void turn_leave(struct turns *turns, struct turn *turn) {
    struct turn_lane *lane = turn->lane;
    if (!lane) {
        return;
    }
    if (turn->running) {
        lane->running--;
        turns->running--;
    } else {
        list_remove(&turn->link);
        if (list_empty(&lane->waiting)) {
            list_remove(&lane->link);
        }
    }
    turn->lane = NULL;
    turn->running = false;
}

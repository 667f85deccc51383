/* What a host gives up when its memory runs short. SPDX-License-Identifier: Apache-2.0 */
#include "shortage.h"

const char *const shortage_stage_names[SHORTAGE_STAGES] = { "pool", "kept", "sleeping", "surplus" };

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

int64_t shortage_reserve(int64_t total) {
    return smaller(larger(total / SHORTAGE_SHARE, SHORTAGE_RESERVE_MIN), SHORTAGE_RESERVE_MAX);
}

bool shortage_allows(const struct shortage *s, enum shortage_stage stage) {
    return (int)stage >= s->stages;
}

int64_t shortage_fit(int64_t total, int64_t free, int64_t each, bool promised) {
    int64_t reserve = shortage_reserve(total);
    int64_t room = free - (promised ? reserve / 2 : reserve);
    return room > 0 ? room / larger(each, 1) : 0;
}

static void hold(struct shortage *s, enum shortage_stage stage) {
    s->stages = (int)stage >= s->stages ? (int)stage + 1 : s->stages;
}

/* Gives up of the first stage that has something, up to `last`. False when none has. */
static bool give_up(struct shortage *s, const struct shortage_input *in, enum shortage_stage last,
    int64_t lack, struct shortage_decision *out) {
    for (enum shortage_stage stage = SHORTAGE_POOL; stage <= last; stage++) {
        const struct shortage_stock *stock = &in->stock[stage];
        int64_t each = larger(stock->bytes_each, 1);
        hold(s, stage);
        if (stock->count > 0) {
            out->stage = stage;
            out->count = smaller(stock->count, (lack - 1) / each + 1);
            return true;
        }
    }
    return false;
}

/* Allows one stage more once there has been room for long enough. */
static void ease(struct shortage *s, const struct shortage_input *in) {
    if (in->available < 2 * shortage_reserve(in->total)) {
        s->uneasy = s->now;
    } else if (s->stages > 0 && s->now - s->uneasy >= SHORTAGE_CALM_MS) {
        s->stages--;
        s->uneasy = s->now;
    }
}

void shortage_decide(
    struct shortage *s, const struct shortage_input *in, struct shortage_decision *out) {
    int64_t free = in->available + in->returning;
    int64_t lack = shortage_reserve(in->total) + in->owed - free;
    bool may_grow = shortage_allows(s, SHORTAGE_SURPLUS);
    bool done = in->asked == 0 || may_grow;
    *out = (struct shortage_decision){ .next = SHORTAGE_LOOK_MS };
    s->now = larger(s->now, in->now);
    if (lack > 0) {
        s->uneasy = s->now;
        done = give_up(s, in, SHORTAGE_SURPLUS, lack, out);
    } else if (may_grow && lack + in->asked > 0) {
        s->uneasy = s->now;
        done = give_up(s, in, SHORTAGE_SLEEPERS, lack + in->asked, out);
    } else {
        ease(s, in);
    }
    out->spent = !done && in->returning <= 0;
    if (in->returning > 0 || out->count > 0) {
        out->next = SHORTAGE_STEP_MS;
    }
}

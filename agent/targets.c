/* What the use that is seen asks for. SPDX-License-Identifier: Apache-2.0 */
#include "targets.h"

enum { MILLI = 1000, PERCENT = 100 };

static int64_t clamp(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : value > high ? high : value;
}

/* a * b / c, bounded; none of them negative, c above 0. */
static int64_t scaled(int64_t a, int64_t b, int64_t c) {
    if (a > INT64_MAX / b) { /* so large that dividing first loses nothing that counts */
        return a / c > TARGET_MAX / b ? TARGET_MAX : a / c * b;
    }
    return a * b / c > TARGET_MAX ? TARGET_MAX : a * b / c;
}

int64_t target_use(int64_t used, int64_t each, int64_t percent) {
    if (used <= 0 || each <= 0 || percent <= 0) {
        return 0;
    }
    return scaled(used, MILLI * PERCENT, each > INT64_MAX / percent ? INT64_MAX : each * percent);
}

int64_t target_metric(int64_t value, int64_t per_instance) {
    return value <= 0 || per_instance <= 0 ? 0 : scaled(value, 1, per_instance);
}

int64_t smoothed_add(struct smoothed *s, msec now, int64_t seen) {
    msec passed = now - s->at;
    if (s->at == 0 || passed >= 10 * TARGET_SMOOTH_MS) {
        s->value = seen;
    } else if (passed > 0) {
        s->value += (seen - s->value) * passed / (passed + TARGET_SMOOTH_MS);
    }
    s->at = now > s->at ? now : s->at;
    return s->value;
}

int64_t latency_asks(
    struct latency_target *t, msec now, int64_t p99, int64_t target, int64_t ready) {
    if (ready != t->ready) {
        t->ready = ready;
        t->changed = now;
    }
    if (p99 <= 0 || target <= 0 || ready <= 0) {
        return t->asked = 0;
    }
    if (now - t->changed < TARGET_SETTLE_MS) {
        return t->asked;
    }
    if (t->slow && now - t->slow_at >= TARGET_SLOW_MS) {
        t->slow = 0;
    }
    if (p99 > target) {
        t->slow = ready > t->slow ? ready : t->slow;
        t->slow_at = now;
        return t->asked = clamp(scaled(ready * MILLI, p99, target), 0, 2 * ready * MILLI);
    }
    int64_t fewer = p99 < target / 2 ? ready - 1 : ready;
    fewer = fewer <= t->slow ? t->slow + 1 : fewer;
    return t->asked = fewer * MILLI;
}

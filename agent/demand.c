/* The autoscaling law. SPDX-License-Identifier: Apache-2.0 */
#include "demand.h"

#include <string.h>

enum {
    MILLI = 1000,
    LONG_START_MS = 100, /* from here on a start is long enough to look ahead for */
    QUIET_LEVEL = 20,    /* thousandths of a request: nothing is going on */
    SERVICE_MAX_US = 600000000,
    TICK_MS = 100, /* between decisions while there is load */
};

const char *const demand_reason_words[] = {
    [DEMAND_AT_MIN] = "nothing asks for more than the minimum",
    [DEMAND_LEVEL] = "requests in flight",
    [DEMAND_QUEUE] = "requests wait",
    [DEMAND_HELD_UP] = "requests waited a moment ago",
    [DEMAND_FALLING] = "a surplus goes slowly",
    [DEMAND_ASLEEP] = "no request for long",
    [DEMAND_AT_MAX] = "more would run if it might",
};

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t clamp(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : value > high ? high : value;
}

/* Newton's method; exact for the floor of the root. */
static int64_t root(int64_t n) {
    if (n < 2) {
        return n > 0 ? n : 0;
    }
    int64_t x = n, y = (x + 1) / 2;
    while (y < x) {
        x = y;
        y = (x + n / x) / 2;
    }
    return x;
}

static int64_t divide_up(int64_t a, int64_t b) {
    return a > 0 ? (a + b - 1) / b : 0;
}

static int64_t largest(const int64_t *values, size_t count) {
    int64_t most = 0;
    for (size_t i = 0; i < count; i++) {
        most = larger(most, values[i]);
    }
    return most;
}

void demand_init(struct demand *d, msec now) {
    memset(d, 0, sizeof *d);
    now = larger(now, 0);
    d->begun = true;
    d->now = d->rate_since = d->active = d->lowered = now;
    d->second = now / MILLI;
    d->step = now / DEMAND_STEP_MS;
    d->service_us = (int64_t)DEMAND_SERVICE_PRIOR_MS * MILLI;
    d->start_us = (int64_t)DEMAND_START_PRIOR_MS * MILLI;
}

void demand_restore(struct demand *d, int64_t service_us, int64_t start_us) {
    d->service_us = clamp(service_us, 1, SERVICE_MAX_US);
    d->start_us = clamp(start_us, 1, SERVICE_MAX_US);
    d->answered_ever = DEMAND_LEARN_REQUESTS;
}

void demand_learn_start(struct demand *d, msec ms) {
    int64_t us = clamp(ms, 1, SERVICE_MAX_US / MILLI) * MILLI;
    d->start_us += (us - d->start_us) / 4;
}

/* --- what is remembered ----------------------------------------------------------------------- */

/* Opens the seconds up to the present one; those that were skipped had the level of the last. */
static void open_seconds(struct demand *d, msec second) {
    msec from = larger(d->second, second - DEMAND_GROWTH_S - 1);
    for (msec s = from + 1; s <= second; s++) {
        d->peaks[s % (DEMAND_WINDOW_S + 1)] = d->level;
        d->growths[s % (DEMAND_GROWTH_S + 1)] = 0;
        d->holds[s % (DEMAND_HOLD_S + 1)] = 0;
    }
    d->second = larger(d->second, second);
}

static void open_steps(struct demand *d, msec step) {
    msec from = larger(d->step, step - DEMAND_STEPS);
    for (msec s = from + 1; s <= step; s++) {
        d->steps[s % DEMAND_STEPS] = d->level;
    }
    d->step = larger(d->step, step);
}

/* The level moves towards what has been in flight since the last sample: first order, in steps so
 * small that the order of samples does not matter much. */
static void smooth(struct demand *d, msec passed) {
    int64_t seen = d->last_in_flight * MILLI;
    if (passed >= 10 * DEMAND_SMOOTH_MS) {
        d->level = seen;
        return;
    }
    while (passed > 0) {
        msec part = smaller(passed, DEMAND_SMOOTH_MS / 10);
        d->level += (seen - d->level) * part / (part + DEMAND_SMOOTH_MS);
        passed -= part;
    }
}

/* Service time: request-ms over answers (Little's law the other way round). */
static void learn_service(struct demand *d, const struct demand_sample *s, msec passed) {
    int64_t arrived = larger(s->arrived - d->last_arrived, 0);
    int64_t inside = s->in_flight + s->held - d->last_in_flight - d->last_held;
    d->area += d->last_in_flight * passed;
    d->answered += larger(arrived - inside, 0);
    if (d->answered < DEMAND_LEARN_REQUESTS / 4 || d->area <= 0) {
        return;
    }
    int64_t us = clamp(d->area * MILLI / d->answered, 1, SERVICE_MAX_US);
    d->service_us = d->answered_ever == 0 ? us : d->service_us + (us - d->service_us) / 4;
    d->answered_ever += d->answered;
    d->area = d->answered = 0;
}

static void count_arrivals(struct demand *d, const struct demand_sample *s) {
    msec passed = s->now - d->rate_since;
    if (passed >= DEMAND_RATE_MS) {
        d->rate_before = s->arrived - d->rate_arrived;
        d->rate_before_ms = passed;
        d->rate_arrived = s->arrived;
        d->rate_since = s->now;
    }
}

static void remember(struct demand *d, const struct demand_sample *s) {
    msec passed = larger(s->now - d->now, 0);
    smooth(d, passed);
    learn_service(d, s, passed);
    open_steps(d, s->now / DEMAND_STEP_MS);
    open_seconds(d, s->now / MILLI);
    count_arrivals(d, s);
    d->steps[d->step % DEMAND_STEPS] = d->level;
    int64_t *peak = &d->peaks[d->second % (DEMAND_WINDOW_S + 1)];
    *peak = larger(*peak, d->level);
    msec back = clamp(d->start_us / MILLI / DEMAND_STEP_MS, 1, DEMAND_STEPS - 1);
    int64_t *growth = &d->growths[d->second % (DEMAND_GROWTH_S + 1)];
    *growth = larger(*growth, d->level - d->steps[(d->step + DEMAND_STEPS - back) % DEMAND_STEPS]);
    if (s->in_flight > 0 || s->held > 0 || d->last_in_flight > 0 || d->last_held > 0 ||
        s->arrived != d->last_arrived) {
        d->active = s->now;
    }
    d->now += passed;
    d->last_in_flight = s->in_flight;
    d->last_held = s->held;
    d->last_arrived = s->arrived;
}

/* --- what is wanted --------------------------------------------------------------------------- */

/* `load` and half or all of its root, in thousandths. */
static int64_t with_margin(const struct demand *d, int64_t load) {
    int64_t margin = root(load * MILLI);
    return load + (d->start_us < LONG_START_MS * MILLI ? margin / 2 : margin);
}

static int64_t base_target(
    struct demand *d, const struct demand_settings *settings, struct demand_decision *out) {
    out->level = d->level;
    out->peak = largest(d->peaks, DEMAND_WINDOW_S + 1);
    if (d->start_us >= LONG_START_MS * MILLI) {
        out->rise = smaller(largest(d->growths, DEMAND_GROWTH_S + 1), out->peak);
    }
    if (out->peak < QUIET_LEVEL) {
        return 0;
    }
    return divide_up(with_margin(d, out->peak + out->rise / 2), settings->concurrency * MILLI);
}

/* Until enough answers came, the oldest request under way says how slow the app may be. */
static int64_t service_time(const struct demand *d, const struct demand_sample *s) {
    return d->answered_ever < DEMAND_LEARN_REQUESTS
               ? larger(d->service_us, s->oldest_in_flight * MILLI)
               : d->service_us;
}

/* Arrivals a second times service time: what the present rate will have in flight. */
static int64_t offered(const struct demand *d, const struct demand_sample *s, int64_t service) {
    msec span = d->rate_before_ms + (s->now - d->rate_since);
    int64_t arrivals = d->rate_before + (s->arrived - d->rate_arrived);
    return arrivals * service / larger(span, DEMAND_RATE_MS);
}

static int64_t queue_target(
    struct demand *d, const struct demand_settings *settings, const struct demand_sample *s) {
    int64_t service = service_time(d, s);
    int64_t slots = s->ready * settings->concurrency;
    bool urgent = s->ready == 0 || s->oldest_held >= DEMAND_WAIT_MS ||
                  s->held * service / larger(slots, 1) >= DEMAND_WAIT_MS * MILLI;
    if (s->held == 0 || !urgent) {
        return 0;
    }
    int64_t span = larger(d->start_us, DEMAND_CLEAR_MS * MILLI);
    int64_t share = s->held * smaller(service, span) / (span / MILLI); /* thousandths */
    int64_t all = (s->in_flight + s->held) * MILLI;
    int64_t need =
        larger(s->in_flight * MILLI + share, with_margin(d, offered(d, s, service)) + share);
    return larger(divide_up(smaller(all, need), settings->concurrency * MILLI), 1);
}

/* Half of a surplus a second, at least one. */
static int64_t fall(struct demand *d, int64_t want) {
    if (want >= d->running) {
        d->lowered = d->now;
        return want;
    }
    if (d->now - d->lowered < DEMAND_DOWN_MS) {
        return d->running;
    }
    d->lowered = d->now;
    return d->running - (d->running - want + 1) / 2;
}

/* Is it time to sleep? */
static bool is_idle(
    const struct demand *d, const struct demand_settings *settings, const struct demand_sample *s) {
    return settings->min == 0 && s->in_flight == 0 && s->held == 0 &&
           d->now - d->active >= settings->idle;
}

static int64_t wanted(struct demand *d, const struct demand_settings *settings,
    const struct demand_sample *s, struct demand_decision *out) {
    out->base = base_target(d, settings, out);
    out->queue_target = queue_target(d, settings, s);
    int64_t *hold = &d->holds[d->second % (DEMAND_HOLD_S + 1)];
    *hold = larger(*hold, out->queue_target);
    int64_t held = largest(d->holds, DEMAND_HOLD_S + 1);
    int64_t want = larger(out->base, held);
    out->reason = out->queue_target == want && want > out->base ? DEMAND_QUEUE
                  : held > out->base                            ? DEMAND_HELD_UP
                                                                : DEMAND_LEVEL;
    /* While it is awake one stays, whatever the level. */
    if (settings->min == 0) {
        want = larger(want, 1);
    }
    if (want <= settings->min) {
        out->reason = DEMAND_AT_MIN;
    }
    return larger(want, settings->min);
}

void demand_decide(struct demand *d, const struct demand_settings *settings,
    const struct demand_sample *sample, struct demand_decision *out) {
    struct demand_sample s = *sample;
    if (!d->begun) {
        demand_init(d, s.now);
    }
    s.now = larger(s.now, d->now);
    *out = (struct demand_decision){ 0 };
    remember(d, &s);
    int64_t want = wanted(d, settings, &s, out);
    int64_t most = larger(settings->max, settings->min);
    int64_t running = fall(d, want);
    if (running > want) {
        out->reason = DEMAND_FALLING;
    }
    if (running > most) {
        running = most;
        out->reason = DEMAND_AT_MAX;
    }
    if (is_idle(d, settings, &s)) {
        running = 0;
        out->reason = DEMAND_ASLEEP;
    }
    d->running = running;
    out->running = running;
    out->service_ms = d->service_us / MILLI;
    out->start_ms = d->start_us / MILLI;
    /* At rest there is nothing to look at again: no tick. */
    bool rest =
        s.in_flight == 0 && s.held == 0 && d->level < QUIET_LEVEL && running == settings->min;
    out->next = rest ? 0 : TICK_MS;
}

/* The autoscaling law. SPDX-License-Identifier: Apache-2.0 */
#include "demand.h"

#include <string.h>

enum {
    MILLI = 1000,
    LONG_START_MS = 100, /* from here on a start is long enough to look ahead for */
    LONG_SERVICE_MS =
        200,          /* from here on a wait for a free slot is long enough for all the margin */
    QUIET_LEVEL = 20, /* thousandths of a request: nothing is going on */
    SERVICE_MAX_US = 600000000,
    REQUESTS_MAX = 1000000,            /* at once, of one app on one host */
    ANSWERS_MAX = 1000000000,          /* between two looks */
    TICK_MS = 100,                     /* between decisions while there is load */
    SECONDS = DEMAND_WINDOW_MAX_S + 1, /* that are remembered */
    USE_MAX = DEMAND_INSTANCES_MAX * MILLI,
};

/* Nothing that is made of these overflows. */
#define TIME_MAX (INT64_MAX / 1000000) /* ms */
#define AREA_MAX (INT64_MAX / 1000000) /* request-ms */

const char *const demand_reason_words[] = {
    [DEMAND_AT_MIN] = "nothing asks for more than the minimum",
    [DEMAND_LEVEL] = "requests in flight",
    [DEMAND_QUEUE] = "requests wait",
    [DEMAND_HELD_UP] = "requests waited a moment ago",
    [DEMAND_FALLING] = "a surplus goes slowly",
    [DEMAND_ASLEEP] = "no request for long",
    [DEMAND_AT_MAX] = "more are asked for than max",
    [DEMAND_RPS] = "requests a second",
    [DEMAND_CPU] = "processors are in use",
    [DEMAND_MEMORY] = "memory is in use",
    [DEMAND_P99] = "answers are slow",
    [DEMAND_METRIC] = "the app's own number",
    [DEMAND_STEP] = "not so many at once",
    [DEMAND_SCHEDULE] = "nothing asks for more than the schedule",
    [DEMAND_AT_GRANT] = "more are asked for than this host is granted",
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
    now = clamp(now, 0, TIME_MAX);
    d->begun = true;
    d->now = d->rate_since = d->active = d->lowered = d->raised = now;
    d->episode = now - DEMAND_CLEAR_MS;
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
    msec from = larger(d->second, second - SECONDS);
    for (msec s = from + 1; s <= second; s++) {
        d->peaks[s % SECONDS] = d->level;
        d->uses[s % SECONDS] = d->use;
        d->arrivals[s % SECONDS] = 0;
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

/* Service time: request-ms over answers (Little's law the other way round), the mean of the last
 * DEMAND_LEARN_MEAN answers or so: an estimate that jumps would make the number of instances jump.
 */
static void learn_service(struct demand *d, const struct demand_sample *s, msec passed) {
    int64_t arrived = larger(s->arrived - d->last_arrived, 0);
    int64_t inside = s->in_flight + s->held - d->last_in_flight - d->last_held;
    d->area += d->last_in_flight * smaller(passed, SERVICE_MAX_US / MILLI);
    d->area = smaller(d->area, AREA_MAX);
    d->answered = smaller(d->answered + larger(arrived - inside, 0), ANSWERS_MAX);
    if (d->answered < DEMAND_LEARN_REQUESTS / 4 || d->area <= 0) {
        return;
    }
    int64_t us = clamp(d->area * MILLI / d->answered, 1, SERVICE_MAX_US);
    d->answered_ever += d->answered;
    int64_t of = smaller(d->answered_ever, larger(DEMAND_LEARN_MEAN, d->answered));
    d->service_us += (us - d->service_us) * d->answered / of;
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
    int64_t *peak = &d->peaks[d->second % SECONDS];
    *peak = larger(*peak, d->level);
    int64_t *use = &d->uses[d->second % SECONDS];
    *use = larger(*use, s->use);
    uint32_t *arrivals = &d->arrivals[d->second % SECONDS];
    *arrivals = (uint32_t)smaller(*arrivals + larger(s->arrived - d->last_arrived, 0), ANSWERS_MAX);
    msec back = clamp(d->start_us / MILLI / DEMAND_STEP_MS, 1, DEMAND_STEPS - 1);
    int64_t *growth = &d->growths[d->second % (DEMAND_GROWTH_S + 1)];
    *growth = larger(*growth, d->level - d->steps[(d->step + DEMAND_STEPS - back) % DEMAND_STEPS]);
    if (s->in_flight > 0 || s->held > 0 || d->last_in_flight > 0 || d->last_held > 0 ||
        s->arrived != d->last_arrived || (s->use > 0 && s->use_reason == DEMAND_METRIC)) {
        d->active = s->now;
    }
    d->use = s->use;
    d->use_reason = s->use > 0 ? s->use_reason : d->use_reason;
    d->now += passed;
    d->last_in_flight = s->in_flight;
    d->last_held = s->held;
    d->last_arrived = s->arrived;
}

/* --- what is wanted --------------------------------------------------------------------------- */

/* `load` and half or all of its root, in thousandths. */
static int64_t with_margin(const struct demand *d, int64_t load) {
    int64_t margin = root(load * MILLI);
    return load + (d->service_us < LONG_SERVICE_MS * MILLI ? margin / 2 : margin);
}

/* The largest value of the last seconds, the present one's included. */
static int64_t peak_of(const struct demand *d, const int64_t values[SECONDS], msec window) {
    int64_t most = 0;
    for (msec back = 0; back <= window / MILLI; back++) {
        most = larger(most, values[(d->second + SECONDS - back) % SECONDS]);
    }
    return most;
}

static int64_t rps_target(const struct demand *d, const struct demand_settings *settings) {
    int64_t most = 0;
    for (msec back = 0; settings->rps > 0 && back <= settings->window / MILLI; back++) {
        most = larger(most, d->arrivals[(d->second + SECONDS - back) % SECONDS]);
    }
    return settings->rps > 0 ? divide_up(most, settings->rps) : 0;
}

static int64_t base_target(
    struct demand *d, const struct demand_settings *settings, struct demand_decision *out) {
    out->level = d->level;
    out->peak = peak_of(d, d->peaks, settings->window);
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
    return clamp(arrivals, 0, ANSWERS_MAX) * service / larger(span, DEMAND_RATE_MS);
}

/* What new instances have not taken on yet: those that a queue already asked for are filled by it,
 * and counted as load they would ask for more, and so on until there is one a request. So the load
 * beside the queue stays what it was when the queue began, until there was time to serve it. */
static int64_t load_beside_queue(struct demand *d, const struct demand_sample *s, msec span) {
    if (d->now - d->episode >= span) {
        d->episode = d->now;
        d->episode_in_flight = s->in_flight;
    }
    return smaller(s->in_flight, d->episode_in_flight);
}

static int64_t queue_target(
    struct demand *d, const struct demand_settings *settings, const struct demand_sample *s) {
    int64_t service = service_time(d, s);
    int64_t slots = larger(s->ready * settings->concurrency, 1);
    bool long_queue = s->ready == 0 || s->held * service / slots >= DEMAND_QUEUE_MS * MILLI;
    if (s->held == 0 || (!long_queue && s->oldest_held < settings->queue_delay)) {
        return 0;
    }
    int64_t span = larger(d->start_us, DEMAND_CLEAR_MS * MILLI);
    int64_t share = s->held * smaller(service, span) / (span / MILLI); /* thousandths */
    int64_t beside = load_beside_queue(d, s, span / MILLI) * MILLI;
    int64_t all = (s->in_flight + s->held) * MILLI;
    int64_t need = smaller(all, larger(beside, offered(d, s, service)) + share);
    /* A short queue that is only old is worth an instance only if it would fill half of one. */
    int64_t slot = settings->concurrency * MILLI;
    return larger(long_queue ? divide_up(need, slot) : (need + slot / 2) / slot, 1);
}

/* A surplus that noise may need again within a minute. */
static int64_t small_surplus(int64_t running) {
    return root(running * 25 / 16) - 1;
}

/* Half of a surplus a second, at least one; a small one only when nothing asked for more for long.
 */
static int64_t fall(struct demand *d, int64_t want) {
    if (want >= d->running) {
        d->raised = want > d->running ? d->now : d->raised;
        d->lowered = d->now;
        return want;
    }
    bool small = d->running - want <= small_surplus(d->running);
    if (d->now - d->lowered < DEMAND_DOWN_MS ||
        (small && d->now - d->raised < DEMAND_KEEP_S * MILLI)) {
        return d->running;
    }
    d->lowered = d->now;
    return d->running - (d->running - want + 1) / 2;
}

/* What of a change may be done in this period. */
static int64_t stepped(struct demand *d, const struct demand_settings *settings, int64_t running) {
    if (running != d->running && d->now - d->step_since >= settings->step_period) {
        d->step_since = d->now;
        d->step_from = d->running;
    }
    int64_t up = settings->step_up ? d->step_from + settings->step_up : DEMAND_INSTANCES_MAX;
    int64_t down = settings->step_down ? d->step_from - settings->step_down : 0;
    return running > d->running ? larger(smaller(running, up), d->running)
                                : smaller(larger(running, down), d->running);
}

/* Is it time to sleep? */
static bool is_idle(
    const struct demand *d, const struct demand_settings *settings, const struct demand_sample *s) {
    return settings->min == 0 && s->in_flight == 0 && s->held == 0 &&
           d->now - d->active >= settings->idle;
}

/* The largest wins, and is the reason. */
static void ask(
    int64_t *want, int64_t target, enum demand_reason reason, struct demand_decision *out) {
    if (target > *want) {
        *want = target;
        out->reason = reason;
    }
}

static int64_t wanted(struct demand *d, const struct demand_settings *settings,
    const struct demand_sample *s, struct demand_decision *out) {
    out->base = base_target(d, settings, out);
    out->queue_target = queue_target(d, settings, s);
    int64_t *hold = &d->holds[d->second % (DEMAND_HOLD_S + 1)];
    *hold = larger(*hold, out->queue_target);
    int64_t held = largest(d->holds, DEMAND_HOLD_S + 1);
    out->rps_target = rps_target(d, settings);
    out->use_target = divide_up(peak_of(d, d->uses, settings->window), MILLI);
    int64_t want = out->base;
    out->reason = DEMAND_LEVEL;
    ask(&want, out->rps_target, DEMAND_RPS, out);
    ask(&want, out->use_target, d->use_reason, out);
    ask(&want, held, out->queue_target == held ? DEMAND_QUEUE : DEMAND_HELD_UP, out);
    /* While it is awake one stays, whatever the level. */
    if (settings->min == 0) {
        want = larger(want, 1);
    }
    if (want <= settings->min) {
        out->reason = settings->min_scheduled ? DEMAND_SCHEDULE : DEMAND_AT_MIN;
    }
    return larger(want, settings->min);
}

/* Whatever a caller says, no sum or product below overflows. A clock that goes back stands. */
static struct demand_sample bounded(const struct demand *d, const struct demand_sample *s) {
    return (struct demand_sample){
        .now = clamp(s->now, d->now, TIME_MAX),
        .in_flight = clamp(s->in_flight, 0, REQUESTS_MAX),
        .held = clamp(s->held, 0, REQUESTS_MAX),
        .oldest_held = clamp(s->oldest_held, 0, SERVICE_MAX_US / MILLI),
        .oldest_in_flight = clamp(s->oldest_in_flight, 0, SERVICE_MAX_US / MILLI),
        .arrived = clamp(s->arrived, 0, INT64_MAX / 4),
        .ready = clamp(s->ready, 0, DEMAND_INSTANCES_MAX),
        .starting = clamp(s->starting, 0, DEMAND_INSTANCES_MAX),
        .use = clamp(s->use, 0, USE_MAX),
        .use_reason = s->use_reason,
    };
}

static struct demand_settings sane(const struct demand_settings *s) {
    int64_t min = clamp(s->min, 0, DEMAND_INSTANCES_MAX);
    return (struct demand_settings){
        .concurrency = s->concurrency > 0 ? smaller(s->concurrency, REQUESTS_MAX) : REQUESTS_MAX,
        .min = min,
        .max = clamp(s->max, min, DEMAND_INSTANCES_MAX),
        .idle = clamp(s->idle, 0, TIME_MAX),
        .rps = clamp(s->rps, 0, REQUESTS_MAX),
        .window = s->window > 0 ? smaller(s->window, (msec)DEMAND_WINDOW_MAX_S * MILLI)
                                : (msec)DEMAND_WINDOW_S * MILLI,
        .queue_delay = s->queue_delay > 0 ? smaller(s->queue_delay, TIME_MAX) : DEMAND_WAIT_MS,
        .step_up = clamp(s->step_up, 0, DEMAND_INSTANCES_MAX),
        .step_down = clamp(s->step_down, 0, DEMAND_INSTANCES_MAX),
        .step_period = clamp(s->step_period, 0, TIME_MAX),
        .min_scheduled = s->min_scheduled,
        .max_granted = s->max_granted,
    };
}

void demand_decide(struct demand *d, const struct demand_settings *given,
    const struct demand_sample *sample, struct demand_decision *out) {
    if (!d->begun) {
        demand_init(d, clamp(sample->now, 0, TIME_MAX));
    }
    struct demand_sample s = bounded(d, sample);
    const struct demand_settings fitting = sane(given), *settings = &fitting;
    *out = (struct demand_decision){ 0 };
    if (!d->decided) {
        d->decided = true;
        d->running = s.ready + s.starting; /* what is there goes as slowly as any surplus */
    }
    remember(d, &s);
    int64_t want = wanted(d, settings, &s, out);
    int64_t fallen = fall(d, want);
    if (fallen > want) {
        out->reason = DEMAND_FALLING;
    }
    int64_t running = stepped(d, settings, fallen);
    if (running < settings->min) {
        running = settings->min;
    } else if (running != fallen) {
        out->reason = DEMAND_STEP;
    }
    if (running > settings->max) {
        running = settings->max;
        out->reason = settings->max_granted ? DEMAND_AT_GRANT : DEMAND_AT_MAX;
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

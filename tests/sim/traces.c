/* Loads that every law has to stand. SPDX-License-Identifier: Apache-2.0 */
#include "traces.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

enum {
    LENGTH_S = 600,
    STEP_LOW = 15,
    STEP_HIGH = 300,
    STEP_FROM_S = 150,
    STEP_TO_S = 450,
    RAMP_LOW = 8,
    RAMP_HIGH = 480,
    BURST_BASE = 10,
    BURST_RATE = 60,    /* of each burst that is under way */
    BURST_EVERY_S = 15, /* in the mean */
    BURST_LONGEST_S = 60,
    BURSTS_MAX = 100,
    ON_RATE = 315,
    ON_S = 10,
    ON_EVERY_S = 90,
    DAY_MEAN = 150,
    DAY_SWING = 135,
    FLOOD_AT_S = 10,
    FLOOD_MS = 5,
    FLOOD_RATE = 200000, /* for FLOOD_MS: a thousand requests */
    STEADY_RATE = 200,
};

const char *const trace_names[TRACE_KINDS] = {
    [TRACE_STEP] = "step",
    [TRACE_RAMP] = "ramp",
    [TRACE_BURSTY] = "bursty",
    [TRACE_ON_OFF] = "on-off",
    [TRACE_DAY] = "day",
    [TRACE_FLOOD] = "cold-flood",
    [TRACE_STEADY] = "steady",
};

struct burst {
    double from, to;
};

/* Begins by chance (Poisson), lengths of a Pareto distribution with exponent 1.5 from 2 s on. */
static size_t make_bursts(struct burst *bursts) {
    uint64_t state = 7;
    size_t count = 0;
    for (double at = 0; count < BURSTS_MAX;) {
        double chance[2];
        for (int i = 0; i < 2; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            chance[i] = ((double)(state >> 11) + 0.5) / 9007199254740992.0;
        }
        at += -BURST_EVERY_S * log(chance[0]);
        if (at >= LENGTH_S) {
            break;
        }
        double length = 2 * pow(chance[1], -1 / 1.5);
        bursts[count++] = (struct burst){ at, at + fmin(length, BURST_LONGEST_S) };
    }
    return count;
}

/* Requests a second at second `t`. */
static double rate(enum trace_kind kind, double t, const struct burst *bursts, size_t count) {
    double sum = BURST_BASE;
    switch (kind) {
    case TRACE_STEP:
        return t >= STEP_FROM_S && t < STEP_TO_S ? STEP_HIGH : STEP_LOW;
    case TRACE_RAMP:
        return RAMP_LOW + (RAMP_HIGH - RAMP_LOW) * t / LENGTH_S;
    case TRACE_BURSTY:
        for (size_t i = 0; i < count; i++) {
            sum += t >= bursts[i].from && t < bursts[i].to ? BURST_RATE : 0;
        }
        return sum;
    case TRACE_ON_OFF:
        return fmod(t, ON_EVERY_S) < ON_S ? ON_RATE : 0;
    case TRACE_DAY:
        return DAY_MEAN - DAY_SWING * cos(2 * M_PI * t / LENGTH_S);
    case TRACE_STEADY:
        return STEADY_RATE;
    case TRACE_FLOOD:
    case TRACE_KINDS:
        break;
    }
    return 0;
}

int trace_make(enum trace_kind kind, struct trace *out, struct err *err) {
    enum { PER_S = 2 };
    struct burst bursts[BURSTS_MAX];
    size_t count = make_bursts(bursts);
    out->rows = calloc((size_t)LENGTH_S * PER_S + 3, sizeof *out->rows);
    out->count = 0;
    if (!out->rows) {
        return err_no_memory(err);
    }
    for (int i = 0; i <= LENGTH_S * PER_S; i++) {
        double t = (double)i / PER_S;
        int64_t ms = (int64_t)i * 1000 / PER_S;
        bool flood = kind == TRACE_FLOOD && i == FLOOD_AT_S * PER_S;
        out->rows[out->count++] =
            (struct trace_row){ ms, flood ? FLOOD_RATE : rate(kind, t, bursts, count) };
        if (flood) {
            out->rows[out->count++] = (struct trace_row){ ms + FLOOD_MS, 0 };
        }
    }
    return 0;
}

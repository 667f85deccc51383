/* What was decided lately, and on what load. SPDX-License-Identifier: Apache-2.0 */
#include "history.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void history_decided(struct history *h, const struct history_decision *d) {
    size_t at = (h->first + h->count) % HISTORY_DECISIONS;
    if (h->count == HISTORY_DECISIONS) {
        h->first = (h->first + 1) % HISTORY_DECISIONS;
    } else {
        h->count++;
    }
    h->decisions[at] = *d;
    h->up += d->decision.running > d->from;
    h->down += d->decision.running < d->from;
}

void history_arrived(struct history *h, msec wall, int64_t total, int64_t inside) {
    msec second = wall / 1000;
    if (h->begun == 0 || second - h->second >= HISTORY_SECONDS ||
        h->second - second >= HISTORY_SECONDS) {
        memset(h->seconds, 0, sizeof h->seconds);
        h->total = h->begun ? h->total : total - (inside < total ? inside : total);
        h->begun = h->second = second;
    }
    for (; h->second < second; h->second++) {
        h->seconds[(h->second + 1) % HISTORY_SECONDS] = 0;
    }
    /* A wall clock that goes back adds to the last second. */
    int64_t more = total < h->total ? total : total - h->total;
    uint32_t *here = &h->seconds[h->second % HISTORY_SECONDS];
    *here = more > UINT32_MAX - *here ? UINT32_MAX : *here + (uint32_t)more;
    h->total = total;
}

int64_t history_requests(const struct history *h, msec second) {
    if (h->begun == 0 || second < h->begun || second > h->second ||
        h->second - second >= HISTORY_SECONDS) {
        return -1;
    }
    return h->seconds[second % HISTORY_SECONDS];
}

void history_explain(const struct history_decision *d, struct scaling_decision *out) {
    const struct demand_decision *why = &d->decision;
    const struct demand_sample *on = &d->sample;
    out->at = d->at;
    out->sequence = d->sequence;
    out->from = d->from;
    out->to = why->running;
    snprintf(out->reason, sizeof out->reason, "%s", demand_reason_words[why->reason]);
    out->in_flight = on->in_flight;
    out->held = on->held;
    out->oldest_ms = on->oldest_held;
    out->ready = on->ready;
    out->starting = on->starting;
    out->level = why->level;
    out->peak = why->peak;
    out->rise = why->rise;
    out->service_ms = why->service_ms;
    out->start_ms = why->start_ms;
    out->base = why->base;
    out->queue_target = why->queue_target;
    out->use_target = why->use_target;
    snprintf(out->message, sizeof out->message,
        "%s: %" PRId64 " under way and %" PRId64 " held (oldest %" PRId64 " ms) at %" PRId64
        " ready, %" PRId64 " starting; at most %" PRId64 ".%" PRId64
        " at once lately; a request takes %" PRId64 " ms, a start %" PRId64
        " ms; load asks for %" PRId64 ", the queue for %" PRId64 ", use for %" PRId64,
        out->reason, on->in_flight, on->held, on->oldest_held, on->ready, on->starting,
        why->peak / 1000, why->peak % 1000 / 100, why->service_ms, why->start_ms,
        why->base > why->rps_target ? why->base : why->rps_target, why->queue_target,
        why->use_target);
}

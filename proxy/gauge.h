/* Counters that one worker writes and others read. SPDX-License-Identifier: Apache-2.0
 *
 * Each worker has cache lines of its own, so that counting is a plain store. What workers share
 * beyond that is used only for apps that bound how much an instance gets at once (room.h).
 */
#ifndef PAAS_PROXY_GAUGE_H
#define PAAS_PROXY_GAUGE_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "counters.h"

#define CACHE_LINE 64

struct gauge_slot {
    alignas(CACHE_LINE) _Atomic int64_t in_flight;
    _Atomic int64_t held;
    _Atomic int64_t oldest;   /* of those held: when it came, ms of the monotonic clock; 0: none */
    _Atomic int64_t requests; /* since the start */
    _Atomic int64_t answers[4]; /* 2xx and 1xx, 3xx, 4xx, 5xx */
    _Atomic int64_t shed;       /* refused because too many waited, or one too long */
    _Atomic int64_t durations[HISTOGRAM_BUCKETS]; /* of requests, as counters.h has the bounds */
};

struct gauge {
    _Atomic unsigned refs;
    unsigned count;
    alignas(
        CACHE_LINE) _Atomic uint64_t waiting; /* an app's: workers where requests wait, as bits */
    _Atomic int64_t taken;                    /* an instance's: places, of all workers */
    struct gauge_slot slots[];
};

/* A gauge with a slot for each of `workers` and one reference; NULL without memory. */
struct gauge *gauge_create(unsigned workers);
struct gauge *gauge_ref(struct gauge *g);
void gauge_unref(struct gauge *g); /* NULL is fine */

/* The sum over all workers; `oldest` is the least one that is not 0. */
struct gauge_sum {
    int64_t in_flight, held, oldest, requests, answers[4], shed;
    int64_t durations[HISTOGRAM_BUCKETS];
};
struct gauge_sum gauge_sum(const struct gauge *g);

/* Takes a place if fewer than `limit` are taken. */
bool gauge_take(struct gauge *g, int64_t limit);
void gauge_give(struct gauge *g);
/* Says whether requests wait at a worker. What is looked at afterwards is as it was at this moment
 * or later. */
void gauge_wait(struct gauge *g, unsigned worker, bool waits);
uint64_t gauge_waiting(const struct gauge *g);

/* Only the slot's own worker writes it. */
static inline void gauge_add(_Atomic int64_t *value, int64_t n) {
    atomic_store_explicit(
        value, atomic_load_explicit(value, memory_order_relaxed) + n, memory_order_relaxed);
}

#endif

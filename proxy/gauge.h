/* Counters that one worker writes and the control thread reads. SPDX-License-Identifier: Apache-2.0
 *
 * Each worker has a cache line of its own, so that counting is a plain store.
 */
#ifndef PAAS_PROXY_GAUGE_H
#define PAAS_PROXY_GAUGE_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#define CACHE_LINE 64

struct gauge_slot {
    alignas(CACHE_LINE) _Atomic int64_t in_flight;
    _Atomic int64_t held;
    _Atomic int64_t oldest;   /* of those held: when it came, ms of the monotonic clock; 0: none */
    _Atomic int64_t requests; /* since the start */
    _Atomic int64_t answers[4]; /* 2xx and 1xx, 3xx, 4xx, 5xx */
};

struct gauge {
    _Atomic unsigned refs;
    unsigned count;
    struct gauge_slot slots[];
};

/* A gauge with a slot for each of `workers` and one reference; NULL without memory. */
struct gauge *gauge_create(unsigned workers);
struct gauge *gauge_ref(struct gauge *g);
void gauge_unref(struct gauge *g); /* NULL is fine */

/* The sum over all workers; `oldest` is the least one that is not 0. */
struct gauge_sum {
    int64_t in_flight, held, oldest, requests, answers[4];
};
struct gauge_sum gauge_sum(const struct gauge *g);

/* Only the slot's own worker writes it. */
static inline void gauge_add(_Atomic int64_t *value, int64_t n) {
    atomic_store_explicit(
        value, atomic_load_explicit(value, memory_order_relaxed) + n, memory_order_relaxed);
}

#endif

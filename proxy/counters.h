/* A worker's counters, made from metrics.def. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_PROXY_COUNTERS_H
#define PAAS_PROXY_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

/* Upper bounds of every histogram, in us; the last bucket has none. */
#define HISTOGRAM_BOUNDS                                                                           \
    250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000,     \
        5000000, 10000000, 30000000
enum { HISTOGRAM_BUCKETS = 17 };

struct histogram {
    _Atomic int64_t buckets[HISTOGRAM_BUCKETS]; /* each value is counted in one */
    _Atomic int64_t sum;                        /* us */
};

struct counters {
#define X(kind, name, help) _Atomic int64_t name;
#define H(name, help) struct histogram name;
#include "metrics.def"
#undef H
#undef X
};

/* Only the worker's own thread writes: a load and a store, no locked instruction. */
static inline void count_add(_Atomic int64_t *counter, int64_t n) {
    atomic_store_explicit(
        counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}
/* Counts something that took `us`. Returns the bucket. */
int histogram_add(struct histogram *h, int64_t us);
/* The time in us within which `percent` of what is counted in `buckets` lies, as if each bucket's
 * were spread evenly over it; 0 when there is nothing. */
int64_t histogram_percentile(const int64_t buckets[HISTOGRAM_BUCKETS], int percent);

#endif

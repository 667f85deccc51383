/* Histograms. SPDX-License-Identifier: Apache-2.0 */
#include "counters.h"

static const int64_t bounds[] = { HISTOGRAM_BOUNDS };
_Static_assert(
    sizeof bounds / sizeof bounds[0] == HISTOGRAM_BUCKETS - 1, "one bucket is unbounded");

int histogram_add(struct histogram *h, int64_t us) {
    int bucket = 0;
    while (bucket < HISTOGRAM_BUCKETS - 1 && us > bounds[bucket]) {
        bucket++;
    }
    count_add(&h->buckets[bucket], 1);
    count_add(&h->sum, us);
    return bucket;
}

int64_t histogram_percentile(const int64_t buckets[HISTOGRAM_BUCKETS], int percent) {
    int64_t all = 0, below = 0;
    for (int b = 0; b < HISTOGRAM_BUCKETS; b++) {
        all += buckets[b];
    }
    int64_t rank = (all * percent + 99) / 100;
    for (int b = 0; rank > 0 && b < HISTOGRAM_BUCKETS; b++) {
        if (below + buckets[b] >= rank) {
            int64_t low = b ? bounds[b - 1] : 0;
            int64_t high = b < HISTOGRAM_BUCKETS - 1 ? bounds[b] : 2 * low;
            return low + (high - low) * (rank - below) / buckets[b];
        }
        below += buckets[b];
    }
    return 0;
}

/* Histograms. SPDX-License-Identifier: Apache-2.0 */
#include "counters.h"

static const int64_t bounds[] = { HISTOGRAM_BOUNDS };
_Static_assert(
    sizeof bounds / sizeof bounds[0] == HISTOGRAM_BUCKETS - 1, "one bucket is unbounded");

void histogram_add(struct histogram *h, int64_t us) {
    int bucket = 0;
    while (bucket < HISTOGRAM_BUCKETS - 1 && us > bounds[bucket]) {
        bucket++;
    }
    count_add(&h->buckets[bucket], 1);
    count_add(&h->sum, us);
}

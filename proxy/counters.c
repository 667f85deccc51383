/* The duration histogram. SPDX-License-Identifier: Apache-2.0 */
#include "counters.h"

static const int64_t bounds[] = { DURATION_BOUNDS };
_Static_assert(sizeof bounds / sizeof bounds[0] == DURATION_BUCKETS - 1, "one bucket is unbounded");

void counters_duration(struct counters *c, int64_t us) {
    int bucket = 0;
    while (bucket < DURATION_BUCKETS - 1 && us > bounds[bucket]) {
        bucket++;
    }
    count_add(&c->durations[bucket], 1);
    count_add(&c->duration_sum, us);
}

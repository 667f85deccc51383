/* Counters shared between a worker and the control thread. SPDX-License-Identifier: Apache-2.0 */
#include "gauge.h"

#include <stdlib.h>
#include <string.h>

struct gauge *gauge_create(unsigned workers) {
    size_t size = sizeof(struct gauge) + workers * sizeof(struct gauge_slot);
    size = (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    struct gauge *g = aligned_alloc(CACHE_LINE, size);
    if (g) {
        memset(g, 0, size);
        g->refs = 1;
        g->count = workers;
    }
    return g;
}

struct gauge *gauge_ref(struct gauge *g) {
    atomic_fetch_add_explicit(&g->refs, 1, memory_order_relaxed);
    return g;
}

void gauge_unref(struct gauge *g) {
    if (g && atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) == 1) {
        free(g);
    }
}

static int64_t load(const _Atomic int64_t *value) {
    return atomic_load_explicit(value, memory_order_relaxed);
}

struct gauge_sum gauge_sum(const struct gauge *g) {
    struct gauge_sum sum = { 0 };
    for (unsigned i = 0; i < g->count; i++) {
        const struct gauge_slot *slot = &g->slots[i];
        int64_t oldest = load(&slot->oldest);
        sum.in_flight += load(&slot->in_flight);
        sum.held += load(&slot->held);
        sum.requests += load(&slot->requests);
        if (oldest && (!sum.oldest || oldest < sum.oldest)) {
            sum.oldest = oldest;
        }
        for (int c = 0; c < 4; c++) {
            sum.answers[c] += load(&slot->answers[c]);
        }
    }
    return sum;
}

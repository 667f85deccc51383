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

/* Compared and set, not added and taken back: a place that nobody has must never look taken. */
bool gauge_take(struct gauge *g, int64_t limit) {
    int64_t taken = atomic_load(&g->taken);
    do {
        if (taken >= limit) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&g->taken, &taken, taken + 1));
    return true;
}

void gauge_give(struct gauge *g) {
    atomic_fetch_sub(&g->taken, 1);
}

void gauge_wait(struct gauge *g, unsigned worker, bool waits) {
    uint64_t bit = UINT64_C(1) << worker;
    if (waits) {
        atomic_fetch_or(&g->waiting, bit);
    } else {
        atomic_fetch_and(&g->waiting, ~bit);
    }
}

uint64_t gauge_waiting(const struct gauge *g) {
    return atomic_load(&g->waiting);
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
        sum.shed += load(&slot->shed);
        if (oldest && (!sum.oldest || oldest < sum.oldest)) {
            sum.oldest = oldest;
        }
        for (int c = 0; c < 4; c++) {
            sum.answers[c] += load(&slot->answers[c]);
        }
        for (int b = 0; b < HISTOGRAM_BUCKETS; b++) {
            sum.durations[b] += load(&slot->durations[b]);
        }
    }
    return sum;
}

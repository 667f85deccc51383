/* Least in flight of two random choices. SPDX-License-Identifier: Apache-2.0
 *
 * Two choices keep the longest queue near log log n (Mitzenmacher), where always taking the least
 * loaded one sends a burst from all workers to the same newcomer.
 */
#include "balance.h"

bool balance_may_take(
    const struct balance_slot *slot, uint32_t in_flight_max, struct balance_tried tried) {
    if (slot->out || slot->in_flight >= in_flight_max) {
        return false;
    }
    for (size_t i = 0; i < tried.count; i++) {
        if (tried.serials[i] == slot->serial) {
            return false;
        }
    }
    return true;
}

/* The least loaded of all; the walk begins at a random one so that equals take turns. */
static int least_of_all(const struct balance_slot *slots, size_t count, uint32_t in_flight_max,
    struct balance_tried tried, size_t first) {
    int best = -1;
    for (size_t n = 0; n < count; n++) {
        size_t i = (first + n) % count;
        if (balance_may_take(&slots[i], in_flight_max, tried) &&
            (best < 0 || slots[i].in_flight < slots[best].in_flight)) {
            best = (int)i;
        }
    }
    return best;
}

int balance_pick(const struct balance_slot *slots, size_t count, uint32_t in_flight_max,
    struct balance_tried tried, uint64_t random) {
    if (count == 0) {
        return -1;
    }
    size_t a = (uint32_t)random % count;
    if (count == 1) {
        return balance_may_take(&slots[0], in_flight_max, tried) ? 0 : -1;
    }
    size_t b = (a + 1 + (random >> 32) % (count - 1)) % count;
    bool a_fits = balance_may_take(&slots[a], in_flight_max, tried);
    bool b_fits = balance_may_take(&slots[b], in_flight_max, tried);
    if (a_fits && b_fits) {
        return (int)(slots[b].in_flight < slots[a].in_flight ? b : a);
    }
    if (a_fits || b_fits) {
        return (int)(a_fits ? a : b);
    }
    return least_of_all(slots, count, in_flight_max, tried, a);
}

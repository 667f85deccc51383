/* Picks an instance for a request. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_PROXY_BALANCE_H
#define PAAS_PROXY_BALANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is known of one instance. */
struct balance_slot {
    uint64_t serial; /* names it among all there ever were */
    uint32_t in_flight;
    bool out; /* takes no requests now */
};

/* Those a request must not go to again. */
struct balance_tried {
    const uint64_t *serials;
    size_t count;
};

/* It takes requests, has fewer than `in_flight_max`, and was not tried. */
bool balance_may_take(
    const struct balance_slot *slot, uint32_t in_flight_max, struct balance_tried tried);

/* The index of the slot with fewer requests in flight of two random ones; where these may not be
 * taken, of all others. -1 when there is none: all are out, tried, or have `in_flight_max`. */
int balance_pick(const struct balance_slot *slots, size_t count, uint32_t in_flight_max,
    struct balance_tried tried, uint64_t random);

#endif

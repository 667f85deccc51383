/* How many sandboxes to keep ready for one process of one release. SPDX-License-Identifier:
 * Apache-2.0
 *
 * Pure. What was started within ten seconds is likely to be started within ten seconds again: the
 * stock is as large as the larger of the current window's starts and the last one's, and never less
 * than one, for a crash announces itself to nobody.
 */
#ifndef PAAS_STOCK_H
#define PAAS_STOCK_H

#include <stdint.h>

#include <paas/clock.h>

enum {
    STOCK_WINDOW_MS = 10000,
    STOCK_MAX = 8, /* of one process: refilling it takes the spawner as long as so many starts */
};

/* Zeroed to begin with. */
struct stock {
    msec since;           /* when the current window began */
    int64_t starts, last; /* in the current window, and in the one before */
};

/* A start happened, whether there was a sandbox ready for it or not. */
void stock_start(struct stock *stock, msec now);
/* How many should be ready: 1..STOCK_MAX. */
int64_t stock_target(const struct stock *stock, msec now);
/* When the target may next fall without a start; 0: never. */
msec stock_falls(const struct stock *stock, msec now);

#endif

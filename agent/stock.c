/* How many sandboxes to keep ready. SPDX-License-Identifier: Apache-2.0 */
#include "stock.h"

/* Moves the windows on to `now`. A clock that goes back leaves them where they are. */
static struct stock at(struct stock stock, msec now) {
    msec passed = (now - stock.since) / STOCK_WINDOW_MS;
    if (passed > 0) {
        stock.last = passed == 1 ? stock.starts : 0;
        stock.starts = 0;
        stock.since += passed * STOCK_WINDOW_MS;
    }
    return stock;
}

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static int64_t within(int64_t starts) {
    return starts < 1 ? 1 : starts > STOCK_MAX ? STOCK_MAX : starts;
}

void stock_start(struct stock *stock, msec now) {
    *stock = at(*stock, now);
    stock->starts += stock->starts < STOCK_MAX;
}

int64_t stock_target(const struct stock *stock, msec now) {
    struct stock s = at(*stock, now);
    return within(larger(s.starts, s.last));
}

msec stock_falls(const struct stock *stock, msec now) {
    struct stock s = at(*stock, now);
    return within(larger(s.starts, s.last)) > 1 ? s.since + STOCK_WINDOW_MS : 0;
}

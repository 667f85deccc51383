/* The room that instances have for requests. SPDX-License-Identifier: Apache-2.0 */
#include "room.h"

#include <stdlib.h>

#include "balance.h"
#include "exchange.h"
#include "hold.h"
#include "proxy.h"
#include "worker.h"

static uint64_t bit_of(unsigned worker) {
    return UINT64_C(1) << worker;
}

static bool has_tried(const struct exchange *x, const struct backend *b) {
    for (unsigned i = 0; i < x->tried_count; i++) {
        if (x->tried[i] == b->serial) {
            return true;
        }
    }
    return false;
}

static uint32_t own_max(const struct app *app) {
    int64_t limit = app->rows->concurrency;
    return limit && limit < BACKEND_IN_FLIGHT_MAX ? (uint32_t)limit : BACKEND_IN_FLIGHT_MAX;
}

/* One where other workers left room; the first one that is found. */
static struct backend *take_any(struct app *app, struct balance_tried tried, size_t first) {
    for (size_t n = 0; n < app->count; n++) {
        size_t i = (first + n) % app->count;
        if (balance_may_take(&app->slots[i], own_max(app), tried) &&
            gauge_take(app->backends[i]->gauge, app->rows->concurrency)) {
            return app->backends[i];
        }
    }
    return NULL;
}

struct backend *room_take(struct app *app, const struct exchange *x, bool *counted) {
    struct balance_tried tried = { x->tried, x->tried_count };
    struct backend *b = app->offered;
    *counted = app->rows->concurrency > 0;
    if (b && !has_tried(x, b)) {
        app->offered = NULL;
        *counted = true;
        return b;
    }
    int index =
        balance_pick(app->slots, app->count, own_max(app), tried, worker_random(app->worker));
    if (index < 0) {
        return NULL;
    }
    b = app->backends[index];
    if (!*counted || gauge_take(b->gauge, app->rows->concurrency)) {
        return b;
    }
    return take_any(app, tried, (size_t)index + 1);
}

static bool takes(const struct app *app, size_t index) {
    int64_t limit = app->rows->concurrency;
    return !app->slots[index].out && app->slots[index].in_flight < own_max(app) &&
           (!limit || atomic_load(&app->backends[index]->gauge->taken) < limit);
}

bool room_is_there(const struct app *app) {
    bool any = app->offered != NULL;
    for (size_t i = 0; i < app->count && !any; i++) {
        any = takes(app, i);
    }
    return any;
}

bool room_is_there_for(const struct app *app, const struct exchange *x) {
    bool any = app->offered && !has_tried(x, app->offered);
    for (size_t i = 0; i < app->count && !any; i++) {
        any = takes(app, i) && !has_tried(x, app->backends[i]);
    }
    return any;
}

bool room_exists(const struct app *app) {
    for (size_t i = 0; i < app->count; i++) {
        if (!app->slots[i].out) {
            return true;
        }
    }
    return false;
}

/* ---- From worker to worker ---- */

/* One of the workers in `waiting`, each as likely as many requests wait there. */
static unsigned draw(const struct gauge *g, uint64_t waiting, uint64_t random) {
    int64_t held[WORKERS_MAX], total = 0;
    unsigned last = 0;
    for (unsigned i = 0; i < g->count; i++) {
        bool asked = waiting & bit_of(i);
        held[i] = asked ? atomic_load_explicit(&g->slots[i].held, memory_order_relaxed) : 0;
        total += held[i];
        last = asked ? i : last;
    }
    int64_t at = total ? (int64_t)(random % (uint64_t)total) : 0;
    for (unsigned i = 0; i < last; i++) {
        if (at < held[i]) {
            return i;
        }
        at -= held[i];
    }
    return last;
}

static bool post(struct proxy_worker *w, unsigned to, struct room_offer offer) {
    struct mail *m = calloc(1, sizeof *m);
    if (m) {
        m->kind = MAIL_ROOM;
        m->offer = offer;
        app_rows_ref(offer.rows);
        worker_post(proxy_worker(w->proxy, to), m);
    }
    return m != NULL;
}

/* Lets one that waits here have the place. */
static bool use(struct app *app, struct backend *b) {
    app->offered = b;
    hold_review(app);
    bool used = app->offered == NULL;
    app->offered = NULL;
    return used;
}

/* Hands a place on until somebody uses it or nobody waits. */
static void hand_on(struct app *app, struct backend *b, struct room_offer offer) {
    struct proxy_worker *w = app->worker;
    struct gauge *places = b->gauge, *of_app = offer.rows->gauge;
    for (;;) {
        uint64_t waiting = gauge_waiting(of_app) & ~offer.asked;
        if (!waiting) {
            gauge_give(places);
            if (!(gauge_waiting(of_app) & ~offer.asked) ||
                !gauge_take(places, offer.rows->concurrency)) {
                return;
            }
            continue;
        }
        unsigned to = draw(of_app, waiting, worker_random(w));
        offer.asked |= bit_of(to);
        if (to == w->index ? use(app, b) : post(w, to, offer)) {
            return;
        }
    }
}

void room_give(struct app *app, struct backend *b) {
    bool one_too_many = atomic_load(&b->gauge->taken) > app->rows->concurrency;
    if (b->app != app || app->slots[b->index].out || one_too_many) {
        gauge_give(b->gauge);
        hold_review(app);
        return;
    }
    app_use(app);
    hand_on(app, b, (struct room_offer){ app->rows, b->index, 0 });
    app_release(app);
}

void room_offered(struct proxy_worker *w, const struct room_offer *offer) {
    const struct instance_row *row = &offer->rows->instances[offer->index];
    struct app *app = apps_find(&w->apps, &offer->rows->key);
    struct backend *b = app ? app_backend(app, row->id) : NULL;
    if (!b || app->slots[b->index].out) {
        gauge_give(row->gauge);
        return;
    }
    app_use(app);
    if (!use(app, b)) {
        hand_on(app, b, *offer);
    }
    app_release(app);
}

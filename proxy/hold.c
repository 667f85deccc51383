/* Requests that wait for an instance. SPDX-License-Identifier: Apache-2.0 */
#include "hold.h"

#include <stdio.h>

#include "client.h"
#include "proxy.h"
#include "refusal.h"
#include "worker.h"

enum {
    HOLD_RETRY = 100, /* ms until an instance that broke the connection may be asked again */
};

bool hold_is_useful(const struct app_rows *rows, bool in_rotation) {
    return in_rotation || rows->starting > 0 || rows->can_grow;
}

/* A healthy instance is there, though it is full, was tried, or is passed over for a moment. */
static bool in_rotation(const struct app *app) {
    for (size_t i = 0; i < app->count; i++) {
        if (app->backends[i]->state == INSTANCE_HEALTHY) {
            return true;
        }
    }
    return false;
}

static void refuse_reason(struct client *c, const char *reason) {
    const struct app *app = c->exchange.app;
    char detail[NAME_SIZE + 160], hint[NAME_SIZE + 32];
    snprintf(detail, sizeof detail, "%s can't take the request now: %s", app->key.app, reason);
    snprintf(hint, sizeof hint, "paas ps %s", app->key.app);
    refuse(c, &(struct refusal){ .status = 503,
                  .code = ERR_UNAVAILABLE,
                  .detail = detail,
                  .hint = hint,
                  .retry_after = 1 });
}

static void refuse_useless(struct client *c) {
    const struct app_rows *rows = c->exchange.app->rows;
    if (c->exchange.attempts) {
        exchange_refuse_failed(c);
    } else {
        refuse_reason(c, rows->reason[0] ? rows->reason : "no instance runs, and none starts");
    }
}

static void show_gauge(struct app *app) {
    msec oldest = 0;
    count_add(&app->worker->activity, 1);
    if (!list_empty(&app->held)) {
        oldest = LIST_ITEM(app->held.next, struct exchange, held)->held_since;
    }
    atomic_store_explicit(&app->gauge->held, app->held_count, memory_order_relaxed);
    atomic_store_explicit(&app->gauge->oldest, oldest, memory_order_relaxed);
}

static void set_timer(struct client *c) {
    struct exchange *x = &c->exchange;
    msec waited = worker_now(c->flow.worker) - x->held_since;
    msec left = waited < HOLD_TIMEOUT ? HOLD_TIMEOUT - waited : 1;
    flow_timer(&c->flow, x->tried_count && left > HOLD_RETRY ? HOLD_RETRY : left);
}

void hold_request(struct client *c) {
    struct exchange *x = &c->exchange;
    struct app *app = x->app;
    struct proxy_worker *w = c->flow.worker;
    if (x->attempts >= ATTEMPTS_MAX || !hold_is_useful(app->rows, in_rotation(app))) {
        refuse_useless(c);
        return;
    }
    if (app->held_count >= HELD_PER_APP || w->held_count >= HELD_MAX) {
        refuse_reason(c, "too many requests wait already");
        return;
    }
    x->state = EXCHANGE_HELD;
    if (!x->held_since) {
        x->held_since = worker_now(w);
        count_add(&w->counters.requests_held_total, 1);
    }
    list_append(&app->held, &x->held);
    app->held_count++;
    w->held_count++;
    count_add(&w->counters.requests_held, 1);
    show_gauge(app);
    set_timer(c);
    proxy_notice_held(w->proxy);
}

void hold_leave(struct client *c) {
    struct exchange *x = &c->exchange;
    struct proxy_worker *w = c->flow.worker;
    list_remove(&x->held);
    x->app->held_count--;
    w->held_count--;
    count_add(&w->counters.requests_held, -1);
    show_gauge(x->app);
    x->state = EXCHANGE_NONE;
    flow_timer(&c->flow, 0);
}

static struct client *client_of(struct list *held) {
    return LIST_ITEM(LIST_ITEM(held, struct exchange, held), struct client, exchange);
}

/* Takes the request out of the queue and sends it on; back to its place when none takes it. */
static bool try_again(struct client *c) {
    struct exchange *x = &c->exchange;
    struct list *before = x->held.prev;
    hold_leave(c);
    if (exchange_dispatch(c)) {
        return true;
    }
    x->state = EXCHANGE_HELD;
    list_prepend(before, &x->held);
    x->app->held_count++;
    c->flow.worker->held_count++;
    count_add(&c->flow.worker->counters.requests_held, 1);
    show_gauge(x->app);
    set_timer(c);
    return false;
}

/* Some instance takes requests, whatever each of those that wait has tried. */
static bool anyone_takes(const struct app *app) {
    for (size_t i = 0; i < app->count; i++) {
        if (!app->slots[i].out && app->slots[i].in_flight < BACKEND_IN_FLIGHT_MAX) {
            return true;
        }
    }
    return false;
}

void hold_review(struct app *app) {
    if (list_empty(&app->held) || app->reviewing) {
        return;
    }
    app->reviewing = true;
    app_use(app); /* answers must not end it under our feet */
    /* Each that waits now is looked at once; a sent one may fail at once and come back behind. */
    unsigned count = app->held_count;
    bool useful = hold_is_useful(app->rows, in_rotation(app));
    struct list *at = app->held.next;
    while (count-- && at != &app->held) {
        struct client *c = client_of(at);
        at = at->next;
        if (!useful) {
            hold_leave(c);
            refuse_useless(c);
        } else if (!anyone_takes(app)) {
            break;
        } else {
            try_again(c);
        }
    }
    app->reviewing = false;
    app_release(app);
}

void hold_expired(struct client *c) {
    struct exchange *x = &c->exchange;
    struct proxy_worker *w = c->flow.worker;
    if (worker_now(w) - x->held_since >= HOLD_TIMEOUT || x->attempts >= ATTEMPTS_MAX) {
        hold_leave(c);
        if (x->attempts) {
            exchange_refuse_failed(c);
        } else {
            refuse_reason(c, "no instance was ready in time");
        }
        return;
    }
    x->tried_count = 0; /* enough time has passed to ask the same ones again */
    try_again(c);
}

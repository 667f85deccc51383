/* Requests that wait for an instance. SPDX-License-Identifier: Apache-2.0 */
#include "hold.h"

#include <stdio.h>
#include <string.h>

#include "client.h"
#include "proxy.h"
#include "refusal.h"
#include "room.h"
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

/* What it lacks where no instance runs and none may start. */
static const char *useless_reason(const struct app_rows *rows) {
    if (strcmp(rows->reason, "full") == 0) {
        return "no instance runs, and the host is full: there is no memory for one";
    }
    return rows->reason[0] ? rows->reason : "no instance runs, and none starts";
}

static void refuse_useless(struct client *c) {
    if (c->exchange.attempts) {
        exchange_refuse_failed(c);
    } else {
        refuse_reason(c, useless_reason(c->exchange.app->rows));
    }
}

/* Refuses one that waits, so that others need not. */
static void shed(struct client *c, const char *reason) {
    struct app *app = c->exchange.app;
    count_add(&c->flow.worker->counters.requests_shed_total, 1);
    gauge_add(&app->gauge->shed, 1);
    hold_leave(c);
    refuse_reason(c, reason);
}

/* ---- The queue ---- */

static struct client *client_of(struct queue_item *item) {
    return LIST_ITEM(LIST_ITEM(item, struct exchange, held), struct client, exchange);
}

void hold_show(struct app *app) {
    msec oldest = 0;
    count_add(&app->worker->activity, 1);
    if (app->queue.count) {
        oldest = LIST_ITEM(app->queue.order.next, struct queue_item, order)->since;
    }
    atomic_store_explicit(&app->gauge->held, app->queue.count, memory_order_relaxed);
    atomic_store_explicit(&app->gauge->oldest, oldest, memory_order_relaxed);
}

static void set_timer(struct client *c) {
    struct exchange *x = &c->exchange;
    msec waited = worker_now(c->flow.worker) - x->held_since;
    msec left = waited < HOLD_TIMEOUT ? HOLD_TIMEOUT - waited : 1;
    flow_timer(&c->flow, x->tried_count && left > HOLD_RETRY ? HOLD_RETRY : left);
}

static void enter(struct client *c) {
    struct exchange *x = &c->exchange;
    struct app *app = x->app;
    struct proxy_worker *w = c->flow.worker;
    x->state = EXCHANGE_HELD;
    queue_add(&app->queue, &x->held, c->address_slot, x->held_since);
    w->held_count++;
    count_add(&w->counters.requests_held, 1);
    hold_show(app);
    set_timer(c);
    if (app->queue.count == 1) {
        gauge_wait(app->rows->gauge, w->index, true);
        worker_timer(w, &app->look, WHEEL_TICK);
    }
}

static void leave(struct client *c, void (*by)(struct queue *q, struct queue_item *item)) {
    struct exchange *x = &c->exchange;
    struct app *app = x->app;
    struct proxy_worker *w = c->flow.worker;
    by(&app->queue, &x->held);
    w->held_count--;
    count_add(&w->counters.requests_held, -1);
    hold_show(app);
    if (app->queue.count == 0) {
        gauge_wait(app->rows->gauge, w->index, false);
    }
    x->state = EXCHANGE_NONE;
    flow_timer(&c->flow, 0);
}

void hold_leave(struct client *c) {
    leave(c, queue_leave);
}

void hold_request(struct client *c) {
    struct exchange *x = &c->exchange;
    struct app *app = x->app;
    struct proxy_worker *w = c->flow.worker;
    if (x->attempts >= ATTEMPTS_MAX || !hold_is_useful(app->rows, in_rotation(app))) {
        refuse_useless(c);
        return;
    }
    if (!x->held_since) {
        x->held_since = worker_now(w);
        x->cold = !in_rotation(app);
        count_add(&w->counters.requests_held_total, 1);
    }
    enter(c);
    proxy_notice_held(w->proxy);
    if (app->queue.count > queue_room(app->queue.count, w->held_count)) {
        shed(client_of(queue_victim(&app->queue, &x->held)), "too many requests wait already");
    }
    if (app->queue.count == 1) {
        hold_review(app); /* a place that became free before it was said that somebody waits */
    }
}

/* ---- On they go ---- */

static void count_wait(const struct client *c) {
    const struct exchange *x = &c->exchange;
    struct counters *counters = &c->flow.worker->counters;
    int64_t us = (int64_t)(uv_hrtime() - x->began) / 1000;
    histogram_add(&counters->queue_delay_seconds, us);
    if (x->cold) {
        histogram_add(&counters->cold_start_seconds, us);
    }
}

/* Takes the request out of the queue and sends it on; back to its place when none takes it. */
static void try_again(struct client *c) {
    struct exchange *x = &c->exchange;
    struct app *app = x->app;
    if (room_is_there_for(app, x)) {
        leave(c, queue_served);
        if (exchange_dispatch(c)) {
            count_wait(c);
            return;
        }
        enter(c);
    }
    queue_pass(&app->queue, &x->held);
}

/* What an app lacks whose instances are there and take no more. */
static const char *busy_reason(const struct app_rows *rows) {
    if (strcmp(rows->reason, "full") == 0) {
        return "its instances are busy, and the host has no room for more";
    }
    if (strcmp(rows->reason, "ceiling") == 0) {
        return "its instances are busy, and there may be no more of them";
    }
    return "its instances are busy";
}

/* What an app lacks none of whose instances took the request in all its time. */
static const char *late_reason(const struct app_rows *rows) {
    return strcmp(rows->reason, "failing") == 0 ? "no instance was ready in time: its starts fail"
                                                : "no instance was ready in time";
}

void hold_review(struct app *app) {
    struct queue *q = &app->queue;
    struct queue_item *item;
    if (q->count == 0 || app->reviewing) {
        return;
    }
    const struct app_rows *rows = app->rows;
    msec now = worker_now(app->worker);
    app->reviewing = true;
    app_use(app); /* answers must not end it under our feet */
    queue_look(q, now, rows->can_grow || rows->starting > 0, room_exists(app));
    bool useful = hold_is_useful(rows, in_rotation(app));
    while (!useful && (item = queue_next(q))) {
        struct client *c = client_of(item);
        hold_leave(c);
        refuse_useless(c);
    }
    /* Each that waits now is looked at once; a sent one may fail at once and come back. */
    for (unsigned left = q->count; left && room_is_there(app) && (item = queue_next(q)); left--) {
        try_again(client_of(item));
    }
    queue_round_over(q);
    while ((item = queue_overdue(q, now))) {
        shed(client_of(item), busy_reason(rows));
    }
    app->reviewing = false;
    app_release(app);
}

void hold_on_look(struct wheel_timer *t) {
    struct app *app = LIST_ITEM(t, struct app, look);
    app_use(app);
    hold_review(app);
    if (app->queue.count) {
        worker_timer(app->worker, t, WHEEL_TICK);
    }
    app_release(app);
}

void hold_expired(struct client *c) {
    struct exchange *x = &c->exchange;
    struct proxy_worker *w = c->flow.worker;
    if (worker_now(w) - x->held_since >= HOLD_TIMEOUT || x->attempts >= ATTEMPTS_MAX) {
        if (x->attempts) {
            hold_leave(c);
            exchange_refuse_failed(c);
        } else {
            shed(c, late_reason(x->app->rows));
        }
        return;
    }
    x->tried_count = 0; /* enough time has passed to ask the same ones again */
    set_timer(c);
    hold_review(x->app);
}

/* A worker's view of apps and instances. SPDX-License-Identifier: Apache-2.0 */
#include "apps.h"

#include <stdlib.h>
#include <string.h>

#include <paas/log.h>

#include "hold.h"
#include "proxy.h"
#include "room.h"
#include "upstream.h"
#include "worker.h"

/* ---- Backends ---- */

bool backend_lives(const struct backend *b) {
    if (!b->app) {
        return false;
    }
    switch (b->state) {
    case INSTANCE_STARTING:
    case INSTANCE_HEALTHY:
    case INSTANCE_UNHEALTHY:
    case INSTANCE_DRAINING:
        return true;
    case INSTANCE_FROZEN:
    case INSTANCE_STOPPED:
    case INSTANCE_FAILED:
        break;
    }
    return false;
}

void backend_maybe_free(struct backend *b) {
    if (b->app || b->idle_count || !list_empty(&b->busy) || b->in_flight) {
        return;
    }
    wheel_remove(&b->worker->wheel, &b->suspect);
    gauge_unref(b->gauge);
    free(b);
}

static void set_in_flight(struct backend *b, int change) {
    struct proxy_worker *w = b->worker;
    b->in_flight += (unsigned)change;
    gauge_add(&b->gauge->slots[w->index].in_flight, change);
    if (b->app) {
        b->app->slots[b->index].in_flight = b->in_flight;
    }
}

static void app_in_flight(struct app *app, int change) {
    app->in_flight += (unsigned)change;
    count_add(&app->worker->activity, 1);
    atomic_store_explicit(&app->gauge->in_flight, app->in_flight, memory_order_relaxed);
}

void backend_enter(struct backend *b) {
    set_in_flight(b, 1);
    app_in_flight(b->app, 1);
}

void backend_leave(struct backend *b, struct app *app, bool counted) {
    set_in_flight(b, -1);
    app_in_flight(app, -1);
    if (b->in_flight == 0 && (!b->app || b->state != INSTANCE_HEALTHY)) {
        proxy_notice(b->worker->proxy);
    }
    if (counted) {
        room_give(app, b);
    } else {
        hold_review(app);
    }
    backend_maybe_free(b);
}

static void show_out(struct backend *b) {
    b->app->slots[b->index].out = b->state != INSTANCE_HEALTHY || b->suspect.deadline != 0;
}

static void on_suspect_over(struct wheel_timer *t) {
    struct backend *b = LIST_ITEM(t, struct backend, suspect);
    if (b->app) {
        show_out(b);
        hold_review(b->app);
    }
}

void backend_suspect(struct backend *b) {
    if (b->app && !b->suspect.deadline) {
        worker_timer(b->worker, &b->suspect, SUSPECT_TIME);
        show_out(b);
        proxy_notice_suspect(b->worker->proxy, b->id);
    }
}

static struct backend *backend_create(struct proxy_worker *w, const struct instance_row *row) {
    struct backend *b = calloc(1, sizeof *b);
    if (!b) {
        return NULL;
    }
    b->worker = w;
    memcpy(b->id, row->id, sizeof b->id);
    b->serial = ++w->apps.serial;
    b->gauge = gauge_ref(row->gauge);
    list_init(&b->idle);
    list_init(&b->busy);
    wheel_timer_init(&b->suspect, on_suspect_over);
    return b;
}

/* The instance has no row any more. */
static void backend_end(struct backend *b) {
    b->app = NULL;
    upstream_close_idle(b);
    upstream_expire_busy(b);
    backend_maybe_free(b);
}

static void backend_update(struct backend *b, const struct instance_row *row) {
    b->address = row->address;
    b->state = row->state;
    if (b->said != row->said) {
        b->said = row->said;
        wheel_off(&b->suspect);
    }
    show_out(b);
    b->app->slots[b->index].serial = b->serial;
    b->app->slots[b->index].in_flight = b->in_flight;
    if (b->state != INSTANCE_HEALTHY) {
        upstream_close_idle(b);
    }
    if (!backend_lives(b)) {
        upstream_expire_busy(b);
    }
}

/* ---- Apps ---- */

struct app *apps_find(struct apps *apps, const struct app_key *key) {
    struct app *app = apps->slots[key->hash % APPS_SLOTS];
    while (app && !app_key_same(&app->key, key)) {
        app = app->next;
    }
    return app;
}

struct backend *app_backend(const struct app *app, const char *id) {
    for (size_t i = 0; i < app->count; i++) {
        if (strcmp(app->backends[i]->id, id) == 0) {
            return app->backends[i];
        }
    }
    return NULL;
}

static struct app *app_create(struct proxy_worker *w, const struct app_key *key) {
    struct app *app = calloc(1, sizeof *app);
    if (app) {
        struct app **slot = &w->apps.slots[key->hash % APPS_SLOTS];
        app->worker = w;
        app->key = *key;
        app->retry_tokens = RETRY_TOKENS_MAX;
        queue_init(&app->queue, w->lanes);
        wheel_timer_init(&app->look, hold_on_look);
        app->next = *slot;
        *slot = app;
    }
    return app;
}

static bool app_is_over(const struct app *app) {
    return !app->users && (!app->rows || (!app->rows->known && app->rows->count == 0));
}

static void app_free(struct app *app) {
    struct app **at = &app->worker->apps.slots[app->key.hash % APPS_SLOTS];
    while (*at != app) {
        at = &(*at)->next;
    }
    *at = app->next;
    wheel_remove(&app->worker->wheel, &app->look);
    for (size_t i = 0; i < app->count; i++) {
        backend_end(app->backends[i]);
    }
    app_rows_unref(app->rows);
    free(app->slots);
    free(app->backends);
    free(app);
}

void app_use(struct app *app) {
    app->users++;
}

void app_release(struct app *app) {
    app->users--;
    if (app_is_over(app)) {
        app_free(app);
    }
}

/* The backend of a row among the app's present ones, which mostly stand in the same order. Takes it
 * out of the array. */
static struct backend *take_backend(struct app *app, const char *id, size_t hint) {
    for (size_t n = 0; n < app->count; n++) {
        size_t i = (hint + n) % app->count;
        if (app->backends[i] && strcmp(app->backends[i]->id, id) == 0) {
            struct backend *b = app->backends[i];
            app->backends[i] = NULL;
            return b;
        }
    }
    return NULL;
}

/* Fills `to` with the backends of the rows, present or new. -1 without memory: all as before. */
static int collect(struct app *app, const struct app_rows *rows, struct backend **to) {
    for (size_t i = 0; i < rows->count; i++) {
        to[i] = take_backend(app, rows->instances[i].id, i);
        if (!to[i]) {
            to[i] = backend_create(app->worker, &rows->instances[i]);
        }
        if (!to[i]) {
            for (size_t n = 0; n < i; n++) {
                if (to[n]->app) {
                    app->backends[to[n]->index] = to[n];
                } else {
                    backend_maybe_free(to[n]);
                }
            }
            return -1;
        }
    }
    return 0;
}

static int app_set(struct app *app, struct app_rows *rows) {
    size_t room = rows->count ? rows->count : 1;
    struct backend **backends = calloc(room, sizeof(struct backend *));
    struct balance_slot *slots = calloc(room, sizeof *slots);
    if (!backends || !slots || collect(app, rows, backends) < 0) {
        free(backends);
        free(slots);
        return -1;
    }
    struct backend **gone = app->backends;
    size_t gone_count = app->count;
    struct app_rows *before = app->rows;
    free(app->slots);
    app->slots = slots;
    app->backends = backends;
    app->count = rows->count;
    app->rows = rows;
    app->gauge = &rows->gauge->slots[app->worker->index];
    atomic_store_explicit(&app->gauge->in_flight, app->in_flight, memory_order_relaxed);
    hold_show(app);
    if (app->queue.count) {
        gauge_wait(rows->gauge, app->worker->index, true);
    }
    for (size_t i = 0; i < rows->count; i++) {
        backends[i]->app = app;
        backends[i]->index = i;
        backend_update(backends[i], &rows->instances[i]);
    }
    for (size_t i = 0; i < gone_count; i++) {
        if (gone[i]) {
            backend_end(gone[i]);
        }
    }
    free(gone);
    app_rows_unref(before);
    return 0;
}

void apps_apply(struct proxy_worker *w, struct app_rows *rows) {
    struct app *app = apps_find(&w->apps, &rows->key);
    if (!app) {
        app = app_create(w, &rows->key);
    }
    if (!app || app_set(app, rows) < 0) {
        log_error("out of memory: rows of %s were not put in force", rows->key.app);
        app_rows_unref(rows);
        if (app && app_is_over(app)) {
            app_free(app);
        }
        return;
    }
    app_use(app);
    hold_review(app);
    app_release(app);
}

void apps_finish(struct proxy_worker *w) {
    for (size_t i = 0; i < APPS_SLOTS; i++) {
        while (w->apps.slots[i]) {
            app_free(w->apps.slots[i]);
        }
    }
}

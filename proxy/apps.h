/* A worker's view of apps and their instances. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_PROXY_APPS_H
#define PAAS_PROXY_APPS_H

#include <stdbool.h>
#include <stddef.h>

#include <paas/list.h>

#include "balance.h"
#include "queue.h"
#include "rows.h"
#include "wheel.h"

struct proxy_worker;
struct backend;

/* One process of an app. It lives while it has rows or requests. */
struct app {
    struct proxy_worker *worker;
    struct app_key key;
    struct app *next; /* of its hash slot */
    struct app_rows *rows;
    struct gauge_slot *gauge;   /* this worker's, of rows->gauge */
    struct balance_slot *slots; /* as backends, in the same order */
    struct backend **backends;
    size_t count;
    struct queue queue;      /* requests that wait */
    struct wheel_timer look; /* at the queue, while somebody waits */
    struct backend *offered; /* a place there is to be used now: see room.h */
    unsigned in_flight;
    bool reviewing;   /* hold_review() is at work on it */
    unsigned users;   /* exchanges that point here */
    int retry_tokens; /* see retry.h */
};

/* One instance. It lives while it has a row or connections. */
struct backend {
    struct app *app; /* NULL when its row is gone */
    struct proxy_worker *worker;
    size_t index; /* in app->backends */
    char id[ID_SIZE];
    union instance_address address;
    uint64_t serial, said;
    enum instance_state state;
    struct gauge *gauge;
    struct list idle; /* kept connections, the last used first */
    struct list busy; /* connections with a request */
    unsigned idle_count, in_flight;
    msec idle_close; /* the shortest idle time after which it closed a kept connection; 0: never */
    struct wheel_timer suspect; /* runs while it is passed over */
};

enum { APPS_SLOTS = 1024 /* of the hash table; a chain of ten at APPS_MAX */ };
struct apps {
    struct app *slots[APPS_SLOTS];
    uint64_t serial; /* the last backend's */
};

struct app *apps_find(struct apps *apps, const struct app_key *key);
/* Puts rows in force and takes the reference. Requests that waited go on. Without memory the rows
 * before stay in force, which the log tells. */
void apps_apply(struct proxy_worker *w, struct app_rows *rows);
/* Frees all; no exchange may be left. */
void apps_finish(struct proxy_worker *w);

/* An exchange begins or ends to point at the app. */
void app_use(struct app *app);
void app_release(struct app *app);

/* A request went to, or is done with, an instance; `counted` says whether it had a place of
 * room_take(). Those that wait go on; the backend may be freed. */
void backend_enter(struct backend *b);
void backend_leave(struct backend *b, struct app *app, bool counted);
/* The app's backend of this id, or NULL. */
struct backend *app_backend(const struct app *app, const char *id);
/* Connecting or its first answer failed: it is passed over until the agent speaks of it again or a
 * moment has passed, and the agent is told. */
void backend_suspect(struct backend *b);
/* It has a row, and not one that says that it does not run: its connections can be waited for. */
bool backend_lives(const struct backend *b);
/* After a connection left its lists: frees the backend if that was all it lived for. */
void backend_maybe_free(struct backend *b);

#endif

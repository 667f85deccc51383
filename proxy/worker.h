/* One thread, one loop: its clients, its upstream connections, its view of routes and rows.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Nothing here is shared with another worker. News come from the control thread as mail, in order;
 * what a worker has to say back, it says through gauges and proxy_notice().
 */
#ifndef PAAS_PROXY_WORKER_H
#define PAAS_PROXY_WORKER_H

#include <stdatomic.h>
#include <uv.h>

#include <paas/http_parse.h>

#include "apps.h"
#include "flow.h"
#include "counters.h"
#include "listener.h"
#include "room.h"
#include "route_table.h"

struct client;
struct proxy;
struct upstream;

enum mail_kind {
    MAIL_ROUTES, /* a table; the worker gets a reference */
    MAIL_APP,    /* rows of one app; the worker gets a reference */
    MAIL_ROOM,   /* a place at an instance; the worker gets a reference of its rows */
    MAIL_KNOWN,  /* the agent's rows were once whole */
    MAIL_ACCEPT, /* begin to accept */
    MAIL_SYNC,   /* tell the control thread that all mail up to `serial` is in force */
    MAIL_DRAIN,  /* planned stop: finish what is in flight, then end the loop */
    MAIL_CUT,    /* the drain took too long: cut what is left */
};

struct mail {
    struct mail *next;
    enum mail_kind kind;
    union {
        struct route_table *routes;
        struct app_rows *rows;
        struct room_offer offer;
        uint64_t serial;
    };
};

struct proxy_worker {
    struct proxy *proxy;
    unsigned index;
    uv_loop_t loop;
    uv_thread_t thread;
    _Atomic uint64_t served;  /* the last MAIL_SYNC's serial */
    _Atomic int64_t activity; /* grows with whatever changes the load */
    _Atomic bool ended;       /* its loop is over */

    uv_async_t mail_here;
    uv_mutex_t mail_lock;
    struct mail *mail, **mail_end;

    uv_timer_t tick;
    struct wheel wheel;
    bool ticking;

    struct listener *listeners;
    unsigned listener_count;
    struct addresses *addresses;

    struct route_table *routes; /* NULL before the first one */
    struct apps apps;
    struct queue_lanes *lanes; /* of all apps' queues */
    bool rows_known;

    struct list clients;      /* all */
    struct list idle_clients; /* those without a request, the longest idle first */
    unsigned client_count, client_max;
    unsigned held_count;
    struct client *ready; /* may go on with what they sent */
    struct client *spare_clients;
    struct upstream *spare_upstreams;
    size_t flows; /* open handles of both */

    struct memory memory;
    struct outbox outbox;
    struct counters counters;
    uint64_t random;
    uint32_t id_prefix; /* of request ids */
    uint64_t id_next;
    uint64_t date_second; /* that `date` shows */
    char date[32];        /* an HTTP date */
    bool accepting, draining;
    struct wheel_timer drain_timer;

    char input[BLOCK_SIZE]; /* what was just read; used up before the callback returns */
};

/* Makes the worker and its loop; it runs after worker_start(). -1 with *err filled. */
int worker_init(struct proxy_worker *w, struct proxy *proxy, unsigned index, struct err *err);
int worker_start(struct proxy_worker *w, struct err *err);
/* Waits for the thread (after MAIL_DRAIN) and frees what the worker holds. */
void worker_finish(struct proxy_worker *w);
/* Hands over a piece of mail, from any thread; it belongs to the worker then. */
void worker_post(struct proxy_worker *w, struct mail *mail);

/* ---- For the worker's own thread ---- */

static inline msec worker_now(const struct proxy_worker *w) {
    return (msec)uv_now(&w->loop);
}
/* What a client or an instance may send. */
const struct http_limits *worker_limits(const struct proxy_worker *w);
/* Sets a timer `after` ms from now. */
void worker_timer(struct proxy_worker *w, struct wheel_timer *t, msec after);
/* Lets the clients that became ready go on; false when there was none. */
bool worker_next_requests(struct proxy_worker *w);
/* A random number, good for balancing. */
uint64_t worker_random(struct proxy_worker *w);
/* The present time as an HTTP date, 29 bytes. */
const char *worker_date(struct proxy_worker *w);
/* Ends the loop of a draining worker when nothing is left. */
void worker_maybe_done(struct proxy_worker *w);

#endif

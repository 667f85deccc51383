/* A connection to an instance, and the pool of kept ones. SPDX-License-Identifier: Apache-2.0
 *
 * Kept connections are read all the time, so that one which the instance closes leaves the pool at
 * once. The close may still be on its way when a request takes the connection: retry.h says what
 * happens then. A request that must not be repeated takes only a connection that was idle for less
 * than the instance was ever seen to wait before closing, and whose socket holds nothing to read.
 */
#ifndef PAAS_PROXY_UPSTREAM_H
#define PAAS_PROXY_UPSTREAM_H

#include <paas/http_parse.h>

#include "flow.h"

struct backend;
struct client;

struct upstream {
    struct flow flow;
    struct backend *backend; /* NULL when it is closing */
    struct client *client;   /* NULL while idle */
    struct http_parser parser;
    struct arena *arena;
    struct list link; /* backend->idle or busy */
    uv_connect_t connect;
    bool reused;      /* carried a request before this one */
    bool half_closed; /* tunnels: it will send no more */
    msec idle_since;
    char upgrade[64];      /* what was asked for, or "" */
    struct upstream *next; /* spare */
};

enum upstream_wish {
    UPSTREAM_ANY,  /* the request may be repeated */
    UPSTREAM_SURE, /* it may not */
};

/* A kept connection, now the client's; NULL when none will do. */
struct upstream *upstream_take(struct backend *b, struct client *c, enum upstream_wish wish);
/* Begins to connect; the client hears exchange_connected() or exchange_attempt_failed() later.
 * NULL when that could not even begin. */
struct upstream *upstream_connect(struct backend *b, struct client *c);
/* Sets the timers for what is awaited now: more of the request, the answer, or more of it. */
void upstream_await(struct upstream *u);
/* Reads on after flow_pause(). */
void upstream_read(struct upstream *u);
/* Sets its timer; that of an ended instance's connection is never put off. */
void upstream_timer(struct upstream *u, msec after);
/* Takes it from its client: to the pool, or closed. */
void upstream_keep(struct upstream *u);
void upstream_drop(struct upstream *u);
/* Closes the backend's kept connections. */
void upstream_close_idle(struct backend *b);
/* The instance is gone: its busy connections end soon. */
void upstream_expire_busy(struct backend *b);

#endif

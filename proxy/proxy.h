/* The proxy as a whole: its control loop, and the workers that it tells what holds.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The control loop follows the scheduler's routes and the agent's rows, builds immutable tables of
 * them and mails these to every worker; it tells the agent what is in force, what is drained, and
 * how much is asked for. No request ever passes through it.
 */
#ifndef PAAS_PROXY_PROXY_H
#define PAAS_PROXY_PROXY_H

#include <uv.h>

#include <paas/http_parse.h>
#include <paas/stream.h>

#include "rows.h"

struct proxy;
struct proxy_worker;
struct route_table;

struct proxy_options {
    const char *data;     /* directory of the file with the last routes */
    const char *run;      /* run directory of the platform */
    const char *node;     /* this host's name */
    int platform;         /* number: whose uids may ask for metrics */
    unsigned workers;     /* threads; 0: one a core */
    const int *listeners; /* listening sockets; they are duplicated */
    size_t listener_count;
};

/* Starts everything on `loop`. NULL with *err filled. */
struct proxy *proxy_create(uv_loop_t *loop, const struct proxy_options *options, struct err *err);
/* Planned stop: accepts no more, finishes what is in flight within DRAIN_TIMEOUT, then lets the
 * loop end. The second call cuts what is left. */
void proxy_stop(struct proxy *p);
/* After the loop ended. NULL is fine. */
void proxy_destroy(struct proxy *p);

/* ---- For the parts of the control loop ---- */

/* Mails rows to every worker; takes the reference. */
void proxy_publish_rows(struct proxy *p, struct app_rows *rows);
/* Mails routes; takes the reference. `at` is told to the agent when every worker has them. */
void proxy_publish_routes(struct proxy *p, struct route_table *t, struct stream_point at);
/* The agent's rows were published whole, up to `revision`: acknowledged when in force. */
void proxy_publish_sync(struct proxy *p, int64_t revision);
/* The present serial of mail, and what every worker has served. */
uint64_t proxy_serial(const struct proxy *p);
uint64_t proxy_served(const struct proxy *p);
unsigned proxy_worker_count(const struct proxy *p);
struct proxy_worker *proxy_worker(struct proxy *p, unsigned index);
/* For /readyz: routes and rows are known, and it accepts. */
bool proxy_is_ready(const struct proxy *p);

/* ---- For workers, from their threads ---- */

const struct http_limits *proxy_limits(const struct proxy *p);
size_t proxy_listener_count(const struct proxy *p);
int proxy_listener_fd(const struct proxy *p, size_t index);
unsigned proxy_client_max(const struct proxy *p);
/* Something was served or drained: look at it. */
void proxy_notice(struct proxy *p);
/* A request is held: tell the agent at once. */
void proxy_notice_held(struct proxy *p);
/* An instance failed: tell the agent. */
void proxy_notice_suspect(struct proxy *p, const char id[ID_SIZE]);

#endif

/* The agent's rows, as the control loop knows them. SPDX-License-Identifier: Apache-2.0
 *
 * Rows are kept here as they come and published app by app, whole, at each sync.
 */
#ifndef PAAS_PROXY_FLEET_H
#define PAAS_PROXY_FLEET_H

#include <stdbool.h>
#include <stdint.h>

#include <paas/buf.h>
#include <paas/clock.h>
#include <paas/err.h>
#include <paas/model.h>

struct fleet;
struct proxy;

/* NULL without memory. */
struct fleet *fleet_create(struct proxy *proxy);
void fleet_destroy(struct fleet *f); /* NULL is fine */

/* The agent begins again: what it does not repeat until the next sync is gone. */
void fleet_begin(struct fleet *f);
/* One message of the agent: instance, gone, app, app-gone. -1 with *err for nonsense. */
int fleet_apply(struct fleet *f, const struct local_message *m, struct err *err);
/* Publishes what changed. -1 without memory: what changed is published with the next sync. */
int fleet_publish(struct fleet *f, struct err *err);
/* True once rows were whole. */
bool fleet_is_whole(const struct fleet *f);

/* What there is to say to the agent; each calls `say` for every message. */
typedef void (*fleet_say)(void *data, const struct local_message *m);
/* Drained instances that were not told yet. */
void fleet_drained(struct fleet *f, fleet_say say, void *data);
/* Load of each app that changed since it was told last, and how busy instances are, a little later.
 * True: there is more to say then. */
bool fleet_demand(struct fleet *f, msec now, fleet_say say, void *data);

/* Lines of /metrics by app. */
void fleet_metrics(const struct fleet *f, struct buf *out);

#endif

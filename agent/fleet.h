/* The instances of this host. SPDX-License-Identifier: Apache-2.0
 *
 * One group for each app, process type and release that is granted or still runs. A group's grant
 * and what runs go into converge(); what comes out is done. Ends come back, are counted, and a slot
 * that keeps failing waits longer (respawn.h). Needs no scheduler once it has a grant.
 */
#ifndef PAAS_FLEET_H
#define PAAS_FLEET_H

#include <stdbool.h>
#include <stddef.h>

#include <paas/buf.h>
#include <paas/err.h>
#include <paas/model.h>

#include "capacity.h"
#include "configs.h"
#include "instance.h"
#include "local_proxy.h"
#include "shortage.h"

struct fleet;

struct fleet_options {
    struct instance_host host; /* news callbacks and ctx are the fleet's to fill */
    struct configs *configs;
    struct http_client *client; /* asks apps for numbers; outlives the fleet */
    /* Some row changed: a report is due. */
    void (*changed)(void *data);
    void *data;
};

struct fleet *fleet_create(const struct fleet_options *options, struct err *err);
/* Lets go of all instances, which live on. */
void fleet_close(struct fleet *f);
/* The proxy's socket, which may be opened after adoption; must outlive the fleet's use of it. */
void fleet_set_proxy(struct fleet *f, struct local_proxy *proxy);

/* Takes on what a former agent left, and tells the spawner to sweep the rest. `adopted` is called
 * once, from the loop. */
int fleet_adopt(struct fleet *f, void (*adopted)(void *data), struct err *err);
/* These grants are in force; converges in a later turn of the loop. */
void fleet_grant(struct fleet *f, const struct grant *rows, size_t count);
/* A configuration that was missing is there (or can't be had). */
void fleet_config_arrived(struct fleet *f, const char *digest);
/* Whether an instance or a grant refers to this configuration. */
bool fleet_needs_config(const struct fleet *f, const char *digest);
/* Calls `each` for every configuration whose layers should stay, some more than once: `needed` are
 * those of grants, also of stopped apps, and of instances that live; the others were run before
 * under a process that is still granted, and may be gone back to. */
void fleet_each_config(
    const struct fleet *f, void (*each)(void *data, const char *digest, bool needed), void *data);

/* News of the proxy. */
void fleet_proxy_connected(struct fleet *f);
void fleet_proxy_lost(struct fleet *f);
void fleet_proxy_message(struct fleet *f, const struct local_message *message);

/* Calls `each` for all instances, ended ones that the scheduler does not know to have ended
 * included; those that ended and are known only with `all`. */
void fleet_each(
    struct fleet *f, bool all, void (*each)(void *data, struct agent_instance *i), void *data);
/* The instance `name` of `app`: an id, a slot ("web.1": the newest one that lives), or "" for any
 * healthy one. NULL with *err (ERR_NOT_FOUND). */
struct agent_instance *fleet_find(
    struct fleet *f, const char *app, const char *name, struct err *err);
/* Appends a JSON list of what load decided of an app lately (struct scaling_decision), and of the
 * requests of the last seconds (struct load_second). `process` "": all types. */
void fleet_tell_decisions(
    const struct fleet *f, const char *app, const char *process, struct buf *out);
void fleet_tell_load(const struct fleet *f, const char *app, const char *process, struct buf *out);
/* Calls `each` for what was decided since it was last told, one a group, at most `max`;
 * fleet_told(): the scheduler has them. Of a group at most one a second is told; what came in
 * between is one step from the first to the last number. */
void fleet_each_untold(struct fleet *f, size_t max,
    void (*each)(void *data, const struct scaling_decision *decision), void *data);
void fleet_told(struct fleet *f);
/* Appends metrics of what load decided, in Prometheus text. */
void fleet_write_metrics(const struct fleet *f, struct buf *out);
/* Memory of this host, at the last look. */
struct fleet_figures {
    struct capacity host;
    int64_t reserve;                   /* bytes kept for the platform itself */
    int64_t promised;                  /* limits of all instances that live */
    int64_t used;                      /* by them */
    int64_t swapped;                   /* likewise, in the host's swap */
    int64_t given_back;                /* how often a sleeper's memory went there, ever */
    bool full;                         /* what should start has no room */
    int64_t given_up[SHORTAGE_STAGES]; /* how many of each, ever */
};
void fleet_tell_memory(const struct fleet *f, struct fleet_figures *out);
/* Marks an ended instance as known to the scheduler. */
void fleet_acknowledge(struct fleet *f, struct agent_instance *i);

#endif

/* One instance of this host, from the decision to start it to the last trace of it.
 * SPDX-License-Identifier: Apache-2.0
 *
 *   IMAGE ─▶ SPAWN ─▶ START ─▶ SERVE ─▶ DRAIN ─▶ STOP ─▶ DESTROY ─▶ ENDED
 *                                ▲ ╰─▶ FREEZE ─▶ FROZEN
 *                                ╰───────┴─────────╯
 *
 * IMAGE waits for layers, SPAWN for the spawner, START until it is ready (a listener listens on its
 * port, accepts, and passes its health check; a worker has lived for a second). SERVE is in
 * rotation. DRAIN is out of rotation and finishes its requests, STOP has been asked to end. FREEZE
 * finishes its requests, too, and FROZEN sleeps: out of rotation, its probes paused, woken by one
 * write. An end that nobody asked for leads from START, SERVE, DRAIN or STOP to DESTROY, and a
 * start that fails from IMAGE or SPAWN. ENDED has a row to report and logs to read, and nothing
 * else.
 */
#ifndef PAAS_INSTANCE_H
#define PAAS_INSTANCE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include <paas/clock.h>
#include <paas/health.h>
#include <paas/image.h>
#include <paas/list.h>
#include <paas/model.h>
#include <paas/sandbox.h>

#include "init_link.h"
#include "pool.h"
#include "spawner_link.h"
#include "turns.h"

struct agent_instance;
struct record;

enum instance_phase {
    PHASE_IMAGE,
    PHASE_SPAWN,
    PHASE_START,
    PHASE_SERVE,
    PHASE_FREEZE,
    PHASE_FROZEN,
    PHASE_DRAIN,
    PHASE_STOP,
    PHASE_DESTROY,
    PHASE_ENDED,
};

/* What all instances of a host share. Outlives them. */
struct instance_host {
    uv_loop_t *loop;
    struct spawner_link *spawner;
    struct pool *pool;
    struct turns *turns;
    struct image_store *images;
    const struct sandbox_cgroups *cgroups;
    const char *directory; /* RUN/agent/instances */
    int directory_fd;
    const char *node;
    struct in_addr resolvers[SANDBOX_RESOLVERS_MAX];
    uint32_t resolver_count;

    /* News; `ctx` is first. None is called from inside instance_create() or instance_adopt(). */
    void *ctx;
    /* The row changed in a way that others want to know. */
    void (*changed)(void *ctx, struct agent_instance *i);
    /* It ended (row.last_exit says why); `asked` when somebody wanted it to. It is still to be
     * destroyed. */
    void (*ended)(void *ctx, struct agent_instance *i, bool asked);
    /* Nothing of it is left but its directory. */
    void (*gone)(void *ctx, struct agent_instance *i);
};

struct agent_instance {
    struct list link; /* the owner's */
    const struct instance_host *host;
    void *group; /* the owner's */
    struct turn_lane *lane;
    struct instance row;
    enum instance_phase phase;
    int number; /* of the slot: 2 in "web.2" */
    char config[DIGEST_SIZE];
    const struct process_spec *spec; /* in the release's configuration, which the owner keeps */
    const struct release_config *release;
    bool listens;
    int port;               /* that it is asked to listen on; the row has it once it does */
    int64_t failures;       /* of the slot, in a row, before this start; once it ended, with it */
    int64_t attempt;        /* of the grant that it was started under */
    msec not_before;        /* monotonic; once it ended: when its slot may start again, or 0 */
    msec decided;           /* monotonic; when its start was decided */
    msec healthy_since;     /* monotonic; 0 while it is not */
    msec frozen_since;      /* monotonic; when it was last put to sleep */
    bool giving;            /* its memory may go to swap: it is on its way there */
    bool given_back;        /* that was tried since it was put to sleep */
    int64_t rotation;       /* the sync that the proxy has to acknowledge for the phase, or 0 */
    int64_t in_flight;      /* requests at it, as the proxy last said */
    int64_t used_usec;      /* processor time when it was last measured; 0: not yet */
    enum end_reason reason; /* why we end it; END_NONE while nobody does */
    char why[sizeof(((struct last_exit *)0)->detail)]; /* in words */
    bool acknowledged;                                 /* the scheduler knows that it ended */
    bool learnt;                                       /* its start time was taken into account */
    bool unrecorded;                                   /* its record is to be written */

    pid_t init_pid;
    uint64_t start_time;
    int pidfd;
    struct pool_sandbox ahead; /* in SPAWN, where it was made ahead; else without descriptors */
    struct turn turn;          /* at the spawner */
    struct image_pull *pull;
    struct init_link *init;
    struct health_monitor *health;
    uv_poll_t ended_poll;
    uv_timer_t timer;
    int handles; /* open ones of the two above */
    bool closing;
};

struct instance_spec {
    const struct release_config *release;
    const struct process_spec *process;
    const char *config; /* digest */
    int number;
    int64_t restarts, failures; /* of the slot so far */
    int64_t attempt;            /* of the grant */
    const struct last_exit *last_exit;
    struct turn_lane *lane; /* of its process, for its turn at the spawner */
    void *group;
};

/* Decides a start and begins it in a later turn of the loop. NULL with *err without memory or
 * randomness. */
struct agent_instance *instance_create(
    const struct instance_host *host, const struct instance_spec *spec, struct err *err);
/* Takes on an instance that a former agent started, from its record: alive, it goes on in its
 * recorded state until a probe or paas-init says otherwise; dead, its end is told from its exit
 * record. `spec` is the owner's view (number and counts come from the record); without a process
 * (spec->process NULL: its configuration is lost) it is ended. NULL without memory. */
struct agent_instance *instance_adopt(const struct instance_host *host, const struct record *record,
    const struct instance_spec *spec, struct err *err);

/* Takes it out of rotation, lets it finish, ends it. `why` is for people. Idempotent. */
void instance_stop(struct agent_instance *i, enum end_reason reason, const char *why);
/* Takes a serving instance out of rotation, lets it finish, and puts it to sleep. */
void instance_freeze(struct agent_instance *i);
/* Wakes one that sleeps or is about to: it is in rotation again at once, as it was, and probed. */
void instance_thaw(struct agent_instance *i);
/* Sends a signal to the app, in words of an operator. ERR_CONFLICT when it does not run. */
int instance_signal(struct agent_instance *i, int signal, struct err *err);
/* The proxy has acknowledged all rows up to `revision` (INT64_MAX: there is no proxy). */
void instance_acknowledged(struct agent_instance *i, int64_t revision);
/* The proxy has nothing in flight at it any more. */
void instance_drained(struct agent_instance *i);
/* The proxy had trouble with it: probe it now. */
void instance_suspect(struct agent_instance *i);
/* It is on its way or in rotation, and nobody ends it. */
bool instance_runs(const struct agent_instance *i);
/* It is frozen, or about to be. */
bool instance_sleeps(const struct agent_instance *i);
/* Most of its memory was in swap when it was last measured. */
bool instance_in_swap(const struct agent_instance *i);
/* Reads into its row what it uses, if there is a process: a few files. */
void instance_measure(struct agent_instance *i);
/* Lets its memory go to swap while it sleeps, or no more; a thaw ends that, too. What can't be done
 * is logged. */
int instance_set_swap(struct agent_instance *i, bool allowed);
/* Writes its record, so that a next agent knows it as it is. */
void instance_record(struct agent_instance *i);
/* Likewise once the proxy was told: nothing waits for the record of who enters the rotation. The
 * owner does it when `unrecorded`. */
void instance_record_later(struct agent_instance *i);
/* Lets go of it without ending it (the agent ends; it is adopted later), or frees one that has
 * ENDED. Memory goes in a later turn of the loop. */
void instance_release(struct agent_instance *i);

#endif

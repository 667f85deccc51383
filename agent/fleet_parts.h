/* What the files of the fleet share; nobody else includes it. SPDX-License-Identifier: Apache-2.0
 *
 * group.c finds and makes groups, fleet_rows.c speaks to the proxy, fleet_converge.c decides on
 * what it and fleet_measures.c saw, fleet_memory.c watches the host's memory, fleet_room.c says who
 * may start in it, fleet_give_back.c has that of sleepers go to swap, fleet_ends.c counts and
 * forgets, adopt.c takes over, fleet.c has the rest. A change marks its group; marked groups are
 * looked at once, later in the same turn of the loop.
 */
#ifndef PAAS_FLEET_PARTS_H
#define PAAS_FLEET_PARTS_H

#include <paas/clock.h>
#include <paas/loop.h>
#include <paas/map.h>

#include "demand.h"
#include "fleet.h"
#include "history.h"

enum { GROUP_KEY_SIZE = NAME_SIZE * 2 + 24 /* "app/process@release" */ };

/* What is remembered of slot number n beyond its instance. */
struct slot {
    int64_t restarts;
    int64_t failures; /* in a row */
    msec not_before;  /* monotonic */
    struct last_exit last_exit;
    int64_t recalled; /* created_at of the instance whose record said so at adoption */
};

struct group {
    struct fleet *fleet;
    char key[GROUP_KEY_SIZE];
    char app[NAME_SIZE], process[NAME_SIZE];
    int64_t release;
    struct grant grant; /* in force; zero floor and ceiling when none is */
    bool granted, dirty;
    struct turn_lane starts;
    struct list instances; /* struct agent_instance; ended ones, too */
    struct slot *slots;
    size_t slot_count;
    struct local_message told; /* the app row as the proxy knows it, if this group speaks */
    bool speaks;
    struct demand demand;
    struct demand_sample seen; /* as the proxy last said; its arrivals since this process began */
    int64_t requests;          /* as the proxy counts them; -1: not told since it is here */
    int64_t p99_ms;            /* likewise */
    bool is_target;            /* demand goes to it: what is learnt of load is here */
    struct measures *measures; /* of fleet_measures.c; NULL: its rule names none */
    struct demand_decision decided;
    msec sleep_ends; /* when the first of its sleepers has slept for too long; 0: none will */
    struct history *history;        /* NULL until there was load */
    int64_t told_decision, telling; /* sequences: the scheduler has it, and is being told */
    msec told_at;
    /* Bytes that are missing for those that its floor promises, and for those that load asks for.
     */
    int64_t owed, asked;
};

struct fleet_memory {
    uv_timer_t timer;
    struct capacity host; /* at the last look */
    msec looked;
    struct shortage shortage;
    bool spent;                        /* nothing is left to give up for what lacks */
    int64_t lacked;                    /* bytes, when that was decided */
    size_t pool_most;                  /* sandboxes made ahead, while they may not be made again */
    int64_t promised;                  /* limits of all that live */
    int64_t used, swapped;             /* by them */
    msec full_since;                   /* when something had no room for the last time; 0: never */
    bool full;                         /* as it is told */
    int64_t given_up[SHORTAGE_STAGES]; /* ever */
};

/* One sleeper at a time has its memory go to swap. */
struct fleet_giving {
    struct worker_job job; /* first */
    struct fleet *fleet;
    struct worker *worker;
    char id[ID_SIZE]; /* of whom; "": of nobody */
    int result;       /* of sandbox_give_back() */
    struct err err;
    int64_t before; /* what it had in swap at first */
    int64_t times;  /* ever */
};

struct fleet {
    struct fleet_options options;
    struct instance_host host;
    struct turns turns; /* at the spawner */
    struct local_proxy *proxy;
    struct map groups;  /* struct group by key */
    struct map targets; /* those that demand goes to, by group_target_key() */
    uv_idle_t converger;
    uv_timer_t back_off; /* the next slot that may start again, or sleeper that may not sleep on */
    uv_timer_t tick;     /* decisions that are due without news */
    uv_timer_t measure;  /* what groups use */
    int64_t decisions;   /* sequence of the last one */
    struct fleet_memory memory;
    struct fleet_giving giving;
    int handles;
    bool rows_pending; /* rows for the proxy that no sync has sent */
    bool adopting;
    void (*adopted)(void *data);
};

/* --- group.c ---------------------------------------------------------------------------------- */

/* The group, made if need be; NULL with *err without memory. */
struct group *group_get(
    struct fleet *f, const char *app, const char *process, int64_t release, struct err *err);
/* Lets go of its instances, too. */
void group_free(struct group *g);
/* What is remembered of slot `number`; NULL for a number that is none, or without memory. */
struct slot *group_slot(struct group *g, int number);
/* "app/process". */
void group_target_key(char key[GROUP_KEY_SIZE], const char *app, const char *process);
/* Demand goes to this group from now on: what was learnt of the app's load comes along from the
 * one that it went to, if there is one, so that a new release begins where the old one was. */
void group_inherit_load(struct group *g);
/* Nobody grants it any more: whoever comes under its name begins anew. */
void group_forget_load(struct group *g);
/* Something of it changed: it is converged later in this turn. */
void group_mark(struct group *g);
void fleet_wake(struct fleet *f);
/* Instances on their way, and in rotation. */
int64_t group_starting(const struct group *g);
int64_t group_serving(const struct group *g);
/* Those of which instance_runs() and instance_sleeps() are true. */
int64_t group_awake(const struct group *g);
int64_t group_asleep(const struct group *g);
/* A release that does not serve any more and may be gone back to. */
bool group_is_kept(const struct group *g);
/* How many of it are promised at this time of day. */
int64_t group_floor(const struct group *g);
struct agent_instance *group_find_id(const struct group *g, const char *id);
struct agent_instance *fleet_find_id(struct fleet *f, const char *id);

/* --- fleet_rows.c ----------------------------------------------------------------------------- */

/* Gathers an instance's row, or that it is gone. */
void fleet_send_instance(struct fleet *f, const struct agent_instance *i);
/* Gathers what a request that waits for this app needs to know, if it changed or with `force`. */
void group_tell(struct group *g, bool force);
/* Sends what was gathered; whoever waits for the proxy waits for this sync. */
void fleet_sync_rows(struct fleet *f);

/* --- fleet_converge.c ------------------------------------------------------------------------- */

void fleet_on_converge(uv_idle_t *idle);
/* Whether load decides how many run. */
bool group_is_scaled(const struct group *g);
/* How many must sleep; of a release that is kept, those that do. */
int64_t group_standbys(const struct group *g);

/* --- fleet_measures.c ------------------------------------------------------------------------- */

/* Has it measured as its rule says, or no more; `changed`: by another rule than before. */
void group_set_measures(struct group *g, bool changed);
void group_forget_measures(struct group *g);
/* The least number of instances here at this time of day, beside those that other hosts are
 * granted; 0 without a schedule. */
int64_t group_scheduled(const struct group *g);
/* Fills what use asks for. */
void group_use(const struct group *g, struct demand_sample *sample);

/* --- fleet_room.c ----------------------------------------------------------------------------- */

/* How many of `wanted` running ones have room; remembers in the group what has none. */
int64_t fleet_memory_allow(struct group *g, int64_t wanted);
/* How many of `frozen` may be kept asleep, and of `standby` beside `wanted` running ones. */
int64_t fleet_memory_frozen(const struct group *g, int64_t frozen);
int64_t fleet_memory_standby(struct group *g, int64_t wanted, int64_t standby);
/* Something of it should start, and there is no room for it, nor will there be. */
bool group_is_full(const struct group *g);

/* --- fleet_memory.c --------------------------------------------------------------------------- */

void fleet_memory_open(struct fleet *f);
/* Looks at what the host has now. */
void fleet_memory_read(struct fleet *f);
/* How many sandboxes may be made ahead. */
size_t fleet_memory_pool(struct fleet *f);
/* All groups are converged: looks at once if more lacks than was known. */
void fleet_memory_review(struct fleet *f);

/* --- fleet_give_back.c ------------------------------------------------------------------------ */

int fleet_give_back_open(struct fleet *f, struct err *err);
/* Ends what is under way; waits for that no longer than the kernel takes to see it. */
void fleet_give_back_close(struct fleet *f);
/* Begins with the next sleeper, if there is one, and swap for it. */
void fleet_give_back(struct fleet *f);
/* Whose memory goes to swap next: of those that have slept for long enough and were not tried since
 * they fell asleep, who sleeps longest; as many of a process as it has standbys keep theirs. NULL:
 * nobody's, now. */
struct agent_instance *fleet_next_giver(const struct fleet *f, msec now);

/* --- fleet_history.c -------------------------------------------------------------------------- */

/* Its history, made if need be; NULL without memory. */
struct history *group_history(struct group *g);

/* --- fleet_ends.c ----------------------------------------------------------------------------- */

/* Counts an end and says when its slot may start again. */
void group_count_end(struct group *g, struct agent_instance *i, bool asked);
/* Frees an ended instance and removes its directory. */
void fleet_forget(struct fleet *f, struct agent_instance *i);
/* Lets ended instances go that are too many, the oldest first. */
void fleet_trim_ended(struct fleet *f, const struct group *of);

#endif

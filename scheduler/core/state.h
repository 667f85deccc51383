/* The core's state. SPDX-License-Identifier: Apache-2.0
 *
 * Rule of memory: a step first reserves all that it can need, then changes; so it fails whole or
 * not at all, and nothing below allocates while deciding.
 */
#ifndef CORE_STATE_H
#define CORE_STATE_H

#include <paas/core.h>

/* A part of a process's instances on one node: the root of a grant. */
struct placed {
    uint32_t process; /* index in the release */
    uint32_t node;    /* index in the core */
    int64_t floor, ceiling, frozen;
    uint64_t rule; /* hash of the one in force; 0: none */
};

/* How many instances of a process shall be. */
struct wanted {
    int64_t floor, ceiling; /* running */
    int64_t frozen;
    const struct scale_rule *rule; /* NULL: load decides nothing */
};

struct release {
    int64_t number; /* 0: the slot is empty */
    char config[DIGEST_SIZE];
    struct core_process *processes;
    size_t process_count;
    struct placed *placed; /* by (process, order of placing) */
    size_t placed_count, placed_cap;
    int64_t unplaced;   /* floors that found no node */
    int64_t kept_since; /* in slot KEPT: since when; -1: not yet */
};

/* Each of another release; TARGET and KEPT may be empty. */
enum release_slot { SERVING, TARGET, KEPT, SLOTS };

struct rollout {
    int64_t progress_at; /* start, or the last thing that went forward */
    int64_t ready_at;    /* all healthy since; -1: not yet */
    int64_t verdict_at;  /* when the verdict was last handed out; -1: not yet */
    bool judged;         /* `cause` holds, until the commit comes back */
    enum core_cause cause;
    int reason;
    char instance[ID_SIZE], process[NAME_SIZE];
    char ended[CORE_ENDS_FATAL][ID_SIZE]; /* ids of ends counted so far */
    size_t ends;
    int64_t healthy; /* most that were ever healthy: progress */
};

struct app {
    char name[NAME_SIZE];
    int64_t attempt;
    bool failed, stopped;
    struct core_rule *rules;
    size_t rule_count;
    struct core_route *routes;
    size_t route_count;
    struct release releases[SLOTS];
    struct rollout rollout;
    struct tracked *instances; /* of this app, on all nodes */
    uint64_t routing;          /* hash of what the route table says of it */
    int64_t routes_revision;   /* in which that was published */
    bool routing_dirty;
    bool touched; /* reconcile it in this step */
};

/* An instance that a node reported. */
struct tracked {
    struct core_instance fact;
    uint32_t node;
    uint64_t seen;   /* number of the node's last report that listed it */
    struct app *app; /* NULL: unknown app */
    struct tracked *next, *prev;
};

struct node {
    char name[NAME_SIZE];
    bool heard;   /* reported to this core, whole */
    bool live;    /* reported within CORE_NODE_LOST_MS */
    bool removed; /* by hand; the index stays taken */
    bool joined_dirty, lost_dirty, grants_dirty;
    int64_t reported_at;
    uint64_t reports; /* so far */
    int64_t revision; /* of the grants last published */
    int64_t routes_term, routes_revision;
    int64_t memory_total;
    bool full;                  /* it said that it has no room */
    int64_t promised_instances; /* floors */
    int64_t promised_memory;    /* floors, and those kept asleep */
    struct tracked **instances; /* by id */
    size_t instance_count, instance_cap;
};

struct core {
    int64_t now;
    int64_t due; /* core_deadline() after the last step */
    int64_t term, heard_term;
    int64_t led_at; /* when the term was taken */
    int64_t revision;
    int64_t routes_revision;
    bool settled, routes_dirty;
    struct app **apps; /* by name */
    size_t app_count, app_cap;
    struct node **nodes; /* in the order in which they came */
    size_t node_count, node_cap;
    struct route_node *route_nodes; /* node_cap of them, for core_each_route() */
};

/* table.c: finding, copying, growing */
uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t len);
uint64_t hash_text(uint64_t hash, const char *text);
uint64_t hash_int(uint64_t hash, int64_t value);
uint64_t hash_rule(uint64_t hash, const struct scale_rule *rule);
#define HASH_SEED UINT64_C(14695981039346656037)
/* Copies a text that fits; longer ones are cut. */
void text_copy(char *to, size_t size, const char *from);
/* The array `items` grown to hold `want`; NULL without memory (then nothing changed). */
void *grow(void *items, size_t used, size_t *cap, size_t want, size_t size);
/* The position of `name`, or where it belongs; *found tells which. */
size_t app_position(const struct core *c, const char *name, bool *found);
struct app *app_find(const struct core *c, const char *name);
struct node *node_find(const struct core *c, const char *name, uint32_t *index);
size_t instance_position(const struct node *node, const char *id, bool *found);
void instance_attach(struct tracked *instance, struct app *app);
void instance_detach(struct tracked *instance);
void app_free(struct app *app);
void release_free(struct release *release);
int process_index(const struct release *release, const char *name);

/* apply.c: the event into the state */
int apply(struct core *c, const struct core_event *event);
/* The slot that holds a release, or NULL. */
struct release *slot_of(struct app *app, int64_t number);
/* The node of this name, made when it is new. NULL without memory or room: nothing changed. */
struct node *need_node(struct core *c, const char *name, uint32_t *index);

/* report.c */
int apply_report(struct core *c, const struct core_report *report);

/* rollout.c */
bool app_is_rolling(const struct app *app);
void rollout_begin(struct core *c, struct app *app);
void rollout_end_seen(struct core *c, struct app *app, const struct core_instance *end);
void rollout_judge(struct core *c, struct app *app);
int64_t rollout_deadline(const struct app *app);

/* grants.c */
const struct scale_rule *rule_of(const struct app *app, const struct core_process *process);
struct wanted process_wants(const struct app *app, enum release_slot slot, size_t process);
size_t release_room(const struct app *app, enum release_slot slot, size_t nodes);
int app_reserve(struct app *app, size_t nodes);
void app_reconcile(struct core *c, struct app *app);
void release_withdraw(struct core *c, struct release *release);
void mark_grants(struct core *c, const struct release *release);
int64_t count_healthy(
    const struct core *c, const struct app *app, const struct release *release, int process);

/* kept.c */
/* What is left of the kept release's grants: nothing runs, and its time is not over. */
void keep_release(struct core *c, struct app *app);
int64_t kept_deadline(const struct app *app);

/* placement.c */
/* Adds to what an entry promises to run and to keep asleep. */
void placed_promise(
    struct core *c, const struct release *r, struct placed *placed, int64_t floor, int64_t frozen);
void drop_placed(struct core *c, struct release *r, size_t at);
bool node_is_eligible(const struct node *node);
bool any_eligible(const struct core *c);
void place(struct core *c, struct app *app, enum release_slot slot, size_t process);
/* The release stays where it is and runs nothing: its nodes keep what a start needs. */
void place_at_rest(struct core *c, struct app *app, enum release_slot slot);

/* lease.c */
void touch_all(struct core *c);
void leases_expire(struct core *c);
int64_t leases_deadline(const struct core *c);

/* routing.c */
void routing_update(struct core *c, struct app *app);
bool routing_applied(const struct core *c, const struct app *app);

/* actions.c */
/* Nothing is granted below a term that somebody has seen, nor before the nodes were heard. */
bool may_grant(const struct core *c);
void emit_wishes(struct core *c, struct core_actions *out);
void emit_verdicts(struct core *c, struct core_actions *out);

#endif

/* The scheduler's decisions: facts in, whole wishes out. SPDX-License-Identifier: Apache-2.0
 *
 * Pure: no I/O, no clock, no random number, no global; integers only. The same events at the same
 * times give the same actions everywhere. All times are milliseconds of the caller's monotonic
 * clock; a time that runs backwards is read as standing still.
 *
 * Facts may be repeated, and reports may come in any order: what counts is the latest of each. An
 * action is a wish for a whole state, so that losing or repeating one is harmless.
 */
#ifndef PAAS_CORE_H
#define PAAS_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <paas/model.h>

struct core;

enum {
    CORE_NODES_MAX = 10000,       /* what the placement's linear scan was judged for */
    CORE_NODE_LOST_MS = 5000,     /* without a report: four heartbeats of 1 s missed */
    CORE_LATE_MS = 500,           /* a step later than its deadline by this: we were not there */
    CORE_SETTLE_MS = 5000,        /* one lease: a new scheduler waits so long for known nodes */
    CORE_ROLLOUT_MS = 600000,     /* without progress a rollout has failed */
    CORE_ROUTES_WAIT_MS = 5000,   /* for a node's proxy that is away; it reads them when back */
    CORE_VERDICT_REPEAT_MS = 500, /* until the verdict's commit comes back as an app event */
    CORE_ENDS_FATAL = 3,          /* ends of a new release's instances that make it fail */
};

/* --- facts ------------------------------------------------------------------------------------ */

struct core_process {
    char name[NAME_SIZE];
    int64_t instances;
    struct scale_rule rule; /* the manifest's; max 0: only `keep` counts */
    int64_t memory;         /* bytes of one instance */
};

struct core_release {
    int64_t release;
    char config[DIGEST_SIZE];
    const struct core_process *processes;
    size_t process_count;
};

/* A scale rule set by a command: it outlives pushes and goes before the manifest's. */
struct core_rule {
    char process[NAME_SIZE];
    struct scale_rule rule;
};

struct core_route {
    char host[HOST_SIZE];
    char path[PATH_SIZE];
};

/* All that is desired of one app, as it was committed. */
struct core_app {
    char name[NAME_SIZE];
    int64_t serving; /* release; 0: none yet */
    int64_t target;  /* release that is rolled out, or `serving` */
    int64_t kept;    /* release that served before: what runs of it is frozen; 0: none */
    int64_t attempt; /* grows when earlier failures are forgiven */
    bool failed;     /* the target's rollout failed: it is not tried again */
    bool stopped;    /* by hand */
    const struct core_rule *rules;
    size_t rule_count;
    const struct core_route *routes;
    size_t route_count;
    const struct core_release *releases; /* must hold `serving`, `target` and `kept` */
    size_t release_count;
};

struct core_instance {
    char id[ID_SIZE];
    char app[NAME_SIZE];
    char process[NAME_SIZE];
    int64_t release;
    int state;      /* enum instance_state; STOPPED and FAILED are ends */
    int reason;     /* enum end_reason of an end */
    bool was_ready; /* it was healthy once */
};

struct core_report {
    char node[NAME_SIZE];
    bool whole;          /* all instances and grants of the node, not only changes */
    int64_t term;        /* the highest the node heard of */
    int64_t routes_term; /* that its proxy applied */
    int64_t routes_revision;
    int64_t memory_total; /* bytes */
    bool full;            /* what should start there has no room */
    const struct core_instance *instances;
    size_t instance_count;
    const struct grant *grants; /* in force there; read in the first whole report only */
    size_t grant_count;
};

enum core_event_type {
    CORE_TERM,     /* `term` was committed: this scheduler leads from now on */
    CORE_NODE,     /* `node` is known from before: its report is waited for */
    CORE_NODE_OFF, /* `node` was removed */
    CORE_APP,      /* `app`: what is desired of it now */
    CORE_APP_GONE, /* `name` was destroyed */
    CORE_REPORT,   /* `report` */
    CORE_TIME,     /* nothing but time passed */
};

struct core_event {
    enum core_event_type type;
    union {
        int64_t term;
        const char *node;
        const char *name;
        const struct core_app *app;
        const struct core_report *report;
    };
};

/* --- wishes ----------------------------------------------------------------------------------- */

enum core_action_type {
    CORE_SEND_GRANTS, /* node, term, revision: core_each_grant() has the set */
    CORE_SEND_ROUTES, /* term, revision: core_each_route() has the table */
    CORE_VERDICT,     /* app, release, attempt, cause: to be committed */
    CORE_RAISE_TERM,  /* term: a higher one was heard; commit this one */
    CORE_NODE_JOINED, /* node: to be remembered */
    CORE_NODE_LOST,   /* node: silent for CORE_NODE_LOST_MS */
};

enum core_cause {
    CAUSE_DONE,    /* every process has its number of healthy instances */
    CAUSE_END,     /* instances ended: `reason`, `instance` */
    CAUSE_TIMEOUT, /* no progress for CORE_ROLLOUT_MS */
    CAUSE_FULL,    /* the nodes have no room for it */
};

struct core_action {
    enum core_action_type type;
    char node[NAME_SIZE];
    char app[NAME_SIZE];
    char process[NAME_SIZE]; /* of the instance whose end was fatal */
    int64_t release, attempt;
    int64_t term, revision;
    enum core_cause cause;
    int reason; /* enum end_reason */
    char instance[ID_SIZE];
};

enum { CORE_ACTIONS = 64 /* what does not fit comes with the next step */ };
struct core_actions {
    struct core_action items[CORE_ACTIONS];
    size_t count;
    bool more; /* call core_step() with CORE_TIME again */
};

/* --- calls ------------------------------------------------------------------------------------ */

/* NULL without memory. */
struct core *core_create(void);
void core_destroy(struct core *c);
/* Applies one fact, decides, and fills `out`. The event's memory stays the caller's. 0; or -1
 * without memory or over a limit: then nothing changed. */
int core_step(
    struct core *c, const struct core_event *event, int64_t now, struct core_actions *out);
/* When core_step() must be called with CORE_TIME at the latest; INT64_MAX: never. */
int64_t core_deadline(const struct core *c);
/* NULL, or the broken invariant in words. */
const char *core_check(const struct core *c);
/* A hash of all that decisions depend on. */
uint64_t core_digest(const struct core *c);

/* --- views ------------------------------------------------------------------------------------ */

/* Calls `each` for every grant of a node, in a total order. Pointers live during the call. */
void core_each_grant(const struct core *c, const char *node,
    void (*each)(void *data, const struct grant *grant), void *data);
/* Likewise for every route. `route->nodes` is the core's. */
void core_each_route(
    struct core *c, void (*each)(void *data, const struct route *route), void *data);

struct core_app_view {
    int64_t desired, placed, healthy; /* of the release that serves, or rolls out first */
    bool rolling;
};
/* False when there is no such app. */
bool core_view_app(const struct core *c, const char *name, struct core_app_view *out);
/* Floor and ceiling of a process of the app's serving (else target) release. */
bool core_view_process(
    const struct core *c, const char *app, const char *process, int64_t *floor, int64_t *ceiling);
/* Whether the node reported within CORE_NODE_LOST_MS. */
bool core_node_is_live(const struct core *c, const char *node);
bool core_is_settled(const struct core *c);

#endif

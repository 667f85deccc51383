/* Bodies of the REST API that are not rows of model.h; tables in common/rest.c.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_REST_H
#define PAAS_REST_H

#include <paas/json_bind.h>
#include <paas/model.h>

enum { URL_SIZE = HOST_SIZE + 32 /* "http://HOST:PORT" */ };

/* POST /v1/apps/{app}/releases. What stands apart from `processes` goes over it, for "web" or the
 * only process; 0 or "" where nothing is asked for. */
struct release_request {
    char image[DIGEST_SIZE];     /* of its manifest; "": the current release's */
    int stack;                   /* enum stack; of the current release when `image` is "" */
    struct json_array processes; /* struct process_spec; none: one "web" of the image's command */
    struct pairs env;
    struct strings routes;
    int64_t instances, memory, cpus, port;
    char health[PATH_SIZE];
};

/* The answer to every change of an app. */
struct change_answer {
    char app[NAME_SIZE];
    int64_t release;
    char url[URL_SIZE];
    char image[DIGEST_SIZE];
    int64_t sequence; /* of the last event before the change's own */
    int64_t attempt;
};

struct app_summary {
    char name[NAME_SIZE];
    int64_t release; /* that serves; 0: none yet */
    char url[URL_SIZE];
    struct strings routes;
    int64_t desired, healthy;
    char state[16]; /* "running", "starting", "rolling", "degraded", "stopped", "failed" */
};

struct release_summary {
    int64_t release;
    char image[DIGEST_SIZE];
    int64_t created_at;
    char state[16]; /* "serving", "previous", "failed", "rolling", "superseded" */
    char *reason;
};

struct rollback_request {
    int64_t release; /* 0: the previous one */
};

struct process_count {
    char process[NAME_SIZE];
    int64_t count;
};
struct scale_request {
    struct json_array processes; /* struct process_count */
};

struct autoscale_request {
    struct scale_rule rule; /* first: its members are those of the body, beside `process` */
    char process[NAME_SIZE];
};

struct env_request {
    struct pairs set;
    struct strings unset;
};
struct env_answer {
    struct pairs env; /* what commands set, not what the image or paas.json says */
};

struct route_request {
    char host[HOST_SIZE];
    char path[PATH_SIZE];
};
struct route_summary {
    char host[HOST_SIZE];
    char path[PATH_SIZE];
    char app[NAME_SIZE];
    char process[NAME_SIZE];
};

struct node_summary {
    char name[NAME_SIZE];
    char state[16];      /* "live", "lost", "unknown" */
    int64_t reported_at; /* wall clock, ms since 1970; 0: not yet */
    int64_t memory_total, memory_available, memory_promised, memory_used, cpus;
    int64_t given_up; /* things, since its agent started, because memory was short */
    int64_t instances;
    int64_t grants_term, grants_revision, routes_term, routes_revision; /* in force there */
    char reason[64];                                                    /* why it can't grow */
};

struct part_status {
    char name[NAME_SIZE];
    char state[16];
    int64_t pid; /* 0: not known */
};
struct status_answer {
    bool ready;
    char api[PATH_SIZE], http[URL_SIZE], data[PATH_SIZE], version[32];
    struct json_array parts; /* struct part_status */
    int64_t nodes, apps, instances, term;
    /* Bytes of all nodes that live: what they have, what is left, limits and use of instances. */
    int64_t memory_total, memory_available, memory_promised, memory_used;
    char full[NAME_SIZE]; /* the first node on which something has no room; "" */
};

/* The ends of a report that are known for good: a node need not report them again. The others it
 * goes on reporting. */
struct report_answer {
    struct strings ended;
};

extern const struct json_type release_request_json, change_answer_json, app_summary_json,
    release_summary_json, rollback_request_json, process_count_json, scale_request_json,
    autoscale_request_json, env_request_json, env_answer_json, route_request_json,
    route_summary_json, node_summary_json, part_status_json, status_answer_json, report_answer_json;

#endif

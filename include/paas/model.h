/* What the parts speak about: apps, releases, grants, routes, instances, and their states.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Times are wall milliseconds since 1970 where a name ends in _at, else durations in ms; memory is
 * in bytes; cpu in thousandths of one. The JSON tables of all of these are in common/wire.c.
 */
#ifndef PAAS_MODEL_H
#define PAAS_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include <paas/id.h>
#include <paas/json_bind.h>
#include <paas/limits.h>
#include <paas/strings.h>

#define INSTANCE_STATES(X)                                                                         \
    X(STARTING, "starting")                                                                        \
    X(HEALTHY, "healthy")                                                                          \
    X(UNHEALTHY, "unhealthy")                                                                      \
    X(DRAINING, "draining")                                                                        \
    X(FROZEN, "frozen")                                                                            \
    X(STOPPED, "stopped")                                                                          \
    X(FAILED, "failed")
enum instance_state {
#define X(id, name) INSTANCE_##id,
    INSTANCE_STATES(X)
#undef X
};

/* Why an instance ended, or an attempt to start one failed. */
#define END_REASONS(X)                                                                             \
    X(NONE, "")                                                                                    \
    X(EXITED, "exited")                                                                            \
    X(SIGNALED, "signaled")                                                                        \
    X(OOM, "out-of-memory")                                                                        \
    X(COMMAND, "command-missing")                                                                  \
    X(SILENT, "never-listened")                                                                    \
    X(PORT, "wrong-port")                                                                          \
    X(HEALTH, "health-check")                                                                      \
    X(IMAGE, "bad-image")                                                                          \
    X(START, "start-failed")                                                                       \
    X(STOPPED, "stopped")                                                                          \
    X(KILLED, "killed")                                                                            \
    X(UNKNOWN, "unknown")
enum end_reason {
#define X(id, name) END_##id,
    END_REASONS(X)
#undef X
};

enum stack { STACK_HOST, STACK_SCRATCH, STACK_IMAGE };
enum rootfs { ROOTFS_MEMORY, ROOTFS_DISK };

/* --- what a developer describes (paas.json), what a release freezes -------------------------- */

struct health_spec {
    char path[PATH_SIZE]; /* "" means: listening and accepting is healthy */
    int64_t interval, timeout, unhealthy_after, start;
};

/* A number that the app gives, such as the length of its queue. */
struct load_metric {
    char path[PATH_SIZE];    /* GET answers the number; "": there is none */
    char process[NAME_SIZE]; /* whose instances are asked */
    int64_t per_instance;    /* so much of it is one instance's work */
    int64_t interval;        /* ms between looks */
};

/* How many shall run. Each measure that is not 0 asks for some; the largest wins. */
struct scale_rule {
    int64_t min, max;    /* running instances */
    int64_t concurrency; /* requests at once that an instance serves well, and the most it gets; 0:
                            all that come */
    int64_t rps;         /* requests a second that an instance serves well */
    int64_t cpu;         /* percent of its processors that an instance should use */
    int64_t memory;      /* percent of its memory likewise */
    int64_t p99;         /* ms within which 99 of 100 requests should be answered */
    int64_t queue_delay; /* ms that a request may wait before it is worth another instance */
    struct load_metric metric;
    char schedule[SCHEDULE_SIZE]; /* least numbers by time of day: schedule.h; "": none */
    int64_t window;               /* ms: never below what the last peak in it needs */
    int64_t step_up, step_down;   /* most instances more and fewer within step_period; 0: any */
    int64_t step_period;          /* ms */
    int64_t idle;                 /* ms without work before sleep; used when min is 0 */
    int64_t standby;              /* frozen instances kept ready */
    int64_t stop_after;           /* ms of sleep after which one that is no standby is stopped */
    int64_t keep;                 /* ms for which the previous release's instances stay frozen */
};

struct stop_spec {
    char signal[SIGNAL_SIZE];
    int64_t grace;
};

struct process_spec {
    char name[NAME_SIZE]; /* "web" gets the routes */
    struct strings command;
    int64_t port; /* 0: none asked for */
    int64_t instances;
    int64_t memory;      /* bytes */
    int64_t cpus;        /* thousandths */
    int64_t pids, files; /* most processes and threads, most open descriptors */
    int rootfs;          /* enum rootfs: where what it writes lies */
    int64_t disk;        /* bytes of the writable root */
    struct health_spec health;
    struct scale_rule autoscale;
    struct stop_spec stop;
};

/* paas.json. */
struct manifest {
    int stack;                   /* enum stack */
    struct json_array processes; /* struct process_spec */
    struct pairs env;
    struct strings routes;
};

/* Everything an agent needs to start a release's processes; immutable, named by the digest of its
 * JSON, readable by agents alone, because env may hold secrets. */
struct release_config {
    char app[NAME_SIZE];
    int64_t release;
    int stack;
    char image[DIGEST_SIZE]; /* of the image manifest in the registry */
    struct strings layers;   /* digests of the layers' unpacked tars (diff ids), lowest first */
    struct strings blobs;    /* digests of the layers as stored, same order */
    char user[NAME_SIZE * 2 + 2]; /* "name[:group]" or "uid[:gid]", "" for the image's root */
    char working_dir[PATH_SIZE];
    struct pairs env;
    struct json_array processes; /* struct process_spec */
};

/* --- what the scheduler tells nodes ------------------------------------------------------------
 */

/* Precedes `count` lines of one snapshot of a stream. */
struct snapshot_head {
    int64_t term, revision, count;
};

struct grant {
    char app[NAME_SIZE];
    char process[NAME_SIZE];
    int64_t release;
    char config[DIGEST_SIZE]; /* of the release_config */
    int64_t floor, ceiling;   /* running instances */
    int64_t frozen;           /* instances kept asleep */
    struct scale_rule rule;   /* how load decides between the two; without a measure it does not */
    int64_t attempt;          /* grows when failures before it are forgiven (a new push, `start`) */
    bool exclusive;
    bool target_of_demand;
};

struct route_node {
    char node[NAME_SIZE];
    char address[ADDRESS_SIZE + 8]; /* of its proxy for other hosts, "" where there is one host */
    int64_t weight;
};

struct route {
    char host[HOST_SIZE];
    char path[PATH_SIZE]; /* prefix, "/" for all */
    char app[NAME_SIZE];
    char process[NAME_SIZE];
    bool stopped;            /* the app was stopped by hand: 503 that says so */
    struct json_array nodes; /* struct route_node */
};

/* --- what nodes tell ----------------------------------------------------------------------------
 */

struct last_exit {
    int64_t code;             /* exit code, -1 when it did not exit by itself */
    char signal[SIGNAL_SIZE]; /* "SIGKILL", "" when none */
    int reason;               /* enum end_reason */
    char detail[256];         /* in words, with figures: "used 64M of 64M" */
};

/* One instance, as `paas ps -o json` shows it and as reports carry it. */
struct instance {
    char id[ID_SIZE];
    char slot[SLOT_NAME_SIZE]; /* "web.1" */
    char app[NAME_SIZE];
    char process[NAME_SIZE];
    int64_t release;
    char node[NAME_SIZE];
    int state;   /* enum instance_state */
    int64_t pid; /* of the app on its host, 0 when there is none */
    char address[ADDRESS_SIZE];
    int64_t port;
    int64_t created_at;
    int64_t ready_ms;           /* from the decision to start until in rotation; -1 before */
    int64_t restarts;           /* of this slot */
    struct last_exit last_exit; /* of this instance if it ended, else of the slot's last one */
    int64_t memory_bytes;
    int64_t swapped_bytes; /* given back to the host while it slept, and not used since */
    int64_t cpu_seconds;   /* thousandths of a second */
    char health[128];      /* the health check's last answer, in words */
};

/* Precedes `instances` lines of struct instance, `grants` lines of struct grant, and `decisions`
 * lines of struct scaling_decision, which may come twice and count by their sequence. Without
 * `whole` it is a heartbeat, or carries only rows that changed (a row in state stopped or failed
 * that is acknowledged is not sent again). */
struct report_head {
    char node[NAME_SIZE];
    char boot_id[40];
    bool whole;
    int64_t term, revision;                 /* of the grants in force */
    int64_t routes_term, routes_revision;   /* that the node's proxy has applied */
    int64_t instances, grants, decisions;   /* lines that follow, in this order */
    int64_t memory_total, memory_available; /* bytes */
    int64_t memory_promised, memory_used;   /* limits of all instances that live, and their use */
    int64_t given_up;                       /* things, ever, because memory was short */
    int64_t cpus;                           /* thousandths */
    char reason[64];                        /* why the node can't grow: "full", "" when it can */
};

/* Something that happened, for people; numbered by the scheduler. */
struct event {
    int64_t sequence;
    int64_t at;
    char type[40]; /* "instance-healthy", "rollout-failed", … : see docs/events */
    char app[NAME_SIZE];
    char process[NAME_SIZE];
    int64_t release;
    char instance[ID_SIZE];
    char slot[SLOT_NAME_SIZE];
    char code[40]; /* an error's stable name, "" when none */
    char *message; /* one sentence */
    char *detail;  /* the app's last log lines, or "" */
};

/* What load decided for a process type on a node, and on what. */
struct scaling_decision {
    int64_t at;
    int64_t sequence; /* grows with each decision of a node, also over restarts */
    char app[NAME_SIZE];
    char process[NAME_SIZE];
    int64_t release;
    int64_t from, to; /* running instances */
    char reason[64];
    int64_t in_flight, held, oldest_ms; /* requests, and the age of the one that waits longest */
    int64_t ready, starting;            /* instances */
    int64_t level, peak, rise;          /* requests in flight, thousandths */
    int64_t service_ms, start_ms;       /* learnt */
    int64_t base, queue_target;         /* instances that load, and a queue, ask for */
    int64_t use_target;                 /* and those that cpu, memory, p99 or a metric ask for */
    char message[320];                  /* all of it in words */
};
struct load_second {
    int64_t at;
    int64_t requests; /* that came in this second */
};

/* One line of an instance's output, as `paas logs -o json` shows it. */
struct log_line {
    int64_t at;
    int64_t sequence; /* of the instance, without gaps but for `dropped` lines */
    char app[NAME_SIZE];
    char slot[SLOT_NAME_SIZE];
    char instance[ID_SIZE];
    char stream[8];  /* "out", "err", or "paas" for what the platform says itself */
    int64_t dropped; /* lines lost before this one */
    char *text;
};

/* Body of a kill, and of an exec. */
struct kill_request {
    char instance[SLOT_NAME_SIZE]; /* id or slot; "" for any one that runs */
    char signal[SIGNAL_SIZE];      /* "" is SIGKILL */
};
struct exec_request {
    char instance[SLOT_NAME_SIZE]; /* id or slot; "" for any one that runs */
    struct strings command;
    char *input; /* standard input, base64; NULL for none */
};
/* One line of an exec's answer: output, or at the end the exit code. */
struct exec_output {
    char stream[8]; /* "out", "err", "exit" */
    char *data;     /* base64 */
    int64_t code;   /* with "exit": 0..255; 128 + signal when a signal ended it */
};

/* --- between an agent and its host's proxy ------------------------------------------------------
 */

/* One line of the agent-proxy socket. Which members count depends on `type`. */
#define LOCAL_TYPES(X)                                                                             \
    /* agent to proxy */                                                                           \
    X(HELLO, "hello")       /* first line of each side; agent: generation of the rows */           \
    X(INSTANCE, "instance") /* id app process release address port state: a whole row */           \
    X(GONE, "gone")         /* id */                                                               \
    X(APP, "app")           /* app process can_grow reason starting concurrency */                 \
    X(APP_GONE, "app-gone") /* app process */                                                      \
    X(SYNC, "sync")         /* revision: after the whole rows, and after each change to ack */     \
    /* proxy to agent */                                                                           \
    X(ACK, "ack")         /* revision: every row up to it is in force in all workers */            \
    X(DRAINED, "drained") /* id: nothing is in flight on it any more */                            \
    X(DEMAND, "demand")   /* app process in_flight held oldest_ms requests p99_ms */               \
    X(BUSY, "busy")       /* app process id in_flight: at that instance */                         \
    X(ROUTES, "routes")   /* term revision applied */                                              \
    X(SUSPECT, "suspect") /* id: connecting or its first answer failed; probe it now */
enum local_type {
#define X(id, name) LOCAL_##id,
    LOCAL_TYPES(X)
#undef X
};

struct local_message {
    int type; /* enum local_type */
    char id[ID_SIZE];
    char app[NAME_SIZE];
    char process[NAME_SIZE];
    int64_t release;
    char address[ADDRESS_SIZE];
    int64_t port;
    int state; /* enum instance_state */
    bool can_grow;
    char reason[64]; /* why not: "ceiling", "full", "failing: …" */
    int64_t starting;
    int64_t concurrency; /* most requests at an instance at once; 0: as many as come */
    int64_t term, revision;
    int64_t in_flight, held, oldest_ms;
    int64_t requests; /* since the proxy's start */
    int64_t p99_ms;   /* 99 of 100 requests were lately answered within it; 0: too few to tell */
};

#endif

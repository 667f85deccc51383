/* One scheduler: what it owns, and how its files know each other. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef SCHEDULER_SCHEDULER_H
#define SCHEDULER_SCHEDULER_H

#include <uv.h>

#include <paas/api.h>
#include <paas/clock.h>
#include <paas/core.h>
#include <paas/http_client.h>
#include <paas/http_server.h>
#include <paas/intent.h>
#include <paas/loop.h>
#include <paas/map.h>
#include <paas/store.h>
#include <paas/stream.h>

struct scheduler_options {
    const char *data, *run, *node;
    const char *http_address; /* where apps answer, for their URLs; NULL: not known */
    unsigned platform;
    uid_t agent_uid, proxy_uid;
};

/* changes.c: changes of intent, committed in batches. */
struct changes {
    struct change *queued, **queued_end; /* wait for the next batch */
    size_t waiting;
    struct change *batch; /* applied, their commit is under way */
    bool committing;
    bool uses_room; /* the commit under way takes the room that is kept for a full disk */
    uv_timer_t begin; /* runs a batch outside of the handlers that asked for changes */
};

/* events.c: what people see of what happened. */
struct event_line {
    int64_t sequence;
    char app[NAME_SIZE];
    char *text;
    size_t len;
};
struct events {
    struct event_line *ring;
    size_t first, count;
    int64_t last;                /* sequence */
    int64_t saving_to, settled;  /* up to where they are being saved; where no more can be done */
    struct store_batch *unsaved; /* NULL: nothing */
    bool saving;
    uint64_t lost; /* not saved: the store failed */
    struct feed *feed;
};

/* nodes.c: what nodes reported, as it was. */
struct known {
    struct instance row;
    uint64_t seen; /* number of the last report that listed it */
};
enum { DECISIONS_KEPT = 256 /* more than come with the reports that may be under way */ };
struct node_record {
    struct node_summary summary;
    struct feed *grants;
    struct map instances;              /* id to struct known */
    struct map lines;                  /* text of the last whole report's rows to what they said */
    uint64_t reports;                  /* so far */
    int64_t decisions[DECISIONS_KEPT]; /* sequences of the last that were told; a ring */
    size_t decision_count;             /* ever */
    bool saved;                        /* its row is in the store, or on its way */
};
/* An end, and the event that tells of it. */
struct ended {
    struct instance row;
    int64_t event;
};
struct nodes {
    struct map records;  /* name to struct node_record */
    struct map recalled; /* id to struct instance: told of before this process, not reported yet */
    struct ended *ended; /* ring of the last ones */
    size_t ended_first, ended_count;
};

enum { SCHEDULER_PARTS = 3 /* scheduler, agent, proxy */ };

struct scheduler {
    const struct scheduler_options *options;
    uv_loop_t *loop;
    struct store *store;
    struct intent intent;
    struct core *core;
    int64_t term;
    bool raising_term;
    struct changes changes;
    struct events events;
    struct nodes nodes;
    struct feed *routes;
    struct http_client *client;
    struct http_server *server;
    struct api api;
    uv_timer_t timer;   /* for core_deadline() */
    uv_timer_t cleaner; /* for cleaner.c */
    struct loop_watch watch;
    struct loop_signals signals;
    struct part_status parts[SCHEDULER_PARTS]; /* of the last status */
    uint64_t steps, commits, failed_commits, reports, requests;
    bool stopping, closing;
};

/* scheduler.c. Blocks for the store. */
int scheduler_start(
    struct scheduler *s, uv_loop_t *loop, const struct scheduler_options *options, struct err *err);
/* Finishes what was asked for, then lets the loop run out. */
void scheduler_stop(struct scheduler *s);
/* Called when something that a stop waits for has ended. */
void scheduler_may_close(struct scheduler *s);
/* Keeps room on the disk for what must go on when it is full: the next start, and a change that
 * makes room. Blocks for a moment. */
void scheduler_reserve(const struct scheduler *s);
/* Gives that room to the commit that follows. */
void scheduler_use_reserve(const struct scheduler *s);
/* After the loop has run out. */
void scheduler_finish(struct scheduler *s);

/* driver.c: the only caller of core_step(). */
void driver_event(struct scheduler *s, const struct core_event *event);
/* The app's committed row into the core. */
void driver_app(struct scheduler *s, const char *name);
void driver_arm(struct scheduler *s);
void driver_on_timer(uv_timer_t *timer);

/* changes.c */
void changes_init(struct changes *changes, struct scheduler *s);
int changes_submit(struct scheduler *s, struct change *change, struct err *err);
void changes_close(struct scheduler *s);

/* verdicts.c: what the core judged becomes a change. */
void verdict_submit(struct scheduler *s, const struct core_action *action);

/* events.c */
int events_load(struct scheduler *s, struct err *err);
/* Numbers, publishes and saves it; the event stays the caller's. */
void events_add(struct scheduler *s, const struct event *event);
void events_each(struct scheduler *s, const char *app, int64_t after,
    void (*each)(void *data, const char *line, size_t len), void *data);
void events_free(struct events *events);

/* nodes.c */
int nodes_load(struct scheduler *s, struct err *err);
/* Says in `answer` which ends of the report are kept for good. */
int nodes_take_report(struct scheduler *s, const char *node, struct http_text text,
    struct report_answer *answer, struct err *err);
/* What an event of an earlier process told of an instance. */
int nodes_recall(struct scheduler *s, const struct event *event, struct err *err);
struct node_record *nodes_need(struct scheduler *s, const char *name, struct err *err);
/* An instance that runs or was among the last to end; NULL: unknown. */
const struct instance *nodes_instance(const struct scheduler *s, const char *id);
void nodes_each_instance(struct scheduler *s, bool ended,
    void (*each)(void *data, const struct instance *instance), void *data);
void nodes_free(struct nodes *nodes);

/* cleaner.c: now and then removes images that no release names. */
void cleaner_start(struct scheduler *s);
/* Soon, and the room for a full disk is kept again: something was removed to get room. */
void cleaner_hurry(struct scheduler *s);
void cleaner_close(struct scheduler *s);

/* story.c: what changed of an instance, as an event. `before` NULL: it is new. */
void story_tell(struct scheduler *s, const struct instance *before, const struct instance *after);
/* What load decided, as an event. */
void story_tell_decision(struct scheduler *s, const struct scaling_decision *decision);
/* The other way: into `row` what an event told. False when it tells of no instance's state. */
bool story_recall(const struct event *event, struct instance *row);

/* operations.c */
extern const struct api_ops scheduler_ops;

#endif

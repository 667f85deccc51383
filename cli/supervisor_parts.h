/* What the files of the supervisor share; nobody else includes it. SPDX-License-Identifier:
 * Apache-2.0
 *
 * supervisor.c comes up, runs and goes down; supervisor_start.c starts one daemon;
 * supervisor_restart.c says when; supervisor_adopt.c finds daemons and sockets that live.
 */
#ifndef PAAS_SUPERVISOR_PARTS_H
#define PAAS_SUPERVISOR_PARTS_H

#include "supervisor.h"

#include <paas/clock.h>
#include <paas/limits.h>

#include "places.h"
#include "platform.h"
#include "process.h"
#include "run_state.h"

/* One daemon: it runs, or waits for its next start. */
struct part {
    struct process process;
    msec started;  /* when it was started or adopted */
    msec start_at; /* when to start it, while it does not run */
    msec kill_at;  /* when to kill it, as its other half is gone; 0: not */
    int deaths;    /* since it was last steady */
};

struct supervisor {
    struct places places;
    struct platform platform;
    struct run_state state;
    struct part parts[PART_COUNT];
    int sockets[SOCKET_COUNT];
    int lock;    /* D/lock: one supervisor for one data directory */
    int signals; /* signalfd */
    bool fresh;  /* nothing runs from before: a failed start is undone */
    char node[NAME_SIZE];
};

extern const char *const part_programs[PART_COUNT];
extern const uint32_t part_users[PART_COUNT]; /* 0: root */

static inline bool part_runs(const struct supervisor *s, enum part_id id) {
    return s->parts[id].process.pidfd >= 0;
}

/* Writes down what runs where, for the next supervisor. */
int supervisor_write(struct supervisor *s, struct err *err);
/* Starts the daemon `id`; `pair` is its end of the socket pair, where it has one, else -1. */
int supervisor_start_part(struct supervisor *s, enum part_id id, int pair, struct err *err);
/* Starts agent and spawner, joined. */
int supervisor_start_pair(struct supervisor *s, struct err *err);

/* The daemon's process is gone: says so, reaps it, plans its next start. */
void supervisor_part_ended(struct supervisor *s, enum part_id id);
/* Starts `id` when it is due; for a pair, when both halves are. */
void supervisor_start_due(struct supervisor *s, enum part_id id, msec now);
/* Kills the halves whose other half has been gone for long enough. */
void supervisor_kill_due(struct supervisor *s, msec now);
/* In ms until something is due that no descriptor tells of; -1: nothing. */
int supervisor_wait(const struct supervisor *s);

/* Takes hold of the daemons that live. */
void supervisor_adopt_parts(struct supervisor *s);
/* Half a pair is of no use: its other half has no way to it. */
void supervisor_end_lone_half(struct supervisor *s);
/* Takes the sockets back from the daemons that have them, and binds the others. */
int supervisor_open_sockets(
    struct supervisor *s, const struct supervisor_options *options, struct err *err);

#endif

/* All that paas-init knows, and what its files do to it. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_INIT_CONTEXT_H
#define PAAS_INIT_CONTEXT_H

#include "app.h"
#include "failure.h"
#include "link.h"
#include "listeners.h"
#include "notifier.h"
#include "oom.h"
#include "spool.h"
#include "start.h"

#include <paas/init.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

struct init {
    struct start start;
    uint32_t start_flags;
    uint32_t port;
    int stop_signal;
    uint32_t grace_ms;
    int joins; /* descriptors from INIT_FD_JOIN on */
    struct app app;
    struct spool spool;
    struct listeners listeners;
    struct notifier notifier;
    struct oom oom;
    struct link link;
    int signal_fd;
    int timer_fd; /* of the boot-time clock, which counts suspend: deadline or kill, the nearer */
    enum init_phase phase;
    bool alive;    /* the app's process has not been reaped */
    bool children; /* there may be processes to reap */
    bool changed;  /* the agent is to be told */
    uint64_t revision;
    int64_t started_boot_ms;
    int64_t deadline_boot_ms; /* 0: none */
    int64_t kill_boot_ms;     /* 0: none */
    int64_t scan_at_us;       /* 0: none */
    int64_t scan_delay_us;
    int64_t end_by_us; /* with INIT_PHASE_ENDED */
    struct failure failure;
    struct init_exit exit;
};

/* ---- life.c: the app's birth, signs of life, and end ---------------------------------------- */

/* Writes init->exit whole into the file `exit`. */
void life_write_record(struct init *init);
/* Kills all in leaf `app`, frozen or not. */
void life_kill(struct init *init);
/* The app's end, or the start's failure (init->failure): kills what is left, takes what lies in the
 * pipes, writes the record. `status` is wait(2)'s. */
void life_end(struct init *init, int status, const struct rusage *usage);
/* What the loop's descriptors bring. */
void life_on_launch(struct init *init);
void life_on_children(struct init *init);
void life_on_output(struct init *init, int stream);
void life_on_oom(struct init *init);
void life_on_notifier(struct init *init, short events);
/* The time for a look at the listening sockets has come. */
void life_scan(struct init *init);

/* ---- request.c: what the agent asks, and its deadlines --------------------------------------- */

/* Sets the timer to the nearer of deadline and kill. */
void request_arm_timer(struct init *init);
void request_on_timer(struct init *init);
void request_on_peer(struct init *init, struct link_peer *peer);

/* ---- loop.c ------------------------------------------------------------------------------- */

/* Runs until the app has ended and all is told and written. */
void loop_run(struct init *init);

#endif

/* What the files of an instance share; nobody else includes it. SPDX-License-Identifier: Apache-2.0
 *
 * instance.c makes, adopts and frees, and has the timer and the record; instance_start.c leads from
 * the decision to a process; instance_watch.c hears process, paas-init and probes;
 * instance_rotation.c has the way in and out of rotation and sleep; instance_ends.c the ends.
 */
#ifndef PAAS_INSTANCE_PARTS_H
#define PAAS_INSTANCE_PARTS_H

#include "instance.h"

enum { ROTATION_MS = 1000 /* the longest wait for the proxy's acknowledgement */ };

/* Has what the phase waits for happen in `ms`, at once if that is not positive. */
void instance_set_timer(struct agent_instance *i, msec ms);
/* Tells the owner that the row changed. */
void instance_tell(struct agent_instance *i);
/* One of its handles is closed; the last one frees it. */
void instance_on_handle_closed(uv_handle_t *handle);

/* Looks for the layers, waits for those that are missing, asks the spawner. */
void instance_begin(struct agent_instance *i);

/* Has the sandbox that was made ahead run it. */
void instance_launch_ahead(struct agent_instance *i);

/* Watches the process of i->pidfd, opens the link to its paas-init. */
int instance_watch(struct agent_instance *i, struct err *err);
/* Stops watching; what is left is the row. */
void instance_unwatch(struct agent_instance *i);
/* Probes it, as one that is taken for `verdict`. */
void instance_watch_health(struct agent_instance *i, enum health_verdict verdict);
/* The time to become ready is over: a worker is, a listener is stopped, and why. */
void instance_start_time_up(struct agent_instance *i);

void instance_enter_rotation(struct agent_instance *i);
/* Freezes or thaws the app: one write. A thaw that meets its memory on the way to swap first ends
 * that, by another; neither waits for what the kernel is at. */
int instance_set_frozen(struct agent_instance *i, bool frozen);

/* Says why it ends; `format` is for people. */
void instance_set_end(struct agent_instance *i, enum end_reason reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* It never had a process. */
void instance_give_up(struct agent_instance *i, enum end_reason reason, const char *why);
/* Its state says that it is on its way out: takes it out of rotation; when the proxy has let go of
 * it, it ends. */
void instance_leave(struct agent_instance *i);
/* It is out of rotation and done: paas-init is to end the app. */
void instance_ask_to_end(struct agent_instance *i);
/* The app ended, as `end` says; NULL: nobody knows how. */
void instance_on_end(struct agent_instance *i, const struct init_exit *end);
/* paas-init is gone: its record is the truth. */
void instance_on_init_end(struct agent_instance *i);
/* paas-init did not keep the deadline. */
void instance_end_hard(struct agent_instance *i);
/* The end, whatever led to it: reason and words are set. */
void instance_conclude(struct agent_instance *i, bool has_process);
/* Has the spawner clear away what is left. */
void instance_destroy(struct agent_instance *i);

#endif

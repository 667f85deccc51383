/* The socket to an instance's paas-init. SPDX-License-Identifier: Apache-2.0
 *
 * Everything is level-triggered: paas-init sends its whole state on connect and on every change,
 * and what is wanted of it (a stop, a later deadline) is kept here and said again on every
 * connection, which is made anew when it breaks. So a lost message costs time, never the wish.
 */
#ifndef AGENT_INIT_LINK_H
#define AGENT_INIT_LINK_H

#include <paas/err.h>
#include <paas/init.h>

#include <stdint.h>
#include <uv.h>

struct init_link;

struct init_link_events {
    /* paas-init's state, whole; checked for version and size. Called from the loop only, never from
     * inside a call of this file. May close the link. */
    void (*state)(void *data, const struct init_state *state);
};

/* Connects to the socket `path`, now or as soon as it answers. `events` and `data` are borrowed
 * until init_link_close(). NULL with *err: ERR_BAD_VALUE for a path that no socket address holds.
 */
struct init_link *init_link_open(uv_loop_t *loop, const char *path,
    const struct init_link_events *events, void *data, struct err *err);
/* No callback comes any more; the memory goes when the loop has closed the handles. NULL is fine.
 */
void init_link_close(struct init_link *link);

/* Sends `signal` to the app's process once. ERR_UNAVAILABLE when there is no connection right now:
 * a signal is not kept. */
int init_link_signal(struct init_link *link, int signal, struct err *err);
/* Wants the app to stop: `signal` (0: its own stop signal), then SIGKILL to all of it `grace_ms`
 * later (INIT_GRACE_OF_START: its own grace). Kept until done. Again with less grace: sooner. Thaw
 * the app first. ERR_BAD_VALUE. */
int init_link_stop(struct init_link *link, int signal, uint32_t grace_ms, struct err *err);
/* Moves the deadline of an exclusive instance to `boot_ms` (CLOCK_BOOTTIME). Kept; a smaller one
 * than before is ignored. */
void init_link_deadline(struct init_link *link, int64_t boot_ms);
/* Asks for the listening sockets as they are now; the answer is a state. */
void init_link_listeners(struct init_link *link);

#endif

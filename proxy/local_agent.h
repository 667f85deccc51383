/* The socket to this host's agent. SPDX-License-Identifier: Apache-2.0
 *
 * Lines of struct local_message both ways. When it breaks, the last rows stay in force; it is
 * opened again at once, then with a growing pause, and both sides begin with whole rows.
 */
#ifndef PAAS_PROXY_LOCAL_AGENT_H
#define PAAS_PROXY_LOCAL_AGENT_H

#include <uv.h>

#include <paas/err.h>
#include <paas/model.h>

struct local_agent;

struct local_agent_events {
    void (*opened)(void *data); /* the agent's hello came: whole rows follow */
    void (*message)(void *data, const struct local_message *m);
};

/* Opens `path` from the loop. NULL with *err filled. */
struct local_agent *local_agent_open(uv_loop_t *loop, const char *path,
    const struct local_agent_events *events, void *data, struct err *err);
/* Sends a message; dropped while there is no agent: all that matters is said again at a hello. */
void local_agent_send(struct local_agent *a, const struct local_message *m);
bool local_agent_is_open(const struct local_agent *a);
/* No event comes afterwards; frees itself from the loop. NULL is fine. */
void local_agent_close(struct local_agent *a);

#endif

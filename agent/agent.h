/* The agent: this host's instances, within what the scheduler grants. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef PAAS_AGENT_H
#define PAAS_AGENT_H

#include <stdint.h>

#include <paas/err.h>

struct agent_options {
    const char *data;   /* DATA/agent: kept grants and configurations */
    const char *layers; /* DATA/layers: the spawner's, only looked at */
    const char *run;    /* the platform's run directory; RUN/agent is the agent's */
    const char *node;
    uint32_t platform;
    int spawner; /* socket to the spawner; taken over */
};

/* Runs until a signal asks to end or the spawner is gone. 0 or -1 with *err. */
int agent_run(const struct agent_options *options, struct err *err);

#endif

/* The root process beside the agent: starts, enters and destroys instances, and nothing else.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_SPAWNER_H
#define PAAS_SPAWNER_H

#include <stdint.h>

#include <paas/err.h>

struct spawner_options {
    const char *data; /* the platform's data directory; layers lie in DATA/layers */
    const char *run;  /* the platform's run directory; slots lie in RUN/spawner */
    const char *init_path;
    uint32_t platform;
    int socket; /* the agent's other end; taken over */
};

/* Serves the socket until the agent closes it. 0 then, -1 when it can't go on. */
int spawner_run(const struct spawner_options *options, struct err *err);

/* Destroys all instances of the platform, its firewall table and addresses: for `paas down` when
 * nothing of the platform runs any more. Idempotent. */
int spawner_clear(const struct spawner_options *options, struct err *err);

#endif

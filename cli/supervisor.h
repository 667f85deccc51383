/* Keeps the daemons of one platform running. SPDX-License-Identifier: Apache-2.0
 *
 * It holds the listening sockets and restarts what dies: at once the first time, then after a delay
 * that doubles up to SUPERVISOR_DELAY_MAX. It keeps no state but R/supervisor, and may be killed at
 * any moment: all goes on, and the next one adopts what runs. No HTTP, no JSON.
 */
#ifndef CLI_SUPERVISOR_H
#define CLI_SUPERVISOR_H

#include <paas/err.h>

#include "places.h"
#include "run_state.h"

enum {
    SUPERVISOR_DELAY_FIRST = 50, /* ms before the second restart */
    SUPERVISOR_DELAY_MAX = 500,  /* ms: with the start itself a part is back in under a second */
    SUPERVISOR_STEADY = 5000,    /* ms alive that forgive earlier deaths */
    SUPERVISOR_LOCK_WAIT = 200,  /* ms for one that was killed to be gone */
    SUPERVISOR_PAIR_WAIT = 300,  /* ms for agent or spawner to follow the other's end by itself */
};

struct supervisor_options {
    const struct places *places;
    const char *http; /* "ADDRESS:PORT" of the proxy; NULL: SUPERVISOR_HTTP_DEFAULT */
    const char *api;  /* "ADDRESS:PORT" of the API on TCP; NULL: none */
};
#define SUPERVISOR_HTTP_DEFAULT "127.0.0.1:8080"

struct supervisor;

/* Claims a platform number, or takes the place of a supervisor that died, and starts what does not
 * run. The calling process moves to a cgroup of its own. On failure what this call started is taken
 * down again. ERR_RUNNING when another supervisor has this data. NULL on failure. */
struct supervisor *supervisor_start(const struct supervisor_options *options, struct err *err);
/* What runs; valid until supervisor_run(). */
const struct run_state *supervisor_state(const struct supervisor *s);
/* Restarts what dies until SIGTERM or SIGINT comes; then takes all down, but for the data, and
 * frees the supervisor. */
int supervisor_run(struct supervisor *s, struct err *err);

#endif

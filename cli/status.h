/* What `paas status` shows, and `paas up` waits for. SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_STATUS_H
#define CLI_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include <paas/err.h>
#include <paas/json_bind.h>
#include <paas/limits.h>

#include "cli.h"
#include "client.h"
#include "run_state.h"

struct status_part {
    char name[NAME_SIZE];
    char state[32]; /* "up", "silent", "restarting" */
    int64_t pid;
    int64_t restarts;
};

struct status_pids {
    int64_t supervisor, scheduler, agent, spawner, proxy;
};

struct status {
    bool ready;
    char api[PLACES_SIZE + 8]; /* as --api takes it */
    char http[RUN_ADDRESS_SIZE];
    char data[PLACES_SIZE];
    char version[32];
    struct status_pids pids;
    struct json_array parts; /* struct status_part */
    int64_t nodes, apps, instances;
    int64_t memory_total, memory_available, memory_promised, memory_used; /* bytes */
    char full[NAME_SIZE]; /* the node on which something has no room, or "" */
};
extern const struct json_type status_json;
/* As `paas up` prints it: api, http, data and pids alone. */
extern const struct json_type status_up_json;

/* Asks the platform, and adds what its supervisor wrote down where that is on this machine. Free
 * with json_free(&status_json, out). */
int status_get(struct client *c, struct status *out, struct err *err);
/* What the supervisor alone knows. */
void status_local(const struct run_state *state, const char *api, struct status *out);

/* Says on stderr, after a list, if something has no room on a host. */
int status_tell_full(struct cli *cli, struct err *err);

/* `paas status`. */
int status_run(struct cli *cli, struct err *err);

#endif

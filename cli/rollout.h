/* Follows a change of an app until its release serves, or failed. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef CLI_ROLLOUT_H
#define CLI_ROLLOUT_H

#include <stdint.h>

#include <paas/clock.h>
#include <paas/err.h>
#include <paas/rest.h>

#include "cli.h"
#include "client.h"

struct rollout {
    msec start;        /* from the change to the first instance that listens or is healthy */
    msec healthy;      /* from there until the release serves */
    int64_t instances; /* that became healthy */
};

enum { ROLLOUT_WAIT_MS = 300000 /* five times the default health.start */ };

/* Prints what happens on standard error. ERR_TIMEOUT and ERR_CANCELLED: the work goes on. When the
 * release failed, the error is the platform's, and the app's last lines were printed. */
int rollout_follow(
    struct cli *cli, const struct change_answer *change, struct rollout *out, struct err *err);

#endif

/* Ends a platform and leaves nothing but its data. SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_TEARDOWN_H
#define CLI_TEARDOWN_H

#include <paas/err.h>

#include "places.h"
#include "platform.h"
#include "run_state.h"

enum {
    TEARDOWN_PART_GRACE = 3000, /* ms for a daemon after SIGTERM: the proxy finishes requests */
    TEARDOWN_APP_GRACE = 5000,  /* ms for apps after SIGTERM; half of an app's default grace */
    TEARDOWN_SWEEP_MAX = 20000, /* ms for removing what a thousand instances left */
};

/* Ends the parts that `state` names, then the apps; sweeps instances, firewall and addresses;

 * removes cgroups, the run directory and the claim of the number. All of it may be done already.
 * When something stays, that is the error, and so do R/supervisor and the claim: it can be tried
 * again. */
int teardown(const struct places *places, struct platform *platform, const struct run_state *state,
    struct err *err);
/* Removes all in the run directory, but the claims of platforms. */
int teardown_run_directory(const char *run, struct err *err);

#endif

/* The agent's own HTTP endpoints, for the scheduler on this host. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef PAAS_AGENT_ENDPOINTS_H
#define PAAS_AGENT_ENDPOINTS_H

#include <sys/types.h>

#include <paas/http_server.h>

#include "fleet.h"

struct agent_endpoints {
    struct fleet *fleet;
    const struct instance_host *host;
    uid_t scheduler_uid;
};

/* Serves them on the Unix socket `path`. `e` must outlive the server. NULL with *err. */
struct http_server *agent_endpoints_serve(
    struct agent_endpoints *e, const char *path, struct err *err);

#endif

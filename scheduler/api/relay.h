/* A call passed on to the agent, and its answer passed back. SPDX-License-Identifier: Apache-2.0 */
#ifndef API_RELAY_H
#define API_RELAY_H

#include "handlers.h"

/* Sends `body` (copied; NULL: none) to `path` ("/v1/logs?app=x") on the agent's socket and streams
 * the answer to the call, no faster than its client reads. Ends with either side. Always for the
 * caller to return. */
enum call_result relay(
    struct call *c, enum http_method method, const char *path, const struct buf *body);

#endif

/* A command inside a running instance. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_EXEC_H
#define PAAS_EXEC_H

#include <paas/http_server.h>
#include <paas/model.h>

#include "instance.h"
#include "spawner_link.h"

/* Runs `request` in `i` and answers the call with lines of struct exec_output: output as it comes,
 * the exit code last. A client that goes away ends the command. Returns what the handler returns.
 */
enum call_result exec_run(
    struct call *c, struct agent_instance *i, const struct exec_request *request);

#endif

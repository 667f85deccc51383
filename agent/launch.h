/* What an app is told at its start. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_LAUNCH_H
#define PAAS_LAUNCH_H

#include <stdbool.h>

#include <paas/err.h>
#include <paas/init.h>
#include <paas/model.h>
#include <paas/sandbox.h>

enum { LAUNCH_PORT_DEFAULT = 8080 };

/* The port it is asked to listen on; 0 for a worker. */
int launch_port(const struct process_spec *process);
/* Whether a listener can be reached from inside its own network namespace only. */
bool launch_is_loopback(const struct init_listener *listener);

struct instance_host;

/* What the spawner is to make for an instance `id` of the process. ERR_NOT_FOUND while a layer is
 * missing. */
int launch_sandbox(const struct instance_host *host, const struct release_config *release,
    const struct process_spec *process, const char *id, struct sandbox_spec *spec, struct err *err);
/* The process type `name` of a release (NULL is allowed), or NULL. */
const struct process_spec *release_process(const struct release_config *release, const char *name);
/* Makes the sealed start block: command, environment (the release's, under PORT and PAAS_*),
 * directory, user. The caller owns the descriptor. -1 with *err. */
int launch_block(const struct release_config *release, const struct process_spec *process,
    const struct instance *row, struct err *err);
/* Likewise for `command` beside the app. */
int launch_exec_block(const struct release_config *release, const struct process_spec *process,
    const struct instance *row, const struct strings *command, struct err *err);

#endif

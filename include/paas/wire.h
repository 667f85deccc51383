/* The JSON tables of model.h: the wire format, in one file (common/wire.c).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_WIRE_H
#define PAAS_WIRE_H

#include <paas/err.h>
#include <paas/json_bind.h>
#include <paas/model.h>

extern const struct json_type scaling_decision_json, load_second_json;
extern const struct json_type health_spec_json, load_metric_json, scale_rule_json, stop_spec_json,
    process_spec_json, manifest_json, release_config_json, snapshot_head_json, grant_json,
    route_node_json, route_json, last_exit_json, instance_json, report_head_json, event_json,
    log_line_json, kill_request_json, exec_request_json, exec_output_json, local_message_json;

/* Names of enum values as they stand in JSON, ended by NULL. */
extern const char *const instance_state_names[],
    *const end_reason_names[], *const stack_names[], *const local_type_names[];

/* The error that a push ends with when an instance ended for this reason. */
enum err_code end_reason_error(enum end_reason reason);

/* Checks a scale rule that is there (max above 0): min <= max, a metric's path begins with '/', a
 * schedule can be read and asks for no more than max, and something says the load of a process that
 * does not listen, and wakes it from 0. Errors: BAD_VALUE. */
int scale_rule_check(const struct scale_rule *rule, bool listens, struct err *err);
/* Whether load decides anything by it. */
bool scale_rule_measures(const struct scale_rule *rule);
/* Whether the process is to listen: it has a port, or is the one that routes lead to. */
bool process_listens(const struct process_spec *spec);
/* Check what a table cannot say: names are names, a scale rule, a stop signal is known, a health
 * path begins with '/', lengths of words and of environment; a manifest also that there is a
 * process and that routes are host names. Errors: BAD_MANIFEST with the place. */
int process_spec_check(const struct process_spec *spec, struct err *err);
int manifest_check(const struct manifest *manifest, struct err *err);
/* The signal's number from "SIGTERM", "TERM" or "15"; -1 when unknown. */
int signal_number(const char *name);
/* "SIGTERM" for 15; "SIG64"-like for those without a name. Writes to `name`. */
const char *signal_name(int number, char name[SIGNAL_SIZE]);

#endif

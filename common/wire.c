/* The JSON tables of model.h: the wire format. SPDX-License-Identifier: Apache-2.0 */
#include <paas/wire.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>

#include <paas/rest.h>
#include <paas/schedule.h>
#include <paas/str.h>

enum {
    INSTANCES_DEFAULT = 1,
    CPUS_DEFAULT = 1000, /* thousandths: one processor */
    PIDS_DEFAULT = 512,
    FILES_DEFAULT = 1024,
    HEALTH_INTERVAL_MS = 1000,
    HEALTH_TIMEOUT_MS = 500,
    HEALTH_UNHEALTHY_AFTER = 3,
    HEALTH_START_MS = 60000,
    STOP_GRACE_MS = 10000,
    GRACE_MAX_MS = 600000,
    CONCURRENCY_DEFAULT = 50,
    IDLE_DEFAULT_MS = 30000,
    KEEP_DEFAULT_MS = 600000,
    STOP_AFTER_DEFAULT_MS = 3600000,
    QUEUE_DELAY_MS = 20,
    METRIC_INTERVAL_MS = 1000,
    WINDOW_MS = 30000,
    WINDOW_MAX_MS = 300000, /* the law remembers so long */
    STEP_PERIOD_MS = 10000,
    MESSAGE_MAX = 1024,
    DETAIL_MAX = 16384,
    EXEC_INPUT_MAX = 1400000, /* base64 of 1 MiB */
};
#define DISK_DEFAULT (INT64_C(512) << 20)
#define DISK_MAX (INT64_C(1) << 40)
#define COUNT_MAX INT64_MAX

const char *const instance_state_names[] = {
#define X(id, name) [INSTANCE_##id] = name,
    INSTANCE_STATES(X)
#undef X
        NULL,
};
const char *const end_reason_names[] = {
#define X(id, name) [END_##id] = name,
    END_REASONS(X)
#undef X
        NULL,
};
const char *const stack_names[] = { "host", "scratch", "image", NULL };
static const char *const rootfs_names[] = { "memory", "disk", NULL };
const char *const local_type_names[] = {
#define X(id, name) [LOCAL_##id] = name,
    LOCAL_TYPES(X)
#undef X
        NULL,
};

#define TYPE(NAME, ...)                                                                            \
    const struct json_type NAME##_json = { #NAME, sizeof(struct NAME),                             \
        (const struct json_field[]){ __VA_ARGS__, { 0 } } }

TYPE(health_spec, F_TEXT(health_spec, path, JF_OMIT, "path whose answer 2xx or 3xx means healthy"),
    F_DURATION(health_spec, interval, 10, DAY_MS, HEALTH_INTERVAL_MS, 0, "time between checks"),
    F_DURATION(health_spec, timeout, 1, DAY_MS, HEALTH_TIMEOUT_MS, 0, "longest wait for an answer"),
    F_INT(health_spec, unhealthy_after, 1, 1000, HEALTH_UNHEALTHY_AFTER, 0,
        "failures in a row that make an instance unhealthy"),
    F_DURATION(health_spec, start, 1, DAY_MS, HEALTH_START_MS, 0,
        "longest wait from the start until healthy"));

TYPE(load_metric, F_TEXT(load_metric, path, JF_OMIT, "path whose answer is a number"),
    F_TEXT(load_metric, process, JF_NAME | JF_OMIT, "process type that is asked; web"),
    F_INT(load_metric, per_instance, 1, COUNT_MAX, 1, JF_OMIT, "so much is one instance's work"),
    F_DURATION(
        load_metric, interval, 100, DAY_MS, METRIC_INTERVAL_MS, JF_OMIT, "time between looks"));

/* clang-format off */
#define SCALE_RULE_FIELDS                                                                          \
    F_INT(scale_rule, min, 0, INSTANCES_PER_NODE, 1, JF_OMIT, "fewest running instances"),               \
    F_INT(scale_rule, max, 0, INSTANCES_PER_NODE, 0, JF_OMIT, "most running instances"),                 \
    F_INT(scale_rule, concurrency, 0, 100000, CONCURRENCY_DEFAULT, JF_OMIT,                              \
        "requests at once that an instance serves well, and the most it gets; 0: all that come"),  \
    F_INT(scale_rule, rps, 0, 1000000, 0, JF_OMIT,                                                 \
        "requests a second that an instance serves well"),                                         \
    F_INT(scale_rule, cpu, 0, 100, 0, JF_OMIT,                                                     \
        "percent of its processors that an instance should use"),                                  \
    F_INT(scale_rule, memory, 0, 100, 0, JF_OMIT,                                                  \
        "percent of its memory that an instance should use"),                                      \
    F_DURATION(scale_rule, p99, 0, DAY_MS, 0, JF_OMIT,                                             \
        "time within which 99 of 100 requests should be answered"),                                \
    F_DURATION(scale_rule, queue_delay, 1, DAY_MS, QUEUE_DELAY_MS, JF_OMIT,                        \
        "time that a request may wait before it is worth another instance"),                       \
    F_OBJECT(scale_rule, metric, load_metric, &load_metric_json, JF_OMIT,                                \
        "a number that the app gives"),                                                            \
    F_TEXT(scale_rule, schedule, JF_OMIT,                                                          \
        "fewest by time of day: \"mon-fri 08:00-18:00 4; sat 10:00-14:00 2\""),                    \
    F_DURATION(scale_rule, window, 1000, WINDOW_MAX_MS, WINDOW_MS, JF_OMIT,                        \
        "never below what the last peak in this time needs"),                                      \
    F_INT(scale_rule, step_up, 0, INSTANCES_PER_NODE, 0, JF_OMIT,                                  \
        "most instances more within step_period; 0: any number"),                                  \
    F_INT(scale_rule, step_down, 0, INSTANCES_PER_NODE, 0, JF_OMIT,                                \
        "most instances fewer within step_period; 0: any number"),                                 \
    F_DURATION(scale_rule, step_period, 100, DAY_MS, STEP_PERIOD_MS, JF_OMIT,                      \
        "time in which those count"),                                                              \
    F_DURATION(scale_rule, idle, 100, DAY_MS, IDLE_DEFAULT_MS, JF_OMIT, "idle time before sleep"),       \
    F_INT(scale_rule, standby, 0, INSTANCES_PER_NODE, 0, JF_OMIT, "frozen instances kept ready"),        \
    F_DURATION(scale_rule, stop_after, 1000, DAY_MS, STOP_AFTER_DEFAULT_MS, JF_OMIT,                     \
        "time of sleep after which an instance is stopped"),                                       \
    F_DURATION(scale_rule, keep, 0, DAY_MS, KEEP_DEFAULT_MS, JF_OMIT,                                    \
        "time for which the previous release stays frozen")
/* clang-format on */

TYPE(scale_rule, SCALE_RULE_FIELDS);

/* The rule comes first in the request, so that its rows fit both. */
_Static_assert(offsetof(struct autoscale_request, rule) == 0, "the rule's rows fit the request");
TYPE(autoscale_request, SCALE_RULE_FIELDS,
    F_TEXT(autoscale_request, process, JF_NAME | JF_REQUIRED, "process type"));

TYPE(stop_spec, F_TEXT(stop_spec, signal, JF_OMIT, "signal that asks to end; SIGTERM"),
    F_DURATION(stop_spec, grace, 0, GRACE_MAX_MS, STOP_GRACE_MS, 0, "time before SIGKILL"));

TYPE(process_spec, F_TEXT(process_spec, name, JF_NAME | JF_OMIT, "name of the process type"),
    F_STRINGS(process_spec, command, COMMAND_WORDS, JF_OMIT, "program and arguments"),
    F_INT(process_spec, port, 1, 65535, 0, JF_OMIT, "port that the app listens on"),
    F_INT(process_spec, instances, 0, INSTANCES_PER_NODE, INSTANCES_DEFAULT, 0, "how many to run"),
    F_SIZE(process_spec, memory, MEMORY_MIN, MEMORY_MAX, MEMORY_DEFAULT, 0, "memory limit"),
    F_MILLI(process_spec, cpus, CPU_MILLI_MIN, CPU_MILLI_MAX, CPUS_DEFAULT, 0, "processors"),
    F_INT(process_spec, pids, 1, 32768, PIDS_DEFAULT, 0, "most processes and threads"),
    F_INT(process_spec, files, 16, 1048576, FILES_DEFAULT, 0, "most open descriptors"),
    F_ENUM(process_spec, rootfs, rootfs_names, ROOTFS_MEMORY, JF_OMIT, "where writes go"),
    F_SIZE(process_spec, disk, 1 << 20, DISK_MAX, DISK_DEFAULT, 0, "room to write"),
    F_OBJECT(process_spec, health, health_spec, &health_spec_json, 0, "how to tell it is well"),
    F_OBJECT(process_spec, autoscale, scale_rule, &scale_rule_json, 0, "how to scale by load"),
    F_OBJECT(process_spec, stop, stop_spec, &stop_spec_json, 0, "how to end it"));

TYPE(manifest,
    F_ENUM(manifest, stack, stack_names, STACK_HOST, 0, "file system under the app's files"),
    F_NAMED(
        manifest, processes, &process_spec_json, PROCESSES_PER_APP, JF_REQUIRED, "process types"),
    F_PAIRS(manifest, env, ENV_PAIRS, JF_OMIT, "environment"),
    F_STRINGS(manifest, routes, ROUTES_PER_APP, JF_OMIT, "host names"));

TYPE(release_config, F_TEXT(release_config, app, JF_NAME | JF_REQUIRED, "app"),
    F_INT(release_config, release, 0, COUNT_MAX, 0, 0, "version of the release"),
    F_ENUM(release_config, stack, stack_names, STACK_IMAGE, 0, "file system under the files"),
    F_TEXT(release_config, image, JF_DIGEST, "digest of the image's manifest"),
    F_STRINGS(release_config, layers, LAYERS_PER_IMAGE, 0, "digests of unpacked layers"),
    F_STRINGS(release_config, blobs, LAYERS_PER_IMAGE, 0, "digests of layers as stored"),
    F_TEXT(release_config, user, JF_OMIT, "user and group"),
    F_TEXT(release_config, working_dir, JF_OMIT, "directory to start in"),
    F_PAIRS(release_config, env, ENV_PAIRS, JF_OMIT, "environment"),
    F_NAMED(release_config, processes, &process_spec_json, PROCESSES_PER_APP, JF_REQUIRED,
        "process types"));

TYPE(snapshot_head, F_INT(snapshot_head, term, 0, COUNT_MAX, 0, JF_REQUIRED, "of the scheduler"),
    F_INT(snapshot_head, revision, 0, COUNT_MAX, 0, JF_REQUIRED, "within the term"),
    F_INT(snapshot_head, count, 0, COUNT_MAX, 0, JF_REQUIRED, "lines that follow"));

TYPE(grant, F_TEXT(grant, app, JF_NAME | JF_REQUIRED, "app"),
    F_TEXT(grant, process, JF_NAME | JF_REQUIRED, "process type"),
    F_INT(grant, release, 1, COUNT_MAX, 0, JF_REQUIRED, "version of the release"),
    F_TEXT(grant, config, JF_DIGEST | JF_REQUIRED, "digest of the release's configuration"),
    F_INT(grant, floor, 0, INSTANCES_PER_NODE, 0, 0, "fewest running"),
    F_INT(grant, ceiling, 0, INSTANCES_PER_NODE, 0, 0, "most running"),
    F_INT(grant, frozen, 0, INSTANCES_PER_NODE, 0, JF_OMIT, "kept asleep"),
    F_OBJECT(grant, rule, scale_rule, &scale_rule_json, 0, "how load decides"),
    F_INT(grant, attempt, 0, COUNT_MAX, 0, JF_OMIT, "failures before it are forgiven"),
    F_BOOL(grant, exclusive, JF_OMIT, "never twice at once"),
    F_BOOL(grant, target_of_demand, JF_OMIT, "wakes and spikes use it"));

TYPE(route_node, F_TEXT(route_node, node, JF_NAME | JF_REQUIRED, "node"),
    F_TEXT(route_node, address, JF_OMIT, "of its proxy"),
    F_INT(route_node, weight, 0, 1000000, 1, 0, "share of the requests"));

TYPE(route, F_TEXT(route, host, JF_REQUIRED, "host name"),
    F_TEXT(route, path, JF_REQUIRED, "path prefix"),
    F_TEXT(route, app, JF_NAME | JF_REQUIRED, "app"),
    F_TEXT(route, process, JF_NAME | JF_REQUIRED, "process type"),
    F_BOOL(route, stopped, JF_OMIT, "stopped by hand"),
    F_ARRAY(route, nodes, &route_node_json, 10000, 0, "where it runs"));

TYPE(last_exit, F_INT(last_exit, code, -1, 255, -1, 0, "exit code, -1 when it did not exit"),
    F_TEXT(last_exit, signal, JF_OMIT, "signal that ended it"),
    F_ENUM(last_exit, reason, end_reason_names, END_NONE, 0, "why it ended"),
    F_TEXT(last_exit, detail, JF_OMIT, "in words"));

TYPE(instance, F_TEXT(instance, id, JF_REQUIRED, "new at every start"),
    F_TEXT(instance, slot, JF_REQUIRED, "the name people use"),
    F_TEXT(instance, app, JF_NAME | JF_REQUIRED, "app"),
    F_TEXT(instance, process, JF_NAME | JF_REQUIRED, "process type"),
    F_INT(instance, release, 0, COUNT_MAX, 0, 0, "version of the release"),
    F_TEXT(instance, node, 0, "where it runs"),
    F_ENUM(instance, state, instance_state_names, INSTANCE_STARTING, 0, "state"),
    F_INT(instance, pid, 0, COUNT_MAX, 0, 0, "of the app on its host"),
    F_TEXT(instance, address, 0, "its own address"),
    F_INT(instance, port, 0, 65535, 0, 0, "that it listens on"),
    F_INT(instance, created_at, 0, COUNT_MAX, 0, 0, "wall clock, ms since 1970"),
    F_INT(instance, ready_ms, -1, COUNT_MAX, -1, 0, "from decision to rotation; -1 before"),
    F_INT(instance, restarts, 0, COUNT_MAX, 0, 0, "of this slot"),
    F_OBJECT(instance, last_exit, last_exit, &last_exit_json, 0, "how it, or the last one, ended"),
    F_SIZE(instance, memory_bytes, 0, COUNT_MAX, 0, 0, "memory in use"),
    F_SIZE(instance, swapped_bytes, 0, COUNT_MAX, 0, 0, "memory that is in the host's swap"),
    F_MILLI(instance, cpu_seconds, 0, COUNT_MAX, 0, 0, "processor time used"),
    F_TEXT(instance, health, JF_OMIT, "the health check's last answer"));

TYPE(report_head, F_TEXT(report_head, node, JF_NAME | JF_REQUIRED, "node"),
    F_TEXT(report_head, boot_id, 0, "of the host's kernel"),
    F_BOOL(report_head, whole, 0, "all instances follow, not only changed ones"),
    F_INT(report_head, term, 0, COUNT_MAX, 0, 0, "of the grants in force"),
    F_INT(report_head, revision, 0, COUNT_MAX, 0, 0, "of the grants in force"),
    F_INT(report_head, routes_term, 0, COUNT_MAX, 0, 0, "that the proxy has applied"),
    F_INT(report_head, routes_revision, 0, COUNT_MAX, 0, 0, "that the proxy has applied"),
    F_INT(report_head, instances, 0, 100000, 0, 0, "lines that follow"),
    F_INT(report_head, grants, 0, 100000, 0, 0, "lines that follow those"),
    F_INT(report_head, decisions, 0, 100000, 0, JF_OMIT, "lines that follow those"),
    F_SIZE(report_head, memory_total, 0, COUNT_MAX, 0, 0, "of the host"),
    F_SIZE(report_head, memory_available, 0, COUNT_MAX, 0, 0, "of the host"),
    F_SIZE(report_head, memory_promised, 0, COUNT_MAX, 0, 0, "limits of its instances"),
    F_SIZE(report_head, memory_used, 0, COUNT_MAX, 0, 0, "by its instances"),
    F_INT(report_head, given_up, 0, COUNT_MAX, 0, 0, "things, ever, for want of memory"),
    F_MILLI(report_head, cpus, 0, COUNT_MAX, 0, 0, "of the host"),
    F_TEXT(report_head, reason, JF_OMIT, "why it can't grow"));

TYPE(event, F_INT(event, sequence, 0, COUNT_MAX, 0, 0, "number of the event"),
    F_INT(event, at, 0, COUNT_MAX, 0, 0, "wall clock, ms since 1970"),
    F_TEXT(event, type, JF_REQUIRED, "what happened"), F_TEXT(event, app, JF_OMIT, "app"),
    F_TEXT(event, process, JF_OMIT, "process type"),
    F_INT(event, release, 0, COUNT_MAX, 0, JF_OMIT, "version of the release"),
    F_TEXT(event, instance, JF_OMIT, "instance"), F_TEXT(event, slot, JF_OMIT, "slot"),
    F_TEXT(event, code, JF_OMIT, "stable name of an error"),
    F_STRING(event, message, MESSAGE_MAX, JF_OMIT, "in a sentence"),
    F_STRING(event, detail, DETAIL_MAX, JF_OMIT, "the app's last log lines"));

TYPE(scaling_decision, F_INT(scaling_decision, at, 0, COUNT_MAX, 0, JF_REQUIRED, "when"),
    F_INT(scaling_decision, sequence, 0, COUNT_MAX, 0, 0, "grows with each decision of a node"),
    F_TEXT(scaling_decision, app, JF_NAME | JF_REQUIRED, "app"),
    F_TEXT(scaling_decision, process, JF_NAME | JF_REQUIRED, "process type"),
    F_INT(scaling_decision, release, 0, COUNT_MAX, 0, 0, "version of the release"),
    F_INT(scaling_decision, from, 0, COUNT_MAX, 0, 0, "running before"),
    F_INT(scaling_decision, to, 0, COUNT_MAX, 0, 0, "running wanted"),
    F_TEXT(scaling_decision, reason, 0, "why, in a word"),
    F_INT(scaling_decision, in_flight, 0, COUNT_MAX, 0, 0, "requests at instances"),
    F_INT(scaling_decision, held, 0, COUNT_MAX, 0, 0, "requests that wait"),
    F_INT(scaling_decision, oldest_ms, 0, COUNT_MAX, 0, 0, "age of the oldest of them"),
    F_INT(scaling_decision, ready, 0, COUNT_MAX, 0, 0, "instances in rotation"),
    F_INT(scaling_decision, starting, 0, COUNT_MAX, 0, 0, "instances on their way"),
    F_MILLI(scaling_decision, level, 0, COUNT_MAX, 0, 0, "requests in flight, smoothed"),
    F_MILLI(scaling_decision, peak, 0, COUNT_MAX, 0, 0, "largest level of the window"),
    F_MILLI(scaling_decision, rise, 0, COUNT_MAX, 0, 0, "growth within one start"),
    F_INT(scaling_decision, service_ms, 0, COUNT_MAX, 0, 0, "time of a request, learnt"),
    F_INT(scaling_decision, start_ms, 0, COUNT_MAX, 0, 0, "time of a start, learnt"),
    F_INT(scaling_decision, base, 0, COUNT_MAX, 0, 0, "instances that load asks for"),
    F_INT(scaling_decision, queue_target, 0, COUNT_MAX, 0, 0, "instances that the queue asks for"),
    F_INT(scaling_decision, use_target, 0, COUNT_MAX, 0, 0,
        "instances that cpu, memory, p99 or a metric ask for"),
    F_TEXT(scaling_decision, message, 0, "all of it in words"));

TYPE(load_second, F_INT(load_second, at, 0, COUNT_MAX, 0, JF_REQUIRED, "beginning of the second"),
    F_INT(load_second, requests, 0, COUNT_MAX, 0, 0, "requests that came in it"));

TYPE(log_line, F_INT(log_line, at, 0, COUNT_MAX, 0, 0, "wall clock, ms since 1970"),
    F_INT(log_line, sequence, 0, COUNT_MAX, 0, 0, "number within the instance"),
    F_TEXT(log_line, app, 0, "app"), F_TEXT(log_line, slot, 0, "slot"),
    F_TEXT(log_line, instance, 0, "instance"), F_TEXT(log_line, stream, 0, "out, err or paas"),
    F_INT(log_line, dropped, 0, COUNT_MAX, 0, JF_OMIT, "lines lost before this one"),
    F_STRING(log_line, text, 0, 0, "the line"));

TYPE(kill_request, F_TEXT(kill_request, instance, JF_OMIT, "id or slot"),
    F_TEXT(kill_request, signal, JF_OMIT, "signal; SIGKILL"));

TYPE(exec_request, F_TEXT(exec_request, instance, JF_OMIT, "id or slot"),
    F_STRINGS(exec_request, command, COMMAND_WORDS, JF_REQUIRED, "program and arguments"),
    F_STRING(exec_request, input, EXEC_INPUT_MAX, JF_OMIT, "standard input, base64"));

TYPE(exec_output, F_TEXT(exec_output, stream, JF_REQUIRED, "out, err or exit"),
    F_STRING(exec_output, data, 0, JF_OMIT, "base64"),
    F_INT(exec_output, code, 0, 255, 0, JF_OMIT, "exit code"));

TYPE(local_message, F_ENUM(local_message, type, local_type_names, LOCAL_HELLO, JF_REQUIRED, "kind"),
    F_TEXT(local_message, id, JF_OMIT, "instance"), F_TEXT(local_message, app, JF_OMIT, "app"),
    F_TEXT(local_message, process, JF_OMIT, "process type"),
    F_INT(local_message, release, 0, COUNT_MAX, 0, JF_OMIT, "version of the release"),
    F_TEXT(local_message, address, JF_OMIT, "of the instance"),
    F_INT(local_message, port, 0, 65535, 0, JF_OMIT, "of the instance"),
    F_ENUM(local_message, state, instance_state_names, INSTANCE_STARTING, JF_OMIT, "state"),
    F_BOOL(local_message, can_grow, JF_OMIT, "another instance may start"),
    F_TEXT(local_message, reason, JF_OMIT, "why not"),
    F_INT(local_message, starting, 0, COUNT_MAX, 0, JF_OMIT, "instances on their way"),
    F_INT(local_message, concurrency, 0, COUNT_MAX, 0, JF_OMIT, "most requests at an instance"),
    F_INT(local_message, term, 0, COUNT_MAX, 0, JF_OMIT, "of the routes"),
    F_INT(local_message, revision, 0, COUNT_MAX, 0, JF_OMIT, "of rows or routes"),
    F_INT(local_message, in_flight, 0, COUNT_MAX, 0, JF_OMIT, "requests at instances"),
    F_INT(local_message, held, 0, COUNT_MAX, 0, JF_OMIT, "requests that wait"),
    F_INT(local_message, oldest_ms, 0, COUNT_MAX, 0, JF_OMIT, "age of the oldest that waits"),
    F_INT(local_message, requests, 0, COUNT_MAX, 0, JF_OMIT, "since the proxy's start"),
    F_INT(local_message, p99_ms, 0, COUNT_MAX, 0, JF_OMIT, "99 of 100 were answered within it"));

enum err_code end_reason_error(enum end_reason reason) {
    switch (reason) {
    case END_OOM:
        return ERR_APP_OOM;
    case END_COMMAND:
        return ERR_COMMAND_MISSING;
    case END_SILENT:
        return ERR_APP_SILENT;
    case END_PORT:
        return ERR_APP_PORT;
    case END_HEALTH:
        return ERR_APP_UNHEALTHY;
    case END_IMAGE:
        return ERR_BAD_IMAGE;
    case END_START:
        return ERR_SYSTEM;
    case END_NONE:
    case END_EXITED:
    case END_SIGNALED:
    case END_STOPPED:
    case END_KILLED:
    case END_UNKNOWN:
        break;
    }
    return ERR_APP_EXITS;
}

int signal_number(const char *name) {
    int64_t number;
    if (str_int(name, 1, 64, "signal", &number, NULL) == 0) {
        return (int)number;
    }
    if (str_starts(name, "SIG")) {
        name += 3;
    }
    for (int i = 1; i < 65; i++) {
        const char *known = sigabbrev_np(i);
        if (known && str_same_word(known, name)) {
            return i;
        }
    }
    return -1;
}

const char *signal_name(int number, char name[SIGNAL_SIZE]) {
    const char *known = sigabbrev_np(number);
    if (known) {
        snprintf(name, SIGNAL_SIZE, "SIG%s", known);
    } else {
        snprintf(name, SIGNAL_SIZE, "SIG%d", number);
    }
    return name;
}

bool process_listens(const struct process_spec *spec) {
    return spec->port > 0 || strcmp(spec->name, "web") == 0;
}

bool scale_rule_measures(const struct scale_rule *rule) {
    return rule->concurrency > 0 || rule->rps > 0 || rule->p99 > 0 || rule->cpu > 0 ||
           rule->memory > 0 || rule->metric.path[0];
}

int scale_rule_check(const struct scale_rule *rule, bool listens, struct err *err) {
    struct schedule schedule;
    if (rule->min > rule->max) {
        return err_set(
            err, ERR_BAD_VALUE, "min: %d is greater than max %d", (int)rule->min, (int)rule->max);
    }
    if (rule->metric.path[0] && rule->metric.path[0] != '/') {
        return err_set(
            err, ERR_BAD_VALUE, "metric.path: \"%s\" must begin with /", rule->metric.path);
    }
    if (schedule_parse(rule->schedule, &schedule, err) < 0) {
        return err_wrap(err, "schedule");
    }
    if (schedule_most(&schedule) > rule->max) {
        return err_set(err, ERR_BAD_VALUE, "schedule: %d is greater than max %d",
            (int)schedule_most(&schedule), (int)rule->max);
    }
    bool uses = rule->cpu > 0 || rule->memory > 0;
    if (!listens && rule->min < rule->max && !uses && !rule->metric.path[0]) {
        err_set(err, ERR_BAD_VALUE, "nothing says the load of a process without a port");
        return err_hint(err, "give cpu, or metric (a path of the app's that answers a number)");
    }
    if (!listens && rule->min == 0 && rule->max > 0 && !rule->metric.path[0]) {
        err_set(err, ERR_BAD_VALUE,
            "min: nothing would wake a process without a port and without metric.path from 0");
        return err_hint(err, "give min 1, or metric.path");
    }
    return 0;
}

int process_spec_check(const struct process_spec *spec, struct err *err) {
    if (!str_is_name(spec->name)) {
        return err_set(err, ERR_BAD_MANIFEST, "processes: \"%s\" is not a name", spec->name);
    }
    if (spec->autoscale.max && scale_rule_check(&spec->autoscale, process_listens(spec), err) < 0) {
        err->code = ERR_BAD_MANIFEST;
        return err_wrap(err, "processes.%s.autoscale", spec->name);
    }
    if (spec->stop.signal[0] && signal_number(spec->stop.signal) < 0) {
        return err_set(err, ERR_BAD_MANIFEST, "processes.%s.stop.signal: \"%s\" is not a signal",
            spec->name, spec->stop.signal);
    }
    if (spec->health.path[0] && spec->health.path[0] != '/') {
        return err_set(err, ERR_BAD_MANIFEST, "processes.%s.health.path: \"%s\" must begin with /",
            spec->name, spec->health.path);
    }
    for (size_t i = 0; i < spec->command.count; i++) {
        if (strlen(spec->command.items[i]) > WORD_MAX) {
            return err_set(err, ERR_BAD_MANIFEST, "processes.%s.command[%zu]: over %d bytes",
                spec->name, i, WORD_MAX);
        }
    }
    return 0;
}

static int check_env(const struct pairs *env, struct err *err) {
    for (size_t i = 0; i < env->count; i++) {
        const char *key = env->items[i].key;
        if (!key[0] || strchr(key, '=') || strlen(key) > WORD_MAX) {
            return err_set(err, ERR_BAD_MANIFEST, "env: \"%.80s\" can't name a variable", key);
        }
        if (strlen(env->items[i].value) > ENV_VALUE_MAX) {
            return err_set(err, ERR_BAD_MANIFEST, "env.%.80s: over %d bytes", key, ENV_VALUE_MAX);
        }
    }
    return 0;
}

int manifest_check(const struct manifest *manifest, struct err *err) {
    const struct process_spec *specs = manifest->processes.items;
    if (manifest->processes.count == 0) {
        return err_set(err, ERR_BAD_MANIFEST, "processes: there is none");
    }
    for (size_t i = 0; i < manifest->processes.count; i++) {
        if (process_spec_check(&specs[i], err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < manifest->routes.count; i++) {
        if (!str_is_host(manifest->routes.items[i])) {
            return err_set(err, ERR_BAD_MANIFEST, "routes[%zu]: \"%.80s\" is not a host name", i,
                manifest->routes.items[i]);
        }
    }
    return check_env(&manifest->env, err);
}

/* The JSON tables of rest.h: bodies of the REST API. SPDX-License-Identifier: Apache-2.0 */
#include <paas/rest.h>

#include <paas/wire.h>

#define COUNT_MAX INT64_MAX
enum {
    NODES_MAX = 10000,
    PARTS_MAX = 16,
    REPORT_ENDS_MAX = 4 * INSTANCES_PER_NODE, /* as many as a report has rows */
    REASON_MAX = 1024,
};

#define TYPE(NAME, ...)                                                                            \
    const struct json_type NAME##_json = { #NAME, sizeof(struct NAME),                             \
        (const struct json_field[]){ __VA_ARGS__, { 0 } } }

TYPE(release_request,
    F_TEXT(release_request, image, JF_DIGEST | JF_OMIT, "digest of the image's manifest"),
    F_ENUM(release_request, stack, stack_names, STACK_IMAGE, 0, "file system under the files"),
    F_NAMED(release_request, processes, &process_spec_json, PROCESSES_PER_APP, JF_OMIT,
        "process types; none: one web that runs the image's command"),
    F_PAIRS(release_request, env, ENV_PAIRS, JF_OMIT, "environment"),
    F_STRINGS(release_request, routes, ROUTES_PER_APP, JF_OMIT, "host names"),
    F_INT(release_request, instances, 0, INSTANCES_PER_NODE, 0, JF_OMIT, "how many to run"),
    F_SIZE(release_request, memory, 0, MEMORY_MAX, 0, JF_OMIT, "memory limit"),
    F_MILLI(release_request, cpus, 0, CPU_MILLI_MAX, 0, JF_OMIT, "processors"),
    F_INT(release_request, port, 0, 65535, 0, JF_OMIT, "port that the app listens on"),
    F_TEXT(release_request, health, JF_OMIT, "path of the health check"));

TYPE(change_answer, F_TEXT(change_answer, app, JF_NAME | JF_REQUIRED, "app"),
    F_INT(change_answer, release, 0, COUNT_MAX, 0, 0, "release that it is about"),
    F_TEXT(change_answer, url, 0, "where it answers"),
    F_TEXT(change_answer, image, JF_OMIT, "digest of the image's manifest"),
    F_INT(change_answer, sequence, 0, COUNT_MAX, 0, 0, "last event before the change"),
    F_INT(change_answer, attempt, 0, COUNT_MAX, 0, 0, "attempt of the release"));

TYPE(app_summary, F_TEXT(app_summary, name, JF_NAME | JF_REQUIRED, "name"),
    F_INT(app_summary, release, 0, COUNT_MAX, 0, 0, "release that serves"),
    F_TEXT(app_summary, url, 0, "where it answers"),
    F_STRINGS(app_summary, routes, ROUTES_PER_APP, 0, "host names and paths"),
    F_INT(app_summary, desired, 0, COUNT_MAX, 0, 0, "instances that shall run"),
    F_INT(app_summary, healthy, 0, COUNT_MAX, 0, 0, "instances that are healthy"),
    F_TEXT(app_summary, state, 0, "running, starting, rolling, degraded, stopped or failed"));

TYPE(release_summary, F_INT(release_summary, release, 1, COUNT_MAX, 0, JF_REQUIRED, "version"),
    F_TEXT(release_summary, image, JF_OMIT, "digest of the image's manifest"),
    F_INT(release_summary, created_at, 0, COUNT_MAX, 0, 0, "wall clock, ms since 1970"),
    F_TEXT(release_summary, state, 0, "serving, previous, failed, rolling or superseded"),
    F_STRING(release_summary, reason, REASON_MAX, 0, "why it failed"));

TYPE(rollback_request,
    F_INT(rollback_request, release, 0, COUNT_MAX, 0, 0, "release to go back to; 0: the previous"));

TYPE(process_count, F_TEXT(process_count, process, JF_NAME | JF_REQUIRED, "process type"),
    F_INT(process_count, count, 0, INSTANCES_PER_NODE, 0, JF_REQUIRED, "how many to run"));
TYPE(scale_request, F_ARRAY(scale_request, processes, &process_count_json, PROCESSES_PER_APP,
                        JF_REQUIRED, "process types"));

TYPE(env_request, F_PAIRS(env_request, set, ENV_PAIRS, JF_OMIT, "variables to set"),
    F_STRINGS(env_request, unset, ENV_PAIRS, JF_OMIT, "variables to take away"));
TYPE(env_answer, F_PAIRS(env_answer, env, ENV_PAIRS, 0, "variables set by commands"));

TYPE(route_request, F_TEXT(route_request, host, JF_REQUIRED, "host name"),
    F_TEXT(route_request, path, JF_OMIT, "path prefix; /"));
TYPE(route_summary, F_TEXT(route_summary, host, JF_REQUIRED, "host name"),
    F_TEXT(route_summary, path, 0, "path prefix"),
    F_TEXT(route_summary, app, JF_NAME | JF_REQUIRED, "app"),
    F_TEXT(route_summary, process, JF_NAME, "process type"));

TYPE(node_summary, F_TEXT(node_summary, name, JF_NAME | JF_REQUIRED, "name"),
    F_TEXT(node_summary, state, 0, "live, lost or unknown"),
    F_INT(node_summary, reported_at, 0, COUNT_MAX, 0, 0, "wall clock, ms since 1970"),
    F_SIZE(node_summary, memory_total, 0, COUNT_MAX, 0, 0, "of the host"),
    F_SIZE(node_summary, memory_available, 0, COUNT_MAX, 0, 0, "of the host"),
    F_SIZE(node_summary, memory_promised, 0, COUNT_MAX, 0, 0, "limits of its instances"),
    F_SIZE(node_summary, memory_used, 0, COUNT_MAX, 0, 0, "by its instances"),
    F_INT(node_summary, given_up, 0, COUNT_MAX, 0, 0, "things, ever, for want of memory"),
    F_MILLI(node_summary, cpus, 0, COUNT_MAX, 0, 0, "of the host"),
    F_INT(node_summary, instances, 0, COUNT_MAX, 0, 0, "instances there"),
    F_INT(node_summary, grants_term, 0, COUNT_MAX, 0, 0, "of the grants in force"),
    F_INT(node_summary, grants_revision, 0, COUNT_MAX, 0, 0, "of the grants in force"),
    F_INT(node_summary, routes_term, 0, COUNT_MAX, 0, 0, "of the routes in force"),
    F_INT(node_summary, routes_revision, 0, COUNT_MAX, 0, 0, "of the routes in force"),
    F_TEXT(node_summary, reason, JF_OMIT, "why it can't grow"));

TYPE(report_answer,
    F_STRINGS(report_answer, ended, REPORT_ENDS_MAX, JF_OMIT, "instances whose end is kept"));

TYPE(part_status, F_TEXT(part_status, name, JF_REQUIRED, "part"),
    F_TEXT(part_status, state, 0, "up, or what is wrong"),
    F_INT(part_status, pid, 0, COUNT_MAX, 0, 0, "process; 0 when not known"));
TYPE(status_answer, F_BOOL(status_answer, ready, 0, "changes are taken and carried out"),
    F_TEXT(status_answer, api, 0, "where the API is"),
    F_TEXT(status_answer, http, 0, "where apps answer"),
    F_TEXT(status_answer, data, 0, "directory of what is durable"),
    F_TEXT(status_answer, version, 0, "of the scheduler"),
    F_ARRAY(status_answer, parts, &part_status_json, PARTS_MAX, 0, "daemons"),
    F_INT(status_answer, nodes, 0, NODES_MAX, 0, 0, "nodes that live"),
    F_INT(status_answer, apps, 0, COUNT_MAX, 0, 0, "apps"),
    F_INT(status_answer, instances, 0, COUNT_MAX, 0, 0, "instances"),
    F_INT(status_answer, term, 0, COUNT_MAX, 0, 0, "of the scheduler"),
    F_SIZE(status_answer, memory_total, 0, COUNT_MAX, 0, 0, "of the nodes that live"),
    F_SIZE(status_answer, memory_available, 0, COUNT_MAX, 0, 0, "what is left of it"),
    F_SIZE(status_answer, memory_promised, 0, COUNT_MAX, 0, 0, "limits of all instances"),
    F_SIZE(status_answer, memory_used, 0, COUNT_MAX, 0, 0, "by all instances"),
    F_TEXT(status_answer, full, JF_OMIT, "node on which something has no room"));

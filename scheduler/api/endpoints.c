/* THE table of all endpoints, and who may use them. SPDX-License-Identifier: Apache-2.0 */
#include <paas/api.h>

#include <string.h>

#include <paas/rest.h>
#include <paas/str.h>
#include <paas/wire.h>

#include "handlers.h"
#include "registry.h"

enum {
    REPORT_BYTES_MAX = 16 << 20, /* a whole report of a full node is under 1 MiB */
    EXEC_BYTES_MAX = 2 << 20,    /* 1 MiB of input in base64 and a command */
};

#define OP ROLE_OPERATOR
#define ROW(METHOD, PATH, ROLES, HANDLER, DOC, ...)                                                \
    {                                                                                              \
        .method = METHOD_##METHOD, .path = PATH, .roles = ROLES, .handler = HANDLER, .doc = DOC,   \
        __VA_ARGS__                                                                                \
    }
#define CHANGE .out = &change_answer_json

const struct endpoint api_endpoints[] = {
    ROW(GET, "/v1/apps", OP, apps_list, "All apps; ?limit=&after=", .out = &app_summary_json,
        .flags = EP_LIST),
    ROW(GET, "/v1/apps/{app}", OP, apps_get, "One app", .out = &app_summary_json),
    ROW(DELETE, "/v1/apps/{app}", OP, apps_destroy, "Removes an app", CHANGE),
    ROW(POST, "/v1/apps/{app}/stop", OP, apps_stop, "Runs nothing of it until started", CHANGE),
    ROW(POST, "/v1/apps/{app}/start", OP, apps_start, "Runs it again", CHANGE),
    ROW(PUT, "/v1/apps/{app}/scale", OP, apps_scale, "Sets how many run", CHANGE,
        .in = &scale_request_json),
    ROW(PUT, "/v1/apps/{app}/autoscale", OP, apps_autoscale, "Lets load decide how many run",
        CHANGE, .in = &autoscale_request_json),
    ROW(GET, "/v1/apps/{app}/decisions", OP, instances_decisions,
        "What load decided lately, and why; ?process=", .out = &scaling_decision_json,
        .flags = EP_LIST),
    ROW(GET, "/v1/apps/{app}/load", OP, instances_load,
        "Requests by second; ?process=", .out = &load_second_json, .flags = EP_LIST),
    ROW(GET, "/v1/apps/{app}/env", OP, env_get, "Environment set by commands",
        .out = &env_answer_json),
    ROW(PATCH, "/v1/apps/{app}/env", OP, env_change, "Changes it: a new release", CHANGE,
        .in = &env_request_json),

    ROW(GET, "/v1/apps/{app}/releases", OP, releases_list,
        "Releases, newest first; ?limit=&after=", .out = &release_summary_json, .flags = EP_LIST),
    ROW(POST, "/v1/apps/{app}/releases", OP, releases_create, "Rolls out a new release", CHANGE,
        .in = &release_request_json),
    ROW(POST, "/v1/apps/{app}/rollback", OP, releases_rollback, "Rolls out an earlier release",
        CHANGE, .in = &rollback_request_json, .flags = EP_BODY_OPTIONAL),
    ROW(POST, "/v1/apps/{app}/restart", OP, releases_restart, "Replaces all instances", CHANGE),

    ROW(GET, "/v1/apps/{app}/routes", OP, routes_list, "Host names and paths of an app",
        .out = &route_summary_json, .flags = EP_LIST),
    ROW(POST, "/v1/apps/{app}/routes", OP, routes_add, "Adds one", CHANGE,
        .in = &route_request_json),
    ROW(DELETE, "/v1/apps/{app}/routes", OP, routes_remove, "Removes ?host=&path=", CHANGE),
    ROW(GET, "/v1/routes", OP | ROLE_PROXY, routes_watch, "The route table", .out = &route_json,
        .flags = EP_LINES | EP_WATCH),

    ROW(GET, "/v1/apps/{app}/instances", OP, instances_of_app,
        "Instances of an app; ?all: also ended; ?limit=&after=", .out = &instance_json,
        .flags = EP_LIST),
    ROW(GET, "/v1/instances", OP, instances_list,
        "Instances of all apps; ?all: also ended; ?limit=&after=", .out = &instance_json,
        .flags = EP_LIST),
    ROW(POST, "/v1/apps/{app}/kill", OP, instances_kill, "Sends a signal",
        .in = &kill_request_json),
    ROW(POST, "/v1/apps/{app}/exec", OP, instances_exec, "Runs a command inside",
        .in = &exec_request_json, .out = &exec_output_json, .flags = EP_LINES | EP_WATCH,
        .body_max = EXEC_BYTES_MAX),
    ROW(GET, "/v1/apps/{app}/logs", OP, instances_logs, "Output; ?follow&tail=&instance=&process=",
        .out = &log_line_json, .flags = EP_LINES | EP_WATCH),

    ROW(GET, "/v1/nodes", OP, nodes_list, "All nodes; ?limit=&after=", .out = &node_summary_json,
        .flags = EP_LIST),
    ROW(GET, "/v1/nodes/{node}/grants", ROLE_AGENT, nodes_grants, "What a node may run",
        .out = &grant_json, .flags = EP_LINES | EP_WATCH),
    ROW(GET, "/v1/nodes/{node}/config/{digest}", ROLE_AGENT, nodes_config,
        "How to start a release's processes", .out = &release_config_json),
    ROW(POST, "/v1/nodes/{node}/report", ROLE_AGENT, nodes_report, "What runs on a node",
        .out = &report_answer_json, .flags = EP_BODY_RAW, .body_max = REPORT_BYTES_MAX),

    ROW(GET, "/v1/events", OP, events_list, "What happened; ?app=&after=&watch", .out = &event_json,
        .flags = EP_LINES | EP_WATCH),
    ROW(GET, "/v1/status", OP, status_get, "How the platform is", .out = &status_answer_json),
    ROW(GET, "/v1/openapi.json", OP, status_openapi, "This table as an OpenAPI document"),
    ROW(GET, "/healthz", OP, status_health, "Whether it lives", .flags = EP_PUBLIC),
    ROW(GET, "/readyz", OP, status_ready, "Whether it knows its nodes", .flags = EP_PUBLIC),
    ROW(GET, "/metrics", OP, status_metrics, "Metrics in Prometheus text"),
    REGISTRY_ENDPOINTS(OP, OP | ROLE_AGENT),
    { 0 },
};

/* --- who -------------------------------------------------------------------------------------- */

static bool in_group(const struct http_peer *peer, gid_t group) {
    if (group == (gid_t)-1) {
        return false;
    }
    for (size_t i = 0; i < peer->group_count; i++) {
        if (peer->groups[i] == group) {
            return true;
        }
    }
    return peer->gid == group;
}

static int identify_uid(const struct api *api, const struct http_peer *peer,
    struct http_identity *who, struct err *err) {
    who->number = peer->uid;
    if (peer->uid == 0 || in_group(peer, api->operators)) {
        who->roles = ROLE_OPERATOR;
        str_copy(who->name, sizeof(who->name), peer->uid == 0 ? "root" : "group paas");
    } else if (peer->uid == api->agent_uid) {
        who->roles = ROLE_AGENT;
        str_copy(who->name, sizeof(who->name), "agent");
    } else if (peer->uid == api->proxy_uid) {
        who->roles = ROLE_PROXY;
        str_copy(who->name, sizeof(who->name), "proxy");
    } else {
        err_set(err, ERR_FORBIDDEN, "user %u may not use the platform", peer->uid);
        return err_hint(err, "join group paas: sudo usermod -aG paas \"$USER\", then log in again");
    }
    return 0;
}

/* Names that a browser can be tricked into are refused: a page's own name can be made to point
 * here, an address can't. */
static bool is_own_host(const struct http_authority *host) {
    char text[HOST_SIZE];
    if (host->host.len == 0 || host->host.len >= sizeof(text)) {
        return false;
    }
    memcpy(text, host->host.at, host->host.len);
    text[host->host.len] = '\0';
    bool digits = text[strspn(text, "0123456789.")] == '\0';
    return digits || text[0] == '[' || str_same_word(text, "localhost");
}

static int identify_token(const struct api *api, const struct http_peer *peer,
    struct http_identity *who, struct err *err) {
    char digest[DIGEST_SIZE];
    if (!is_own_host(&peer->host)) {
        return err_set(err, ERR_FORBIDDEN, "Host must be an address or localhost");
    }
    if (!api->token_hash[0] || !peer->token.at ||
        digest_of(peer->token.at, peer->token.len, digest) < 0 ||
        !id_same_token(digest_hex(digest), api->token_hash)) {
        err_set(err, ERR_UNAUTHENTICATED, "a valid token is needed");
        return err_hint(err, "set PAAS_TOKEN, or paas login URL");
    }
    who->roles = ROLE_OPERATOR;
    str_copy(who->name, sizeof(who->name), "token");
    return 0;
}

int api_identify(
    void *ctx, const struct http_peer *peer, struct http_identity *who, struct err *err) {
    const struct api *api = ctx;
    return peer->is_unix ? identify_uid(api, peer, who, err) : identify_token(api, peer, who, err);
}

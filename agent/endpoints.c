/* The agent's own HTTP endpoints. SPDX-License-Identifier: Apache-2.0 */
#include "endpoints.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <paas/str.h>
#include <paas/version.h>
#include <paas/wire.h>

#include "exec.h"
#include "log_stream.h"
#include "logs.h"

enum { ROLE_SCHEDULER = 1 };
enum { TAIL_DEFAULT = 100 };

static int identify(
    void *ctx, const struct http_peer *peer, struct http_identity *who, struct err *err) {
    const struct agent_endpoints *e = ctx;
    if (!peer->is_unix || (peer->uid != e->scheduler_uid && peer->uid != 0)) {
        return err_set(err, ERR_UNAUTHENTICATED, "only the scheduler speaks to an agent");
    }
    who->roles = ROLE_SCHEDULER;
    snprintf(who->name, sizeof who->name, "uid %u", (unsigned)peer->uid);
    return 0;
}

static void copy_query(struct call *c, const char *name, char *to, size_t size) {
    const char *value = call_query(c, name);
    str_copy(to, size, value ? value : "");
}

static enum call_result get_logs(struct call *c) {
    struct agent_endpoints *e = call_ctx(c);
    struct log_query query = { .follow = call_query(c, "follow") != NULL };
    struct err err;
    if (call_query_int(c, "tail", 0, LOG_LAST_MAX, TAIL_DEFAULT, &query.tail, &err) < 0 ||
        call_query_int(c, "since", 0, INT64_MAX, 0, &query.since, &err) < 0) {
        return call_fail(c, &err);
    }
    copy_query(c, "app", query.app, sizeof query.app);
    copy_query(c, "process", query.process, sizeof query.process);
    copy_query(c, "instance", query.instance, sizeof query.instance);
    return log_stream_answer(c, e->fleet, e->host, &query);
}

enum { HISTORY_BYTES_MAX = 4 << 20 /* 32 decisions of 600 bytes of each of an app's releases */ };

static enum call_result tell(struct call *c,
    void (*what)(const struct fleet *f, const char *app, const char *process, struct buf *out)) {
    struct agent_endpoints *e = call_ctx(c);
    char app[NAME_SIZE], process[NAME_SIZE];
    struct buf text;
    copy_query(c, "app", app, sizeof app);
    copy_query(c, "process", process, sizeof process);
    buf_init(&text, HISTORY_BYTES_MAX);
    what(e->fleet, app, process, &text);
    enum call_result result = text.failed ? call_fail_with(c, ERR_NO_MEMORY, "out of memory")
                                          : call_reply_buf(c, "application/json", &text);
    buf_free(&text);
    return result;
}

static enum call_result get_decisions(struct call *c) {
    return tell(c, fleet_tell_decisions);
}

static enum call_result get_load(struct call *c) {
    return tell(c, fleet_tell_load);
}

static enum call_result post_kill(struct call *c) {
    struct agent_endpoints *e = call_ctx(c);
    const struct kill_request *request = call_body(c);
    struct err err;
    int signal = request->signal[0] ? signal_number(request->signal) : SIGKILL;
    struct agent_instance *i = fleet_find(e->fleet, NULL, call_param(c, "id"), &err);
    if (!i) {
        return call_fail(c, &err);
    }
    if (signal < 0) {
        return call_fail_with(c, ERR_BAD_VALUE, "signal: \"%s\" is not a signal", request->signal);
    }
    if (instance_signal(i, signal, &err) < 0) {
        return call_fail(c, &err);
    }
    return call_reply_empty(c);
}

static enum call_result post_exec(struct call *c) {
    struct agent_endpoints *e = call_ctx(c);
    struct err err;
    struct agent_instance *i = fleet_find(e->fleet, NULL, call_param(c, "id"), &err);
    return i ? exec_run(c, i, call_body(c)) : call_fail(c, &err);
}

static enum call_result get_healthz(struct call *c) {
    return call_reply_bytes(c, "text/plain", "ok\n", 3);
}

enum { METRICS_BYTES_MAX = 8 << 20 /* 10,000 groups of three lines */ };

static void count_one(void *data, struct agent_instance *i) {
    size_t *counts = data;
    counts[i->row.state]++;
}

static void write_memory(const struct fleet *f, struct buf *text) {
    struct fleet_figures m;
    fleet_tell_memory(f, &m);
    const struct {
        const char *name, *help;
        int64_t value;
    } gauges[] = {
        { "memory_total_bytes", "Memory of this host, or of the cgroup around",
            m.host.memory_total },
        { "memory_available_bytes", "What is left of it", m.host.memory_available },
        { "memory_reserve_bytes", "What is kept for the platform itself", m.reserve },
        { "memory_promised_bytes", "Limits of all instances that live", m.promised },
        { "memory_used_bytes", "What they use", m.used },
        { "memory_swapped_bytes", "What is in the host's swap of those that sleep, or slept",
            m.swapped },
        { "swap_total_bytes", "Swap of this machine", m.host.swap_total },
        { "swap_free_bytes", "What is left of it", m.host.swap_free },
        { "full", "Whether what should start has no room", m.full },
    };
    for (size_t n = 0; n < sizeof gauges / sizeof *gauges; n++) {
        buf_printf(text,
            "# HELP paas_agent_%s %s.\n# TYPE paas_agent_%s gauge\npaas_agent_%s %" PRId64 "\n",
            gauges[n].name, gauges[n].help, gauges[n].name, gauges[n].name, gauges[n].value);
    }
    buf_printf(text,
        "# HELP paas_agent_given_back_total Sleepers whose memory went to swap.\n"
        "# TYPE paas_agent_given_back_total counter\npaas_agent_given_back_total %" PRId64 "\n",
        m.given_back);
    buf_puts(text, "# HELP paas_agent_given_up_total Given up because memory was short.\n"
                   "# TYPE paas_agent_given_up_total counter\n");
    for (int stage = 0; stage < SHORTAGE_STAGES; stage++) {
        buf_printf(text, "paas_agent_given_up_total{what=\"%s\"} %" PRId64 "\n",
            shortage_stage_names[stage], m.given_up[stage]);
    }
}

static enum call_result get_metrics(struct call *c) {
    struct agent_endpoints *e = call_ctx(c);
    size_t counts[INSTANCE_FAILED + 1] = { 0 };
    struct buf text;
    buf_init(&text, METRICS_BYTES_MAX);
    fleet_each(e->fleet, true, count_one, counts);
    buf_puts(&text, "# HELP paas_build_info The version of this program.\n"
                    "# TYPE paas_build_info gauge\n"
                    "paas_build_info{version=\"" PAAS_VERSION "\"} 1\n"
                    "# HELP paas_agent_instances Instances of this host by state.\n"
                    "# TYPE paas_agent_instances gauge\n");
    for (int state = 0; state <= INSTANCE_FAILED; state++) {
        buf_printf(&text, "paas_agent_instances{state=\"%s\"} %zu\n", instance_state_names[state],
            counts[state]);
    }
    fleet_write_metrics(e->fleet, &text);
    write_memory(e->fleet, &text);
    return call_reply_buf(c, "text/plain; version=0.0.4", &text);
}

static const struct endpoint endpoints[] = {
    { METHOD_GET, "/v1/logs", ROLE_SCHEDULER, NULL, &log_line_json, EP_LINES | EP_WATCH, get_logs,
        "Lines of instances' logs", 0 },
    { METHOD_GET, "/v1/decisions", ROLE_SCHEDULER, NULL, &scaling_decision_json, EP_LIST,
        get_decisions, "What load decided of an app lately", 0 },
    { METHOD_GET, "/v1/load", ROLE_SCHEDULER, NULL, &load_second_json, EP_LIST, get_load,
        "Requests of an app, by second", 0 },
    { METHOD_POST, "/v1/instances/{id}/kill", ROLE_SCHEDULER, &kill_request_json, NULL, 0,
        post_kill, "Send a signal", 0 },
    { METHOD_POST, "/v1/instances/{id}/exec", ROLE_SCHEDULER, &exec_request_json, &exec_output_json,
        EP_LINES | EP_WATCH, post_exec, "Run a command inside", 2 << 20 },
    { METHOD_GET, "/healthz", ROLE_SCHEDULER, NULL, NULL, EP_PUBLIC, get_healthz, "Alive", 0 },
    { METHOD_GET, "/metrics", ROLE_SCHEDULER, NULL, NULL, 0, get_metrics, "Metrics", 0 },
    { 0 },
};

struct http_server *agent_endpoints_serve(
    struct agent_endpoints *e, const char *path, struct err *err) {
    struct http_server *server;
    struct http_server_options options = {
        .loop = e->host->loop,
        .endpoints = endpoints,
        .ctx = e,
        .identify = identify,
    };
    if (http_server_create(&options, &server, err) < 0) {
        return NULL;
    }
    if (http_server_listen_unix(server, path, 0666, 0, err) < 0) {
        http_server_close(server, NULL, NULL);
        return NULL;
    }
    return server;
}

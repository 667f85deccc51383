/* What the API can ask of the scheduler. SPDX-License-Identifier: Apache-2.0 */
#include "scheduler.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <paas/log.h>
#include <paas/str.h>
#include <paas/version.h>

static int op_change(void *owner, struct change *change, struct err *err) {
    return changes_submit(owner, change, err);
}

static int op_report(void *owner, const char *node, struct http_text text,
    struct report_answer *answer, struct err *err) {
    return nodes_take_report(owner, node, text, answer, err);
}

static struct feed *op_grants(void *owner, const char *node, struct err *err) {
    struct node_record *record = nodes_need(owner, node, err);
    return record ? record->grants : NULL;
}

static void op_each_instance(void *owner, bool ended,
    void (*each)(void *data, const struct instance *instance), void *data) {
    nodes_each_instance(owner, ended, each, data);
}

static const char *state_of(const struct scheduler *s, const struct node_record *record) {
    if (core_node_is_live(s->core, record->summary.name)) {
        return "live";
    }
    return record->summary.reported_at ? "lost" : "unknown";
}

static void op_each_node(
    void *owner, void (*each)(void *data, const struct node_summary *node), void *data) {
    struct scheduler *s = owner;
    MAP_FOREACH (e, &s->nodes.records) {
        struct node_record *record = e->value;
        str_copy(record->summary.state, sizeof(record->summary.state), state_of(s, record));
        each(data, &record->summary);
    }
}

static void op_each_event(void *owner, const char *app, int64_t after,
    void (*each)(void *data, const char *line, size_t len), void *data) {
    events_each(owner, app, after, each, data);
}

/* --- status ----------------------------------------------------------------------------------- */

static void part(struct part_status *to, const char *name, bool up, pid_t pid) {
    str_copy(to->name, sizeof(to->name), name);
    str_copy(to->state, sizeof(to->state), up ? "up" : "silent");
    to->pid = pid;
}

static int64_t live_nodes(const struct scheduler *s) {
    int64_t live = 0;
    MAP_FOREACH (e, &s->nodes.records) {
        live += core_node_is_live(s->core, e->key);
    }
    return live;
}

static int64_t instances(const struct scheduler *s) {
    int64_t count = 0;
    MAP_FOREACH (e, &s->nodes.records) {
        count += (int64_t)((const struct node_record *)e->value)->instances.count;
    }
    return count;
}

/* Sums up what nodes that live have. */
static void sum_memory(const struct scheduler *s, struct status_answer *out) {
    MAP_FOREACH (e, &s->nodes.records) {
        const struct node_summary *node = &((const struct node_record *)e->value)->summary;
        if (!core_node_is_live(s->core, e->key)) {
            continue;
        }
        out->memory_total += node->memory_total;
        out->memory_available += node->memory_available;
        out->memory_promised += node->memory_promised;
        out->memory_used += node->memory_used;
        if (node->reason[0] && !out->full[0]) {
            str_copy(out->full, sizeof(out->full), node->name);
        }
    }
}

static void op_status(void *owner, struct status_answer *out) {
    struct scheduler *s = owner;
    struct part_status *parts = s->parts;
    const struct scheduler_options *options = s->options;
    const struct node_record *own = map_get(&s->nodes.records, options->node);
    bool agent = core_node_is_live(s->core, options->node);
    memset(parts, 0, sizeof(s->parts));
    part(&parts[0], "scheduler", true, getpid());
    part(&parts[1], "agent", agent, 0);
    part(&parts[2], "proxy", agent && own && own->summary.routes_term == s->term, 0);
    out->ready = core_is_settled(s->core);
    snprintf(out->api, sizeof(out->api), "%.240s/api.sock", options->run);
    snprintf(out->data, sizeof(out->data), "%.250s", options->data);
    if (options->http_address) {
        snprintf(out->http, sizeof(out->http), "http://%.256s", options->http_address);
    }
    str_copy(out->version, sizeof(out->version), PAAS_VERSION);
    out->parts = (struct json_array){ .items = parts, .count = SCHEDULER_PARTS };
    out->nodes = live_nodes(s);
    out->apps = (int64_t)s->intent.apps.count;
    out->instances = instances(s);
    out->term = s->term;
    sum_memory(s, out);
}

/* --- metrics ---------------------------------------------------------------------------------- */

struct metric {
    const char *name, *kind, *help;
    uint64_t value;
};

static void op_metrics(void *owner, struct buf *out) {
    struct scheduler *s = owner;
    const struct metric metrics[] = {
        { "apps", "gauge", "Apps", s->intent.apps.count },
        { "instances", "gauge", "Instances that nodes reported", (uint64_t)instances(s) },
        { "nodes_live", "gauge", "Nodes that report", (uint64_t)live_nodes(s) },
        { "term", "gauge", "Term of this scheduler", (uint64_t)s->term },
        { "decisions_total", "counter", "Steps of the core", s->steps },
        { "commits_total", "counter", "Batches of changes made durable", s->commits },
        { "commits_failed_total", "counter", "Batches of changes that failed", s->failed_commits },
        { "changes_waiting", "gauge", "Changes that wait for a batch", s->changes.waiting },
        { "reports_total", "counter", "Reports of nodes", s->reports },
        { "requests_total", "counter", "Requests answered", s->requests },
        { "events_unsaved_total", "counter", "Events told but not saved", s->events.lost },
        { "loop_slow_turns_total", "counter", "Turns of the loop over 10 ms", s->watch.slow_turns },
    };
    for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++) {
        const struct metric *m = &metrics[i];
        buf_printf(out,
            "# HELP paas_scheduler_%s %s\n# TYPE paas_scheduler_%s %s\n"
            "paas_scheduler_%s %llu\n",
            m->name, m->help, m->name, m->kind, m->name, (unsigned long long)m->value);
    }
}

const struct api_ops scheduler_ops = {
    .change = op_change,
    .report = op_report,
    .grants = op_grants,
    .each_instance = op_each_instance,
    .each_node = op_each_node,
    .each_event = op_each_event,
    .status = op_status,
    .metrics = op_metrics,
};

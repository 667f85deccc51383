/* The only caller of core_step(): facts in, wishes out to feeds, store and log.
 * SPDX-License-Identifier: Apache-2.0 */
#include "scheduler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <paas/log.h>
#include <paas/str.h>
#include <paas/wire.h>

enum {
    SNAPSHOT_MAX = STREAM_SNAPSHOT_MAX, /* bytes of a feed's snapshot */
};

/* --- feeds ------------------------------------------------------------------------------------ */

struct lines {
    struct buf text;
    size_t count;
};

static void add_grant(void *data, const struct grant *grant) {
    struct lines *lines = data;
    json_encode(&grant_json, grant, &lines->text);
    buf_putc(&lines->text, '\n');
    lines->count++;
}

static void add_route(void *data, const struct route *route) {
    struct lines *lines = data;
    json_encode(&route_json, route, &lines->text);
    buf_putc(&lines->text, '\n');
    lines->count++;
}

static void publish(struct feed *feed, const struct core_action *action, struct lines *lines) {
    struct err err = { 0 };
    struct stream_point at = { .term = action->term, .revision = action->revision };
    if (lines->text.failed) {
        err_no_memory(&err);
    } else {
        feed_set(feed, at, lines->count, buf_str(&lines->text), lines->text.len, &err);
    }
    if (err.code != ERR_OK) {
        log_error("publishing a snapshot: %s", err.text);
    }
    buf_free(&lines->text);
}

static void send_grants(struct scheduler *s, const struct core_action *action) {
    struct err err = { 0 };
    struct node_record *record = nodes_need(s, action->node, &err);
    if (!record) {
        log_error("granting to node %s: %s", action->node, err.text);
        return;
    }
    struct lines lines = { 0 };
    buf_init(&lines.text, SNAPSHOT_MAX);
    core_each_grant(s->core, action->node, add_grant, &lines);
    publish(record->grants, action, &lines);
}

static void send_routes(struct scheduler *s, const struct core_action *action) {
    struct lines lines = { 0 };
    buf_init(&lines.text, SNAPSHOT_MAX);
    core_each_route(s->core, add_route, &lines);
    publish(s->routes, action, &lines);
}

/* --- terms and nodes -------------------------------------------------------------------------- */

struct term_commit {
    struct scheduler *scheduler;
    int64_t term;
};

static void on_term(void *data, const struct err *err) {
    struct term_commit *commit = data;
    struct scheduler *s = commit->scheduler;
    s->raising_term = false;
    if (err->code == ERR_OK) {
        s->term = commit->term;
        log_warn("another scheduler was heard of: term is now %lld", (long long)s->term);
        driver_event(s, &(struct core_event){ .type = CORE_TERM, .term = s->term });
    } else {
        log_error("raising the term: %s", err->text);
    }
    free(commit);
}

static void raise_term(struct scheduler *s, int64_t term) {
    struct term_commit *commit = s->raising_term ? NULL : calloc(1, sizeof(*commit));
    struct store_batch *batch = commit ? store_batch_create() : NULL;
    struct buf body;
    struct err err = { 0 };
    if (!batch) {
        free(commit);
        return;
    }
    commit->scheduler = s;
    commit->term = term;
    buf_init(&body, 32);
    buf_printf(&body, "%lld", (long long)term);
    store_batch_put(batch, STORE_META, "term", body.data, body.len);
    buf_free(&body);
    s->raising_term = store_commit(s->store, batch, on_term, commit, &err) == 0;
    if (!s->raising_term) {
        log_error("raising the term: %s", err.text);
        free(commit);
    }
}

static void on_node_saved(void *data, const struct err *err) {
    (void)data;
    if (err->code != ERR_OK) {
        log_error("remembering a node: %s", err->text);
    }
}

static void tell_of_node(
    struct scheduler *s, const char *node, const char *type, const char *what) {
    char message[NAME_SIZE + 32];
    struct event event = { .message = message };
    snprintf(message, sizeof(message), "%s %s", node, what);
    str_copy(event.type, sizeof(event.type), type);
    events_add(s, &event);
    log_info("node %s %s", node, what);
}

static void node_joined(struct scheduler *s, const char *node) {
    struct err err = { 0 };
    struct node_record *record = nodes_need(s, node, &err);
    tell_of_node(s, node, "node-joined", "reports");
    if (!record || record->saved) {
        return;
    }
    struct store_batch *batch = store_batch_create();
    if (batch && store_batch_put(batch, STORE_NODE, node, "{}", 2) == 0) {
        record->saved = store_commit(s->store, batch, on_node_saved, NULL, &err) == 0;
    } else {
        store_batch_free(batch);
    }
}

/* --- steps ------------------------------------------------------------------------------------ */

static void carry_out(struct scheduler *s, const struct core_action *action) {
    switch (action->type) {
    case CORE_SEND_GRANTS:
        send_grants(s, action);
        break;
    case CORE_SEND_ROUTES:
        send_routes(s, action);
        break;
    case CORE_VERDICT:
        verdict_submit(s, action);
        break;
    case CORE_RAISE_TERM:
        raise_term(s, action->term);
        break;
    case CORE_NODE_JOINED:
        node_joined(s, action->node);
        break;
    case CORE_NODE_LOST:
        tell_of_node(s, action->node, "node-lost", "is silent");
        break;
    }
}

static const struct core_event time_event = { .type = CORE_TIME };

void driver_event(struct scheduler *s, const struct core_event *event) {
    struct core_actions actions;
    do {
        if (core_step(s->core, event, clock_msec(), &actions) < 0) {
            log_error("a decision found no memory");
            break;
        }
        s->steps++;
        for (size_t i = 0; i < actions.count; i++) {
            carry_out(s, &actions.items[i]);
        }
        event = &time_event;
    } while (actions.more);
    driver_arm(s);
}

void driver_on_timer(uv_timer_t *timer) {
    driver_event(timer->data, &time_event);
}

void driver_arm(struct scheduler *s) {
    int64_t deadline = core_deadline(s->core);
    if (s->stopping || deadline == INT64_MAX) {
        uv_timer_stop(&s->timer);
        return;
    }
    int64_t wait = deadline - clock_msec();
    uv_timer_start(&s->timer, driver_on_timer, wait > 0 ? (uint64_t)wait : 1, 0);
}

/* --- apps ------------------------------------------------------------------------------------- */

static int fill_release(const struct intent *intent, const struct app_row *row, int64_t number,
    struct core_release *release, struct core_process *processes) {
    const struct release_entry *entry = app_release(row, number);
    const struct config *config = entry ? intent_config(intent, entry->config) : NULL;
    if (!config) {
        return 0;
    }
    const struct process_spec *specs = config->value.processes.items;
    size_t count = config->value.processes.count;
    for (size_t i = 0; i < count; i++) {
        memcpy(processes[i].name, specs[i].name, sizeof(processes[i].name));
        processes[i].instances = specs[i].instances;
        processes[i].rule = specs[i].autoscale;
        processes[i].memory = specs[i].memory;
    }
    release->release = number;
    memcpy(release->config, config->digest, sizeof(release->config));
    release->processes = processes;
    release->process_count = count;
    return 1;
}

/* Everything of it is bounded by limits.h and fits the stack of a daemon's main thread. */
void driver_app(struct scheduler *s, const char *name) {
    const struct app_row *row = intent_app(&s->intent, name);
    if (!row) {
        driver_event(s, &(struct core_event){ .type = CORE_APP_GONE, .name = name });
        return;
    }
    const int64_t numbers[] = { row->serving, row->target, row->kept };
    enum { NUMBERS = sizeof(numbers) / sizeof(*numbers) };
    struct core_process processes[NUMBERS][PROCESSES_PER_APP] = { 0 };
    struct core_release releases[NUMBERS] = { 0 };
    struct core_rule rules[PROCESSES_PER_APP] = { 0 };
    struct core_route routes[ROUTES_PER_APP] = { 0 };
    struct core_app app = { .serving = row->serving,
        .target = row->target,
        .kept = row->kept,
        .attempt = row->attempt,
        .failed = row->failed,
        .stopped = row->stopped,
        .rules = rules,
        .rule_count = row->rules.count,
        .routes = routes,
        .route_count = row->routes.count,
        .releases = releases };
    const struct app_rule *from_rules = row->rules.items;
    const struct route_request *from_routes = row->routes.items;
    memcpy(app.name, row->name, sizeof(app.name));
    for (size_t i = 0; i < app.rule_count; i++) {
        memcpy(rules[i].process, from_rules[i].process, sizeof(rules[i].process));
        rules[i].rule = from_rules[i].rule;
    }
    for (size_t i = 0; i < app.route_count; i++) {
        memcpy(routes[i].host, from_routes[i].host, sizeof(routes[i].host));
        memcpy(routes[i].path, from_routes[i].path, sizeof(routes[i].path));
    }
    for (int i = 0; i < NUMBERS; i++) {
        app.release_count += (size_t)fill_release(
            &s->intent, row, numbers[i], &releases[app.release_count], processes[i]);
    }
    driver_event(s, &(struct core_event){ .type = CORE_APP, .app = &app });
}

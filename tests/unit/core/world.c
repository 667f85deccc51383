/* A small world round a core. SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *const state_words[] = {
#define X(id, name) [INSTANCE_##id] = name,
    INSTANCE_STATES(X)
#undef X
};
static const char *const reason_words[] = {
#define X(id, name) [END_##id] = name,
    END_REASONS(X)
#undef X
};
static const char *const cause_words[] = { "done", "end", "timeout", "full" };

void world_begin(struct world *w) {
    memset(w, 0, sizeof(*w));
    w->core = core_create();
    assert_non_null(w->core);
    assert_int_equal(world_step(w, &(struct core_event){ .type = CORE_TERM, .term = 1 }), 0);
}

void world_end(struct world *w) {
    core_destroy(w->core);
}

void world_clear(struct world *w) {
    w->text[0] = '\0';
}

static void say(struct world *w, const struct core_action *a) {
    char line[256];
    switch (a->type) {
    case CORE_SEND_GRANTS:
        snprintf(line, sizeof(line), "grants %s\n", a->node);
        break;
    case CORE_SEND_ROUTES:
        w->routes_revision = a->revision;
        snprintf(line, sizeof(line), "routes\n");
        break;
    case CORE_VERDICT:
        snprintf(line, sizeof(line), "verdict %s r%d %s%s%s\n", a->app, (int)a->release,
            cause_words[a->cause], a->reason ? " " : "", reason_words[a->reason]);
        break;
    case CORE_RAISE_TERM:
        snprintf(line, sizeof(line), "term %d\n", (int)a->term);
        break;
    case CORE_NODE_JOINED:
        snprintf(line, sizeof(line), "joined %s\n", a->node);
        break;
    case CORE_NODE_LOST:
        snprintf(line, sizeof(line), "lost %s\n", a->node);
        break;
    }
    assert_true(strlen(w->text) + strlen(line) < sizeof(w->text));
    strcat(w->text, line);
}

int world_step(struct world *w, const struct core_event *event) {
    static const struct core_event time = { .type = CORE_TIME };
    do {
        if (core_step(w->core, event, w->now, &w->last) < 0) {
            return -1;
        }
        for (size_t i = 0; i < w->last.count; i++) {
            say(w, &w->last.items[i]);
        }
        const char *broken = core_check(w->core);
        if (broken) {
            fail_msg("invariant: %s", broken);
        }
        event = &time;
    } while (w->last.more);
    return 0;
}

void world_time(struct world *w, int64_t now) {
    w->now = now;
    assert_int_equal(world_step(w, &(struct core_event){ .type = CORE_TIME }), 0);
}

void app_begin(struct world_app *a, const char *name) {
    memset(a, 0, sizeof(*a));
    snprintf(a->app.name, sizeof(a->app.name), "%s", name);
    snprintf(a->routes[0].host, sizeof(a->routes[0].host), "%s.localhost", name);
    strcpy(a->routes[0].path, "/");
    a->app.routes = a->routes;
    a->app.route_count = 1;
    a->app.rules = a->rules;
    a->app.releases = a->releases;
    a->app.attempt = 1;
}

void app_release_add(struct world_app *a, int64_t release, int64_t web, int64_t worker) {
    size_t at = a->app.release_count++;
    struct core_process *p = a->processes[at];
    strcpy(p[0].name, "web");
    p[0].instances = web;
    p[0].memory = 1 << 20;
    p[0].rule.keep = p[1].rule.keep = WORLD_KEEP_MS;
    strcpy(p[1].name, "worker");
    p[1].instances = worker;
    p[1].memory = 1 << 20;
    a->releases[at].release = release;
    snprintf(a->releases[at].config, DIGEST_SIZE, "sha256:%064d", (int)release);
    a->releases[at].processes = p;
    a->releases[at].process_count = worker < 0 ? 1 : 2;
}

void app_rule_set(struct world_app *a, const char *process, int64_t min, int64_t max) {
    size_t i = 0;
    while (i < a->app.rule_count && strcmp(a->rules[i].process, process) != 0) {
        i++;
    }
    a->app.rule_count = i == a->app.rule_count ? i + 1 : a->app.rule_count;
    snprintf(a->rules[i].process, sizeof(a->rules[i].process), "%s", process);
    a->rules[i].rule.min = min;
    a->rules[i].rule.max = max;
}

int app_send(struct world *w, struct world_app *a) {
    return world_step(w, &(struct core_event){ .type = CORE_APP, .app = &a->app });
}

static int word_index(const char *const *words, size_t count, const char *word) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[i], word) == 0) {
            return (int)i;
        }
    }
    fail_msg("unknown word %s", word);
    return -1;
}

static size_t read_rows(const char *text, struct core_instance rows[WORLD_ROWS]) {
    size_t count = 0;
    while (*text) {
        char line[256], id[16], app[64], process[64], state[16], reason[32] = "";
        long long release;
        size_t len = strcspn(text, "\n");
        assert_true(len < sizeof(line) && count < WORLD_ROWS);
        memcpy(line, text, len);
        line[len] = '\0';
        text += len + (text[len] == '\n');
        int got = sscanf(
            line, "%15s %63s %63s %lld %15s %31s", id, app, process, &release, state, reason);
        assert_true(got >= 5);
        struct core_instance *row = &rows[count++];
        memset(row, 0, sizeof(*row));
        snprintf(row->id, sizeof(row->id), "%.10s", id);
        snprintf(row->app, sizeof(row->app), "%s", app);
        snprintf(row->process, sizeof(row->process), "%s", process);
        row->release = release;
        row->state = word_index(state_words, sizeof(state_words) / sizeof(*state_words), state);
        row->reason =
            word_index(reason_words, sizeof(reason_words) / sizeof(*reason_words), reason);
        row->was_ready = row->state == INSTANCE_HEALTHY;
    }
    return count;
}

int report(struct world *w, const char *node, bool whole, const char *rows) {
    struct core_instance facts[WORLD_ROWS];
    struct core_report r = { .whole = whole,
        .term = 1,
        .routes_term = 1,
        .routes_revision = w->routes_revision,
        .memory_total = INT64_C(8) << 30,
        .full = w->full && strcmp(w->full, node) == 0,
        .instances = facts };
    r.instance_count = read_rows(rows, facts);
    snprintf(r.node, sizeof(r.node), "%s", node);
    return world_step(w, &(struct core_event){ .type = CORE_REPORT, .report = &r });
}

static void add_grant(void *data, const struct grant *g) {
    char *text = data, line[256];
    char frozen[32] = "";
    if (g->frozen) {
        snprintf(frozen, sizeof(frozen), " frozen %d", (int)g->frozen);
    }
    snprintf(line, sizeof(line), "%s.%s r%d %d..%d%s%s\n", g->app, g->process, (int)g->release,
        (int)g->floor, (int)g->ceiling, frozen, g->target_of_demand ? " demand" : "");
    assert_true(strlen(text) + strlen(line) < WORLD_TEXT);
    strcat(text, line);
}

const char *grants_of(struct world *w, const char *node, char text[WORLD_TEXT]) {
    text[0] = '\0';
    core_each_grant(w->core, node, add_grant, text);
    return text;
}

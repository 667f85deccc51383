/* One step: apply, expire, reconcile, wish, judge. SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <stdlib.h>
#include <string.h>

struct core *core_create(void) {
    struct core *c = calloc(1, sizeof(*c));
    if (c) {
        c->due = INT64_MAX;
    }
    return c;
}

void core_destroy(struct core *c) {
    if (!c) {
        return;
    }
    for (size_t i = 0; i < c->node_count; i++) {
        struct node *node = c->nodes[i];
        for (size_t k = 0; k < node->instance_count; k++) {
            free(node->instances[k]);
        }
        free(node->instances);
        free(node);
    }
    for (size_t i = 0; i < c->app_count; i++) {
        app_free(c->apps[i]);
    }
    free(c->nodes);
    free(c->apps);
    free(c->route_nodes);
    free(c);
}

static int64_t earlier(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Whoever is late itself has no right to call others late: a machine that was paused, or a loop
 * that hung, gives every node and rollout the time back for which nobody could be heard. */
static void forgive_lateness(struct core *c, int64_t last_step) {
    if (c->now - c->due < CORE_LATE_MS) {
        return;
    }
    int64_t late = c->now - last_step;
    for (size_t i = 0; i < c->node_count; i++) {
        c->nodes[i]->reported_at = earlier(c->nodes[i]->reported_at + late, c->now);
    }
    for (size_t i = 0; i < c->app_count; i++) {
        struct rollout *rollout = &c->apps[i]->rollout;
        rollout->progress_at = earlier(rollout->progress_at + late, c->now);
    }
    c->led_at = earlier(c->led_at + late, c->now);
}

int core_step(
    struct core *c, const struct core_event *event, int64_t now, struct core_actions *out) {
    out->count = 0;
    out->more = false;
    int64_t before = c->now;
    c->now = now > c->now ? now : c->now;
    if (apply(c, event) < 0) {
        c->now = before;
        return -1;
    }
    forgive_lateness(c, before);
    leases_expire(c);
    for (size_t i = 0; c->settled && i < c->app_count; i++) {
        struct app *app = c->apps[i];
        if (app->touched || kept_deadline(app) <= c->now) {
            app->touched = false;
            app_reconcile(c, app);
        }
    }
    emit_wishes(c, out);
    for (size_t i = 0; c->settled && i < c->app_count; i++) {
        rollout_judge(c, c->apps[i]);
    }
    emit_verdicts(c, out);
    c->due = core_deadline(c);
    return 0;
}

int64_t core_deadline(const struct core *c) {
    int64_t first = leases_deadline(c);
    for (size_t i = 0; c->settled && i < c->app_count; i++) {
        int64_t at = rollout_deadline(c->apps[i]);
        first = earlier(earlier(at, kept_deadline(c->apps[i])), first);
    }
    return first;
}

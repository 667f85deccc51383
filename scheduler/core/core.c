/* One step: apply, expire, reconcile, wish, judge. SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <stdlib.h>
#include <string.h>

struct core *core_create(void) {
    return calloc(1, sizeof(struct core));
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
    leases_expire(c);
    for (size_t i = 0; c->settled && i < c->app_count; i++) {
        struct app *app = c->apps[i];
        if (app->touched) {
            app->touched = false;
            app_reconcile(c, app);
        }
    }
    emit_wishes(c, out);
    for (size_t i = 0; i < c->app_count; i++) {
        rollout_judge(c, c->apps[i]);
    }
    emit_verdicts(c, out);
    return 0;
}

int64_t core_deadline(const struct core *c) {
    int64_t first = leases_deadline(c);
    for (size_t i = 0; c->settled && i < c->app_count; i++) {
        int64_t at = rollout_deadline(c->apps[i]);
        first = at < first ? at : first;
    }
    return first;
}

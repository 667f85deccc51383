/* Who is alive, who is lost, and when a new scheduler knows enough. SPDX-License-Identifier:
 * Apache-2.0 */
#include "state.h"

static bool all_heard(const struct core *c) {
    bool any = false;
    for (size_t i = 0; i < c->node_count; i++) {
        if (!c->nodes[i]->removed) {
            if (!c->nodes[i]->heard) {
                return false;
            }
            any = true;
        }
    }
    return any;
}

void touch_all(struct core *c) {
    for (size_t i = 0; i < c->app_count; i++) {
        c->apps[i]->touched = true;
    }
}

void leases_expire(struct core *c) {
    if (!c->settled && c->term > 0 && (all_heard(c) || c->now - c->led_at >= CORE_SETTLE_MS)) {
        c->settled = true;
        c->routes_dirty = true;
        for (size_t i = 0; i < c->node_count; i++) {
            c->nodes[i]->grants_dirty = true;
        }
        touch_all(c);
    }
    for (size_t i = 0; i < c->node_count; i++) {
        struct node *node = c->nodes[i];
        if (node->live && c->now - node->reported_at >= CORE_NODE_LOST_MS) {
            node->live = false;
            node->lost_dirty = true;
            touch_all(c);
        }
    }
}

int64_t leases_deadline(const struct core *c) {
    int64_t first = c->settled || c->term == 0 ? INT64_MAX : c->led_at + CORE_SETTLE_MS;
    for (size_t i = 0; i < c->node_count; i++) {
        if (c->nodes[i]->live && c->nodes[i]->reported_at + CORE_NODE_LOST_MS < first) {
            first = c->nodes[i]->reported_at + CORE_NODE_LOST_MS;
        }
    }
    return first;
}

bool core_node_is_live(const struct core *c, const char *node) {
    const struct node *found = node_find(c, node, NULL);
    return found && found->live && !found->removed;
}

bool core_is_settled(const struct core *c) {
    return c->settled;
}

/* The action list: what is dirty goes out, what finds no room stays dirty.
 * SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <string.h>

static struct core_action *add(struct core_actions *out, enum core_action_type type) {
    if (out->count == CORE_ACTIONS) {
        out->more = true;
        return NULL;
    }
    struct core_action *action = &out->items[out->count++];
    memset(action, 0, sizeof(*action));
    action->type = type;
    return action;
}

/* Adds one about a node and clears its dirty bit. */
static struct core_action *add_for_node(
    struct core_actions *out, enum core_action_type type, const struct node *node, bool *dirty) {
    struct core_action *action = *dirty ? add(out, type) : NULL;
    if (action) {
        text_copy(action->node, sizeof(action->node), node->name);
        *dirty = false;
    }
    return action;
}

static void emit_routes(struct core *c, struct core_actions *out) {
    struct core_action *action = c->routes_dirty ? add(out, CORE_SEND_ROUTES) : NULL;
    if (!action) {
        return;
    }
    c->routes_dirty = false;
    c->routes_revision = ++c->revision;
    action->term = c->term;
    action->revision = c->routes_revision;
    for (size_t i = 0; i < c->app_count; i++) {
        if (c->apps[i]->routing_dirty) {
            c->apps[i]->routing_dirty = false;
            c->apps[i]->routes_revision = c->routes_revision;
        }
    }
}

static void emit_grants(struct core *c, struct core_actions *out) {
    for (size_t i = 0; i < c->node_count; i++) {
        struct node *node = c->nodes[i];
        struct core_action *action = add_for_node(out, CORE_SEND_GRANTS, node, &node->grants_dirty);
        if (action) {
            node->revision = ++c->revision;
            action->term = c->term;
            action->revision = node->revision;
        }
    }
}

void emit_verdicts(struct core *c, struct core_actions *out) {
    if (!may_grant(c)) {
        return;
    }
    for (size_t i = 0; i < c->app_count; i++) {
        struct app *app = c->apps[i];
        struct rollout *rollout = &app->rollout;
        if (!app_is_rolling(app) || !rollout->judged || rollout_deadline(app) > c->now) {
            continue;
        }
        struct core_action *action = add(out, CORE_VERDICT);
        if (action) {
            text_copy(action->app, sizeof(action->app), app->name);
            text_copy(action->process, sizeof(action->process), rollout->process);
            text_copy(action->instance, sizeof(action->instance), rollout->instance);
            action->release = app->releases[TARGET].number;
            action->attempt = app->attempt;
            action->cause = rollout->cause;
            action->reason = rollout->reason;
            rollout->verdict_at = c->now;
        }
    }
}

bool may_grant(const struct core *c) {
    return c->term > 0 && c->settled && c->heard_term <= c->term;
}

void emit_wishes(struct core *c, struct core_actions *out) {
    for (size_t i = 0; i < c->node_count; i++) {
        add_for_node(out, CORE_NODE_JOINED, c->nodes[i], &c->nodes[i]->joined_dirty);
        add_for_node(out, CORE_NODE_LOST, c->nodes[i], &c->nodes[i]->lost_dirty);
    }
    if (c->heard_term > c->term) {
        struct core_action *action = add(out, CORE_RAISE_TERM);
        if (action) {
            action->term = c->heard_term + 1;
        }
    }
    if (may_grant(c)) {
        emit_routes(c, out);
        emit_grants(c, out);
    }
}

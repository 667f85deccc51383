/* Host name and path to app to nodes. SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <string.h>

#define ROUTED_PROCESS "web"

/* Whether the node may run the routed process, of any release. */
static bool runs_on(const struct app *app, uint32_t node) {
    for (enum release_slot slot = 0; slot < SLOTS; slot++) {
        const struct release *r = &app->releases[slot];
        for (size_t i = 0; i < r->placed_count; i++) {
            if (r->placed[i].node == node && r->placed[i].ceiling > 0 &&
                strcmp(r->processes[r->placed[i].process].name, ROUTED_PROCESS) == 0) {
                return true;
            }
        }
    }
    return false;
}

static uint64_t routing_hash(const struct core *c, const struct app *app) {
    uint64_t hash = hash_int(HASH_SEED, app->stopped);
    for (size_t i = 0; i < app->route_count; i++) {
        hash = hash_text(hash, app->routes[i].host);
        hash = hash_text(hash, app->routes[i].path);
    }
    for (uint32_t i = 0; app->route_count && i < c->node_count; i++) {
        if (runs_on(app, i)) {
            hash = hash_int(hash, i);
        }
    }
    return hash;
}

/* Notes whether the app's rows of the route table are others than those last published. */
void routing_update(struct core *c, struct app *app) {
    uint64_t now = routing_hash(c, app);
    if (now != app->routing) {
        app->routing = now;
        app->routing_dirty = true;
        c->routes_dirty = true;
    }
}

/* Whether every live node's proxy has this app's routes in force. */
bool routing_applied(const struct core *c, const struct app *app) {
    if (app->routing_dirty) {
        return false;
    }
    for (size_t i = 0; i < c->node_count; i++) {
        const struct node *node = c->nodes[i];
        if (node_is_eligible(node) &&
            (node->routes_term < c->term ||
                (node->routes_term == c->term && node->routes_revision < app->routes_revision))) {
            return false;
        }
    }
    return true;
}

void core_each_route(
    struct core *c, void (*each)(void *data, const struct route *route), void *data) {
    for (size_t a = 0; a < c->app_count; a++) {
        const struct app *app = c->apps[a];
        size_t nodes = 0;
        for (uint32_t i = 0; app->route_count && i < c->node_count; i++) {
            if (runs_on(app, i)) {
                struct route_node *to = &c->route_nodes[nodes++];
                memset(to, 0, sizeof(*to));
                memcpy(to->node, c->nodes[i]->name, sizeof(to->node));
                to->weight = 1;
            }
        }
        for (size_t i = 0; i < app->route_count; i++) {
            struct route route = { .stopped = app->stopped,
                .nodes = { .items = c->route_nodes, .count = nodes } };
            memcpy(route.host, app->routes[i].host, sizeof(route.host));
            memcpy(route.path, app->routes[i].path, sizeof(route.path));
            memcpy(route.app, app->name, sizeof(route.app));
            text_copy(route.process, sizeof(route.process), ROUTED_PROCESS);
            each(data, &route);
        }
    }
}

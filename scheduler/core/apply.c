/* Events into the state: first everything is reserved, then it changes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <stdlib.h>
#include <string.h>

/* --- apps ------------------------------------------------------------------------------------- */

static void *copy_array(const void *items, size_t count, size_t size) {
    void *copy = calloc(count ? count : 1, size);
    if (copy && count) {
        memcpy(copy, items, count * size);
    }
    return copy;
}

static const struct core_release *release_of(const struct core_app *desired, int64_t number) {
    for (size_t i = 0; i < desired->release_count; i++) {
        if (desired->releases[i].release == number) {
            return &desired->releases[i];
        }
    }
    return NULL;
}

/* A number that stands for no release makes an empty slot. */
static int fill_release(struct release *to, const struct core_app *desired, int64_t number) {
    const struct core_release *from = number ? release_of(desired, number) : NULL;
    if (!from) {
        return 0;
    }
    to->number = from->release;
    text_copy(to->config, sizeof(to->config), from->config);
    to->processes = copy_array(from->processes, from->process_count, sizeof(*from->processes));
    to->process_count = from->process_count;
    return to->processes ? 0 : -1;
}

static struct app *app_make(const struct core_app *desired) {
    struct app *app = calloc(1, sizeof(*app));
    if (!app) {
        return NULL;
    }
    text_copy(app->name, sizeof(app->name), desired->name);
    app->attempt = desired->attempt;
    app->failed = desired->failed;
    app->stopped = desired->stopped;
    app->rules = copy_array(desired->rules, desired->rule_count, sizeof(*desired->rules));
    app->rule_count = desired->rule_count;
    for (enum release_slot slot = 0; slot < SLOTS; slot++) {
        app->releases[slot].kept_since = -1;
    }
    app->routes = copy_array(desired->routes, desired->route_count, sizeof(*desired->routes));
    app->route_count = desired->route_count;
    int64_t target = desired->target == desired->serving ? 0 : desired->target;
    int64_t kept =
        desired->kept == desired->serving || desired->kept == desired->target ? 0 : desired->kept;
    if (!app->rules || !app->routes ||
        fill_release(&app->releases[SERVING], desired, desired->serving) < 0 ||
        fill_release(&app->releases[TARGET], desired, target) < 0 ||
        fill_release(&app->releases[KEPT], desired, kept) < 0) {
        app_free(app);
        return NULL;
    }
    return app;
}

struct release *slot_of(struct app *app, int64_t number) {
    for (int slot = 0; number && slot < SLOTS; slot++) {
        if (app->releases[slot].number == number) {
            return &app->releases[slot];
        }
    }
    return NULL;
}

static bool same_processes(const struct release *a, const struct release *b) {
    if (a->process_count != b->process_count) {
        return false;
    }
    for (size_t i = 0; i < a->process_count; i++) {
        if (strcmp(a->processes[i].name, b->processes[i].name) != 0 ||
            a->processes[i].memory != b->processes[i].memory) {
            return false;
        }
    }
    return true;
}

/* Room for what the old app's releases have placed, in the new one's. */
static int reserve_inherited(struct app *to, struct app *from) {
    for (int slot = 0; slot < SLOTS; slot++) {
        struct release *r = &to->releases[slot];
        const struct release *old = slot_of(from, r->number);
        void *placed = old ? grow(r->placed, r->placed_count, &r->placed_cap,
                                 r->placed_cap + old->placed_count, sizeof(*r->placed))
                           : r->placed;
        if (!placed) {
            return -1;
        }
        r->placed = placed;
    }
    return 0;
}

/* What was granted of a release goes on under the new desire; the rest is withdrawn. */
static void inherit(struct core *c, struct app *to, struct app *from) {
    bool changed = to->attempt != from->attempt || to->stopped != from->stopped ||
                   to->failed != from->failed ||
                   to->releases[SERVING].number != from->releases[SERVING].number ||
                   to->releases[TARGET].number != from->releases[TARGET].number ||
                   to->releases[KEPT].number != from->releases[KEPT].number;
    for (int slot = 0; slot < SLOTS; slot++) {
        struct release *r = &to->releases[slot];
        struct release *old = slot_of(from, r->number);
        if (changed && old) {
            mark_grants(c, old);
        }
        if (old && same_processes(r, old)) {
            if (strcmp(r->config, old->config) != 0) {
                mark_grants(c, old);
            }
            memcpy(r->placed, old->placed, old->placed_count * sizeof(*r->placed));
            r->placed_count = old->placed_count;
            old->placed_count = 0;
            if (slot == KEPT && old == &from->releases[KEPT]) {
                r->kept_since = old->kept_since;
            }
        }
    }
    for (int slot = 0; slot < SLOTS; slot++) {
        release_withdraw(c, &from->releases[slot]);
    }
    to->routing = from->routing;
    to->routes_revision = from->routes_revision;
    to->routing_dirty = from->routing_dirty;
    while (from->instances) {
        struct tracked *instance = from->instances;
        instance_detach(instance);
        instance_attach(instance, to);
    }
    bool same_rollout = to->releases[TARGET].number == from->releases[TARGET].number &&
                        to->attempt == from->attempt && to->stopped == from->stopped &&
                        to->failed == from->failed;
    if (same_rollout) {
        to->rollout = from->rollout;
    }
}

/* Instances that nodes reported before the app was known. */
static void adopt_orphans(struct core *c, struct app *app) {
    for (size_t i = 0; i < c->node_count; i++) {
        struct node *node = c->nodes[i];
        for (size_t k = 0; k < node->instance_count; k++) {
            struct tracked *instance = node->instances[k];
            if (!instance->app && strcmp(instance->fact.app, app->name) == 0) {
                instance_attach(instance, app);
            }
        }
    }
}

static int apply_app(struct core *c, const struct core_app *desired) {
    bool found;
    size_t at = app_position(c, desired->name, &found);
    if (!found && c->app_count >= APPS_MAX) {
        return -1;
    }
    struct app **apps =
        grow(c->apps, c->app_count, &c->app_cap, c->app_count + 1, sizeof(*c->apps));
    if (!apps) {
        return -1;
    }
    c->apps = apps;
    struct app *app = app_make(desired);
    if (!app || app_reserve(app, c->node_count) < 0 ||
        (found && reserve_inherited(app, c->apps[at]) < 0)) {
        app_free(app);
        return -1;
    }
    rollout_begin(c, app);
    app->touched = true;
    if (found) {
        inherit(c, app, c->apps[at]);
        app_free(c->apps[at]);
    } else {
        memmove(&c->apps[at + 1], &c->apps[at], (c->app_count - at) * sizeof(*c->apps));
        c->app_count++;
        adopt_orphans(c, app);
        app->routing_dirty = true;
        c->routes_dirty = true;
    }
    c->apps[at] = app;
    return 0;
}

static int apply_app_gone(struct core *c, const char *name) {
    bool found;
    size_t at = app_position(c, name, &found);
    if (!found) {
        return 0;
    }
    struct app *app = c->apps[at];
    for (int slot = 0; slot < SLOTS; slot++) {
        release_withdraw(c, &app->releases[slot]);
    }
    while (app->instances) {
        instance_detach(app->instances);
    }
    c->routes_dirty = c->routes_dirty || app->route_count > 0;
    app_free(app);
    c->app_count--;
    memmove(&c->apps[at], &c->apps[at + 1], (c->app_count - at) * sizeof(*c->apps));
    return 0;
}

/* --- nodes ------------------------------------------------------------------------------------ */

/* The node of this name, made when it is new. NULL without memory or room: nothing changed. */
struct node *need_node(struct core *c, const char *name, uint32_t *index) {
    struct node *node = node_find(c, name, index);
    if (node) {
        return node;
    }
    if (c->node_count >= CORE_NODES_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < c->app_count; i++) {
        if (app_reserve(c->apps[i], c->node_count + 1) < 0) {
            return NULL;
        }
    }
    size_t cap = c->node_cap;
    struct node **nodes = grow(c->nodes, c->node_count, &cap, c->node_count + 1, sizeof(*nodes));
    if (!nodes) {
        return NULL;
    }
    c->nodes = nodes;
    struct route_node *route_nodes = calloc(cap, sizeof(*route_nodes));
    node = calloc(1, sizeof(*node));
    if (!route_nodes || !node) {
        /* The array of nodes may have grown; its room is what node_cap says at least. */
        free(route_nodes);
        free(node);
        return NULL;
    }
    c->node_cap = cap;
    free(c->route_nodes);
    c->route_nodes = route_nodes;
    text_copy(node->name, sizeof(node->name), name);
    *index = (uint32_t)c->node_count;
    c->nodes[c->node_count++] = node;
    return node;
}

static int apply_node(struct core *c, const char *name) {
    uint32_t index;
    struct node *node = need_node(c, name, &index);
    if (!node) {
        return -1;
    }
    node->removed = false;
    return 0;
}

static int apply_node_off(struct core *c, const char *name) {
    struct node *node = node_find(c, name, NULL);
    if (node && !node->removed) {
        node->removed = true;
        node->live = false;
        touch_all(c);
    }
    return 0;
}

int apply(struct core *c, const struct core_event *event) {
    switch (event->type) {
    case CORE_TERM:
        if (event->term > c->term) {
            c->term = event->term;
            c->led_at = c->settled ? c->led_at : c->now;
            c->routes_dirty = true;
            for (size_t i = 0; i < c->node_count; i++) {
                c->nodes[i]->grants_dirty = true;
            }
        }
        return 0;
    case CORE_NODE:
        return apply_node(c, event->node);
    case CORE_NODE_OFF:
        return apply_node_off(c, event->node);
    case CORE_APP:
        return apply_app(c, event->app);
    case CORE_APP_GONE:
        return apply_app_gone(c, event->name);
    case CORE_REPORT:
        return apply_report(c, event->report);
    case CORE_TIME:
        return 0;
    }
    return -1;
}

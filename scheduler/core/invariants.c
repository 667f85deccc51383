/* What must hold after every step, and a hash of all that decisions depend on.
 * SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <string.h>

static const char *check_release(
    const struct core *c, const struct app *app, enum release_slot slot) {
    const struct release *r = &app->releases[slot];
    if (r->number == 0 && (r->process_count || r->placed_count)) {
        return "an empty release slot holds something";
    }
    if (r->placed_count > r->placed_cap) {
        return "more is placed than was reserved";
    }
    for (size_t i = 0; i < r->placed_count; i++) {
        const struct placed *placed = &r->placed[i];
        if (placed->process >= r->process_count || placed->node >= c->node_count) {
            return "a grant is of a process or node that is not there";
        }
        if (placed->floor < 0 || placed->floor > placed->ceiling ||
            placed->ceiling > INSTANCES_PER_NODE || placed->frozen < 0) {
            return "a grant's floor and ceiling are out of order";
        }
        if (slot == KEPT && c->settled && !app->touched && placed->ceiling > 0) {
            return "a release that is kept may run";
        }
        if (app->stopped && c->settled && !app->touched &&
            (placed->ceiling > 0 || placed->frozen > 0)) {
            return "a stopped app may run";
        }
        if (i > 0 && r->placed[i - 1].process > placed->process) {
            return "grants are out of order";
        }
        for (size_t k = 0; k < i; k++) {
            if (r->placed[k].process == placed->process && r->placed[k].node == placed->node) {
                return "a node holds two grants of one process and release";
            }
        }
    }
    return NULL;
}

/* After a reconcile: a process holds its floor or says how much found no node. */
static const char *check_floors(const struct app *app, enum release_slot slot) {
    const struct release *r = &app->releases[slot];
    int64_t wanted = 0, held = 0;
    for (size_t i = 0; i < r->process_count; i++) {
        wanted += process_wants(app, slot, i).floor;
    }
    for (size_t i = 0; i < r->placed_count; i++) {
        held += r->placed[i].floor;
    }
    if (app->stopped || (slot == TARGET && app->failed)) {
        return held ? "a withdrawn release is granted" : NULL;
    }
    return held + r->unplaced == wanted ? NULL : "floors do not add up to what is desired";
}

static const char *check_app(const struct core *c, const struct app *app) {
    if (app->releases[SERVING].number &&
        app->releases[SERVING].number == app->releases[TARGET].number) {
        return "a release is rolled out over itself";
    }
    for (enum release_slot slot = 0; slot < SLOTS; slot++) {
        const char *broken = check_release(c, app, slot);
        if (!broken && slot != KEPT && c->settled && !app->touched) {
            broken = check_floors(app, slot);
        }
        if (broken) {
            return broken;
        }
    }
    for (const struct tracked *i = app->instances; i; i = i->next) {
        if (i->app != app || strcmp(i->fact.app, app->name) != 0) {
            return "an instance is in another app's list";
        }
    }
    return NULL;
}

static const char *check_promises(const struct core *c) {
    for (uint32_t n = 0; n < c->node_count; n++) {
        int64_t instances = 0, memory = 0;
        for (size_t a = 0; a < c->app_count; a++) {
            for (int slot = 0; slot < SLOTS; slot++) {
                const struct release *r = &c->apps[a]->releases[slot];
                for (size_t i = 0; i < r->placed_count; i++) {
                    if (r->placed[i].node == n) {
                        instances += r->placed[i].floor;
                        memory += (r->placed[i].floor + r->placed[i].frozen) *
                                  r->processes[r->placed[i].process].memory;
                    }
                }
            }
        }
        if (instances != c->nodes[n]->promised_instances ||
            memory != c->nodes[n]->promised_memory) {
            return "a node's promises do not add up";
        }
    }
    return NULL;
}

static const char *check_nodes(const struct core *c) {
    for (size_t n = 0; n < c->node_count; n++) {
        const struct node *node = c->nodes[n];
        if (node->revision > c->revision) {
            return "a node's revision is ahead of the core's";
        }
        for (size_t i = 0; i < node->instance_count; i++) {
            if (node->instances[i]->node != n) {
                return "an instance is on another node's list";
            }
            if (i > 0 &&
                strcmp(node->instances[i - 1]->fact.id, node->instances[i]->fact.id) >= 0) {
                return "instances are out of order";
            }
        }
    }
    return NULL;
}

const char *core_check(const struct core *c) {
    for (size_t i = 0; i < c->app_count; i++) {
        if (i > 0 && strcmp(c->apps[i - 1]->name, c->apps[i]->name) >= 0) {
            return "apps are out of order";
        }
        const char *broken = check_app(c, c->apps[i]);
        if (broken) {
            return broken;
        }
    }
    if (c->routes_revision > c->revision) {
        return "the routes' revision is ahead of the core's";
    }
    const char *broken = check_promises(c);
    return broken ? broken : check_nodes(c);
}

static uint64_t digest_release(uint64_t hash, const struct release *r) {
    hash = hash_int(hash, r->number);
    hash = hash_text(hash, r->config);
    hash = hash_int(hash_int(hash, r->unplaced), r->kept_since);
    for (size_t i = 0; i < r->process_count; i++) {
        const struct core_process *p = &r->processes[i];
        hash = hash_text(hash, p->name);
        hash = hash_int(hash_int(hash, p->instances), p->memory);
        hash = hash_rule(hash, &p->rule);
    }
    for (size_t i = 0; i < r->placed_count; i++) {
        const struct placed *p = &r->placed[i];
        hash = hash_int(hash_int(hash, p->process), p->node);
        hash = hash_int(hash_int(hash_int(hash, p->floor), p->ceiling), p->frozen);
        hash = hash_int(hash, (int64_t)p->rule);
    }
    return hash;
}

static uint64_t digest_app(uint64_t hash, const struct app *app) {
    hash = hash_text(hash, app->name);
    hash = hash_int(hash_int(hash_int(hash, app->attempt), app->failed), app->stopped);
    hash = hash_int(hash_int(hash, app->touched), app->routing_dirty);
    for (size_t i = 0; i < app->rule_count; i++) {
        hash = hash_text(hash, app->rules[i].process);
        hash = hash_rule(hash, &app->rules[i].rule);
    }
    for (size_t i = 0; i < app->route_count; i++) {
        hash = hash_text(hash_text(hash, app->routes[i].host), app->routes[i].path);
    }
    for (int slot = 0; slot < SLOTS; slot++) {
        hash = digest_release(hash, &app->releases[slot]);
    }
    const struct rollout *r = &app->rollout;
    hash = hash_int(hash_int(hash_int(hash, r->progress_at), r->ready_at), r->verdict_at);
    hash = hash_int(hash_int(hash_int(hash, r->judged), r->cause), (int64_t)r->ends);
    return hash_int(hash, app->routes_revision);
}

static uint64_t digest_node(uint64_t hash, const struct node *node) {
    hash = hash_text(hash, node->name);
    hash = hash_int(hash_int(hash_int(hash, node->heard), node->live), node->removed);
    hash = hash_int(hash_int(hash, node->reported_at), node->revision);
    hash = hash_int(hash_int(hash, node->routes_term), node->routes_revision);
    hash = hash_int(hash, node->joined_dirty + 2 * node->lost_dirty + 4 * node->grants_dirty);
    hash = hash_int(hash, node->full);
    for (size_t i = 0; i < node->instance_count; i++) {
        const struct core_instance *fact = &node->instances[i]->fact;
        hash = hash_text(hash_text(hash_text(hash, fact->id), fact->app), fact->process);
        hash = hash_int(hash_int(hash, fact->release), fact->state);
    }
    return hash;
}

uint64_t core_digest(const struct core *c) {
    uint64_t hash = hash_int(HASH_SEED, c->now);
    hash = hash_int(hash_int(hash_int(hash, c->term), c->heard_term), c->led_at);
    hash = hash_int(hash_int(hash, c->revision), c->routes_revision);
    hash = hash_int(hash_int(hash, c->settled), c->routes_dirty);
    for (size_t i = 0; i < c->app_count; i++) {
        hash = digest_app(hash, c->apps[i]);
    }
    for (size_t i = 0; i < c->node_count; i++) {
        hash = digest_node(hash, c->nodes[i]);
    }
    return hash;
}

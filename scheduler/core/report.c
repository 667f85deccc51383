/* A node's report into the state: first everything is reserved, then it changes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <stdlib.h>
#include <string.h>

static bool is_end(const struct core_instance *fact) {
    return fact->state == INSTANCE_STOPPED || fact->state == INSTANCE_FAILED;
}

/* A chain of `count` instances, or NULL without memory; free with free_chain(). */
static void free_chain(struct tracked *chain) {
    while (chain) {
        struct tracked *next = chain->next;
        free(chain);
        chain = next;
    }
}

static int make_chain(size_t count, struct tracked **out) {
    *out = NULL;
    for (size_t i = 0; i < count; i++) {
        struct tracked *instance = calloc(1, sizeof(*instance));
        if (!instance) {
            free_chain(*out);
            *out = NULL;
            return -1;
        }
        instance->next = *out;
        *out = instance;
    }
    return 0;
}

/* How many instances the report can bring at most. One that ends and lives in the same report is
 * nonsense, and yet must find its memory. */
static size_t count_new(const struct node *node, const struct core_report *report) {
    size_t fresh = 0, living = 0;
    for (size_t i = 0; i < report->instance_count; i++) {
        bool found;
        instance_position(node, report->instances[i].id, &found);
        living += !is_end(&report->instances[i]);
        fresh += !is_end(&report->instances[i]) && !found;
    }
    return living == report->instance_count ? fresh : living;
}

static void remove_instance(struct node *node, size_t at) {
    struct tracked *instance = node->instances[at];
    if (instance->app) {
        instance->app->touched = true;
    }
    instance_detach(instance);
    free(instance);
    node->instance_count--;
    memmove(&node->instances[at], &node->instances[at + 1],
        (node->instance_count - at) * sizeof(*node->instances));
}

static struct tracked *insert_instance(
    struct node *node, uint32_t index, size_t at, struct tracked **chain) {
    struct tracked *instance = *chain;
    *chain = instance->next;
    memmove(&node->instances[at + 1], &node->instances[at],
        (node->instance_count - at) * sizeof(*node->instances));
    node->instance_count++;
    node->instances[at] = instance;
    memset(instance, 0, sizeof(*instance));
    instance->node = index;
    return instance;
}

static void apply_instance(struct core *c, struct node *node, uint32_t index,
    const struct core_instance *fact, struct tracked **chain) {
    bool found;
    size_t at = instance_position(node, fact->id, &found);
    struct app *app = app_find(c, fact->app);
    if (is_end(fact)) {
        if (app) {
            rollout_end_seen(c, app, fact);
        }
        if (found) {
            remove_instance(node, at);
        }
        return;
    }
    struct tracked *instance =
        found ? node->instances[at] : insert_instance(node, index, at, chain);
    if (found && instance->app != app) {
        instance_detach(instance);
    }
    if (instance->app != app) {
        instance_attach(instance, app);
    }
    bool same =
        found && instance->fact.state == fact->state && instance->fact.release == fact->release;
    instance->fact = *fact;
    instance->seen = node->reports;
    if (app && !same) {
        app->touched = true;
    }
}

static void drop_unlisted(struct node *node) {
    for (size_t i = node->instance_count; i-- > 0;) {
        if (node->instances[i]->seen != node->reports) {
            remove_instance(node, i);
        }
    }
}

/* The release that a grant in force is of, when it is one still wanted. */
static struct release *granted_release(
    const struct core *c, const struct grant *grant, int *process) {
    struct app *app = app_find(c, grant->app);
    struct release *r = app ? slot_of(app, grant->release) : NULL;
    *process = r ? process_index(r, grant->process) : -1;
    bool fits = grant->floor >= 0 && grant->floor <= grant->ceiling &&
                grant->ceiling <= INSTANCES_PER_NODE && grant->frozen >= 0 &&
                grant->frozen <= INSTANCES_PER_NODE;
    return *process >= 0 && fits ? r : NULL;
}

static int reserve_grants(struct core *c, const struct core_report *report) {
    for (size_t i = 0; i < report->grant_count; i++) {
        int process;
        struct release *r = granted_release(c, &report->grants[i], &process);
        void *placed =
            r ? grow(r->placed, r->placed_count, &r->placed_cap,
                    r->placed_count + PROCESSES_PER_APP + r->placed_cap / 2, sizeof(*r->placed))
              : NULL;
        if (r && !placed) {
            return -1;
        }
        if (r) {
            r->placed = placed;
        }
    }
    return 0;
}

static bool is_placed(const struct release *r, int process, uint32_t node) {
    for (size_t i = 0; i < r->placed_count; i++) {
        if (r->placed[i].process == (uint32_t)process && r->placed[i].node == node) {
            return true;
        }
    }
    return false;
}

/* A new scheduler starts from what is in force, so that it moves nothing without need. */
static void adopt_grants(struct core *c, uint32_t index, const struct core_report *report) {
    struct node *node = c->nodes[index];
    for (size_t i = 0; i < report->grant_count; i++) {
        const struct grant *grant = &report->grants[i];
        int process;
        struct release *r = granted_release(c, grant, &process);
        if (!r || is_placed(r, process, index) || r->placed_count == r->placed_cap) {
            continue;
        }
        size_t at = r->placed_count++;
        while (at > 0 && r->placed[at - 1].process > (uint32_t)process) {
            r->placed[at] = r->placed[at - 1];
            at--;
        }
        r->placed[at] = (struct placed){ .process = (uint32_t)process,
            .node = index,
            .floor = grant->floor,
            .ceiling = grant->ceiling,
            .frozen = grant->frozen };
        node->promised_instances += grant->floor;
        node->promised_memory += (grant->floor + grant->frozen) * r->processes[process].memory;
    }
}

int apply_report(struct core *c, const struct core_report *report) {
    uint32_t index;
    struct node *known = node_find(c, report->node, NULL);
    struct node *node = need_node(c, report->node, &index);
    if (!node) {
        return -1;
    }
    struct tracked *chain = NULL;
    size_t fresh = count_new(node, report);
    struct tracked **instances = grow(node->instances, node->instance_count, &node->instance_cap,
        node->instance_count + fresh + 1, sizeof(*instances));
    if (instances) {
        node->instances = instances;
    }
    bool adopt = report->whole && !node->heard;
    if (!instances || make_chain(fresh, &chain) < 0 || (adopt && reserve_grants(c, report) < 0)) {
        free_chain(chain);
        if (!known) {
            c->node_count--; /* it was not there before */
            free(node->instances);
            free(node);
        }
        return -1;
    }
    if (!node->live && !node->removed) {
        node->live = true;
        node->joined_dirty = true;
        node->grants_dirty = true;
        touch_all(c);
    }
    node->heard = node->heard || report->whole;
    node->reported_at = c->now;
    node->reports++;
    if (report->routes_term != node->routes_term ||
        report->routes_revision != node->routes_revision) {
        node->routes_term = report->routes_term;
        node->routes_revision = report->routes_revision;
    }
    node->memory_total = report->memory_total;
    node->full = report->full;
    c->heard_term = report->term > c->heard_term ? report->term : c->heard_term;
    for (size_t i = 0; i < report->instance_count; i++) {
        apply_instance(c, node, index, &report->instances[i], &chain);
    }
    free_chain(chain);
    if (report->whole) {
        drop_unlisted(node);
    }
    if (adopt) {
        adopt_grants(c, index, report);
    }
    return 0;
}

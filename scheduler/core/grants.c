/* From an app's desire to each node's grants. SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <stdlib.h>
#include <string.h>

/* Healthy instances of the serving release's process of this name. */
static int64_t count_serving(const struct app *app, const char *process) {
    int64_t count = 0;
    for (const struct tracked *i = app->instances; i; i = i->next) {
        count += i->fact.state == INSTANCE_HEALTHY &&
                 i->fact.release == app->releases[SERVING].number &&
                 strcmp(i->fact.process, process) == 0;
    }
    return count;
}

const struct scale_rule *rule_of(const struct app *app, const struct core_process *process) {
    for (size_t i = 0; i < app->rule_count; i++) {
        if (strcmp(app->rules[i].process, process->name) == 0) {
            return &app->rules[i].rule;
        }
    }
    return process->rule.max > 0 ? &process->rule : NULL;
}

/* How many of a process shall run by its rule, else its number. While it rolls out, as many as run
 * of the serving release, or taking over would be a dip, and one at least, or nothing would be
 * proved; but not of a process that is off. */
struct wanted process_wants(const struct app *app, enum release_slot slot, size_t process) {
    const struct core_process *p = &app->releases[slot].processes[process];
    const struct scale_rule *rule = rule_of(app, p);
    struct wanted wanted = { .floor = p->instances, .ceiling = p->instances };
    if (rule) {
        wanted = (struct wanted){ rule->min, rule->max, rule->standby, rule };
    }
    if (wanted.ceiling < wanted.floor) {
        wanted.ceiling = wanted.floor;
    }
    if (slot == TARGET && wanted.floor < wanted.ceiling) {
        int64_t serving = count_serving(app, p->name);
        wanted.floor = wanted.floor > serving ? wanted.floor : serving;
        wanted.floor = wanted.floor > 1 ? wanted.floor : 1;
        wanted.floor = wanted.floor < wanted.ceiling ? wanted.floor : wanted.ceiling;
    }
    return wanted;
}

/* The most entries that placing the release's processes can need. */
size_t release_room(const struct app *app, enum release_slot slot, size_t nodes) {
    size_t room = 0;
    for (size_t i = 0; i < app->releases[slot].process_count; i++) {
        struct wanted wanted = process_wants(app, slot, i);
        int64_t floor = slot == TARGET ? wanted.ceiling : wanted.floor; /* it follows what runs */
        size_t most = floor > 1 ? (size_t)floor : 1;
        room += most < nodes ? most : nodes;
    }
    /* A target that becomes the serving one brings its entries along. */
    return room + app->releases[slot].placed_count;
}

int app_reserve(struct app *app, size_t nodes) {
    for (enum release_slot slot = 0; slot < SLOTS; slot++) {
        struct release *r = &app->releases[slot];
        void *placed = grow(r->placed, r->placed_count, &r->placed_cap,
            release_room(app, slot, nodes), sizeof(struct placed));
        if (!placed) {
            return -1;
        }
        r->placed = placed;
    }
    return 0;
}

void mark_grants(struct core *c, const struct release *release) {
    for (size_t i = 0; i < release->placed_count; i++) {
        c->nodes[release->placed[i].node]->grants_dirty = true;
    }
}

/* Takes back everything that was granted of a release. */
void release_withdraw(struct core *c, struct release *release) {
    for (size_t i = 0; i < release->placed_count; i++) {
        const struct placed *placed = &release->placed[i];
        struct node *node = c->nodes[placed->node];
        node->grants_dirty = true;
        node->promised_instances -= placed->floor;
        node->promised_memory -=
            (placed->floor + placed->frozen) * release->processes[placed->process].memory;
    }
    release->placed_count = 0;
    release->unplaced = 0;
}

/* What a start would start. */
static bool is_current(const struct app *app, enum release_slot slot) {
    return slot == SERVING || (!app->releases[SERVING].number && !app->failed);
}

void app_reconcile(struct core *c, struct app *app) {
    for (enum release_slot slot = SERVING; slot < KEPT; slot++) {
        struct release *r = &app->releases[slot];
        if (app->stopped && is_current(app, slot)) {
            place_at_rest(c, app, slot);
            continue;
        }
        if (app->stopped || (slot == TARGET && app->failed)) {
            release_withdraw(c, r);
            continue;
        }
        r->unplaced = 0;
        for (size_t i = 0; i < r->process_count; i++) {
            place(c, app, slot, i);
        }
    }
    if (app->stopped) {
        release_withdraw(c, &app->releases[KEPT]);
    } else {
        keep_release(c, app);
    }
    routing_update(c, app);
}

/* Healthy instances of one process (-1: of all) on nodes that live. */
int64_t count_healthy(
    const struct core *c, const struct app *app, const struct release *release, int process) {
    int64_t healthy = 0;
    for (const struct tracked *i = app->instances; i; i = i->next) {
        if (i->fact.state == INSTANCE_HEALTHY && i->fact.release == release->number &&
            c->nodes[i->node]->live &&
            (process < 0 || strcmp(i->fact.process, release->processes[process].name) == 0)) {
            healthy++;
        }
    }
    return healthy;
}

/* Exactly one grant of a process takes the demand: the first one of the release that serves it. */
static bool takes_demand(const struct app *app, enum release_slot slot, size_t entry) {
    if (slot == KEPT || app->stopped) {
        return false;
    }
    const struct release *r = &app->releases[slot];
    const struct placed *placed = &r->placed[entry];
    for (size_t i = 0; i < entry; i++) {
        if (r->placed[i].process == placed->process) {
            return false;
        }
    }
    if (slot == SERVING) {
        return true;
    }
    const struct release *serving = &app->releases[SERVING];
    int same = process_index(serving, r->processes[placed->process].name);
    for (size_t i = 0; same >= 0 && i < serving->placed_count; i++) {
        if (serving->placed[i].process == (uint32_t)same) {
            return false;
        }
    }
    return true;
}

static void fill_grant(
    const struct app *app, enum release_slot slot, size_t entry, struct grant *grant) {
    const struct release *r = &app->releases[slot];
    const struct placed *placed = &r->placed[entry];
    const struct core_process *process = &r->processes[placed->process];
    const struct scale_rule *rule = placed->rule ? rule_of(app, process) : NULL;
    memset(grant, 0, sizeof(*grant));
    memcpy(grant->app, app->name, sizeof(grant->app));
    memcpy(grant->process, process->name, sizeof(grant->process));
    memcpy(grant->config, r->config, sizeof(grant->config));
    grant->release = r->number;
    grant->floor = placed->floor;
    grant->ceiling = placed->ceiling;
    grant->frozen = placed->frozen;
    grant->rule = rule ? *rule : process->rule;
    if (!rule) {
        grant->rule.concurrency = 0; /* nobody named a bound */
    }
    grant->attempt = app->attempt;
    grant->target_of_demand = takes_demand(app, slot, entry);
}

void core_each_grant(const struct core *c, const char *node,
    void (*each)(void *data, const struct grant *grant), void *data) {
    uint32_t index;
    if (!node_find(c, node, &index)) {
        return;
    }
    for (size_t i = 0; i < c->app_count; i++) {
        for (enum release_slot slot = 0; slot < SLOTS; slot++) {
            const struct release *r = &c->apps[i]->releases[slot];
            for (size_t entry = 0; entry < r->placed_count; entry++) {
                if (r->placed[entry].node == index) {
                    struct grant grant;
                    fill_grant(c->apps[i], slot, entry, &grant);
                    each(data, &grant);
                }
            }
        }
    }
}

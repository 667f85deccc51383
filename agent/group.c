/* Groups of instances, their slots, and finding among them. SPDX-License-Identifier: Apache-2.0 */
#include "fleet_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <paas/str.h>

void fleet_wake(struct fleet *f) {
    uv_idle_start(&f->converger, fleet_on_converge);
}

void group_mark(struct group *g) {
    g->dirty = true;
    fleet_wake(g->fleet);
}

static void group_key(
    char key[GROUP_KEY_SIZE], const char *app, const char *process, int64_t release) {
    snprintf(key, GROUP_KEY_SIZE, "%s/%s@%" PRId64, app, process, release);
}

struct group *group_get(
    struct fleet *f, const char *app, const char *process, int64_t release, struct err *err) {
    char key[GROUP_KEY_SIZE];
    group_key(key, app, process, release);
    struct group *g = map_get(&f->groups, key);
    if (g) {
        return g;
    }
    g = calloc(1, sizeof *g);
    if (!g || map_set(&f->groups, key, g) < 0) {
        free(g);
        err_no_memory(err);
        return NULL;
    }
    g->fleet = f;
    g->release = release;
    g->requests = -1;
    str_copy(g->key, sizeof g->key, key);
    str_copy(g->app, sizeof g->app, app);
    str_copy(g->process, sizeof g->process, process);
    list_init(&g->instances);
    turn_lane_init(&g->starts);
    return g;
}

struct slot *group_slot(struct group *g, int number) {
    if (number < 1 || number > INSTANCES_PER_NODE) {
        return NULL;
    }
    if ((size_t)number > g->slot_count) {
        struct slot *slots = realloc(g->slots, (size_t)number * sizeof *slots);
        if (!slots) {
            return NULL;
        }
        memset(slots + g->slot_count, 0, ((size_t)number - g->slot_count) * sizeof *slots);
        g->slots = slots;
        g->slot_count = (size_t)number;
    }
    return &g->slots[number - 1];
}

void group_target_key(char key[GROUP_KEY_SIZE], const char *app, const char *process) {
    snprintf(key, GROUP_KEY_SIZE, "%s/%s", app, process);
}

void group_inherit_load(struct group *g) {
    MAP_FOREACH (e, &g->fleet->groups) {
        struct group *other = e->value;
        if (other != g && other->is_target && strcmp(other->app, g->app) == 0 &&
            strcmp(other->process, g->process) == 0) {
            other->is_target = false;
            g->is_target = true;
            g->demand = other->demand;
            g->seen = other->seen;
            g->requests = other->requests;
            g->decided = other->decided;
            return;
        }
    }
}

void group_forget_load(struct group *g) {
    group_forget_measures(g);
    free(g->history);
    g->history = NULL;
    g->is_target = false;
    g->seen = (struct demand_sample){ 0 };
    g->requests = -1;
    g->decided = (struct demand_decision){ 0 };
}

void group_free(struct group *g) {
    LIST_FOREACH_SAFE (item, after, &g->instances) {
        struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
        list_remove(&i->link);
        instance_release(i);
    }
    group_forget_measures(g);
    free(g->slots);
    free(g->history);
    free(g);
}

int64_t group_starting(const struct group *g) {
    int64_t starting = 0;
    LIST_FOREACH (item, &g->instances) {
        const struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
        starting += i->phase <= PHASE_START && i->reason == END_NONE;
    }
    return starting;
}

int64_t group_serving(const struct group *g) {
    int64_t serving = 0;
    LIST_FOREACH (item, &g->instances) {
        serving += LIST_ITEM(item, struct agent_instance, link)->phase == PHASE_SERVE;
    }
    return serving;
}

int64_t group_awake(const struct group *g) {
    int64_t awake = 0;
    LIST_FOREACH (item, &g->instances) {
        awake += instance_runs(LIST_ITEM(item, struct agent_instance, link));
    }
    return awake;
}

int64_t group_asleep(const struct group *g) {
    int64_t asleep = 0;
    LIST_FOREACH (item, &g->instances) {
        asleep += instance_sleeps(LIST_ITEM(item, struct agent_instance, link));
    }
    return asleep;
}

bool group_is_kept(const struct group *g) {
    return g->granted && g->grant.ceiling == 0;
}

int64_t group_floor(const struct group *g) {
    int64_t scheduled = group_scheduled(g);
    int64_t promised = scheduled < g->grant.ceiling ? scheduled : g->grant.ceiling;
    return promised > g->grant.floor ? promised : g->grant.floor;
}

struct agent_instance *group_find_id(const struct group *g, const char *id) {
    LIST_FOREACH (item, &g->instances) {
        struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
        if (strcmp(i->row.id, id) == 0) {
            return i;
        }
    }
    return NULL;
}

struct agent_instance *fleet_find_id(struct fleet *f, const char *id) {
    MAP_FOREACH (e, &f->groups) {
        struct agent_instance *i = group_find_id(e->value, id);
        if (i) {
            return i;
        }
    }
    return NULL;
}

/* How well an instance fits a name; higher is better, 0 not at all. */
static int fits(const struct agent_instance *i, const char *name) {
    if (strcmp(i->row.id, name) == 0) {
        return 4;
    }
    if (name[0] && strcmp(i->row.slot, name) != 0) {
        return 0;
    }
    if (i->phase == PHASE_SERVE) {
        return 3;
    }
    return i->phase == PHASE_START || i->phase == PHASE_DRAIN ? 2 : i->phase == PHASE_ENDED ? 0 : 1;
}

struct agent_instance *fleet_find(
    struct fleet *f, const char *app, const char *name, struct err *err) {
    struct agent_instance *best = NULL;
    int best_fit = 0;
    MAP_FOREACH (e, &f->groups) {
        struct group *g = e->value;
        if (app && strcmp(g->app, app) != 0) {
            continue;
        }
        LIST_FOREACH (item, &g->instances) {
            struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
            int fit = fits(i, name);
            if (fit > best_fit ||
                (fit && fit == best_fit && i->row.created_at > best->row.created_at)) {
                best = i;
                best_fit = fit;
            }
        }
    }
    if (!best) {
        err_set(err, ERR_NOT_FOUND,
            name[0] ? "%s has no instance \"%s\" here" : "%s has no running instance here%s",
            app ? app : "this host", name);
    }
    return best;
}

void fleet_each(
    struct fleet *f, bool all, void (*each)(void *data, struct agent_instance *i), void *data) {
    MAP_FOREACH (e, &f->groups) {
        struct group *g = e->value;
        LIST_FOREACH_SAFE (item, after, &g->instances) {
            struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
            if (all || !i->acknowledged) {
                each(data, i);
            }
        }
    }
}

/* The instances of this host. SPDX-License-Identifier: Apache-2.0
 *
 * Whatever happens marks a group and wakes the converger, an idle handle that runs once in the same
 * turn of the loop; so ten events of one turn are one decision. Rows for the proxy are gathered
 * meanwhile and leave together with one sync.
 */
#include "fleet_parts.h"

#include <stdlib.h>
#include <string.h>

#include <paas/log.h>

static void on_instance_changed(void *ctx, struct agent_instance *i) {
    struct fleet *f = ctx;
    if (i->phase >= PHASE_START) {
        struct group *g = i->group;
        if (i->phase == PHASE_SERVE && i->row.ready_ms < 0) {
            i->rotation = INT64_MAX;
        } else if (i->phase == PHASE_SERVE && i->row.ready_ms >= 0 && !i->learnt) {
            i->learnt = true;
            demand_learn_start(&g->demand, i->row.ready_ms);
        }
        fleet_send_instance(f, i);
    }
    group_mark(i->group);
    f->options.changed(f->options.data);
}

static void on_instance_ended(void *ctx, struct agent_instance *i, bool asked) {
    struct fleet *f = ctx;
    group_count_end(i->group, i, asked);
    fleet_send_instance(f, i);
    group_mark(i->group);
    f->options.changed(f->options.data);
}

static void on_instance_gone(void *ctx, struct agent_instance *i) {
    struct fleet *f = ctx;
    fleet_trim_ended(f, i->group);
    group_mark(i->group);
}

/* The grant names another configuration than what runs: it is of a new app with the name of one
 * that was destroyed, and nothing of that one counts any more. */
static void replace_namesake(struct fleet *f, struct group *g, const char *config) {
    bool other = false;
    LIST_FOREACH (item, &g->instances) {
        other = other || strcmp(LIST_ITEM(item, struct agent_instance, link)->config, config) != 0;
    }
    if (!other) {
        return;
    }
    if (g->slot_count) {
        memset(g->slots, 0, g->slot_count * sizeof *g->slots);
    }
    LIST_FOREACH_SAFE (item, after, &g->instances) {
        struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
        if (i->phase == PHASE_ENDED && i->acknowledged) {
            fleet_forget(f, i);
        }
    }
    LIST_FOREACH (item, &g->instances) {
        struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
        if (strcmp(i->config, config) != 0) {
            instance_stop(i, END_STOPPED, "was stopped: its app was destroyed");
        }
    }
}

/* Demand goes to others, perhaps, and what was learnt of it goes along. */
static void direct_demand(struct fleet *f) {
    char key[GROUP_KEY_SIZE];
    map_free(&f->targets);
    map_init(&f->targets);
    MAP_FOREACH (e, &f->groups) {
        struct group *g = e->value;
        if (!g->granted || !g->grant.target_of_demand) {
            continue;
        }
        group_target_key(key, g->app, g->process);
        if (map_set(&f->targets, key, g) < 0) {
            log_error("%s: its load will not be known: out of memory", g->key);
        }
        if (!g->is_target) {
            group_inherit_load(g);
        }
    }
    MAP_FOREACH (e, &f->groups) {
        struct group *g = e->value;
        if (!g->granted) {
            group_forget_load(g);
        }
    }
}

void fleet_grant(struct fleet *f, const struct grant *rows, size_t count) {
    struct err err;
    MAP_FOREACH (e, &f->groups) {
        struct group *g = e->value;
        g->granted = false;
        g->dirty = true;
    }
    for (size_t n = 0; n < count; n++) {
        const struct grant *row = &rows[n];
        struct group *g = group_get(f, row->app, row->process, row->release, &err);
        if (!g) {
            log_error("a grant for %s: %s", row->app, err.text);
            continue;
        }
        if (strcmp(g->grant.config, row->config) != 0) {
            pool_want(f->host.pool, g->grant.config, g->process, false);
        }
        replace_namesake(f, g, row->config);
        if (row->attempt != g->grant.attempt) {
            /* Somebody asked anew: what failed before counts no more. */
            for (size_t k = 0; k < g->slot_count; k++) {
                g->slots[k].failures = 0;
                g->slots[k].not_before = 0;
            }
        }
        bool other_rule = memcmp(&g->grant.rule, &row->rule, sizeof row->rule) != 0;
        g->grant = *row;
        g->granted = true;
        g->dirty = true;
        group_set_measures(g, other_rule);
    }
    direct_demand(f);
    fleet_wake(f);
}

void fleet_config_arrived(struct fleet *f, const char *digest) {
    MAP_FOREACH (e, &f->groups) {
        struct group *g = e->value;
        if (strcmp(g->grant.config, digest) == 0) {
            group_mark(g);
        }
    }
}

bool fleet_needs_config(const struct fleet *f, const char *digest) {
    MAP_FOREACH (e, &f->groups) {
        const struct group *g = e->value;
        if (g->granted && strcmp(g->grant.config, digest) == 0) {
            return true;
        }
        LIST_FOREACH (item, &g->instances) {
            const struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
            if (strcmp(i->config, digest) == 0) {
                return true;
            }
        }
    }
    return false;
}

struct fleet *fleet_create(const struct fleet_options *options, struct err *err) {
    struct fleet *f = calloc(1, sizeof *f);
    if (!f) {
        err_no_memory(err);
        return NULL;
    }
    f->options = *options;
    f->host = options->host;
    f->host.ctx = f;
    f->host.changed = on_instance_changed;
    f->host.ended = on_instance_ended;
    f->host.gone = on_instance_gone;
    turns_init(&f->turns);
    f->host.turns = &f->turns;
    f->host.pool = pool_create(&f->host, options->configs, err);
    if (!f->host.pool || fleet_give_back_open(f, err) < 0) {
        pool_close(f->host.pool);
        free(f);
        return NULL;
    }
    map_init(&f->groups);
    map_init(&f->targets);
    f->converger.data = f->back_off.data = f->tick.data = f->measure.data = f;
    uv_idle_init(f->host.loop, &f->converger);
    uv_timer_init(f->host.loop, &f->back_off);
    uv_timer_init(f->host.loop, &f->tick);
    uv_timer_init(f->host.loop, &f->measure);
    fleet_memory_open(f);
    f->handles = 5;
    return f;
}

static void on_closed(uv_handle_t *handle) {
    struct fleet *f = handle->data;
    if (--f->handles == 0) {
        map_free(&f->groups);
        map_free(&f->targets);
        free(f);
    }
}

void fleet_close(struct fleet *f) {
    if (!f) {
        return;
    }
    pool_close(f->host.pool);
    fleet_give_back_close(f);
    MAP_FOREACH (e, &f->groups) {
        group_free(e->value);
    }
    uv_close((uv_handle_t *)&f->converger, on_closed);
    uv_close((uv_handle_t *)&f->back_off, on_closed);
    uv_close((uv_handle_t *)&f->tick, on_closed);
    uv_close((uv_handle_t *)&f->measure, on_closed);
    uv_close((uv_handle_t *)&f->memory.timer, on_closed);
}

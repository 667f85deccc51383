/* What the proxy is told, and what it says. SPDX-License-Identifier: Apache-2.0 */
#include "fleet_parts.h"

#include <string.h>

#include <paas/str.h>

void fleet_send_instance(struct fleet *f, const struct agent_instance *i) {
    /* Until what it has under way is over, the proxy is to let it go on. */
    bool falls_asleep = i->phase == PHASE_FREEZE;
    struct local_message m = {
        .type = i->phase >= PHASE_DESTROY ? LOCAL_GONE : LOCAL_INSTANCE,
        .release = i->row.release,
        .port = i->row.port,
        .state = falls_asleep ? INSTANCE_DRAINING : i->row.state,
    };
    memcpy(m.id, i->row.id, sizeof m.id);
    memcpy(m.app, i->row.app, sizeof m.app);
    memcpy(m.process, i->row.process, sizeof m.process);
    memcpy(m.address, i->row.address, sizeof m.address);
    local_proxy_send(f->proxy, &m);
    f->rows_pending = true;
}

/* The words for requests that nobody can answer: why the newest slot is failing. */
static const char *failing_reason(const struct group *g) {
    for (size_t n = 0; n < g->slot_count; n++) {
        if (g->slots[n].failures > 0) {
            return "failing";
        }
    }
    return "";
}

/* The group that demand goes to speaks for its app and process; when none does, the row goes. */
static bool has_speaker(const struct fleet *f, const struct group *of) {
    MAP_FOREACH (e, &f->groups) {
        const struct group *g = e->value;
        if (g->granted && g->grant.target_of_demand && strcmp(g->app, of->app) == 0 &&
            strcmp(g->process, of->process) == 0) {
            return true;
        }
    }
    return false;
}

static void stop_speaking(struct group *g) {
    if (g->speaks) {
        g->speaks = false;
        if (!has_speaker(g->fleet, g)) {
            struct local_message m = { .type = LOCAL_APP_GONE };
            memcpy(m.app, g->app, sizeof m.app);
            memcpy(m.process, g->process, sizeof m.process);
            local_proxy_send(g->fleet->proxy, &m);
            g->fleet->rows_pending = true;
        }
    }
}

/* What a request that waits for this app needs to know. */
void group_tell(struct group *g, bool force) {
    struct fleet *f = g->fleet;
    struct local_message m = {
        .type = LOCAL_APP,
        .starting = group_starting(g),
        .concurrency = g->grant.rule.concurrency,
    };
    if (!g->granted || !g->grant.target_of_demand) {
        stop_speaking(g);
        return;
    }
    memcpy(m.app, g->app, sizeof m.app);
    memcpy(m.process, g->process, sizeof m.process);
    int64_t running = group_serving(g) + m.starting;
    bool full = group_is_full(g);
    m.can_grow = running < g->grant.ceiling && !full;
    /* A slot that waits after a failure starts again by itself: worth waiting for, briefly. */
    if (running < g->grant.floor && !full) {
        m.starting += g->grant.floor - running;
    }
    const char *reason = full ? "full" : m.can_grow ? failing_reason(g) : "ceiling";
    str_copy(m.reason, sizeof m.reason, reason);
    if (force || !g->speaks || memcmp(&m, &g->told, sizeof m) != 0) {
        g->told = m;
        g->speaks = true;
        local_proxy_send(f->proxy, &m);
        f->rows_pending = true;
    }
}

/* Sends what was gathered; whoever waits for the proxy waits for this sync. */
void fleet_sync_rows(struct fleet *f) {
    if (!f->rows_pending || !f->proxy) {
        return;
    }
    f->rows_pending = false;
    int64_t revision = local_proxy_sync(f->proxy);
    bool connected = local_proxy_is_connected(f->proxy);
    MAP_FOREACH (e, &f->groups) {
        struct group *g = e->value;
        LIST_FOREACH_SAFE (item, after, &g->instances) {
            struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
            if (i->rotation == INT64_MAX) {
                i->rotation = revision;
            }
            if (!connected) {
                instance_acknowledged(i, INT64_MAX);
            }
        }
    }
}

void fleet_set_proxy(struct fleet *f, struct local_proxy *proxy) {
    f->proxy = proxy;
}

void fleet_proxy_connected(struct fleet *f) {
    MAP_FOREACH (e, &f->groups) {
        struct group *g = e->value;
        g->dirty = true; /* load counts from now on */
        g->requests = -1;
        group_tell(g, true);
        LIST_FOREACH (item, &g->instances) {
            struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
            if (i->phase < PHASE_DESTROY && i->phase >= PHASE_START) {
                fleet_send_instance(f, i);
            }
            /* A new proxy's first acknowledgement says it for all of them. */
            if (i->rotation) {
                i->rotation = INT64_MAX;
            }
        }
    }
    f->rows_pending = true;
    fleet_wake(f);
}

void fleet_proxy_lost(struct fleet *f) {
    f->rows_pending = true; /* the sync finds nobody and acknowledges for all */
    fleet_wake(f);
}

/* The group that the demand of an app's process goes to, or NULL. */
static struct group *target_of(struct fleet *f, const struct local_message *m) {
    char key[GROUP_KEY_SIZE];
    group_target_key(key, m->app, m->process);
    return map_get(&f->targets, key);
}

static void take_busy(struct fleet *f, const struct local_message *m) {
    struct group *g = target_of(f, m);
    struct agent_instance *i = g ? group_find_id(g, m->id) : NULL;
    if (i) {
        i->in_flight = m->in_flight;
    }
}

/* How many came since the proxy's last line. Its count is older than this conversation, so that of
 * the first line only those that are still there are new. */
static int64_t arrivals(struct group *g, const struct local_message *m) {
    int64_t inside = m->in_flight + m->held;
    int64_t before = g->requests < 0 ? m->requests - inside : g->requests;
    g->requests = m->requests;
    return m->requests > before ? m->requests - before : 0;
}

/* The load of an app's process: for the group that demand goes to. */
static void take_demand(struct fleet *f, const struct local_message *m) {
    struct group *g = target_of(f, m);
    if (!g) {
        return;
    }
    int64_t arrived = g->seen.arrived + arrivals(g, m);
    if (group_history(g)) {
        history_arrived(g->history, clock_wall_msec(), arrived, m->in_flight + m->held);
    }
    g->seen = (struct demand_sample){
        .in_flight = m->in_flight,
        .held = m->held,
        .oldest_held = m->oldest_ms,
        .arrived = arrived,
    };
    g->p99_ms = m->p99_ms;
    group_mark(g);
}

void fleet_proxy_message(struct fleet *f, const struct local_message *m) {
    struct agent_instance *i;
    switch ((enum local_type)m->type) {
    case LOCAL_ACK:
        MAP_FOREACH (e, &f->groups) {
            struct group *g = e->value;
            LIST_FOREACH_SAFE (item, after, &g->instances) {
                instance_acknowledged(LIST_ITEM(item, struct agent_instance, link), m->revision);
            }
        }
        return;
    case LOCAL_DRAINED:
        if ((i = fleet_find_id(f, m->id))) {
            instance_drained(i);
        }
        return;
    case LOCAL_SUSPECT:
        if ((i = fleet_find_id(f, m->id))) {
            instance_suspect(i);
        }
        return;
    case LOCAL_DEMAND:
        take_demand(f, m);
        return;
    case LOCAL_BUSY:
        take_busy(f, m);
        return;
    case LOCAL_ROUTES:
    case LOCAL_HELLO:
    case LOCAL_INSTANCE:
    case LOCAL_GONE:
    case LOCAL_APP:
    case LOCAL_APP_GONE:
    case LOCAL_SYNC:
        return;
    }
}

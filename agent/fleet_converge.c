/* From grants and load to what is started and stopped. SPDX-License-Identifier: Apache-2.0 */
#include "fleet_parts.h"

#include <inttypes.h>
#include <string.h>

#include <paas/log.h>
#include <paas/wire.h>

#include "converge.h"
#include "launch.h"

static enum converge_life life_of(const struct agent_instance *i) {
    switch (i->phase) {
    case PHASE_SERVE:
        return LIFE_HEALTHY;
    case PHASE_FREEZE:
    case PHASE_FROZEN:
        return LIFE_FROZEN;
    case PHASE_IMAGE:
    case PHASE_SPAWN:
    case PHASE_START:
    case PHASE_DRAIN:
    case PHASE_STOP:
    case PHASE_DESTROY:
    case PHASE_ENDED:
        break;
    }
    return LIFE_STARTING;
}

bool group_is_scaled(const struct group *g) {
    return g->granted && g->grant.target_of_demand && scale_rule_measures(&g->grant.rule) &&
           g->grant.floor < g->grant.ceiling;
}

/* When it has slept for too long; 0 for one that does not sleep, or whose release is kept. */
static msec sleep_end(const struct group *g, const struct agent_instance *i) {
    return group_is_scaled(g) && instance_sleeps(i) ? i->frozen_since + g->grant.rule.stop_after
                                                    : 0;
}

/* Those that are not on their way out. */
static size_t gather(
    struct group *g, msec now, struct converge_instance *to, struct agent_instance **who) {
    size_t count = 0;
    LIST_FOREACH (item, &g->instances) {
        struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
        if (i->phase <= PHASE_FROZEN && !(i->phase < PHASE_SERVE && i->reason != END_NONE) &&
            count < INSTANCES_PER_NODE) {
            msec ends = sleep_end(g, i);
            to[count] = (struct converge_instance){ .number = i->number,
                .life = life_of(i),
                .in_flight = i->in_flight,
                .overslept = ends && ends <= now,
                .in_swap = instance_in_swap(i),
                .since = i->healthy_since };
            who[count++] = i;
        }
    }
    return count;
}

static void start_slot(struct group *g, const struct release_config *release, int number) {
    const struct process_spec *process = release_process(release, g->process);
    struct slot *slot = group_slot(g, number);
    struct err err;
    if (!process || !slot) {
        return;
    }
    struct instance_spec spec = {
        .release = release,
        .process = process,
        .config = g->grant.config,
        .number = number,
        .restarts = slot->restarts,
        .failures = slot->failures,
        .attempt = g->grant.attempt,
        .last_exit = &slot->last_exit,
        .lane = &g->starts,
        .group = g,
    };
    struct agent_instance *i = instance_create(&g->fleet->host, &spec, &err);
    if (!i) {
        log_error("starting %s.%d of %s: %s", g->process, number, g->app, err.text);
        return;
    }
    list_append(&g->instances, &i->link);
    log_info("instance %s app=%s slot=%s release=%" PRId64 " starts", i->row.id, i->row.app,
        i->row.slot, i->row.release);
    g->fleet->options.changed(g->fleet->options.data);
}

/* What the law goes by here and now. */
static struct demand_settings settings_of(const struct group *g) {
    const struct scale_rule *rule = &g->grant.rule;
    int64_t scheduled = group_scheduled(g);
    int64_t most = g->grant.ceiling;
    return (struct demand_settings){
        .concurrency = rule->concurrency,
        .min = scheduled > most             ? most
               : scheduled > g->grant.floor ? scheduled
                                            : g->grant.floor,
        .max = most,
        .idle = rule->idle,
        .rps = rule->rps,
        .window = rule->window,
        .queue_delay = rule->queue_delay,
        .step_up = rule->step_up,
        .step_down = rule->step_down,
        .step_period = rule->step_period,
        .min_scheduled = scheduled > g->grant.floor,
        .max_granted = most < rule->max,
    };
}

/* What is seen of it. */
static struct demand_sample sample_of(const struct group *g, msec now) {
    struct demand_sample sample = g->seen;
    sample.now = now;
    sample.ready = group_serving(g);
    sample.starting = group_starting(g);
    /* What instances have beyond their slots waits as well, though not at the proxy. */
    int64_t slots = sample.ready * g->grant.rule.concurrency;
    if (slots > 0 && sample.in_flight > slots) {
        sample.held += sample.in_flight - slots;
        sample.in_flight = slots;
    }
    group_use(g, &sample);
    return sample;
}

/* Nothing is known of its load yet. What sleeps already has been idle for long enough. */
static void begin_demand(struct group *g, msec now) {
    int64_t awake = group_serving(g) + group_starting(g);
    g->is_target = true;
    demand_init(&g->demand, awake ? now : now - g->grant.rule.idle);
    g->decided.running = awake;
}

/* More is asked for than may run. */
static bool is_held(enum demand_reason reason) {
    return reason == DEMAND_AT_MAX || reason == DEMAND_AT_GRANT;
}

static void remember_decision(struct group *g, int64_t from, const struct demand_sample *sample) {
    msec wall = clock_wall_msec();
    struct fleet *f = g->fleet;
    f->decisions = f->decisions >= wall * 1000 ? f->decisions + 1 : wall * 1000;
    struct history_decision decision = { wall, f->decisions, from, *sample, g->decided };
    if (group_history(g)) {
        history_decided(g->history, &decision);
        f->options.changed(f->options.data);
    }
    log_debug("%s: %" PRId64 " running, %s: in_flight=%" PRId64 " held=%" PRId64, g->key,
        g->decided.running, demand_reason_words[g->decided.reason], sample->in_flight,
        sample->held);
}

/* Whether the proxy knows its load. */
static bool listens(const struct group *g) {
    const struct process_spec *spec =
        release_process(configs_get(g->fleet->options.configs, g->grant.config), g->process);
    return !spec || process_listens(spec);
}

/* How many shall run, within the grant. */
static int64_t wanted_running(struct group *g, msec now) {
    if (!group_is_scaled(g)) {
        return g->granted ? g->grant.floor : 0;
    }
    if (listens(g) && !local_proxy_is_connected(g->fleet->proxy)) {
        /* Nobody says what the load is: nothing is given up on silence. */
        int64_t running = group_serving(g) + group_starting(g);
        return running < g->grant.floor     ? g->grant.floor
               : running > g->grant.ceiling ? g->grant.ceiling
                                            : running;
    }
    if (!g->is_target) {
        begin_demand(g, now);
    }
    struct demand_settings settings = settings_of(g);
    struct demand_sample sample = sample_of(g, now);
    enum demand_reason before = g->decided.reason;
    int64_t running = g->decided.running;
    demand_decide(&g->demand, &settings, &sample, &g->decided);
    bool stuck = is_held(g->decided.reason) && !is_held(before);
    if (g->decided.running != running || stuck) {
        remember_decision(g, running, &sample);
    }
    return g->decided.running;
}

/* How many may sleep rather than end: those that a grant keeps, and for a scaled process a few that
 * the next rise can wake. */
static int64_t wanted_frozen(const struct group *g) {
    enum { SLEEPERS_MIN = 2, SLEEPERS_SHARE = 10 };
    if (!group_is_scaled(g)) {
        return g->grant.frozen;
    }
    int64_t share = g->grant.ceiling / SLEEPERS_SHARE;
    int64_t sleepers = share > SLEEPERS_MIN ? share : SLEEPERS_MIN;
    return sleepers > g->grant.frozen ? sleepers : g->grant.frozen;
}

int64_t group_standbys(const struct group *g) {
    return g->granted && g->grant.ceiling > 0 ? g->grant.frozen : 0;
}

/* When the first sleeper beyond the standbys has slept for too long; 0: none will. */
static msec first_sleep_end(const struct group *g, int64_t standby) {
    int64_t asleep = 0;
    msec first = 0;
    LIST_FOREACH (item, &g->instances) {
        msec ends = sleep_end(g, LIST_ITEM(item, struct agent_instance, link));
        asleep += ends > 0;
        first = ends && (!first || ends < first) ? ends : first;
    }
    return asleep > standby ? first : 0;
}

/* Which slots wait. */
static void find_blocked(const struct group *g, bool *blocked, msec now) {
    for (size_t n = 0; n < g->slot_count; n++) {
        blocked[n] = g->slots[n].not_before > now;
    }
}

static const char *why_stopped(const struct group *g) {
    if (!g->granted) {
        return "was stopped: its release is not wanted any more";
    }
    return g->grant.ceiling > 0 || g->grant.frozen > 0 ? "was stopped: fewer are wanted"
                                                       : "was stopped with its app";
}

static void converge_group(struct group *g, msec now) {
    struct converge_instance instances[INSTANCES_PER_NODE];
    struct agent_instance *who[INSTANCES_PER_NODE];
    struct converge_action actions[INSTANCES_PER_NODE];
    bool blocked[INSTANCES_PER_NODE] = { false };
    find_blocked(g, blocked, now);
    const struct release_config *release =
        g->granted && g->grant.ceiling > 0 ? configs_get(g->fleet->options.configs, g->grant.config)
                                           : NULL;
    const int64_t wanted = fleet_memory_allow(g, wanted_running(g, now));
    struct converge_input in = {
        .wanted = wanted,
        .frozen = g->granted ? fleet_memory_frozen(g, wanted_frozen(g)) : 0,
        .standby = fleet_memory_standby(g, wanted, group_standbys(g)),
        .instances = instances,
        .count = gather(g, now, instances, who),
        .blocked = blocked,
        .blocked_count = g->slot_count,
    };
    pool_want(g->fleet->host.pool, g->grant.config, g->process, release != NULL);
    size_t count = converge(&in, actions);
    for (size_t n = 0; n < count; n++) {
        switch (actions[n].kind) {
        case CONVERGE_START:
            if (release) {
                start_slot(g, release, actions[n].number);
            }
            break;
        case CONVERGE_STOP:
            instance_stop(who[actions[n].index], END_STOPPED, why_stopped(g));
            break;
        case CONVERGE_FREEZE:
            instance_freeze(who[actions[n].index]);
            break;
        case CONVERGE_THAW:
            instance_thaw(who[actions[n].index]);
            break;
        }
    }
    g->sleep_ends = first_sleep_end(g, in.standby);
    group_tell(g, false);
}

/* Each instance has a slot of the host's, and so has a sandbox that was made ahead; and there must
 * be memory for it. */
static void limit_pool(struct fleet *f) {
    size_t instances = POOL_SPARE_SLOTS, most = fleet_memory_pool(f);
    MAP_FOREACH (e, &f->groups) {
        const struct group *g = e->value;
        LIST_FOREACH (item, &g->instances) {
            instances += LIST_ITEM(item, struct agent_instance, link)->phase != PHASE_ENDED;
        }
    }
    size_t slots = instances < INSTANCES_PER_NODE ? INSTANCES_PER_NODE - instances : 0;
    pool_limit(f->host.pool, slots < most ? slots : most);
}

/* Forgets a group that nobody grants and of which nothing is left to tell. */
static bool is_over(const struct group *g) {
    return !g->granted && list_empty(&g->instances);
}

static void on_back_off(uv_timer_t *timer) {
    struct fleet *f = timer->data;
    msec now = clock_msec();
    MAP_FOREACH (e, &f->groups) {
        struct group *g = e->value;
        for (size_t n = 0; n < g->slot_count; n++) {
            if (g->slots[n].not_before && g->slots[n].not_before <= now) {
                g->slots[n].not_before = 0;
                group_mark(g);
            }
        }
        if (g->sleep_ends && g->sleep_ends <= now) {
            g->sleep_ends = 0;
            group_mark(g);
        }
    }
    fleet_wake(f);
}

/* Wakes up when the first slot of all may start again or the first sleeper has slept for too long,
 * whichever groups there was news of. */
static void set_back_off(struct fleet *f, msec now) {
    msec next = 0;
    MAP_FOREACH (e, &f->groups) {
        const struct group *g = e->value;
        for (size_t n = 0; n < g->slot_count; n++) {
            msec at = g->slots[n].not_before;
            if (at && (next == 0 || at < next)) {
                next = at;
            }
        }
        if (g->sleep_ends && (next == 0 || g->sleep_ends < next)) {
            next = g->sleep_ends;
        }
    }
    if (next) {
        uv_timer_start(&f->back_off, on_back_off, next > now ? (uint64_t)(next - now) : 0, 0);
    }
}

/* Load changes without news, too: it decays, and surplus goes by time. */
static void on_tick(uv_timer_t *timer) {
    struct fleet *f = timer->data;
    MAP_FOREACH (e, &f->groups) {
        struct group *g = e->value;
        if (group_is_scaled(g) && g->decided.next > 0) {
            group_mark(g);
        }
    }
}

static void set_tick(struct fleet *f, const struct group *g) {
    if (group_is_scaled(g) && g->decided.next > 0 && !uv_is_active((uv_handle_t *)&f->tick)) {
        uv_timer_start(&f->tick, on_tick, (uint64_t)g->decided.next, 0);
    }
}

static void write_records(struct fleet *f) {
    MAP_FOREACH (e, &f->groups) {
        struct group *g = e->value;
        LIST_FOREACH (item, &g->instances) {
            struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
            if (i->unrecorded) {
                instance_record(i);
            }
        }
    }
}

void fleet_on_converge(uv_idle_t *idle) {
    struct fleet *f = idle->data;
    msec now = clock_msec();
    uv_idle_stop(&f->converger);
    if (f->adopting) {
        return;
    }
    MAP_FOREACH (e, &f->groups) {
        struct group *g = e->value;
        if (g->dirty) {
            g->dirty = false;
            converge_group(g, now);
            set_tick(f, g);
        }
        if (is_over(g)) {
            map_remove(&f->groups, g->key);
            group_free(g);
        }
    }
    fleet_sync_rows(f);
    write_records(f);
    limit_pool(f);
    fleet_memory_review(f);
    set_back_off(f, now);
}

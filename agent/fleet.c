/* The instances of this host. SPDX-License-Identifier: Apache-2.0
 *
 * Whatever happens marks a group and wakes the converger, an idle handle that runs once in the same
 * turn of the loop; so ten events of one turn are one decision. Rows for the proxy are gathered
 * meanwhile and leave together with one sync.
 */
#include "fleet.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <paas/clock.h>
#include <paas/log.h>
#include <paas/map.h>
#include <paas/str.h>

#include "converge.h"
#include "demand.h"
#include "launch.h"
#include "record.h"
#include "respawn.h"

enum {
    GROUP_KEY_SIZE = NAME_SIZE * 2 + 24, /* "app/process@release" */
    ENDED_KEPT = 5,                      /* ended instances of a process whose logs stay */
    ENDED_WITHOUT_GRANT = 20, /* the same of all apps that were stopped or destroyed, together:
                                 each has up to two log segments in memory */
};

/* What is remembered of slot number n beyond its instance. */
struct slot {
    int64_t restarts;
    int64_t failures; /* in a row */
    msec not_before;  /* monotonic */
    struct last_exit last_exit;
};

struct group {
    struct fleet *fleet;
    char key[GROUP_KEY_SIZE];
    char app[NAME_SIZE], process[NAME_SIZE];
    int64_t release;
    struct grant grant; /* in force; zero floor and ceiling when none is */
    bool granted, dirty;
    struct list instances; /* struct agent_instance; ended ones, too */
    struct slot *slots;
    size_t slot_count;
    struct local_message told; /* the app row as the proxy knows it, if this group speaks */
    bool speaks;
    struct demand demand;
    struct demand_sample seen; /* as the proxy last said */
    struct demand_decision decided;
};

struct fleet {
    struct fleet_options options;
    struct instance_host host;
    struct local_proxy *proxy;
    struct map groups; /* struct group by key */
    uv_idle_t converger;
    uv_timer_t back_off; /* the next slot that may start again */
    uv_timer_t tick;     /* decisions that are due without news */
    int handles;
    bool rows_pending; /* rows for the proxy that no sync has sent */
    bool adopting;
    void (*adopted)(void *data);
};

/* --- groups ----------------------------------------------------------------------------------- */

static void on_converge(uv_idle_t *idle);

static void wake(struct fleet *f) {
    uv_idle_start(&f->converger, on_converge);
}

static void mark(struct group *g) {
    g->dirty = true;
    wake(g->fleet);
}

static void group_key(
    char key[GROUP_KEY_SIZE], const char *app, const char *process, int64_t release) {
    snprintf(key, GROUP_KEY_SIZE, "%s/%s@%" PRId64, app, process, release);
}

static struct group *group_get(
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
    str_copy(g->key, sizeof g->key, key);
    str_copy(g->app, sizeof g->app, app);
    str_copy(g->process, sizeof g->process, process);
    list_init(&g->instances);
    return g;
}

static struct slot *slot_get(struct group *g, int number) {
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

static void group_free(struct group *g) {
    LIST_FOREACH_SAFE (item, after, &g->instances) {
        struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
        list_remove(&i->link);
        instance_release(i);
    }
    free(g->slots);
    free(g);
}

/* --- rows for the proxy ----------------------------------------------------------------------- */

static void send_instance(struct fleet *f, const struct agent_instance *i) {
    struct local_message m = {
        .type = i->phase >= PHASE_DESTROY ? LOCAL_GONE : LOCAL_INSTANCE,
        .release = i->row.release,
        .port = i->row.port,
        .state = i->row.state,
    };
    memcpy(m.id, i->row.id, sizeof m.id);
    memcpy(m.app, i->row.app, sizeof m.app);
    memcpy(m.process, i->row.process, sizeof m.process);
    memcpy(m.address, i->row.address, sizeof m.address);
    local_proxy_send(f->proxy, &m);
    f->rows_pending = true;
}

static int64_t count_starting(const struct group *g) {
    int64_t starting = 0;
    LIST_FOREACH (item, &g->instances) {
        const struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
        starting += i->phase <= PHASE_START && i->reason == END_NONE;
    }
    return starting;
}

static int64_t count_serving(const struct group *g) {
    int64_t serving = 0;
    LIST_FOREACH (item, &g->instances) {
        serving += LIST_ITEM(item, struct agent_instance, link)->phase == PHASE_SERVE;
    }
    return serving;
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
static void tell_app(struct group *g, bool force) {
    struct fleet *f = g->fleet;
    struct local_message m = { .type = LOCAL_APP, .starting = count_starting(g) };
    if (!g->granted || !g->grant.target_of_demand) {
        stop_speaking(g);
        return;
    }
    memcpy(m.app, g->app, sizeof m.app);
    memcpy(m.process, g->process, sizeof m.process);
    int64_t running = count_serving(g) + m.starting;
    m.can_grow = running < g->grant.ceiling;
    /* A slot that waits after a failure starts again by itself: worth waiting for, briefly. */
    if (running < g->grant.floor) {
        m.starting += g->grant.floor - running;
    }
    str_copy(m.reason, sizeof m.reason, m.can_grow ? failing_reason(g) : "ceiling");
    if (force || !g->speaks || memcmp(&m, &g->told, sizeof m) != 0) {
        g->told = m;
        g->speaks = true;
        local_proxy_send(f->proxy, &m);
        f->rows_pending = true;
    }
}

/* Sends what was gathered; whoever waits for the proxy waits for this sync. */
static void sync_rows(struct fleet *f) {
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
        tell_app(g, true);
        LIST_FOREACH (item, &g->instances) {
            struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
            if (i->phase < PHASE_DESTROY && i->phase >= PHASE_START) {
                send_instance(f, i);
            }
            /* A new proxy's first acknowledgement says it for all of them. */
            if (i->rotation) {
                i->rotation = INT64_MAX;
            }
        }
    }
    f->rows_pending = true;
    wake(f);
}

void fleet_proxy_lost(struct fleet *f) {
    f->rows_pending = true; /* the sync finds nobody and acknowledges for all */
    wake(f);
}

/* --- finding ---------------------------------------------------------------------------------- */

static struct agent_instance *find_id(struct fleet *f, const char *id) {
    MAP_FOREACH (e, &f->groups) {
        struct group *g = e->value;
        LIST_FOREACH (item, &g->instances) {
            struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
            if (strcmp(i->row.id, id) == 0) {
                return i;
            }
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

/* --- convergence ------------------------------------------------------------------------------ */

static const struct process_spec *find_process(
    const struct release_config *release, const char *name) {
    const struct process_spec *specs = release ? release->processes.items : NULL;
    for (size_t n = 0; release && n < release->processes.count; n++) {
        if (strcmp(specs[n].name, name) == 0) {
            return &specs[n];
        }
    }
    return NULL;
}

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

/* Those that are not on their way out. */
static size_t gather(struct group *g, struct converge_instance *to, struct agent_instance **who) {
    size_t count = 0;
    LIST_FOREACH (item, &g->instances) {
        struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
        if (i->phase <= PHASE_FROZEN && !(i->phase < PHASE_SERVE && i->reason != END_NONE) &&
            count < INSTANCES_PER_NODE) {
            to[count] = (struct converge_instance){ i->number, life_of(i), i->in_flight };
            who[count++] = i;
        }
    }
    return count;
}

static void start_slot(struct group *g, const struct release_config *release, int number) {
    const struct process_spec *specs = release->processes.items;
    struct slot *slot = slot_get(g, number);
    struct err err;
    for (size_t n = 0; slot && n < release->processes.count; n++) {
        if (strcmp(specs[n].name, g->process) != 0) {
            continue;
        }
        struct instance_spec spec = {
            .release = release,
            .process = &specs[n],
            .config = g->grant.config,
            .number = number,
            .restarts = slot->restarts,
            .failures = slot->failures,
            .last_exit = &slot->last_exit,
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
        return;
    }
}

/* Whether load decides how many run. */
static bool is_scaled(const struct group *g) {
    return g->granted && g->grant.target_of_demand && g->grant.concurrency > 0 &&
           g->grant.floor < g->grant.ceiling;
}

/* How many shall run, within the grant. */
static int64_t wanted_running(struct group *g, msec now) {
    if (!is_scaled(g)) {
        return g->granted ? g->grant.floor : 0;
    }
    if (!local_proxy_is_connected(g->fleet->proxy)) {
        /* Nobody says what the load is: nothing is given up on silence. */
        int64_t running = count_serving(g) + count_starting(g);
        return running < g->grant.floor     ? g->grant.floor
               : running > g->grant.ceiling ? g->grant.ceiling
                                            : running;
    }
    struct demand_settings settings = {
        .concurrency = g->grant.concurrency,
        .min = g->grant.floor,
        .max = g->grant.ceiling,
        .idle = g->grant.idle,
    };
    struct demand_sample sample = g->seen;
    sample.now = now;
    sample.ready = count_serving(g);
    /* What instances have beyond their slots waits as well, though not at the proxy. */
    int64_t slots = sample.ready * settings.concurrency;
    if (sample.in_flight > slots) {
        sample.held += sample.in_flight - slots;
        sample.in_flight = slots;
    }
    sample.starting = count_starting(g);
    enum demand_reason before = g->decided.reason;
    int64_t running = g->decided.running;
    demand_decide(&g->demand, &settings, &sample, &g->decided);
    if (g->decided.running != running || g->decided.reason != before) {
        log_debug("%s: %" PRId64 " running, %s: in_flight=%" PRId64 " held=%" PRId64, g->key,
            g->decided.running, demand_reason_words[g->decided.reason], sample.in_flight,
            sample.held);
    }
    return g->decided.running;
}

/* How many may sleep rather than end: those that a grant keeps, and for a scaled process a few that
 * the next rise can wake. */
static int64_t wanted_frozen(const struct group *g) {
    enum { SLEEPERS_MIN = 2, SLEEPERS_SHARE = 10 };
    if (!is_scaled(g)) {
        return g->grant.frozen;
    }
    int64_t share = g->grant.ceiling / SLEEPERS_SHARE;
    int64_t sleepers = share > SLEEPERS_MIN ? share : SLEEPERS_MIN;
    return sleepers > g->grant.frozen ? sleepers : g->grant.frozen;
}

/* Which slots wait. */
static void find_blocked(const struct group *g, bool *blocked, msec now) {
    for (size_t n = 0; n < g->slot_count; n++) {
        blocked[n] = g->slots[n].not_before > now;
    }
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
    struct converge_input in = {
        .wanted = wanted_running(g, now),
        .frozen = g->granted ? wanted_frozen(g) : 0,
        .instances = instances,
        .count = gather(g, instances, who),
        .blocked = blocked,
        .blocked_count = g->slot_count,
    };
    size_t count = converge(&in, actions);
    for (size_t n = 0; n < count; n++) {
        switch (actions[n].kind) {
        case CONVERGE_START:
            if (release) {
                start_slot(g, release, actions[n].number);
            }
            break;
        case CONVERGE_STOP:
            instance_stop(who[actions[n].index], END_STOPPED,
                g->granted ? "was stopped: fewer are wanted"
                           : "was stopped: its release is not wanted any more");
            break;
        case CONVERGE_FREEZE:
            instance_freeze(who[actions[n].index]);
            break;
        case CONVERGE_THAW:
            instance_thaw(who[actions[n].index]);
            break;
        }
    }
    tell_app(g, false);
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
                mark(g);
            }
        }
    }
    wake(f);
}

/* Wakes up when the first slot of all may start again, whichever groups there was news of. */
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
        if (is_scaled(g) && g->decided.next > 0) {
            mark(g);
        }
    }
}

static void set_tick(struct fleet *f, const struct group *g) {
    if (is_scaled(g) && g->decided.next > 0 && !uv_is_active((uv_handle_t *)&f->tick)) {
        uv_timer_start(&f->tick, on_tick, (uint64_t)g->decided.next, 0);
    }
}

static void on_converge(uv_idle_t *idle) {
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
    sync_rows(f);
    set_back_off(f, now);
}

/* --- news of instances ------------------------------------------------------------------------ */

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
        send_instance(f, i);
    }
    mark(i->group);
    f->options.changed(f->options.data);
}

/* Its successor, where it started before the end, tells of it. */
static void tell_successor(struct group *g, const struct agent_instance *ended) {
    const struct slot *slot = slot_get(g, ended->number);
    LIST_FOREACH (item, &g->instances) {
        struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
        if (i != ended && i->number == ended->number && i->phase < PHASE_DESTROY) {
            i->row.last_exit = slot->last_exit;
            i->row.restarts = slot->restarts;
            i->failures = slot->failures;
            if (i->phase >= PHASE_START) {
                instance_record(i);
            }
        }
    }
}

/* Counts an end and says when its slot may start again. */
static void count_end(struct group *g, const struct agent_instance *i, bool asked) {
    struct slot *slot = slot_get(g, i->number);
    if (!slot) {
        return;
    }
    if (i->reason == END_STOPPED) {
        return; /* as it was wanted: nothing to tell of the next one in the slot */
    }
    slot->last_exit = i->row.last_exit;
    slot->restarts++;
    if (!asked) {
        msec now = clock_msec();
        slot->failures = respawn_count(i->failures, i->healthy_since ? now - i->healthy_since : 0);
        msec delay = respawn_delay(slot->failures, (uint32_t)(now ^ i->init_pid * 2654435761u));
        slot->not_before = delay ? now + delay : 0;
    }
    tell_successor(g, i);
}

static void on_instance_ended(void *ctx, struct agent_instance *i, bool asked) {
    struct fleet *f = ctx;
    count_end(i->group, i, asked);
    send_instance(f, i);
    mark(i->group);
    f->options.changed(f->options.data);
}

/* Lets an ended instance go, and its directory with it. */
static void forget(struct fleet *f, struct agent_instance *i) {
    struct err err;
    struct group *g = i->group;
    if (record_remove(f->host.directory_fd, i->row.id, &err) < 0) {
        log_warn("removing the directory of %s: %s", i->row.id, err.text);
    }
    list_remove(&i->link);
    instance_release(i);
    mark(g);
}

static bool has_grant(const struct fleet *f, const struct group *of) {
    MAP_FOREACH (e, &f->groups) {
        const struct group *g = e->value;
        if (g->granted && strcmp(g->app, of->app) == 0 && strcmp(g->process, of->process) == 0) {
            return true;
        }
    }
    return false;
}

/* The oldest ended instance that nobody waits to hear of, and how many there are: of the process of
 * a group, or, without one, of all that have no grant. */
static struct agent_instance *oldest_ended(
    const struct fleet *f, const struct group *of, size_t *ended) {
    struct agent_instance *oldest = NULL;
    *ended = 0;
    MAP_FOREACH (e, &f->groups) {
        const struct group *g = e->value;
        if (of ? strcmp(g->app, of->app) != 0 || strcmp(g->process, of->process) != 0
               : has_grant(f, g)) {
            continue;
        }
        LIST_FOREACH (item, &g->instances) {
            struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
            if (i->phase == PHASE_ENDED && i->acknowledged) {
                ++*ended;
                if (!oldest || i->row.created_at < oldest->row.created_at) {
                    oldest = i;
                }
            }
        }
    }
    return oldest;
}

/* Bounds what is kept of the process's dead instances, and of all apps that are not run here. */
static void trim_ended(struct fleet *f, const struct group *of) {
    struct agent_instance *i;
    size_t ended;
    while ((i = oldest_ended(f, of, &ended)) && ended > ENDED_KEPT) {
        forget(f, i);
    }
    while ((i = oldest_ended(f, NULL, &ended)) && ended > ENDED_WITHOUT_GRANT) {
        forget(f, i);
    }
}

static void on_instance_gone(void *ctx, struct agent_instance *i) {
    struct fleet *f = ctx;
    trim_ended(f, i->group);
    mark(i->group);
}

void fleet_acknowledge(struct fleet *f, struct agent_instance *i) {
    if (!i->acknowledged && (i->phase == PHASE_DESTROY || i->phase == PHASE_ENDED)) {
        i->acknowledged = true;
        instance_record(i);
        trim_ended(f, i->group);
    }
}

/* The load of an app's process: for the group that demand goes to. */
static void take_demand(struct fleet *f, const struct local_message *m) {
    MAP_FOREACH (e, &f->groups) {
        struct group *g = e->value;
        if (g->granted && g->grant.target_of_demand && strcmp(g->app, m->app) == 0 &&
            strcmp(g->process, m->process) == 0) {
            g->seen = (struct demand_sample){
                .in_flight = m->in_flight,
                .held = m->held,
                .oldest_held = m->oldest_ms,
                .arrived = m->requests,
            };
            mark(g);
            return;
        }
    }
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
        if ((i = find_id(f, m->id))) {
            instance_drained(i);
        }
        return;
    case LOCAL_SUSPECT:
        if ((i = find_id(f, m->id))) {
            instance_suspect(i);
        }
        return;
    case LOCAL_DEMAND:
        take_demand(f, m);
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

/* --- grants and configurations ---------------------------------------------------------------- */

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
            forget(f, i);
        }
    }
    LIST_FOREACH (item, &g->instances) {
        struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
        if (strcmp(i->config, config) != 0) {
            instance_stop(i, END_STOPPED, "was stopped: its app was destroyed");
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
        replace_namesake(f, g, row->config);
        if (row->attempt != g->grant.attempt) {
            /* Somebody asked anew: what failed before counts no more. */
            for (size_t k = 0; k < g->slot_count; k++) {
                g->slots[k].failures = 0;
                g->slots[k].not_before = 0;
            }
        }
        g->grant = *row;
        g->granted = true;
        g->dirty = true;
    }
    wake(f);
}

void fleet_config_arrived(struct fleet *f, const char *digest) {
    MAP_FOREACH (e, &f->groups) {
        struct group *g = e->value;
        if (strcmp(g->grant.config, digest) == 0) {
            mark(g);
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

/* --- adoption --------------------------------------------------------------------------------- */

static int adopt_one(struct fleet *f, const char *id, struct err *err) {
    struct record record;
    if (record_read(f->host.directory_fd, id, &record, err) < 0) {
        return -1;
    }
    struct group *g = group_get(f, record.row.app, record.row.process, record.row.release, err);
    if (!g) {
        return -1;
    }
    const struct release_config *release = configs_get(f->options.configs, record.config);
    struct instance_spec spec = {
        .release = release,
        .process = find_process(release, record.row.process),
        .config = record.config,
        .group = g,
    };
    struct agent_instance *i = instance_adopt(&f->host, &record, &spec, err);
    if (!i) {
        return -1;
    }
    list_append(&g->instances, &i->link);
    struct slot *slot = slot_get(g, i->number);
    if (slot) {
        bool failed = i->row.state == INSTANCE_FAILED;
        int64_t restarts = i->row.restarts + failed;
        slot->restarts = restarts > slot->restarts ? restarts : slot->restarts;
        slot->failures =
            i->failures + failed > slot->failures ? i->failures + failed : slot->failures;
    }
    log_info("instance %s app=%s slot=%s adopted, %s", i->row.id, i->row.app, i->row.slot,
        i->phase <= PHASE_SERVE ? "running" : "ended");
    return 0;
}

static void on_swept(
    void *data, const struct spawner_answer *answer, int *fds, const struct err *err) {
    struct fleet *f = data;
    (void)answer;
    (void)fds;
    if (err->code != ERR_OK) {
        log_error("sweeping leftovers: %s", err->text);
    }
    f->adopting = false;
    wake(f);
    f->adopted(f->options.data);
}

static void keep_one(void *data, struct agent_instance *i) {
    struct spawner_keep *keep = data;
    if (i->phase < PHASE_DESTROY && keep->count < INSTANCES_PER_NODE) {
        str_copy(keep->ids[keep->count++], SANDBOX_ID_MAX, i->row.id);
    }
}

static void adopt_or_remove(void *data, const char *id) {
    struct fleet *f = data;
    struct err err;
    if (adopt_one(f, id, &err) < 0) {
        log_warn("sweeping %s: %s", id, err.text);
        record_remove(f->host.directory_fd, id, NULL);
    }
}

int fleet_adopt(struct fleet *f, void (*adopted)(void *data), struct err *err) {
    if (record_list(f->host.directory_fd, adopt_or_remove, f, err) < 0) {
        return -1;
    }
    struct spawner_request request = { .operation = SPAWNER_SWEEP };
    fleet_each(f, true, keep_one, &request.keep);
    f->adopting = true;
    f->adopted = adopted;
    return spawner_ask(f->host.spawner, &request, NULL, on_swept, f, err);
}

/* --- life ------------------------------------------------------------------------------------- */

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
    map_init(&f->groups);
    f->converger.data = f->back_off.data = f->tick.data = f;
    uv_idle_init(f->host.loop, &f->converger);
    uv_timer_init(f->host.loop, &f->back_off);
    uv_timer_init(f->host.loop, &f->tick);
    f->handles = 3;
    return f;
}

static void on_closed(uv_handle_t *handle) {
    struct fleet *f = handle->data;
    if (--f->handles == 0) {
        map_free(&f->groups);
        free(f);
    }
}

void fleet_close(struct fleet *f) {
    if (!f) {
        return;
    }
    MAP_FOREACH (e, &f->groups) {
        group_free(e->value);
    }
    uv_close((uv_handle_t *)&f->converger, on_closed);
    uv_close((uv_handle_t *)&f->back_off, on_closed);
    uv_close((uv_handle_t *)&f->tick, on_closed);
}

/* Memory of this host: who may start, what is given up. SPDX-License-Identifier: Apache-2.0
 *
 * A timer looks at what is available, once a second while all is well, and has shortage.c decide.
 * Starts are held against the last look, less what those on their way will take; only where that is
 * tight is there another look. What can't start is remembered in its group: it is what the next
 * look gives something up for, and what makes the host "full" when there is nothing to give up.
 */
#include "fleet_parts.h"

#include <inttypes.h>
#include <string.h>

#include <paas/log.h>

#include "configs.h"
#include "launch.h"

enum {
    STALE_MS = 100, /* a look older than this does not decide a tight case */
    FULL_SHOWN_MS =
        5000,          /* the host says for so long that it is full, so that it does not flicker */
    YOUNG_MS = 3000,   /* after its start what an instance uses is read again at each tight look, */
    YOUNG_A_LOOK = 50, /* of so many at most: two files each */
    START_SHARE = 4,   /* a part of its limit that an instance takes, before one was measured */
};
#define AHEAD_BYTES (INT64_C(900) << 10)      /* of a sandbox made ahead */
#define VICTIM_BYTES_MIN (INT64_C(256) << 10) /* what the kernel alone holds for an instance */

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static bool is_asleep(const struct agent_instance *i) {
    return i->phase == PHASE_FREEZE || i->phase == PHASE_FROZEN;
}

static bool is_awake(const struct agent_instance *i) {
    return i->phase <= PHASE_SERVE && i->reason == END_NONE;
}

static bool is_leaving(const struct agent_instance *i) {
    return i->phase == PHASE_DRAIN || i->phase == PHASE_STOP || i->phase == PHASE_DESTROY;
}

static int64_t count(const struct group *g, bool (*which)(const struct agent_instance *i)) {
    int64_t n = 0;
    LIST_FOREACH (item, &g->instances) {
        n += which(LIST_ITEM(item, struct agent_instance, link));
    }
    return n;
}

/* A release that does not serve any more and may be gone back to. */
static bool is_kept(const struct group *g) {
    return g->granted && g->grant.ceiling == 0;
}

/* How many of it are promised at this time of day. */
static int64_t floor_of(const struct group *g) {
    int64_t scheduled = group_scheduled(g);
    return larger(g->grant.floor, scheduled < g->grant.ceiling ? scheduled : g->grant.ceiling);
}

static int64_t limit_of(const struct group *g) {
    const struct release_config *release = configs_get(g->fleet->options.configs, g->grant.config);
    const struct process_spec *process = release_process(release, g->process);
    return process ? process->memory : MEMORY_DEFAULT;
}

/* What one more of a group will take: as much as the largest that lives. */
static int64_t expects(const struct group *g) {
    int64_t most = 0;
    LIST_FOREACH (item, &g->instances) {
        const struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
        most = i->phase <= PHASE_FROZEN ? larger(most, i->row.memory_bytes) : most;
    }
    return most ? most : limit_of(g) / START_SHARE;
}

/* What those on their way will take and have not taken yet. */
static int64_t committed(const struct fleet *f) {
    int64_t bytes = 0;
    MAP_FOREACH (e, &f->groups) {
        const struct group *g = e->value;
        int64_t starting = group_starting(g);
        bytes += starting ? starting * expects(g) : 0;
    }
    return bytes;
}

/* ---- who may start ---- */

static void look(struct fleet *f);

static void read_capacity(struct fleet *f) {
    struct fleet_memory *m = &f->memory;
    struct err err;
    m->looked = clock_msec();
    if (capacity_read(f->host.cgroups, &m->host, &err) < 0) {
        log_warn("how much memory there is: %s", err.text);
    }
}

/* What is free for starts of `wanted` bytes. */
static int64_t room_for(struct fleet *f, int64_t wanted) {
    const struct capacity *host = &f->memory.host;
    int64_t taken = committed(f);
    bool tight = host->memory_available - taken - wanted < 2 * shortage_reserve(host->memory_total);
    if (tight && clock_msec() - f->memory.looked > STALE_MS) {
        read_capacity(f);
    }
    return host->memory_available - taken;
}

int64_t fleet_memory_allow(struct group *g, int64_t wanted) {
    struct fleet_memory *m = &g->fleet->memory;
    int64_t have = count(g, is_awake) + count(g, is_asleep);
    int64_t missing = wanted - have;
    g->owed = g->asked = 0;
    if (missing <= 0 || m->host.memory_total == 0) {
        return wanted;
    }
    int64_t total = m->host.memory_total, each = expects(g);
    int64_t promised = smaller(larger(floor_of(g) - have, 0), missing);
    int64_t grown = missing - promised;
    int64_t room = room_for(g->fleet, missing * each);
    int64_t kept = smaller(promised, shortage_fit(total, room, each, true));
    room -= promised * each;
    int64_t more = kept == promised && shortage_allows(&m->shortage, SHORTAGE_SURPLUS)
                       ? smaller(grown, shortage_fit(total, room, each, false))
                       : 0;
    g->owed = (promised - kept) * each;
    g->asked = (grown - more) * each;
    return have + kept + more;
}

int64_t fleet_memory_frozen(const struct group *g, int64_t frozen) {
    enum shortage_stage stage = is_kept(g) ? SHORTAGE_KEPT : SHORTAGE_SLEEPERS;
    bool may = shortage_allows(&g->fleet->memory.shortage, stage);
    return may ? frozen : smaller(frozen, count(g, is_asleep));
}

int64_t fleet_memory_standby(struct group *g, int64_t wanted, int64_t standby) {
    struct fleet_memory *m = &g->fleet->memory;
    int64_t asleep = count(g, is_asleep);
    if (standby <= asleep || m->host.memory_total == 0) {
        return standby;
    }
    if (!shortage_allows(&m->shortage, SHORTAGE_SLEEPERS)) {
        return asleep;
    }
    /* Those on their way to be standbys have their room already. */
    int64_t coming = larger(count(g, is_awake) - wanted, 0);
    int64_t each = expects(g), missing = larger(standby - asleep - coming, 0);
    int64_t room = missing ? room_for(g->fleet, missing * each) : 0;
    int64_t fit = missing ? shortage_fit(m->host.memory_total, room, each, false) : 0;
    return smaller(standby, asleep + coming + fit);
}

bool group_is_full(const struct group *g) {
    return g->fleet->memory.spent && (g->owed > 0 || g->asked > 0);
}

size_t fleet_memory_pool(struct fleet *f) {
    struct fleet_memory *m = &f->memory;
    size_t ready = pool_ready(f->host.pool);
    if (shortage_allows(&m->shortage, SHORTAGE_POOL)) {
        m->pool_most = SIZE_MAX;
    } else if (ready < m->pool_most) {
        m->pool_most = ready; /* taken, and not made again */
    }
    return m->pool_most;
}

/* ---- what is given up ---- */

/* Of a group, what belongs to each stage: counted once, not for each of its instances. */
struct stock_of {
    int64_t surplus; /* running over its floor */
    bool kept;
    bool spare; /* more sleep than its app wants as standbys */
};

static struct stock_of stock_of(const struct group *g) {
    return (struct stock_of){
        .surplus = g->granted ? count(g, is_awake) - floor_of(g) : 0,
        .kept = is_kept(g),
        .spare = count(g, is_asleep) > g->grant.frozen,
    };
}

static bool belongs(
    const struct agent_instance *i, const struct stock_of *of, enum shortage_stage stage) {
    const struct group *g = i->group;
    switch (stage) {
    case SHORTAGE_KEPT:
        return of->kept && is_asleep(i);
    case SHORTAGE_SLEEPERS:
        return g->granted && !of->kept && is_asleep(i);
    case SHORTAGE_SURPLUS:
        return of->surplus > 0 && is_awake(i);
    case SHORTAGE_POOL:
    case SHORTAGE_STAGES:
        break;
    }
    return false;
}

/* One that may be given up next. */
struct victim {
    struct agent_instance *instance; /* NULL: there is none */
    bool spare;
};

/* True if `a` should go before `b`: of sleepers those that are no standby, then who sleeps longest;
 * of those that run the idlest, then the newest. */
static bool goes_first(enum shortage_stage stage, const struct victim *a, const struct victim *b) {
    const struct agent_instance *i = a->instance, *k = b->instance;
    if (!k) {
        return true;
    }
    if (stage != SHORTAGE_SURPLUS) {
        return a->spare != b->spare ? a->spare : i->frozen_since < k->frozen_since;
    }
    return i->in_flight != k->in_flight ? i->in_flight < k->in_flight : i->decided > k->decided;
}

static struct agent_instance *next_of(struct fleet *f, enum shortage_stage stage) {
    struct victim next = { 0 };
    MAP_FOREACH (e, &f->groups) {
        const struct group *g = e->value;
        struct stock_of of = stock_of(g);
        LIST_FOREACH (item, &g->instances) {
            struct victim victim = { LIST_ITEM(item, struct agent_instance, link), of.spare };
            if (belongs(victim.instance, &of, stage) && goes_first(stage, &victim, &next)) {
                next = victim;
            }
        }
    }
    return next.instance;
}

static int64_t bytes_of(const struct agent_instance *i) {
    return larger(i->row.memory_bytes, VICTIM_BYTES_MIN);
}

/* Counts those of a group; each is taken for as large as the largest, so that no more than needed
 * goes in one step. */
static void count_stock(const struct group *g, struct shortage_stock *stock) {
    struct stock_of of = stock_of(g);
    stock[SHORTAGE_SURPLUS].count += larger(of.surplus, 0);
    LIST_FOREACH (item, &g->instances) {
        const struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
        for (enum shortage_stage stage = SHORTAGE_KEPT; stage < SHORTAGE_STAGES; stage++) {
            if (belongs(i, &of, stage)) {
                stock[stage].count += stage != SHORTAGE_SURPLUS;
                stock[stage].bytes_each = larger(stock[stage].bytes_each, bytes_of(i));
            }
        }
    }
}

/* What the youngest use is not known from the last report, and may matter now. */
static void measure_young(struct fleet *f) {
    struct fleet_memory *m = &f->memory;
    int left = YOUNG_A_LOOK;
    if (m->host.memory_available >= 2 * shortage_reserve(m->host.memory_total)) {
        return;
    }
    MAP_FOREACH (e, &f->groups) {
        const struct group *g = e->value;
        LIST_FOREACH (item, &g->instances) {
            struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
            if (m->looked - i->decided < YOUNG_MS && left-- > 0) {
                instance_measure(i);
            }
        }
    }
}

static void see(struct fleet *f, struct shortage_input *in) {
    struct fleet_memory *m = &f->memory;
    *in = (struct shortage_input){
        .now = m->looked, .total = m->host.memory_total, .available = m->host.memory_available
    };
    in->stock[SHORTAGE_POOL] =
        (struct shortage_stock){ (int64_t)pool_ready(f->host.pool), AHEAD_BYTES };
    m->promised = m->used = 0;
    MAP_FOREACH (e, &f->groups) {
        const struct group *g = e->value;
        in->owed += g->owed;
        in->asked += g->asked;
        count_stock(g, in->stock);
        LIST_FOREACH (item, &g->instances) {
            const struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
            bool lives = i->phase <= PHASE_STOP;
            m->promised += lives && i->spec ? i->spec->memory : 0;
            m->used += lives ? i->row.memory_bytes : 0;
            in->returning += is_leaving(i) ? i->row.memory_bytes : 0;
        }
    }
}

static void give_up(struct fleet *f, const struct shortage_decision *decision) {
    struct fleet_memory *m = &f->memory;
    struct agent_instance *i;
    int64_t left = decision->count;
    log_info("memory is short, %" PRId64 "M of %" PRId64 "M are available: gives up %" PRId64 " %s",
        m->host.memory_available >> 20, m->host.memory_total >> 20, left,
        shortage_stage_names[decision->stage]);
    m->given_up[decision->stage] += left;
    if (decision->stage == SHORTAGE_POOL) {
        m->pool_most = pool_ready(f->host.pool) - (size_t)left;
        fleet_wake(f); /* which limits the pool */
        return;
    }
    for (; left > 0 && (i = next_of(f, decision->stage)); left--) {
        instance_stop(i, END_STOPPED, "was given up: the host is short of memory");
    }
}

/* Groups that lack something are looked at again: there may be room now, or no hope. So are all
 * where more may be made again. */
static void mark_short(struct fleet *f, bool all) {
    MAP_FOREACH (e, &f->groups) {
        struct group *g = e->value;
        if (all || g->owed > 0 || g->asked > 0) {
            group_mark(g);
        }
    }
}

static void say_full(struct fleet *f, const struct shortage_input *in) {
    struct fleet_memory *m = &f->memory;
    bool before = m->full;
    m->full_since = m->spent && in->owed + in->asked > 0 ? m->looked : m->full_since;
    m->full = m->full_since && m->looked - m->full_since < FULL_SHOWN_MS;
    if (m->full != before) {
        log_info("the host %s",
            m->full ? "is full: what should start has no room in its memory" : "has room again");
        f->options.changed(f->options.data);
    }
}

static void on_timer(uv_timer_t *timer) {
    look(timer->data);
}

static void look(struct fleet *f) {
    struct fleet_memory *m = &f->memory;
    struct shortage_input in;
    struct shortage_decision decision = { .next = SHORTAGE_LOOK_MS };
    read_capacity(f);
    if (!f->adopting && m->host.memory_total > 0) {
        int held = m->shortage.stages;
        measure_young(f);
        see(f, &in);
        shortage_decide(&m->shortage, &in, &decision);
        m->spent = decision.spent;
        m->lacked = in.owed + in.asked;
        say_full(f, &in);
        if (decision.count > 0) {
            give_up(f, &decision);
        }
        mark_short(f, m->shortage.stages < held);
    }
    uv_timer_start(&m->timer, on_timer, (uint64_t)decision.next, 0);
}

void fleet_memory_review(struct fleet *f) {
    struct fleet_memory *m = &f->memory;
    int64_t lacks = 0;
    MAP_FOREACH (e, &f->groups) {
        const struct group *g = e->value;
        lacks += g->owed + g->asked;
    }
    if (lacks > m->lacked) {
        m->lacked = lacks;
        uv_timer_start(&m->timer, on_timer, 0, 0);
    }
}

void fleet_memory_open(struct fleet *f) {
    f->memory.pool_most = SIZE_MAX;
    f->memory.timer.data = f;
    uv_timer_init(f->host.loop, &f->memory.timer);
    look(f);
}

void fleet_tell_memory(const struct fleet *f, struct fleet_figures *out) {
    const struct fleet_memory *m = &f->memory;
    *out = (struct fleet_figures){
        .host = m->host,
        .reserve = shortage_reserve(m->host.memory_total),
        .promised = m->promised,
        .used = m->used,
        .full = m->full,
    };
    memcpy(out->given_up, m->given_up, sizeof out->given_up);
}

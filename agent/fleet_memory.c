/* Memory of this host: looking at it, and what is given up. SPDX-License-Identifier: Apache-2.0
 *
 * A timer looks at what is available, once a second while all is well, and has shortage.c decide.
 * What can't start is remembered in its group (fleet_room.c): it is what the next look gives
 * something up for, and what makes the host "full" when there is nothing to give up.
 */
#include "fleet_parts.h"

#include <inttypes.h>
#include <string.h>

#include <paas/log.h>

enum {
    FULL_SHOWN_MS =
        5000,          /* the host says for so long that it is full, so that it does not flicker */
    YOUNG_MS = 3000,   /* after its start what an instance uses is read again at each tight look, */
    YOUNG_A_LOOK = 50, /* of so many at most: two files each */
};
#define AHEAD_BYTES (INT64_C(900) << 10)      /* of a sandbox made ahead */
#define VICTIM_BYTES_MIN (INT64_C(256) << 10) /* what the kernel alone holds for an instance */

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static bool is_leaving(const struct agent_instance *i) {
    return i->phase == PHASE_DRAIN || i->phase == PHASE_STOP || i->phase == PHASE_DESTROY;
}

void fleet_memory_read(struct fleet *f) {
    struct fleet_memory *m = &f->memory;
    struct err err;
    m->looked = clock_msec();
    if (capacity_read(f->host.cgroups, &m->host, &err) < 0) {
        log_warn("how much memory there is: %s", err.text);
    }
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
        .surplus = g->granted ? group_awake(g) - group_floor(g) : 0,
        .kept = group_is_kept(g),
        .spare = group_asleep(g) > g->grant.frozen,
    };
}

static bool belongs(
    const struct agent_instance *i, const struct stock_of *of, enum shortage_stage stage) {
    const struct group *g = i->group;
    switch (stage) {
    case SHORTAGE_KEPT:
        return of->kept && instance_sleeps(i);
    case SHORTAGE_SLEEPERS:
        return g->granted && !of->kept && instance_sleeps(i);
    case SHORTAGE_SURPLUS:
        return of->surplus > 0 && instance_runs(i);
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

/* True if `a` should go before `b`: of sleepers those that are no standby, then those that have
 * their memory still, then who sleeps longest; of those that run the idlest, then the newest. */
static bool goes_first(enum shortage_stage stage, const struct victim *a, const struct victim *b) {
    const struct agent_instance *i = a->instance, *k = b->instance;
    if (!k) {
        return true;
    }
    if (stage != SHORTAGE_SURPLUS) {
        bool swapped = instance_in_swap(i);
        return a->spare != b->spare             ? a->spare
               : swapped != instance_in_swap(k) ? !swapped
                                                : i->frozen_since < k->frozen_since;
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
    m->promised = m->used = m->swapped = 0;
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
            m->swapped += lives ? i->row.swapped_bytes : 0;
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

static void on_timer(uv_timer_t *timer);

static void look(struct fleet *f) {
    struct fleet_memory *m = &f->memory;
    struct shortage_input in;
    struct shortage_decision decision = { .next = SHORTAGE_LOOK_MS };
    fleet_memory_read(f);
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
        fleet_give_back(f);
    }
    uv_timer_start(&m->timer, on_timer, (uint64_t)decision.next, 0);
}

static void on_timer(uv_timer_t *timer) {
    look(timer->data);
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
        .swapped = m->swapped,
        .given_back = f->giving.times,
        .full = m->full,
    };
    memcpy(out->given_up, m->given_up, sizeof out->given_up);
}

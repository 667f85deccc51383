/* Room in this host's memory: who may start. SPDX-License-Identifier: Apache-2.0
 *
 * Starts are held against the last look at the host's memory (fleet_memory.c), less what those on
 * their way will take; only where that is tight is there another look. Who sleeps has its memory
 * and wakes without asking, but for those whose memory went to swap: they need it again, as a start
 * does.
 */
#include "fleet_parts.h"

#include "configs.h"
#include "launch.h"

enum {
    STALE_MS = 100,  /* a look older than this does not decide a tight case */
    START_SHARE = 4, /* a part of its limit that an instance takes, before one was measured */
};

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static int64_t asleep_in_memory(const struct group *g) {
    int64_t n = 0;
    LIST_FOREACH (item, &g->instances) {
        const struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
        n += instance_sleeps(i) && !instance_in_swap(i);
    }
    return n;
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
        int64_t has = i->row.memory_bytes + i->row.swapped_bytes;
        most = i->phase <= PHASE_FROZEN ? larger(most, has) : most;
    }
    return most ? most : limit_of(g) / START_SHARE;
}

/* What awake ones have in swap: it comes back as they use it. */
static int64_t in_swap(const struct group *g) {
    int64_t bytes = 0;
    LIST_FOREACH (item, &g->instances) {
        const struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
        bytes += instance_runs(i) ? i->row.swapped_bytes : 0;
    }
    return bytes;
}

/* What those on their way will take and have not taken yet. */
static int64_t committed(const struct fleet *f) {
    int64_t bytes = 0;
    MAP_FOREACH (e, &f->groups) {
        const struct group *g = e->value;
        int64_t starting = group_starting(g);
        bytes += in_swap(g) + (starting ? starting * expects(g) : 0);
    }
    return bytes;
}

/* What is free for starts of `wanted` bytes. */
static int64_t room_for(struct fleet *f, int64_t wanted) {
    const struct capacity *host = &f->memory.host;
    int64_t taken = committed(f);
    bool tight = host->memory_available - taken - wanted < 2 * shortage_reserve(host->memory_total);
    if (tight && clock_msec() - f->memory.looked > STALE_MS) {
        fleet_memory_read(f);
    }
    return host->memory_available - taken;
}

int64_t fleet_memory_allow(struct group *g, int64_t wanted) {
    struct fleet_memory *m = &g->fleet->memory;
    int64_t have = group_awake(g) + asleep_in_memory(g);
    int64_t missing = wanted - have;
    g->owed = g->asked = 0;
    if (missing <= 0 || m->host.memory_total == 0) {
        return wanted;
    }
    int64_t total = m->host.memory_total, each = expects(g);
    int64_t promised = smaller(larger(group_floor(g) - have, 0), missing);
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
    enum shortage_stage stage = group_is_kept(g) ? SHORTAGE_KEPT : SHORTAGE_SLEEPERS;
    bool may = shortage_allows(&g->fleet->memory.shortage, stage);
    return may ? frozen : smaller(frozen, group_asleep(g));
}

int64_t fleet_memory_standby(struct group *g, int64_t wanted, int64_t standby) {
    struct fleet_memory *m = &g->fleet->memory;
    int64_t asleep = group_asleep(g);
    if (standby <= asleep || m->host.memory_total == 0) {
        return standby;
    }
    if (!shortage_allows(&m->shortage, SHORTAGE_SLEEPERS)) {
        return asleep;
    }
    /* Those on their way to be standbys have their room already. */
    int64_t coming = larger(group_awake(g) - wanted, 0);
    int64_t each = expects(g), missing = larger(standby - asleep - coming, 0);
    int64_t room = missing ? room_for(g->fleet, missing * each) : 0;
    int64_t fit = missing ? shortage_fit(m->host.memory_total, room, each, false) : 0;
    return smaller(standby, asleep + coming + fit);
}

bool group_is_full(const struct group *g) {
    return g->fleet->memory.spent && (g->owed > 0 || g->asked > 0);
}

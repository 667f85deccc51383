/* Memory of those that sleep goes to the host's swap. SPDX-License-Identifier: Apache-2.0
 *
 * Who has slept for long will not be asked for in a moment, most likely, and holds memory that
 * others could use. It has its price, though: what has gone comes back page by page as it is used,
 * about 4 ms a MiB with compressed memory as swap. So it is done late, a share of the time after
 * which a sleeper is stopped altogether; and standbys keep all they have: they are there to be
 * quick.
 *
 * One goes after the other, on a thread of their own, as the kernel takes its time. The way to swap
 * is open only meanwhile. A wake closes it and waits for nothing (instance_set_frozen()); an agent
 * that dies leaves it to the next one to close it, and to begin again.
 */
#include "fleet_parts.h"

#include <inttypes.h>

#include <paas/log.h>
#include <paas/str.h>

enum {
    GIVE_BACK_SHARE = 10,  /* of the time until a stop: six minutes of an hour */
    MOVED_MIN = 256 << 10, /* bytes; after a step that moved fewer there is nothing more to move */
};

static bool may_give(const struct agent_instance *i) {
    return i->phase == PHASE_FROZEN && !i->given_back;
}

/* Who of a group sleeps longest, if more sleep than must be quick. */
static struct agent_instance *longest(const struct group *g) {
    struct agent_instance *first = NULL;
    int64_t count = 0;
    LIST_FOREACH (item, &g->instances) {
        struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
        if (may_give(i)) {
            count++;
            first = !first || i->frozen_since < first->frozen_since ? i : first;
        }
    }
    return count > group_standbys(g) ? first : NULL;
}

struct agent_instance *fleet_next_giver(const struct fleet *f, msec now) {
    struct agent_instance *next = NULL;
    MAP_FOREACH (e, &f->groups) {
        const struct group *g = e->value;
        struct agent_instance *i = g->granted ? longest(g) : NULL;
        if (i && now - i->frozen_since >= g->grant.rule.stop_after / GIVE_BACK_SHARE &&
            (!next || i->frozen_since < next->frozen_since)) {
            next = i;
        }
    }
    return next;
}

/* On the worker's thread. */
static void run(struct worker_job *job) {
    struct fleet_giving *giving = (struct fleet_giving *)job;
    giving->result = sandbox_give_back(giving->fleet->host.cgroups, giving->id, &giving->err);
}

static void say_failed(const struct agent_instance *i, const struct err *err) {
    log_warn("%s: its memory is not given back: %s", i->row.id, err->text);
}

static void end(struct fleet_giving *giving, struct agent_instance *i) {
    instance_set_swap(i, false);
    giving->times += i->row.swapped_bytes > giving->before;
    if (giving->result < 0) {
        say_failed(i, &giving->err);
        return;
    }
    log_debug("instance %s app=%s slot=%s gave back memory, %" PRId64 "K of it are in swap",
        i->row.id, i->row.app, i->row.slot, i->row.swapped_bytes >> 10);
}

/* Whether another step makes sense. */
static bool goes_on(const struct fleet_giving *giving, struct agent_instance *i) {
    int64_t before = i->row.memory_bytes;
    instance_measure(i);
    return giving->result == 0 && before - i->row.memory_bytes >= MOVED_MIN;
}

static void done(struct worker_job *job) {
    struct fleet_giving *giving = (struct fleet_giving *)job;
    struct fleet *f = giving->fleet;
    struct agent_instance *i = fleet_find_id(f, giving->id);
    bool sleeps = i && i->giving; /* nobody woke it meanwhile */
    if (sleeps && giving->worker && goes_on(giving, i) &&
        worker_submit(giving->worker, job, NULL) == 0) {
        return;
    }
    giving->id[0] = '\0';
    if (sleeps) {
        end(giving, i);
    }
    fleet_give_back(f); /* the next one */
}

/* Whatever comes of it: once a sleep. */
static void begin(struct fleet_giving *giving, struct agent_instance *i) {
    i->given_back = true;
    giving->result = 0;
    giving->before = i->row.swapped_bytes;
    if (instance_set_swap(i, true) < 0) {
        return;
    }
    str_copy(giving->id, sizeof giving->id, i->row.id);
    if (worker_submit(giving->worker, &giving->job, &giving->err) < 0) {
        giving->id[0] = '\0';
        instance_set_swap(i, false);
        say_failed(i, &giving->err);
    }
}

void fleet_give_back(struct fleet *f) {
    struct fleet_giving *giving = &f->giving;
    if (!giving->worker || giving->id[0] || f->memory.host.swap_free <= 0) {
        return;
    }
    struct agent_instance *i = fleet_next_giver(f, clock_msec());
    if (!i) {
        return;
    }
    instance_measure(i);
    fleet_memory_read(f);
    if (f->memory.host.swap_free > i->row.memory_bytes) {
        begin(giving, i);
    }
}

int fleet_give_back_open(struct fleet *f, struct err *err) {
    f->giving.fleet = f;
    f->giving.job.run = run;
    f->giving.job.done = done;
    f->giving.worker = worker_create(f->host.loop, "agent-give-back", err);
    return f->giving.worker ? 0 : -1;
}

void fleet_give_back_close(struct fleet *f) {
    struct fleet_giving *giving = &f->giving;
    struct worker *worker = giving->worker;
    giving->worker = NULL;
    if (giving->id[0]) {
        sandbox_swap(f->host.cgroups, giving->id, false, NULL);
    }
    worker_destroy(worker);
}

/* Ends of instances: counted, kept for a while, forgotten. SPDX-License-Identifier: Apache-2.0 */
#include "fleet_parts.h"

#include <string.h>

#include <paas/log.h>

#include "record.h"
#include "respawn.h"

enum {
    ENDED_KEPT = 5,           /* ended instances of a process whose logs stay */
    ENDED_WITHOUT_GRANT = 20, /* the same of all apps that were stopped or destroyed, together:
                                 each has up to two log segments in memory */
};

/* Its successor, where it started before the end, tells of it. */
static void tell_successor(struct group *g, const struct agent_instance *ended) {
    const struct slot *slot = group_slot(g, ended->number);
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
void group_count_end(struct group *g, struct agent_instance *i, bool asked) {
    struct slot *slot = group_slot(g, i->number);
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
        i->failures = slot->failures;
        i->not_before = slot->not_before;
    }
    tell_successor(g, i);
}

/* Lets an ended instance go, and its directory with it. */
void fleet_forget(struct fleet *f, struct agent_instance *i) {
    struct err err;
    struct group *g = i->group;
    if (record_remove(f->host.directory_fd, i->row.id, &err) < 0) {
        log_warn("removing the directory of %s: %s", i->row.id, err.text);
    }
    list_remove(&i->link);
    instance_release(i);
    group_mark(g);
}

/* Whether it may run here: the grant of a stopped app only keeps its layers. */
static bool has_grant(const struct fleet *f, const struct group *of) {
    MAP_FOREACH (e, &f->groups) {
        const struct group *g = e->value;
        if (g->granted && (g->grant.ceiling > 0 || g->grant.frozen > 0) &&
            strcmp(g->app, of->app) == 0 && strcmp(g->process, of->process) == 0) {
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

/* Lets go of what is left of an app that had the name before: its configuration is another. */
static void forget_namesakes(struct fleet *f, const struct group *of) {
    LIST_FOREACH_SAFE (item, after, &of->instances) {
        struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
        if (of->granted && i->phase == PHASE_ENDED && i->acknowledged &&
            strcmp(i->config, of->grant.config) != 0) {
            fleet_forget(f, i);
        }
    }
}

/* Bounds what is kept of the process's dead instances, and of all apps that are not run here. */
void fleet_trim_ended(struct fleet *f, const struct group *of) {
    struct agent_instance *i;
    size_t ended;
    forget_namesakes(f, of);
    while ((i = oldest_ended(f, of, &ended)) && ended > ENDED_KEPT) {
        fleet_forget(f, i);
    }
    while ((i = oldest_ended(f, NULL, &ended)) && ended > ENDED_WITHOUT_GRANT) {
        fleet_forget(f, i);
    }
}

void fleet_acknowledge(struct fleet *f, struct agent_instance *i) {
    if (!i->acknowledged && (i->phase == PHASE_DESTROY || i->phase == PHASE_ENDED)) {
        i->acknowledged = true;
        instance_record(i);
        fleet_trim_ended(f, i->group);
    }
}

void fleet_each_config(
    const struct fleet *f, void (*each)(void *data, const char *digest, bool needed), void *data) {
    MAP_FOREACH (e, &f->groups) {
        const struct group *g = e->value;
        bool granted = has_grant(f, g);
        if (g->granted) {
            each(data, g->grant.config, true);
        }
        LIST_FOREACH (item, &g->instances) {
            const struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
            bool lives = i->phase < PHASE_ENDED;
            if (lives || granted) {
                each(data, i->config, lives);
            }
        }
    }
}

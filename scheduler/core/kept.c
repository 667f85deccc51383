/* The release that served before: its instances stay frozen for a while, so that going back is a
 * thaw. SPDX-License-Identifier: Apache-2.0
 *
 * What it held becomes floor 0, ceiling 0, frozen N on the same nodes, N being what ran there; no
 * demand wakes it, and nothing is started of it. A new scheduler takes that from the grants in
 * force and counts the time anew. When it becomes the target again it wakes where it sleeps
 * (placement.c).
 */
#include "state.h"

#include <string.h>

/* How long a process stays: the command's rule, else the manifest's. Of one that was scaled to none
 * nobody wants the memory held. */
static int64_t keep_of(const struct app *app, const struct core_process *process) {
    const struct scale_rule *rule = rule_of(app, process);
    return !rule ? process->rule.keep : rule->max > 0 ? rule->keep : 0;
}

/* Instances of it on the node that can be kept. */
static int64_t count_there(
    const struct app *app, const struct release *r, const struct placed *placed) {
    int64_t count = 0;
    for (const struct tracked *i = app->instances; i; i = i->next) {
        count += i->node == placed->node && i->fact.release == r->number &&
                 (i->fact.state == INSTANCE_HEALTHY || i->fact.state == INSTANCE_FROZEN) &&
                 strcmp(i->fact.process, r->processes[placed->process].name) == 0;
    }
    return count;
}

static void put_to_sleep(
    struct core *c, const struct app *app, struct release *r, struct placed *placed) {
    int64_t there = count_there(app, r, placed);
    int64_t frozen = there < placed->floor ? placed->floor : there;
    frozen = frozen > placed->ceiling ? placed->ceiling : frozen;
    placed_promise(c, r, placed, -placed->floor, frozen - placed->frozen);
    placed->ceiling = 0;
    placed->rule = 0;
}

static int64_t ends_at(const struct app *app, const struct placed *placed) {
    const struct release *r = &app->releases[KEPT];
    return r->kept_since + keep_of(app, &r->processes[placed->process]);
}

void keep_release(struct core *c, struct app *app) {
    struct release *r = &app->releases[KEPT];
    if (r->kept_since < 0) {
        r->kept_since = c->now;
    }
    for (size_t i = r->placed_count; i-- > 0;) {
        struct placed *placed = &r->placed[i];
        if (placed->ceiling > 0) {
            put_to_sleep(c, app, r, placed);
        }
        if (placed->frozen == 0 || c->nodes[placed->node]->removed ||
            ends_at(app, placed) <= c->now) {
            drop_placed(c, r, i);
        }
    }
}

int64_t kept_deadline(const struct app *app) {
    const struct release *r = &app->releases[KEPT];
    int64_t first = INT64_MAX;
    for (size_t i = 0; r->kept_since >= 0 && i < r->placed_count; i++) {
        int64_t at = ends_at(app, &r->placed[i]);
        first = at < first ? at : first;
    }
    return first;
}

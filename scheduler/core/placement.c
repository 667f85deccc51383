/* Which nodes get a process's instances: filters, then a total order. SPDX-License-Identifier:
 * Apache-2.0
 *
 * Filters: the node lives and has a free instance slot. Order: not full, fewest of this process,
 * lowest load, name. What is placed stays where it is unless its node is lost and another one can
 * take it. Memory orders and does not filter: limits are not use, and a node refuses by itself, at
 * once, what it can't hold, and says that it is full. Then it is the last to get more, and gets it
 * only where all are full.
 */
#include "state.h"

#include <string.h>

enum { LOAD_BUCKETS = 256 /* finer differences of promised memory do not decide */ };

bool node_is_eligible(const struct node *node) {
    return node->live && !node->removed;
}

bool any_eligible(const struct core *c) {
    for (size_t i = 0; i < c->node_count; i++) {
        if (node_is_eligible(c->nodes[i])) {
            return true;
        }
    }
    return false;
}

static int64_t load(const struct node *node) {
    int64_t unit = node->memory_total / LOAD_BUCKETS;
    return unit > 0 ? node->promised_memory / unit : 0;
}

static struct placed *entry_of(struct release *r, uint32_t process, uint32_t node) {
    for (size_t i = 0; i < r->placed_count; i++) {
        if (r->placed[i].process == process && r->placed[i].node == node) {
            return &r->placed[i];
        }
    }
    return NULL;
}

/* Whether node `a` with `here_a` of the process goes before node `b`. */
static bool goes_before(
    const struct node *a, int64_t here_a, const struct node *b, int64_t here_b) {
    if (a->full != b->full) {
        return !a->full;
    }
    if (here_a != here_b) {
        return here_a < here_b;
    }
    if (load(a) != load(b)) {
        return load(a) < load(b);
    }
    return strcmp(a->name, b->name) < 0;
}

/* The best node for one more; -1: none. `floor`: it will be promised a slot. */
static int64_t choose(struct core *c, struct release *r, uint32_t process, bool floor) {
    int64_t best = -1, best_here = 0;
    for (uint32_t i = 0; i < c->node_count; i++) {
        const struct node *node = c->nodes[i];
        if (!node_is_eligible(node) || (floor && node->promised_instances >= INSTANCES_PER_NODE)) {
            continue;
        }
        const struct placed *placed = entry_of(r, process, i);
        int64_t here = placed ? placed->floor : 0;
        if (best < 0 || goes_before(node, here, c->nodes[best], best_here)) {
            best = i;
            best_here = here;
        }
    }
    return best;
}

void placed_promise(
    struct core *c, const struct release *r, struct placed *placed, int64_t floor, int64_t frozen) {
    struct node *node = c->nodes[placed->node];
    placed->floor += floor;
    placed->frozen += frozen;
    node->promised_instances += floor;
    node->promised_memory += (floor + frozen) * r->processes[placed->process].memory;
    node->grants_dirty = true;
}

static void promise(struct core *c, struct release *r, struct placed *placed, int64_t more) {
    placed_promise(c, r, placed, more, 0);
}

void drop_placed(struct core *c, struct release *r, size_t at) {
    placed_promise(c, r, &r->placed[at], -r->placed[at].floor, -r->placed[at].frozen);
    memmove(&r->placed[at], &r->placed[at + 1], (r->placed_count - at - 1) * sizeof(*r->placed));
    r->placed_count--;
}

static struct placed *add_entry(
    struct core *c, struct release *r, uint32_t process, uint32_t node) {
    size_t at = r->placed_count;
    while (at > 0 && r->placed[at - 1].process > process) {
        at--;
    }
    memmove(&r->placed[at + 1], &r->placed[at], (r->placed_count - at) * sizeof(*r->placed));
    r->placed_count++;
    r->placed[at] = (struct placed){ .process = process, .node = node };
    c->nodes[node]->grants_dirty = true;
    return &r->placed[at];
}

/* The entry to take one from: on the node with the most, the last of those. */
static struct placed *fullest(struct release *r, uint32_t process) {
    struct placed *most = NULL;
    for (size_t i = 0; i < r->placed_count; i++) {
        if (r->placed[i].process == process && (!most || r->placed[i].floor >= most->floor)) {
            most = &r->placed[i];
        }
    }
    return most;
}

static int64_t floors(const struct release *r, uint32_t process) {
    int64_t sum = 0;
    for (size_t i = 0; i < r->placed_count; i++) {
        sum += r->placed[i].process == process ? r->placed[i].floor : 0;
    }
    return sum;
}

/* A removed node keeps nothing; a silent one keeps what it has while nobody else could take it. */
static void drop_lost(struct core *c, struct release *r, uint32_t process) {
    bool others = any_eligible(c);
    for (size_t i = r->placed_count; i-- > 0;) {
        const struct node *node = c->nodes[r->placed[i].node];
        if (r->placed[i].process == process &&
            (node->removed || (others && !node_is_eligible(node)))) {
            drop_placed(c, r, i);
        }
    }
}

/* Every entry may run its floor; the first one also all that the process has above its floors, and
 * those kept asleep. */
static void set_above(
    struct core *c, struct release *r, uint32_t process, const struct wanted *wanted) {
    int64_t above = wanted->ceiling - wanted->floor, frozen = wanted->frozen;
    uint64_t rule = wanted->rule ? hash_rule(HASH_SEED, wanted->rule) : 0;
    for (size_t i = 0; i < r->placed_count; i++) {
        struct placed *placed = &r->placed[i];
        if (placed->process != process) {
            continue;
        }
        int64_t ceiling = placed->floor + above;
        ceiling = ceiling > INSTANCES_PER_NODE ? INSTANCES_PER_NODE : ceiling;
        if (placed->ceiling != ceiling || placed->frozen != frozen || placed->rule != rule) {
            placed->ceiling = ceiling;
            placed_promise(c, r, placed, 0, frozen - placed->frozen);
            placed->rule = rule;
        }
        above = frozen = 0;
    }
}

static void drop_empty(struct core *c, struct release *r, uint32_t process, bool keep_one) {
    for (size_t i = r->placed_count; i-- > 0;) {
        bool first = i == 0 || r->placed[i - 1].process != process;
        if (r->placed[i].process == process && r->placed[i].floor == 0 && !(keep_one && first)) {
            drop_placed(c, r, i);
        }
    }
}

/* What sleeps wakes where it is: as many as are kept asleep there, else one of an app that is
 * scaled to zero. Returns how many of `missing` were promised. */
static int64_t wake(struct core *c, struct release *r, uint32_t process, int64_t missing) {
    int64_t woken = 0;
    for (size_t i = 0; i < r->placed_count; i++) {
        struct placed *placed = &r->placed[i];
        if (placed->process != process || placed->floor > 0) {
            continue;
        }
        int64_t there = placed->frozen > 1 ? placed->frozen : 1;
        int64_t room = INSTANCES_PER_NODE - c->nodes[placed->node]->promised_instances;
        there = there < room ? there : room;
        there = there < missing - woken ? there : missing - woken;
        if (there > 0) {
            promise(c, r, placed, there);
            woken += there;
        }
    }
    return woken;
}

void place(struct core *c, struct app *app, enum release_slot slot, size_t process) {
    const struct wanted wanted = process_wants(app, slot, process);
    const int64_t floor = wanted.floor, ceiling = wanted.ceiling;
    struct release *r = &app->releases[slot];
    uint32_t p = (uint32_t)process;
    drop_lost(c, r, p);
    int64_t sum = floors(r, p);
    for (; sum > floor; sum--) {
        promise(c, r, fullest(r, p), -1);
    }
    sum += wake(c, r, p, floor - sum);
    drop_empty(c, r, p, floor == 0 && ceiling > 0);
    for (; sum < floor; sum++) {
        int64_t node = choose(c, r, p, true);
        if (node < 0) {
            break;
        }
        struct placed *placed = entry_of(r, p, (uint32_t)node);
        promise(c, r, placed ? placed : add_entry(c, r, p, (uint32_t)node), 1);
    }
    r->unplaced += floor - sum;
    if (ceiling > 0 && !fullest(r, p)) {
        int64_t node = choose(c, r, p, false);
        if (node >= 0 && floor == 0) {
            add_entry(c, r, p, (uint32_t)node);
        }
    }
    set_above(c, r, p, &wanted);
}

void place_at_rest(struct core *c, struct app *app, enum release_slot slot) {
    struct release *r = &app->releases[slot];
    for (uint32_t p = 0; p < r->process_count; p++) {
        drop_lost(c, r, p);
    }
    r->unplaced = 0;
    for (size_t i = 0; i < r->placed_count; i++) {
        struct placed *placed = &r->placed[i];
        if (placed->ceiling > 0 || placed->frozen > 0) {
            placed_promise(c, r, placed, -placed->floor, -placed->frozen);
            placed->ceiling = 0;
            placed->rule = 0;
        }
    }
}

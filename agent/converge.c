/* From what a grant allows and what runs to what to do. SPDX-License-Identifier: Apache-2.0 */
#include "converge.h"

struct step {
    const struct converge_input *in;
    struct converge_action *out;
    size_t actions;
    int64_t running, asleep;         /* after the actions so far */
    int64_t healthy;                 /* of those running */
    bool taken[INSTANCES_PER_NODE];  /* slot numbers in use after the actions so far */
    bool leaves[INSTANCES_PER_NODE]; /* instances that an action takes out of their state */
};

static void act(struct step *s, enum converge_kind kind, int number, size_t index) {
    if (s->actions < INSTANCES_PER_NODE) {
        s->out[s->actions++] = (struct converge_action){ kind, number, index };
    }
}

static void count(struct step *s) {
    for (size_t i = 0; i < s->in->count; i++) {
        const struct converge_instance *at = &s->in->instances[i];
        if (at->life == LIFE_UNHEALTHY) {
            act(s, CONVERGE_STOP, at->number, i);
            s->leaves[i] = true;
            continue;
        }
        s->running += at->life != LIFE_FROZEN;
        s->healthy += at->life == LIFE_HEALTHY;
        s->asleep += at->life == LIFE_FROZEN;
        if (at->number >= 1 && at->number <= INSTANCES_PER_NODE) {
            s->taken[at->number - 1] = true;
        }
    }
}

static void thaw(struct step *s, bool in_swap) {
    for (size_t i = 0; i < s->in->count && s->running < s->in->wanted; i++) {
        const struct converge_instance *at = &s->in->instances[i];
        if (at->life == LIFE_FROZEN && at->in_swap == in_swap && !s->leaves[i]) {
            act(s, CONVERGE_THAW, at->number, i);
            s->leaves[i] = true;
            s->running++;
            s->healthy++;
            s->asleep--;
        }
    }
}

/* Standbys that are missing: as many more run until they can be frozen. */
static int64_t lack(const struct step *s) {
    return s->asleep < s->in->standby ? s->in->standby - s->asleep : 0;
}

static void start(struct step *s) {
    int64_t running = s->in->wanted + lack(s);
    for (int n = 1; n <= INSTANCES_PER_NODE && s->running < running; n++) {
        if (s->taken[n - 1]) {
            continue;
        }
        /* A slot that waits is counted: another number in its place would start what just failed
         * under a new name. */
        s->running++;
        s->taken[n - 1] = true;
        if ((size_t)n > s->in->blocked_count || !s->in->blocked[n - 1]) {
            act(s, CONVERGE_START, n, 0);
        }
    }
}

/* True if `a` should go before `b`. */
static bool goes_first(const struct converge_instance *a, const struct converge_instance *b) {
    if ((a->life == LIFE_STARTING) != (b->life == LIFE_STARTING)) {
        return a->life == LIFE_STARTING;
    }
    if (a->in_flight != b->in_flight) {
        return a->in_flight < b->in_flight;
    }
    if (a->since != b->since) {
        return a->since > b->since;
    }
    return a->number > b->number;
}

/* Which instances one is chosen among. */
enum among { AMONG_RUNNING, AMONG_HEALTHY, AMONG_FROZEN, AMONG_OVERSLEPT };

static bool belongs(const struct converge_instance *at, enum among among) {
    switch (among) {
    case AMONG_RUNNING:
        return at->life != LIFE_FROZEN;
    case AMONG_HEALTHY:
        return at->life == LIFE_HEALTHY;
    case AMONG_FROZEN:
        return at->life == LIFE_FROZEN;
    case AMONG_OVERSLEPT:
        return at->life == LIFE_FROZEN && at->overslept;
    }
    return false;
}

/* The instance to give up next, or `count`. */
static size_t pick(const struct step *s, enum among among) {
    size_t best = s->in->count;
    for (size_t i = 0; i < s->in->count; i++) {
        const struct converge_instance *at = &s->in->instances[i];
        if (s->leaves[i] || !belongs(at, among)) {
            continue;
        }
        if (best == s->in->count || goes_first(at, &s->in->instances[best])) {
            best = i;
        }
    }
    return best;
}

/* Stops or freezes those that run beyond what is wanted. */
static void shrink(struct step *s) {
    for (;;) {
        bool over = s->running > s->in->wanted + lack(s);
        size_t i = over                         ? pick(s, AMONG_RUNNING)
                   : s->healthy > s->in->wanted ? pick(s, AMONG_HEALTHY)
                                                : s->in->count;
        if (i == s->in->count) {
            return;
        }
        const struct converge_instance *at = &s->in->instances[i];
        bool healthy = at->life == LIFE_HEALTHY;
        bool sleeps = healthy && (s->asleep < s->in->frozen || lack(s) > 0);
        act(s, sleeps ? CONVERGE_FREEZE : CONVERGE_STOP, at->number, i);
        s->leaves[i] = true;
        s->running--;
        s->healthy -= healthy;
        s->asleep += sleeps;
    }
}

/* Stops sleepers of that kind until no more than `most` sleep. */
static void stop_sleepers(struct step *s, enum among among, int64_t most) {
    size_t i;
    while (s->asleep > most && (i = pick(s, among)) < s->in->count) {
        act(s, CONVERGE_STOP, s->in->instances[i].number, i);
        s->leaves[i] = true;
        s->asleep--;
    }
}

size_t converge(const struct converge_input *in, struct converge_action *out) {
    struct step s = { .in = in, .out = out };
    count(&s);
    thaw(&s, false);
    thaw(&s, true);
    start(&s);
    shrink(&s);
    stop_sleepers(&s, AMONG_OVERSLEPT, in->standby);
    stop_sleepers(&s, AMONG_FROZEN, in->frozen > in->standby ? in->frozen : in->standby);
    return s.actions;
}

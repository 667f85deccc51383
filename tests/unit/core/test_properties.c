/* What holds of the core whatever happens: random histories from seeds, and every allocation
 * failing once. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

enum { APPS = 5, NODES = 4, HISTORIES = 300, STEPS = 120, IDS = 40 };

/* --- allocation that fails on demand -----------------------------------------------------------
 */

static long allocations_left = -1; /* negative: all succeed */

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size) {
    if (allocations_left == 0) {
        return NULL;
    }
    allocations_left -= allocations_left > 0;
    return __real_calloc(count, size);
}

/* --- random histories ------------------------------------------------------------------------- */

struct random {
    uint64_t state;
};

static uint64_t next(struct random *r) {
    r->state ^= r->state << 13;
    r->state ^= r->state >> 7;
    r->state ^= r->state << 17;
    return r->state;
}

static int64_t below(struct random *r, int64_t n) {
    return (int64_t)(next(r) % (uint64_t)n);
}

struct history {
    struct random random;
    struct world w;
    struct world_app apps[APPS];
    bool exists[APPS];
};

/* The target serves, and what served before is kept. */
static void take_over(struct world_app *a) {
    if (a->app.serving != a->app.target) {
        a->app.kept = a->app.serving;
        a->app.serving = a->app.target;
    }
}

static void change_app(struct history *h, int i) {
    struct world_app *a = &h->apps[i];
    if (!h->exists[i]) {
        char name[8];
        snprintf(name, sizeof(name), "app%d", i);
        app_begin(a, name);
        h->exists[i] = true;
    }
    switch (below(&h->random, 7)) {
    case 0:
        app_rule_set(a, "web", below(&h->random, 4), 4 + below(&h->random, 3));
        break;
    case 1:
        a->app.stopped = !a->app.stopped;
        break;
    case 2:
        take_over(a);
        break;
    case 4:
        if (a->app.release_count) {
            a->app.target = 1 + below(&h->random, (int)a->app.release_count);
            a->app.failed = false;
            a->app.attempt++;
        }
        break;
    case 3:
        a->app.failed = a->app.target != a->app.serving;
        break;
    default: {
        int64_t release = (int64_t)a->app.release_count + 1;
        if (release <= WORLD_RELEASES) {
            app_release_add(a, release, below(&h->random, 6), below(&h->random, 4) - 1);
            a->app.target = release;
            a->app.failed = false;
            a->app.attempt++;
        }
    }
    }
}

static void make_report(struct history *h, struct core_report *r, struct core_instance *rows) {
    static const int states[] = { INSTANCE_STARTING, INSTANCE_HEALTHY, INSTANCE_UNHEALTHY,
        INSTANCE_DRAINING, INSTANCE_FROZEN, INSTANCE_STOPPED, INSTANCE_FAILED };
    int node = (int)below(&h->random, NODES);
    memset(r, 0, sizeof(*r));
    snprintf(r->node, sizeof(r->node), "n%d", node);
    r->whole = below(&h->random, 3) == 0;
    r->term = 1;
    r->routes_term = 1;
    r->routes_revision = below(&h->random, h->w.routes_revision + 1);
    r->memory_total = INT64_C(1) << 32;
    r->full = below(&h->random, 4) == 0;
    r->instances = rows;
    r->instance_count = (size_t)below(&h->random, 6);
    for (size_t i = 0; i < r->instance_count; i++) {
        memset(&rows[i], 0, sizeof(rows[i]));
        snprintf(rows[i].id, sizeof(rows[i].id), "n%dx%d", node, (int)below(&h->random, IDS));
        snprintf(rows[i].app, sizeof(rows[i].app), "app%d", (int)below(&h->random, APPS));
        strcpy(rows[i].process, below(&h->random, 2) ? "web" : "worker");
        rows[i].release = 1 + below(&h->random, WORLD_RELEASES);
        rows[i].state = states[below(&h->random, sizeof(states) / sizeof(*states))];
        rows[i].reason = (int)below(&h->random, END_UNKNOWN + 1);
    }
}

/* One random fact. The memory behind it lives in `h` and in the caller's `r`, `rows`, `name`. */
static struct core_event make_event(
    struct history *h, struct core_report *r, struct core_instance *rows, char name[8]) {
    struct core_event event = { .type = CORE_TIME };
    int i = (int)below(&h->random, APPS);
    snprintf(name, 8, "app%d", i);
    switch (below(&h->random, 12)) {
    case 0:
        h->w.now += below(&h->random, CORE_NODE_LOST_MS);
        break;
    case 1:
        if (below(&h->random, 4) == 0) {
            h->exists[i] = false;
            event = (struct core_event){ .type = CORE_APP_GONE, .name = name };
        }
        break;
    case 2:
        if (below(&h->random, 8) == 0) {
            snprintf(name, 8, "n%d", (int)below(&h->random, NODES));
            event = (struct core_event){ .type = CORE_NODE_OFF, .node = name };
        } else {
            snprintf(name, 8, "n%d", (int)below(&h->random, NODES));
            event = (struct core_event){ .type = CORE_NODE, .node = name };
        }
        break;
    case 3:
    case 4:
    case 5:
    case 6:
        change_app(h, i);
        event = (struct core_event){ .type = CORE_APP, .app = &h->apps[i].app };
        break;
    default:
        make_report(h, r, rows);
        h->w.now += below(&h->random, 300);
        event = (struct core_event){ .type = CORE_REPORT, .report = r };
    }
    return event;
}

static void history_begin(struct history *h, uint64_t seed) {
    memset(h, 0, sizeof(*h));
    h->random.state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    world_begin(&h->w);
}

static uint64_t run_history(uint64_t seed, bool twice) {
    struct history h;
    history_begin(&h, seed);
    for (int i = 0; i < STEPS; i++) {
        struct core_report r;
        struct core_instance rows[8];
        char name[8];
        struct core_event event = make_event(&h, &r, rows, name);
        world_clear(&h.w);
        assert_int_equal(world_step(&h.w, &event), 0);
        if (twice && event.type != CORE_REPORT) {
            world_clear(&h.w);
            assert_int_equal(world_step(&h.w, &event), 0);
            if (h.w.text[0]) {
                fail_msg("seed %llu, step %d: a repeated fact said %s", (unsigned long long)seed, i,
                    h.w.text);
            }
        }
    }
    uint64_t digest = core_digest(h.w.core);
    world_end(&h.w);
    return digest;
}

static void invariants_hold_in_every_history(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        run_history(seed, false);
    }
}

static void the_same_history_gives_the_same_digest(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        assert_true(run_history(seed, false) == run_history(seed, false));
    }
    assert_true(run_history(1, false) != run_history(2, false));
}

static void a_repeated_fact_is_silent_in_every_history(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        run_history(seed, true);
    }
}

/* Every step of a history, with its n-th allocation failing for every n: it fails and nothing has
 * changed, or it did not need that many. */
static void a_step_without_memory_changes_nothing(void **state) {
    long failures = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct history h;
        history_begin(&h, seed);
        for (int i = 0; i < STEPS; i++) {
            struct core_report r;
            struct core_instance rows[8];
            char name[8];
            struct core_event event = make_event(&h, &r, rows, name);
            struct core_actions actions;
            for (long n = 0;; n++) {
                uint64_t before = core_digest(h.w.core);
                allocations_left = n;
                int rc = core_step(h.w.core, &event, h.w.now, &actions);
                allocations_left = -1;
                assert_null(core_check(h.w.core));
                if (rc == 0) {
                    break;
                }
                failures++;
                if (core_digest(h.w.core) != before) {
                    fail_msg("seed %llu, step %d: half a step", (unsigned long long)seed, i);
                }
            }
            while (actions.more) {
                assert_int_equal(core_step(h.w.core, &(struct core_event){ .type = CORE_TIME },
                                     h.w.now, &actions),
                    0);
            }
        }
        world_end(&h.w);
    }
    assert_true(failures > 1000);
}

/* Faults stop: the nodes report what they are granted, and in the end every app runs what it
 * should and the core is silent. */
struct obedient {
    struct core_instance *rows;
    size_t count;
};

static void obey(void *data, const struct grant *g) {
    struct obedient *o = data;
    for (int64_t i = 0; i < g->floor && o->count < 512; i++) {
        struct core_instance *row = &o->rows[o->count];
        memset(row, 0, sizeof(*row));
        snprintf(row->id, sizeof(row->id), "%.3s%c%d%d", g->app + 3, g->process[1], (int)g->release,
            (int)i);
        memcpy(row->app, g->app, sizeof(row->app));
        memcpy(row->process, g->process, sizeof(row->process));
        row->release = g->release;
        row->state = INSTANCE_HEALTHY;
        o->count++;
    }
}

static void settle_node(struct history *h, int node) {
    struct core_instance rows[512];
    struct obedient o = { .rows = rows };
    struct core_report r = { .whole = true,
        .term = 1,
        .routes_term = 1,
        .routes_revision = h->w.routes_revision,
        .memory_total = INT64_C(1) << 32,
        .instances = rows };
    snprintf(r.node, sizeof(r.node), "n%d", node);
    core_each_grant(h->w.core, r.node, obey, &o);
    r.instance_count = o.count;
    assert_int_equal(
        world_step(&h->w, &(struct core_event){ .type = CORE_REPORT, .report = &r }), 0);
}

/* Commits the verdicts that were said. */
static void commit_verdicts(struct history *h) {
    for (int i = 0; i < APPS; i++) {
        char said[32];
        snprintf(said, sizeof(said), "verdict app%d r%d done", i, (int)h->apps[i].app.target);
        if (h->exists[i] && strstr(h->w.text, said)) {
            take_over(&h->apps[i]);
            assert_int_equal(app_send(&h->w, &h->apps[i]), 0);
        }
    }
}

static void when_faults_stop_everything_desired_runs_and_it_is_quiet(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        struct history h;
        history_begin(&h, seed);
        for (int i = 0; i < STEPS; i++) {
            struct core_report r;
            struct core_instance rows[8];
            char name[8];
            struct core_event event = make_event(&h, &r, rows, name);
            world_clear(&h.w);
            assert_int_equal(world_step(&h.w, &event), 0);
        }
        for (int i = 0; i < NODES; i++) {
            char name[8];
            snprintf(name, sizeof(name), "n%d", i);
            world_step(&h.w, &(struct core_event){ .type = CORE_NODE, .node = name });
        }
        for (int i = 0; i < APPS; i++) {
            h.apps[i].app.failed = false;
            h.apps[i].app.attempt++;
            if (h.exists[i]) {
                app_send(&h.w, &h.apps[i]);
            }
        }
        for (int round = 0; round < 8; round++) {
            /* First the time of all that is kept is over. */
            h.w.now += round ? 1000 : WORLD_KEEP_MS;
            world_clear(&h.w);
            for (int i = 0; i < NODES; i++) {
                settle_node(&h, i);
            }
            if (round < 7) {
                commit_verdicts(&h);
            }
        }
        if (h.w.text[0]) {
            fail_msg("seed %llu: not quiet: %s", (unsigned long long)seed, h.w.text);
        }
        for (int i = 0; i < APPS; i++) {
            struct core_app_view view;
            if (h.exists[i] && core_view_app(h.w.core, h.apps[i].app.name, &view) &&
                view.healthy != view.desired) {
                fail_msg("seed %llu: %s has %d of %d", (unsigned long long)seed, h.apps[i].app.name,
                    (int)view.healthy, (int)view.desired);
            }
        }
        world_end(&h.w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(invariants_hold_in_every_history),
        cmocka_unit_test(the_same_history_gives_the_same_digest),
        cmocka_unit_test(a_repeated_fact_is_silent_in_every_history),
        cmocka_unit_test(a_step_without_memory_changes_nothing),
        cmocka_unit_test(when_faults_stop_everything_desired_runs_and_it_is_quiet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

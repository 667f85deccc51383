/* The core by example: one fact, the wishes that follow. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

#define SAYS(W, TEXT) assert_string_equal((W)->text, TEXT)
#define GRANTS(W, NODE, TEXT)                                                                      \
    do {                                                                                           \
        char got[WORLD_TEXT];                                                                      \
        assert_string_equal(grants_of(W, NODE, got), TEXT);                                        \
    } while (0)

/* Node n1 reports; app web runs release 1, `count` healthy instances. */
static void serve(struct world *w, struct world_app *a, int64_t count) {
    world_begin(w);
    app_begin(a, "shop");
    app_release_add(a, 1, count, -1);
    a->app.serving = a->app.target = 1;
    assert_int_equal(report(w, "n1", true, ""), 0);
    assert_int_equal(app_send(w, a), 0);
    world_clear(w);
}

static void nothing_is_granted_before_a_node_reports(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    world_begin(&w);
    assert_int_equal(world_step(&w, &(struct core_event){ .type = CORE_NODE, .node = "n1" }), 0);
    app_begin(&a, "shop");
    app_release_add(&a, 1, 2, -1);
    a.app.serving = a.app.target = 1;
    app_send(&w, &a);
    SAYS(&w, "");
    assert_int_equal(core_deadline(w.core), CORE_SETTLE_MS);
    report(&w, "n1", true, "");
    SAYS(&w, "joined n1\nroutes\ngrants n1\n");
    GRANTS(&w, "n1", "shop.web r1 2..2 demand\n");
    world_end(&w);
}

static void after_a_lease_it_decides_without_the_missing_node(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    world_begin(&w);
    world_step(&w, &(struct core_event){ .type = CORE_NODE, .node = "n1" });
    app_begin(&a, "shop");
    app_release_add(&a, 1, 2, -1);
    a.app.serving = a.app.target = 1;
    app_send(&w, &a);
    w.now = CORE_SETTLE_MS - 1;
    report(&w, "n2", true, "");
    SAYS(&w, "joined n2\n");
    world_time(&w, CORE_SETTLE_MS);
    GRANTS(&w, "n2", "shop.web r1 2..2 demand\n");
    world_end(&w);
}

static void a_repeated_fact_says_nothing(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    serve(&w, &a, 2);
    report(&w, "n1", true, "a shop web 1 healthy\nb shop web 1 healthy");
    app_send(&w, &a);
    report(&w, "n1", true, "a shop web 1 healthy\nb shop web 1 healthy");
    SAYS(&w, "");
    world_end(&w);
}

static void a_first_push_is_granted_and_judged_when_healthy_and_routed(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    world_begin(&w);
    report(&w, "n1", true, "");
    app_begin(&a, "shop");
    app_release_add(&a, 1, 2, -1);
    a.app.target = 1;
    world_clear(&w);
    app_send(&w, &a);
    SAYS(&w, "routes\ngrants n1\n");
    GRANTS(&w, "n1", "shop.web r1 2..2 demand\n");
    world_clear(&w);
    int64_t sent = w.routes_revision;
    w.routes_revision = 0; /* the proxy has not applied them yet */
    report(&w, "n1", false, "a shop web 1 healthy\nb shop web 1 healthy");
    SAYS(&w, "");
    w.routes_revision = sent;
    report(&w, "n1", false, "");
    SAYS(&w, "verdict shop r1 done\n");
    world_end(&w);
}

static void a_proxy_that_is_away_does_not_hold_a_rollout_for_ever(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    world_begin(&w);
    report(&w, "n1", true, "");
    app_begin(&a, "shop");
    app_release_add(&a, 1, 1, -1);
    a.app.target = 1;
    app_send(&w, &a);
    w.routes_revision = 0;
    report(&w, "n1", false, "a shop web 1 healthy");
    world_clear(&w);
    w.now = CORE_ROUTES_WAIT_MS / 2;
    report(&w, "n1", false, "");
    SAYS(&w, "");
    world_time(&w, CORE_ROUTES_WAIT_MS);
    SAYS(&w, "verdict shop r1 done\n");
    world_end(&w);
}

static void a_deploy_runs_both_then_moves_demand_then_drops_the_old(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    serve(&w, &a, 2);
    app_release_add(&a, 2, 2, -1);
    a.app.target = 2;
    a.app.attempt = 2;
    app_send(&w, &a);
    GRANTS(&w, "n1", "shop.web r1 2..2 demand\nshop.web r2 2..2\n");
    report(&w, "n1", false, "c shop web 2 healthy");
    assert_null(strstr(w.text, "verdict"));
    report(&w, "n1", false, "d shop web 2 healthy");
    assert_non_null(strstr(w.text, "verdict shop r2 done\n"));
    a.app.serving = 2;
    app_send(&w, &a);
    GRANTS(&w, "n1", "shop.web r2 2..2 demand\n");
    world_end(&w);
}

/* Release 1 served and is kept; release 2 serves, healthy, on two nodes. */
static void serve_again(struct world *w, struct world_app *a) {
    serve(w, a, 2);
    report(w, "n1", true, "a shop web 1 healthy\nb shop web 1 healthy");
    app_release_add(a, 2, 2, -1);
    a->app.target = a->app.attempt = 2;
    app_send(w, a);
    report(w, "n1", true,
        "a shop web 1 healthy\nb shop web 1 healthy\nc shop web 2 healthy\nd shop web 2 healthy");
    a->app.serving = 2;
    a->app.kept = 1;
    app_send(w, a);
    report(w, "n1", true,
        "a shop web 1 frozen\nb shop web 1 frozen\nc shop web 2 healthy\nd shop web 2 healthy");
    world_clear(w);
}

static void the_release_before_stays_frozen_for_its_time(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    serve_again(&w, &a);
    GRANTS(&w, "n1", "shop.web r2 2..2 demand\nshop.web r1 0..0 frozen 2\n");
    w.now = WORLD_KEEP_MS - 1;
    report(&w, "n1", false, "");
    GRANTS(&w, "n1", "shop.web r2 2..2 demand\nshop.web r1 0..0 frozen 2\n");
    world_time(&w, core_deadline(w.core));
    assert_int_equal(w.now, WORLD_KEEP_MS);
    GRANTS(&w, "n1", "shop.web r2 2..2 demand\n");
    SAYS(&w, "grants n1\n");
    world_end(&w);
}

static void going_back_wakes_what_is_kept_where_it_sleeps(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    serve_again(&w, &a);
    report(&w, "n2", true, ""); /* emptier, and yet not where it goes */
    a.app.target = 1;
    a.app.attempt = 3;
    app_send(&w, &a);
    GRANTS(&w, "n1", "shop.web r2 2..2 demand\nshop.web r1 2..2\n");
    world_clear(&w);
    report(&w, "n1", false, "a shop web 1 healthy\nb shop web 1 healthy");
    SAYS(&w, "verdict shop r1 done\n");
    a.app.serving = 1;
    a.app.kept = 2;
    app_send(&w, &a);
    GRANTS(&w, "n1", "shop.web r1 2..2 demand\nshop.web r2 0..0 frozen 2\n");
    world_end(&w);
}

static void a_third_release_lets_the_kept_one_go_when_it_serves(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    serve_again(&w, &a);
    app_release_add(&a, 3, 1, -1);
    a.app.target = a.app.attempt = 3;
    app_send(&w, &a);
    GRANTS(&w, "n1", "shop.web r2 2..2 demand\nshop.web r3 1..1\nshop.web r1 0..0 frozen 2\n");
    a.app.serving = 3;
    a.app.kept = 2;
    app_send(&w, &a);
    GRANTS(&w, "n1", "shop.web r3 1..1 demand\nshop.web r2 0..0 frozen 2\n");
    a.app.stopped = true;
    app_send(&w, &a);
    GRANTS(&w, "n1", "shop.web r3 0..0\n");
    world_end(&w);
}

static void nothing_is_kept_for_no_time(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    serve(&w, &a, 1);
    report(&w, "n1", true, "a shop web 1 healthy");
    a.processes[0][0].rule.keep = 0;
    app_release_add(&a, 2, 1, -1);
    a.app.serving = a.app.target = 2;
    a.app.kept = 1;
    app_send(&w, &a);
    GRANTS(&w, "n1", "shop.web r2 1..1 demand\n");
    world_end(&w);
}

static void scaled_to_none_keeps_nothing(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    serve_again(&w, &a);
    app_rule_set(&a, "web", 0, 0);
    app_send(&w, &a);
    GRANTS(&w, "n1", "");
    world_end(&w);
}

/* A new scheduler knows what sleeps by the grants in force, and counts its time anew. */
static void what_is_kept_outlives_the_scheduler(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    world_begin(&w);
    w.now = 5000;
    world_step(&w, &(struct core_event){ .type = CORE_NODE, .node = "n1" });
    app_begin(&a, "shop");
    app_release_add(&a, 1, 1, -1);
    app_release_add(&a, 2, 1, -1);
    a.app.serving = a.app.target = 2;
    a.app.kept = 1;
    app_send(&w, &a);
    struct grant held[] = {
        { .app = "shop", .process = "web", .release = 1, .frozen = 1 },
        { .app = "shop", .process = "web", .release = 2, .floor = 1, .ceiling = 1 },
    };
    struct core_report r = {
        .node = "n1", .whole = true, .term = 1, .grants = held, .grant_count = 2
    };
    world_step(&w, &(struct core_event){ .type = CORE_REPORT, .report = &r });
    GRANTS(&w, "n1", "shop.web r2 1..1 demand\nshop.web r1 0..0 frozen 1\n");
    w.now = 5000 + WORLD_KEEP_MS;
    report(&w, "n1", false, "");
    GRANTS(&w, "n1", "shop.web r2 1..1 demand\n");
    world_end(&w);
}

static void a_deploy_under_load_begins_with_as_many_as_serve(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    serve(&w, &a, 1);
    app_rule_set(&a, "web", 1, 3);
    app_send(&w, &a);
    report(&w, "n1", true, "a shop web 1 healthy\nb shop web 1 healthy");
    app_release_add(&a, 2, 1, -1);
    a.app.target = a.app.attempt = 2;
    app_send(&w, &a);
    GRANTS(&w, "n1", "shop.web r1 1..3 demand\nshop.web r2 2..3\n");
    world_end(&w);
}

static void a_process_that_vanished_goes_with_the_old_release(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    world_begin(&w);
    report(&w, "n1", true, "");
    app_begin(&a, "shop");
    app_release_add(&a, 1, 1, 3);
    app_release_add(&a, 2, 1, -1);
    a.app.serving = 1;
    a.app.target = 2;
    app_send(&w, &a);
    GRANTS(&w, "n1", "shop.web r1 1..1 demand\nshop.worker r1 3..3 demand\nshop.web r2 1..1\n");
    a.app.serving = 2;
    app_send(&w, &a);
    GRANTS(&w, "n1", "shop.web r2 1..1 demand\n");
    world_end(&w);
}

/* An end of the new release with this reason: what the text says afterwards. */
static void end_with(struct world *w, const char *id, const char *reason) {
    char row[64];
    snprintf(row, sizeof(row), "%s shop web 2 failed %s", id, reason);
    world_clear(w);
    report(w, "n1", false, row);
}

static void begin_rollout(struct world *w, struct world_app *a) {
    serve(w, a, 1);
    app_release_add(a, 2, 1, -1);
    a->app.target = 2;
    a->app.attempt = 2;
    app_send(w, a);
}

static void an_end_that_trying_again_cannot_change_fails_at_once(void **state) {
    static const char *const reasons[] = { "command-missing", "wrong-port", "bad-image",
        "start-failed", "never-listened", "health-check" };
    (void)state;
    for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
        struct world w;
        struct world_app a;
        char expected[64];
        begin_rollout(&w, &a);
        end_with(&w, "x", reasons[i]);
        snprintf(expected, sizeof(expected), "verdict shop r2 end %s\n", reasons[i]);
        SAYS(&w, expected);
        world_end(&w);
    }
}

static void other_ends_fail_at_the_third_and_repeated_reports_count_once(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    begin_rollout(&w, &a);
    end_with(&w, "x", "exited");
    SAYS(&w, "");
    end_with(&w, "x", "exited");
    end_with(&w, "y", "signaled");
    end_with(&w, "y", "signaled");
    SAYS(&w, "");
    end_with(&w, "z", "out-of-memory");
    SAYS(&w, "verdict shop r2 end out-of-memory\n");
    world_end(&w);
}

static void ends_by_hand_do_not_count(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    begin_rollout(&w, &a);
    for (int i = 0; i < 5; i++) {
        char id[8];
        snprintf(id, sizeof(id), "k%d", i);
        end_with(&w, id, "killed");
        SAYS(&w, "");
    }
    world_end(&w);
}

static void a_failed_release_is_withdrawn_and_the_old_one_serves(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    begin_rollout(&w, &a);
    end_with(&w, "x", "wrong-port");
    a.app.failed = true;
    world_clear(&w);
    app_send(&w, &a);
    SAYS(&w, "grants n1\n");
    GRANTS(&w, "n1", "shop.web r1 1..1 demand\n");
    world_time(&w, CORE_ROLLOUT_MS * 2);
    GRANTS(&w, "n1", "shop.web r1 1..1 demand\n"); /* not tried again */
    world_end(&w);
}

static void a_verdict_is_repeated_until_its_commit_comes_back(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    begin_rollout(&w, &a);
    end_with(&w, "x", "wrong-port");
    world_clear(&w);
    world_time(&w, CORE_VERDICT_REPEAT_MS - 1);
    SAYS(&w, "");
    world_time(&w, CORE_VERDICT_REPEAT_MS);
    SAYS(&w, "verdict shop r2 end wrong-port\n");
    world_end(&w);
}

static void without_progress_a_rollout_fails(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    begin_rollout(&w, &a);
    for (int64_t now = 1000; now < CORE_ROLLOUT_MS; now += 4000) {
        w.now = now;
        report(&w, "n1", false, "");
    }
    world_clear(&w);
    world_time(&w, CORE_ROLLOUT_MS);
    assert_non_null(strstr(w.text, "verdict shop r2 timeout\n"));
    world_end(&w);
}

static void what_finds_no_room_fails_at_once(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    serve(&w, &a, INSTANCES_PER_NODE);
    app_release_add(&a, 2, 1, -1);
    a.app.target = 2;
    app_send(&w, &a);
    assert_non_null(strstr(w.text, "verdict shop r2 full\n"));
    world_end(&w);
}

static void a_scale_rule_goes_before_the_release_and_outlives_it(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    serve(&w, &a, 2);
    app_rule_set(&a, "web", 5, 5);
    app_send(&w, &a);
    GRANTS(&w, "n1", "shop.web r1 5..5 demand\n");
    app_release_add(&a, 2, 7, -1);
    a.app.serving = a.app.target = 2;
    app_send(&w, &a);
    GRANTS(&w, "n1", "shop.web r2 5..5 demand\n");
    app_rule_set(&a, "web", 0, 0);
    app_send(&w, &a);
    GRANTS(&w, "n1", "");
    world_end(&w);
}

static void a_sleeping_app_is_granted_on_one_node_and_proved_with_one_instance(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    world_begin(&w);
    report(&w, "n1", true, "");
    report(&w, "n2", true, "");
    app_begin(&a, "shop");
    app_release_add(&a, 1, 1, -1);
    app_rule_set(&a, "web", 0, 10);
    a.app.target = 1;
    app_send(&w, &a);
    GRANTS(&w, "n1", "shop.web r1 1..10 demand\n");
    a.app.serving = 1;
    app_send(&w, &a);
    GRANTS(&w, "n1", "shop.web r1 0..10 demand\n");
    GRANTS(&w, "n2", "");
    a.rules[0].rule.standby = 2;
    app_send(&w, &a);
    GRANTS(&w, "n1", "shop.web r1 0..10 frozen 2 demand\n");
    world_end(&w);
}

static void stop_leaves_what_a_start_needs(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    serve(&w, &a, 3);
    a.app.stopped = true;
    app_send(&w, &a);
    SAYS(&w, "routes\ngrants n1\n");
    GRANTS(&w, "n1", "shop.web r1 0..0\n");
    report(&w, "n2", true, "");
    a.app.stopped = false;
    app_send(&w, &a);
    GRANTS(&w, "n1", "shop.web r1 2..2 demand\n");
    GRANTS(&w, "n2", "shop.web r1 1..1\n");
    a.app.stopped = true;
    app_send(&w, &a);
    GRANTS(&w, "n2", "shop.web r1 0..0\n");
    world_clear(&w);
    app_send(&w, &a);
    SAYS(&w, "");
    world_end(&w);
}

static void destroy_takes_grants_and_routes(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    serve(&w, &a, 3);
    report(&w, "n1", false, "a shop web 1 healthy");
    world_clear(&w);
    world_step(&w, &(struct core_event){ .type = CORE_APP_GONE, .name = "shop" });
    SAYS(&w, "routes\ngrants n1\n");
    GRANTS(&w, "n1", "");
    world_end(&w);
}

static void instances_spread_and_shrink_evenly(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    serve(&w, &a, 1);
    report(&w, "n2", true, "");
    report(&w, "n3", true, "");
    app_rule_set(&a, "web", 7, 7);
    app_send(&w, &a);
    GRANTS(&w, "n1", "shop.web r1 3..3 demand\n");
    GRANTS(&w, "n2", "shop.web r1 2..2\n");
    GRANTS(&w, "n3", "shop.web r1 2..2\n");
    app_rule_set(&a, "web", 3, 3);
    app_send(&w, &a);
    GRANTS(&w, "n1", "shop.web r1 1..1 demand\n");
    GRANTS(&w, "n2", "shop.web r1 1..1\n");
    GRANTS(&w, "n3", "shop.web r1 1..1\n");
    world_end(&w);
}

static void more_goes_where_there_is_room_and_stays_where_it_is(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    serve(&w, &a, 1);
    w.full = "n2";
    report(&w, "n2", true, "");
    report(&w, "n3", true, "");
    app_rule_set(&a, "web", 5, 5);
    app_send(&w, &a);
    GRANTS(&w, "n1", "shop.web r1 3..3 demand\n");
    GRANTS(&w, "n2", "");
    GRANTS(&w, "n3", "shop.web r1 2..2\n");
    w.full = NULL; /* it has room again */
    report(&w, "n2", false, "");
    app_rule_set(&a, "web", 6, 6);
    app_send(&w, &a);
    GRANTS(&w, "n2", "shop.web r1 1..1\n");
    w.full = "n1"; /* what is there is not taken away */
    report(&w, "n1", false, "");
    GRANTS(&w, "n1", "shop.web r1 3..3 demand\n");
    world_end(&w);
}

static void where_all_are_full_all_get_their_share(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    serve(&w, &a, 1);
    w.full = "n1";
    report(&w, "n1", false, "");
    w.full = "n2";
    report(&w, "n2", true, "");
    app_rule_set(&a, "web", 4, 4);
    app_send(&w, &a);
    GRANTS(&w, "n1", "shop.web r1 2..2 demand\n");
    GRANTS(&w, "n2", "shop.web r1 2..2\n");
    world_end(&w);
}

static void a_lost_node_s_instances_move_and_a_lone_node_keeps_its_own(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    serve(&w, &a, 2);
    world_time(&w, CORE_NODE_LOST_MS);
    SAYS(&w, "lost n1\n");
    GRANTS(&w, "n1", "shop.web r1 2..2 demand\n");
    report(&w, "n2", true, "");
    GRANTS(&w, "n2", "shop.web r1 2..2 demand\n");
    GRANTS(&w, "n1", "");
    world_end(&w);
}

static void a_scheduler_that_was_paused_calls_nobody_lost(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    serve(&w, &a, 2);
    report(&w, "n2", true, "");
    world_clear(&w);
    world_time(&w, 600000); /* ten minutes in which nothing could be heard */
    SAYS(&w, "");
    w.now += 1000;
    report(&w, "n1", false, "");
    SAYS(&w, "");
    world_time(&w, core_deadline(w.core)); /* the other one stays silent */
    SAYS(&w, "lost n2\n");
    world_end(&w);
}

static void a_new_scheduler_starts_from_the_grants_in_force(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    world_begin(&w);
    world_step(&w, &(struct core_event){ .type = CORE_NODE, .node = "n1" });
    world_step(&w, &(struct core_event){ .type = CORE_NODE, .node = "n2" });
    app_begin(&a, "shop");
    app_release_add(&a, 1, 4, -1);
    a.app.serving = a.app.target = 1;
    app_send(&w, &a);
    struct grant held = { .app = "shop", .process = "web", .release = 1, .floor = 3, .ceiling = 3 };
    struct core_report r = {
        .node = "n2", .whole = true, .term = 1, .grants = &held, .grant_count = 1
    };
    world_step(&w, &(struct core_event){ .type = CORE_REPORT, .report = &r });
    held.floor = held.ceiling = 1;
    strcpy(r.node, "n1");
    world_step(&w, &(struct core_event){ .type = CORE_REPORT, .report = &r });
    GRANTS(&w, "n1", "shop.web r1 1..1\n");
    GRANTS(&w, "n2", "shop.web r1 3..3 demand\n");
    world_end(&w);
}

static void a_higher_term_is_overbid_before_anything_is_granted(void **state) {
    struct world w;
    struct world_app a;
    (void)state;
    serve(&w, &a, 1);
    struct core_report r = { .node = "n1", .term = 7, .routes_term = 1 };
    world_step(&w, &(struct core_event){ .type = CORE_REPORT, .report = &r });
    SAYS(&w, "term 8\n");
    app_rule_set(&a, "web", 2, 2);
    world_clear(&w);
    app_send(&w, &a);
    SAYS(&w, "term 8\n");
    world_clear(&w);
    world_step(&w, &(struct core_event){ .type = CORE_TERM, .term = 8 });
    SAYS(&w, "routes\ngrants n1\n");
    assert_int_equal(w.last.items[1].term, 8);
    world_end(&w);
}

static void a_full_action_list_goes_on_in_the_next_step(void **state) {
    struct world w;
    (void)state;
    world_begin(&w);
    for (int i = 0; i < CORE_ACTIONS + 10; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%03d", i);
        report(&w, name, true, "");
    }
    world_clear(&w);
    world_step(&w, &(struct core_event){ .type = CORE_TERM, .term = 2 });
    size_t lines = 0;
    for (const char *p = w.text; *p; p++) {
        lines += *p == '\n';
    }
    assert_int_equal(lines, 1 + CORE_ACTIONS + 10);
    world_end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_granted_before_a_node_reports),
        cmocka_unit_test(after_a_lease_it_decides_without_the_missing_node),
        cmocka_unit_test(a_repeated_fact_says_nothing),
        cmocka_unit_test(a_first_push_is_granted_and_judged_when_healthy_and_routed),
        cmocka_unit_test(a_proxy_that_is_away_does_not_hold_a_rollout_for_ever),
        cmocka_unit_test(a_deploy_runs_both_then_moves_demand_then_drops_the_old),
        cmocka_unit_test(the_release_before_stays_frozen_for_its_time),
        cmocka_unit_test(going_back_wakes_what_is_kept_where_it_sleeps),
        cmocka_unit_test(a_third_release_lets_the_kept_one_go_when_it_serves),
        cmocka_unit_test(nothing_is_kept_for_no_time),
        cmocka_unit_test(scaled_to_none_keeps_nothing),
        cmocka_unit_test(what_is_kept_outlives_the_scheduler),
        cmocka_unit_test(a_deploy_under_load_begins_with_as_many_as_serve),
        cmocka_unit_test(a_process_that_vanished_goes_with_the_old_release),
        cmocka_unit_test(an_end_that_trying_again_cannot_change_fails_at_once),
        cmocka_unit_test(other_ends_fail_at_the_third_and_repeated_reports_count_once),
        cmocka_unit_test(ends_by_hand_do_not_count),
        cmocka_unit_test(a_failed_release_is_withdrawn_and_the_old_one_serves),
        cmocka_unit_test(a_verdict_is_repeated_until_its_commit_comes_back),
        cmocka_unit_test(without_progress_a_rollout_fails),
        cmocka_unit_test(what_finds_no_room_fails_at_once),
        cmocka_unit_test(a_scale_rule_goes_before_the_release_and_outlives_it),
        cmocka_unit_test(a_sleeping_app_is_granted_on_one_node_and_proved_with_one_instance),
        cmocka_unit_test(stop_leaves_what_a_start_needs),
        cmocka_unit_test(destroy_takes_grants_and_routes),
        cmocka_unit_test(instances_spread_and_shrink_evenly),
        cmocka_unit_test(more_goes_where_there_is_room_and_stays_where_it_is),
        cmocka_unit_test(where_all_are_full_all_get_their_share),
        cmocka_unit_test(a_lost_node_s_instances_move_and_a_lone_node_keeps_its_own),
        cmocka_unit_test(a_scheduler_that_was_paused_calls_nobody_lost),
        cmocka_unit_test(a_new_scheduler_starts_from_the_grants_in_force),
        cmocka_unit_test(a_higher_term_is_overbid_before_anything_is_granted),
        cmocka_unit_test(a_full_action_list_goes_on_in_the_next_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

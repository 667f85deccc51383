/* The autoscaling law. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "autoscale.h"
#include "traces.h"

static const struct demand_settings sleeper = {
    .concurrency = 5, .min = 0, .max = 20, .idle = 2000
};

static struct demand_decision decide(
    struct demand *d, const struct demand_settings *settings, struct demand_sample sample) {
    struct demand_decision out;
    demand_decide(d, settings, &sample, &out);
    return out;
}

static void one_held_request_wakes_one(void **state) {
    (void)state;
    struct demand d;
    demand_init(&d, 1000);
    /* Long idle: it sleeps. */
    struct demand_decision out = decide(&d, &sleeper, (struct demand_sample){ .now = 9000 });
    assert_int_equal(out.running, 0);
    assert_int_equal(out.next, 0);
    out = decide(&d, &sleeper, (struct demand_sample){ .now = 9001, .held = 1, .arrived = 1 });
    assert_int_equal(out.running, 1);
    assert_true(out.next > 0);
}

static void a_thousand_at_once_wake_neither_one_nor_a_thousand(void **state) {
    (void)state;
    struct demand d;
    demand_init(&d, 0);
    const struct demand_settings wide = { .concurrency = 1, .min = 0, .max = 10000, .idle = 2000 };
    struct demand_decision out =
        decide(&d, &wide, (struct demand_sample){ .now = 10, .held = 1000, .arrived = 1000 });
    assert_in_range(out.running, 50, 999);
}

static void idle_sleeps_only_after_its_time(void **state) {
    (void)state;
    struct demand d;
    demand_init(&d, 0);
    decide(&d, &sleeper, (struct demand_sample){ .now = 100, .in_flight = 1, .arrived = 1 });
    struct demand_decision out =
        decide(&d, &sleeper, (struct demand_sample){ .now = 200, .arrived = 1, .ready = 1 });
    assert_int_equal(out.running, 1);
    out = decide(&d, &sleeper, (struct demand_sample){ .now = 2150, .arrived = 1, .ready = 1 });
    assert_int_equal(out.running, 1);
    out = decide(&d, &sleeper, (struct demand_sample){ .now = 2250, .arrived = 1, .ready = 1 });
    assert_int_equal(out.running, 0);
}

static void a_long_request_keeps_awake(void **state) {
    (void)state;
    struct demand d;
    demand_init(&d, 0);
    for (msec now = 0; now < 60000; now += 1000) {
        struct demand_decision out = decide(&d, &sleeper,
            (struct demand_sample){ .now = now, .in_flight = 1, .arrived = 1, .ready = 1 });
        assert_true(out.running >= 1);
    }
}

static struct demand_sample random_sample(unsigned *seed, msec now, int64_t arrived) {
    return (struct demand_sample){
        .now = now,
        .in_flight = rand_r(seed) % 50,
        .held = rand_r(seed) % 4 ? 0 : rand_r(seed) % 100,
        .oldest_held = rand_r(seed) % 500,
        .arrived = arrived,
        .ready = rand_r(seed) % 20,
        .starting = rand_r(seed) % 5,
    };
}

static void bounds_hold_and_the_same_input_decides_the_same(void **state) {
    (void)state;
    for (unsigned round = 1; round < 200; round++) {
        unsigned seed = round;
        struct demand a, b;
        const struct demand_settings settings = { .concurrency = 1 + rand_r(&seed) % 10,
            .min = rand_r(&seed) % 3,
            .max = 3 + rand_r(&seed) % 20,
            .idle = 1000 };
        demand_init(&a, 0);
        demand_init(&b, 0);
        msec now = 0;
        int64_t arrived = 0;
        for (int step = 0; step < 300; step++) {
            /* Also back in time, and far ahead. */
            now += rand_r(&seed) % 20 == 0   ? -500
                   : rand_r(&seed) % 50 == 0 ? 4000000
                                             : rand_r(&seed) % 300;
            arrived += rand_r(&seed) % 30;
            struct demand_sample sample = random_sample(&seed, now, arrived);
            struct demand_decision one = decide(&a, &settings, sample);
            struct demand_decision two = decide(&b, &settings, sample);
            assert_memory_equal(&one, &two, sizeof one);
            assert_in_range(one.running, settings.min, settings.max);
        }
    }
}

/* More load never means fewer. */
static void more_in_flight_wants_no_fewer(void **state) {
    (void)state;
    const struct demand_settings settings = {
        .concurrency = 2, .min = 0, .max = 1000, .idle = 1000
    };
    int64_t before = 0;
    for (int64_t load = 1; load < 200; load += 7) {
        struct demand d;
        struct demand_decision out = { 0 };
        demand_init(&d, 0);
        for (msec now = 0; now < 10000; now += 100) {
            out = decide(&d, &settings,
                (struct demand_sample){
                    .now = now, .in_flight = load, .arrived = now * load / 100, .ready = before });
        }
        assert_true(out.running >= before);
        before = out.running;
    }
    assert_in_range(before, 95, 120);
}

static void a_surplus_goes_by_half_a_second(void **state) {
    (void)state;
    const struct demand_settings settings = {
        .concurrency = 1, .min = 1, .max = 100, .idle = 1000
    };
    struct demand d;
    demand_init(&d, 0);
    int64_t running = 0;
    for (msec now = 0; now < 5000; now += 100) {
        running = decide(&d, &settings,
            (struct demand_sample){ .now = now, .in_flight = 40, .arrived = now, .ready = 40 })
                      .running;
    }
    assert_true(running >= 40);
    int64_t before = running;
    for (msec now = 5000; now < 90000; now += 100) {
        running = decide(
            &d, &settings, (struct demand_sample){ .now = now, .arrived = 5000, .ready = before })
                      .running;
        assert_true(running <= before && running >= before / 2);
        assert_true(now > 5000 + DEMAND_WINDOW_S * 1000 - 2000 || running >= 40);
        before = running;
    }
    assert_int_equal(running, 1);
}

/* The same past, and at the end more that waits or is under way: never fewer. */
static void more_at_the_end_of_the_same_past_wants_no_fewer(void **state) {
    (void)state;
    const struct demand_settings settings = {
        .concurrency = 3, .min = 0, .max = 1000, .idle = 1000
    };
    for (unsigned round = 1; round < 300; round++) {
        unsigned seed = round;
        struct demand past;
        msec now = 0;
        int64_t arrived = 0;
        demand_init(&past, 0);
        for (int step = rand_r(&seed) % 200; step > 0; step--) {
            now += rand_r(&seed) % 200;
            arrived += rand_r(&seed) % 30;
            decide(&past, &settings, random_sample(&seed, now, arrived));
        }
        struct demand_sample last = random_sample(&seed, now + 10, arrived + 60);
        int64_t before = 0;
        for (int64_t held = 0; held < 60; held++) {
            struct demand branch = past;
            last.held = held;
            last.arrived++;
            int64_t running = decide(&branch, &settings, last).running;
            assert_true(running >= before);
            before = running;
        }
        before = 0;
        for (int64_t more = 0; more < 60; more++) {
            struct demand branch = past;
            last.in_flight++;
            last.arrived++;
            int64_t running = decide(&branch, &settings, last).running;
            assert_true(running >= before);
            before = running;
        }
    }
}

static struct sim_result simulate(enum trace_kind kind, struct sim_settings settings) {
    struct trace trace;
    struct sim_result run;
    struct err err;
    assert_int_equal(trace_make(kind, &trace, &err), 0);
    settings.max = 10000;
    settings.deadline_ms = 10000;
    settings.idle_ms = 30000;
    settings.seed = 1;
    assert_int_equal(sim_autoscale(&trace, &settings, &run, &err), 0);
    trace_free(&trace);
    free(run.points);
    run.points = NULL;
    return run;
}

/* Ten minutes of the same load: at most thirty changes of direction, whatever the app. */
static void constant_load_does_not_swing(void **state) {
    (void)state;
    for (int64_t service = 50; service <= 500; service *= 10) {
        for (int64_t slots = 1; slots <= 10; slots *= 10) {
            for (int64_t start = 5; start <= 500; start *= 10) {
                struct sim_result run = simulate(TRACE_STEADY,
                    (struct sim_settings){
                        .service_ms = service, .start_ms = start, .concurrency = slots });
                assert_in_range(run.flips, 0, 30);
                assert_int_equal(run.failed, 0);
                assert_in_range((int64_t)run.wait_p99_ms, 0, 20);
            }
        }
    }
}

/* A thousand at once: neither a thousand instances nor a queue of seconds. */
static void a_cold_flood_is_served_by_what_it_needs(void **state) {
    (void)state;
    struct sim_result run = simulate(
        TRACE_FLOOD, (struct sim_settings){ .service_ms = 50, .start_ms = 5, .concurrency = 1 });
    assert_int_equal(run.failed, 0);
    assert_in_range(run.starts, 50, 700);
    assert_in_range((int64_t)run.wait_p99_ms, 0, 500);
}

/* What nobody should ask for still gives an answer within the bounds that were asked for. */
static void absurd_values_stay_within_bounds(void **state) {
    (void)state;
    static const int64_t values[] = { INT64_MIN, -1, 0, 1, 1000, INT64_MAX / 2, INT64_MAX };
    enum { COUNT = sizeof values / sizeof *values };
    const struct demand_settings ranges[] = {
        { .concurrency = 0, .min = 5, .max = 2, .idle = -1 },
        { .concurrency = -7, .min = -3, .max = 10, .idle = INT64_MAX },
        { .concurrency = INT64_MAX, .min = 0, .max = INT64_MAX, .idle = 0 },
    };
    for (size_t r = 0; r < sizeof ranges / sizeof *ranges; r++) {
        struct demand d;
        unsigned seed = 3;
        demand_init(&d, 0);
        for (int step = 0; step < 5000; step++) {
            struct demand_sample sample = {
                .now = values[rand_r(&seed) % COUNT],
                .in_flight = values[rand_r(&seed) % COUNT],
                .held = values[rand_r(&seed) % COUNT],
                .oldest_held = values[rand_r(&seed) % COUNT],
                .oldest_in_flight = values[rand_r(&seed) % COUNT],
                .arrived = values[rand_r(&seed) % COUNT],
                .ready = values[rand_r(&seed) % COUNT],
                .starting = values[rand_r(&seed) % COUNT],
            };
            demand_learn_start(&d, values[rand_r(&seed) % COUNT]);
            int64_t running = decide(&d, &ranges[r], sample).running;
            assert_true(running >= 0 && running <= DEMAND_INSTANCES_MAX);
            assert_true(r != 0 || running == 5);
            assert_true(r != 1 || running <= 10);
        }
    }
}

/* A report that is lost, comes twice or late: what is decided in the end is the same. */
static void lost_doubled_and_late_reports_end_alike(void **state) {
    (void)state;
    const struct demand_settings settings = {
        .concurrency = 1, .min = 1, .max = 100, .idle = 1000
    };
    enum { FAULTS = 4 };
    int64_t ends[FAULTS];
    for (int fault = 0; fault < FAULTS; fault++) {
        struct demand d;
        unsigned seed = 11;
        int64_t running = 1;
        demand_init(&d, 0);
        for (msec now = 100; now < 20000; now += 100) {
            struct demand_sample sample = {
                .now = now, .in_flight = 20, .arrived = now * 2 / 5, .ready = running
            };
            bool hit = rand_r(&seed) % 3 == 0 && now < 19000;
            if (fault == 1 && hit) {
                continue; /* lost */
            }
            if (fault == 3 && hit) { /* late: it says what was true a second ago */
                sample.arrived -= 400;
                sample.arrived = sample.arrived < 0 ? 0 : sample.arrived;
            }
            running = decide(&d, &settings, sample).running;
            if (fault == 2 && hit) { /* twice */
                running = decide(&d, &settings, sample).running;
            }
        }
        ends[fault] = running;
        assert_in_range(ends[fault], ends[0] - 1, ends[0] + 1);
    }
}

/* The clock jumps: an hour ahead, and back. Nothing is given up for it that load still needs. */
static void a_jump_of_the_clock_gives_nothing_up(void **state) {
    (void)state;
    const struct demand_settings settings = {
        .concurrency = 1, .min = 0, .max = 100, .idle = 1000
    };
    struct demand d;
    int64_t running = 0, arrived = 0;
    demand_init(&d, 0);
    for (msec now = 0; now < 40000; now += 100) {
        msec seen = now < 20000 ? now : now < 30000 ? now + 3600000 : now;
        arrived += 20;
        struct demand_sample sample = {
            .now = seen, .in_flight = 10, .arrived = arrived, .ready = running
        };
        running = decide(&d, &settings, sample).running;
        assert_true(now < 10000 || running >= 10);
    }
}

static void requests_a_second_count_where_in_flight_says_little(void **state) {
    (void)state;
    struct demand d;
    struct demand_decision out = { 0 };
    const struct demand_settings settings = {
        .concurrency = 0, .min = 1, .max = 100, .idle = 1000, .rps = 50
    };
    demand_init(&d, 0);
    int64_t arrived = 0;
    for (msec now = 0; now < 3000; now += 100) {
        arrived += 20; /* 200 a second, each over at once */
        out = decide(&d, &settings, (struct demand_sample){ .now = now, .arrived = arrived });
    }
    assert_int_equal(out.running, 4);
    assert_int_equal(out.reason, DEMAND_RPS);
    out = decide(&d, &settings, (struct demand_sample){ .now = 20000, .arrived = arrived });
    assert_int_equal(out.running, 4); /* within the window */
}

static void the_largest_of_what_is_asked_for_wins(void **state) {
    (void)state;
    struct demand d;
    const struct demand_settings settings = {
        .concurrency = 1, .min = 1, .max = 1000, .idle = 1000, .rps = 1000
    };
    demand_init(&d, 0);
    struct demand_decision out = decide(&d, &settings,
        (struct demand_sample){
            .now = 10, .ready = 1, .use = 5300, .use_reason = DEMAND_CPU, .arrived = 10 });
    assert_int_equal(out.running, 6);
    assert_int_equal(out.reason, DEMAND_CPU);
    out = decide(&d, &settings,
        (struct demand_sample){ .now = 20,
            .ready = 1,
            .held = 400,
            .oldest_held = 500,
            .arrived = 410,
            .use = 5300,
            .use_reason = DEMAND_CPU });
    assert_true(out.running > 6);
    assert_int_equal(out.reason, DEMAND_QUEUE);
}

static void the_number_of_a_worker_wakes_it_and_lets_it_sleep(void **state) {
    (void)state;
    struct demand d;
    const struct demand_settings settings = { .min = 0, .max = 10, .idle = 2000, .window = 5000 };
    struct demand_sample sample = { .now = 0, .use_reason = DEMAND_METRIC };
    demand_init(&d, -2000);
    sample.now = 5000;
    assert_int_equal(decide(&d, &settings, sample).running, 0);
    sample.now = 5100;
    sample.use = 1; /* the least work */
    assert_int_equal(decide(&d, &settings, sample).running, 1);
    sample.now = 5200;
    sample.use = 7500;
    assert_int_equal(decide(&d, &settings, sample).running, 8);
    sample.use = 0;
    int64_t running = 8;
    for (; sample.now < 120000 && running > 0; sample.now += 1000) {
        running = decide(&d, &settings, sample).running;
        assert_true(sample.now >= 5200 + settings.idle || running > 0);
    }
    assert_int_equal(running, 0);
}

static void steps_bound_what_a_period_changes(void **state) {
    (void)state;
    struct demand d;
    const struct demand_settings settings = { .concurrency = 1,
        .min = 1,
        .max = 100,
        .idle = 1000,
        .window = 1000,
        .step_up = 3,
        .step_down = 2,
        .step_period = 10000 };
    struct demand_sample sample = { .now = 0, .ready = 1, .use_reason = DEMAND_CPU };
    int64_t running = 1;
    demand_init(&d, 0);
    for (; sample.now < 120000; sample.now += 100) {
        sample.use = 40000;
        struct demand_decision out = decide(&d, &settings, sample);
        assert_true(out.running <= 1 + 3 * (sample.now / settings.step_period + 1));
        assert_true(out.running >= running);
        running = out.running;
        sample.ready = running;
    }
    assert_true(running >= 35);
    int64_t most = running;
    msec from = sample.now;
    for (; sample.now < from + 60000; sample.now += 100) {
        sample.use = 0;
        running = decide(&d, &settings, sample).running;
        assert_true(running >= most - 2 * ((sample.now - from) / settings.step_period + 2));
        sample.ready = running;
    }
    assert_true(running < most);
}

static void a_longer_window_remembers_longer(void **state) {
    (void)state;
    struct demand d;
    struct demand_settings settings = { .concurrency = 1, .min = 1, .max = 100, .idle = 1000 };
    struct demand_sample sample = { .use = 50000, .use_reason = DEMAND_CPU, .ready = 50 };
    settings.window = 120000;
    demand_init(&d, 0);
    decide(&d, &settings, sample);
    sample.use = 0;
    for (sample.now = 100; sample.now < 119000; sample.now += 100) {
        assert_true(decide(&d, &settings, sample).running >= 50);
    }
    for (; sample.now < 300000; sample.now += 100) {
        decide(&d, &settings, sample);
    }
    assert_int_equal(decide(&d, &settings, sample).running, 1);
}

static void who_holds_a_number_is_the_reason(void **state) {
    (void)state;
    struct demand d;
    struct demand_settings settings = { .concurrency = 1, .min = 2, .max = 4, .idle = 1000 };
    struct demand_sample sample = { .ready = 2 };
    demand_init(&d, 0);
    assert_int_equal(decide(&d, &settings, sample).reason, DEMAND_AT_MIN);
    settings.min_scheduled = true;
    assert_int_equal(decide(&d, &settings, sample).reason, DEMAND_SCHEDULE);
    sample.use = 50000;
    sample.use_reason = DEMAND_CPU;
    assert_int_equal(decide(&d, &settings, sample).reason, DEMAND_AT_MAX);
    settings.max_granted = true;
    assert_int_equal(decide(&d, &settings, sample).reason, DEMAND_AT_GRANT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_held_request_wakes_one),
        cmocka_unit_test(a_thousand_at_once_wake_neither_one_nor_a_thousand),
        cmocka_unit_test(idle_sleeps_only_after_its_time),
        cmocka_unit_test(a_long_request_keeps_awake),
        cmocka_unit_test(bounds_hold_and_the_same_input_decides_the_same),
        cmocka_unit_test(more_in_flight_wants_no_fewer),
        cmocka_unit_test(more_at_the_end_of_the_same_past_wants_no_fewer),
        cmocka_unit_test(constant_load_does_not_swing),
        cmocka_unit_test(a_cold_flood_is_served_by_what_it_needs),
        cmocka_unit_test(absurd_values_stay_within_bounds),
        cmocka_unit_test(lost_doubled_and_late_reports_end_alike),
        cmocka_unit_test(a_jump_of_the_clock_gives_nothing_up),
        cmocka_unit_test(a_surplus_goes_by_half_a_second),
        cmocka_unit_test(requests_a_second_count_where_in_flight_says_little),
        cmocka_unit_test(the_largest_of_what_is_asked_for_wins),
        cmocka_unit_test(the_number_of_a_worker_wakes_it_and_lets_it_sleep),
        cmocka_unit_test(steps_bound_what_a_period_changes),
        cmocka_unit_test(a_longer_window_remembers_longer),
        cmocka_unit_test(who_holds_a_number_is_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

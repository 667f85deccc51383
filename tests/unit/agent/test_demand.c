/* The autoscaling law. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "demand.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_held_request_wakes_one),
        cmocka_unit_test(a_thousand_at_once_wake_neither_one_nor_a_thousand),
        cmocka_unit_test(idle_sleeps_only_after_its_time),
        cmocka_unit_test(a_long_request_keeps_awake),
        cmocka_unit_test(bounds_hold_and_the_same_input_decides_the_same),
        cmocka_unit_test(more_in_flight_wants_no_fewer),
        cmocka_unit_test(a_surplus_goes_by_half_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

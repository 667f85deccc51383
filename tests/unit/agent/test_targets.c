/* What use asks for. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "targets.h"

static void use_is_spread_to_its_percent(void **state) {
    (void)state;
    /* 1.4 processors in use, half a one each, 70 percent of it: four. */
    assert_int_equal(target_use(1400, 500, 70), 4000);
    assert_int_equal(target_use(0, 500, 70), 0);
    assert_int_equal(target_use(1400, 0, 70), 0);
    assert_int_equal(target_use(1400, 500, 0), 0);
    assert_int_equal(target_use(-5, 500, 70), 0);
    assert_int_equal(target_use(INT64_MAX, 1, 1), TARGET_MAX);
    assert_int_equal(target_use(1, INT64_MAX, 100), 0);
}

static void a_number_is_shared_out(void **state) {
    (void)state;
    assert_int_equal(target_metric(25000, 10), 2500);
    assert_int_equal(target_metric(0, 10), 0);
    assert_int_equal(target_metric(-1, 10), 0);
    assert_int_equal(target_metric(1, 0), 0);
    assert_int_equal(target_metric(INT64_MAX, 1), TARGET_MAX);
}

static void a_value_is_smoothed_and_comes_near(void **state) {
    struct smoothed s = { 0 };
    (void)state;
    assert_int_equal(smoothed_add(&s, 1000, 100), 100);
    int64_t once = smoothed_add(&s, 2000, 1000);
    assert_in_range(once, 101, 999);
    for (msec now = 3000; now < 60000; now += 1000) {
        smoothed_add(&s, now, 1000);
    }
    assert_in_range(s.value, 980, 1000);
    assert_int_equal(smoothed_add(&s, 500, 0), s.value); /* a clock that goes back */
}

static void slow_answers_ask_for_more_in_proportion_and_at_most_twice(void **state) {
    struct latency_target t = { 0 };
    (void)state;
    assert_int_equal(latency_asks(&t, 1000, 300, 200, 4), 0); /* not yet of this number alone */
    assert_int_equal(latency_asks(&t, 1000 + TARGET_SETTLE_MS, 300, 200, 4), 6000);
    assert_int_equal(latency_asks(&t, 2000 + TARGET_SETTLE_MS, 9000, 200, 4), 8000);
}

static void a_change_is_waited_out(void **state) {
    struct latency_target t = { 0 };
    msec now = 1000;
    (void)state;
    latency_asks(&t, now, 300, 200, 4);
    now += TARGET_SETTLE_MS;
    assert_int_equal(latency_asks(&t, now, 400, 200, 4), 8000);
    assert_int_equal(latency_asks(&t, now + 100, 400, 200, 8), 8000); /* old answers still */
    assert_int_equal(latency_asks(&t, now + 3000, 400, 200, 8), 8000);
    assert_int_equal(latency_asks(&t, now + 100 + TARGET_SETTLE_MS, 150, 200, 8), 8000);
}

static void quick_answers_give_one_back_but_not_to_what_was_too_few(void **state) {
    struct latency_target t = { 0 };
    msec now = 1000;
    (void)state;
    latency_asks(&t, now, 300, 200, 4);
    now += TARGET_SETTLE_MS;
    latency_asks(&t, now, 300, 200, 4); /* four were too few */
    latency_asks(&t, now, 50, 200, 6);
    now += TARGET_SETTLE_MS;
    assert_int_equal(latency_asks(&t, now, 50, 200, 6), 5000);
    latency_asks(&t, now, 50, 200, 5);
    now += TARGET_SETTLE_MS;
    assert_int_equal(latency_asks(&t, now, 50, 200, 5), 5000);
    now += TARGET_SLOW_MS;
    assert_int_equal(latency_asks(&t, now, 50, 200, 5), 4000);
}

static void without_answers_nothing_is_asked_for(void **state) {
    struct latency_target t = { 0 };
    (void)state;
    latency_asks(&t, 0, 300, 200, 4);
    assert_int_equal(latency_asks(&t, 9000, 0, 200, 4), 0);
    assert_int_equal(latency_asks(&t, 9000, 300, 200, 0), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(use_is_spread_to_its_percent),
        cmocka_unit_test(a_number_is_shared_out),
        cmocka_unit_test(a_value_is_smoothed_and_comes_near),
        cmocka_unit_test(slow_answers_ask_for_more_in_proportion_and_at_most_twice),
        cmocka_unit_test(a_change_is_waited_out),
        cmocka_unit_test(quick_answers_give_one_back_but_not_to_what_was_too_few),
        cmocka_unit_test(without_answers_nothing_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

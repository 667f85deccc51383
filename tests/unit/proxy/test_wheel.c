/* proxy/wheel.c. SPDX-License-Identifier: Apache-2.0 */
#include "wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bounds.h"

struct alarm {
    struct wheel_timer timer;
    int fired;
    msec at;
};

static msec now;

static void on_fire(struct wheel_timer *t) {
    struct alarm *a = LIST_ITEM(t, struct alarm, timer);
    a->fired++;
    a->at = now;
}

static void run_to(struct wheel *w, msec until) {
    while (now < until) {
        now += WHEEL_TICK;
        wheel_advance(w, now);
    }
}

static void a_timer_fires_once_and_never_early(void **state) {
    (void)state;
    static const msec delays[] = { 1, 99, 100, 101, 1000, 51100, 51200, 60000, 3600000 };
    for (size_t i = 0; i < sizeof delays / sizeof delays[0]; i++) {
        struct wheel w;
        struct alarm a = { .fired = 0 };
        now = 123456;
        wheel_init(&w, now);
        wheel_timer_init(&a.timer, on_fire);
        wheel_set(&w, &a.timer, now + delays[i]);
        msec due = now + delays[i];
        run_to(&w, due + 3 * WHEEL_TICK);
        assert_int_equal(a.fired, 1);
        assert_in_range(a.at, due, due + 2 * WHEEL_TICK);
        assert_int_equal(w.linked, 0);
    }
}

static void a_timer_that_is_put_off_fires_at_its_last_time(void **state) {
    (void)state;
    struct wheel w;
    struct alarm a = { .fired = 0 };
    now = 0;
    wheel_init(&w, now);
    wheel_timer_init(&a.timer, on_fire);
    for (int i = 0; i < 100; i++) {
        wheel_set(&w, &a.timer, now + 500);
        run_to(&w, now + 200);
    }
    assert_int_equal(a.fired, 0);
    run_to(&w, now + 1000);
    assert_int_equal(a.fired, 1);
}

static void a_timer_may_be_set_earlier(void **state) {
    (void)state;
    struct wheel w;
    struct alarm a = { .fired = 0 };
    now = 0;
    wheel_init(&w, now);
    wheel_timer_init(&a.timer, on_fire);
    wheel_set(&w, &a.timer, 30000);
    wheel_set(&w, &a.timer, 300);
    run_to(&w, 600);
    assert_int_equal(a.fired, 1);
    assert_int_equal(w.linked, 0);
}

static void a_timer_that_is_off_or_removed_does_not_fire(void **state) {
    (void)state;
    struct wheel w;
    struct alarm off = { .fired = 0 }, removed = { .fired = 0 };
    now = 0;
    wheel_init(&w, now);
    wheel_timer_init(&off.timer, on_fire);
    wheel_timer_init(&removed.timer, on_fire);
    wheel_set(&w, &off.timer, 300);
    wheel_set(&w, &removed.timer, 300);
    wheel_off(&off.timer);
    wheel_remove(&w, &removed.timer);
    run_to(&w, 2000);
    assert_int_equal(off.fired + removed.fired, 0);
    assert_int_equal(w.linked, 0);
}

static struct wheel *shared;
static struct alarm other;

static void on_fire_remove_other(struct wheel_timer *t) {
    (void)t;
    wheel_remove(shared, &other.timer);
}

static void a_timer_may_remove_its_neighbour(void **state) {
    (void)state;
    struct wheel w;
    struct wheel_timer first;
    now = 0;
    shared = &w;
    wheel_init(&w, now);
    wheel_timer_init(&first, on_fire_remove_other);
    other.fired = 0;
    wheel_timer_init(&other.timer, on_fire);
    wheel_set(&w, &first, 300);
    wheel_set(&w, &other.timer, 300);
    run_to(&w, 1000);
    assert_int_equal(other.fired, 0);
    assert_int_equal(w.linked, 0);
}

static void a_long_pause_fires_all_once(void **state) {
    (void)state;
    struct wheel w;
    struct alarm alarms[100] = { { .fired = 0 } };
    now = 0;
    wheel_init(&w, now);
    for (int i = 0; i < 100; i++) {
        wheel_timer_init(&alarms[i].timer, on_fire);
        wheel_set(&w, &alarms[i].timer, 100 + i * 997);
    }
    now = 600000; /* the process was stopped for ten minutes */
    wheel_advance(&w, now);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(alarms[i].fired, 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_fires_once_and_never_early),
        cmocka_unit_test(a_timer_that_is_put_off_fires_at_its_last_time),
        cmocka_unit_test(a_timer_may_be_set_earlier),
        cmocka_unit_test(a_timer_that_is_off_or_removed_does_not_fire),
        cmocka_unit_test(a_timer_may_remove_its_neighbour),
        cmocka_unit_test(a_long_pause_fires_all_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
